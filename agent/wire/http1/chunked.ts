/**
 * The chunked transfer coding (RFC 9112 section 7.1). {@link ChunkedDecoder} takes the framing out of a buffer in place: after
 * `decode` the data that was found lies in one piece at `[dataStart, dataEnd)` of the same buffer. Extensions are checked and
 * dropped, trailers are checked and kept as lines; so nothing ambiguous survives to be sent on.
 *
 * @example
 * ```ts
 * import { ChunkedDecoder } from "./chunked.ts";
 * const d = new ChunkedDecoder();
 * const buf = new TextEncoder().encode("3\r\nabc\r\n0\r\n\r\n");
 * d.decode(buf, 0, buf.length); // 13: all consumed; d.dataStart 3, d.dataEnd 6, d.done true
 * ```
 */
import { equalsIgnoreCase, FIELD_VALUE, HEX } from "./bytes.ts";
import { MessageHead, OTHER, parseFields, USER_AGENT, X_ENVOY } from "./head.ts";
import * as problem from "./problems.ts";

const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILER = 6;
const DONE = 7;

/** Bytes of extensions in one body, and of trailers. */
const MAX_EXTENSION_BYTES = 4096;
const MAX_TRAILER_BYTES = 8192;
/** 12 hex digits stay exact in a double. */
const MAX_SIZE_DIGITS = 12;

export class ChunkedDecoder {
  dataStart = 0;
  dataEnd = 0;
  #state = SIZE;
  #remaining = 0;
  #digits = 0;
  #extensionBytes = 0;
  #quoted = false;
  #escaped = false;
  #tail: Uint8Array = new Uint8Array(0);
  #tailLength = 0;
  #trailers: Uint8Array | null = null;

  get done(): boolean {
    return this.#state === DONE;
  }

  /** Trailer lines with their CRLF, without the last empty line; null when there were none that may pass. */
  get trailers(): Uint8Array | null {
    return this.#trailers;
  }

  reset(): void {
    this.#state = SIZE;
    this.#remaining = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#quoted = this.#escaped = false;
    this.#tailLength = 0;
    this.#trailers = null;
    this.dataStart = this.dataEnd = 0;
  }

