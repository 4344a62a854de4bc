import assert from "node:assert/strict";
import { assignmentOf, clusterOf, listenerOf, settled, tableOf } from "../../tests/harness/ads_peer.ts";
import type { StreamTransport } from "../core/ports.ts";
import { MeshError } from "../core/errors.ts";
import { RETURN_MS } from "./address_order.ts";
import { AGED_MS, STEADY_MS } from "./ads.ts";
import { A, type AdsRig, B, syncWith, withAds } from "./ads_fixture_test.ts";

const refused = () => new MeshError("D202", "Cannot connect: connection refused");
const lost = () => new MeshError("D209", "Cannot keep the stream: lost");
const denied = () => new MeshError("D206", "Cannot keep the stream: Unauthenticated");
const TWO = ["grpc://one.test:15010", "grpc://two.test:15010"];

/** The wait that status announces, ms. */
const waitOf = ({ status, clock }: AdsRig): number => (status().nextTryMs ?? NaN) - clock.now();

Deno.test("a control plane that cannot be reached is tried again with growing waits, and ready does not wait", async () => {
  await withAds({ accepting: false }, async (rig) => {
    const { peer, source, status, pass, codes, logs } = rig;
    let ready = false;
    source.ready.then(() => ready = true);
    assert.equal(status().step, "TCP");
    assert.equal(status().connects, 1);
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      peer.last.refuse(refused());
      await settled();
      assert.equal(ready, true);
      assert.equal(status().step, "waiting");
      assert.equal(status().failures, i + 1);
      assert.match(
        status().reason ?? "",
        /^\[D202\] Cannot connect: connection refused\n {4}Start the control plane/,
      );
      assert.equal(status().addresses[0]?.inUse, false);
      waits.push(waitOf(rig));
      await pass(waits[i]! - 1);
      assert.equal(peer.calls.length, i + 1);
      await pass(1);
      assert.equal(peer.calls.length, i + 2);
    }
    assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
    assert.deepEqual(codes(), ["D202"]);
    assert.equal(source.problems()[0]?.severity, "error");
    assert.equal(logs.filter((line) => line.startsWith("warn")).length, 1, "the same failure is told once");

    peer.last.refuse(lost());
    await settled();
    assert.equal(logs.filter((line) => line.startsWith("warn")).length, 2, "another one is told");
    await pass(60_000);
    peer.last.accept();
    await settled();
    await syncWith(peer.last);
    assert.equal(status().reason, undefined);
    assert.equal(status().step, "synced");
    assert.deepEqual(codes(), []);
  });
});

Deno.test("refusals are asked again after minutes", async () => {
  await withAds({}, async (rig) => {
    const { peer, pass, status } = rig;
    const waits: number[] = [];
    for (const code of ["D206", "D208", "D210", "D207", "D206"] as const) {
      peer.last.end(new MeshError(code, "Cannot keep the stream: refused"));
      await settled();
      waits.push(waitOf(rig));
      assert.ok(status().reason?.startsWith(`[${code}]`));
      await pass(waits.at(-1)!);
    }
    assert.deepEqual(waits, [22_500, 45_000, 90_000, 180_000, 225_000]);
  });
});

Deno.test("a normal end is no alarm: the next stream opens quietly, the world stays", async () => {
  await withAds({}, async ({ peer, pass, status, codes, logs, publications, clock }) => {
    await syncWith(peer.last);
    for (let i = 0; i < 5; i++) {
      await pass(i === 0 ? AGED_MS : 30 * 60_000);
      // By its age: with a status, or (Istio after its GOAWAY) with the connection.
      peer.last.end(i % 2 === 0 ? lost() : undefined);
      await settled();
      assert.equal(status().step, "waiting");
      assert.equal(status().nextTryMs, clock.now() + 250, "always the first wait");
      assert.equal(status().failures, 0);
      assert.equal(status().reason, undefined);
      assert.deepEqual(codes(), []);
      await pass(250);
      await syncWith(peer.last);
      assert.equal(status().step, "synced");
      assert.equal(status().nextTryMs, undefined);
    }
    assert.equal(status().connects, 6);
    assert.equal(publications.length, 1, "nothing had changed");
    assert.equal(logs.filter((line) => line.startsWith("warn")).length, 0);
    assert.equal(
      logs.filter((line) => line.startsWith("info")).length,
      2,
      "connected and synced of the first only",
    );
  });
});

