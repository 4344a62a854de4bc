/** Many streams on one connection, HTTP/2 on both sides: what one of them does is nothing to the others (RFC 9113 sections 5.2, 6.9). */
import assert from "node:assert/strict";
import type { Http2Stream } from "../../agent/wire/http2/connection.ts";
import { bytes } from "../../agent/wire/http2/connection_fixture_test.ts";
import { CANCEL } from "../../agent/wire/http2/problems.ts";
import { within } from "../harness/bytes.ts";
import { Http2Side } from "../harness/http2_side.ts";
import { type InProcessRig, startRig } from "../harness/rig.ts";
import { worldOf } from "../harness/world.ts";

const POST = "POST /echo HTTP/1.1\r\nHost: svc.test\r\ncontent-type: application/grpc\r\n\r\n";
const STREAMS = 1000;

/** An HTTP/2 upstream that echoes every piece; it accepts as many connections as come. */
class EchoServer implements AsyncDisposable {
  readonly sides: Http2Side[] = [];
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #loop = this.#accept();
  /** Replaces the echo. */
  onRequest: ((side: Http2Side, stream: Http2Stream) => void) | null = null;

  get port(): number {
    return this.#listener.addr.port;
  }

  async #accept(): Promise<void> {
    for (;;) {
      const socket = await this.#listener.accept().catch(() => null);
      if (socket === null) return;
      this.sides.push(
        new Http2Side(socket, "server", (side) => {
          const { recorder, connection } = side;
          recorder.onHeaders = (stream) => {
            connection.respond(stream, bytes("HTTP/1.1 200 OK\r\n\r\n"), false);
            this.onRequest?.(side, stream);
          };
          recorder.onData = (stream, piece, end) => {
            if (this.onRequest === null) connection.sendData(stream, piece, 0, piece.length, end);
          };
        }),
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#loop;
    for (const side of this.sides) side[Symbol.dispose]();
    await Promise.all(this.sides.map((side) => side.done));
  }
}

function serve(rig: InProcessRig, port: number): void {
  const world = worldOf([port]);
  const name = "outbound|80||svc.test";
  const cluster = {
    ...world.program.clusters.get(name)!,
    httpProtocolOptions: { protocol: "HTTP2" as const },
  };
  rig.world = { ...world, program: { ...world.program, clusters: new Map([[name, cluster]]) } };
}

/** Resolves when `count` of the client's streams have that many bytes. */
async function received(client: Http2Side, count: number, size: number, except = 0): Promise<void> {
  for (;;) {
    let n = 0;
    for (const [id, got] of client.recorder.bodies) if (id !== except && got >= size) n++;
    if (n >= count) return;
    await client.change();
  }
}

Deno.test("1,000 bidirectional streams: one that nobody reads does not stop the others", async () => {
  await using upstream = new EchoServer();
  await using rig = startRig("native");
  serve(rig, upstream.port);
  using client = await Http2Side.connect(rig.address.port);
  const { connection, recorder } = client;
  // The first stream is answered with more than all windows hold, and not one byte of it is taken.
  upstream.onRequest = (side, stream) => {
    const flood = new Uint8Array(4 << 20);
    let at = 0;
    const go = (): void => {
      if (at < flood.length) at += side.connection.sendData(stream, flood, at, flood.length, true);
    };
    side.recorder.onWritable = (writable) => writable === stream && go();
    go();
  };
  recorder.hold = true;
  recorder.onData = (stream, piece) => stream !== stalled && connection.consumed(stream, piece.length);
  const stalled = connection.request(bytes(POST), false)!;
  await client.flush();
  // It fills its own window and no more.
  await within(received(client, 1, 65_535), "a window of the stalled stream");
  upstream.onRequest = null;
  await within(client.line(/^settings$/), "settings");
  const streams = Array.from({ length: STREAMS - 1 }, () => connection.request(bytes(POST), false)!);
  await client.flush();
  const piece = new Uint8Array(200);
  for (let round = 1; round <= 3; round++) {
    for (const stream of streams) {
      assert.equal(connection.sendData(stream, piece, 0, piece.length, round === 3), piece.length);
      // The codec takes only so much before it is written.
      if (connection.pending > 60_000) await client.flush();
    }
    await client.flush();
    await within(received(client, STREAMS - 1, 200 * round, stalled.id), `round ${round}`);
  }
  for (const stream of streams) {
    await within(client.until(() => stream.closed), "the end of a stream");
  }
  // Read at last, it goes on to its end.
  recorder.onData = (stream, got) => connection.consumed(stream, got.length);
  connection.consumed(stalled, recorder.bodies.get(stalled.id)!);
  await client.flush();
  await within(
    client.until(() => recorder.bodies.get(stalled.id) === 4 << 20),
    "the rest of the stalled stream",
  );
  assert.deepEqual(rig.errors, []);
  assert.ok(upstream.sides.length <= 10, `${upstream.sides.length} connections`);
});

Deno.test("a client that resets, and an upstream that does, tell the other side and give the windows back", async () => {
  await using upstream = new EchoServer();
  await using rig = startRig("native");
  serve(rig, upstream.port);
  using client = await Http2Side.connect(rig.address.port);
  const { connection, recorder } = client;
  upstream.onRequest = (side, stream) =>
    void side.connection.sendData(stream, new Uint8Array(65_000), 0, 65_000, false);
  recorder.hold = true;
  // Each holds a good part of the connection's windows when it is reset: lost bytes would stop everything soon.
  for (let i = 0; i < 60; i++) {
    const stream = connection.request(bytes(POST), false)!;
    await client.flush();
    await within(client.until(() => (recorder.bodies.get(stream.id) ?? 0) > 16_000), `stream ${i}`);
    if (i % 2 === 0) {
      connection.reset(stream, CANCEL);
      await client.flush();
      const side = upstream.sides[0]!;
      await within(side.line(new RegExp(`^reset ${stream.id} CANCEL$`)), "the reset upstream");
    } else {
      const side = upstream.sides[0]!;
      side.connection.reset(side.recorder.streams.get(stream.id)!, CANCEL);
      await side.flush();
      await within(client.line(new RegExp(`^reset ${stream.id} `)), "the reset downstream");
    }
  }
  assert.equal(upstream.sides.length, 1);
  assert.equal(upstream.sides[0]!.connection.streams.size, 0);
  assert.equal(rig.records.length, 60);
  assert.deepEqual(rig.errors, []);
});
