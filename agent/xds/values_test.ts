import assert from "node:assert/strict";
import { loadSchema, type Messages, type Partly } from "../../protos/schema.ts";
import { durationText, findings, fractionalPercent, isPositive, ruleOf } from "./values.ts";

const schema = loadSchema();
const made = <K extends keyof Messages>(name: K, value: Partly<Messages[K]>): Messages[K] =>
  schema.decode(name, schema.encode(name, value));

const durations: readonly (readonly [number, number, string, boolean])[] = [
  [0, 0, "0s", false],
  [15, 0, "15s", true],
  [1, 500_000_000, "1.500s", true],
  [0, 25_000_000, "0.025s", true],
  [0, 1_500_000, "0.001500s", true],
  [0, 7, "0.000000007s", true],
  [-1, -500_000_000, "-1.500s", false],
  [0, -1, "-0.000000001s", false],
  [9_223_372_035, 0, "9223372035s", true],
  // Not valid, yet they say something.
  [1, -250_000_000, "0.750s", true],
  [-1, 250_000_000, "-0.750s", false],
  [0, 1_500_000_000, "1.500s", true],
];
for (const [seconds, nanos, text, positive] of durations) {
  Deno.test(`duration ${seconds} s ${nanos} ns is ${text}`, () => {
    const duration = made("Duration", { seconds, nanos });
    assert.equal(durationText(duration), text);
    assert.equal(isPositive(duration), positive);
  });
}

Deno.test("no duration", () => {
  assert.equal(durationText(null), undefined);
  assert.equal(isPositive(null), false);
});

Deno.test("fractions", () => {
  const of = (numerator: number, denominator: number) =>
    fractionalPercent(made("FractionalPercent", { numerator, denominator }));
  assert.deepEqual(of(0, 0), { numerator: 0, denominator: "HUNDRED" });
  assert.deepEqual(of(5, 1), { numerator: 5, denominator: "TEN_THOUSAND" });
  assert.deepEqual(of(5, 2), { numerator: 5, denominator: "MILLION" });
  assert.equal(of(5, 3), undefined);
});

Deno.test("the rule in istiod's metadata", () => {
  const of = (config: unknown) =>
    ruleOf(made("Metadata", { filter_metadata: { istio: schema.jsonToStruct({ config }) } }));
  const base = "/apis/networking.istio.io/v1/namespaces";
  assert.equal(of(`${base}/shop/virtual-service/a`), "VirtualService shop/a");
  assert.equal(of(`${base}/shop/destination-rule/b`), "DestinationRule shop/b");
  assert.equal(of(`${base}/shop/http-route/c`), "http-route shop/c");
  assert.equal(of(`${base}/shop/constructor/d`), "constructor shop/d");
  assert.equal(of("elsewhere"), undefined);
  assert.equal(of(7), undefined);
  assert.equal(ruleOf(null), undefined);
});

Deno.test("what comes off the wire neither breaks the line of a message nor fills the page", () => {
  const found = findings({ kind: "Cluster", resource: "c" });
  found.problem("name", 'Cannot use "a\nb\u0000\u2028\u009b"');
  found.note("x".repeat(3), "y".repeat(10_000));
  assert.equal(found.problems[0]?.message, 'Cannot use "a\\u000ab\\u0000\\u2028\\u009b"');
  assert.equal(found.problems[0]?.where.field, "name");
  assert.ok(found.notes[0]!.message.length < 1000);
});
