/** Every way in which a call can end, and what each carrier makes of it; the server is the agent's own codec, in this process. */
import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import type { StreamTarget } from "../core/ports.ts";
import { writeAll } from "../core/write_all.ts";
import { Http2Connection, type Http2Handler, type Http2Stream } from "../wire/http2/connection.ts";
import { PING } from "../wire/http2/floods.ts";
import { TRANSPORTS } from "../../tests/harness/transports.ts";
import { createHttp2Transport } from "./h2_transport.ts";

const encoder = new TextEncoder();
const GRPC = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n\r\n";

/** What a server does with its first call. */
type Play = (call: ServedCall) => void;

class ServedCall {
  constructor(readonly http2: Http2Connection, readonly stream: Http2Stream, readonly head: string) {}

  /** A head in HTTP/1.1 spelling. */
  head200(text = GRPC, end = false): void {
    this.http2.respond(this.stream, encoder.encode(text), end);
  }

  /** Only a head: trailers-only. */
  only(...lines: string[]): void {
    this.head200(`HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n${lines.join("\r\n")}\r\n\r\n`, true);
  }

  data(bytes: Uint8Array, end = false): void {
    assert.equal(this.http2.sendData(this.stream, bytes, 0, bytes.length, end), bytes.length);
  }

  /** One message in its frame. */
  message(text: string, flag = 0): void {
    const body = encoder.encode(text);
    this.data(Uint8Array.of(flag, 0, 0, 0, body.length, ...body));
  }

  trailers(...lines: string[]): void {
    this.http2.sendTrailers(this.stream, encoder.encode(lines.map((line) => `${line}\r\n`).join("")));
  }
}

/** Serves each connection's calls by `play`; ends with the test. `received`: after every read. */
function serve(
  play: Play,
  received: (http2: Http2Connection) => void = () => {},
): Disposable & { port: number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.Conn[] = [];
  const connection = async (conn: Deno.Conn): Promise<void> => {
    const none = () => {};
    const handler: Http2Handler = {
      headers: (stream, head) => play(new ServedCall(http2, stream, head.text)),
      data: (stream, _buf, start, end) => http2.consumed(stream, end - start),
      ...{ trailers: none, reset: none, writable: none, refused: none, settings: none },
      ...{ goAway: none, pong: none, drained: none, failed: none },
    };
    const http2 = new Http2Connection("server", handler);
    const buf = new Uint8Array(64 * 1024);
    for (let [start, end] = [0, 0];;) {
      while (http2.pending > 0) {
        await writeAll(conn, http2.take());
        http2.written();
      }
      const n = await conn.read(buf.subarray(end));
      if (n === null) return conn.close();
      end += n;
      start = http2.receive(buf, start, end, performance.now());
      received(http2);
      if (start === end) start = end = 0;
    }
  };
  (async () => {
    for await (const conn of listener) {
      conns.push(conn);
      connection(conn).catch(() => {});
    }
  })();
  return {
    port: listener.addr.port,
    [Symbol.dispose]() {
      listener.close();
      for (const conn of conns) {
        try {
          conn.close();
        } catch {
          // It is closed already.
        }
      }
    },
  };
}

function target(port: number, more: Partial<StreamTarget> = {}): StreamTarget {
  return {
    host: "127.0.0.1",
    port,
    path: "/peer/Call",
    maxMessageBytes: 1 << 20,
    keepaliveMs: 0,
    connectTimeoutMs: 5000,
    onStep() {},
    ...more,
  };
}

/** Messages as text, then `OK` or the code and the state of the failure. */
async function played(
  create: typeof createHttp2Transport,
  play: Play,
  more: Partial<StreamTarget> = {},
  received?: (http2: Http2Connection) => void,
): Promise<string[]> {
  using server = serve(play, received);
  const stream = await create().open(target(server.port, more), []);
  const got: string[] = [];
  try {
    for await (const message of stream.messages) got.push(new TextDecoder().decode(message));
    got.push("OK");
  } catch (error) {
    assert.ok(error instanceof MeshError, String(error));
    got.push(
      `${error.code} ${error.message.replace(/^Cannot (open a stream to|keep the stream of) ".*?": /, "")}`,
    );
  }
  return got;
}

