import assert from "node:assert/strict";
import { fingerprint } from "./fingerprint.ts";

Deno.test("a fingerprint tells every flipped bit, every swapped pair, every length and every seed apart", () => {
  const text = new TextEncoder().encode("outbound|9080|v1|reviews.default.svc.cluster.local ".repeat(8));
  const seen = new Set<number>();
  const add = (value: Uint8Array, seed = 7): void => {
    const print = fingerprint(value, 0, value.length, seed);
    assert.ok(Number.isSafeInteger(print) && print >= 0);
    seen.add(print);
  };
  let expected = 1;
  add(text);
  for (let i = 0; i < text.length * 8; i++, expected++) {
    const flipped = text.slice();
    flipped[i >> 3]! ^= 1 << (i & 7);
    add(flipped);
  }
  for (let i = 0; i + 8 < text.length; i++) {
    const swapped = text.slice();
    [swapped[i], swapped[i + 4]] = [text[i + 4] as number, text[i] as number];
    if (text[i] === text[i + 4]) continue;
    add(swapped);
    expected++;
  }
  for (let length = 0; length < text.length; length++, expected++) add(text.subarray(0, length));
  for (let seed = 8; seed < 100; seed++, expected++) add(text, seed);
  for (let high = 1; high < 50; high++, expected++) add(text, high * 2 ** 32);
  assert.equal(seen.size, expected);
});

Deno.test("equal bytes anywhere have one fingerprint", () => {
  const inner = new Uint8Array([9, 9, 9, 1, 2, 3, 4, 5, 6, 7]).subarray(1);
  assert.equal(fingerprint(inner, 2, 9, 5), fingerprint(new Uint8Array([1, 2, 3, 4, 5, 6, 7]), 0, 7, 5));
});

Deno.test("a hundred thousand similar names do not collide", () => {
  const encoder = new TextEncoder();
  const prints = new Set<number>();
  for (let i = 0; i < 100_000; i++) prints.add(fingerprint(encoder.encode(`outbound|80||service-${i}`)));
  assert.equal(prints.size, 100_000);
});

Deno.test("zeros count: no two lengths of them are the same", () => {
  const prints = new Set(Array.from({ length: 40 }, (_, length) => fingerprint(new Uint8Array(length))));
  assert.equal(prints.size, 40);
});
