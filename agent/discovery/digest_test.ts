import assert from "node:assert/strict";
import { digestOf } from "./digest.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

Deno.test("equal bytes have one digest, wherever they lie in memory", () => {
  const message = bytes(9, 1, 2, 3, 4, 5, 6, 7, 9);
  assert.equal(digestOf(message.subarray(1, 8)), digestOf(bytes(1, 2, 3, 4, 5, 6, 7)));
});

Deno.test("any one bit, length and order make another digest", () => {
  const seen = new Map<number, string>();
  const note = (b: Uint8Array): void => {
    const digest = digestOf(b);
    assert.ok(Number.isSafeInteger(digest) && digest >= 0);
    assert.equal(seen.get(digest), undefined, `${b} and ${seen.get(digest)}`);
    seen.set(digest, String(b));
  };
  for (let length = 0; length <= 9; length++) note(new Uint8Array(length));
  const base = Uint8Array.from({ length: 67 }, (_, i) => i * 37);
  note(base);
  for (let bit = 0; bit < base.length * 8; bit++) {
    const other = base.slice();
    other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7));
    note(other);
  }
  note(base.slice().reverse());
});

Deno.test("a hundred thousand similar names do not collide", () => {
  const encoder = new TextEncoder();
  const digests = new Set<number>();
  for (let i = 0; i < 100_000; i++) digests.add(digestOf(encoder.encode(`outbound|80||service-${i}`)));
  assert.equal(digests.size, 100_000);
});
