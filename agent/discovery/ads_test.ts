import assert from "node:assert/strict";
import { assignmentOf, clusterOf, listenerOf, settled, tableOf } from "../../tests/harness/ads_peer.ts";
import { typeUrlOf } from "../xds/types.ts";
import { MeshError } from "../core/errors.ts";
import { A, B, syncWith, withAds } from "./ads_fixture_test.ts";
import { GRACE_MS } from "./ads.ts";
import { SILENT_MS, SLOW_MS } from "./ads_stream.ts";
import { GATHER_MS } from "./intake.ts";
import { createWorldHolder } from "./world.ts";
import type { Listener } from "../model/model.ts";
import type { Publication } from "./types.ts";

Deno.test("first sync: CDS, EDS, LDS, RDS in this order, published once and whole, ready then", async () => {
  await withAds({}, async ({ peer, source, publications, status, type }) => {
    let ready = false;
    source.ready.then(() => ready = true);
    const call = peer.last;
    assert.match(call.target.path, /v3\.AggregatedDiscoveryService\/StreamAggregatedResources$/);
    assert.equal(call.target.keepaliveMs, 30_000);
    assert.ok(call.target.maxMessageBytes >= 64 << 20);
    assert.deepEqual(call.metadata, []);
    assert.equal(status().step, "first sync");
    assert.deepEqual(call.requests.map(({ type }) => type), ["CDS", "LDS"]);

    call.answer("CDS", [clusterOf(A)], { version: "7" });
    await settled();
    const eds = call.last("EDS");
    assert.ok(eds?.kind === "sotw");
    assert.deepEqual(eds.names, [A]);
    const ack = call.last("CDS");
    assert.ok(ack?.kind === "sotw" && ack.version === "7" && ack.nonce === "n1" && ack.error === undefined);

    call.answer("EDS", [assignmentOf(A, 1)]);
    call.answer("LDS", [listenerOf(80)]);
    await settled();
    const rds = call.last("RDS");
    assert.ok(rds?.kind === "sotw");
    assert.deepEqual(rds.names, ["80", "http_proxy"]);
    assert.equal(publications.length, 0);
    assert.equal(ready, false);

    call.answer("RDS", [tableOf(80, "a.test", A)]);
    await settled();
    assert.equal(publications.length, 1);
    assert.equal(ready, true);
    assert.equal(status().step, "synced");
    assert.equal(type("CDS").version, "7");
    assert.equal(type("CDS").subscribed, "*");
    assert.equal(type("EDS").subscribed, 1);
    for (const name of ["CDS", "EDS", "LDS", "RDS"]) {
      assert.equal(type(name).resources, 1, name);
      assert.equal(type(name).received, 1, name);
      assert.equal(type(name).sent, 2, `${name}: request and ACK`);
      assert.ok(type(name).bytes > 0, name);
    }
    assert.deepEqual(source.problems(), []);
  });
});

Deno.test("v2: its own path, and pings at most every five minutes", async () => {
  await withAds({ generation: "v2" }, async ({ peer, status }) => {
    const call = peer.last;
    assert.equal(
      call.target.path,
      "/envoy.service.discovery.v2.AggregatedDiscoveryService/StreamAggregatedResources",
    );
    assert.ok(call.target.keepaliveMs === 0 || call.target.keepaliveMs >= 300_000);
    await syncWith(call);
    assert.equal(status().step, "synced");
  });
});

Deno.test("grpcs: files of the certificate directory, token file and cluster id", async () => {
  await withAds(
    { addresses: ["grpcs://istiod:15012"], config: { tokenFile: "/run/token", serverName: "istiod.x" } },
    ({ peer }) => {
      const { target, metadata } = peer.last;
      assert.equal(target.tls?.rootCertificate, "/etc/certs/root-cert.pem");
      assert.equal(target.tls?.serverName, "istiod.x");
      assert.equal(target.tokenFile, "/run/token");
      assert.deepEqual(metadata, [["clusterid", "Kubernetes"]]);
      return Promise.resolve();
    },
  );
});

