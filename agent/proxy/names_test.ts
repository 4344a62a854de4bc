import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import { NoAnswer } from "../core/ports.ts";
import { ManualClock } from "../../tests/harness/clock.ts";
import { Names } from "./names.ts";

/** A name server of one name; what it says next is set from outside. */
function rig() {
  const clock = new ManualClock(1000);
  const server = { asked: 0, answer: ["10.0.0.1"] as readonly string[] | Error };
  const names = new Names({
    resolve: () => {
      server.asked++;
      const { answer } = server;
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  }, clock);
  const ask = async () => await names.resolve("a.example", 10_000);
  /** The text of the failure. */
  const fail = async (): Promise<string> => {
    try {
      await ask();
    } catch (error) {
      assert.ok(error instanceof MeshError);
      assert.equal(error.code, "P207");
      return error.message;
    }
    assert.fail("there was an answer");
  };
  return { clock, server, names, ask, fail };
}

/** Lets promises that are due settle. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

Deno.test("names: an IP literal is its own answer, in its normal form, and never asked for", () => {
  const { names, server } = rig();
  assert.deepEqual(names.resolve("10.1.2.3", 1000), ["10.1.2.3"]);
  assert.deepEqual(names.resolve("[2001:DB8::0:1]", 1000), names.resolve("2001:db8::1", 1000));
  assert.equal(server.asked, 0);
});

Deno.test("names: an answer is used for its refresh time, then renewed in the background", async () => {
  const { clock, server, ask } = rig();
  assert.deepEqual(await ask(), ["10.0.0.1"]);
  clock.advance(9_999);
  server.answer = ["10.0.0.2", "2001:db8::2"];
  assert.deepEqual(await ask(), ["10.0.0.1"]);
  assert.equal(server.asked, 1);
  clock.advance(1);
  assert.deepEqual(await ask(), ["10.0.0.1"]);
  await settle();
  assert.deepEqual(await ask(), ["10.0.0.2", "2001:db8::2"]);
  assert.equal(server.asked, 2);
});

Deno.test("names: the last good answer outlives a name server that fails", async () => {
  const { clock, server, ask } = rig();
  await ask();
  server.answer = new Error("SERVFAIL");
  for (let i = 0; i < 5; i++) {
    clock.advance(10_000);
    assert.deepEqual(await ask(), ["10.0.0.1"]);
    await settle();
  }
  assert.equal(server.asked, 6);
  server.answer = [];
  clock.advance(10_000);
  await ask();
  await settle();
  assert.deepEqual(await ask(), ["10.0.0.1"]);
});

Deno.test("names: a failing name is not asked for again for five seconds", async () => {
  const { clock, server, ask, fail } = rig();
  server.answer = new Error("NXDOMAIN");
  const text = await fail();
  assert.match(text, /^Cannot resolve "a\.example": the resolver knows no address of it$/);
  clock.advance(4_999);
  assert.equal(await fail(), text);
  assert.equal(server.asked, 1);

  clock.advance(1);
  assert.equal(await fail(), text);
  assert.equal(server.asked, 2);

  server.answer = ["10.0.0.3"];
  await fail();
  clock.advance(5_000);
  assert.deepEqual(await ask(), ["10.0.0.3"]);
  assert.equal(server.asked, 3);
});

Deno.test("names: questions at the same time share one lookup, good or bad", async () => {
  const { clock, server, ask, fail } = rig();
  server.answer = new Error("NXDOMAIN");
  await Promise.all([fail(), fail(), fail()]);
  assert.equal(server.asked, 1);
  clock.advance(5_000);
  server.answer = ["10.0.0.1"];
  await Promise.all([ask(), ask(), ask()]);
  assert.equal(server.asked, 2);
});

Deno.test("names: what is remembered is bounded, the oldest goes first", async () => {
  const asked = new Map<string, number>();
  const names = new Names({
    resolve: (name) => {
      asked.set(name, (asked.get(name) ?? 0) + 1);
      return Promise.reject(new Error("NXDOMAIN"));
    },
  }, new ManualClock());
  const miss = (name: string) => assert.rejects(async () => await names.resolve(name, 1000));
  await miss("first");
  for (let i = 0; i < 4096; i++) await miss(`n${i}`);
  await miss("n4095");
  await miss("first");
  assert.equal(asked.get("n4095"), 1);
  assert.equal(asked.get("first"), 2);
});

Deno.test("names: a name server that is away is told as that", async () => {
  const { server, fail } = rig();
  server.answer = new NoAnswer("the name server cannot be reached");
  assert.match(await fail(), /^Cannot resolve "a\.example": the name server cannot be reached$/);
});
