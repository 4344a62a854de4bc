import assert from "node:assert/strict";
import { Http2Body } from "./h2_body.ts";

function filled(size: number, byte: number): Uint8Array {
  return new Uint8Array(size).fill(byte);
}

Deno.test("pieces that nobody has read yet come out in order, small ones together, and the last one ends the body", () => {
  const consumed: number[] = [];
  const body = new Http2Body({ consumed: (bytes) => consumed.push(bytes) }, -1);
  for (const [byte, size] of [[1, 5000], [2, 10], [3, 10], [4, 3000]] as const) {
    body.push(filled(size, byte), 0, size);
  }
  body.finish(null);
  const seen: [number, number, boolean][] = [];
  for (let piece = body.buffered(); piece !== null; piece = body.buffered()) {
    seen.push([piece[0]!, piece.length, body.done]);
  }
  assert.deepEqual(seen, [[1, 5000, false], [2, 20, false], [4, 3000, true]]);
  assert.deepEqual(consumed, [5000, 20, 3000]);
});

Deno.test("a body that failed gives out nothing of what it holds", () => {
  const body = new Http2Body({ consumed: () => {} }, -1);
  body.push(filled(5000, 1), 0, 5000);
  body.push(filled(5000, 2), 0, 5000);
  body.fail(new Error("gone"));
  assert.throws(() => body.buffered(), /gone/);
});