Deno.test("what changes nothing publishes nothing and is not decoded again", async () => {
  await withAds({}, async ({ peer, publications, type }) => {
    const call = peer.last;
    await syncWith(call);
    const decoded = { ...peer.decoded };
    const { bytes } = type("CDS");
    for (let round = 0; round < 3; round++) await syncWith(call);
    assert.equal(publications.length, 1);
    assert.deepEqual(peer.decoded, decoded);
    assert.equal(type("CDS").received, 4);
    assert.ok(type("CDS").bytes >= 4 * bytes, "bytes of all of them");
    const ack = call.last("CDS");
    assert.ok(ack?.kind === "sotw" && ack.version === type("CDS").version, "every response is acknowledged");
  });
});

Deno.test("an endpoint alone rebuilds no table and compiles no host; a route only its own", async () => {
  const world = createWorldHolder({ now: () => 0 });
  const publications: Publication[] = [];
  const publish = (publication: Publication): void => {
    publications.push(publication);
    world.publish(publication);
  };
  await withAds({ publish }, async ({ peer }) => {
    const call = peer.last;
    await syncWith(call);
    assert.deepEqual(stats(publications[0]), { rebuiltTables: 1, recompiled: 1, decoded: 4 });
    const host = world.current.tables.findVirtualHost("a.test", 80);

    call.answer("EDS", [assignmentOf(A, 1, 2)]);
    await settled();
    assert.equal(publications.length, 2);
    assert.deepEqual(stats(publications[1]), { rebuiltTables: 0, recompiled: 0, decoded: 1 });
    assert.equal(world.current.tables.findVirtualHost("a.test", 80), host);
    assert.equal(world.current.program.loadAssignments.get(A)?.endpoints[0]?.lbEndpoints.length, 2);

    call.answer("CDS", [clusterOf(A), clusterOf(B)]);
    await settled();
    call.answer("EDS", [assignmentOf(B, 3)]);
    await settled();
    call.answer("RDS", [tableOf(80, "a.test", A, B)]);
    await settled();
    assert.deepEqual(stats(publications.at(-1)), { rebuiltTables: 1, recompiled: 1, decoded: 1 });
  });
});

function stats(publication: Publication | undefined) {
  const { rebuiltTables, recompiled, decoded } = publication?.stats ?? {};
  return { rebuiltTables, recompiled, decoded };
}

Deno.test("a bad resource keeps its last good value, its neighbours are taken in, the NACK names it", async () => {
  await withAds({}, async ({ peer, source, type, codes, logs }) => {
    const call = peer.last;
    await syncWith(call);
    call.answer("CDS", [
      { ...clusterOf(A), bad: "load_assignment.endpoints[0]" },
      clusterOf(B),
    ], { version: "9" });
    await settled();
    const nack = call.last("CDS");
    assert.ok(nack?.kind === "sotw");
    assert.equal(nack.version, "v1");
    assert.equal(nack.nonce, "n5");
    assert.match(nack.error ?? "", /outbound\|80\|\|a\.test.*load_assignment\.endpoints\[0\]/);
    assert.equal(type("CDS").resources, 2);
    assert.equal(type("CDS").version, "v1");
    assert.equal(type("CDS").nacks, 1);
    assert.deepEqual(type("CDS").lastNack, { version: "9", text: nack.error, atMs: 1_000_000 });
    assert.deepEqual(codes(), ["D212"]);
    assert.equal(source.problems()[0]?.where.field, "load_assignment.endpoints[0]");
    assert.equal(logs.filter((line) => line.startsWith("warn refused CDS")).length, 1);

    call.answer("CDS", [{ ...clusterOf(A), bad: "load_assignment.endpoints[0]" }, clusterOf(B)]);
    await settled();
    assert.equal(type("CDS").nacks, 2);
    assert.equal(logs.filter((line) => line.startsWith("warn refused CDS")).length, 1, "told once");

    call.answer("CDS", [clusterOf(A, { lbPolicy: "RANDOM" }), clusterOf(B)], { version: "10" });
    await settled();
    assert.deepEqual(codes(), [], "mended");
    assert.equal(type("CDS").version, "10");
    assert.equal(type("CDS").lastNack?.version, "v6", "the last NACK stays to be read");
  });
});

