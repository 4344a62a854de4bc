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
import { latin1, type MessageHead } from "../http1/head.ts";
import {
  announced,
  DEFAULT_LIMITS,
  DEFAULT_TABLE_SIZE,
  DEFAULT_WINDOW,
  type Http2Limits,
  MAX_WINDOW,
  type PeerSettings,
} from "./settings.ts";
import { checkAnswer, checkData, checkTrailers } from "./answer_rules.ts";
import * as floods from "./floods.ts";
import { FrameReader, type FrameTarget } from "./frame_reader.ts";
import * as frames from "./frames.ts";
import type { Http2Handler } from "./handler.ts";
import { HeadBuilder, HeadPool, REQUEST, RESPONSE, TRAILERS } from "./header_rules.ts";
import { HpackDecoder } from "./hpack_decoder.ts";
import { CONNECT_METHOD, HEAD_METHOD } from "./message_encoder.ts";
import * as problem from "./problems.ts";
import { ReceiveWindow } from "./receive_window.ts";
import { Sending } from "./sending.ts";
import { Http2Stream } from "./stream.ts";
import { IGNORE, LAST_STREAM_ID, type OpenStreams, StreamTable } from "./stream_table.ts";

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

/** Answers to control frames between two writes. */
const MAX_PENDING_ANSWERS = 1000;
/** A block this much larger than the list it may hold is not even decoded. */
const BLOCK_FACTOR = 2;
/** Payload of the ping that follows the first GOAWAY: its answer says that the peer has read it. */
const FAREWELL = new TextEncoder().encode("farewell");
const NO_BYTES = new Uint8Array(0);

let builder = new HeadBuilder(0);

/** Connections share one, because a block is read in one go. */
function builderOf(maxListSize: number): HeadBuilder {
  if (builder.maxListSize !== maxListSize) builder = new HeadBuilder(maxListSize);
  return builder;
}

