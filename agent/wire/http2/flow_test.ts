/** Windows, turns, many streams, goodbyes: what two codecs do with each other. */
import assert from "node:assert/strict";
import type { Http2Stream } from "./connection.ts";
import {
  block,
  bytes,
  concat,
  exchange,
  frame,
  GET,
  inWords,
  number,
  POST,
  ready,
  Side,
} from "./connection_fixture_test.ts";
import * as f from "./frames.ts";

const REQUEST = bytes("POST /up HTTP/1.1\r\nhost: a\r\n\r\n");
const OK = bytes("HTTP/1.1 200 OK\r\n\r\n");
const KIB = 1024;

/** Sends `total` bytes on a stream, going on whenever it may. */
class Upload {
  sent = 0;
  readonly #side: Side;
  readonly #stream: Http2Stream;
  readonly #total: number;

  constructor(side: Side, stream: Http2Stream, total: number) {
    this.#side = side;
    this.#stream = stream;
    this.#total = total;
    this.go();
  }

  go(): void {
    const piece = new Uint8Array(64 * KIB);
    for (;;) {
      const n = Math.min(piece.length, this.#total - this.sent);
      const taken = this.#side.connection.sendData(this.#stream, piece, 0, n, this.sent + n === this.#total);
      this.sent += taken;
      if (taken < n || this.sent === this.#total) return;
    }
  }
}

function pair(): { client: Side; server: Side; uploads: Map<number, Upload> } {
  const client = new Side("client");
  const server = new Side("server");
  const uploads = new Map<number, Upload>();
  client.handler.onWritable = (stream) => uploads.get(stream.id)!.go();
  exchange(client, server);
  return { client, server, uploads };
}

function upload(
  { client, uploads }: { client: Side; uploads: Map<number, Upload> },
  total: number,
): Http2Stream {
  const stream = client.connection.request(REQUEST, false)!;
  uploads.set(stream.id, new Upload(client, stream, total));
  return stream;
}

Deno.test("RFC 9113 5.2: 30 MB pass through the windows", () => {
  const both = pair();
  const { id } = upload(both, 30_000_000);
  exchange(both.client, both.server);
  assert.equal(both.server.handler.bodies.get(id), 30_000_000);
  assert.equal(both.server.connection.streams.get(id)!.remoteClosed, true);
});

Deno.test("RFC 9113 5.2: streams that nobody reads do not stop the others", () => {
  const both = pair();
  const { client, server } = both;
  const stalled = new Set<number>();
  server.handler.hold = true;
  server.handler.onData = (stream, piece) => {
    if (!stalled.has(stream.id)) server.connection.consumed(stream, piece.length);
  };
  for (let i = 0; i < 20; i++) stalled.add(upload(both, 1_000_000).id);
  exchange(client, server);
  for (const id of stalled) assert.equal(server.handler.bodies.get(id), 256 * KIB);
  const { id } = upload(both, 5_000_000);
  exchange(client, server);
  assert.equal(server.handler.bodies.get(id), 5_000_000);
  // Read at last, they come to their end.
  for (const id of [...stalled]) {
    stalled.delete(id);
    const stream = server.connection.streams.get(id)!;
    server.connection.consumed(stream, stream.held);
  }
  exchange(client, server);
  for (const { sent } of both.uploads.values()) assert.ok(sent === 1_000_000 || sent === 5_000_000);
});

Deno.test("what all streams together may hold is bounded, and giving up a stream frees its share", () => {
  const client = new Side("client");
  const server = new Side("server", { limits: { maxHeldBytes: 512 * KIB } });
  const uploads = new Map<number, Upload>();
  client.handler.onWritable = (stream) => uploads.get(stream.id)!.go();
  exchange(client, server);
  server.handler.hold = true;
  const streams = Array.from({ length: 40 }, () => upload({ client, uploads }, 1_000_000));
  exchange(client, server);
  const held = () => [...server.connection.streams.values()].reduce((n, s) => n + s.held, 0);
  assert.ok(held() <= (512 + 1024) * KIB, `${held()}`);
  for (const stream of streams.slice(0, 39)) {
    server.connection.reset(server.connection.streams.get(stream.id)!, 8);
  }
  server.handler.hold = false;
  const last = server.connection.streams.get(streams[39]!.id)!;
  server.connection.consumed(last, last.held);
  exchange(client, server);
  assert.equal(server.handler.bodies.get(last.id), 1_000_000);
});

Deno.test("streams that wait for the connection's window take turns", () => {
  const client = ready("client");
  const sent = new Map<number, number>();
  const piece = new Uint8Array(1_000_000);
  const send = (stream: Http2Stream) => {
    const n = client.connection.sendData(stream, piece, 0, piece.length, false);
    sent.set(stream.id, (sent.get(stream.id) ?? 0) + n);
  };
  client.receive(frame(f.SETTINGS, 0, 0, [0, 4, ...number(0x7fffffff)]));
  for (let i = 0; i < 3; i++) send(client.connection.request(REQUEST, false)!);
  client.output();
  // The first took all there was.
  assert.deepEqual([...sent.values()], [65535, 0, 0]);
  client.handler.onWritable = send;
  for (let i = 0; i < 6; i++) {
    client.receive(frame(f.WINDOW_UPDATE, 0, 0, number(10_000)));
    client.output();
  }
  assert.deepEqual([...sent.values()], [85_535, 20_000, 20_000]);
});

Deno.test("no more is taken than the output may hold, and it goes on when that is written", () => {
  const client = ready("client");
  client.receive(frame(f.SETTINGS, 0, 0, [0, 4, ...number(0x7fffffff)]));
  client.receive(frame(f.WINDOW_UPDATE, 0, 0, number(0x7fff0000)));
  client.output();
  const stream = client.connection.request(REQUEST, false)!;
  const piece = new Uint8Array(1_000_000);
  let sent = client.connection.sendData(stream, piece, 0, piece.length, false);
  assert.ok(sent <= 128 * KIB && client.connection.pending <= 129 * KIB);
  client.handler.onWritable = () => {
    sent += client.connection.sendData(stream, piece, sent, piece.length, true);
  };
  client.output();
  assert.equal(sent, 1_000_000);
  assert.equal(stream.localClosed, true);
});

Deno.test("RFC 9113 6.9.2: settings shrink and grow the windows of open streams", () => {
  const client = ready("client");
  const stream = client.connection.request(REQUEST, false)!;
  const piece = new Uint8Array(100);
  assert.equal(client.connection.sendData(stream, piece, 0, 100, false), 100);
  client.receive(frame(f.SETTINGS, 0, 0, [0, 4, ...number(50)]));
  assert.equal(stream.sendWindow, -50);
  assert.equal(client.connection.sendData(stream, piece, 0, 100, false), 0);
  client.receive(frame(f.WINDOW_UPDATE, 0, 1, number(60)));
  assert.equal(client.connection.sendData(stream, piece, 0, 100, false), 10);
  client.handler.said();
  client.receive(frame(f.SETTINGS, 0, 0, [0, 4, ...number(65535)]));
  assert.deepEqual(client.handler.said(), ["writable 1", "settings"]);
});

for (
  const [what, id, words] of [
    ["the stream", 1, "RST_STREAM 1 FLOW_CONTROL_ERROR"],
    ["the connection", 3, "GOAWAY 3 FLOW_CONTROL_ERROR"],
  ] as const
) {
  Deno.test(`RFC 9113 6.9.1: DATA beyond the window of ${what}`, () => {
    const server = ready("server", {
      limits: { streamWindow: 100_000, connectionWindow: 150_000, maxHeldBytes: 0 },
    });
    server.handler.hold = true;
    const data = (id: number, n: number) => frame(f.DATA, 0, id, "x".repeat(n));
    const head = (id: number) => frame(f.HEADERS, f.END_HEADERS, id, [...block(...POST)]);
    server.receive(concat(head(1), head(3)));
    for (let i = 0; i < 6; i++) server.receive(data(1, 16_000));
    assert.deepEqual(inWords(server.output()), []);
    if (id === 1) server.receive(data(1, 5000));
    else for (let i = 0; i < 5; i++) server.receive(data(3, 16_000));
    assert.equal(inWords(server.output())[0], words);
  });
}

Deno.test("RFC 9113 6.1: padding counts for the windows and is given back", () => {
  const server = ready("server");
  server.receive(frame(f.HEADERS, f.END_HEADERS, 1, [...block(...POST)]));
  const padded = frame(f.DATA, f.PADDED, 1, [255, 1, ...new Array(255).fill(0)]);
  for (let i = 0; i < 3000; i++) server.receive(padded);
  const words = inWords(server.output());
  assert.ok(words.some((w) => w.startsWith("WINDOW_UPDATE 1")));
  assert.ok(words.some((w) => w.startsWith("WINDOW_UPDATE 0")));
  assert.equal(server.handler.bodies.get(1), 3000);
});

Deno.test("gRPC: bidirectional messages, trailers, trailers only", () => {
  const { client, server } = pair();
  server.handler.onHeaders = (stream, head) => {
    if (head.text.startsWith("POST /bad")) {
      server.connection.respond(
        stream,
        bytes("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 12\r\n\r\n"),
        true,
      );
    } else {
      server.connection.respond(
        stream,
        bytes("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n\r\n"),
        false,
      );
    }
  };
  server.handler.onData = (stream, piece, end) => {
    server.connection.sendData(stream, piece, 0, piece.length, false);
    if (end) server.connection.sendTrailers(stream, bytes("grpc-status: 0\r\ngrpc-message: \r\n"));
  };
  const head = "POST /s/m HTTP/1.1\r\nHost: a\r\nte: trailers\r\ncontent-type: application/grpc\r\n\r\n";
  const stream = client.connection.request(bytes(head), false)!;
  client.connection.sendData(stream, bytes("ping"), 0, 4, false);
  exchange(client, server);
  client.connection.sendData(stream, bytes("pong"), 0, 4, true);
  exchange(client, server);
  assert.match(server.handler.said().join(), /te: trailers/);
  assert.deepEqual(client.handler.said().slice(1), [
    `headers 1 ${JSON.stringify("HTTP/1.1 200 \r\ncontent-type: application/grpc\r\n\r\n")}`,
    'data 1 "ping"',
    'data 1 "pong"',
    `trailers 1 ${JSON.stringify("grpc-status: 0\r\ngrpc-message: \r\n\r\n")}`,
  ]);
  const bad = client.connection.request(bytes("POST /bad HTTP/1.1\r\nhost: a\r\n\r\n"), true)!;
  exchange(client, server);
  assert.equal(bad.closed, true);
  assert.match(client.handler.said().at(-1)!, /grpc-status: 12.* end$/);
});

Deno.test("CONNECT is a tunnel both ways", () => {
  const { client, server } = pair();
  server.handler.onHeaders = (stream) => server.connection.respond(stream, OK, false);
  const stream = client.connection.request(
    bytes("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n"),
    false,
  )!;
  client.connection.sendData(stream, bytes("hello"), 0, 5, false);
  exchange(client, server);
  assert.deepEqual(server.handler.said().slice(1), [
    `headers 1 ${JSON.stringify("CONNECT db:5432 HTTP/1.1\r\nhost: db:5432\r\n\r\n")}`,
    'data 1 "hello"',
  ]);
  assert.equal(server.connection.streams.get(1)!.connect, true);
});

Deno.test("a head above the peer's frame size goes out as CONTINUATION and comes in whole", () => {
  const { client, server } = pair();
  const long = `x-long: ${"y".repeat(40_000)}`;
  client.connection.request(bytes(`GET / HTTP/1.1\r\nhost: a\r\n${long}\r\n\r\n`), true);
  const output = client.output();
  assert.deepEqual(inWords(output).map((w) => w.split(" ")[0]), ["HEADERS", "CONTINUATION", "CONTINUATION"]);
  server.receive(output);
  const said = server.handler.said();
  assert.ok(said.at(-1)!.includes(long), said.join().slice(0, 500));
});

Deno.test("RFC 9113 6.5.2: at most 100 streams until SETTINGS arrive, then as many as the peer says", () => {
  const client = new Side("client");
  for (let i = 0; i < 100; i++) assert.ok(client.connection.request(REQUEST, true) !== null);
  assert.equal(client.connection.request(REQUEST, true), null);
  client.receive(frame(f.SETTINGS, 0, 0, [0, 3, ...number(101)]));
  assert.ok(client.connection.request(REQUEST, true) !== null);
  assert.equal(client.connection.canRequest, false);
  client.receive(frame(f.SETTINGS, 0, 0, [0, 3, ...number(2)]));
  client.receive(frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, [...block(":status: 200")]));
  assert.equal(client.connection.canRequest, false);
});

Deno.test("RFC 9113 6.8: a server says goodbye in two steps and finishes what it took", () => {
  const { client, server } = pair();
  const first = client.connection.request(REQUEST, true)!;
  exchange(client, server);
  server.connection.goAway();
  // On its way while the client does not know yet.
  const second = client.connection.request(REQUEST, true)!;
  exchange(client, server);
  assert.deepEqual(client.handler.said().slice(1), [
    `goaway ${0x7fffffff} NO_ERROR`,
    `goaway ${second.id} NO_ERROR`,
  ]);
  assert.equal(client.connection.canRequest, false);
  assert.equal(first.closed || second.closed, false);
  for (const stream of [...server.connection.streams.values()]) server.connection.respond(stream, OK, true);
  exchange(client, server);
  assert.equal(server.handler.said().at(-1), "drained");
  assert.equal(client.handler.said().at(-1), "drained");
});

Deno.test("RFC 9113 6.8: after the last goodbye new streams are ignored, headers kept in step", () => {
  const server = ready("server");
  server.receive(frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, [...block(...GET)]));
  server.connection.goAway();
  server.connection.goAway();
  server.receive(frame(f.HEADERS, f.END_HEADERS, 3, [...block(...GET), 0x40, 1, 97, 1, 98]));
  server.receive(frame(f.DATA, f.END_STREAM, 3, "x"));
  server.receive(frame(f.RST_STREAM, 0, 3, number(8)));
  assert.deepEqual(inWords(server.output()), [
    `GOAWAY ${0x7fffffff} NO_ERROR`,
    "PING",
    "GOAWAY 1 NO_ERROR",
  ]);
  assert.equal(server.handler.said().length, 1);
  assert.equal(server.connection.failed, false);
});