Deno.test("many bad resources: three are named, the others counted", async () => {
  await withAds({}, async ({ peer, codes }) => {
    const call = peer.last;
    const bad = Array.from(
      { length: 10 },
      (_, i) => ({ ...clusterOf(`outbound|80||bad${i}.test`), bad: "name" }),
    );
    call.answer("CDS", bad);
    await settled();
    const nack = call.last("CDS");
    assert.match(nack?.error ?? "", /bad0.*bad1.*bad2.*7 more$/);
    assert.doesNotMatch(nack?.error ?? "", /bad3/);
    assert.equal(codes().length, 10);
  });
});

Deno.test("bytes that cannot be decoded keep the whole response out", async () => {
  await withAds({}, async ({ peer, type, codes, publications }) => {
    const call = peer.last;
    await syncWith(call);
    call.answer("CDS", [clusterOf(B), { name: A, garbage: true }]);
    await settled();
    assert.match(call.last("CDS")?.error ?? "", /outbound\|80\|\|a\.test.*wire type/);
    assert.equal(type("CDS").resources, 1);
    assert.equal(publications.length, 1);
    assert.deepEqual(codes(), ["D211"]);
    call.answer("CDS", [clusterOf(A)]);
    await settled();
    assert.deepEqual(codes(), []);
  });
});

Deno.test("a resource of another type keeps the whole response out: it could be read as an empty one", async () => {
  await withAds({}, async ({ peer, type, codes }) => {
    const call = peer.last;
    await syncWith(call);
    const table = typeUrlOf("v3", "RDS");
    call.answer("EDS", [{ ...assignmentOf(A), typeUrl: table }]);
    await settled();
    assert.match(
      call.last("EDS")?.error ?? "",
      /"outbound\|80\|\|a\.test".*RouteConfiguration"; want ClusterLoad/,
    );
    assert.equal(type("EDS").nacks, 1);
    assert.deepEqual(codes(), ["D211"]);
    // The same message of another generation is no other type.
    call.answer("EDS", [{ ...assignmentOf(A), typeUrl: typeUrlOf("v2", "EDS") }]);
    await settled();
    assert.deepEqual(codes(), []);
  });
});

Deno.test("a listener that its address kept out is taken in when the same comes again and the address is free", async () => {
  await withAds({}, async ({ peer, codes, publications }) => {
    const call = peer.last;
    await syncWith(call);
    const moved = { ...listenerOf(80), value: { ...(listenerOf(80).value as Listener), port: 81 } };
    call.answer("LDS", [listenerOf(81), moved]);
    await settled();
    assert.deepEqual(codes(), ["D212"]);
    call.answer("LDS", [moved]);
    await settled();
    assert.deepEqual(codes(), []);
    const { program } = publications.at(-1) as Publication;
    assert.deepEqual([...program.listeners?.values() ?? []].map(({ port }) => port), [81]);
  });
});

Deno.test("endpoints and tables that nothing asks for any more leave no finding", async () => {
  await withAds({}, async ({ peer, codes }) => {
    const call = peer.last;
    await syncWith(call);
    call.answer("CDS", [clusterOf(A), clusterOf(B)]);
    call.answer("LDS", [listenerOf(80), listenerOf(81)]);
    await settled();
    call.answer("EDS", [{ ...assignmentOf(B, 1), bad: "endpoints[0]" }]);
    call.answer("RDS", [{ ...tableOf(81, "b.test", B), bad: "virtual_hosts[0]" }]);
    await settled();
    assert.deepEqual(codes(), ["D212", "D212"]);
    call.answer("CDS", [clusterOf(A)]);
    call.answer("LDS", [listenerOf(80)]);
    await settled();
    assert.deepEqual(codes(), []);
  });
});

Deno.test("a name twice keeps the whole response out", async () => {
  await withAds({}, async ({ peer, type, codes }) => {
    const call = peer.last;
    await syncWith(call);
    call.answer("CDS", [clusterOf(A), { ...clusterOf(B), bad: "name" }, clusterOf(B)]);
    await settled();
    assert.match(call.last("CDS")?.error ?? "", /outbound\|80\|\|b\.test.*twice/);
    call.answer("CDS", [clusterOf(A), clusterOf(B), clusterOf(B)]);
    await settled();
    assert.match(call.last("CDS")?.error ?? "", /outbound\|80\|\|b\.test.*twice/);
    assert.equal(type("CDS").resources, 1);
    assert.equal(type("CDS").nacks, 2);
    assert.deepEqual(codes(), ["D213"]);
  });
});

