/**
 * The agent as a client of HTTP/2, by section of RFC 9113: an upstream of raw frames, what the agent says to it, and what a client of
 * HTTP/1.1 in front is told.
 */
import assert from "node:assert/strict";
import { block, bytes, frame, inWords, number } from "../../agent/wire/http2/connection_fixture_test.ts";
import * as f from "../../agent/wire/http2/frames.ts";
import { within } from "../harness/bytes.ts";
import { RawClient } from "../harness/client.ts";
import { type InProcessRig, startRig } from "../harness/rig.ts";
import { worldOf } from "../harness/world.ts";

type Frames = readonly Uint8Array[];

interface Row {
  readonly section: string;
  readonly what: string;
  /** Said on stream 1 once the request is there. */
  readonly frames: Frames;
  /** Of the frames that the agent says then, one is this. */
  readonly says?: string;
  /** What the client gets. */
  readonly answer: RegExp;
  readonly flags?: string;
  readonly post?: boolean;
}

const OPEN = f.END_HEADERS;
const END = f.END_HEADERS | f.END_STREAM;
const ok = frame(f.HEADERS, END, 1, [...block(":status: 200", "x-a: 1")]);
const head = (flags: number, ...fields: string[]): Uint8Array =>
  frame(f.HEADERS, flags, 1, [...block(...fields)]);
const GOOD = /^HTTP\/1.1 200 /;
const BROKEN = /^HTTP\/1.1 502 [^]*protocol error/;

