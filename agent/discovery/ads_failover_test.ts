import assert from "node:assert/strict";
import { settled } from "../../tests/harness/ads_peer.ts";
import { MeshError } from "../core/errors.ts";
import { RETURN_MS } from "./address_order.ts";
import { type AdsRig, syncWith, withAds } from "./ads_fixture_test.ts";

const refused = () => new MeshError("D202", "Cannot connect: connection refused");
const lost = () => new MeshError("D209", "Cannot keep the stream: lost");
const denied = () => new MeshError("D206", "Cannot keep the stream: Unauthenticated");
const TWO = ["grpc://one.test:15010", "grpc://two.test:15010"];

/** The wait that status announces, ms. */
const waitOf = ({ status, clock }: AdsRig): number => (status().nextTryMs ?? NaN) - clock.now();
const hosts = ({ peer }: AdsRig): string[] =>
  peer.calls.map((call) => (call.target.host.split(".")[0]) as string);

Deno.test("failover: the next address after a short wait, the whole round before a longer one", async () => {
  await withAds({ addresses: TWO, accepting: false }, async (rig) => {
    const waits: number[] = [];
    for (let i = 0; i < 6; i++) {
      rig.peer.last.refuse(refused());
      await settled();
      waits.push(waitOf(rig));
      await rig.pass(waits[i]!);
    }
    assert.deepEqual(hosts(rig), ["one", "two", "one", "two", "one", "two", "one"]);
    assert.deepEqual(waits, [250, 250, 250, 500, 250, 1000]);
  });
});

Deno.test("failover: what each address says is told once", async () => {
  await withAds({ addresses: TWO, accepting: false }, async (rig) => {
    for (let i = 0; i < 6; i++) {
      rig.peer.last.refuse(i % 2 === 0 ? refused() : lost());
      await settled();
      await rig.pass(waitOf(rig));
    }
    assert.equal(rig.logs.filter((line) => line.startsWith("warn")).length, 2);
  });
});

Deno.test("failover: one address that refuses does not slow down the round of one that is only away", async () => {
  await withAds({ addresses: TWO, accepting: false }, async (rig) => {
    rig.peer.last.refuse(denied());
    await settled();
    await rig.pass(waitOf(rig));
    rig.peer.last.refuse(refused());
    await settled();
    assert.equal(waitOf(rig), 250);
    await rig.pass(250);
    rig.peer.last.refuse(refused());
    await settled();
    await rig.pass(waitOf(rig));
    rig.peer.last.refuse(denied());
    await settled();
    assert.equal(waitOf(rig), 500, "in whichever order");
    await rig.pass(500);
    rig.peer.last.refuse(denied());
    await settled();
    await rig.pass(waitOf(rig));
    rig.peer.last.refuse(denied());
    await settled();
    assert.equal(waitOf(rig), 22_500);
    rig.source.refresh();
    await settled();
    rig.peer.last.refuse(denied());
    await settled();
    await rig.pass(waitOf(rig));
    rig.peer.last.refuse(denied());
    await settled();
    assert.equal(waitOf(rig), 22_500, "a refresh takes the growth back");
  });
});

Deno.test("return: a stream that ends begins with the first address again", async () => {
  for (const error of [undefined, lost()]) {
    await withAds({ addresses: TWO, accepting: false }, async (rig) => {
      const { peer, pass, status } = rig;
      peer.last.refuse(refused());
      await settled();
      await pass(250);
      peer.last.accept();
      await settled();
      await syncWith(peer.last);
      assert.deepEqual(status().addresses.map(({ inUse }) => inUse), [false, true]);
      peer.last.end(error);
      await settled();
      await pass(250);
      assert.deepEqual(hosts(rig), ["one", "two", "one"]);
    });
  }
});

Deno.test("return: the first address is looked at each minute, and gone back to when it answered twice running", async () => {
  await withAds({ addresses: TWO, accepting: false }, async (rig) => {
    const { peer, pass, status, publications } = rig;
    peer.last.refuse(refused());
    await settled();
    await pass(250);
    const second = peer.last.accept();
    await settled();
    await syncWith(second);
    const look = async (good: boolean): Promise<void> => {
      await pass(RETURN_MS);
      assert.equal(peer.last.target.host, "one.test");
      if (good) peer.last.accept();
      else peer.last.refuse(refused());
      await settled();
    };
    await look(true);
    assert.equal(peer.last.closed, true);
    assert.deepEqual(peer.last.requests, []);
    await look(false);
    await look(true);
    assert.equal(second.closed, false);
    assert.equal(status().step, "synced", "looking changes nothing");
    await look(true);
    assert.equal(second.closed, true);
    await settled();
    assert.equal(peer.last.target.host, "one.test");
    peer.last.accept();
    await settled();
    await syncWith(peer.last);
    assert.deepEqual(status().addresses.map(({ inUse }) => inUse), [true, false]);
    assert.equal(status().failures, 1);
    assert.equal(publications.length, 1);
    const calls = peer.calls.length;
    await pass(RETURN_MS * 5);
    assert.equal(peer.calls.length, calls, "at home nothing is looked at");
  });
});
