/** The sending side of a connection: header blocks, and DATA within the windows and in turn (RFC 9113 section 5.2). */
import { copyBytes } from "./field_table.ts";
import type { Floods } from "./floods.ts";
import * as floods from "./floods.ts";
import {
  CONTINUATION,
  END_HEADERS,
  END_STREAM,
  FRAME_HEAD,
  HEADERS,
  putFrameHead,
  writeData,
} from "./frames.ts";
import { HpackEncoder, type HpackEncoderOptions } from "./hpack_encoder.ts";
import type { Http2Handler } from "./handler.ts";
import { MessageEncoder } from "./message_encoder.ts";
import { Output } from "./output.ts";
import { DEFAULT_WINDOW, type Http2Limits, PeerSettings } from "./settings.ts";
import { type Http2Stream, NOT_WAITING, WAITING_FOR_WINDOW, WAITING_IN_LINE } from "./stream.ts";

/** Larger frames save nothing and keep other streams waiting. */
const MAX_DATA_BYTES = 64 * 1024;
/** A piece of DATA below this, cut off by a window, was not worth its WINDOW_UPDATE. */
const HONEST_BYTES = 256;

export class Sending {
  readonly out = new Output();
  readonly peer = new PeerSettings();
  readonly hpack: HpackEncoder;
  readonly messages: MessageEncoder;
  /** What the connection may send. */
  window = DEFAULT_WINDOW;
  #line: Http2Stream[] | null = null;

  constructor(
    readonly handler: Http2Handler,
    readonly limits: Http2Limits,
    readonly budgets: Floods,
    options: HpackEncoderOptions,
  ) {
    this.hpack = new HpackEncoder(limits.encoderTableSize, options);
    this.messages = new MessageEncoder(this.hpack);
  }

  /** Room for the frame head of a header block; give its result to {@link endBlock}. */
  beginBlock(): number {
    const { out } = this;
    const start = out.length;
    out.ensure(FRAME_HEAD);
    out.length = start + FRAME_HEAD;
    return start;
  }

  endBlock(start: number, id: number, endStream: boolean): void {
    const { out } = this;
    const length = out.length - start - FRAME_HEAD;
    const flags = endStream ? END_STREAM : 0;
    const most = this.peer.maxFrameSize;
    if (length <= most) {
      putFrameHead(out.buf, start, length, HEADERS, flags | END_HEADERS, id);
      return;
    }
    // Buffer's own slice would be a view of what is written over.
    const block = Uint8Array.prototype.slice.call(out.buf, start + FRAME_HEAD, out.length);
    out.length = start;
    for (let at = 0; at < length; at += most) {
      const n = Math.min(most, length - at);
      out.ensure(FRAME_HEAD + n);
      const last = at + n === length ? END_HEADERS : 0;
      putFrameHead(
        out.buf,
        out.length,
        n,
        at === 0 ? HEADERS : CONTINUATION,
        (at === 0 ? flags : 0) | last,
        id,
      );
      copyBytes(block, at, n, out.buf, out.length + FRAME_HEAD);
      out.length += FRAME_HEAD + n;
    }
  }

  /** How many of the bytes were taken; when all of them, with the end. */
  data(stream: Http2Stream, buf: Uint8Array, start: number, end: number, endStream: boolean): number {
    const { out, limits } = this;
    if (start === end) {
      if (endStream) writeData(out, stream.id, buf, start, 0, true);
      return 0;
    }
    const most = Math.min(MAX_DATA_BYTES, this.peer.maxFrameSize);
    let pos = start;
    while (pos < end) {
      const n = Math.min(
        end - pos,
        most,
        this.window,
        stream.sendWindow,
        limits.maxPendingBytes - out.length,
      );
      if (n <= 0) {
        this.#wait(stream);
        break;
      }
      writeData(out, stream.id, buf, pos, n, endStream && pos + n === end);
      this.window -= n;
      stream.sendWindow -= n;
      pos += n;
      // A window opened by a few bytes at a time earns nothing.
      if (n >= HONEST_BYTES || pos === end) this.budgets.earn(floods.WINDOW_UPDATE, 4);
      this.budgets.earn(floods.PING, 1);
    }
    return pos - start;
  }

  #wait(stream: Http2Stream): void {
    if (stream.sendWindow <= 0) {
      stream.waiting = WAITING_FOR_WINDOW;
    } else if (stream.waiting !== WAITING_IN_LINE) {
      stream.waiting = WAITING_IN_LINE;
      (this.#line ??= []).push(stream);
    }
  }

  /** The window of the stream has grown. */
  windowOpened(stream: Http2Stream): void {
    if (stream.waiting !== WAITING_FOR_WINDOW || stream.sendWindow <= 0) return;
    stream.waiting = WAITING_IN_LINE;
    (this.#line ??= []).push(stream);
    this.wake();
  }

  /** Tells streams in line, first come first served, that they may send, as long as there is room. */
  wake(): void {
    const { limits, out } = this;
    const line = this.#line;
    if (line === null) return;
    let turns = line.length;
    while (turns-- > 0 && this.window > 0 && out.length < limits.maxPendingBytes) {
      const stream = line.shift();
      if (stream === undefined) return;
      if (stream.closed || stream.waiting !== WAITING_IN_LINE) continue;
      stream.waiting = NOT_WAITING;
      this.handler.writable(stream);
    }
  }
}