Deno.test("a message that is no response ends the stream; the world stays", async () => {
  await withAds({}, async ({ peer, status, publications, pass }) => {
    await syncWith(peer.last);
    peer.last.garble();
    await settled();
    assert.match(status().reason ?? "", /\[D211\]/);
    assert.equal(peer.calls[0]?.closed, true);
    await pass(250);
    assert.equal(peer.calls.length, 2);
    assert.equal(publications.length, 1);
  });
});

Deno.test("a type that was never asked for is ignored and told once", async () => {
  await withAds({}, async ({ peer, codes, logs, pass }) => {
    const call = peer.last;
    await syncWith(call);
    call.answer("CDS", [], { typeUrl: "type.googleapis.com/istio.networking.nds.v1.NameTable" });
    call.answer("CDS", [], { typeUrl: "type.googleapis.com/istio.networking.nds.v1.NameTable" });
    await settled();
    assert.deepEqual(codes(), ["D223"]);
    assert.equal(logs.filter((line) => line.includes("NameTable")).length, 1);
    call.end();
    await settled();
    await pass(250);
    assert.deepEqual(codes(), [], "it ends with its stream");
  });
});

Deno.test("decoding gives turns away every 4 ms; one response at a time, the next ones wait", async () => {
  await withAds({}, async (rig) => {
    const { peer, clock } = rig;
    const call = peer.last;
    await syncWith(call);
    peer.onDecode = () => clock.advance(1);
    const many = Array.from({ length: 40 }, (_, i) => clusterOf(`outbound|80||s${i}.test`));
    call.answer("CDS", [clusterOf(A), ...many]);
    for (let i = 0; i < 5; i++) call.answer("EDS", [assignmentOf(A, 100 + i)]);
    const turnsBefore = rig.turns;
    await settled();
    assert.ok(
      rig.turns - turnsBefore >= 9 && rig.turns - turnsBefore <= 11,
      `${rig.turns - turnsBefore} turns`,
    );
    assert.equal(rig.type("EDS").received, 6);
  });
});

Deno.test("nothing for 15 s: D214 until it answers; nothing at all for 120 s: the stream is given up", async () => {
  await withAds({}, async ({ peer, source, pass, codes, status }) => {
    let ready = false;
    source.ready.then(() => ready = true);
    await pass(SLOW_MS - 1);
    assert.deepEqual(codes(), []);
    await pass(1);
    assert.deepEqual(codes(), ["D214"]);
    assert.equal(ready, true, "the agent goes on without");
    assert.equal(status().step, "first sync");
    await pass(SILENT_MS - SLOW_MS);
    assert.equal(peer.calls[0]?.closed, true);
    assert.match(status().reason ?? "", /\[D209\].*no answer for 120 s/);
    await pass(250);
    assert.equal(peer.calls.length, 2);
    await syncWith(peer.last);
    assert.deepEqual(codes(), []);
    await pass(SILENT_MS * 10);
    assert.equal(status().step, "synced", "later silence is peace");
  });
});

Deno.test("endpoints that do not come hold up a change no longer than their cluster says", async () => {
  await withAds({}, async ({ peer, pass, publications }) => {
    const call = peer.last;
    await syncWith(call);
    call.answer("CDS", [clusterOf(A), clusterOf(B, { edsInitialFetchTimeout: "3s" })]);
    await settled();
    call.answer("RDS", [tableOf(80, "a.test", B)]);
    await settled();
    await pass(2_999);
    assert.equal(publications.length, 1);
    await pass(1);
    assert.equal(publications.length, 2);
  });
});

Deno.test("names that follow from a response come after its ACK", async () => {
  await withAds({}, async ({ peer }) => {
    const call = peer.last;
    call.answer("CDS", [clusterOf(A), clusterOf(B)]);
    await settled();
    call.answer("EDS", [assignmentOf(A, 1), assignmentOf(B, 2)]);
    call.answer("LDS", [listenerOf(80)]);
    await settled();
    call.answer("RDS", [tableOf(80, "a.test", A)]);
    await settled();
    const before = call.requests.length;
    call.answer("CDS", [clusterOf(A)]);
    await settled();
    assert.deepEqual(call.requests.slice(before).map(({ type }) => type), ["CDS", "EDS"]);
  });
});

