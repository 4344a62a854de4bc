/** HTTP/2 ends for the differential tests: a client, and the HTTP/2 side of an upstream. The agent's own codec over a plain socket. */
import { textOf } from "../harness/bytes.ts";
import type { MessageHead } from "../../agent/wire/http1/head.ts";
import {
  Http2Connection,
  type Http2Handler,
  type Http2Options,
  type Http2Stream,
} from "../../agent/wire/http2/connection.ts";
import { errorName, problemOf } from "../../agent/wire/http2/problems.ts";
import {
  bytesOf,
  closeQuietly,
  parseHead,
  type RawRequest,
  type RawResponse,
  type SeenRequest,
  tellSeen,
  type Upstream,
  writeAll,
} from "./raw_http.ts";

type Fields = readonly (readonly [string, string])[];

function headOf(first: string, fields: Fields): Uint8Array {
  return bytesOf(`${[first, ...fields.map(([k, v]) => `${k}: ${v}`)].join("\r\n")}\r\n\r\n`);
}

function linesOf(fields: Fields): Uint8Array {
  return bytesOf(fields.map(([k, v]) => `${k}: ${v}\r\n`).join(""));
}

/** Trailers have no first line. */
function trailersOf(head: MessageHead): [string, string][] {
  return parseHead(`\r\n${textOf(head.buf.subarray(head.start, head.end - 2)).trimEnd()}`).headers;
}

/** What has come on a stream. */
class Incoming {
  first = "";
  headers: [string, string][] = [];
  trailers: [string, string][] = [];
  body = "";
  /** What is left of an answer's body to send. */
  rest: Uint8Array | null = null;
  onEnd: (reset?: string) => void = () => {};
  onHead: () => void = () => {};
  onReset: () => void = () => {};
}

/** One connection: reads until its end, writes what there is. */
class Driver implements Http2Handler {
  readonly connection: Http2Connection;
  readonly done: Promise<void>;
  problem = 0;
  #writing = false;

  constructor(
    side: "client" | "server",
    readonly socket: Deno.Conn,
    first: Uint8Array,
    readonly onStream: (driver: Driver, stream: Http2Stream, incoming: Incoming) => void,
    options: Http2Options = {},
  ) {
    this.connection = new Http2Connection(side, this, options);
    this.done = this.#run(first);
  }

  async #run(first: Uint8Array): Promise<void> {
    const buf = new Uint8Array(65536);
    buf.set(first);
    let end = first.length;
    try {
      for (;;) {
        const start = this.connection.receive(buf, 0, end, performance.now());
        buf.copyWithin(0, start, end);
        end -= start;
        await this.flush();
        if (this.connection.failed) break;
        const n = await this.socket.read(buf.subarray(end));
        if (n === null) break;
        end += n;
      }
    } catch {
      // The other side went away.
    } finally {
      this.connection.abandon();
      closeQuietly(this.socket);
    }
  }

  async flush(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    try {
      while (this.connection.pending > 0) {
        await writeAll(this.socket, this.connection.take());
        this.connection.written();
      }
    } finally {
      this.#writing = false;
    }
  }

  of(stream: Http2Stream): Incoming {
    return (stream.owner ??= new Incoming()) as Incoming;
  }

  headers(stream: Http2Stream, head: MessageHead, endStream: boolean): void {
    const { first, headers } = parseHead(head.text.trimEnd());
    this.connection.heads.give(head);
    // An interim answer is followed by the real one.
    if (/^HTTP\/1\.1 1/.test(first)) return;
    const incoming = this.of(stream);
    incoming.first = first;
    incoming.headers = headers;
    if (this.connection.server) this.onStream(this, stream, incoming);
    incoming.onHead();
    if (endStream) incoming.onEnd();
  }

  data(stream: Http2Stream, buf: Uint8Array, start: number, end: number, endStream: boolean): void {
    const incoming = this.of(stream);
    incoming.body += textOf(buf.subarray(start, end));
    this.connection.consumed(stream, end - start);
    if (endStream) incoming.onEnd();
  }

  trailers(stream: Http2Stream, head: MessageHead): void {
    const incoming = this.of(stream);
    incoming.trailers = trailersOf(head);
    this.connection.heads.give(head);
    incoming.onEnd();
  }

  reset(stream: Http2Stream, code: number): void {
    const incoming = this.of(stream);
    incoming.onReset();
    incoming.onEnd(errorName(code));
  }

  writable(stream: Http2Stream): void {
    const incoming = this.of(stream);
    if (incoming.rest !== null) send(this.connection, stream, incoming.rest, true);
  }

  refused(): void {}
  settings(): void {}
  goAway(): void {}
  pong(): void {}
  drained(): void {}
  failed(problem: number): void {
    this.problem = problem;
  }
}

