/** What the scripted control plane can do to a client; what it answers is held to the recordings in control_plane_replay_test.ts. */
import assert from "node:assert/strict";
import { bytesOf, textOf, until } from "./bytes.ts";
import { istioserver } from "./conf.ts";
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from "./control_plane.ts";
import { type Answer, NODE, XdsClient } from "./xds_client.ts";

const SPLIT = istioserver({ v1: 8001, v2: 8002 }, { v1: 90, v2: 10 });

async function serving(options: ControlPlaneOptions): Promise<ControlPlane> {
  const plane = await startControlPlane(options);
  await plane.serve(SPLIT);
  return plane;
}

async function askClusters(plane: ControlPlane, delta = false): Promise<XdsClient> {
  const client = await XdsClient.connect(plane.port, "v3", delta);
  client.ask("CDS", { node: NODE });
  return client;
}

Deno.test("control plane: holds answers back and releases them in order", async () => {
  await using plane = await serving({ temper: "istiod" });
  await plane.hold(["CDS"]);
  using client = await askClusters(plane);
  client.ask("LDS");
  await plane.waitFor((e) => e.kind === "request" && e.type === "LDS", "the question for listeners");
  assert.deepEqual(plane.responses(), []);
  await plane.release();
  assert.match((await client.answer())!.typeUrl, /Cluster$/);
  assert.match((await client.answer())!.typeUrl, /Listener$/);
});

Deno.test("control plane: writes in trickles, whole in the end", async () => {
  await using plane = await serving({ temper: "istiod" });
  await plane.trickle(7);
  using client = await askClusters(plane);
  assert.equal((await client.answer())!.names.length, 6);
});

Deno.test("control plane: breaks off in the middle of an answer", async () => {
  await using plane = await serving({ temper: "istiod" });
  using client = await askClusters(plane);
  await client.answer();
  await plane.cutAfter(100);
  client.ask("RDS", { resourceNames: ["8084"] });
  await assert.rejects(client.answer());
  assert.ok(plane.responses("RDS")[0]!.bytes > 100);
  await plane.waitFor((e) => e.kind === "cut", "the cut");
});

Deno.test("control plane: resets connections, ends streams with any status, refuses new ones", async () => {
  await using plane = await serving({ temper: "istiod" });
  using lost = await askClusters(plane);
  await lost.answer();
  await plane.disconnect();
  await assert.rejects(lost.answer());

  using old = await askClusters(plane);
  await old.answer();
  await plane.end(0);
  assert.equal(await old.answer(), undefined);

  await plane.refuse({ code: 16, details: "authentication failure" });
  using refused = await askClusters(plane);
  await assert.rejects(refused.answer(), /authentication failure/);
  await plane.refuse(null);
  using served = await askClusters(plane);
  assert.equal((await served.answer())!.names.length, 6);
});

Deno.test("control plane: frozen it takes bytes and says nothing, thawed it answers", async () => {
  await using plane = await serving({ temper: "istiod" });
  using client = await askClusters(plane);
  await client.answer();
  plane.freeze();
  const state = () => /\) (\w)/.exec(Deno.readTextFileSync(`/proc/${plane.pid}/stat`))![1];
  await until(() => state() === "T", "the process stopped");
  client.ask("LDS");
  plane.thaw();
  assert.match((await client.answer())!.typeUrl, /Listener$/);
});

Deno.test("control plane: killed it is gone, and comes back on its port", async () => {
  const first = await serving({ temper: "istiod" });
  using client = await askClusters(first);
  await client.answer();
  await first.kill();
  await assert.rejects(client.answer());
  await using second = await serving({ temper: "istiod", port: first.port });
  using again = await askClusters(second);
  assert.equal((await again.answer())!.names.length, 6);
});

Deno.test("control plane: a stream of another generation or method is unimplemented", async () => {
  await using plane = await serving({ temper: "istiod", delta: false });
  for (const [generation, delta] of [["v3", true], ["v2", false]] as const) {
    using client = await XdsClient.connect(plane.port, generation, delta);
    client.ask("CDS", { node: NODE });
    await assert.rejects(client.answer(), /12|UNIMPLEMENTED|unimplemented|does not/i);
  }
});

Deno.test("control plane: Pilot ends a connection on the fourth early ping, istiod does not", async () => {
  const ping = "\0\0\x08\x06\0\0\0\0\0" + "pingpong";
  for (const temper of ["pilot-0.8.0", "pilot-1.0.9", "istiod"] as const) {
    await using plane = await startControlPlane({ temper });
    using conn = await Deno.connect({ hostname: "127.0.0.1", port: plane.port });
    await conn.write(bytesOf(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"\0\0\0\x04\0\0\0\0\0"}${ping.repeat(4)}`));
    await plane.waitFor(() => plane.events.filter((e) => e.kind === "ping").length === 4, "four pings");
    if (temper === "istiod") {
      await plane.release();
      assert.equal(plane.events.some((e) => e.kind === "goaway"), false);
      continue;
    }
    let read = "";
    const buffer = new Uint8Array(4096);
    for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
      read += textOf(buffer.subarray(0, n));
    }
    assert.match(read, /too_many_pings/);
  }
});

Deno.test("control plane: a delta stream that comes back is told what went meanwhile", async () => {
  await using plane = await serving({ temper: "istiod" });
  using client = await XdsClient.connect(plane.port, "v3", true);
  client.ask("CDS", {
    node: NODE,
    initialResourceVersions: { "outbound|1||gone": "", BlackHoleCluster: "" },
  });
  const answer = await client.answer() as Answer;
  assert.deepEqual(answer.removed, ["outbound|1||gone"]);
  assert.equal(answer.names.length, 6);
  client.ask("EDS", { resourceNamesSubscribe: ["outbound|1||gone"] });
  const [name, size] = ["outbound|1||gone", 18];
  const empty = await client.answer() as Answer;
  assert.deepEqual([empty.names, empty.sizes], [[name], [size]]);
  // Subscriptions in the ACK of an older answer are dropped, and so are those of a NACK.
  client.ask("EDS", { responseNonce: "old", resourceNamesSubscribe: ["outbound|2||x"] });
  client.ask("EDS", {
    responseNonce: empty.nonce,
    resourceNamesSubscribe: ["outbound|3||x"],
    errorDetail: { code: 3, message: "no" },
  });
  client.ask("EDS", { resourceNamesSubscribe: ["outbound|4||x"] });
  assert.deepEqual((await client.answer())!.names, ["outbound|4||x"]);
});

Deno.test("control plane: plays a recording", async () => {
  const folder = new URL("../recordings/istiod-2026-08/istioserver/updates/", import.meta.url).pathname;
  const files = [...Deno.readDirSync(folder)].map((f) => f.name).filter((n) => n.endsWith(".bin")).sort();
  await using plane = await startControlPlane({ temper: "recording-v3" });
  await plane.record(files.slice(0, 5).map((name) => Deno.readFileSync(`${folder}${name}`)));
  using client = await askClusters(plane);
  assert.equal((await client.answer())!.names.length, 7);
  client.ask("RDS", { resourceNames: ["8084"] });
  assert.deepEqual((await client.answer())!.names, ["8084", "http_proxy"]);
  await plane.next();
  assert.equal((await client.answer())!.names.length, 4); // the first EDS answer, which nobody asked for
});
