import assert from "node:assert/strict";
import fc from "fast-check";
import { bytes, text } from "./connection_fixture_test.ts";
import { fieldKind } from "./field_kinds.ts";
import type { FieldSink } from "./hpack_decoder.ts";
import { HpackDecoder } from "./hpack_decoder.ts";
import { HpackEncoder } from "./hpack_encoder.ts";
import { huffmanDecode, huffmanEncode, huffmanLength, maxDecodedLength } from "./huffman.ts";
import { Output } from "./output.ts";
import * as problem from "./problems.ts";

/** Keeps lines as they come. */
class Lines implements FieldSink {
  buf: Uint8Array = new Uint8Array(16);
  at = 0;
  readonly full = false;
  readonly lines: string[] = [];

  ensure(more: number): void {
    if (this.at + more <= this.buf.length) return;
    const next = new Uint8Array(2 * (this.at + more));
    next.set(this.buf);
    this.buf = next;
  }

  take(nameLength: number, valueLength: number, kind: number): void {
    const value = nameLength + 2;
    this.lines.push(text(this.buf.slice(0, value + valueLength)));
    assert.equal(text(this.buf.slice(value + valueLength, value + valueLength + 2)), "\r\n");
    assert.equal(kind, fieldKind(this.buf, 0, nameLength, value, value + valueLength));
  }
}

