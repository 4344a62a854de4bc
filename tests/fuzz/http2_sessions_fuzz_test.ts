/**
 * HTTP/2 sessions recorded between programs that we did not write, damaged: bits, lengths, order, ends. Client and server codec end in
 * a proper error or go on, within their limits; the proxy in between goes on serving others.
 *
 * tests/harness/record_http2.ts makes the recordings.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { bytes, concat, inWords, Side } from "../../agent/wire/http2/connection_fixture_test.ts";
import { Http2Side } from "../harness/http2_side.ts";
import { within } from "../harness/bytes.ts";
import { RawClient } from "../harness/client.ts";
import { startRig } from "../harness/rig.ts";
import { answering, startUpstream } from "../harness/upstream.ts";
import { worldOf } from "../harness/world.ts";

const RECORDINGS = new URL("../recordings/http2/", import.meta.url);
const NAMES = ["curl", "grpc-js", "h2load", "nghttp", "node"];
const PREFACE_BYTES = 24;
const HEADERS = 1;
const LIMITS = {
  maxConcurrentStreams: 20,
  maxHeldBytes: 100_000,
  connectionWindow: 100_000,
  streamWindow: 65_535,
};

interface Session {
  /** Frames of the client, without the preface, and of the server. */
  readonly up: readonly Uint8Array[];
  readonly down: readonly Uint8Array[];
  readonly requests: number;
  /** What a client has to open so that each of them exists: nghttp leaves numbers out. */
  readonly opened: number;
}

/** Whole frames; a recording may be cut within its last one. */
function framesOf(all: Uint8Array): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = 0; at + 9 <= all.length;) {
    const end = at + 9 + (all[at]! << 16 | all[at + 1]! << 8 | all[at + 2]!);
    if (end > all.length) break;
    out.push(all.slice(at, end));
    at = end;
  }
  return out;
}

const sessions = new Map<string, Session>();
for (const name of NAMES) {
  const [up, down] = await Promise.all(
    ["up", "down"].map((way) => Deno.readFile(new URL(`${name}.${way}.bin`, RECORDINGS))),
  );
  const frames = framesOf(up!.slice(PREFACE_BYTES));
  const ids = frames.filter((f) => f[3] === HEADERS).map((f) => f[7]! << 8 | f[8]!);
  sessions.set(name, {
    up: frames,
    down: framesOf(down!),
    requests: new Set(ids).size,
    opened: (Math.max(...ids) + 1) / 2,
  });
}

interface Hurt {
  readonly kind: "flip" | "lie" | "cut" | "swap" | "twice" | "drop" | "type" | "stream" | "end";
  readonly at: number;
  readonly byte: number;
  readonly value: number;
}

const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const hurts: fc.Arbitrary<Hurt[]> = fc.array(
  fc.record({
    kind: fc.constantFrom<Hurt["kind"]>(
      "flip",
      "flip",
      "lie",
      "cut",
      "swap",
      "twice",
      "drop",
      "type",
      "stream",
      "end",
    ),
    at: fraction,
    byte: fraction,
    value: fc.nat(255),
  }),
  { minLength: 1, maxLength: 5 },
);

function damage(frames: readonly Uint8Array[], list: readonly Hurt[]): Uint8Array {
  const all = frames.map((f) => f.slice());
  let end = 1;
  for (const { kind, at, byte, value } of list) {
    const i = Math.floor(at * all.length);
    const f = all[i];
    if (f === undefined) break;
    const j = Math.floor(byte * f.length);
    if (kind === "flip") f[j]! ^= 1 << value % 8;
    // A length that is not the frame's: what follows is read as something else.
    else if (kind === "lie") f[value % 2 === 0 ? 2 : 1]! ^= 1 + value % 127;
    else if (kind === "cut") all[i] = f.slice(0, j);
    else if (kind === "swap") {
      [all[i], all[Math.floor(byte * all.length)]] = [all[Math.floor(byte * all.length)]!, f];
    } else if (kind === "twice") all.splice(i, 0, ...Array.from({ length: 1 + value % 60 }, () => f.slice()));
    else if (kind === "drop") all.splice(i, 1);
    else if (kind === "type") f[3] = value % 12;
    else if (kind === "stream") f[8] = value % 16;
    else end = byte;
  }
  const joined = concat(...all);
  return joined.slice(0, Math.ceil(joined.length * end));
}

