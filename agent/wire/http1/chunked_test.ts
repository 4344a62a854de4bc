import assert from "node:assert/strict";
import fc from "fast-check";
import { ChunkedDecoder, writeChunkSize } from "./chunked.ts";
import * as problem from "./problems.ts";

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const textOf = (b: Uint8Array): string => String.fromCharCode(...b);

/** Feeds `text` in pieces that end at `cuts`; gives the data, or the problem. */
function decode(
  text: string,
  cuts: readonly number[] = [],
): { data: string; verdict: number; trailers: string } {
  const decoder = new ChunkedDecoder();
  let data = "";
  let from = 0;
  let used = 0;
  for (const to of [...cuts, text.length]) {
    const buf = bytes(text.slice(from, to));
    const next = decoder.decode(buf, 0, buf.length);
    if (next < 0) return { data, verdict: next, trailers: "" };
    data += textOf(buf.subarray(decoder.dataStart, decoder.dataEnd));
    used += next;
    if (decoder.done) break;
    from = to;
  }
  const trailers = decoder.trailers === null ? "" : textOf(decoder.trailers);
  return { data, verdict: decoder.done ? used : 0, trailers };
}

const ROWS: readonly [rfc: string, what: string, text: string, data: string | number][] = [
  ["RFC 9112 7.1", "two chunks", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"],
  ["RFC 9112 7.1", "capitals and leading zeros", "00A\r\n0123456789\r\n000\r\n\r\n", "0123456789"],
  ["RFC 9112 7.1.1", "extensions are dropped", '3;a=b;c="d;\\"e"\r\nabc\r\n0;x\r\n\r\n', "abc"],
  [
    "RFC 9112 7.1.1",
    "a line that ends inside quotes",
    '3;a="\r\nabc\r\n0\r\n\r\n',
    problem.BAD_CHUNK_EXTENSION,
  ],
  ["RFC 9112 7.1.1", "bare LF in an extension", "3;a\nabc\r\n0\r\n\r\n", problem.BARE_LF],
  ["RFC 9112 7.1", "no size", "\r\nabc\r\n", problem.BAD_CHUNK_SIZE],
  ["RFC 9112 7.1", "0x", "0x3\r\nabc\r\n0\r\n\r\n", problem.BAD_CHUNK_SIZE],
  ["RFC 9112 7.1", "a sign", "+3\r\nabc\r\n0\r\n\r\n", problem.BAD_CHUNK_SIZE],
  ["RFC 9112 7.1", "space after the size", "3 \r\nabc\r\n0\r\n\r\n", problem.BAD_CHUNK_SIZE],
  ["RFC 9112 7.1", "a size beyond 2^48", "fffffffffffff\r\n", problem.BAD_CHUNK_SIZE],
  ["RFC 9112 7.1", "bare LF after the size", "3\nabc\r\n0\r\n\r\n", problem.BARE_LF],
  ["RFC 9112 7.1", "data longer than its size", "3\r\nabcd\r\n0\r\n\r\n", problem.BAD_CHUNK_END],
  ["RFC 9112 7.1", "bare LF after the data", "3\r\nabc\n0\r\n\r\n", problem.BAD_CHUNK_END],
  ["RFC 9112 7.1.2", "a folded trailer", "0\r\nX: 1\r\n 2\r\n\r\n", problem.BAD_TRAILER],
  ["RFC 9112 7.1.2", "bare LF in the trailers", "0\r\nX: 1\n\r\n", problem.BARE_LF],
];

for (const [rfc, what, text, expected] of ROWS) {
  Deno.test(`${rfc}: ${what}`, () => {
    const got = decode(text);
    if (typeof expected === "number") assert.equal(got.verdict, expected);
    else assert.deepEqual(got, { data: expected, verdict: text.length, trailers: "" });
  });
}

Deno.test("RFC 9110 6.5.1: trailers pass, those that frame or route do not", () => {
  const got = decode(
    "1\r\na\r\n0\r\nX-Sum: 1\r\nHost: b\r\nContent-Length: 9\r\nAuthorization: x\r\nx-b: 2\r\n\r\n",
  );
  assert.equal(got.trailers, "X-Sum: 1\r\nx-b: 2\r\n");
});

Deno.test("bytes after the end are left alone", () => {
  const text = "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
  assert.equal(decode(text).verdict, text.indexOf("GET"));
});

Deno.test("fuzz: cut anywhere, the result is the same; what writeChunkSize wrote is read back", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 40 }), { maxLength: 6 }),
      fc.boolean(),
      fc.array(fc.nat(300), { maxLength: 12 }),
      (chunks, trailer, cuts) => {
        let text = "";
        for (const c of chunks) {
          const size = new Uint8Array(20);
          text += textOf(size.subarray(0, writeChunkSize(size, 0, c.length))) + c + "\r\n";
        }
        text += trailer ? "0\r\nX: y\r\n\r\n" : "0\r\n\r\n";
        const places = [...new Set(cuts.filter((c) => c < text.length))].sort((a, b) => a - b);
        const got = decode(text, places);
        assert.deepEqual(got, {
          data: chunks.join(""),
          verdict: text.length,
          trailers: trailer ? "X: y\r\n" : "",
        });
      },
    ),
    { seed: 11, numRuns: 1000 },
  );
  const every = "3;e=1\r\nabc\r\n1\r\nd\r\n0\r\nX: y\r\n\r\n";
  for (let cut = 0; cut <= every.length; cut++) assert.equal(decode(every, [cut]).data, "abcd");
});

Deno.test("fuzz: noise never throws and never gives data beyond the buffer", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      const decoder = new ChunkedDecoder();
      const next = decoder.decode(noise, 0, noise.length);
      assert.ok(next <= noise.length);
      assert.ok(decoder.dataEnd <= noise.length && decoder.dataStart <= decoder.dataEnd);
    }),
    { seed: 13, numRuns: 2000 },
  );
});