  /**
   * Reads `buf[start, end)`; gives the position after the last byte that belongs to the body (less than `end` only at its end), or a
   * problem. Data already decoded before a problem is to be thrown away.
   */
  decode(buf: Uint8Array, start: number, end: number): number {
    let pos = start;
    let out = -1;
    this.dataStart = this.dataEnd = start;
    while (pos < end && this.#state !== DONE) {
      const byte = buf[pos]!;
      switch (this.#state) {
        case SIZE: {
          const digit = HEX[byte]!;
          if (digit !== 255) {
            if (++this.#digits > MAX_SIZE_DIGITS) return problem.BAD_CHUNK_SIZE;
            this.#remaining = this.#remaining * 16 + digit;
          } else if (this.#digits === 0) {
            return problem.BAD_CHUNK_SIZE;
          } else if (byte === 13) {
            this.#state = SIZE_LF;
          } else if (byte === 59) {
            this.#state = EXTENSION;
          } else {
            return byte === 10 ? problem.BARE_LF : problem.BAD_CHUNK_SIZE;
          }
          pos++;
          break;
        }
        case EXTENSION:
          if (byte === 34 && !this.#escaped) this.#quoted = !this.#quoted;
          this.#escaped = this.#quoted && byte === 92 && !this.#escaped;
          // A line that ends inside quotes would end elsewhere for a reader that honours them.
          if (byte === 13 && this.#quoted) return problem.BAD_CHUNK_EXTENSION;
          if (byte === 13) this.#state = SIZE_LF;
          else if (byte === 10) return problem.BARE_LF;
          else if (FIELD_VALUE[byte] !== 1 || ++this.#extensionBytes > MAX_EXTENSION_BYTES) {
            return problem.BAD_CHUNK_EXTENSION;
          }
          pos++;
          break;
        case SIZE_LF:
          if (byte !== 10) return problem.BARE_CR;
          pos++;
          this.#digits = 0;
          this.#state = this.#remaining === 0 ? TRAILER : DATA;
          break;
        case DATA: {
          const n = Math.min(this.#remaining, end - pos);
          if (out < 0) {
            this.dataStart = pos;
            out = pos + n;
          } else {
            buf.copyWithin(out, pos, pos + n);
            out += n;
          }
          this.dataEnd = out;
          pos += n;
          this.#remaining -= n;
          if (this.#remaining === 0) this.#state = DATA_CR;
          break;
        }
        case DATA_CR:
          if (byte !== 13) return problem.BAD_CHUNK_END;
          pos++;
          this.#state = DATA_LF;
          break;
        case DATA_LF:
          if (byte !== 10) return problem.BAD_CHUNK_END;
          pos++;
          this.#state = SIZE;
          break;
        case TRAILER: {
          const next = this.#trailer(buf, pos, end);
          if (next < 0) return next;
          pos = next;
          break;
        }
      }
    }
    return pos;
  }

  /** Collects the trailer section until its empty line. */
  #trailer(buf: Uint8Array, pos: number, end: number): number {
    if (this.#tailLength === 0 && end - pos >= 2 && buf[pos] === 13 && buf[pos + 1] === 10) {
      this.#state = DONE;
      return pos + 2;
    }
    if (this.#tail.length === 0) this.#tail = new Uint8Array(MAX_TRAILER_BYTES);
    const tail = this.#tail;
    while (pos < end) {
      if (this.#tailLength === tail.length) return problem.BAD_TRAILER;
      const byte = buf[pos++]!;
      tail[this.#tailLength++] = byte;
      if (byte !== 10) continue;
      const n = this.#tailLength;
      if (n < 2 || tail[n - 2] !== 13) return problem.BARE_LF;
      if (n === 2 || tail[n - 3] === 10) {
        const trouble = this.#finish(tail, n);
        if (trouble < 0) return trouble;
        this.#state = DONE;
        return pos;
      }
    }
    return pos;
  }

  #finish(tail: Uint8Array, length: number): number {
    const fields = new MessageHead(64);
    fields.reset(tail, 0);
    const after = parseFields(fields, tail, 0, length);
    if (after !== length) return problem.BAD_TRAILER;
    this.#trailers = passing(fields, length);
    return 0;
  }
}

/** Fields that frame, route or authenticate a message have no place behind it (RFC 9110 section 6.5.1). */
function passing({ buf, count, kinds, spans }: MessageHead, end: number): Uint8Array | null {
  let size = 0;
  const kept = new Uint8Array(end);
  for (let i = 0; i < count; i++) {
    const kind = kinds[i];
    if (kind !== OTHER && kind !== USER_AGENT && kind !== X_ENVOY) continue;
    const from = spans[4 * i]!;
    if (FORBIDDEN.some((word) => equalsIgnoreCase(buf, from, spans[4 * i + 1]!, word))) continue;
    const to = i + 1 < count ? spans[4 * (i + 1)]! : end - 2;
    kept.set(buf.subarray(from, to), size);
    size += to - from;
  }
  return size === 0 ? null : kept.slice(0, size);
}

/** Of well-formed lines that did not come in chunks, those that may follow them. */
export function chunkedTrailers(lines: Uint8Array): Uint8Array | null {
  const section = new Uint8Array(lines.length + 2);
  section.set(lines);
  section.set([13, 10], lines.length);
  let count = 0;
  for (const byte of lines) if (byte === 10) count++;
  const fields = new MessageHead(count);
  fields.reset(section, 0);
  return parseFields(fields, section, 0, section.length) === section.length
    ? passing(fields, section.length)
    : null;
}

const FORBIDDEN = [
  "authorization",
  "cookie",
  "set-cookie",
  "cache-control",
  "content-encoding",
  "content-range",
  "max-forwards",
  "trailer",
];

/** Room that {@link writeChunk} needs beside the data. */
export const CHUNK_OVERHEAD = 16;

const HEX_DIGITS = "0123456789abcdef";

/** Writes `size` as a chunk size line at `at`; gives the position after it. */
export function writeChunkSize(buf: Uint8Array, at: number, size: number): number {
  let digits = 1;
  for (let rest = Math.floor(size / 16); rest > 0; rest = Math.floor(rest / 16)) digits++;
  let rest = size;
  for (let i = at + digits - 1; i >= at; i--) {
    buf[i] = HEX_DIGITS.charCodeAt(rest % 16);
    rest = Math.floor(rest / 16);
  }
  buf[at + digits] = 13;
  buf[at + digits + 1] = 10;
  return at + digits + 2;
}
