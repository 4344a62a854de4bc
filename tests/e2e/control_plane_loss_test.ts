/** The control plane goes away, freezes, trickles, breaks off: traffic goes on, and on its return the agent is in step again. */
import assert from "node:assert/strict";
import { until } from "../harness/bytes.ts";
import { askOnce } from "../harness/client.ts";
import { GENERATIONS, type Mesh, nameOf, service, startMesh } from "../harness/mesh.ts";
import { deadPort } from "../harness/upstream.ts";

const ISTIOD = { temper: "istiod", delta: true } as const;
/** Enough to cover what happens meanwhile. */
const MANY = 500;

/** Runs it under load; then no request may have failed. */
async function underLoad(mesh: Mesh, happens: (answers: (count: number) => Promise<void>) => Promise<void>) {
  const load = mesh.load();
  try {
    await load.answers(MANY);
    await happens((count) => load.answers(count));
    await load.answers(MANY);
  } finally {
    const { failures } = await load.stop();
    assert.deepEqual(failures, []);
  }
}

for (const generation of GENERATIONS) {
  Deno.test(`control plane, ${nameOf(generation)}: killed under load, no request fails; back, it is followed again`, async () => {
    await using mesh = await startMesh(generation);
    const { plane: first, agent: { admin } } = mesh;
    await first.serve([mesh.split({ v1: 100, v2: 0 }), service("extra", 9095, mesh.v2)].join("---\n"));
    await mesh.answeredBy("v2", "extra:9095");
    await underLoad(mesh, async (answers) => {
      await first.kill();
      await answers(MANY);
      const ready = await askOnce(
        admin,
        "GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
      );
      assert.equal(ready.status, 200, "never unready again");
      await mesh.restartPlane(mesh.split({ v1: 0, v2: 100 }));
      await mesh.answeredBy("v2");
    });
    // Removed while there was no stream.
    await until(
      async () => await mesh.instance("extra:9095") !== "v2",
      "the end of what the new one does not know",
    );
    assert.equal(mesh.plane.events.some((e) => e.kind === "panic"), false);
    for (const { error } of [...first.requests(), ...mesh.plane.requests()]) assert.equal(error, undefined);
  });
}

Deno.test("control plane: frozen under load, no request fails; thawed, what changed takes hold", async () => {
  await using mesh = await startMesh(ISTIOD);
  await underLoad(mesh, async (answers) => {
    mesh.plane.freeze();
    await answers(MANY);
    mesh.plane.thaw();
    await mesh.plane.serve(mesh.split({ v1: 0, v2: 100 }));
    await mesh.answeredBy("v2");
  });
});

for (const generation of GENERATIONS) {
  Deno.test(`control plane, ${nameOf(generation)}: a stream lost in the middle of a push leaves the old rules whole`, async () => {
    await using mesh = await startMesh(generation);
    const { plane } = mesh;
    await underLoad(mesh, async (answers) => {
      // Where in the push it breaks: in its first message, and in a later one.
      for (
        const [bytes, weights, now] of [[40, { v1: 0, v2: 100 }, "v2"], [
          1500,
          { v1: 100, v2: 0 },
          "v1",
        ]] as const
      ) {
        const from = plane.events.length;
        await plane.cutAfter(bytes);
        await plane.serve(mesh.split(weights));
        await plane.waitFor((e) => e.kind === "cut", "the cut", from);
        await plane.waitFor((e) => e.kind === "open", "a new stream", from);
        await answers(MANY);
        await mesh.answeredBy(now);
      }
    });
  });
}

Deno.test("control plane: a stream that ends with its age is opened again, in step at once", async () => {
  await using mesh = await startMesh(ISTIOD);
  const { plane } = mesh;
  const from = plane.events.length;
  await plane.serve(mesh.split({ v1: 0, v2: 100 }), { push: false });
  await plane.end(0);
  await plane.waitFor((e) => e.kind === "open", "a new stream", from);
  await mesh.answeredBy("v2");
  // A delta stream tells what it holds.
  const again = plane.requests("CDS").find((e) => e.node !== undefined && e.stream > 1);
  assert.deepEqual(
    Object.keys(again!.initialVersions).sort(),
    [
      "BlackHoleCluster",
      "InboundPassthroughCluster",
      "PassthroughCluster",
      ...["|", "v1|", "v2|"].map((subset) => `outbound|8084|${subset}istioserver.default.svc.cluster.local`),
    ].sort(),
  );
});

Deno.test("control plane: answers that trickle are first waited for, then applied whole", async () => {
  await using mesh = await startMesh(ISTIOD);
  await mesh.plane.trickle(16);
  await underLoad(mesh, async () => {
    await mesh.plane.serve(mesh.split({ v1: 0, v2: 100 }));
    await mesh.answeredBy("v2");
  });
});

Deno.test("control plane: *_proxy variables that name the agent itself do not lead its streams back to it", async () => {
  const port = deadPort();
  const itself = `http://127.0.0.1:${port}`;
  const names = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "grpc_proxy",
    "GRPC_PROXY",
    "all_proxy",
  ];
  await using mesh = await startMesh({
    ...ISTIOD,
    http: `127.0.0.1:${port}`,
    accessLog: "json",
    start: { env: Object.fromEntries(names.map((name) => [name, itself])) },
  });
  await underLoad(mesh, async (answers) => {
    mesh.plane.freeze();
    await answers(MANY);
    mesh.plane.thaw();
    await mesh.plane.kill();
    await answers(MANY);
    await mesh.restartPlane(mesh.split({ v1: 0, v2: 100 }));
    await mesh.answeredBy("v2");
  });
  const toPlane = mesh.agent.accessLog().filter((line) => line.authority.endsWith(`:${mesh.plane.port}`));
  assert.deepEqual(toPlane, []);
});