/** `only`: what one of them cannot tell. */
const ENDS: readonly { what: string; play: Play; want: readonly (string | RegExp)[]; only?: "native" }[] = [
  {
    what: "messages, then OK",
    play: (call) => {
      call.head200();
      call.message("a");
      call.message("");
      call.trailers("grpc-status: 0");
    },
    want: ["a", "", "OK"],
  },
  { what: "OK at once", play: (call) => call.only("grpc-status: 0"), want: ["OK"] },
  {
    what: "trailers only, with a percent-encoded message",
    play: (call) => call.only("grpc-status: 7", "grpc-message: caf%C3%A9 is 100%25 closed"),
    want: ["D206 it refuses this workload: PermissionDenied (café is 100% closed)"],
  },
  {
    what: "a message that is badly encoded",
    play: (call) => call.only("grpc-status: 12", "grpc-message: 50% off"),
    want: ["D207 it does not know the method: Unimplemented (50% off)"],
  },
  {
    what: "a failure after messages",
    play: (call) => {
      call.head200();
      call.message("a");
      call.trailers("grpc-status: 14", "grpc-message: bye");
    },
    want: ["a", "D209 the stream was lost: Unavailable (bye)"],
  },
  {
    what: "a status that is no number",
    play: (call) => call.only("grpc-status: fine"),
    want: [/^D210 it refuses/],
  },
  {
    what: "a head without a status",
    play: (call) => call.head200("HTTP/1.1 404 Not Found\r\n\r\n", true),
    want: [/^D205 it answers HTTP without gRPC \(.*404.*\); want a gRPC control plane$/],
  },
  {
    what: "an error page",
    play: (call) => {
      call.head200("HTTP/1.1 503 Unavailable\r\ncontent-type: text/html\r\n\r\n");
      call.data(encoder.encode("<html>sorry</html>"), true);
    },
    want: [/^D205 it answers HTTP without gRPC/],
  },
  {
    what: "a page that is no error",
    play: (call) => {
      call.head200("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n");
      call.data(encoder.encode("<html>hello</html>"), true);
    },
    want: ["D205 it answers HTTP without gRPC (HTTP status 200, text/html); want a gRPC control plane"],
  },
  {
    what: "trailers without a status",
    play: (call) => {
      call.head200();
      call.trailers("x: y");
    },
    want: [/^D205 it answers HTTP without gRPC \(.*200/],
  },
  {
    what: "an end without trailers",
    play: (call) => {
      call.head200();
      call.data(new Uint8Array(0), true);
    },
    want: ["D209 the stream was lost (it ended the call without a status)"],
    // grpc-js waits for the connection to end.
    only: "native",
  },
  {
    what: "OK in the middle of a message",
    play: (call) => {
      call.head200();
      call.data(Uint8Array.of(0, 0, 0, 0, 2, 1));
      call.trailers("grpc-status: 0");
    },
    want: ["D209 the stream was lost (it ended in the middle of a message)"],
    only: "native",
  },
  {
    what: "a message above the limit, told by its head",
    play: (call) => {
      call.head200();
      call.data(Uint8Array.of(0, 0, 0x10, 0, 1));
    },
    want: [/^D208 its answer is too large \(.*1048577 vs 1048576\)\)$/],
  },
  {
    what: "a compressed message",
    play: (call) => {
      call.head200(GRPC.replace("\r\n\r\n", "\r\ngrpc-encoding: zstd\r\n\r\n"));
      call.message("?", 1);
    },
    want: ["D209 the stream was lost (it compresses messages (zstd), which was not offered)"],
    only: "native",
  },
  {
    what: "GOAWAY in order: the call goes on to its end",
    play: (call) => {
      call.http2.goAway();
      call.head200();
      call.message("a");
      call.trailers("grpc-status: 0");
    },
    want: ["a", "OK"],
  },
  {
    what: "GOAWAY for a mistake",
    play: (call) => call.http2.fail(-1),
    want: [/^D209 the stream was lost/],
  },
  ...[0, 1, 2, 3, 5, 7, 8, 10, 13].map((code) => ({
    what: `RST_STREAM ${code}`,
    play: (call: ServedCall) => call.http2.reset(call.stream, code),
    want: [/^D209 the stream was (lost|ended)/],
  })),
  {
    what: "RST_STREAM ENHANCE_YOUR_CALM",
    play: (call) => call.http2.reset(call.stream, 11),
    want: ["D209 it ended the connection because of too many pings (ENHANCE_YOUR_CALM)"],
  },
  {
    what: "RST_STREAM INADEQUATE_SECURITY",
    play: (call) => call.http2.reset(call.stream, 12),
    want: [/^D206 it refuses this workload: PermissionDenied/],
  },
];

