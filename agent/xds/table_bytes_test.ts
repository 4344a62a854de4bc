import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import { loadSchema } from "../../protos/schema.ts";
import { fingerprint, splitMessage } from "./table_bytes.ts";

const schema = await loadSchema();
const bytes = schema.encode("RouteConfiguration", {
  name: "80",
  virtual_hosts: [{ name: "a" }, {}, { name: "b" }],
  ignore_port_in_host_matching: true,
});

Deno.test("a message is split into the members of one field and the rest", () => {
  const { spans, rest } = splitMessage(schema, bytes, 2);
  const members = [0, 2, 4].map((i) => bytes.subarray(spans[i], spans[i + 1]));
  assert.deepEqual(members.map((m) => schema.decode("VirtualHost", m).name), ["a", "", "b"]);
  const table = schema.decode("RouteConfiguration", rest);
  assert.deepEqual([table.name, table.ignore_port_in_host_matching, table.virtual_hosts.length], [
    "80",
    true,
    0,
  ]);
});

Deno.test("bytes that are no message throw D211", () => {
  const whole = new Set([0, 4, 9, 11, 16, bytes.length]);
  for (let length = 0; length <= bytes.length; length++) {
    if (whole.has(length)) continue;
    assert.throws(
      () => splitMessage(schema, bytes.subarray(0, length), 2),
      (e) => e instanceof MeshError && e.code === "D211",
      String(length),
    );
  }
});

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
