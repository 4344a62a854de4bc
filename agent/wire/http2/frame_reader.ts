/**
 * Frames in: everything that can be said about a frame without knowing its stream (RFC 9113 sections 4 and 6): lengths, padding, which
 * frames belong to streams, header blocks in one piece. What they mean is the {@link FrameTarget}'s.
 */
import { copyBytes } from "./field_table.ts";
import * as frames from "./frames.ts";
import * as problem from "./problems.ts";

/** Takes frames. Numbers given back are 0 or a problem. */
export interface FrameTarget {
  /** Nothing is read any more. */
  readonly stopped: boolean;
  /** DATA begins: `length` bytes come in pieces, `weight` bytes count for flow control. 0: hand the pieces over. */
  data(id: number, length: number, weight: number, endStream: boolean): number;
  /** A piece of the DATA under way; `last`: it ends the frame. */
  dataPiece(buf: Uint8Array, start: number, end: number, last: boolean): void;
  /** A whole header block. `fault`: a problem of the stream, to be told after the block is decoded. */
  block(id: number, endStream: boolean, buf: Uint8Array, start: number, end: number, fault: number): number;
  reset(id: number, code: number): number;
  settings(ack: boolean, buf: Uint8Array, start: number, end: number): number;
  ping(ack: boolean, buf: Uint8Array, start: number): number;
  goAway(lastId: number, code: number, buf: Uint8Array, start: number, end: number): number;
  windowUpdate(id: number, increment: number): number;
  /** PRIORITY, PRIORITY_UPDATE, or a type that is not known. */
  ignored(id: number): number;
  /** A fragment without bytes, of DATA or of a header block, that ends nothing. */
  empty(): number;
  /** Something above gave a problem, or the reader found one. */
  trouble(id: number, number: number): void;
}

const ID_MASK = 0x7fffffff;
const NO_BYTES = new Uint8Array(0);

export class FrameReader {
  #prefaceLeft: number;
  #settingsSeen = false;
  /** DATA frame under way. */
  #dataLeft = 0;
  /** Header block under way: its stream, 0 when none. */
  #blockId = 0;
  #blockEnds = false;
  #blockFault = 0;
  #block: Uint8Array = NO_BYTES;
  #blockLength = 0;

  constructor(
    server: boolean,
    readonly target: FrameTarget,
    readonly maxFrameSize: number,
    /** Bytes of a block in several frames. */
    readonly maxBlockBytes: number,
  ) {
    this.#prefaceLeft = server ? frames.PREFACE.length : 0;
  }