function hex(digits: string): Uint8Array {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function decode(decoder: HpackDecoder, digits: string): string[] {
  const sink = new Lines();
  const block = hex(digits);
  assert.equal(decoder.decode(block, 0, block.length, sink), 0);
  return sink.lines;
}

/** Entries of the table, newest first, as appendix C lists them. */
function entries(decoder: HpackDecoder): string[] {
  const { table } = decoder;
  const lines: string[] = [];
  for (let number = table.count - 1; number >= table.oldest; number--) {
    const at = table.at(number);
    const [line, name, value] = table.entries.subarray(at, at + 3) as unknown as [number, number, number];
    lines.push(text(table.arena.slice(line, line + name + value + 2)));
  }
  return lines;
}

const SINGLES: readonly [section: string, block: string, line: string, table: readonly string[]][] = [
  [
    "C.2.1 literal with indexing",
    "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
    "custom-key: custom-header",
    ["custom-key: custom-header"],
  ],
  ["C.2.2 literal without indexing", "040c2f73616d706c652f70617468", ":path: /sample/path", []],
  ["C.2.3 literal never indexed", "100870617373776f726406736563726574", "password: secret", []],
  ["C.2.4 indexed", "82", ":method: GET", []],
];

for (const [section, block, line, table] of SINGLES) {
  Deno.test(`RFC 7541 ${section}`, () => {
    const decoder = new HpackDecoder(4096);
    assert.deepEqual(decode(decoder, block), [line]);
    assert.deepEqual(entries(decoder), table);
  });
}

const COOKIE = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const REQUESTS = [
  [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
  [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
  [
    ":method: GET",
    ":scheme: https",
    ":path: /index.html",
    ":authority: www.example.com",
    "custom-key: custom-value",
  ],
];
const RESPONSES = [
  [
    ":status: 302",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
  ],
  [
    ":status: 307",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
  ],
  [
    ":status: 200",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:22 GMT",
    "location: https://www.example.com",
    "content-encoding: gzip",
    `set-cookie: ${COOKIE}`,
  ],
];
const REQUEST_TABLES = [
  [":authority: www.example.com"],
  ["cache-control: no-cache", ":authority: www.example.com"],
  ["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"],
];
const RESPONSE_TABLES = [
  [
    "location: https://www.example.com",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "cache-control: private",
    ":status: 302",
  ],
  [
    ":status: 307",
    "location: https://www.example.com",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "cache-control: private",
  ],
  [`set-cookie: ${COOKIE}`, "content-encoding: gzip", "date: Mon, 21 Oct 2013 20:13:22 GMT"],
];

const SESSIONS: readonly [
  section: string,
  tableSize: number,
  blocks: readonly string[],
  lines: readonly (readonly string[])[],
  tables: readonly (readonly string[])[],
  sizes: readonly number[],
][] = [
  [
    "C.3 requests without Huffman",
    4096,
    [
      "828684410f7777772e6578616d706c652e636f6d",
      "828684be58086e6f2d6361636865",
      "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ],
    REQUESTS,
    REQUEST_TABLES,
    [57, 110, 164],
  ],
  [
    "C.4 requests with Huffman",
    4096,
    [
      "828684418cf1e3c2e5f23a6ba0ab90f4ff",
      "828684be5886a8eb10649cbf",
      "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ],
    REQUESTS,
    REQUEST_TABLES,
    [57, 110, 164],
  ],
  [
    "C.5 responses without Huffman, with eviction",
    256,
    [
      "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e" +
      "6578616d706c652e636f6d",
      "4803333037c1c0bf",
      "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f51" +
      "57454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
    ],
    RESPONSES,
    RESPONSE_TABLES,
    [222, 222, 215],
  ],
  [
    "C.6 responses with Huffman, with eviction",
    256,
    [
      "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
      "4883640effc1c0bf",
      "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab" +
      "270fb5291f9587316065c003ed4ee5b1063d5007",
    ],
    RESPONSES,
    RESPONSE_TABLES,
    [222, 222, 215],
  ],
];

for (const [section, tableSize, blocks, lines, tables, sizes] of SESSIONS) {
  Deno.test(`RFC 7541 ${section}`, () => {
    const decoder = new HpackDecoder(tableSize);
    for (const [i, block] of blocks.entries()) {
      assert.deepEqual(decode(decoder, block), lines[i]);
      assert.deepEqual(entries(decoder), tables[i]);
      assert.equal(decoder.table.size, sizes[i]);
    }
  });
}

const BAD_BLOCKS: readonly [rfc: string, what: string, block: string, result: number][] = [
  ["2.3.3", "index 0", "80", problem.BAD_INDEX],
  ["2.3.3", "an index of no table", "be", problem.BAD_INDEX],
  ["2.3.3", "a name of no table", "7e0161", problem.BAD_INDEX],
  ["4.2", "a size update behind a field", "8220", problem.LATE_TABLE_SIZE],
  ["5.1", "an integer above 2^28", "ffffffffff0f", problem.BAD_INTEGER],
  ["5.1", "an integer of endless zeros", "ff8080808080", problem.BAD_INTEGER],
  ["5.1", "an integer that is cut off", "ff80", problem.BLOCK_TRUNCATED],
  ["5.2", "a string longer than the block", "000461", problem.BLOCK_TRUNCATED],
  ["5.2", "a field without value", "000161", problem.BLOCK_TRUNCATED],
  ["5.2", "Huffman padding of eight bits", "0001618207ff", problem.BAD_HUFFMAN],
  ["5.2", "Huffman padding of zeros", "0001618118", problem.BAD_HUFFMAN],
  ["5.2", "EOS in a Huffman string", "00016184ffffffff", problem.BAD_HUFFMAN],
  ["6.3", "a table larger than allowed", "3fe21f", problem.BAD_TABLE_SIZE],
];

for (const [rfc, what, block, result] of BAD_BLOCKS) {
  Deno.test(`RFC 7541 ${rfc}: ${what}`, () => {
    const input = hex(block);
    assert.equal(new HpackDecoder(4096).decode(input, 0, input.length, new Lines()), result);
  });
}

Deno.test("RFC 7541 4.2: a smaller table that was acknowledged must be taken up first", () => {
  const decoder = new HpackDecoder(4096);
  decoder.allow(100);
  const field = hex("82");
  assert.equal(decoder.decode(field, 0, 1, new Lines()), problem.MISSING_TABLE_SIZE);
  const updated = hex("3f4582");
  assert.equal(decoder.decode(updated, 0, updated.length, new Lines()), 0);
  assert.equal(decoder.decode(field, 0, 1, new Lines()), 0);
});

Deno.test("RFC 7541 4.3: a size update of 0 empties the table", () => {
  const decoder = new HpackDecoder(4096);
  decode(decoder, SINGLES[0]![1]);
  decode(decoder, "203fe11f82");
  assert.deepEqual(entries(decoder), []);
  assert.equal(decoder.table.maxSize, 4096);
});

Deno.test("RFC 7541 4.4: an entry larger than the table empties it and is no error", () => {
  const decoder = new HpackDecoder(64);
  assert.deepEqual(decode(decoder, "4001610162"), ["a: b"]);
  assert.deepEqual(decode(decoder, `40016164${"62".repeat(100)}`), [`a: ${"b".repeat(100)}`]);
  assert.deepEqual(entries(decoder), []);
});

Deno.test("RFC 7541 4.4: a new entry may take its name from one that it pushes out", () => {
  const decoder = new HpackDecoder(40);
  decode(decoder, "4001610162");
  assert.deepEqual(decode(decoder, "7e0163"), ["a: c"]);
  assert.deepEqual(entries(decoder), ["a: c"]);
});

// ---------------------------------------------------------------- encoder

function encode(encoder: HpackEncoder, lines: readonly string[]): Uint8Array {
  const out = new Output();
  encoder.beginBlock(out);
  for (const line of lines) {
    const colon = line.indexOf(": ", 1);
    encoder.field(out, bytes(line), 0, colon, colon + 2, line.length);
  }
  return out.take().slice();
}

Deno.test("a field enters the encoder's table when it comes the second time", () => {
  const encoder = new HpackEncoder(4096);
  const lines = [":method: POST", "x-version: v1"];
  assert.equal(encode(encoder, lines).length, 1 + 1 + 10 + 3);
  assert.equal(encode(encoder, lines)[1], 0x40);
  assert.deepEqual([...encode(encoder, lines)], [0x83, 0xbe]);
});

Deno.test("values that never come again push nothing out", () => {
  const encoder = new HpackEncoder(4096);
  encode(encoder, ["a: b"]);
  encode(encoder, ["a: b"]);
  for (let i = 0; i < 1000; i++) encode(encoder, [`x-request-id: ${i}`]);
  assert.deepEqual([...encode(encoder, ["a: b"])], [0xbe]);
});

Deno.test("RFC 7541 7.1.3: secrets are never indexed", () => {
  const encoder = new HpackEncoder(4096);
  for (
    const line of ["authorization: Bearer x", "cookie: id=1", "proxy-authorization: y", "set-cookie: a=b"]
  ) {
    for (let i = 0; i < 3; i++) assert.equal(encode(encoder, [line])[0]! >> 4, 1, line);
  }
  assert.equal(encoder.table.count, 0);
});

Deno.test("RFC 7541 4.2: a smaller table of the peer is announced, with the smallest in between", () => {
  const encoder = new HpackEncoder(4096);
  const decoder = new HpackDecoder(4096);
  for (let i = 0; i < 3; i++) encode(encoder, ["a: b"]);
  encoder.allow(0);
  encoder.allow(100);
  const block = encode(encoder, ["a: b"]);
  assert.deepEqual([...block.slice(0, 3)], [0x20, 0x3f, 100 - 31]);
  assert.equal(decoder.decode(block, 0, block.length, new Lines()), 0);
  assert.equal(decoder.table.maxSize, 100);
  encoder.allow(1 << 20);
  encode(encoder, ["a: b"]);
  assert.equal(encoder.table.maxSize, 4096);
});

const names = fc.constantFrom("a", "x-long-name-of-a-field", ":path", "grpc-status", "cookie", "host");
const values = fc.oneof(
  fc.constantFrom("", "0", "/some.Service/Method", "application/grpc", "v".repeat(700), "w".repeat(5000)),
  fc.string({ unit: fc.integer({ min: 33, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: 60 }),
);
const session = fc.array(
  fc.record({
    lines: fc.array(fc.tuple(names, values).map(([n, v]) => `${n}: ${v}`), { maxLength: 12 }),
    allow: fc.option(fc.constantFrom(0, 64, 300, 4096, 65536), { freq: 4 }),
  }),
  { maxLength: 40 },
);

for (const huffman of [false, true]) {
  Deno.test(`whatever is encoded is decoded the same, tables in step${huffman ? ", with Huffman" : ""}`, () => {
    fc.assert(
      fc.property(session, (blocks) => {
        const encoder = new HpackEncoder(8192, { huffman });
        const decoder = new HpackDecoder(65536);
        for (const { lines, allow } of blocks) {
          if (allow !== null) encoder.allow(allow);
          // Twice, so that fields enter the table.
          for (let turn = 0; turn < 2; turn++) {
            const block = encode(encoder, lines);
            const sink = new Lines();
            assert.equal(decoder.decode(block, 0, block.length, sink), 0);
            assert.deepEqual(sink.lines, lines);
            assert.equal(decoder.table.size, encoder.table.size);
            assert.ok(decoder.table.size <= decoder.table.maxSize);
          }
        }
      }),
      { seed: 7541, numRuns: 60 },
    );
  });
}

Deno.test("Huffman: what is encoded is decoded the same, and the length is told before", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (input) => {
      const to = new Uint8Array(4 * input.length + 8);
      const length = huffmanEncode(input, 0, input.length, to, 0);
      assert.equal(length, huffmanLength(input, 0, input.length));
      const back = new Uint8Array(maxDecodedLength(length) + 8);
      const end = huffmanDecode(to, 0, length, back, 0);
      assert.deepEqual(back.slice(0, end), input);
    }),
    { seed: 1, numRuns: 300 },
  );
});

Deno.test("random blocks are decoded or refused, with tables in bounds", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), (blocks) => {
      const decoder = new HpackDecoder(4096);
      for (const block of blocks) {
        const result = decoder.decode(block, 0, block.length, new Lines());
        assert.ok(decoder.table.size <= 4096 && decoder.table.arena.length <= 16384);
        if (result !== 0) return;
      }
    }),
    { seed: 2, numRuns: 2000 },
  );
});
