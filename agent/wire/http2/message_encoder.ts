/**
 * Heads on their way out: HTTP/1.1 text, as the pipeline puts it together, becomes a header block (RFC 9113 section 8.3). Fields that
 * belong to the connection are left out, Host becomes :authority. The text is taken to be well-formed: it was parsed before, or
 * written by the agent.
 */
import { equalsIgnoreCase } from "../http1/bytes.ts";
import { HOST, kindOf, OTHER, TE } from "../http1/head.ts";
import { equalsText, isConnectionField } from "./field_kinds.ts";
import { copyBytes } from "./field_table.ts";
import type { HpackEncoder } from "./hpack_encoder.ts";
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

export class MessageEncoder {
  readonly #hpack: HpackEncoder;
  #line: Uint8Array = new Uint8Array(0);

  constructor(hpack: HpackEncoder) {
    this.#hpack = hpack;
  }

  /**
   * Encodes the block of a request head: `METHOD target HTTP/1.1`, lines, empty line. Gives {@link OTHER_METHOD}, {@link HEAD_METHOD}
   * or {@link CONNECT_METHOD}. With a `protocol` the head is that of an upgrade to it, and the block an extended CONNECT (RFC 8441
   * section 4).
   */
  request(out: Output, head: Uint8Array, https: boolean, protocol = ""): number {
    const hpack = this.#hpack;
    hpack.beginBlock(out);
    const methodEnd = head.indexOf(32);
    const target = methodEnd + 1;
    const targetEnd = head.indexOf(32, target);
    const extended = protocol !== "";
    const connect = !extended && equalsText(head, 0, methodEnd, "CONNECT");
    if (extended) {
      const name = new TextEncoder().encode(protocol);
      this.#pseudo(out, METHOD_NAME, CONNECT, 0, CONNECT.length);
      this.#pseudo(out, PROTOCOL_NAME, name, 0, name.length);
    } else if (equalsText(head, 0, methodEnd, "GET")) hpack.indexed(out, GET);
    else if (equalsText(head, 0, methodEnd, "POST")) hpack.indexed(out, POST);
    else this.#pseudo(out, METHOD_NAME, head, 0, methodEnd);
    if (connect) {
      this.#pseudo(out, AUTHORITY_NAME, head, target, targetEnd);
    } else {
      hpack.indexed(out, https ? HTTPS : HTTP);
      if (targetEnd - target === 1 && head[target] === 47) hpack.indexed(out, ROOT);
      else this.#pseudo(out, PATH_NAME, head, target, targetEnd);
      this.#authority(out, head, targetEnd);
    }
    this.#lines(out, head, head.indexOf(10, targetEnd) + 1, HOST);
    if (connect || extended) return CONNECT_METHOD;
    return equalsText(head, 0, methodEnd, "HEAD") ? HEAD_METHOD : OTHER_METHOD;
  }

  /** Encodes the block of a response head; gives the status. */
  response(out: Output, head: Uint8Array): number {
    const hpack = this.#hpack;
    hpack.beginBlock(out);
    const status = (head[9]! - 48) * 100 + (head[10]! - 48) * 10 + head[11]! - 48;
    if (status === 200) hpack.indexed(out, OK);
    else this.#pseudo(out, STATUS_NAME, head, 9, 12);
    this.#lines(out, head, head.indexOf(10, 12) + 1, -1);
    return status;
  }

  /** Encodes trailer lines; an empty line at their end is optional. */
  trailers(out: Output, lines: Uint8Array): void {
    this.#hpack.beginBlock(out);
    this.#lines(out, lines, 0, -1);
  }

  #lines(out: Output, buf: Uint8Array, from: number, skip: number): void {
    const hpack = this.#hpack;
    const length = buf.length;
    let pos = from;
    while (pos < length && buf[pos] !== 13) {
      const name = pos;
      while (pos < length && buf[pos] !== 58) pos++;
      const nameEnd = pos++;
      while (buf[pos] === 32 || buf[pos] === 9) pos++;
      const value = pos;
      while (pos < length && buf[pos] !== 13) pos++;
      let valueEnd = pos;
      while (valueEnd > value && (buf[valueEnd - 1] === 32 || buf[valueEnd - 1] === 9)) valueEnd--;
      pos += 2;
      const kind = kindOf(buf, name, nameEnd);
      if (kind !== OTHER) {
        if (kind === skip || isConnectionField(kind)) continue;
        if (kind === TE && !equalsIgnoreCase(buf, value, valueEnd, "trailers")) continue;
      }
      hpack.field(out, buf, name, nameEnd, value, valueEnd);
    }
  }

  /** Host is nearly always the first line. */
  #authority(out: Output, buf: Uint8Array, from: number): void {
    for (let pos = buf.indexOf(10, from) + 1; pos > 0 && buf[pos] !== 13; pos = buf.indexOf(10, pos) + 1) {
      if (buf[pos + 4] !== 58 || !equalsIgnoreCase(buf, pos, pos + 4, "host")) continue;
      let value = pos + 5;
      while (buf[value] === 32 || buf[value] === 9) value++;
      let end = value;
      while (end < buf.length && buf[end] !== 13) end++;
      while (end > value && (buf[end - 1] === 32 || buf[end - 1] === 9)) end--;
      // An empty Host has no form in HTTP/2.
      if (end > value) this.#pseudo(out, AUTHORITY_NAME, buf, value, end);
      return;
    }
  }

  #pseudo(out: Output, name: Uint8Array, buf: Uint8Array, start: number, end: number): void {
    const length = name.length + end - start;
    if (this.#line.length < length) this.#line = new Uint8Array(Math.max(64, 2 * length));
    const line = this.#line;
    copyBytes(name, 0, name.length, line, 0);
    copyBytes(buf, start, end - start, line, name.length);
    this.#hpack.field(out, line, 0, name.length - 2, name.length, length);
  }
}
