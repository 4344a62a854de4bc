/**
 * The hearing half of a connection: what each frame means for its stream (RFC 9113 sections 5 and 6), told to the {@link Http2Handler}.
 */
import { latin1, type MessageHead } from "../http1/head.ts";
import { BlockMemo } from "./block_memo.ts";
import { checkAnswer, checkData, checkTrailers } from "./answer_rules.ts";
import * as floods from "./floods.ts";
import type { FrameTarget } from "./frame_reader.ts";
import * as frames from "./frames.ts";
import { HeadBuilder, REQUEST, RESPONSE, TRAILERS } from "./header_rules.ts";
import { HpackDecoder } from "./hpack_decoder.ts";
import * as problem from "./problems.ts";
import { FAREWELL, type Session } from "./session.ts";
import { DEFAULT_TABLE_SIZE, MAX_WINDOW } from "./settings.ts";
import type { Http2Stream } from "./stream.ts";
import { IGNORE } from "./stream_table.ts";

let builder = new HeadBuilder(0);

/** Connections share one, because a block is read in one go. */
function builderOf(maxListSize: number): HeadBuilder {
  if (builder.maxListSize !== maxListSize) builder = new HeadBuilder(maxListSize);
  return builder;
}

export class Receiving implements FrameTarget {
  readonly #decoder = new HpackDecoder(DEFAULT_TABLE_SIZE);
  readonly #builder: HeadBuilder;
  #heads: BlockMemo | null = null;
  #trailers: BlockMemo | null = null;
  #dataEnds = false;
  /** Problem of the head that was decoded last; 0: none. */
  #wrong = 0;

  constructor(readonly session: Session) {
    this.#builder = builderOf(session.limits.maxHeaderListSize);
  }

  /** Forgets what was heard, but for the table that the peer refers to. */
  fold(): void {
    this.#heads = this.#trailers = null;
  }

  get stopped(): boolean {
    return this.session.failed;
  }

  settings(ack: boolean, buf: Uint8Array, start: number, end: number): number {
    return ack ? this.#settingsAck() : this.#settings(buf, start, end);
  }

  ping(ack: boolean, buf: Uint8Array, start: number): number {
    return ack ? this.#pong(buf, start) : this.#ping(buf, start);
  }

  ignored(): number {
    return this.session.floods.spend(floods.IGNORED);
  }

  empty(): number {
    return this.session.floods.spend(floods.EMPTY);
  }

  trouble(id: number, number: number): void {
    if (problem.problemOf(number).scope === "stream") this.session.streamError(id, number);
    else this.session.fail(number);
  }

  data(id: number, length: number, weight: number, endStream: boolean): number {
    const { session } = this;
    const window = session.window;
    session.dataStream = null;
    window.left -= weight;
    if (window.left < 0) return problem.CONNECTION_WINDOW_EXCEEDED;
    const stream = session.streams.open.get(id);
    if (stream === undefined) return this.#lateData(id);
    if (stream.remoteClosed) return problem.DATA_AFTER_END;
    stream.receiveWindow -= weight;
    if (stream.receiveWindow < 0) return problem.STREAM_WINDOW_EXCEEDED;
    const wrong = checkData(stream, length, endStream);
    if (wrong < 0) return wrong;
    if (length > 0) {
      session.floods.earn(floods.EMPTY, 1);
      session.floods.earn(floods.PING, 1);
    }
    session.dataStream = stream;
    this.#dataEnds = endStream;
    return 0;
  }

