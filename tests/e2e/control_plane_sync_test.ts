/** Rules from a live control plane, for each protocol and temper: first sync, changes, and how much is said about them. */
import assert from "node:assert/strict";
import { lacking } from "../harness/agent.ts";
import { until } from "../harness/bytes.ts";
import { startControlPlane } from "../harness/control_plane.ts";
import { GENERATIONS, type MeshOptions, nameOf, service, startMesh } from "../harness/mesh.ts";

/** Five changes and a repetition: four types each, and names that change. A client that turns in a loop says far more. */
const MOST_REQUESTS = 60;

/** Each generation by the agent's own HTTP/2, and one of each protocol by grpc-js. */
const WAYS: readonly MeshOptions[] = [
  ...GENERATIONS,
  ...GENERATIONS.filter(({ temper, delta }) => temper === "pilot-1.0.9" || delta)
    .map((generation) => ({ ...generation, transport: "grpc-js" as const })),
];

for (const way of WAYS) {
  const title = way.transport === undefined ? nameOf(way) : `${nameOf(way)}, by ${way.transport}`;
  const missing = way.transport === "grpc-js" ? await lacking("http2-client") : null;
  if (missing !== null) {
    Deno.test(`control plane, ${title}: refused, because this runtime lacks http2-client (${missing})`, async () => {
      await assert.rejects(startMesh(way), (error: Error) => {
        const [refusal] = /\[N118\][^]*$/.exec(error.message) ?? [error.message];
        assert.match(
          refusal,
          /^\[N118\] Cannot use discovery\.transport grpc-js on Deno "[^"]+": this runtime has no http2-client \(/,
        );
        assert.ok(refusal.includes(missing), refusal);
        return true;
      });
    });
    continue;
  }
  Deno.test(`control plane, ${title}: first sync, new weights, services that come, go and are renamed`, async () => {
    await using mesh = await startMesh(way);
    const { plane, v1, v2 } = mesh;
    assert.equal(await mesh.instance(), "v1");

    await plane.serve(mesh.split({ v1: 0, v2: 100 }));
    await mesh.answeredBy("v2");

    // On the same port, and on a port of its own.
    const added = [mesh.split({ v1: 0, v2: 100 }), service("other", 8084, v1), service("extra", 9095, v1)];
    await plane.serve(added.join("---\n"));
    await mesh.answeredBy("v1", "other:8084");
    await mesh.answeredBy("v1", "extra:9095");
    assert.equal(await mesh.instance(), "v2");

    // As many names as before, all of them others: servers that count names take this for an ACK.
    const renamed = [mesh.split({ v1: 100, v2: 0 }), service("alias", 8084, v2), service("annex", 9096, v2)];
    await plane.serve(renamed.join("---\n"));
    await mesh.answeredBy("v2", "alias:8084");
    await mesh.answeredBy("v2", "annex:9096");
    assert.equal(await mesh.instance(), "v1");

    await plane.serve(mesh.split({ v1: 0, v2: 100 }));
    await mesh.answeredBy("v2");
    for (const gone of ["alias:8084", "annex:9096"]) {
      await until(async () => await mesh.instance(gone) !== "v2", `${gone} gone`);
    }

    // The same again with another version, as 0.8.0 said it each minute: nothing is put in force anew, nothing more is said.
    const publications = () => mesh.agent.printed().split("rules in force").length - 1;
    const published = publications();
    await plane.push();
    await plane.settled();
    const said = plane.requests().length;
    for (let i = 0; i < 50; i++) assert.equal(await mesh.instance(), "v2");
    assert.equal(plane.requests().length, said);
    assert.equal(publications(), published);
    assert.ok(said <= MOST_REQUESTS, `${said} requests`);
    assert.deepEqual(plane.events.filter((e) => e.kind === "panic" || e.kind === "goaway"), []);
  });
}

Deno.test("control plane: an istiod that knows no deltas is asked for the state of the world, now and later", async () => {
  await using mesh = await startMesh({ temper: "istiod", delta: true, planeDelta: false });
  assert.equal(await mesh.instance(), "v1");
  const { plane } = mesh;
  await plane.disconnect();
  await plane.serve(mesh.split({ v1: 0, v2: 100 }));
  await mesh.answeredBy("v2");
  assert.ok(plane.requests("CDS").every((e) => e.subscribe.length === 0));
});

Deno.test("control plane: a refusal is told with its reason, the rules stay, and SIGHUP asks again at once", async () => {
  await using mesh = await startMesh({ temper: "istiod", delta: true });
  const { plane, agent } = mesh;
  await plane.refuse({ code: 7, details: "no identity for this namespace" });
  await plane.disconnect();
  await agent.line(/\[D206\].*no identity for this namespace/);
  assert.equal(await mesh.instance(), "v1");
  await plane.refuse(null);
  await plane.serve(mesh.split({ v1: 0, v2: 100 }));
  agent.signal("SIGHUP");
  await mesh.answeredBy("v2");
});

Deno.test("control plane: when the preferred one is gone, the next one is followed", async () => {
  await using second = await startControlPlane({ temper: "istiod" });
  await using mesh = await startMesh({ temper: "istiod", delta: true, otherAddresses: [second.address] });
  await second.serve(mesh.split({ v1: 0, v2: 100 }));
  assert.deepEqual(second.requests(), []);
  await mesh.plane.kill();
  await mesh.answeredBy("v2");
  await second.settled();
});