Deno.test("a young stream that breaks is an alarm, and so is a refusal at any age", async () => {
  for (const [ageMs, error] of [[AGED_MS - 1, lost()], [AGED_MS, denied()]] as const) {
    await withAds({}, async ({ peer, pass, status, logs }) => {
      await syncWith(peer.last);
      await pass(ageMs);
      peer.last.end(error);
      await settled();
      assert.equal(status().failures, 1);
      assert.equal(logs.filter((line) => line.startsWith("warn lost")).length, 1);
    });
  }
});

Deno.test("a control plane that breaks right after each sync is not hurried", async () => {
  await withAds({}, async (rig) => {
    const waits: number[] = [];
    for (let i = 0; i < 6; i++) {
      await syncWith(rig.peer.last);
      rig.peer.last.end(lost());
      await settled();
      waits.push(waitOf(rig));
      await rig.pass(waits[i]!);
    }
    assert.deepEqual(waits, [250, 500, 1000, 2000, 2500, 2500]);
    const told = (what: string) => rig.logs.filter((line) => line.includes(what)).length;
    assert.equal(told("lost grpc://one.test"), 1, "the same loss is told once");
    assert.equal(told("info synced with"), 2, "of what is not told the end is not told");
    await syncWith(rig.peer.last);
    await rig.pass(STEADY_MS);
    rig.peer.last.end(lost());
    await settled();
    assert.equal(waitOf(rig), 250, "a stream that stood takes the growth back");
    assert.equal(told("lost grpc://one.test"), 2, "and is told of again");
  });
});

Deno.test("a new stream: state-of-the-world names what it wants, what vanished meanwhile is gone", async () => {
  await withAds({}, async ({ peer, pass, publications, status }) => {
    const first = peer.last;
    first.answer("CDS", [clusterOf(A), clusterOf(B)]);
    await settled();
    first.answer("EDS", [assignmentOf(A, 1), assignmentOf(B, 2)]);
    first.answer("LDS", [listenerOf(80)]);
    await settled();
    first.answer("RDS", [tableOf(80, "a.test", A, B)]);
    await settled();
    assert.equal(publications.length, 1);
    first.end(lost());
    await settled();
    await pass(250);
    const second = peer.last;
    assert.notEqual(second, first);
    assert.deepEqual(second.requests.map(({ type }) => type), ["CDS", "EDS", "LDS", "RDS"]);
    const eds = second.sent("EDS")[0];
    assert.ok(eds?.kind === "sotw" && eds.nonce === "" && eds.withNode === false);
    assert.deepEqual(eds.names, [A, B]);
    assert.ok(second.requests[0]?.withNode);
    second.answer("CDS", [clusterOf(A)]);
    second.answer("EDS", [assignmentOf(A, 1)]);
    second.answer("LDS", [listenerOf(80)]);
    second.answer("RDS", [tableOf(80, "a.test", A)]);
    await settled();
    assert.equal(status().step, "synced");
    assert.deepEqual([...publications.at(-1)!.program.clusters.keys()], [A]);
  });
});

Deno.test("delta: changes only; a new stream says what is held", async () => {
  await withAds({ delta: true }, async ({ peer, pass, status, publications }) => {
    const first = peer.last;
    assert.match(first.target.path, /DeltaAggregatedResources$/);
    assert.equal(status().mode, "delta");
    first.answer("CDS", [{ ...clusterOf(A), version: "a1" }, { ...clusterOf(B), version: "b1" }]);
    await settled();
    first.answer("EDS", [assignmentOf(A, 1), assignmentOf(B, 2)]);
    first.answer("LDS", [listenerOf(80)]);
    await settled();
    first.answer("RDS", [tableOf(80, "a.test", A)]);
    await settled();
    assert.equal(status().step, "synced");
    first.answer("CDS", [], { removed: [B] });
    await settled();
    assert.deepEqual([...publications.at(-1)!.program.clusters.keys()], [A]);

    first.end(lost());
    await settled();
    await pass(250);
    const cds = peer.last.sent("CDS")[0];
    assert.ok(cds?.kind === "delta");
    assert.deepEqual(cds.initialVersions, { [A]: "a1" });
    const eds = peer.last.sent("EDS")[0];
    assert.ok(eds?.kind === "delta");
    assert.deepEqual(eds.subscribe, [A]);
    // A control plane that compares versions has nothing more to say.
    peer.last.answer("CDS", []);
    peer.last.answer("LDS", []);
    await settled();
    assert.equal(status().step, "synced");
  });
});