function send(connection: Http2Connection, stream: Http2Stream, bytes: Uint8Array, end: boolean): void {
  const taken = connection.sendData(stream, bytes, 0, bytes.length, end);
  (stream.owner as Incoming).rest = taken < bytes.length ? bytes.subarray(taken) : null;
}

/** Sends requests one after the other over one connection, reopened when the proxy closes it. */
export class Http2Client {
  #driver: Driver | undefined;
  constructor(readonly port: number) {}

  async send(request: RawRequest): Promise<RawResponse> {
    const { host, path } = /^\w+:\/\/(?<host>[^/?#]*)(?<path>.*)$/.exec(request.url)?.groups as {
      host: string;
      path: string;
    };
    const driver = await this.#open();
    const { connection } = driver;
    const length: Fields = request.body === "" ? [] : [["content-length", String(request.body.length)]];
    const head = headOf(`${request.method} ${path === "" ? "/" : path} HTTP/1.1`, [
      ["host", host],
      ...request.headers,
      ...length,
    ]);
    const stream = connection.request(head, request.body === "");
    if (stream === null) throw new Error(`no stream for ${request.method} ${request.url}`);
    const incoming = driver.of(stream);
    const ended = new Promise<string | undefined>((resolve) => incoming.onEnd = resolve);
    if (request.body !== "") send(connection, stream, bytesOf(request.body), true);
    await driver.flush();
    const reset = await ended;
    if (driver.problem !== 0) {
      throw new Error(`${request.method} ${request.url}: ${problemOf(driver.problem).what}`);
    }
    const { first, headers, body, trailers } = incoming;
    return {
      status: Number(first.split(" ")[1] ?? 0),
      headers,
      body,
      trailers,
      ...(reset === undefined ? {} : { reset }),
    };
  }

  async #open(): Promise<Driver> {
    const old = this.#driver;
    if (old?.connection.canRequest === true) return old;
    this.close();
    const socket = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
    return this.#driver = new Driver("client", socket, new Uint8Array(0), () => {});
  }

  close(): void {
    if (this.#driver !== undefined) closeQuietly(this.#driver.socket);
    this.#driver = undefined;
  }
}

/** What a server does with a request that has come whole. */
export type Http2Serve = (answer: Answering, seen: SeenRequest, upstream: Upstream) => void;

export interface Answering {
  /** `end`: nothing follows. */
  head(status: number, fields: Fields, end: boolean): void;
  body(text: string, end: boolean): void;
  trailers(fields: Fields): void;
  /** Code of RFC 9113 section 7. */
  reset(code: number): void;
}

/** For {@link Upstream}: as over HTTP/1.1, 200 with what was seen. */
export const answerSeen: Http2Serve = (answer, seen, upstream) => {
  const fields = [...tellSeen(upstream.name, seen), ...upstream.answerHeaders];
  const none = seen.method === "HEAD";
  answer.head(200, [...fields, ["content-length", "2"]], none);
  if (!none) answer.body("ok", true);
};

/** `serve` as the HTTP/2 side of an upstream. */
export function servingHttp2(serve: Http2Serve) {
  return async (upstream: Upstream, socket: Deno.Conn, first: Uint8Array): Promise<void> => {
    const serving = new Driver("server", socket, first, (driver, stream, incoming) => {
      incoming.onEnd = (reset) => {
        if (reset !== undefined) return;
        const [method = "", target = ""] = incoming.first.split(" ");
        serve(answeringOn(driver, stream), {
          version: 2,
          method,
          target,
          headers: incoming.headers,
          body: incoming.body,
        }, upstream);
        void driver.flush();
      };
    });
    await serving.done;
  };
}

function answeringOn(driver: Driver, stream: Http2Stream): Answering {
  const { connection } = driver;
  return {
    head: (status, fields, end) => connection.respond(stream, headOf(`HTTP/1.1 ${status} X`, fields), end),
    body: (text, end) => send(connection, stream, bytesOf(text), end),
    trailers: (fields) => connection.sendTrailers(stream, linesOf(fields)),
    reset: (code) => connection.reset(stream, code),
  };
}
