import assert from "node:assert/strict";
import { worldOf } from "../../tests/harness/world.ts";
import type { SourceStatus } from "../discovery/types.ts";
import { createObserver } from "../observe/observer.ts";
import { gaugesOf } from "./gauges.ts";

const SOURCE: SourceStatus = {
  name: "pilotv3",
  addresses: [{ address: "grpc://istiod:15010", inUse: true }],
  step: "synced",
  sinceMs: 0,
  mode: "delta",
  node: "sidecar~127.0.0.1~a.default~default.svc.cluster.local",
  connects: 3,
  failures: 2,
  types: [{
    type: "CDS",
    version: "v1",
    nonce: "n1",
    receivedMs: 1500,
    resources: 7,
    subscribed: "*",
    sent: 4,
    received: 5,
    bytes: 600,
    nacks: 1,
  }],
};

function expose(status: readonly SourceStatus[], cachedMs?: number): string {
  const state = { accepting: true, draining: false };
  const world = { ...worldOf([1]), ...(cachedMs === undefined ? {} : { cachedMs }) };
  const input = { world, problems: [], status, state, recompiled: 9 };
  return createObserver({ gauges: () => gaugesOf(input) }).expose();
}

Deno.test("what a source does is exposed by source and type, counters as counters", () => {
  const text = expose([SOURCE]);
  for (
    const line of [
      "mesh_agent_ready 1",
      "mesh_agent_config_from_cache 0",
      "# TYPE mesh_agent_config_recompiled_hosts_total counter\nmesh_agent_config_recompiled_hosts_total 9",
      'mesh_agent_xds_synced{source="pilotv3"} 1',
      '# TYPE mesh_agent_xds_failures_total counter\nmesh_agent_xds_failures_total{source="pilotv3"} 2',
      '# TYPE mesh_agent_xds_resources gauge\nmesh_agent_xds_resources{source="pilotv3",type="CDS"} 7',
      'mesh_agent_xds_nacks_total{source="pilotv3",type="CDS"} 1',
      'mesh_agent_xds_last_response_timestamp_seconds{source="pilotv3",type="CDS"} 1.5',
    ]
  ) assert.ok(text.includes(line + "\n"), `${line} in\n${text}`);
  const away = expose([{ ...SOURCE, step: "waiting" }]);
  assert.match(away, /^mesh_agent_xds_synced\{source="pilotv3"\} 0$/m);
  assert.match(away, /^mesh_agent_ready 1$/m);
  assert.match(expose([SOURCE], 5), /^mesh_agent_config_from_cache 1$/m);
});

Deno.test("files have no series of control planes", () => {
  assert.doesNotMatch(expose([]), /xds_/);
});