Deno.test("delta: a version that changed alone is told to the next stream", async () => {
  await withAds({ delta: true }, async ({ peer, pass }) => {
    await syncWith(peer.last);
    peer.last.answer("CDS", [{ ...clusterOf(A), version: "a2" }]);
    await settled();
    peer.last.end();
    await settled();
    await pass(250);
    const cds = peer.last.sent("CDS")[0];
    assert.deepEqual(cds?.kind === "delta" && cds.initialVersions, { [A]: "a2" });
  });
});

Deno.test("a new stream is synced when what it changed is in force", async () => {
  await withAds({}, async ({ peer, source, publications }) => {
    await syncWith(peer.last);
    let published = 0;
    source.refresh().then(() => published = publications.length);
    await settled();
    const call = peer.last;
    call.answer("CDS", [clusterOf(A)]);
    call.answer("EDS", [assignmentOf(A, 1)]);
    call.answer("LDS", [listenerOf(80)]);
    call.answer("RDS", [tableOf(80, "b.test", A)]);
    // The one before could wait for this one.
    call.answer("EDS", [assignmentOf(A, 1)]);
    await settled();
    assert.equal(published, 2);
  });
});

Deno.test("what was taken in when a stream breaks is in force at once", async () => {
  await withAds({}, async ({ peer, publications }) => {
    await syncWith(peer.last);
    peer.last.answer("EDS", [assignmentOf(A, 2)]);
    peer.last.garble();
    await settled();
    assert.equal(publications.length, 2);
  });
});

Deno.test("a first sync that is under way is not broken off by refresh", async () => {
  await withAds({}, async ({ peer, source }) => {
    let done = false;
    source.refresh().then(() => done = true);
    await settled();
    assert.equal(peer.calls.length, 1);
    assert.equal(done, false);
    await syncWith(peer.last);
    assert.equal(done, true);
  });
});

Deno.test("delta refused: state-of-the-world at once, and for good with this address", async () => {
  await withAds({ delta: true }, async ({ peer, pass, status, logs }) => {
    peer.last.end(new MeshError("D207", "Cannot keep the stream: Unimplemented"));
    await settled();
    assert.equal(peer.calls.length, 2);
    assert.match(peer.last.target.path, /StreamAggregatedResources$/);
    assert.equal(status().mode, "state-of-the-world");
    assert.equal(status().failures, 0);
    assert.ok(logs.some((line) => /knows no delta/.test(line)));
    await syncWith(peer.last);
    peer.last.end();
    await settled();
    await pass(250);
    assert.match(peer.last.target.path, /StreamAggregatedResources$/);
    await syncWith(peer.last);
    assert.equal(status().step, "synced");
  });
});

Deno.test("a sync takes back the waits of failures before it", async () => {
  await withAds({ accepting: false }, async (rig) => {
    for (let i = 0; i < 4; i++) {
      rig.peer.last.refuse(refused());
      await settled();
      await rig.pass(waitOf(rig));
    }
    rig.peer.last.accept();
    await settled();
    await syncWith(rig.peer.last);
    rig.peer.last.end(lost());
    await settled();
    await rig.pass(waitOf(rig));
    rig.peer.last.refuse(refused());
    await settled();
    assert.equal(waitOf(rig), 250);
  });
});

Deno.test("a part of the agent that cannot be loaded is told as that, and no control plane is blamed", async () => {
  const openTransport = () => Promise.reject(new Error("Module not found"));
  await withAds({ openTransport }, (rig) => {
    assert.deepEqual(rig.codes(), ["D215"]);
    assert.match(
      rig.status().reason ?? "",
      /^\[D215\] Cannot load the client of gRPC: Module not found; want/,
    );
    assert.equal(waitOf(rig), 22_500);
    return Promise.resolve();
  });
});

