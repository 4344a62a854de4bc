/** The spans of one HTTP/1.1 head and the kinds of its headers. Filled by head.ts. */
import { Buffer } from "node:buffer";
import { LOWER } from "./bytes.ts";

/** Kinds of headers that the proxy itself looks at; everything else is OTHER and only passes through. */
export const OTHER = 0;
export const HOST = 1;
export const CONTENT_LENGTH = 2;
export const TRANSFER_ENCODING = 3;
export const CONNECTION = 4;
export const KEEP_ALIVE = 5;
export const PROXY_CONNECTION = 6;
export const PROXY_AUTHORIZATION = 7;
export const TE = 8;
export const UPGRADE = 9;
/** Named by Connection, so it ends here. */
export const NOMINATED = 10;
export const EXPECT = 11;
export const X_FORWARDED_FOR = 12;
export const X_FORWARDED_PROTO = 13;
export const X_REQUEST_ID = 14;
export const USER_AGENT = 15;
export const CONTENT_TYPE = 16;
export const X_ENVOY = 17;
/** Taken out by a header operation. */
export const REMOVED = 18;

/** Kinds that never pass to the other side as they came. */
export const HOP_BY_HOP: Uint8Array = (() => {
  const t = new Uint8Array(32);
  const kinds = [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHORIZATION, TE, UPGRADE, NOMINATED];
  for (const k of [...kinds, TRANSFER_ENCODING, REMOVED]) t[k] = 1;
  return t;
})();

/** Texts that were asked of a head, for all that became the same: strings that are known need no hash to be found by. */
class Words {
  method: string | null = null;
  target: string | null = null;
  readonly values: (string | undefined)[] = [];
}

/** Spans of one head. Offsets are absolute in `buf`, valid until the buffer is written again; `text` stays. */
export class MessageHead {
  buf: Uint8Array = new Uint8Array(0);
  start = 0;
  /** After the empty line. */
  end = 0;
  /** HTTP/1.`minor`. */
  minor = 1;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  status = 0;
  reasonStart = 0;
  reasonEnd = 0;
  /** Number of header lines. */
  count = 0;
  /** Four per line: name start, name end, value start, value end. */
  readonly spans: Int32Array;
  readonly kinds: Uint8Array;
  /** -1 when there is none. */
  contentLength = -1;
  chunked = false;
  hostIndex = -1;
  hostCount = 0;
  /** Connection said close, keep-alive, upgrade. */
  close = false;
  keepAlive = false;
  upgrade = false;
  upgradeIndex = -1;
  expectContinue = false;
  badExpect = false;
  forwardedForIndex = -1;
  requestIdIndex = -1;
  userAgentIndex = -1;
  contentTypeIndex = -1;
  hasForwardedProto = false;
  /** Some X-Envoy- header is present. */
  hasEnvoy = false;
  transferEncodings = 0;
  /** Is it of gRPC? 1 or 0; -1 when nobody has looked. */
  grpc = -1;
  #text: string | null = null;
  /** Of heads that are received again and again. */
  #words: Words | null = null;

  constructor(maxHeaderCount: number) {
    this.spans = new Int32Array(4 * maxHeaderCount);
    this.kinds = new Uint8Array(maxHeaderCount);
  }

  /** The head as one Latin-1 string: character i is byte `start + i`. Made once, survives the buffer. */
  get text(): string {
    return this.#text ??= latin1(this.buf, this.start, this.end);
  }

  slice(from: number, to: number): string {
    const start = this.start;
    return this.text.substring(from - start, to - start);
  }

  /** Of a request. */
  get method(): string {
    const words = this.#words;
    if (words === null) return this.slice(this.start, this.methodEnd);
    return words.method ??= this.slice(this.start, this.methodEnd);
  }

  /** Of a request. */
  get target(): string {
    const words = this.#words;
    if (words === null) return this.slice(this.targetStart, this.targetEnd);
    return words.target ??= this.slice(this.targetStart, this.targetEnd);
  }

  valueAt(index: number): string {
    const words = this.#words;
    if (words === null) return this.#valueAt(index);
    return words.values[index] ??= this.#valueAt(index);
  }

