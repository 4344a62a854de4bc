import fc from "fast-check";
import assert from "node:assert/strict";
import { finish, jsonSteps } from "./json_steps.ts";

/** What JSON.parse says. */
function plainly(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}
const stepwise = (text: string) => finish(jsonSteps(new TextEncoder().encode(text)));
/** White space that makes any text long enough for steps. */
const LONG = " ".repeat(40_000);

Deno.test("steps say what JSON.parse says, also of what is no JSON", () => {
  for (
    const text of [
      '[{"a":1},{"b":[{"c":"}]"}]}, 3, null, [{"":0}], {"":7}]',
      '{"x":[{"a":"\\"}"},{"b":{}}],"y":{"z":[{"q":1}]},"x2":[[{"k":1}]],"n":null}',
      '{"x":[{"a":1}],"x":[{"a":2}]}',
      '[{"a":1}{"b":2}]',
      '[{"a":1},]',
      '[{"a":1}]]',
      '[{"a":1},{"b":}]',
      '{"x":[{"a":1}',
      '{"x":[{"a":1]}}',
      '"text"',
      "7",
      "",
      "[]",
      "{}",
      '{"__proto__":[{"a":1}]}',
      '[{"":{"":1}}]',
      "[{]}",
      "}{",
      "]",
    ]
  ) {
    assert.deepEqual(stepwise(LONG + text), plainly(text), text);
    assert.deepEqual(stepwise(text), plainly(text), text);
  }
  assert.equal(finish(jsonSteps(new Uint8Array(50_000).fill(0xff))), undefined, "no UTF-8");
});

Deno.test("steps say what JSON.parse says of any value and of any text near one", () => {
  fc.assert(
    fc.property(
      fc.json({ maxDepth: 4 }),
      fc.nat(),
      fc.constantFrom("", "{", "}", "[", "]", '"', ",", "\\"),
      (text, at, by) => {
        const place = at % (text.length + 1);
        const near = text.slice(0, place) + by + text.slice(place);
        assert.deepEqual(stepwise(LONG + near), plainly(near));
        const wrapped = `{"list":[${text},{"a":${text}}],"b":${near}}`;
        assert.deepEqual(stepwise(LONG + wrapped), plainly(wrapped));
      },
    ),
    { seed: 20_261_124, numRuns: 500 },
  );
});

Deno.test("a long list is parsed in many steps", () => {
  const text = JSON.stringify({
    clusters: Array.from({ length: 2000 }, (_, i) => ({ name: `c${i}`, type: "sds" })),
  });
  const steps = jsonSteps(new TextEncoder().encode(text));
  let count = 0;
  while (steps.next().done !== true) count++;
  assert.ok(count >= 2000);
  assert.deepEqual(stepwise(text)?.value, JSON.parse(text));
});
