/**
 * What both halves of a connection share: its streams from their beginning to their end, and the ways in which the connection itself
 * ends. connection.ts says things to the peer, receiving.ts hears them.
 */
import * as floods from "./floods.ts";
import * as frames from "./frames.ts";
import type { Http2Handler } from "./handler.ts";
import type { HeadPool } from "./header_rules.ts";
import * as problem from "./problems.ts";
import { ReceiveWindow } from "./receive_window.ts";
import { Sending } from "./sending.ts";
import { DEFAULT_WINDOW, type Http2Limits, type PeerSettings } from "./settings.ts";
import { Http2Stream } from "./stream.ts";
import { LAST_STREAM_ID, StreamTable } from "./stream_table.ts";

/** Answers to control frames between two writes. */
const MAX_PENDING_ANSWERS = 1000;
/** Payload of the ping that follows the first GOAWAY: its answer says that the peer has read it. */
export const FAREWELL: Uint8Array = new TextEncoder().encode("farewell");

/** The flags are those that connection.ts shows. */
export class Session {
  readonly floods = new floods.Floods();
  readonly streams: StreamTable;
  readonly sending: Sending;
  readonly window: ReceiveWindow;
  failed = false;
  failure = 0;
  draining = false;
  peerDraining = false;
  settingsAcknowledged = false;
  /** A server's first GOAWAY is out, and not known to be read. */
  awaitsFarewell = false;
  /** Answers since the last write. */
  answers = 0;
  /** Our pings that were not answered. */
  pings = 0;
  /** Whose DATA is under way; null when nobody wants it. */
  dataStream: Http2Stream | null = null;

  constructor(
    readonly server: boolean,
    readonly handler: Http2Handler,
    readonly limits: Http2Limits,
    readonly heads: HeadPool,
    huffman: boolean,
  ) {
    this.streams = new StreamTable(server, limits.maxConcurrentStreams);
    this.sending = new Sending(handler, limits, this.floods, { huffman });
    this.window = new ReceiveWindow(this.sending.out, limits);
  }

  get peer(): PeerSettings {
    return this.sending.peer;
  }

  /** Ends the stream at once, both sides; the handler is not told. `code`: RFC 9113 section 7. */
  reset(stream: Http2Stream, code: number): void {
    if (stream.closed || this.failed) return;
    frames.writeReset(this.sending.out, stream.id, code);
    this.rememberReset(stream.id);
    this.remove(stream);
  }

  /**
   * Says goodbye in order (RFC 9113 section 6.8). A server takes what is on its way until the peer has read the first GOAWAY (or until
   * this is called again), then nothing new; a client opens no more streams. `handler.drained` tells when the last stream is over.
   */
  goAway(): void {
    if (this.failed) return;
    const { out } = this.sending;
    if (!this.draining && this.server) {
      this.draining = this.awaitsFarewell = true;
      frames.writeGoAway(out, LAST_STREAM_ID, problem.NO_ERROR, "");
      frames.writePing(out, FAREWELL, 0, false);
      return;
    }
    if (this.draining && !this.awaitsFarewell) return;
    this.draining = true;
    this.awaitsFarewell = false;
    this.streams.lastTaken = this.streams.lastPeerId;
    frames.writeGoAway(out, this.streams.lastPeerId, problem.NO_ERROR, "");
    this.checkDrained();
  }

  /** Ends everything: GOAWAY goes into the output and every stream is told. */
  fail(number: number): void {
    if (this.failed) return;
    const { code, what } = problem.problemOf(number);
    frames.writeGoAway(this.sending.out, this.streams.lastPeerId, code, what);
    this.failure = number;
    this.#endStreams(code, number);
    this.handler.failed(number);
  }

  /** The transport ended: every stream that is not over is told, as reset by CANCEL. Idempotent. */
  abandon(): void {
    if (!this.failed) this.#endStreams(problem.CANCEL, 0);
  }

  #endStreams(code: number, number: number): void {
    this.failed = true;
    this.dataStream = null;
    const streams = this.streams.open.values();
    this.streams.open.clear();
    for (const stream of streams) {
      stream.closed = true;
      stream.held = 0;
      this.handler.reset(stream, code, false, number);
    }
  }

  // ---------------------------------------------------------------- streams

  open(id: number): Http2Stream {
    const window = this.limits.streamWindow;
    const receive = this.settingsAcknowledged ? window : Math.max(window, DEFAULT_WINDOW);
    const stream = new Http2Stream(id, this.peer.initialWindowSize, receive);
    this.streams.open.add(stream);
    return stream;
  }

  endLocal(stream: Http2Stream): void {
    stream.localClosed = true;
    if (stream.remoteClosed) this.#finish(stream);
  }

  endRemote(stream: Http2Stream): void {
    stream.remoteClosed = true;
    if (stream.localClosed) this.#finish(stream);
  }

  #finish(stream: Http2Stream): void {
    if (stream.closed) return;
    this.floods.earn(floods.RESET, 1);
    this.remove(stream);
  }

  remove(stream: Http2Stream): void {
    this.streams.remove(stream);
    if (stream.held > 0) this.window.forget(stream);
    this.checkDrained();
  }

  checkDrained(): void {
    if (this.streams.open.size > 0 || this.failed) return;
    if (this.draining && !this.awaitsFarewell || this.peerDraining) this.handler.drained();
  }

  rememberReset(id: number): void {
    this.streams.rememberReset(id);
    // What is on its way already is no nonsense.
    this.floods.earn(floods.CLOSED, 32);
  }

  /** The stream broke the rules: RST_STREAM, and the handler is told when it knows the stream. */
  streamError(id: number, number: number): void {
    const { code } = problem.problemOf(number);
    const stream = this.streams.open.get(id);
    if (this.streams.isIdle(id)) return this.fail(number);
    frames.writeReset(this.sending.out, id, code);
    this.rememberReset(id);
    if (stream !== undefined) {
      this.remove(stream);
      this.handler.reset(stream, code, false, number);
    }
    // Else a peer could make us do a rapid reset to ourselves.
    const flood = this.server ? this.floods.spend(floods.RESET) : this.answer();
    if (flood < 0) this.fail(flood);
  }

  /** One more answer that the peer has to read. */
  answer(): number {
    return ++this.answers > MAX_PENDING_ANSWERS ? problem.OUTPUT_FLOOD : 0;
  }
}
