import assert from "node:assert/strict";
import { splitRule } from "../../tests/harness/conf.ts";
import { createRuleSet, objectKey, type RuleSetState } from "./rule_set.ts";

const CONTEXT = { namespace: "default" };
const A = splitRule("a", { v1: 50, v2: 50 });
const B = splitRule("b", { v1: 100 });
const A_BAD = A.replace("weight: 50", "weight: -1");

const keys = (state: RuleSetState) => state.documents.map(objectKey).sort();
const codes = (state: RuleSetState) => state.diagnostics.map((d) => d.code);
const files = (entries: Record<string, string | null>) => new Map(Object.entries(entries));
const weights = (state: RuleSetState, name: string) =>
  (state.documents.find((d) => d.name === name)?.spec as { http: { route: { weight: number }[] }[] }).http[0]
    ?.route
    .map((r) => r.weight);

Deno.test("rule set: only changed documents are parsed", () => {
  const rules = createRuleSet(CONTEXT);
  assert.equal(rules.update(files({ "a.yaml": `${A}---\n${B}` })).parsed, 2);
  assert.deepEqual(rules.update(files({ "a.yaml": `${A}---\n${B}` })), {
    ...rules.update(new Map()),
    changed: false,
    parsed: 0,
  });
  const state = rules.update(files({ "a.yaml": `${A.replace("weight: 50", "weight: 60")}---\n${B}` }));
  assert.equal(state.parsed, 1);
  assert.deepEqual(weights(state, "a"), [60, 50]);
});

Deno.test("rule set: a bad version keeps the last good one and says so; a good one takes over", () => {
  const rules = createRuleSet(CONTEXT);
  rules.update(files({ "a.yaml": A, "b.yaml": B }));
  const bad = rules.update(files({ "a.yaml": A_BAD }));
  assert.deepEqual(keys(bad), ["VirtualService default/a", "VirtualService default/b"]);
  assert.deepEqual(weights(bad, "a"), [50, 50]);
  assert.equal(bad.kept, 1);
  assert.ok(codes(bad).includes("D104"), codes(bad).join());
  assert.ok(bad.diagnostics.some((d) => d.severity === "error" && d.where.file === "a.yaml"));
  const good = rules.update(files({ "a.yaml": A.replace("weight: 50", "weight: 70") }));
  assert.deepEqual(weights(good, "a"), [70, 50]);
  assert.deepEqual([good.kept, good.diagnostics.length], [0, 0]);
});

Deno.test("rule set: a bad object that never was good is out, its neighbours are in", () => {
  const rules = createRuleSet(CONTEXT);
  const state = rules.update(files({ "a.yaml": `${A_BAD}---\n${B}` }));
  assert.deepEqual(keys(state), ["VirtualService default/b"]);
  assert.equal(state.kept, 0);
});

Deno.test("rule set: text that is no YAML keeps what its file gave before, and only that", () => {
  const rules = createRuleSet(CONTEXT);
  rules.update(files({ "a.yaml": A, "b.yaml": B }));
  const broken = rules.update(files({ "a.yaml": "kind: [", "b.yaml": null }));
  assert.deepEqual(keys(broken), ["VirtualService default/a"]);
  assert.ok(codes(broken).includes("Y001"));
  // Deleting it for good lets go.
  assert.deepEqual(keys(rules.update(files({ "a.yaml": null }))), []);
});

Deno.test("rule set: an object that lost its name keeps its last good version", () => {
  const rules = createRuleSet(CONTEXT);
  rules.update(files({ "a.yaml": A }));
  assert.deepEqual(keys(rules.update(files({ "a.yaml": A.replace("  name: a\n", "  labels: {}\n") }))), [
    "VirtualService default/a",
  ]);
});

Deno.test("rule set: deleted documents and files go, renamed files stay in force", () => {
  const rules = createRuleSet(CONTEXT);
  rules.update(files({ "all.yaml": `${A}---\n${B}` }));
  assert.deepEqual(keys(rules.update(files({ "all.yaml": A }))), ["VirtualService default/a"]);
  const renamed = rules.update(files({ "all.yaml": null, "new.yaml": A }));
  assert.deepEqual(keys(renamed), ["VirtualService default/a"]);
  assert.equal(renamed.documents[0]?.origin.file, "new.yaml");
});

Deno.test("rule set: of two definitions of one object the older stays in force, whatever its file is called", () => {
  const rules = createRuleSet(CONTEXT);
  rules.update(files({ "z.yaml": A }));
  const copy = A.replace("weight: 50", "weight: 1");
  const both = rules.update(files({ "b.yaml": copy }));
  assert.deepEqual(weights(both, "a"), [50, 50]);
  assert.equal(both.defined.length, 2);
  assert.deepEqual(weights(rules.update(files({ "z.yaml": null })), "a"), [1, 50]);
});

for (const [what, damage] of [["a bad object", A_BAD], ["no YAML", "kind: ["]] as const) {
  Deno.test(`rule set: ${what} in the file of the older definition does not put the second one in force`, () => {
    const rules = createRuleSet(CONTEXT);
    rules.update(files({ "z.yaml": A }));
    rules.update(files({ "b.yaml": A.replace("weight: 50", "weight: 1") }));
    const damaged = rules.update(files({ "z.yaml": damage }));
    assert.deepEqual(weights(damaged, "a"), [50, 50]);
    assert.deepEqual([damaged.kept, damaged.defined.length], [1, 2]);
    assert.deepEqual(weights(rules.update(files({ "z.yaml": A })), "a"), [50, 50]);
    rules.update(files({ "z.yaml": damage }));
    assert.deepEqual(weights(rules.update(files({ "z.yaml": null })), "a"), [1, 50]);
  });
}