Deno.test("RFC 9113 6.8: a client learns which requests may be sent again", () => {
  const client = ready("client");
  for (let i = 0; i < 3; i++) client.connection.request(REQUEST, true);
  client.output();
  client.receive(frame(f.GOAWAY, 0, 0, [...number(1), ...number(0), ...bytes("bye")]));
  assert.deepEqual(client.handler.said(), [
    "goaway 1 NO_ERROR bye",
    "reset 3 REFUSED_STREAM unprocessed",
    "reset 5 REFUSED_STREAM unprocessed",
  ]);
  client.receive(frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, [...block(":status: 200")]));
  assert.match(client.handler.said().join(), /^headers 1 .*drained$/);
});

Deno.test("RFC 9113 8.7: REFUSED_STREAM says that nothing was done, other codes do not", () => {
  const client = ready("client");
  for (let i = 0; i < 2; i++) client.connection.request(REQUEST, true);
  client.receive(frame(f.RST_STREAM, 0, 1, number(7)));
  client.receive(frame(f.RST_STREAM, 0, 3, number(11)));
  assert.deepEqual(client.handler.said(), [
    "reset 1 REFUSED_STREAM unprocessed",
    "reset 3 ENHANCE_YOUR_CALM",
  ]);
});

Deno.test("late frames of a stream that the client gave up are let by, however long ago", () => {
  const client = ready("client");
  const stream = client.connection.request(REQUEST, true)!;
  client.connection.reset(stream, 8);
  for (let i = 0; i < 2000; i++) client.connection.reset(client.connection.request(REQUEST, true)!, 8);
  client.output();
  client.receive(frame(f.HEADERS, f.END_HEADERS, 1, [...block(":status: 200")]));
  client.receive(frame(f.DATA, 0, 4001, "late"));
  client.receive(frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 4001, [...block("a: b")]));
  assert.deepEqual(inWords(client.output()), []);
  assert.deepEqual(client.handler.said(), []);
});

Deno.test("the end of the transport ends every stream once", () => {
  const { client } = pair();
  client.connection.request(REQUEST, true);
  client.handler.said();
  client.connection.abandon();
  client.connection.abandon();
  assert.deepEqual(client.handler.said(), ["reset 1 CANCEL"]);
  assert.equal(client.connection.request(REQUEST, true), null);
});

Deno.test("ping and pong", () => {
  const { client, server } = pair();
  client.handler.said();
  client.connection.ping();
  exchange(client, server);
  assert.deepEqual(client.handler.said(), ["pong"]);
});