Deno.test("a slow first EDS answer is waited for", async () => {
  await withAds({}, async ({ peer, pass, codes, status }) => {
    const call = peer.last;
    call.answer("CDS", [clusterOf(A)]);
    call.answer("LDS", [listenerOf(80)]);
    await settled();
    call.answer("RDS", [tableOf(80, "a.test", A)]);
    await settled();
    await pass(SLOW_MS);
    assert.deepEqual(codes(), ["D214"]);
    await pass(SILENT_MS * 2);
    assert.equal(peer.calls.length, 1);
    call.answer("EDS", [assignmentOf(A, 1)]);
    await settled();
    assert.equal(status().step, "synced");
    assert.deepEqual(codes(), []);
  });
});

Deno.test("a lost control plane is a finding after the grace time, and none when it is back", async () => {
  await withAds({ accepting: true }, async ({ peer, pass, codes, source, publications }) => {
    await syncWith(peer.last);
    peer.accepting = false;
    peer.last.end();
    await settled();
    await pass(GRACE_MS / 2);
    peer.last.refuse(refused());
    await settled();
    assert.deepEqual(codes(), [], "not yet");
    await pass(GRACE_MS);
    assert.deepEqual(codes(), ["D202"]);
    assert.equal(source.problems()[0]?.severity, "warning");
    assert.equal(publications.length, 1, "the world stays");
    peer.last.accept();
    await settled();
    await syncWith(peer.last);
    assert.deepEqual(codes(), []);
  });
});

function refused(): MeshError {
  return new MeshError("D202", 'Cannot connect to "grpc://one.test:15010": connection refused');
}

Deno.test("responses of one push that are there already join one publication, for at most 20 ms", async () => {
  await withAds({}, async ({ peer, pass, publications }) => {
    const call = peer.last;
    await syncWith(call);
    call.answer("CDS", [clusterOf(A), clusterOf(B)]);
    await settled();
    call.answer("EDS", [assignmentOf(A, 1, 2), assignmentOf(B, 3)]);
    call.answer("LDS", [listenerOf(80)]);
    call.answer("RDS", [tableOf(80, "a.test", A, B)]);
    await settled();
    assert.equal(publications.length, 2, "the last of them publishes");
    assert.equal(publications[1]?.program.clusters.size, 2);
    assert.equal(publications[1]?.stats["rebuiltTables"], 1);

    call.answer("EDS", [assignmentOf(A, 4)]);
    await settled();
    assert.equal(publications.length, 3, "alone it does not wait");
    await pass(GATHER_MS * 2);
    assert.equal(publications.length, 3);
  });
});

Deno.test("a long response that follows does not hold up the one before it", async () => {
  await withAds({}, async ({ peer, clock, publications }) => {
    const call = peer.last;
    await syncWith(call);
    let publishedAfterMs = NaN;
    const beganMs = clock.now();
    peer.onDecode = () => {
      if (publications.length > 1 && Number.isNaN(publishedAfterMs)) publishedAfterMs = clock.now() - beganMs;
      if (peer.decoded.EDS > 1) clock.advance(1);
    };
    call.answer("EDS", [assignmentOf(A, 1, 2)]);
    call.answer(
      "CDS",
      Array.from({ length: 90 }, (_, i) => clusterOf(`outbound|80||s${i}.test`)).concat(clusterOf(A)),
    );
    await settled();
    assert.ok(publishedAfterMs <= GATHER_MS + 5, `published after ${publishedAfterMs} ms`);
  });
});

Deno.test("a world that cannot be published ends nothing: the next change tries again", async () => {
  let failing = true;
  const publications: Publication[] = [];
  const publish = (publication: Publication): void => {
    if (failing) throw new Error("no table can be made");
    publications.push(publication);
  };
  await withAds({ publish }, async ({ peer, status, logs }) => {
    await syncWith(peer.last);
    assert.equal(status().step, "first sync");
    assert.ok(logs.some((line) => line.startsWith("error") && line.includes("no table can be made")));
    failing = false;
    peer.last.answer("EDS", [assignmentOf(A, 7)]);
    await settled();
    assert.equal(publications.length, 1);
    assert.equal(status().step, "synced");
  });
});
