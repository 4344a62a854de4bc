/** Mutated recordings of whole sessions, and frames by chance: never a crash, never more memory than the limits, always an orderly end. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { block, bytes, concat, frame, GET, inWords, number, POST, Side } from "./connection_fixture_test.ts";
import * as f from "./frames.ts";

const LIMITS = {
  maxConcurrentStreams: 10,
  maxHeldBytes: 100_000,
  connectionWindow: 100_000,
  streamWindow: 50_000,
};

/** A side that answers and reads like a proxy would. */
function busy(side: "client" | "server"): Side {
  const it = new Side(side, { limits: LIMITS });
  const { handler, connection } = it;
  handler.onHeaders = (stream, head) => {
    if (side === "server") connection.respond(stream, bytes("HTTP/1.1 200 OK\r\nx: y\r\n\r\n"), false);
    else if (head.status >= 400) connection.reset(stream, 8);
  };
  handler.onData = (stream, piece, end) => {
    if (side === "server") connection.sendData(stream, piece, 0, piece.length, end);
  };
  handler.onTrailers = (stream) => {
    if (side === "server") connection.sendTrailers(stream, bytes("grpc-status: 0\r\n"));
  };
  if (side === "client") {
    for (let i = 0; i < 5; i++) {
      const stream = connection.request(bytes("POST /a HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n"), false)!;
      connection.sendData(stream, bytes("hello"), 0, 5, i % 2 === 0);
      if (i === 1) connection.sendTrailers(stream, bytes("a: b\r\n"));
    }
  }
  return it;
}

/** What each side said in a session without faults, as frames. */
function record(): { toServer: Uint8Array[]; toClient: Uint8Array[] } {
  const client = busy("client");
  const server = busy("server");
  const toServer: Uint8Array[] = [];
  const toClient: Uint8Array[] = [];
  for (let turn = 0; turn < 4; turn++) {
    const up = client.output();
    server.receive(up);
    toServer.push(up);
    if (turn === 2) server.connection.goAway();
    const down = server.output();
    client.receive(down);
    toClient.push(down);
  }
  assert.equal(client.connection.failed || server.connection.failed, false);
  return { toServer: split(concat(...toServer).slice(24)), toClient: split(concat(...toClient)) };
}

function split(all: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < all.length;) {
    const end = at + 9 + (all[at]! << 16 | all[at + 1]! << 8 | all[at + 2]!);
    pieces.push(all.slice(at, end));
    at = end;
  }
  return pieces;
}

const SESSION = record();

function feed(side: Side, input: Uint8Array, piece: number): void {
  for (let at = 0; at < input.length; at += piece) {
    side.now += 1;
    side.receive(input.slice(at, at + piece));
    const { connection } = side;
    assert.ok(connection.streams.size <= 10);
    assert.ok([...connection.streams.values()].reduce((n, s) => n + s.held, 0) <= 200_000);
    assert.ok(connection.pending < 2_000_000);
    const wasFailed = connection.failed;
    const words = inWords(skipPreface(side.output()));
    if (connection.failed && wasFailed && words.length > 0) assert.match(words.at(-1)!, /^GOAWAY/);
    if (connection.failed) {
      assert.equal(connection.streams.size, 0);
      return;
    }
  }
}

function skipPreface(output: Uint8Array): Uint8Array {
  return output[0] === 80 ? output.slice(24) : output;
}

const mutation = fc.record({
  what: fc.constantFrom("flip", "drop", "repeat", "swap", "cut", "stuff"),
  where: fc.nat(10_000),
  value: fc.nat(255),
});

function mutate(
  frames: readonly Uint8Array[],
  mutations: readonly { what: string; where: number; value: number }[],
) {
  const all: Uint8Array[] = frames.map((piece) => piece.slice());
  for (const { what, where, value } of mutations) {
    if (all.length === 0) break;
    const i = where % all.length;
    const piece = all[i]!;
    switch (what) {
      case "flip":
        if (piece.length > 0) piece[value % piece.length]! ^= 1 << where % 8;
        break;
      case "drop":
        all.splice(i, 1);
        break;
      case "repeat":
        all.splice(i, 0, ...Array.from({ length: 1 + value % 40 }, () => piece.slice()));
        break;
      case "swap": {
        const j = value % all.length;
        [all[i], all[j]] = [all[j]!, piece];
        break;
      }
      case "cut":
        all[i] = piece.slice(0, value % (piece.length + 1));
        break;
      default:
        all[i] = concat(piece, Uint8Array.of(value, where & 255));
    }
  }
  return concat(...all);
}

for (const side of ["server", "client"] as const) {
  Deno.test(`fuzz: mutated sessions, ${side}`, () => {
    const recorded = side === "server" ? SESSION.toServer : SESSION.toClient;
    fc.assert(
      fc.property(
        fc.array(mutation, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 300 }),
        (m, piece) => {
          const it = busy(side);
          if (side === "server") it.receive(f.PREFACE);
          feed(it, mutate(recorded, m), piece);
        },
      ),
      { seed: 9113, numRuns: 2000 },
    );
  });

  Deno.test(`fuzz: frames by chance, ${side}`, () => {
    const payload = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constant(block(...GET)),
      fc.constant(block(...POST)),
      fc.constant(block(":status: 200", "x: y")),
      fc.constant(block("grpc-status: 0")),
      fc.constantFrom(0, 1, 65536, 0x7fffffff).map((n) => Uint8Array.from(number(n))),
      fc.constant(new Uint8Array(8)),
      fc.constant(new Uint8Array(16_384)),
    );
    const frames = fc.array(
      fc.record({
        type: fc.integer({ min: 0, max: 11 }),
        flags: fc.constantFrom(0, 1, 4, 5, 8, 13, 0x24, 0x25, 0xff),
        id: fc.constantFrom(0, 1, 1, 1, 2, 3, 3, 5, 7, 0x7fffffff),
        payload,
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(frames, (all) => {
        const it = busy(side);
        if (side === "server") it.receive(f.PREFACE);
        it.receive(frame(f.SETTINGS, 0, 0));
        feed(it, concat(...all.map((x) => frame(x.type, x.flags, x.id, [...x.payload]))), 1 << 20);
      }),
      { seed: 7540, numRuns: 1500 },
    );
  });

  Deno.test(`fuzz: bytes by chance, ${side}`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (input) => {
        const it = busy(side);
        if (side === "server") it.receive(f.PREFACE);
        it.receive(frame(f.SETTINGS, 0, 0));
        feed(it, input, 50);
      }),
      { seed: 1, numRuns: 500 },
    );
  });
}
