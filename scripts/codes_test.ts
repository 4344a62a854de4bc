import assert from "node:assert/strict";
import { CODES } from "../agent/core/codes.ts";
import { codesPage, readSources, unraised } from "./codes.ts";

const root = new URL("../", import.meta.url);

Deno.test("codes: each is raised somewhere under agent/", async () => {
  assert.deepEqual(unraised(Object.keys(CODES), await readSources(root)), []);
});

Deno.test("codes: each stands on the page agent/core/CODES.md", async () => {
  assert.equal(await Deno.readTextFile(new URL("agent/core/CODES.md", root)), codesPage(CODES));
});

Deno.test("codes: one that no source names is found out; a comment's bare word does not count", () => {
  const sources = new Map([["a.ts", 'diagnostic("R110", "x"); // R111 is told elsewhere']]);
  assert.deepEqual(unraised(["R110", "R111"], sources), ["R111"]);
});

Deno.test("codes: a code of no family is refused", () => {
  assert.throws(() => codesPage({ Z001: { severity: "error", hint: "" } }), /no family/);
});
