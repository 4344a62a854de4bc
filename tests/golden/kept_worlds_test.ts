/** The worlds of every recording, kept in a cache and read again: nothing of them is lost, and requests are decided alike. */
import assert from "node:assert/strict";
import { start as pilotv2 } from "../../agent/discovery/pilotv2.ts";
import { start as pilotv3 } from "../../agent/discovery/pilotv3.ts";
import { remembered, type WorldCache } from "../../agent/discovery/remember.ts";
import type { DiscoveryInput, Publication } from "../../agent/discovery/types.ts";
import { programJson } from "../../agent/route/program_text.ts";
import { buildRouteTables } from "../../agent/route/table.ts";
import { createCodec } from "../../agent/xds/codec.ts";
import { settled } from "../harness/ads_peer.ts";
import { ManualClock } from "../harness/clock.ts";
import { OFFLINE_PORTS } from "../harness/discovery_ports.ts";
import { RecordedPlane, readRecording } from "../harness/recorded_plane.ts";
import { configOf } from "../harness/world.ts";

createCodec();

const RECORDINGS = [
  "istiod-2026-08/bookinfo/sotw",
  "istiod-2026-08/kitchen_sink/sotw",
  "pilot-0.8.0/v2/istioserver/basic",
  "pilot-1.0.9/v2/istioserver/basic",
];

for (const path of RECORDINGS) {
  Deno.test(`kept world of ${path}: read again it is the same`, async () => {
    const recording = readRecording(path);
    const plane = new RecordedPlane(recording);
    const base = configOf();
    const address = { text: "grpc://pilot.test:15010", scheme: "grpc", host: "pilot.test", port: 15010 } as const;
    const v2 = recording.generation === "v2";
    let kept: Uint8Array | null = null;
    const cache: WorldCache = {
      path: "memory",
      read: () => Promise.resolve(kept),
      write: (lines) => Promise.resolve(void (kept = new TextEncoder().encode([...lines].join("")))),
    };
    const publications: Publication[] = [];
    const input: DiscoveryInput = {
      ...OFFLINE_PORTS,
      config: {
        ...base,
        serviceDiscovery: { ...base.serviceDiscovery, type: v2 ? "pilotv2" : "pilotv3" },
        discovery: { ...base.discovery, addresses: [address], delta: recording.delta },
      },
      clock: new ManualClock(1_000_000),
      log: { level: "error", log: () => {} },
      openDirectory: () => assert.fail("no files here"),
      publish: (publication) => void publications.push(publication),
    };
    const start = v2 ? pilotv2 : pilotv3;
    const first = remembered({ ...input, openTransport: plane.openTransport }, start, cache);
    await plane.opened();
    for (const step of recording.steps) await plane.play(step);
    await settled();
    await first.close();
    const said = publications.at(-1)!.program;
    assert.ok(said.clusters.size > 3 && said.routeConfigurations.size > 0);

    publications.length = 0;
    const second = remembered(input, start, cache);
    await second.ready;
    await second.close();
    const { program, cachedMs } = publications[0]!;
    assert.equal(cachedMs, 1_000_000);
    assert.deepEqual(programJson(program), programJson(said));
    assert.deepEqual(program, said);
    // It can be put in force.
    buildRouteTables(program);
  });
}