  /** Position up to which `buf[start, end)` was used. */
  read(buf: Uint8Array, start: number, end: number): number {
    let pos = start;
    if (this.#prefaceLeft > 0) pos = this.#preface(buf, pos, end);
    while (!this.target.stopped) {
      if (this.#dataLeft > 0) {
        if (pos === end) return pos;
        const n = Math.min(end - pos, this.#dataLeft);
        this.#dataLeft -= n;
        pos += n;
        this.target.dataPiece(buf, pos - n, pos, this.#dataLeft === 0);
        continue;
      }
      if (end - pos < frames.FRAME_HEAD) return pos;
      const length = buf[pos]! << 16 | buf[pos + 1]! << 8 | buf[pos + 2]!;
      const type = buf[pos + 3]!;
      const flags = buf[pos + 4]!;
      const id = frames.readNumber(buf, pos + 5) & ID_MASK;
      let trouble = this.#check(type, flags, id, length);
      if (trouble === 0) {
        const whole = type !== frames.DATA || (flags & frames.PADDED) !== 0;
        if (whole && end - pos - frames.FRAME_HEAD < length) return pos;
        pos += frames.FRAME_HEAD;
        if (whole) {
          pos += length;
          trouble = this.#frame(type, flags, id, buf, pos - length, pos);
        } else {
          trouble = this.#data(id, length, length, (flags & frames.END_STREAM) !== 0, buf, pos);
        }
      }
      if (trouble < 0) this.target.trouble(id, trouble);
    }
    return end;
  }

  #preface(buf: Uint8Array, pos: number, end: number): number {
    const { PREFACE } = frames;
    while (pos < end && this.#prefaceLeft > 0) {
      if (buf[pos] !== PREFACE[PREFACE.length - this.#prefaceLeft]) {
        this.target.trouble(0, problem.BAD_PREFACE);
        return end;
      }
      pos++;
      this.#prefaceLeft--;
    }
    return pos;
  }

  #check(type: number, flags: number, id: number, length: number): number {
    if (!this.#settingsSeen) {
      if (type !== frames.SETTINGS || (flags & frames.ACK) !== 0) return problem.NO_SETTINGS;
      this.#settingsSeen = true;
    }
    if (length > this.maxFrameSize) return problem.FRAME_TOO_LARGE;
    if (this.#blockId !== 0 && (type !== frames.CONTINUATION || id !== this.#blockId)) {
      return problem.NO_CONTINUATION;
    }
    if (type <= frames.CONTINUATION && type !== frames.WINDOW_UPDATE) {
      const ofConnection = type === frames.SETTINGS || type === frames.PING || type === frames.GOAWAY;
      if (ofConnection !== (id === 0)) {
        return ofConnection ? problem.NOT_STREAM_ZERO : problem.STREAM_ZERO;
      }
    }
    return 0;
  }

  #frame(type: number, flags: number, id: number, buf: Uint8Array, start: number, end: number): number {
    const { target } = this;
    const length = end - start;
    switch (type) {
      case frames.DATA:
      case frames.HEADERS:
        return this.#padded(type, flags, id, buf, start, end);
      case frames.PRIORITY:
        if (length !== 5) return problem.BAD_PRIORITY_LENGTH;
        if ((frames.readNumber(buf, start) & ID_MASK) === id) return problem.SELF_DEPENDENCY;
        return target.ignored(id);
      case frames.RST_STREAM:
        if (length !== 4) return problem.BAD_FRAME_LENGTH;
        return target.reset(id, frames.readNumber(buf, start));
      case frames.SETTINGS: {
        const ack = (flags & frames.ACK) !== 0;
        if (ack && length > 0) return problem.SETTINGS_ACK_WITH_PAYLOAD;
        if (length % 6 !== 0) return problem.BAD_FRAME_LENGTH;
        return target.settings(ack, buf, start, end);
      }
      case frames.PUSH_PROMISE:
        return problem.PUSH_REFUSED;
      case frames.PING:
        if (length !== 8) return problem.BAD_FRAME_LENGTH;
        return target.ping((flags & frames.ACK) !== 0, buf, start);
      case frames.GOAWAY: {
        if (length < 8) return problem.BAD_FRAME_LENGTH;
        const lastId = frames.readNumber(buf, start) & ID_MASK;
        return target.goAway(lastId, frames.readNumber(buf, start + 4), buf, start + 8, end);
      }
      case frames.WINDOW_UPDATE:
        if (length !== 4) return problem.BAD_FRAME_LENGTH;
        return target.windowUpdate(id, frames.readNumber(buf, start) & ID_MASK);
      case frames.CONTINUATION:
        if (this.#blockId === 0) return problem.UNEXPECTED_CONTINUATION;
        return this.#continue(flags, buf, start, end);
      default:
        return target.ignored(id);
    }
  }

  /** Takes padding and priority off. */
  #padded(type: number, flags: number, id: number, buf: Uint8Array, start: number, end: number): number {
    const weight = end - start;
    if ((flags & frames.PADDED) !== 0) {
      if (start === end) return problem.BAD_FRAME_LENGTH;
      const padding = buf[start++]!;
      if (padding > end - start) return problem.BAD_PADDING;
      end -= padding;
    }
    const endStream = (flags & frames.END_STREAM) !== 0;
    if (type === frames.DATA) {
      const trouble = this.#data(id, end - start, weight, endStream, buf, start);
      this.#dataLeft = 0;
      if (trouble === 0 && end > start) this.target.dataPiece(buf, start, end, true);
      return trouble;
    }
    let fault = 0;
    if ((flags & frames.PRIORITY_FLAG) !== 0) {
      if (end - start < 5) {
        return (flags & frames.PADDED) !== 0 ? problem.BAD_PADDING : problem.BAD_FRAME_LENGTH;
      }
      if ((frames.readNumber(buf, start) & ID_MASK) === id) fault = problem.SELF_DEPENDENCY;
      start += 5;
    }
    if ((flags & frames.END_HEADERS) !== 0) return this.target.block(id, endStream, buf, start, end, fault);
    this.#blockId = id;
    this.#blockEnds = endStream;
    this.#blockFault = fault;
    this.#blockLength = 0;
    return this.#continue(0, buf, start, end);
  }

  /** A frame without bytes is over at once, so what it ends is told with an empty piece. */
  #data(
    id: number,
    length: number,
    weight: number,
    endStream: boolean,
    buf: Uint8Array,
    at: number,
  ): number {
    this.#dataLeft = length;
    const trouble = this.target.data(id, length, weight, endStream);
    if (length > 0 || trouble < 0) return trouble;
    this.target.dataPiece(buf, at, at, true);
    return endStream ? 0 : this.target.empty();
  }

  #continue(flags: number, buf: Uint8Array, start: number, end: number): number {
    const length = this.#blockLength + end - start;
    if (length > this.maxBlockBytes) return problem.BLOCK_TOO_LARGE;
    if ((flags & frames.END_HEADERS) !== 0 && this.#blockLength === 0) {
      return this.#wholeBlock(buf, start, end);
    }
    if (length > this.#block.length) {
      const next = new Uint8Array(Math.max(2 * length, 4096));
      next.set(this.#block.subarray(0, this.#blockLength));
      this.#block = next;
    }
    copyBytes(buf, start, end - start, this.#block, this.#blockLength);
    this.#blockLength = length;
    if ((flags & frames.END_HEADERS) !== 0) return this.#wholeBlock(this.#block, 0, length);
    return start === end ? this.target.empty() : 0;
  }

  #wholeBlock(buf: Uint8Array, start: number, end: number): number {
    const id = this.#blockId;
    this.#blockId = 0;
    // Blocks in pieces are rare: the memory is not kept for the next one.
    this.#block = NO_BYTES;
    return this.target.block(id, this.#blockEnds, buf, start, end, this.#blockFault);
  }
}
