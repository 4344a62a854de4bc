/**
 * HTTP/2 (RFC 9113), client and server: bytes in, calls of a {@link Http2Handler}; calls in, bytes out. No sockets, timers or promises.
 *
 * In: `receive(buf, start, end, now)` reads whole frames (DATA also in pieces) and gives the position it got to; keep the rest and come
 * again. Out: whenever `pending` is above 0, write what `take()` gives, then call `written()`. Heads go both ways as HTTP/1.1 text: a
 * received one is a MessageHead with spans and kinds as the HTTP/1.1 parser makes it, a sent one is `METHOD path HTTP/1.1` or
 * `HTTP/1.1 200 OK` with lines and an empty line. Connection fields are dropped on the way out, `Host` is `:authority`.
 *
 * @example
 * ```ts ignore
 * const connection = new Http2Connection("server", handler); // handler.headers = (stream, head, end) => ...
 * input.start = connection.receive(input.buf, input.start, input.end, clock.monotonic());
 * connection.respond(stream, utf8("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n"), false);
 * connection.sendData(stream, bytes, 0, bytes.length, true); // bytes taken; the rest after handler.writable(stream)
 * while (connection.pending > 0) {
 *   await writeAll(conn, connection.take());
 *   connection.written();
 * }
 * ```
 */
import type { Floods } from "./floods.ts";
import { FrameReader } from "./frame_reader.ts";
import * as frames from "./frames.ts";
import type { Http2Handler } from "./handler.ts";
import { HeadPool } from "./header_rules.ts";
import { CONNECT_METHOD, HEAD_METHOD } from "./message_encoder.ts";
import { Receiving } from "./receiving.ts";
import type { Sending } from "./sending.ts";
import { Session } from "./session.ts";
import { announced, DEFAULT_LIMITS, type Http2Limits, type PeerSettings } from "./settings.ts";
import type { Http2Stream } from "./stream.ts";
import { LAST_STREAM_ID, type OpenStreams } from "./stream_table.ts";

export type { Http2Handler } from "./handler.ts";
export { HeadPool } from "./header_rules.ts";
export { DEFAULT_LIMITS, type Http2Limits } from "./settings.ts";
export { Http2Stream } from "./stream.ts";

export interface Http2Options {
  readonly limits?: Partial<Http2Limits>;
  /** Shared by connections of the same `maxHeaderCount`; default: one of its own. */
  readonly heads?: HeadPool;
  /** Huffman coding of sent values; default false. */
  readonly huffman?: boolean;
}

/** A block this much larger than the list it may hold is not even decoded. */
const BLOCK_FACTOR = 2;
const NO_BYTES = new Uint8Array(0);

export class Http2Connection {
  readonly #session: Session;
  readonly #sending: Sending;
  readonly #receiving: Receiving;
  readonly #reader: FrameReader;