for (const { name, create } of TRANSPORTS) {
  Deno.test(`${name}: how a call ends`, async (t) => {
    for (const { what, play, want, only } of ENDS) {
      if (only !== undefined && only !== name) continue;
      await t.step(what, async () => {
        const got = await played(create, play);
        assert.equal(got.length, want.length, got.join("\n"));
        for (const [i, line] of want.entries()) {
          if (line instanceof RegExp) assert.match(got[i]!, line);
          else assert.equal(got[i], line);
        }
      });
    }
  });

  Deno.test(`${name}: pings go on as long as they are answered`, async () => {
    let call: ServedCall | undefined;
    // Counted after the first read.
    let pings = -1;
    const got = await played(create, (served) => call = served, { keepaliveMs: 10 }, (http2) => {
      if (pings < 0) {
        pings = 0;
        const { floods } = http2;
        const spend = floods.spend.bind(floods);
        floods.spend = (kind) => {
          if (kind === PING) pings++;
          return spend(kind);
        };
      }
      if (pings < 4 || call === undefined) return;
      call.only("grpc-status: 0");
    });
    assert.deepEqual(got, ["OK"]);
  });

  Deno.test(`${name}: metadata that no header can say: D210, before anything is dialed`, async () => {
    for (const value of ["köln", "a\r\nauthorization: b"]) {
      await assert.rejects(create().open(target(1), [["clusterid", value]]), (error: MeshError) => {
        assert.equal(error.code, "D210");
        assert.match(
          error.message,
          /: the metadata clusterid has characters that no header has; want printable ASCII$/,
        );
        assert.match(error.hint, /discovery\.clusterId/);
        return true;
      });
    }
  });
}

Deno.test("native: what goes out is a gRPC call that offers no compression", async () => {
  let head = "";
  await played(createHttp2Transport, (call) => {
    head = call.head;
    call.only("grpc-status: 0");
  });
  const lines = head.split("\r\n").map((line) => line.toLowerCase());
  assert.equal(lines[0], "post /peer/call http/1.1");
  for (
    const line of ["content-type: application/grpc", "te: trailers", "grpc-accept-encoding: identity"]
  ) assert.ok(lines.includes(line), head);
  assert.match(head, /user-agent: grpc-mesh-agent\/\d/);
  assert.match(head, /host: 127\.0\.0\.1:\d+/i);
});

/** A server that answers no PING by its acknowledgement, but each of the first `answers` by `frame`; then it closes or falls silent. */
async function withoutAcknowledgements(frame: Uint8Array, answers: number, close: boolean): Promise<string> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    const conn = await listener.accept();
    // SETTINGS of no setting (RFC 9113, section 6.5).
    await writeAll(conn, Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0));
    const buf = new Uint8Array(4096);
    let end = 0;
    for (let [at, pings] = [24, 0];;) {
      const n = await conn.read(buf.subarray(end)).catch(() => null);
      if (n === null) return conn.close();
      end += n;
      for (; end >= at + 9; at += 9 + (buf[at + 1]! << 8) + buf[at + 2]!) {
        const isPing = buf[at + 3] === 6 && (buf[at + 4]! & 1) === 0;
        if (!isPing || ++pings > answers) continue;
        await writeAll(conn, frame);
        if (pings === answers && close) return conn.close();
      }
    }
  })();
  try {
    const { port } = listener.addr;
    const stream = await createHttp2Transport().open(target(port, { keepaliveMs: 100 }), []);
    for await (const _ of stream.messages) assert.fail("no message was sent");
    return "OK";
  } catch (error) {
    return (error as Error).message;
  } finally {
    listener.close();
    await serving;
  }
}

Deno.test("native: a peer whose bytes come is alive, even when its answer to a ping is late behind them", async () => {
  // Of an unknown type, which is ignored (RFC 9113, section 5.5).
  const ignored = Uint8Array.of(0, 0, 1, 0xbb, 0, 0, 0, 0, 0, 7);
  assert.match(await withoutAcknowledgements(ignored, 3, true), /the stream was lost|closed the connection/);
  assert.match(await withoutAcknowledgements(ignored, 1, false), /no sign of life/);
});
