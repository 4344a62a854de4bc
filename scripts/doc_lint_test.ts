import assert from "node:assert/strict";
import { openingGaps, undocumented } from "./doc_lint.ts";

Deno.test("doc lint: an opening needs flow and example", () => {
  assert.deepEqual(openingGaps("import x from 'y';"), ["an opening comment"]);
  assert.deepEqual(openingGaps("/** Purpose. */"), ["an example", "what flows in and out"]);
  assert.deepEqual(openingGaps("/**\n * Purpose. In: bytes. Out: words.\n * @example x\n */"), []);
});

Deno.test("doc lint: an export without words is found; private symbols and overloads with words are not", () => {
  const at = { filename: "file:///r/mod.ts", line: 4 };
  const symbol = (name: string, declarationKind: string, doc?: string) => ({
    name,
    declarations: [{ declarationKind, location: at, ...(doc === undefined ? {} : { jsDoc: { doc } }) }],
  });
  const symbols = [symbol("a", "export"), symbol("b", "export", "Words."), symbol("c", "private")];
  assert.deepEqual(
    undocumented(JSON.stringify({ nodes: { "file:///r/mod.ts": { symbols } } }), "file:///r/"),
    [
      'mod.ts:5: export "a" has no words',
    ],
  );
});
