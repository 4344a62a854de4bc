import assert from "node:assert/strict";
import fc from "fast-check";
import { GrpcDecoder } from "./grpc_decoder.ts";

function framed(message: Uint8Array, flag = 0): Uint8Array {
  const whole = new Uint8Array(5 + message.length);
  whole[0] = flag;
  new DataView(whole.buffer).setUint32(1, message.length);
  whole.set(message, 5);
  return whole;
}

Deno.test("grpc decoder: messages come out the same however the bytes are cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 50 }),
      (messages, cuts) => {
        const frames = messages.map((message, i) => framed(message, i & 1));
        const bytes = new Uint8Array(frames.flatMap((frame) => [...frame]));
        const decoder = new GrpcDecoder(40);
        const got: number[][] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const n = cuts[i % cuts.length] as number;
          for (const message of decoder.write(bytes.subarray(at, at + n))) got.push([...message]);
          at += n;
        }
        assert.deepEqual(got, frames.map((frame) => [...frame]));
      },
    ),
  );
});

Deno.test("grpc decoder: a message above the bound is refused at its head", () => {
  assert.equal(new GrpcDecoder(3).write(framed(new Uint8Array(3))).length, 1);
  assert.throws(
    () => new GrpcDecoder(3).write(framed(new Uint8Array(4)).subarray(0, 5)),
    /^Error: Received message larger than max \(4 vs 3\)$/,
  );
  assert.equal(new GrpcDecoder(-1).write(framed(new Uint8Array(4))).length, 1);
});

Deno.test("grpc decoder: what it hands out is not written to again", () => {
  const decoder = new GrpcDecoder(-1);
  const [first] = decoder.write(framed(Uint8Array.of(1)));
  decoder.write(framed(Uint8Array.of(2)));
  assert.equal(first?.[5], 1);
});