/** A side that answers and reads as a proxy would; counts how each of its streams ended. */
function busy(side: "client" | "server", opened: number): { side: Side; ended: Map<number, number> } {
  const it = new Side(side, { limits: LIMITS });
  const { handler, connection } = it;
  const ended = new Map<number, number>();
  const over = (id: number) => ended.set(id, (ended.get(id) ?? 0) + 1);
  const reset = handler.reset.bind(handler);
  handler.reset = (stream, ...rest) => {
    over(stream.id);
    reset(stream, ...rest);
  };
  handler.onHeaders = (stream, _head, end) => {
    if (side === "server") connection.respond(stream, bytes("HTTP/1.1 200 OK\r\nx: y\r\n\r\n"), end);
    else if (end) over(stream.id);
  };
  handler.onData = (stream, piece, end) => {
    if (side === "server") connection.sendData(stream, piece, 0, piece.length, end);
    else if (end) over(stream.id);
  };
  handler.onTrailers = (stream) => {
    if (side === "server") connection.sendEnd(stream);
    else over(stream.id);
  };
  for (let n = 0; side === "client" && n < opened; n++) {
    connection.request(bytes("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), true);
  }
  it.output();
  return { side: it, ended };
}

function feed(it: Side, input: Uint8Array, piece: number): void {
  const { connection } = it;
  for (let at = 0; at < input.length && !connection.failed; at += piece) {
    it.now += 1;
    it.receive(input.slice(at, at + piece));
    assert.ok(connection.streams.size <= LIMITS.maxConcurrentStreams, "streams");
    const held = [...connection.streams.values()].reduce((n, s) => n + s.held, 0);
    assert.ok(held <= 2 * LIMITS.maxHeldBytes, `${held} bytes held`);
    assert.ok(connection.pending < 1_000_000, `${connection.pending} bytes to write`);
    const output = it.output();
    if (connection.failed) assert.match(inWords(output).at(-1) ?? "", /^GOAWAY/);
  }
}

for (const [name, { up, down, requests, opened }] of sessions) {
  Deno.test(`sessions of ${name} are understood as they are`, () => {
    const server = busy("server", 0);
    server.side.receive(bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    feed(server.side, concat(...up), 1000);
    assert.equal(server.side.connection.failed, false, server.side.handler.lines.at(-1) ?? "");
    assert.equal(server.side.handler.streams.size, requests);
    const client = busy("client", opened);
    feed(client.side, concat(...down), 1000);
    assert.equal(client.side.connection.failed, false, client.side.handler.lines.at(-1) ?? "");
    assert.ok(client.ended.size > 0);
  });

  for (const side of ["server", "client"] as const) {
    Deno.test(`damaged sessions of ${name}: the codec as a ${side}`, () => {
      let failed = 0;
      let survived = 0;
      fc.assert(
        fc.property(hurts, fc.integer({ min: 1, max: 3000 }), (list, piece) => {
          const { side: it, ended } = busy(side, opened);
          if (side === "server") it.receive(bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
          feed(it, damage(side === "server" ? up : down, list), piece);
          if (it.connection.failed) failed++;
          else survived++;
          it.connection.abandon();
          assert.equal(it.connection.streams.size, 0);
          for (const [id, times] of ended) assert.equal(times, 1, `stream ${id} ended ${times} times`);
          if (side === "client") assert.equal(ended.size, opened, "streams without an end");
        }),
        { seed: 7541, numRuns: 400 },
      );
      // Neither is every damage deadly, nor none.
      assert.ok(failed > 20 && survived > 20, `${failed} failed, ${survived} survived`);
    });
  }
}

const damaged = fc.tuple(fc.constantFrom(...NAMES), hurts);

/** Sends everything and reads until the end. */
async function pour(socket: Deno.TcpConn, input: Uint8Array): Promise<void> {
  const reading = (async () => {
    const buf = new Uint8Array(65536);
    while (await socket.read(buf) !== null);
  })().catch(() => {});
  try {
    for (let at = 0; at < input.length;) at += await socket.write(input.subarray(at));
    await socket.closeWrite();
  } catch {
    // The proxy has had enough.
  }
  await reading;
}

Deno.test("damaged clients: the proxy ends their connections and serves others", async () => {
  await using upstream = startUpstream(answering());
  await using rig = startRig("native");
  rig.serve(upstream.port);
  using good = await Http2Side.connect(rig.address.port);
  let n = 0;
  for (const [name, list] of fc.sample(damaged, { seed: 9110, numRuns: 150 })) {
    const socket = await Deno.connect({ hostname: "127.0.0.1", port: rig.address.port });
    const input = concat(bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), damage(sessions.get(name)!.up, list));
    await within(pour(socket, input), `the end of ${name} ${JSON.stringify(list)}`);
    socket.close();
    if (n++ % 10 > 0) continue;
    const stream = good.request("GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n");
    await within(
      good.line(new RegExp(`^headers ${stream.id} "HTTP/1.1 200 `)),
      "an answer for another client",
    );
  }
  assert.deepEqual(rig.errors, []);
});

Deno.test("damaged upstreams: the proxy answers each client, or cuts what it has begun", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using rig = startRig("native");
  const world = worldOf([listener.addr.port]);
  const name = "outbound|80||svc.test";
  const cluster = {
    ...world.program.clusters.get(name)!,
    httpProtocolOptions: { protocol: "HTTP2" as const },
  };
  rig.world = { ...world, program: { ...world.program, clusters: new Map([[name, cluster]]) } };
  const plan = fc.sample(damaged, { seed: 9113, numRuns: 120 });
  let now: Uint8Array = new Uint8Array(0);
  const serving: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const socket of listener) serving.push(pour(socket, now).finally(() => socket.close()));
  })();
  const starts = new Map<string, number>();
  for (const [session, list] of plan) {
    now = damage(sessions.get(session)!.down, list);
    using client = await RawClient.connect(rig.address);
    await client.send("GET / HTTP/1.1\r\nHost: svc.test\r\nConnection: close\r\n\r\n");
    const answer = await within(client.toEnd(), `the end of ${session} ${JSON.stringify(list)}`);
    const start = answer.slice(0, 12);
    assert.match(start, /^(HTTP\/1\.1 [2-5]\d\d)?$/);
    starts.set(start, (starts.get(start) ?? 0) + 1);
  }
  assert.deepEqual(rig.errors, []);
  listener.close();
  await rig.proxy.drain(0);
  await accepting;
  await Promise.all(serving);
  assert.ok((starts.get("HTTP/1.1 200") ?? 0) > 0, JSON.stringify([...starts]));
  assert.ok([...starts.keys()].some((s) => s.startsWith("HTTP/1.1 50")), JSON.stringify([...starts]));
});
