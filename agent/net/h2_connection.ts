/**
 * One gRPC call (grpc.io, "gRPC over HTTP2") on a connection of its own, by the HTTP/2 codec of wire/http2: over Deno.connect, with
 * node:tls over that where the plan wants TLS.
 *
 * Messages go out and come in as they are: no compression is offered (`grpc-accept-encoding: identity`). DATA is copied into its
 * message as it comes. The windows open again while a reader waits, so a peer is held back by {@link WINDOW_BYTES} that nobody took.
 */
import { Buffer } from "node:buffer";
import type { ByteStream } from "../core/ports.ts";
import { VERSION } from "../core/version.ts";
import { writeAll } from "../core/write_all.ts";
import type { MessageHead } from "../wire/http1/head.ts";
import { Http2Connection, type Http2Handler, type Http2Stream } from "../wire/http2/connection.ts";
import {
  CANCEL,
  ENHANCE_YOUR_CALM,
  errorName,
  INADEQUATE_SECURITY,
  problemOf,
} from "../wire/http2/problems.ts";
import {
  type CallConnection,
  type ConnectionPlan,
  KEEPALIVE_TIMEOUT_MS,
  WINDOW_BYTES,
} from "./call_connection.ts";
import type { CallEnd } from "./connect_error.ts";
import { GrpcDecoder } from "./grpc_decoder.ts";
import { TcpStream } from "./stream.ts";

/** Compressed flag and length before every message. */
const PREFIX_BYTES = 5;
/** Read buffer; holds the largest frame four times. */
const READ_BYTES = 64 * 1024;
const PERMISSION_DENIED = 7;

