/**
 * Heads on their way out: HTTP/1.1 text, as the pipeline puts it together, becomes a header block (RFC 9113 section 8.3). Fields that
 * belong to the connection are left out, Host becomes :authority. The text is taken to be well-formed: it was parsed before, or
 * written by the agent.
 */
import { equalsIgnoreCase } from "../http1/bytes.ts";
import { HOST, kindOf, OTHER, TE } from "../http1/head.ts";
import { equalsText, isConnectionField } from "./field_kinds.ts";
import { copyBytes } from "./field_table.ts";
import { HeadMemo, LEFT_OUT } from "./head_memo.ts";
import { type HpackEncoder, LITERAL } from "./hpack_encoder.ts";
import type { Output } from "./output.ts";

const METHOD_NAME = pseudo(":method");
const PATH_NAME = pseudo(":path");
const AUTHORITY_NAME = pseudo(":authority");
const STATUS_NAME = pseudo(":status");
const PROTOCOL_NAME = pseudo(":protocol");
const CONNECT = new TextEncoder().encode("CONNECT");

/** Indexes of the static table. */
const GET = 2;
const POST = 3;
const ROOT = 4;
const HTTP = 6;
const HTTPS = 7;
const OK = 8;

export const OTHER_METHOD = 0;
export const HEAD_METHOD = 1;
export const CONNECT_METHOD = 2;

function pseudo(name: string): Uint8Array {
  return new TextEncoder().encode(`${name}: `);
}

const NO_BYTES = new Uint8Array(0);

export class MessageEncoder {
  readonly #hpack: HpackEncoder;
  #memo: HeadMemo | null = null;
  #trailers: HeadMemo | null = null;
  #text: Uint8Array = NO_BYTES;

  constructor(hpack: HpackEncoder) {
    this.#hpack = hpack;
  }

  /** Forgets what was sent. */
  fold(): void {
    this.#memo = this.#trailers = null;
    this.#text = NO_BYTES;
    this.#hpack.fold();
  }

  /**
   * Encodes the block of a request head: `METHOD target HTTP/1.1`, lines, empty line. Gives {@link OTHER_METHOD}, {@link HEAD_METHOD}
   * or {@link CONNECT_METHOD}. With a `protocol` the head is that of an upgrade to it, and the block an extended CONNECT (RFC 8441
   * section 4).
   */
  request(out: Output, head: Uint8Array, https: boolean, protocol = ""): number {
    const hpack = this.#hpack;
    const memo = this.#memo ??= new HeadMemo();
    hpack.beginBlock(out);
    memo.begin();
    // Nearly all requests: what else there is says itself anew each time.
    const usual = !https && protocol === "";
    let pos = usual ? memo.again(hpack, out, head, 0) : -1;
    if (pos < 0) pos = this.#request(out, head, https, protocol, memo);
    this.#lines(out, head, pos, HOST, memo);
    if (protocol !== "") return CONNECT_METHOD;
    switch (head[0]) {
      case 67:
        return equalsText(head, 0, 8, "CONNECT ") ? CONNECT_METHOD : OTHER_METHOD;
      case 72:
        return equalsText(head, 0, 5, "HEAD ") ? HEAD_METHOD : OTHER_METHOD;
      default:
        return OTHER_METHOD;
    }
  }

