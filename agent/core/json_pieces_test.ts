import assert from "node:assert/strict";
import { jsonPieces, Lazy } from "./json_pieces.ts";

const text = (value: unknown) => [...jsonPieces(value)].join("");

Deno.test("pieces: the text of JSON.stringify, whatever is lazy", () => {
  const plain = { a: 1, b: [], c: [[{ d: "x\ny" }], 2], e: { f: null, g: undefined }, h: {}, 'i"': [true] };
  const lazy = {
    a: 1,
    b: new Lazy([]),
    c: new Lazy([new Lazy([{ d: "x\ny" }]), 2]),
    e: { f: null, g: undefined },
    h: {},
    'i"': [true],
  };
  assert.equal(text(plain), JSON.stringify(plain, null, 2));
  assert.equal(text(lazy), JSON.stringify(plain, null, 2));
  assert.equal(text([1, new Lazy([2])]), JSON.stringify([1, [2]], null, 2));
  assert.equal(text({ a: undefined, b: new Lazy([undefined]) }), JSON.stringify({ b: [null] }, null, 2));
});

Deno.test("pieces: an item is made when the ones before it are out", () => {
  const made: number[] = [];
  const items = function* () {
    for (const n of [1, 2, 3]) {
      made.push(n);
      yield n;
    }
  };
  let out = "";
  for (const piece of jsonPieces({ items: new Lazy(items()) })) {
    out += piece;
    if (out.endsWith("2")) assert.deepEqual(made, [1, 2]);
  }
  assert.deepEqual(JSON.parse(out), { items: [1, 2, 3] });
});
