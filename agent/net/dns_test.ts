import assert from "node:assert/strict";
import { NoAnswer } from "../core/ports.ts";
import { type AskDns, resolveName, systemResolver } from "./dns.ts";

const LIMITS = { totalMs: 5000, secondMs: 20 };

/** Answers of both families; null = it never comes. */
function server(
  v4: readonly string[] | Error | null,
  v6: readonly string[] | Error | null,
): AskDns & { asked: string[] } {
  const asked: string[] = [];
  const ask: AskDns = (name, type, signal) => {
    asked.push(`${name} ${type}`);
    const answer = type === "A" ? v4 : v6;
    if (answer instanceof Error) return Promise.reject(answer);
    if (answer !== null) return Promise.resolve(answer);
    const { promise, reject } = Promise.withResolvers<readonly string[]>();
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    return promise;
  };
  return Object.assign(ask, { asked });
}

const none = new Error("no records found");

Deno.test("dns: both families, IPv4 first", async () => {
  const ask = server(["10.0.0.1", "10.0.0.2"], ["2001:db8::1"]);
  assert.deepEqual(await resolveName("a.example", undefined, ask, LIMITS), [
    "10.0.0.1",
    "10.0.0.2",
    "2001:db8::1",
  ]);
  assert.deepEqual(ask.asked, ["a.example A", "a.example AAAA"]);
});

Deno.test("dns: one family is enough", async () => {
  assert.deepEqual(await resolveName("a", undefined, server(["10.0.0.1"], none), LIMITS), ["10.0.0.1"]);
  assert.deepEqual(await resolveName("a", undefined, server(none, ["2001:db8::1"]), LIMITS), ["2001:db8::1"]);
});

Deno.test("dns: a family that never answers does not hold the other up", async () => {
  assert.deepEqual(await resolveName("a", undefined, server(["10.0.0.1"], null), LIMITS), ["10.0.0.1"]);
  assert.deepEqual(await resolveName("a", undefined, server(null, ["2001:db8::1"]), LIMITS), ["2001:db8::1"]);
});

Deno.test("dns: no address is an error, so is a silence", async () => {
  await assert.rejects(resolveName("a", undefined, server(none, none), LIMITS), /no records found/);
  await assert.rejects(resolveName("a", undefined, server([], []), LIMITS), /no address for a/);
  const limits = { totalMs: 10, secondMs: 20 };
  await assert.rejects(
    resolveName("a", undefined, server(null, null), limits),
    /no answer from the name server/,
  );
});

Deno.test("dns: a lookup can be given up", async () => {
  const controller = new AbortController();
  const lookup = resolveName("a", controller.signal, server(null, null), LIMITS);
  controller.abort();
  await assert.rejects(lookup, /no answer/);
  const unasked = server(null, null);
  await assert.rejects(resolveName("a", controller.signal, unasked, LIMITS), /no answer/);
  assert.deepEqual(unasked.asked, []);
});

Deno.test("dns: literals and localhost are not asked for", async () => {
  const ask = server(none, none);
  assert.deepEqual(await resolveName("10.0.0.1", undefined, ask), ["10.0.0.1"]);
  assert.deepEqual(await resolveName("2001:db8::1", undefined, ask), ["2001:db8::1"]);
  assert.deepEqual(await resolveName("localhost", undefined, ask), ["127.0.0.1"]);
  assert.deepEqual(await resolveName("shop.localhost", undefined, ask), ["127.0.0.1"]);
  assert.deepEqual(ask.asked, []);
});

Deno.test("dns: the system's resolver refuses a name that cannot exist", async () => {
  await assert.rejects(systemResolver.resolve("no-such-name.invalid"));
});

Deno.test("dns: a server that is away is no name without an address", async () => {
  for (
    const [reason, wanted] of [
      [new Deno.errors.TimedOut("proto error: request timed out"), /^no answer from the name server$/],
      [
        new Error("proto error: io error: Network is unreachable (os error 101)"),
        /^the name server cannot be reached$/,
      ],
    ] as const
  ) {
    await assert.rejects(resolveName("a", undefined, server(reason, reason), LIMITS), (error) => {
      assert.ok(error instanceof NoAnswer);
      assert.match(error.message, wanted);
      return true;
    });
  }
  await assert.rejects(resolveName("a", undefined, server(none, none), LIMITS), (error) => error === none);
});