export class Http2Connection {
  readonly server: boolean;
  readonly limits: Http2Limits;
  readonly heads: HeadPool;
  readonly floods = new floods.Floods();
  /** The connection is over: nothing is read or said any more. */
  failed = false;
  /** Why; 0 when the transport ended. */
  failure = 0;
  /** We take no new streams, or open none. */
  draining = false;
  /** The peer has said so. */
  peerDraining = false;
  /** All of our SETTINGS were acknowledged. */
  settingsAcknowledged = false;
  readonly #handler: Http2Handler;
  readonly #streams: StreamTable;
  readonly #sending: Sending;
  readonly #window: ReceiveWindow;
  readonly #decoder = new HpackDecoder(DEFAULT_TABLE_SIZE);
  readonly #builder: HeadBuilder;
  readonly #reader: FrameReader;
  #awaitsFarewell = false;
  #answers = 0;
  /** Our pings that were not answered. */
  #pings = 0;
  /** Whose DATA is under way; null when nobody wants it. */
  #dataStream: Http2Stream | null = null;
  #dataEnds = false;
  constructor(side: "client" | "server", handler: Http2Handler, options: Http2Options = {}) {
    this.server = side === "server";
    this.#handler = handler;
    const limits = this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#streams = new StreamTable(this.server, limits.maxConcurrentStreams);
    this.heads = options.heads ?? new HeadPool(limits.maxHeaderCount);
    this.#sending = new Sending(handler, limits, this.floods, { huffman: options.huffman ?? false });
    this.#window = new ReceiveWindow(this.#sending.out, limits);
    this.#builder = builderOf(limits.maxHeaderListSize);
    this.#reader = new FrameReader(
      this.server,
      new Http2Connection.#Frames(this),
      limits.maxFrameSize,
      BLOCK_FACTOR * limits.maxHeaderListSize,
    );
    const { out } = this.#sending;
    if (!this.server) {
      out.ensure(frames.PREFACE.length);
      out.buf.set(frames.PREFACE, out.length);
      out.length += frames.PREFACE.length;
    }
    frames.writeSettings(out, announced(limits, this.server));
    this.#window.renew();
  }

  /** Those that are not over, by number. */
  get streams(): Pick<OpenStreams, "size" | "get" | "values"> {
    return this.#streams.open;
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
    this.#answers = 0;
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
    return !this.failed && !this.draining && !this.peerDraining && this.#streams.nextId < LAST_STREAM_ID &&
      this.streams.size < this.peer.maxConcurrentStreams;
  }

  /**
   * Client: opens a stream with a request head; null when that cannot be now. `protocol`: as an extended CONNECT (RFC 8441), only when
   * `peer.connectProtocol` allows it.
   */
  request(head: Uint8Array, endStream: boolean, https = false, protocol = ""): Http2Stream | null {
    if (!this.canRequest) return null;
    const stream = this.#open(this.#streams.nextId);
    this.#streams.nextId += 2;
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
    if (endStream) this.#endLocal(stream);
  }

  /**
   * Sends body bytes `[start, end)` and with the last of them the end. Gives how many were taken: what is left has to come again after
   * `handler.writable(stream)`. A stream that is over takes everything and sends nothing.
   */
  sendData(stream: Http2Stream, buf: Uint8Array, start: number, end: number, endStream: boolean): number {
    if (stream.closed || stream.localClosed) return end - start;
    const taken = this.#sending.data(stream, buf, start, end, endStream);
    if (endStream && taken === end - start) this.#endLocal(stream);
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
    this.#endLocal(stream);
  }

  /** Ends the stream at once, both sides; the handler is not told. `code`: RFC 9113 section 7. */
  reset(stream: Http2Stream, code: number): void {
    if (stream.closed || this.failed) return;
    frames.writeReset(this.#sending.out, stream.id, code);
    this.#rememberReset(stream.id);
    this.#remove(stream);
  }

  /** Bytes of `handler.data` were used up: the peer may send as many again. */
  consumed(stream: Http2Stream, bytes: number): void {
    if (!this.failed) this.#window.consumed(stream, bytes);
  }

  /** `handler.pong` is called when the peer answers. */
  ping(): void {
    if (this.failed) return;
    this.#pings++;
    frames.writePing(this.#sending.out, NO_OPAQUE, 0, false);
  }

  /**
   * Says goodbye in order (RFC 9113 section 6.8). A server takes what is on its way until the peer has read the first GOAWAY (or until
   * this is called again), then nothing new; a client opens no more streams. `handler.drained` tells when the last stream is over.
   */
  goAway(): void {
    if (this.failed) return;
    const { out } = this.#sending;
    if (!this.draining && this.server) {
      this.draining = this.#awaitsFarewell = true;
      frames.writeGoAway(out, LAST_STREAM_ID, problem.NO_ERROR, "");
      frames.writePing(out, FAREWELL, 0, false);
      return;
    }
    if (this.draining && !this.#awaitsFarewell) return;
    this.draining = true;
    this.#awaitsFarewell = false;
    this.#streams.lastTaken = this.#streams.lastPeerId;
    frames.writeGoAway(out, this.#streams.lastPeerId, problem.NO_ERROR, "");
    this.#checkDrained();
  }

  /** Ends everything: GOAWAY goes into the output and every stream is told. */
  fail(number: number): void {
    if (this.failed) return;
    const { code, what } = problem.problemOf(number);
    frames.writeGoAway(this.#sending.out, this.#streams.lastPeerId, code, what);
    this.failure = number;
    this.#endStreams(code, number);
    this.#handler.failed(number);
  }

  /** The transport ended: every stream that is not over is told, as reset by CANCEL. Idempotent. */
  abandon(): void {
    if (!this.failed) this.#endStreams(problem.CANCEL, 0);
  }

  #endStreams(code: number, number: number): void {
    this.failed = this.#reader.stopped = true;
    this.#dataStream = null;
    const streams = this.streams.values();
    this.#streams.open.clear();
    for (const stream of streams) {
      stream.closed = true;
      stream.held = 0;
      this.#handler.reset(stream, code, false, number);
    }
  }

  // ---------------------------------------------------------------- streams

  #open(id: number): Http2Stream {
    const window = this.limits.streamWindow;
    const receive = this.settingsAcknowledged ? window : Math.max(window, DEFAULT_WINDOW);
    const stream = new Http2Stream(id, this.peer.initialWindowSize, receive);
    this.#streams.open.add(stream);
    return stream;
  }

  #endLocal(stream: Http2Stream): void {
    stream.localClosed = true;
    if (stream.remoteClosed) this.#finish(stream);
  }

  #endRemote(stream: Http2Stream): void {
    stream.remoteClosed = true;
    if (stream.localClosed) this.#finish(stream);
  }

  #finish(stream: Http2Stream): void {
    if (stream.closed) return;
    this.floods.earn(floods.RESET, 1);
    this.#remove(stream);
  }

  #remove(stream: Http2Stream): void {
    this.#streams.remove(stream);
    if (stream.held > 0) this.#window.forget(stream);
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (this.streams.size > 0 || this.failed) return;
    if (this.draining && !this.#awaitsFarewell || this.peerDraining) this.#handler.drained();
  }

  #rememberReset(id: number): void {
    this.#streams.rememberReset(id);
    // What is on its way already is no nonsense.
    this.floods.earn(floods.CLOSED, 32);
  }

  /** The stream broke the rules: RST_STREAM, and the handler is told when it knows the stream. */
  #streamError(id: number, number: number): void {
    const { code } = problem.problemOf(number);
    const stream = this.streams.get(id);
    if (this.#streams.isIdle(id)) return this.fail(number);
    frames.writeReset(this.#sending.out, id, code);
    this.#rememberReset(id);
    if (stream !== undefined) {
      this.#remove(stream);
      this.#handler.reset(stream, code, false, number);
    }
    // Else a peer could make us do a rapid reset to ourselves.
    const flood = this.server ? this.floods.spend(floods.RESET) : this.#answer();
    if (flood < 0) this.fail(flood);
  }

  /** One more answer that the peer has to read. */
  #answer(): number {
    return ++this.#answers > MAX_PENDING_ANSWERS ? problem.OUTPUT_FLOOD : 0;
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

  /** One object instead of a closure for every kind of frame: connections are many. */
  static readonly #Frames = class implements FrameTarget {
    constructor(readonly to: Http2Connection) {}

    data(id: number, length: number, weight: number, endStream: boolean): number {
      return this.to.#data(id, length, weight, endStream);
    }

    dataPiece(buf: Uint8Array, start: number, end: number, last: boolean): void {
      this.to.#dataPiece(buf, start, end, last);
    }

    block(
      id: number,
      endStream: boolean,
      buf: Uint8Array,
      start: number,
      end: number,
      fault: number,
    ): number {
      return this.to.#block(id, endStream, buf, start, end, fault);
    }

    reset(id: number, code: number): number {
      return this.to.#peerReset(id, code);
    }

    settings(ack: boolean, buf: Uint8Array, start: number, end: number): number {
      return ack ? this.to.#settingsAck() : this.to.#settings(buf, start, end);
    }

    ping(ack: boolean, buf: Uint8Array, start: number): number {
      return ack ? this.to.#pong(buf, start) : this.to.#ping(buf, start);
    }

    goAway(lastId: number, code: number, buf: Uint8Array, start: number, end: number): number {
      return this.to.#peerGoAway(lastId, code, buf, start, end);
    }

    windowUpdate(id: number, increment: number): number {
      return this.to.#windowUpdate(id, increment);
    }

    ignored(): number {
      return this.to.floods.spend(floods.IGNORED);
    }

    empty(): number {
      return this.to.floods.spend(floods.EMPTY);
    }

    trouble(id: number, number: number): void {
      if (problem.problemOf(number).scope === "stream") this.to.#streamError(id, number);
      else this.to.fail(number);
    }
  };

  #data(id: number, length: number, weight: number, endStream: boolean): number {
    const window = this.#window;
    this.#dataStream = null;
    window.left -= weight;
    if (window.left < 0) return problem.CONNECTION_WINDOW_EXCEEDED;
    const stream = this.streams.get(id);
    if (stream === undefined) return this.#lateData(id);
    if (stream.remoteClosed) return problem.DATA_AFTER_END;
    stream.receiveWindow -= weight;
    if (stream.receiveWindow < 0) return problem.STREAM_WINDOW_EXCEEDED;
    const wrong = checkData(stream, length, endStream);
    if (wrong < 0) return wrong;
    if (length > 0) {
      this.floods.earn(floods.EMPTY, 1);
      this.floods.earn(floods.PING, 1);
    }
    this.#dataStream = stream;
    this.#dataEnds = endStream;
    return 0;
  }

  /** DATA of a stream that is over, or never was. */
  #lateData(id: number): number {
    if (this.#streams.isIdle(id)) {
      return id > this.#streams.lastTaken ? this.floods.spend(floods.CLOSED) : problem.IDLE_STREAM;
    }
    const flood = this.floods.spend(floods.CLOSED);
    if (flood < 0) return flood;
    return this.#streams.wasReset(id) ? 0 : problem.DATA_AFTER_END;
  }

  #dataPiece(buf: Uint8Array, start: number, end: number, last: boolean): void {
    const stream = this.#dataStream;
    if (stream === null || stream.closed) {
      if (last) this.#window.renew();
      return;
    }
    const endStream = last && this.#dataEnds;
    this.#window.handOver(stream, end - start);
    if (last) this.#window.renew();
    if (endStream) stream.remoteClosed = true;
    if (end > start || endStream) this.#handler.data(stream, buf, start, end, endStream);
    if (endStream) this.#endRemote(stream);
    // Padding was taken off the window and is never handed over.
    else if (last) this.#window.renewStream(stream);
  }

  #block(id: number, endStream: boolean, buf: Uint8Array, start: number, end: number, fault: number): number {
    const stream = this.streams.get(id);
    if (stream === undefined) return this.#newBlock(id, endStream, buf, start, end, fault);
    if (stream.remoteClosed) return problem.HEADERS_AFTER_END;
    this.floods.earn(floods.PING, 1);
    const isTrailers = stream.headReceived;
    const head = this.heads.take();
    const trouble = this.#decode(head, isTrailers ? TRAILERS : RESPONSE, buf, start, end);
    if (trouble < 0) return trouble;
    let wrong = this.#builder.finish(endStream);
    if (wrong === 0) wrong = fault;
    if (wrong === 0) {
      wrong = isTrailers ? checkTrailers(stream, endStream) : checkAnswer(stream, head, endStream);
    }
    if (wrong < 0) {
      this.heads.give(head);
      return wrong;
    }
    if (endStream) stream.remoteClosed = true;
    if (isTrailers) this.#handler.trailers(stream, head);
    else this.#handler.headers(stream, head, endStream);
    if (endStream) this.#endRemote(stream);
    return 0;
  }

  /** A block that belongs to no open stream: a request, or late. */
  #newBlock(
    id: number,
    endStream: boolean,
    buf: Uint8Array,
    start: number,
    end: number,
    fault: number,
  ): number {
    const refusal = this.#streams.admit(id);
    if (refusal < 0 && problem.problemOf(refusal).scope === "connection") return refusal;
    const head = this.heads.take();
    const trouble = this.#decode(head, this.server ? REQUEST : RESPONSE, buf, start, end);
    if (trouble < 0) return trouble;
    const wrong = this.#builder.finish(endStream);
    if (refusal !== 0) {
      this.heads.give(head);
      return refusal === IGNORE ? this.floods.spend(floods.CLOSED) : refusal;
    }
    this.floods.earn(floods.WINDOW_UPDATE, 2);
    this.floods.earn(floods.IGNORED, 10);
    const stream = this.#open(id);
    stream.remoteClosed = endStream;
    stream.https = this.#builder.https;
    stream.connect = this.#builder.connect;
    stream.headReceived = true;
    if (wrong < 0 || fault < 0) {
      this.heads.give(head);
      return this.#refuse(stream, wrong < 0 ? wrong : fault);
    }
    stream.expected = stream.connect ? -1 : head.contentLength;
    if (endStream && stream.expected > 0) {
      this.heads.give(head);
      return this.#refuse(stream, problem.LENGTH_DIFFERS);
    }
    this.#handler.headers(stream, head, endStream);
    return 0;
  }

  /** A request that nobody should see: the handler may answer it, else it is reset. */
  #refuse(stream: Http2Stream, number: number): number {
    this.#handler.refused(stream, number);
    if (stream.closed || this.failed) return 0;
    if (stream.localClosed) {
      // Answered, while the client still sends.
      this.reset(stream, problem.NO_ERROR);
      return this.floods.spend(floods.RESET);
    }
    this.#remove(stream);
    return number;
  }

  #decode(
    head: MessageHead,
    mode: typeof REQUEST | typeof RESPONSE | typeof TRAILERS,
    buf: Uint8Array,
    start: number,
    end: number,
  ): number {
    this.#builder.begin(head, mode);
    return this.#decoder.decode(buf, start, end, this.#builder);
  }

  #peerReset(id: number, code: number): number {
    const stream = this.streams.get(id);
    if (stream === undefined) {
      return this.#streams.isNonsense(id) ? problem.IDLE_STREAM : this.floods.spend(floods.CLOSED);
    }
    this.#remove(stream);
    this.#handler.reset(stream, code, code === problem.REFUSED_STREAM, 0);
    return this.server ? this.floods.spend(floods.RESET) : 0;
  }

  #settings(buf: Uint8Array, start: number, end: number): number {
    const flood = this.floods.spend(floods.SETTINGS) || this.#answer();
    if (flood < 0) return flood;
    const { peer, hpack, out } = this.#sending;
    const before = peer.initialWindowSize;
    const trouble = peer.apply(buf, start, end, !this.server);
    if (trouble < 0) return trouble;
    hpack.allow(peer.headerTableSize);
    frames.writeSettingsAck(out);
    const more = peer.initialWindowSize - before;
    if (more !== 0) {
      for (const stream of this.streams.values()) {
        stream.sendWindow += more;
        if (stream.sendWindow > MAX_WINDOW) return problem.SETTINGS_WINDOW_OVERFLOW;
      }
      if (more > 0) { for (const stream of this.streams.values()) this.#sending.windowOpened(stream); }
    }
    this.#handler.settings();
    return 0;
  }

  #settingsAck(): number {
    if (this.settingsAcknowledged) return problem.UNEXPECTED_SETTINGS_ACK;
    this.settingsAcknowledged = true;
    if (this.limits.headerTableSize !== DEFAULT_TABLE_SIZE) this.#decoder.allow(this.limits.headerTableSize);
    return 0;
  }

  #ping(buf: Uint8Array, start: number): number {
    const flood = this.floods.spend(floods.PING) || this.#answer();
    if (flood < 0) return flood;
    frames.writePing(this.#sending.out, buf, start, true);
    return 0;
  }

  #pong(buf: Uint8Array, start: number): number {
    if (this.#awaitsFarewell && equalBytes(buf, start, FAREWELL)) this.goAway();
    else if (this.#pings > 0) {
      this.#pings--;
      this.#handler.pong();
    }
    return 0;
  }

  #peerGoAway(lastId: number, code: number, buf: Uint8Array, start: number, end: number): number {
    this.peerDraining = true;
    const debug = latin1(buf, start, Math.min(end, start + MAX_DEBUG_BYTES));
    this.#handler.goAway(lastId, code, debug);
    if (!this.server) {
      for (const stream of this.streams.values()) {
        if (stream.id <= lastId || stream.closed) continue;
        this.#remove(stream);
        this.#handler.reset(stream, problem.REFUSED_STREAM, true, 0);
      }
    }
    this.#checkDrained();
    return 0;
  }

  #windowUpdate(id: number, increment: number): number {
    const flood = this.floods.spend(floods.WINDOW_UPDATE);
    if (flood < 0) return flood;
    const sending = this.#sending;
    if (id === 0) {
      if (increment === 0) return problem.ZERO_INCREMENT;
      sending.window += increment;
      if (sending.window > MAX_WINDOW) return problem.WINDOW_OVERFLOW;
      sending.wake();
      return 0;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      return this.#streams.isNonsense(id) ? problem.IDLE_STREAM : 0;
    }
    if (increment === 0) return problem.ZERO_STREAM_INCREMENT;
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW) return problem.STREAM_WINDOW_OVERFLOW;
    sending.windowOpened(stream);
    return 0;
  }
}

const MAX_DEBUG_BYTES = 256;
const NO_OPAQUE = new Uint8Array(8);

function equalBytes(buf: Uint8Array, start: number, word: Uint8Array): boolean {
  for (let i = 0; i < word.length; i++) if (buf[start + i] !== word[i]) return false;
  return true;
}