  #valueAt(index: number): string {
    return this.slice(this.spans[4 * index + 2]!, this.spans[4 * index + 3]!);
  }

  nameAt(index: number): string {
    return this.slice(this.spans[4 * index]!, this.spans[4 * index + 1]!);
  }

  /** All values of the header joined with a comma; undefined when missing. `name` is lower-case. */
  value(name: string): string | undefined {
    let found: string | undefined;
    const length = name.length;
    const text = this.text;
    const start = this.start;
    for (let i = 0; i < this.count; i++) {
      const from = this.spans[4 * i]!;
      if (this.spans[4 * i + 1]! - from !== length) continue;
      let j = 0;
      while (j < length && LOWER[text.charCodeAt(from - start + j)] === name.charCodeAt(j)) j++;
      if (j < length) continue;
      const v = this.valueAt(i);
      found = found === undefined ? v : `${found},${v}`;
    }
    return found;
  }

  /** After the end of line `index`: the first byte of the next line. */
  lineEnd(index: number): number {
    return index + 1 < this.count ? this.spans[4 * (index + 1)]! : this.end - 2;
  }

  /** Marks every line of that (lower-case) name with `kind`; counts them. */
  mark(name: string, kind: number): number {
    let n = 0;
    const text = this.text;
    for (let i = 0; i < this.count; i++) {
      const from = this.spans[4 * i]!;
      if (this.spans[4 * i + 1]! - from !== name.length) continue;
      const at = from - this.start;
      let j = 0;
      while (j < name.length && LOWER[text.charCodeAt(at + j)] === name.charCodeAt(j)) j++;
      if (j < name.length) continue;
      this.kinds[i] = kind;
      n++;
    }
    return n;
  }

  /** Becomes the same as `from`, which has at most as many lines as there is room for, in its own buffer. */
  become(from: MessageHead): void {
    const { start, end, count } = from;
    if (this.buf.length < end) this.buf = Buffer.allocUnsafeSlow(end);
    this.buf.set(
      from.buf.length === end ? from.buf : new Uint8Array(from.buf.buffer, from.buf.byteOffset, end),
    );
    for (let i = 0; i < 4 * count; i++) this.spans[i] = from.spans[i]!;
    for (let i = 0; i < count; i++) this.kinds[i] = from.kinds[i]!;
    this.#text = from.text;
    this.#words = from.#words ??= new Words();
    this.start = start;
    this.end = end;
    this.count = count;
    this.minor = from.minor;
    this.methodEnd = from.methodEnd;
    this.targetStart = from.targetStart;
    this.targetEnd = from.targetEnd;
    this.status = from.status;
    this.reasonStart = from.reasonStart;
    this.reasonEnd = from.reasonEnd;
    this.contentLength = from.contentLength;
    this.chunked = from.chunked;
    this.hostIndex = from.hostIndex;
    this.hostCount = from.hostCount;
    this.close = from.close;
    this.keepAlive = from.keepAlive;
    this.upgrade = from.upgrade;
    this.upgradeIndex = from.upgradeIndex;
    this.expectContinue = from.expectContinue;
    this.badExpect = from.badExpect;
    this.forwardedForIndex = from.forwardedForIndex;
    this.requestIdIndex = from.requestIdIndex;
    this.userAgentIndex = from.userAgentIndex;
    this.contentTypeIndex = from.contentTypeIndex;
    this.hasForwardedProto = from.hasForwardedProto;
    this.hasEnvoy = from.hasEnvoy;
    this.transferEncodings = from.transferEncodings;
    this.grpc = -1;
  }

  reset(buf: Uint8Array, start: number): void {
    this.buf = buf;
    this.start = start;
    this.end = start;
    this.#text = this.#words = null;
    this.minor = 1;
    this.count = 0;
    this.contentLength = -1;
    this.chunked = false;
    this.hostIndex = -1;
    this.hostCount = 0;
    this.close = false;
    this.keepAlive = false;
    this.upgrade = false;
    this.upgradeIndex = -1;
    this.expectContinue = false;
    this.badExpect = false;
    this.forwardedForIndex = -1;
    this.requestIdIndex = -1;
    this.userAgentIndex = -1;
    this.contentTypeIndex = -1;
    this.hasForwardedProto = false;
    this.hasEnvoy = false;
    this.transferEncodings = 0;
    this.grpc = -1;
  }
}

type Latin1Slicer = { latin1Slice(start: number, end: number): string };

/** Latin-1 text of a span; quick when the array is a Buffer. */
export function latin1(buf: Uint8Array, start: number, end: number): string {
  if (buf instanceof Buffer) return (buf as unknown as Latin1Slicer).latin1Slice(start, end);
  return (Buffer.from(buf.buffer, buf.byteOffset, buf.byteLength) as unknown as Latin1Slicer)
    .latin1Slice(start, end);
}