  /** DATA of a stream that is over, or never was. */
  #lateData(id: number): number {
    const { session } = this;
    if (session.streams.isIdle(id)) {
      return id > session.streams.lastTaken ? session.floods.spend(floods.CLOSED) : problem.IDLE_STREAM;
    }
    const flood = session.floods.spend(floods.CLOSED);
    if (flood < 0) return flood;
    return session.streams.wasReset(id) ? 0 : problem.DATA_AFTER_END;
  }

  dataPiece(buf: Uint8Array, start: number, end: number, last: boolean): void {
    const { session } = this;
    const stream = session.dataStream;
    if (stream === null || stream.closed) {
      if (last) session.window.renew();
      return;
    }
    const endStream = last && this.#dataEnds;
    session.window.handOver(stream, end - start);
    if (last) session.window.renew();
    if (endStream) stream.remoteClosed = true;
    if (end > start || endStream) session.handler.data(stream, buf, start, end, endStream);
    if (endStream) session.endRemote(stream);
    // Padding was taken off the window and is never handed over.
    else if (last) session.window.renewStream(stream);
  }

  block(id: number, endStream: boolean, buf: Uint8Array, start: number, end: number, fault: number): number {
    const { session } = this;
    const stream = session.streams.open.get(id);
    if (stream === undefined) return this.#newBlock(id, endStream, buf, start, end, fault);
    if (stream.remoteClosed) return problem.HEADERS_AFTER_END;
    session.floods.earn(floods.PING, 1);
    const isTrailers = stream.headReceived;
    const head = session.heads.take();
    const trouble = this.#decode(head, isTrailers ? TRAILERS : RESPONSE, buf, start, end, endStream);
    if (trouble < 0) return trouble;
    let wrong = this.#wrong;
    if (wrong === 0) wrong = fault;
    if (wrong === 0) {
      wrong = isTrailers ? checkTrailers(stream, endStream) : checkAnswer(stream, head, endStream);
    }
    if (wrong < 0) {
      session.heads.give(head);
      return wrong;
    }
    if (endStream) stream.remoteClosed = true;
    if (isTrailers) session.handler.trailers(stream, head);
    else session.handler.headers(stream, head, endStream);
    if (endStream) session.endRemote(stream);
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
    const { session } = this;
    const refusal = session.streams.admit(id);
    if (refusal < 0 && problem.problemOf(refusal).scope === "connection") return refusal;
    const head = session.heads.take();
    const trouble = this.#decode(head, session.server ? REQUEST : RESPONSE, buf, start, end, endStream);
    if (trouble < 0) return trouble;
    const wrong = this.#wrong;
    if (refusal !== 0) {
      session.heads.give(head);
      return refusal === IGNORE ? session.floods.spend(floods.CLOSED) : refusal;
    }
    session.floods.earn(floods.WINDOW_UPDATE, 2);
    session.floods.earn(floods.IGNORED, 10);
    const stream = session.open(id);
    stream.remoteClosed = endStream;
    stream.https = this.#builder.https;
    stream.connect = this.#builder.connect;
    stream.headReceived = true;
    if (wrong < 0 || fault < 0) {
      session.heads.give(head);
      return this.#refuse(stream, wrong < 0 ? wrong : fault);
    }
    stream.expected = stream.connect ? -1 : head.contentLength;
    if (endStream && stream.expected > 0) {
      session.heads.give(head);
      return this.#refuse(stream, problem.LENGTH_DIFFERS);
    }
    session.handler.headers(stream, head, endStream);
    return 0;
  }

  /** A request that nobody should see: the handler may answer it, else it is reset. */
  #refuse(stream: Http2Stream, number: number): number {
    const { session } = this;
    session.handler.refused(stream, number);
    if (stream.closed || session.failed) return 0;
    if (stream.localClosed) {
      // Answered, while the client still sends.
      session.reset(stream, problem.NO_ERROR);
      return session.floods.spend(floods.RESET);
    }
    session.remove(stream);
    return number;
  }

  /** Gives a problem of the connection, and leaves one of the stream in `#wrong`. */
  #decode(
    head: MessageHead,
    mode: typeof REQUEST | typeof RESPONSE | typeof TRAILERS,
    buf: Uint8Array,
    start: number,
    end: number,
    endStream: boolean,
  ): number {
    const builder = this.#builder;
    const { table } = this.#decoder;
    const memo = mode === TRAILERS ? this.#trailers ??= new BlockMemo() : this.#heads ??= new BlockMemo();
    const known = memo.find(buf, start, end, table);
    if (known !== null) {
      head.become(known.head);
      builder.again(head, known, endStream);
      this.#wrong = 0;
      return 0;
    }
    const { count } = table;
    builder.begin(head, mode);
    const trouble = this.#decoder.decode(buf, start, end, builder);
    if (trouble < 0) return trouble;
    this.#wrong = builder.finish(endStream);
    if (this.#wrong === 0) {
      memo.note({ head, https: builder.https, connect: builder.connect }, buf, start, end, table, count);
    }
    return 0;
  }

  reset(id: number, code: number): number {
    const { session } = this;
    const stream = session.streams.open.get(id);
    if (stream === undefined) {
      return session.streams.isNonsense(id) ? problem.IDLE_STREAM : session.floods.spend(floods.CLOSED);
    }
    session.remove(stream);
    session.handler.reset(stream, code, code === problem.REFUSED_STREAM, 0);
    return session.server ? session.floods.spend(floods.RESET) : 0;
  }

  #settings(buf: Uint8Array, start: number, end: number): number {
    const { session } = this;
    const flood = session.floods.spend(floods.SETTINGS) || session.answer();
    if (flood < 0) return flood;
    const { peer, hpack, out } = session.sending;
    const before = peer.initialWindowSize;
    const trouble = peer.apply(buf, start, end, !session.server);
    if (trouble < 0) return trouble;
    hpack.allow(peer.headerTableSize);
    frames.writeSettingsAck(out);
    const more = peer.initialWindowSize - before;
    if (more !== 0) {
      for (const stream of session.streams.open.values()) {
        stream.sendWindow += more;
        if (stream.sendWindow > MAX_WINDOW) return problem.SETTINGS_WINDOW_OVERFLOW;
      }
      if (more > 0) {
        for (const stream of session.streams.open.values()) session.sending.windowOpened(stream);
      }
    }
    session.handler.settings();
    return 0;
  }

  #settingsAck(): number {
    const { session } = this;
    if (session.settingsAcknowledged) return problem.UNEXPECTED_SETTINGS_ACK;
    session.settingsAcknowledged = true;
    if (session.limits.headerTableSize !== DEFAULT_TABLE_SIZE) {
      this.#decoder.allow(session.limits.headerTableSize);
      // The next block has to begin with the new size.
      this.#heads = this.#trailers = null;
    }
    return 0;
  }

  #ping(buf: Uint8Array, start: number): number {
    const { session } = this;
    const flood = session.floods.spend(floods.PING) || session.answer();
    if (flood < 0) return flood;
    frames.writePing(session.sending.out, buf, start, true);
    return 0;
  }

  #pong(buf: Uint8Array, start: number): number {
    const { session } = this;
    if (session.awaitsFarewell && equalBytes(buf, start, FAREWELL)) session.goAway();
    else if (session.pings > 0) {
      session.pings--;
      session.handler.pong();
    }
    return 0;
  }

  goAway(lastId: number, code: number, buf: Uint8Array, start: number, end: number): number {
    const { session } = this;
    session.peerDraining = true;
    const debug = latin1(buf, start, Math.min(end, start + MAX_DEBUG_BYTES));
    session.handler.goAway(lastId, code, debug);
    if (!session.server) {
      for (const stream of session.streams.open.values()) {
        if (stream.id <= lastId || stream.closed) continue;
        session.remove(stream);
        session.handler.reset(stream, problem.REFUSED_STREAM, true, 0);
      }
    }
    session.checkDrained();
    return 0;
  }

  windowUpdate(id: number, increment: number): number {
    const { session } = this;
    const flood = session.floods.spend(floods.WINDOW_UPDATE);
    if (flood < 0) return flood;
    const sending = session.sending;
    if (id === 0) {
      if (increment === 0) return problem.ZERO_INCREMENT;
      sending.window += increment;
      if (sending.window > MAX_WINDOW) return problem.WINDOW_OVERFLOW;
      sending.wake();
      return 0;
    }
    const stream = session.streams.open.get(id);
    if (stream === undefined) {
      return session.streams.isNonsense(id) ? problem.IDLE_STREAM : 0;
    }
    if (increment === 0) return problem.ZERO_STREAM_INCREMENT;
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW) return problem.STREAM_WINDOW_OVERFLOW;
    sending.windowOpened(stream);
    return 0;
  }
}

const MAX_DEBUG_BYTES = 256;

function equalBytes(buf: Uint8Array, start: number, word: Uint8Array): boolean {
  for (let i = 0; i < word.length; i++) if (buf[start + i] !== word[i]) return false;
  return true;
}
