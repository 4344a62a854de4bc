/** 10,000 clusters with 10 endpoints each: the first sync comes to its end, and a push of everything stops no request. */
import assert from "node:assert/strict";
import { istioserver } from "../harness/conf.ts";
import type { ResponseEvent } from "../harness/control_plane.ts";
import { manyServices, serviceName } from "../harness/many_services.ts";
import { startMesh } from "../harness/mesh.ts";
import { programOf, resourcesOf, type WireResources } from "../harness/xds_resources.ts";

const SERVICES = 10_000;
const PORT = 8080;
const EDGES = [0, SERVICES - 1].map((index) => `${serviceName(index)}:${PORT}`);

/** istioserver and 10,000 more; `upstream` answers for the first and the last of these. */
function world(v1: number, upstream: number, timeout: string): WireResources {
  const big = resourcesOf(
    manyServices({ services: SERVICES, endpoints: 10, port: PORT, upstream, timeout }),
    "istiod",
  );
  const small = resourcesOf(programOf(istioserver({ v1 }, { v1: 100 })), "istiod");
  const both = (type: keyof WireResources) => {
    const names = new Set(big[type].map((r) => r.name));
    return [...big[type], ...small[type].filter((r) => !names.has(r.name))];
  };
  return { CDS: both("CDS"), EDS: both("EDS"), LDS: both("LDS"), RDS: both("RDS") };
}

for (const delta of [true, false]) {
  Deno.test(`control plane, istiod, ${delta ? "delta" : "state of the world"}: 10,000 clusters x 10 endpoints`, async () => {
    await using mesh = await startMesh({
      temper: "istiod",
      delta,
      rules: ({ v1 }) => world(v1.port, v1.port, "0s"),
    });
    const { plane, v1, v2 } = mesh;
    const [, clusters, assignments] = await mesh.agent.line(/synced with .* CDS=(\d+) EDS=(\d+)/);
    assert.deepEqual([Number(clusters), Number(assignments)], [SERVICES + 5, SERVICES + 2]);
    for (const edge of EDGES) await mesh.answeredBy("v1", edge);

    // Every route and two assignments are others: all of it is said again, decoded and applied while requests go on.
    const load = mesh.load();
    await load.answers(100);
    const from = plane.events.length;
    const pushed = plane.set(world(v1.port, v2.port, "60s"));
    const table = await plane.waitFor(
      (e) => e.kind === "response" && e.type === "RDS",
      "the route table",
      from,
    );
    const sent = load.count;
    const { nonce } = table as ResponseEvent;
    await plane.waitFor((e) => e.kind === "request" && e.nonce === nonce, "its ACK", from);
    const answeredMeanwhile = load.count - sent;
    await pushed;
    for (const edge of EDGES) await mesh.answeredBy("v2", edge);
    const { failures } = await load.stop();
    assert.deepEqual(failures, []);
    assert.ok((table as ResponseEvent).bytes > 4e6);
    assert.ok(answeredMeanwhile > 0, "requests are answered while the table is decoded and applied");
  });
}