  /** The first line, and Host wherever it is; position of the first line behind them. */
  #request(out: Output, head: Uint8Array, https: boolean, protocol: string, memo: HeadMemo): number {
    const hpack = this.#hpack;
    const methodEnd = head.indexOf(32);
    const target = methodEnd + 1;
    const targetEnd = head.indexOf(32, target);
    const extended = protocol !== "";
    const connect = !extended && equalsText(head, 0, methodEnd, "CONNECT");
    const lines = head.indexOf(10, targetEnd) + 1;
    let method: number;
    if (extended) {
      const name = new TextEncoder().encode(protocol);
      method = this.#pseudo(out, METHOD_NAME, CONNECT, 0, CONNECT.length);
      this.#pseudo(out, PROTOCOL_NAME, name, 0, name.length);
    } else if (equalsText(head, 0, methodEnd, "GET")) method = hpack.indexed(out, GET);
    else if (equalsText(head, 0, methodEnd, "POST")) method = hpack.indexed(out, POST);
    else method = this.#pseudo(out, METHOD_NAME, head, 0, methodEnd);
    if (connect) {
      const authority = this.#pseudo(out, AUTHORITY_NAME, head, target, targetEnd);
      memo.note(lines, method, authority);
      return lines;
    }
    const scheme = hpack.indexed(out, https ? HTTPS : HTTP);
    const path = targetEnd - target === 1 && head[target] === 47
      ? hpack.indexed(out, ROOT)
      : this.#pseudo(out, PATH_NAME, head, target, targetEnd);
    const [authority, end] = this.#authority(out, head, lines);
    // Not for the memo: another scheme, a protocol, Host in another place.
    const usual = !https && !extended && end > 0;
    memo.note(end > 0 ? end : lines, usual ? method : LITERAL, scheme, path, authority);
    return end > 0 ? end : lines;
  }

  /** Encodes the block of a response head; gives the status. */
  response(out: Output, head: Uint8Array): number {
    const hpack = this.#hpack;
    const memo = this.#memo ??= new HeadMemo();
    hpack.beginBlock(out);
    memo.begin();
    const status = (head[9]! - 48) * 100 + (head[10]! - 48) * 10 + head[11]! - 48;
    if (memo.whole(hpack, out, head)) return status;
    let pos = memo.again(hpack, out, head, 0);
    if (pos < 0) {
      pos = head.indexOf(10, 12) + 1;
      memo.note(pos, status === 200 ? hpack.indexed(out, OK) : this.#pseudo(out, STATUS_NAME, head, 9, 12));
    }
    this.#lines(out, head, pos, -1, memo);
    return status;
  }

  /** Encodes trailer lines; an empty line at their end is optional. */
  trailers(out: Output, lines: Uint8Array): void {
    const memo = this.#trailers ??= new HeadMemo();
    this.#hpack.beginBlock(out);
    memo.begin();
    if (memo.whole(this.#hpack, out, lines)) return;
    this.#lines(out, lines, 0, -1, memo);
  }

  #lines(out: Output, buf: Uint8Array, from: number, skip: number, memo: HeadMemo): void {
    const hpack = this.#hpack;
    let pos = from;
    while (pos < buf.length && buf[pos] !== 13) {
      const next = memo.again(hpack, out, buf, pos);
      pos = next > 0 ? next : this.#line(out, buf, pos, skip, memo);
    }
    memo.finish(buf);
  }

  /** Encodes a line, unless its kind is `skip`; position after it. */
  #line(out: Output, buf: Uint8Array, from: number, skip: number, memo: HeadMemo): number {
    const length = buf.length;
    let pos = from;
    while (pos < length && buf[pos] !== 58) pos++;
    const nameEnd = pos++;
    while (buf[pos] === 32 || buf[pos] === 9) pos++;
    const value = pos;
    while (pos < length && buf[pos] !== 13) pos++;
    let valueEnd = pos;
    while (valueEnd > value && (buf[valueEnd - 1] === 32 || buf[valueEnd - 1] === 9)) valueEnd--;
    const kind = kindOf(buf, from, nameEnd);
    const leftOut = kind !== OTHER && (kind === skip || isConnectionField(kind) ||
      kind === TE && !equalsIgnoreCase(buf, value, valueEnd, "trailers"));
    const code = leftOut ? LEFT_OUT : this.#hpack.field(out, buf, from, nameEnd, value, valueEnd);
    memo.note(pos + 2, code);
    return pos + 2;
  }

  /** Code of the authority, and the end of Host when it is the first line, as it nearly always is; else -1. */
  #authority(out: Output, buf: Uint8Array, lines: number): [number, number] {
    for (let pos = lines; pos > 0 && buf[pos] !== 13; pos = buf.indexOf(10, pos) + 1) {
      if (buf[pos + 4] !== 58 || !equalsIgnoreCase(buf, pos, pos + 4, "host")) continue;
      let value = pos + 5;
      while (buf[value] === 32 || buf[value] === 9) value++;
      let end = value;
      while (end < buf.length && buf[end] !== 13) end++;
      const lineEnd = pos === lines ? end + 2 : -1;
      while (end > value && (buf[end - 1] === 32 || buf[end - 1] === 9)) end--;
      // An empty Host has no form in HTTP/2.
      return [end > value ? this.#pseudo(out, AUTHORITY_NAME, buf, value, end) : LEFT_OUT, lineEnd];
    }
    return [LEFT_OUT, -1];
  }

  #pseudo(out: Output, name: Uint8Array, buf: Uint8Array, start: number, end: number): number {
    const length = name.length + end - start;
    if (this.#text.length < length) this.#text = new Uint8Array(Math.max(64, 2 * length));
    const text = this.#text;
    copyBytes(name, 0, name.length, text, 0);
    copyBytes(buf, start, end - start, text, name.length);
    return this.#hpack.field(out, text, 0, name.length - 2, name.length, length);
  }
}
