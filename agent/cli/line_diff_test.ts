import assert from "node:assert/strict";
import { lineDiff } from "./line_diff.ts";

for (
  const [before, after, wanted] of [
    ["a\nb\n", "a\nb\n", []],
    ["a\nb\nc\n", "a\nx\nc\n", ["- b", "+ x"]],
    ["a\nb\n", "b\nc\n", ["- a", "+ c"]],
    ["a\nb\nc\nd\n", "a\nd\n", ["- b", "- c"]],
    ["a\n", "a", []],
    ["a\nb\na\nb\n", "b\na\nb\na\n", ["- a", "+ a"]],
  ] as const
) {
  Deno.test(`line diff: ${JSON.stringify(before)} to ${JSON.stringify(after)}`, () => {
    assert.deepEqual(lineDiff(before, after), wanted);
  });
}
