/** A peer that costs much and works little is told ENHANCE_YOUR_CALM; honest ones are not. */
import assert from "node:assert/strict";
import {
  block,
  bytes,
  concat,
  frame,
  GET,
  inWords,
  number,
  POST,
  ready,
  type Side,
} from "./connection_fixture_test.ts";
import * as f from "./frames.ts";

const END_BOTH = f.END_STREAM | f.END_HEADERS;
const CALM = /^GOAWAY \d+ ENHANCE_YOUR_CALM$/;
const GET_BLOCK = [...block(...GET)];
const POST_BLOCK = [...block(...POST)];

/** Sends `attack(i)` until the connection ends, reading the output each time; how often it was sent. */
function endure(attack: (i: number, side: Side) => Uint8Array, most: number, msEach = 0): number {
  const side = ready("server");
  for (let i = 0; i < most; i++) {
    side.now += msEach;
    side.receive(attack(i, side));
    const words = inWords(side.output());
    if (side.connection.failed) {
      assert.match(words.at(-1)!, CALM);
      return i;
    }
  }
  return most;
}

const FLOODS: [what: string, attack: (i: number, side: Side) => Uint8Array, atMost: number][] = [
  ["CVE-2023-44487 rapid reset", (i) =>
    concat(
      frame(f.HEADERS, END_BOTH, 2 * i + 1, GET_BLOCK),
      frame(f.RST_STREAM, 0, 2 * i + 1, number(8)),
    ), 1001],
  ["CVE-2025-8671 made to reset", (i) =>
    concat(
      frame(f.HEADERS, f.END_HEADERS, 2 * i + 1, POST_BLOCK),
      frame(f.WINDOW_UPDATE, 0, 2 * i + 1, number(0)),
    ), 1001],
  ["CVE-2019-9512 PING", () => frame(f.PING, 0, 0, "12345678"), 301],
  ["CVE-2019-9515 SETTINGS", () => frame(f.SETTINGS, 0, 0), 101],
  [
    "CVE-2019-9518 empty DATA",
    (i) => i === 0 ? frame(f.HEADERS, f.END_HEADERS, 1, POST_BLOCK) : frame(f.DATA, 0, 1),
    102,
  ],
  [
    "CVE-2019-9518 empty DATA in padding",
    (i) => i === 0 ? frame(f.HEADERS, f.END_HEADERS, 1, POST_BLOCK) : frame(f.DATA, f.PADDED, 1, [2, 0, 0]),
    102,
  ],
  ["CVE-2019-9513 PRIORITY", () => frame(f.PRIORITY, 0, 1, [0, 0, 0, 3, 1]), 1001],
  ["unknown frames", () => frame(0x42, 0, 0, "x"), 1001],
  ["CVE-2019-9511 WINDOW_UPDATE", () => frame(f.WINDOW_UPDATE, 0, 0, number(1)), 1001],
  [
    "DATA for a closed stream",
    (i) =>
      i === 0
        ? concat(frame(f.HEADERS, END_BOTH, 1, GET_BLOCK), frame(f.RST_STREAM, 0, 1, number(8)))
        : frame(f.DATA, 0, 1, "x"),
    2101,
  ],
  ["streams beyond the limit", (i) => frame(f.HEADERS, END_BOTH, 2 * i + 1, GET_BLOCK), 2002],
  ["malformed requests", (i) => frame(f.HEADERS, END_BOTH, 2 * i + 1, [0x82]), 1002],
  [
    "CVE-2024-27316 CONTINUATION",
    (i) =>
      i === 0
        ? frame(f.HEADERS, f.END_STREAM, 1, GET_BLOCK)
        : frame(f.CONTINUATION, 0, 1, [...block(`a: ${"x".repeat(1000)}`)]),
    140,
  ],
  [
    "empty CONTINUATION",
    (i) => i === 0 ? frame(f.HEADERS, f.END_STREAM, 1, GET_BLOCK) : frame(f.CONTINUATION, 0, 1),
    102,
  ],
];

for (const [what, attack, atMost] of FLOODS) {
  Deno.test(`flood: ${what}`, () => {
    const n = endure(attack, 10_000);
    assert.ok(n <= atMost, `${n} were taken`);
    assert.ok(n >= 50, `only ${n} were taken`);
  });
}

Deno.test("flood: a window that opens byte by byte", () => {
  const side = ready("server");
  const body = new Uint8Array(100_000);
  let sent = 0;
  side.handler.onHeaders = (stream) => {
    side.connection.respond(stream, bytes("HTTP/1.1 200 OK\r\n\r\n"), false);
    side.handler.onWritable!(stream);
  };
  side.handler.onWritable = (stream) => {
    sent += side.connection.sendData(stream, body, sent, body.length, true);
  };
  side.receive(frame(f.SETTINGS, 0, 0, [0, 4, ...number(0)]));
  side.receive(frame(f.HEADERS, END_BOTH, 1, GET_BLOCK));
  for (let i = 0; i < 5000 && !side.connection.failed; i++) {
    side.output();
    side.receive(frame(f.WINDOW_UPDATE, 0, 1, number(1)));
  }
  assert.ok(side.connection.failed && sent <= 1010, `${sent} frames of one byte`);
  assert.match(inWords(side.output()).at(-1)!, CALM);
});

Deno.test("flood: answers that the peer does not read", () => {
  const side = ready("server");
  let i = 0;
  while (!side.connection.failed && i < 5000) {
    // Slow enough for the budget of PING.
    side.now += 100;
    side.receive(frame(f.PING, 0, 0, "12345678"));
    i++;
  }
  assert.equal(i, 1001);
  assert.match(inWords(side.output()).at(-1)!, CALM);
});

Deno.test("flood: one indexed field many times (HPACK bomb) takes no memory", () => {
  const side = ready("server");
  const name = [0x40, 1, 97, 0x7f, 0xa1, 0x1e, ...new Array(4000).fill(98)];
  side.receive(frame(f.HEADERS, END_BOTH, 1, [...GET_BLOCK, ...name]));
  const bomb = new Uint8Array(16_000).fill(0xbe);
  side.receive(frame(f.HEADERS, END_BOTH, 3, [...GET_BLOCK, ...bomb]));
  assert.deepEqual(inWords(side.output()), ["RST_STREAM 3 ENHANCE_YOUR_CALM"]);
});

Deno.test("honest peers are not called floods", () => {
  const respond = (side: Side, id: number) =>
    side.connection.respond(side.connection.streams.get(id)!, bytes("HTTP/1.1 200 OK\r\n\r\n"), true);
  // Answered requests pay for canceled ones.
  const half = endure((i, side) => {
    if (i > 0 && i % 2 === 0) respond(side, 2 * i - 1);
    const head = frame(f.HEADERS, END_BOTH, 2 * i + 1, GET_BLOCK);
    return i % 2 === 0 ? concat(head, frame(f.RST_STREAM, 0, 2 * i + 1, number(8))) : head;
  }, 5000);
  assert.equal(half, 5000);
  // A ping per message, as grpc measures bandwidth.
  const pings = endure(
    (i) =>
      i === 0
        ? frame(f.HEADERS, f.END_HEADERS, 1, POST_BLOCK)
        : concat(frame(f.DATA, 0, 1, "x"), frame(f.PING, 0, 0, "12345678")),
    5000,
  );
  assert.equal(pings, 5000);
  // A keepalive a second, for a day.
  assert.equal(endure(() => frame(f.PING, 0, 0, "12345678"), 86_400, 1000), 86_400);
});