Deno.test("the call goes out while the schema is loaded, and is closed when that cannot be", async () => {
  const schema = Promise.withResolvers<never>();
  await withAds({ openCodec: () => schema.promise }, async (rig) => {
    assert.equal(rig.peer.last.open, true);
    schema.reject(new Error("Module not found"));
    await settled();
    assert.equal(rig.peer.last.closed, true);
    assert.deepEqual(rig.codes(), ["D215"]);
    assert.match(rig.status().reason ?? "", /Cannot load the schema of xDS: Module not found/);
  });
  const late = Promise.withResolvers<never>();
  await withAds({ openCodec: () => late.promise, accepting: false }, async (rig) => {
    late.reject(new Error("Module not found"));
    await settled();
    assert.equal(rig.peer.last.target.signal?.aborted, true);
  });
});

Deno.test("refresh: ends a wait, or the stream that stands, and resolves when it is synced again", async () => {
  await withAds({ accepting: false }, async ({ peer, source, pass, status }) => {
    peer.last.refuse(denied());
    await settled();
    assert.equal(status().step, "waiting");
    let done = 0;
    source.refresh().then(() => done++);
    await settled();
    assert.equal(peer.calls.length, 2, "at once");
    assert.equal(done, 0);
    peer.last.accept();
    await settled();
    await syncWith(peer.last);
    assert.equal(done, 1);

    source.refresh().then(() => done++);
    await settled();
    assert.equal(peer.calls.length, 3);
    assert.equal(peer.calls[1]?.closed, true);
    source.refresh().then(() => done++);
    await settled();
    assert.equal(peer.calls.length, 3, "one is under way already");
    peer.last.refuse(refused());
    await settled();
    assert.equal(done, 3, "a failed try is an outcome too");
    await pass(0);
  });
});

Deno.test("a part that says itself why it cannot be had keeps its words", async () => {
  await withAds({ openTransport: () => Promise.reject(lost()) }, (rig) => {
    assert.deepEqual(rig.codes(), ["D209"]);
    return Promise.resolve();
  });
});

Deno.test("close: what opens later is closed", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let open = async (): Promise<StreamTransport> => await Promise.reject(new Error("not yet"));
  const openTransport = async () => {
    await promise;
    return await open();
  };
  await withAds({ openTransport }, async ({ source, peer }) => {
    open = peer.openTransport;
    const closing = source.close();
    resolve();
    await settled();
    await closing;
    assert.equal(peer.last.closed, true);
  });
});

Deno.test("close: leaves nothing, whatever it was at", async () => {
  await withAds({ accepting: false }, async ({ source, status, peer }) => {
    await source.close();
    assert.equal(status().step, "closed");
    assert.equal(peer.calls.length, 1);
    await source.refresh();
  });
  await withAds({ accepting: false }, async ({ source, peer, status }) => {
    peer.last.refuse(refused());
    await settled();
    assert.equal(status().step, "waiting");
    await source.close();
    assert.equal(peer.calls.length, 1);
  });
  await withAds({}, async ({ source, status }) => {
    assert.equal(status().step, "first sync");
    await source.close();
  });
  await withAds({}, async ({ source, peer, publications }) => {
    await syncWith(peer.last);
    await source.close();
    peer.last.answer("CDS", []);
    await settled();
    assert.equal(publications.length, 1);
  });
  await withAds({}, async (rig) => {
    await syncWith(rig.peer.last);
    // In the middle of a response.
    let closing: Promise<void> | undefined;
    rig.peer.onDecode = () => {
      rig.clock.advance(5);
      closing ??= rig.source.close();
    };
    const many = Array.from({ length: 40 }, (_, i) => clusterOf(`outbound|80||s${i}.test`));
    rig.peer.last.answer("CDS", many);
    await settled();
    await closing;
    assert.equal(rig.peer.decoded.CDS, 2, "stopped at the next turn");
    assert.equal(rig.publications.length, 1);
  });
  await withAds({ addresses: TWO, accepting: false }, async ({ source, peer, pass }) => {
    // While the first address is looked at.
    peer.last.refuse(refused());
    await settled();
    await pass(250);
    peer.last.accept();
    await settled();
    await syncWith(peer.last);
    await pass(RETURN_MS);
    assert.equal(peer.calls.length, 3);
    await source.close();
  });
});