const ROWS: readonly Row[] = [
  {
    section: "3.4",
    what: "an answer of HTTP/1.1",
    frames: [bytes("HTTP/1.1 200 OK\r\n\r\n")],
    answer: /^HTTP\/1.1 50[23] /,
  },
  {
    section: "4.1",
    what: "a frame of an unknown type is passed over",
    frames: [frame(0xbb, 0xff, 1, "x"), ok],
    answer: GOOD,
  },
  {
    section: "4.2",
    what: "a frame that is too large",
    frames: [frame(f.DATA, 0, 1, "x".repeat(16_385))],
    says: "GOAWAY 0 FRAME_SIZE_ERROR",
    answer: BROKEN,
    flags: "UPE",
  },
  {
    section: "4.3",
    what: "a block that is no HPACK",
    frames: [frame(f.HEADERS, END, 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
    says: "GOAWAY 0 COMPRESSION_ERROR",
    answer: BROKEN,
  },
  {
    section: "5.1",
    what: "HEADERS on a stream that nobody opened",
    frames: [frame(f.HEADERS, END, 3, [...block(":status: 200")])],
    says: "GOAWAY 0 PROTOCOL_ERROR",
    answer: BROKEN,
  },
  {
    section: "5.1.1",
    what: "a stream that the server opens",
    frames: [frame(f.HEADERS, END, 2, [...block(":status: 200")])],
    says: "GOAWAY 0 PROTOCOL_ERROR",
    answer: BROKEN,
  },
  {
    section: "6.1",
    what: "DATA before the head",
    frames: [frame(f.DATA, 0, 1, "x")],
    says: "RST_STREAM 1 PROTOCOL_ERROR",
    answer: BROKEN,
  },
  {
    section: "6.1",
    what: "padding is taken off",
    frames: [head(OPEN, ":status: 200"), frame(f.DATA, f.PADDED | f.END_STREAM, 1, [2, 0x6f, 0x6b, 0, 0])],
    answer: /^HTTP\/1.1 200 [^]*\r\n2\r\nok\r\n0\r\n\r\n$/,
  },
  {
    section: "6.4",
    what: "a reset before the head",
    frames: [frame(f.RST_STREAM, 0, 1, number(8))],
    answer: /^HTTP\/1.1 503 [^]*remote reset[^]*CANCEL/,
    flags: "UR",
  },
  {
    section: "6.4",
    what: "a reset inside the body cuts the answer",
    frames: [head(OPEN, ":status: 200"), frame(f.DATA, 0, 1, "ok"), frame(f.RST_STREAM, 0, 1, number(2))],
    answer: /^(HTTP\/1.1 200 [^]*2\r\nok\r\n)?$/,
  },
  {
    section: "6.5",
    what: "an acknowledgement with something in it",
    frames: [frame(f.SETTINGS, f.ACK, 0, [0, 1, 0, 0, 0, 0])],
    says: "GOAWAY 0 FRAME_SIZE_ERROR",
    answer: BROKEN,
  },
  {
    section: "6.5.2",
    what: "a server that switches push on",
    frames: [frame(f.SETTINGS, 0, 0, [0, 2, 0, 0, 0, 1])],
    says: "GOAWAY 0 PROTOCOL_ERROR",
    answer: BROKEN,
  },
  {
    section: "6.6",
    what: "a push that was switched off",
    frames: [frame(f.PUSH_PROMISE, OPEN, 1, [...number(2), ...block(":method: GET")])],
    says: "GOAWAY 0 PROTOCOL_ERROR",
    answer: BROKEN,
  },
  {
    section: "6.7",
    what: "a ping is answered",
    frames: [frame(f.PING, 0, 0, "12345678"), ok],
    says: "PING ack",
    answer: GOOD,
  },
  {
    section: "6.8",
    what: "what runs is answered after GOAWAY",
    frames: [frame(f.GOAWAY, 0, 0, [...number(1), ...number(0)]), ok],
    answer: GOOD,
  },
  {
    section: "6.9",
    what: "a window that grows by nothing",
    frames: [frame(f.WINDOW_UPDATE, 0, 1, number(0))],
    says: "RST_STREAM 1 PROTOCOL_ERROR",
    answer: BROKEN,
  },
  {
    section: "6.9.1",
    what: "a connection's window beyond its bound",
    frames: [frame(f.WINDOW_UPDATE, 0, 0, number(0x7fffffff))],
    says: "GOAWAY 0 FLOW_CONTROL_ERROR",
    answer: BROKEN,
  },
  {
    section: "6.10",
    what: "a block in pieces",
    frames: [
      frame(f.HEADERS, f.END_STREAM, 1, [...block(":status: 200")]),
      frame(f.CONTINUATION, OPEN, 1, [...block("x-a: 1")]),
    ],
    answer: /^HTTP\/1.1 200 [^]*x-a: 1\r\n/,
  },
  {
    section: "6.10",
    what: "CONTINUATION of nothing",
    frames: [frame(f.CONTINUATION, OPEN, 1, [...block("x-a: 1")])],
    says: "GOAWAY 0 PROTOCOL_ERROR",
    answer: BROKEN,
  },
  {
    section: "8.1",
    what: "interim answers, body, trailers",
    frames: [
      head(OPEN, ":status: 103", "link: </a>"),
      head(OPEN, ":status: 200"),
      frame(f.DATA, 0, 1, "ok"),
      head(END, "x-t: 1"),
    ],
    answer: /^HTTP\/1.1 103 [^]*\r\n\r\nHTTP\/1.1 200 [^]*2\r\nok\r\n0\r\nx-t: 1\r\n\r\n$/,
  },
  {
    section: "8.1",
    what: "a whole answer before the end of the request, then NO_ERROR",
    frames: [ok, frame(f.RST_STREAM, 0, 1, number(0))],
    answer: GOOD,
    post: true,
  },
  {
    section: "8.1.1",
    what: "less body than content-length says",
    frames: [head(OPEN, ":status: 200", "content-length: 4"), frame(f.DATA, f.END_STREAM, 1, "ok")],
    says: "RST_STREAM 1 PROTOCOL_ERROR",
    answer: /^(HTTP\/1.1 200 [^]*content-length: 4\r\n[^]*\r\n\r\n(ok)?)?$/,
  },
  {
    section: "8.2.1",
    what: "an upper-case name",
    frames: [head(END, ":status: 200", "X-A: 1")],
    says: "RST_STREAM 1 PROTOCOL_ERROR",
    answer: BROKEN,
  },
  {
    section: "8.2.2",
    what: "a field of the connection",
    frames: [head(END, ":status: 200", "connection: close")],
    says: "RST_STREAM 1 PROTOCOL_ERROR",
    answer: BROKEN,
  },
  {
    section: "8.3.2",
    what: "no :status",
    frames: [head(END, "x-a: 1")],
    says: "RST_STREAM 1 PROTOCOL_ERROR",
    answer: BROKEN,
  },
  {
    section: "8.6",
    what: "101 does not exist",
    frames: [head(OPEN, ":status: 101")],
    says: "RST_STREAM 1 PROTOCOL_ERROR",
    answer: BROKEN,
  },
];

/** An upstream of one connection that collects what the agent says. */
class RawUpstream {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  #conn: Deno.TcpConn | null = null;
  #said = new Uint8Array(0);
  #reading: Promise<void> | null = null;
  #changed = (): void => {};

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Takes the connection and says SETTINGS. */
  async accept(): Promise<void> {
    this.#conn = await this.#listener.accept();
    await this.say([frame(f.SETTINGS, 0, 0)]);
    this.#reading = this.#read(this.#conn);
  }

  async #read(conn: Deno.TcpConn): Promise<void> {
    const buf = new Uint8Array(65_536);
    for (;;) {
      const n = await conn.read(buf).catch(() => null);
      if (n === null) break;
      this.#said = Uint8Array.from([...this.#said, ...buf.subarray(0, n)]);
      this.#changed();
    }
  }

  async say(list: Frames): Promise<void> {
    for (const piece of list) {
      for (let at = 0; at < piece.length;) at += await this.#conn!.write(piece.subarray(at));
    }
  }

  /** Every frame so far, in words. */
  get heard(): string[] {
    return inWords(this.#said.subarray(f.PREFACE.length));
  }

  /** Resolves when one of the frames is like this. */
  async hears(pattern: RegExp): Promise<void> {
    while (!this.heard.some((line) => pattern.test(line))) {
      await new Promise<void>((resolve) => this.#changed = resolve);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    try {
      this.#conn?.close();
    } catch {
      // Closed already.
    }
    await this.#reading;
  }
}

/** `svc.test` is spoken to in HTTP/2. */
function serve(rig: InProcessRig, port: number): void {
  const world = worldOf([port]);
  const name = "outbound|80||svc.test";
  const cluster = {
    ...world.program.clusters.get(name)!,
    httpProtocolOptions: { protocol: "HTTP2" as const },
  };
  rig.world = { ...world, program: { ...world.program, clusters: new Map([[name, cluster]]) } };
}

for (const row of ROWS) {
  Deno.test(`RFC 9113 ${row.section}, towards upstreams: ${row.what}`, async () => {
    await using upstream = new RawUpstream();
    await using rig = startRig("native");
    serve(rig, upstream.port);
    using client = await RawClient.connect(rig.address);
    const [method, length] = row.post ? ["POST", "Content-Length: 9\r\n"] : ["GET", ""];
    await client.send(`${method} / HTTP/1.1\r\nHost: svc.test\r\nConnection: close\r\n${length}\r\n`);
    await within(upstream.accept(), "a connection");
    await within(upstream.hears(/^HEADERS 1 /), "the request");
    await upstream.say(row.frames);
    const answer = await within(client.toEnd(), "the answer");
    assert.match(answer, row.answer);
    const { says } = row;
    if (says !== undefined) {
      await within(upstream.hears(new RegExp(`^${says}$`)), `${says} in ${upstream.heard.join(", ")}`);
    }
    if (row.flags !== undefined) assert.equal(rig.records[0]!.flags, row.flags);
    assert.deepEqual(rig.errors, []);
  });
}

Deno.test("RFC 9113 5.4.2: a client that leaves resets its stream, and the connection stays", async () => {
  await using upstream = new RawUpstream();
  await using rig = startRig("native");
  serve(rig, upstream.port);
  {
    using client = await RawClient.connect(rig.address);
    await client.send("GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n");
    await within(upstream.accept(), "a connection");
    await within(upstream.hears(/^HEADERS 1 /), "the request");
  }
  await within(upstream.hears(/^RST_STREAM 1 CANCEL$/), "the reset");
  using client = await RawClient.connect(rig.address);
  await client.send("GET / HTTP/1.1\r\nHost: svc.test\r\nConnection: close\r\n\r\n");
  await within(upstream.hears(/^HEADERS 3 /), "the next request");
  await upstream.say([frame(f.HEADERS, END, 3, [...block(":status: 200")])]);
  assert.match(await within(client.toEnd(), "the answer"), GOOD);
  assert.equal(rig.open.upstream, 1);
});