  constructor(side: "client" | "server", handler: Http2Handler, options: Http2Options = {}) {
    const server = side === "server";
    const limits = limitsOf(options.limits);
    const heads = options.heads ?? new HeadPool(limits.maxHeaderCount);
    const session = this.#session = new Session(server, handler, limits, heads, options.huffman ?? false);
    this.#sending = session.sending;
    this.#reader = new FrameReader(
      server,
      this.#receiving = new Receiving(session),
      limits.maxFrameSize,
      BLOCK_FACTOR * limits.maxHeaderListSize,
    );
    const { out } = this.#sending;
    if (!server) {
      out.ensure(frames.PREFACE.length);
      out.buf.set(frames.PREFACE, out.length);
      out.length += frames.PREFACE.length;
    }
    frames.writeSettings(out, announced(limits, server));
    session.window.renew();
  }

  get server(): boolean {
    return this.#session.server;
  }

  get limits(): Http2Limits {
    return this.#session.limits;
  }

  get heads(): HeadPool {
    return this.#session.heads;
  }

  get floods(): Floods {
    return this.#session.floods;
  }

  /** The connection is over: nothing is read or said any more. */
  get failed(): boolean {
    return this.#session.failed;
  }

  /** Why; 0 when the transport ended. */
  get failure(): number {
    return this.#session.failure;
  }

  /** We take no new streams, or open none. */
  get draining(): boolean {
    return this.#session.draining;
  }

  /** The peer has said so. */
  get peerDraining(): boolean {
    return this.#session.peerDraining;
  }

  /** All of our SETTINGS were acknowledged. */
  get settingsAcknowledged(): boolean {
    return this.#session.settingsAcknowledged;
  }

  /** Those that are not over, by number. */
  get streams(): Pick<OpenStreams, "size" | "get" | "values"> {
    return this.#session.streams.open;
  }

  /** What the peer has announced. */
  get peer(): PeerSettings {
    return this.#sending.peer;
  }

  // ---------------------------------------------------------------- output

  /** Bytes that wait to be written. */
  get pending(): number {
    return this.#sending.out.length;
  }

  /** Hands them out; they stay valid until {@link written}. */
  take(): Uint8Array {
    this.#session.answers = 0;
    return this.#sending.out.take();
  }

  /** The bytes of `take` are written: streams that wait for room go on. */
  written(): void {
    this.#sending.out.written();
    if (!this.failed) this.#sending.wake();
  }

  // ---------------------------------------------------------------- sending

  /** Client: may a request be sent now? */
  get canRequest(): boolean {
    const { failed, draining, peerDraining, streams } = this.#session;
    return !failed && !draining && !peerDraining && streams.nextId < LAST_STREAM_ID &&
      streams.open.size < this.peer.maxConcurrentStreams;
  }

  /**
   * Client: opens a stream with a request head; null when that cannot be now. `protocol`: as an extended CONNECT (RFC 8441), only when
   * `peer.connectProtocol` allows it.
   */
  request(head: Uint8Array, endStream: boolean, https = false, protocol = ""): Http2Stream | null {
    if (!this.canRequest) return null;
    const session = this.#session;
    const stream = session.open(session.streams.nextId);
    session.streams.nextId += 2;
    const sending = this.#sending;
    const start = sending.beginBlock();
    const method = sending.messages.request(sending.out, head, https, protocol);
    sending.endBlock(start, stream.id, endStream);
    stream.headSent = true;
    stream.https = https;
    stream.bodiless = method === HEAD_METHOD;
    stream.connect = method === CONNECT_METHOD;
    stream.localClosed = endStream;
    return stream;
  }

  /** Server: an answer's head; with a status below 200 an interim one, without `endStream`. */
  respond(stream: Http2Stream, head: Uint8Array, endStream: boolean): void {
    if (stream.closed || stream.localClosed) return;
    const sending = this.#sending;
    const start = sending.beginBlock();
    const status = sending.messages.response(sending.out, head);
    sending.endBlock(start, stream.id, endStream);
    if (status >= 200) stream.headSent = true;
    if (endStream) this.#session.endLocal(stream);
  }

  /**
   * Sends body bytes `[start, end)` and with the last of them the end. Gives how many were taken: what is left has to come again after
   * `handler.writable(stream)`. A stream that is over takes everything and sends nothing.
   */
  sendData(stream: Http2Stream, buf: Uint8Array, start: number, end: number, endStream: boolean): number {
    if (stream.closed || stream.localClosed) return end - start;
    const taken = this.#sending.data(stream, buf, start, end, endStream);
    if (endStream && taken === end - start) this.#session.endLocal(stream);
    return taken;
  }

  /** Ends our side without more bytes. */
  sendEnd(stream: Http2Stream): void {
    this.sendData(stream, NO_BYTES, 0, 0, true);
  }

  /** Ends our side with trailers, lines `name: value CRLF`. All data must have been taken before. */
  sendTrailers(stream: Http2Stream, lines: Uint8Array): void {
    if (stream.closed || stream.localClosed) return;
    const sending = this.#sending;
    const start = sending.beginBlock();
    sending.messages.trailers(sending.out, lines);
    sending.endBlock(start, stream.id, true);
    this.#session.endLocal(stream);
  }

  /** Ends the stream at once, both sides; the handler is not told. `code`: RFC 9113 section 7. */
  reset(stream: Http2Stream, code: number): void {
    this.#session.reset(stream, code);
  }

  /** Bytes of `handler.data` were used up: the peer may send as many again. */
  consumed(stream: Http2Stream, bytes: number): void {
    const { failed, window } = this.#session;
    if (!failed) window.consumed(stream, bytes);
  }

  /** `handler.pong` is called when the peer answers. */
  ping(): void {
    if (this.failed) return;
    this.#session.pings++;
    frames.writePing(this.#sending.out, NO_OPAQUE, 0, false);
  }

  /**
   * Says goodbye in order (RFC 9113 section 6.8). A server takes what is on its way until the peer has read the first GOAWAY (or until
   * this is called again), then nothing new; a client opens no more streams. `handler.drained` tells when the last stream is over.
   */
  goAway(): void {
    this.#session.goAway();
  }

  /** Ends everything: GOAWAY goes into the output and every stream is told. */
  fail(number: number): void {
    this.#session.fail(number);
  }

  /**
   * Nothing was said for a while, and no stream is open: gives back what only makes the next message cheaper. `nowMs`: as of `receive`.
   * The peer notices nothing.
   */
  fold(nowMs: number): void {
    const { streams, floods } = this.#session;
    if (streams.open.size > 0) return;
    floods.passTime(nowMs);
    floods.fold();
    streams.fold();
    this.#receiving.fold();
    this.#sending.messages.fold();
  }

  /** The transport ended: every stream that is not over is told, as reset by CANCEL. Idempotent. */
  abandon(): void {
    this.#session.abandon();
  }

  // ---------------------------------------------------------------- receiving

  /**
   * Reads `buf[start, end)`; gives the position after what was used. `nowMs`: monotonic, for the floods' budgets. Frames other than DATA
   * are read whole, so the caller's buffer must be able to hold `limits.maxFrameSize` + 9 bytes.
   */
  receive(buf: Uint8Array, start: number, end: number, nowMs: number): number {
    this.floods.passTime(nowMs);
    return this.#reader.read(buf, start, end);
  }
}

const NO_OPAQUE = new Uint8Array(8);

/** The last ones: connections with the same limits share one object of them. */
let shared = DEFAULT_LIMITS;

function limitsOf(given: Partial<Http2Limits> | undefined): Http2Limits {
  if (given === undefined) return DEFAULT_LIMITS;
  const limits: Http2Limits = { ...DEFAULT_LIMITS, ...given };
  const names = Object.keys(limits) as (keyof Http2Limits)[];
  if (names.some((name) => limits[name] !== shared[name])) shared = limits;
  return shared;
}