export class Http2Call implements CallConnection, Http2Handler {
  readonly ready: Promise<void>;
  readonly ended: Promise<CallEnd>;
  socketError: Error | undefined;
  readonly #plan: ConnectionPlan;
  readonly #codec = new Http2Connection("client", this, {
    limits: { streamWindow: WINDOW_BYTES, connectionWindow: WINDOW_BYTES },
  });
  readonly #decoder: GrpcDecoder;
  readonly #dialing = new AbortController();
  readonly #gone: Promise<void>;
  readonly #settleReady: () => void;
  readonly #settleEnded: (end: CallEnd) => void;
  readonly #unlink: () => void;
  #stream: ByteStream | null = null;
  #call: Http2Stream | null = null;
  #writing = false;
  /** Framed messages that the windows have not taken yet; of the first so many bytes are sent. */
  #outgoing: Buffer[] = [];
  #sent = 0;
  #incoming: Uint8Array[] = [];
  /** Bytes handed over for which the windows are not open again. */
  #held = 0;
  #waiting: ((message: Uint8Array | null) => void) | null = null;
  #over = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Bytes came since the last ping. */
  #heard = false;
  #httpStatus = 0;
  #contentType = "";
  #encoding = "";

  constructor(plan: ConnectionPlan) {
    this.#plan = plan;
    this.#decoder = new GrpcDecoder(plan.maxMessageBytes);
    ({ promise: this.ended, resolve: this.#settleEnded } = Promise.withResolvers<CallEnd>());
    ({ promise: this.ready, resolve: this.#settleReady } = Promise.withResolvers<void>());
    const abort = () => this.#dialing.abort();
    plan.signal.addEventListener("abort", abort, { once: true });
    this.#unlink = () => plan.signal.removeEventListener("abort", abort);
    this.#gone = this.#run();
  }

  next(): Promise<Uint8Array | null> {
    const message = this.#incoming.shift();
    if (message !== undefined) {
      this.#release(message.length + PREFIX_BYTES);
      return Promise.resolve(message);
    }
    if (this.#over) return Promise.resolve(null);
    this.#release(Infinity);
    return new Promise((resolve) => this.#waiting = resolve);
  }

  send(message: Uint8Array): void {
    if (this.#over) return;
    const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
    framed[0] = 0;
    framed.writeUInt32BE(message.length, 1);
    framed.set(message, PREFIX_BYTES);
    this.#outgoing.push(framed);
    this.#sendQueued();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unlink();
    this.#incoming = [];
    this.#end({ kind: "lost", details: "closed" });
    this.#dialing.abort();
    const stream = this.#stream;
    // The peer may be frozen: what the system does not take at once is not worth waiting for.
    if (!this.#writing && this.#codec.pending > 0) stream?.write(this.#codec.take()).catch(() => {});
    stream?.close();
  }

  gone(): Promise<void> {
    return this.#gone;
  }

  // ---------------------------------------------------------------- the connection

  async #run(): Promise<void> {
    const codec = this.#codec;
    try {
      const stream = this.#stream = await this.#dial();
      if (this.#closed) return stream.close();
      this.#flush();
      await this.#read(stream);
    } catch (error) {
      this.socketError ??= error as Error;
    }
    const { socketError } = this;
    codec.abandon();
    this.#end({
      kind: "lost",
      details: socketError === undefined ? "it closed the connection" : textOf(socketError),
    });
  }

  async #dial(): Promise<ByteStream> {
    const { address, port, secure, onConnected } = this.#plan;
    const { signal } = this.#dialing;
    const conn = await Deno.connect({ hostname: address, port, signal });
    conn.setKeepAlive(true);
    const stream = new TcpStream(conn, null);
    onConnected();
    if (secure === undefined) return stream;
    const { secureStream } = await import("./tls_stream.ts");
    const stop = () => stream.close();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    return await secureStream(stream, secure);
  }

  /** Until the connection is over. */
  async #read(stream: ByteStream): Promise<void> {
    const codec = this.#codec;
    // As everywhere else in front of the codec, which is compiled for one kind of array.
    const buf = Buffer.allocUnsafeSlow(READ_BYTES);
    let [start, end] = [0, 0];
    for (;;) {
      const n = await stream.read(end === 0 ? buf : buf.subarray(end));
      if (n === null || this.#closed) return;
      this.#heard = true;
      end += n;
      start = codec.receive(buf, start, end, performance.now());
      this.#flush();
      if (codec.failed) return;
      if (start === end) {
        start = end = 0;
      } else if (end === buf.length) {
        buf.copyWithin(0, start, end);
        end -= start;
        start = 0;
      }
    }
  }

  /** Writes what the codec has to say. */
  #flush(): void {
    if (this.#writing || this.#stream === null || this.#closed || this.#codec.pending === 0) return;
    this.#writing = true;
    void this.#write(this.#stream);
  }

  async #write(stream: ByteStream): Promise<void> {
    const codec = this.#codec;
    try {
      while (codec.pending > 0 && !this.#closed) {
        await writeAll(stream, codec.take());
        codec.written();
      }
      // Nothing more will be said, and what was said is why.
      if (codec.failed) stream.close();
    } catch (error) {
      this.socketError ??= error as Error;
      stream.close();
    } finally {
      this.#writing = false;
    }
  }

  #keepAlive(): void {
    const { keepaliveMs } = this.#plan;
    clearTimeout(this.#timer);
    if (keepaliveMs <= 0 || this.#over) return;
    this.#timer = setTimeout(() => {
      this.#heard = false;
      this.#timer = setTimeout(() => {
        // The answer may be late behind a large push.
        if (this.#heard) this.#keepAlive();
        else this.#end({ kind: "silent", details: "" });
      }, Math.min(KEEPALIVE_TIMEOUT_MS, keepaliveMs));
      this.#codec.ping();
      this.#flush();
    }, keepaliveMs);
  }

  // ---------------------------------------------------------------- the call

  #begin(): void {
    const { authority, path, metadata, secure } = this.#plan;
    const lines = [
      `POST ${path} HTTP/1.1`,
      `host: ${authority}`,
      "content-type: application/grpc",
      "te: trailers",
      "grpc-accept-encoding: identity",
      `user-agent: grpc-mesh-agent/${VERSION}`,
      ...metadata.map(([name, value]) => `${name}: ${value}`),
    ];
    this.#call = this.#codec.request(
      Buffer.from(`${lines.join("\r\n")}\r\n\r\n`),
      false,
      secure !== undefined,
    );
    if (this.#call === null) return this.#end({ kind: "lost", details: "it takes no calls" });
    this.#settleReady();
    this.#keepAlive();
    this.#sendQueued();
  }

  #sendQueued(): void {
    const call = this.#call;
    if (call === null) return;
    for (;;) {
      const message = this.#outgoing[0];
      if (message === undefined) break;
      this.#sent += this.#codec.sendData(call, message, this.#sent, message.length, false);
      if (this.#sent < message.length) break;
      this.#outgoing.shift();
      this.#sent = 0;
    }
    this.#flush();
  }

  /** Opens the windows for what was taken out of the queue. */
  #release(bytes: number): void {
    const call = this.#call;
    const n = Math.min(bytes, this.#held);
    if (n === 0 || call === null) return;
    this.#held -= n;
    this.#codec.consumed(call, n);
    this.#flush();
  }

  #end(end: CallEnd): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#outgoing = [];
    if (this.#call !== null) this.#codec.reset(this.#call, CANCEL);
    this.#settleEnded(end);
    this.#deliver(null);
  }

  #deliver(message: Uint8Array | null): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(message);
  }

  /** The answer is over; `fields` has the status, when there is one. */
  #endByServer(fields: MessageHead): void {
    const code = fields.value("grpc-status");
    if (code === undefined) return this.#endWithoutStatus();
    const details = percentDecoded(fields.value("grpc-message") ?? "");
    if (code === "0" && this.#decoder.partial) {
      return this.#end({ kind: "lost", details: "it ended in the middle of a message" });
    }
    this.#end({ kind: "status", code: /^\d{1,3}$/.test(code) ? Number(code) : UNKNOWN, details });
  }

  #endWithoutStatus(): void {
    const said = this.#contentType === "" ? "" : `, ${this.#contentType}`;
    this.#end({ kind: "no grpc", details: `HTTP status ${this.#httpStatus}${said}` });
  }

  get #isGrpc(): boolean {
    return this.#httpStatus === 200 &&
      (this.#contentType === "" || this.#contentType.startsWith("application/grpc"));
  }

  // ---------------------------------------------------------------- Http2Handler

  headers(_stream: Http2Stream, head: MessageHead, endStream: boolean): void {
    if (head.status >= 200) {
      this.#httpStatus = head.status;
      this.#contentType = head.value("content-type") ?? "";
      this.#encoding = head.value("grpc-encoding") ?? "identity";
      if (endStream) this.#endByServer(head);
    }
    this.#codec.heads.give(head);
  }

  trailers(_stream: Http2Stream, head: MessageHead): void {
    this.#endByServer(head);
    this.#codec.heads.give(head);
  }

  data(stream: Http2Stream, buf: Uint8Array, start: number, end: number, endStream: boolean): void {
    if (!this.#isGrpc) {
      // A page for humans; its trailers may still have a status.
      this.#codec.consumed(stream, end - start);
      if (endStream) this.#endWithoutStatus();
      return;
    }
    this.#held += end - start;
    try {
      for (const message of this.#decoder.write(buf.subarray(start, end))) {
        if (message[0] !== 0) {
          const details = `it compresses messages (${this.#encoding}), which was not offered`;
          return this.#end({ kind: "lost", details });
        }
        this.#incoming.push(new Uint8Array(message.buffer, PREFIX_BYTES));
      }
    } catch (error) {
      return this.#end({ kind: "too large", details: (error as Error).message });
    }
    if (this.#waiting !== null) {
      this.#release(Infinity);
      const message = this.#incoming.shift();
      if (message !== undefined) this.#deliver(message);
    }
    if (endStream) this.#end({ kind: "lost", details: "it ended the call without a status" });
  }

  reset(_stream: Http2Stream, code: number, unprocessed: boolean, problem: number): void {
    if (problem !== 0) {
      const { what, source } = problemOf(problem);
      return this.#end({ kind: "lost", details: `it breaks HTTP/2: ${what} (${source})` });
    }
    // Told by the loop, which knows more.
    if (this.#codec.failed) return;
    if (code === ENHANCE_YOUR_CALM) return this.#end({ kind: "calm", details: "" });
    if (code === INADEQUATE_SECURITY) {
      return this.#end({ kind: "status", code: PERMISSION_DENIED, details: errorName(code) });
    }
    this.#end({
      kind: "lost",
      details: unprocessed ? "it refused the call" : `RST_STREAM ${errorName(code)}`,
    });
  }

  writable(): void {
    this.#sendQueued();
  }

  settings(): void {
    if (this.#call === null && !this.#over) this.#begin();
  }

  /** Without an error the call goes on until the server ends it. */
  goAway(_lastId: number, code: number, debug: string): void {
    if (code === ENHANCE_YOUR_CALM) this.#end({ kind: "calm", details: "" });
    else if (code !== 0) this.#end({ kind: "lost", details: `GOAWAY ${errorName(code)} ${debug}`.trim() });
  }

  pong(): void {
    this.#keepAlive();
  }

  refused(): void {}

  drained(): void {}

  failed(problem: number): void {
    const { what, source } = problemOf(problem);
    this.#end({ kind: "lost", details: `it breaks HTTP/2: ${what} (${source})` });
  }
}

/** gRPC status of an answer whose own is no number. */
const UNKNOWN = 2;

/** Of a socket's error: its code too, which tells more than the runtime's words. */
function textOf(error: Error & { code?: string }): string {
  return error.code === undefined || error.message.includes(error.code)
    ? error.message
    : `${error.message} (${error.code})`;
}

/** `grpc-message`; what is no UTF-8 stays as it is (grpc.io, "gRPC over HTTP2"). */
function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
