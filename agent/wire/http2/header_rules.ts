/**
 * What a header section of HTTP/2 must be (RFC 9113 section 8), checked while its fields come out of the decoder, and its shape
 * inside the agent: a {@link MessageHead} as an HTTP/1.1 parser would have filled it. Pseudo-header fields become the first line and
 * `host`, so `head.text` is `GET /path HTTP/1.1`, `host: ...`, the fields in lower case; crumbs of Cookie are one line. Extended CONNECT
 * (RFC 8441) becomes what it is in HTTP/1.1: a GET with `upgrade: PROTOCOL`.
 */
import { Buffer } from "node:buffer";
import { equalsIgnoreCase, TARGET, TOKEN } from "../http1/bytes.ts";
import { CONTENT_LENGTH, HOST, MessageHead, noteField, OTHER, UPGRADE } from "../http1/head.ts";
import {
  AUTHORITY,
  COOKIE,
  equalsText,
  FIRST_BAD,
  malformation,
  METHOD,
  PATH,
  PROTOCOL,
  SCHEME,
  STATUS,
} from "./field_kinds.ts";
import { copyBytes, ENTRY_OVERHEAD, LINE_OVERHEAD } from "./field_table.ts";
import type { FieldSink } from "./hpack_decoder.ts";
import * as problem from "./problems.ts";

export const REQUEST = 0;
export const RESPONSE = 1;
export const TRAILERS = 2;

const FIRST_HEAD_BYTES = 1024;
/** A head that grew beyond this gives its buffer back. */
const KEPT_HEAD_BYTES = 8 * 1024;
const MAX_KEPT_HEADS = 256;

/** Heads with buffers of their own, used again and again. One pool may serve many connections. */
export class HeadPool {
  readonly #heads: MessageHead[] = [];

  constructor(readonly maxHeaderCount: number) {}

  take(): MessageHead {
    const kept = this.#heads.pop();
    if (kept !== undefined) return kept;
    const head = new MessageHead(this.maxHeaderCount);
    head.reset(Buffer.allocUnsafeSlow(FIRST_HEAD_BYTES), 0);
    return head;
  }

  /** Nobody reads `head` any more. */
  give(head: MessageHead): void {
    if (this.#heads.length >= MAX_KEPT_HEADS) return;
    if (head.buf.length > KEPT_HEAD_BYTES) head.reset(Buffer.allocUnsafeSlow(FIRST_HEAD_BYTES), 0);
    this.#heads.push(head);
  }
}

const HTTP_1_1 = text(" HTTP/1.1\r\n");
const STATUS_LINE = text("HTTP/1.1 ");
const HOST_LINE = text("host: ");
const UPGRADE_LINE = text("upgrade: ");
const GET = text("GET");

function text(s: string): Uint8Array {
  return new TextEncoder().encode(s);
}

/** Builds one head at a time. */
export class HeadBuilder implements FieldSink {
  buf: Uint8Array = new Uint8Array(0);
  at = 0;
  full = false;
  /** The request came over TLS, as its :scheme says. */
  https = false;
  /** CONNECT: what follows is a tunnel. */
  connect = false;
  #head: MessageHead | null = null;
  #mode = REQUEST;
  #problem = 0;
  #size = 0;
  #composed = false;
  #crumbs = 0;
  #cookie = -1;
  // Spans of pseudo-header values; an end of -1 says that there is none.
  #method = 0;
  #methodEnd = -1;
  #path = 0;
  #pathEnd = -1;
  #scheme = 0;
  #schemeEnd = -1;
  #authority = 0;
  #authorityEnd = -1;
  #status = 0;
  #statusEnd = -1;
  #protocol = 0;
  #protocolEnd = -1;

  constructor(readonly maxListSize: number) {}

  /** The next fields are of `head`, whose own buffer takes them. */
  begin(head: MessageHead, mode: typeof REQUEST | typeof RESPONSE | typeof TRAILERS): void {
    this.#head = head;
    this.#mode = mode;
    this.buf = head.buf;
    head.reset(head.buf, 0);
    this.at = 0;
    this.full = false;
    this.https = false;
    this.connect = false;
    this.#problem = 0;
    this.#size = 0;
    this.#composed = mode === TRAILERS;
    this.#crumbs = 0;
    this.#cookie = -1;
    this.#methodEnd =
      this.#pathEnd =
      this.#schemeEnd =
      this.#authorityEnd =
      this.#statusEnd =
      this.#protocolEnd =
        -1;
  }

  ensure(bytes: number): void {
    const need = this.at + bytes;
    if (need <= this.buf.length) return;
    const next = Buffer.allocUnsafeSlow(Math.max(need, 2 * this.buf.length));
    // Also what was written behind `at` already: the name of a literal.
    next.set(this.buf);
    this.buf = next;
  }

  take(nameLength: number, valueLength: number, kind: number): void {
    this.#size += nameLength + valueLength + ENTRY_OVERHEAD;
    if (this.#size > this.maxListSize) this.full = true;
    if (this.full || this.#problem !== 0) return;
    if (kind >= METHOD) {
      this.#problem = kind >= FIRST_BAD
        ? malformation(kind)
        : this.#pseudo(kind, this.at + nameLength + 2, valueLength);
      this.at += nameLength + valueLength + LINE_OVERHEAD;
      return;
    }
    if (!this.#composed) {
      const line = this.at;
      const length = nameLength + valueLength + LINE_OVERHEAD;
      this.at += length;
      this.#problem = this.#compose();
      if (this.#problem !== 0) return;
      this.ensure(length);
      copyBytes(this.buf, line, length, this.buf, this.at);
    }
    this.#field(nameLength, valueLength, kind);
  }

  /** The block is over. 0, or a problem of the stream; the head is good for nothing then. */
  finish(endStream: boolean): number {
    const head = this.#head!;
    this.#head = null;
    if (this.#problem === 0 && !this.full && !this.#composed) {
      // Nothing but pseudo-header fields.
      this.#head = head;
      this.#problem = this.#compose();
      this.#head = null;
    }
    if (this.#problem === 0 && this.full) this.#problem = problem.HEAD_TOO_LARGE;
    // An upgrade goes on as a request that has no body.
    if (this.#problem === 0 && this.#protocolEnd >= 0 && head.contentLength >= 0) {
      this.#problem = problem.BAD_EXTENDED_CONNECT;
    }
    if (this.#problem === 0 && head.badExpect) this.#problem = problem.BAD_EXPECTATION;
    this.ensure(2);
    this.buf[this.at++] = 13;
    this.buf[this.at++] = 10;
    head.buf = this.buf;
    head.end = this.at;
    head.chunked = !endStream && head.contentLength < 0 && !this.connect;
    this.buf = NO_BYTES;
    return this.#problem;
  }

  /** `head` is one that was finished before. */
  again(
    head: MessageHead,
    known: { readonly https: boolean; readonly connect: boolean },
    endStream: boolean,
  ): void {
    this.https = known.https;
    this.connect = known.connect;
    head.chunked = !endStream && head.contentLength < 0 && !this.connect;
  }

  #field(nameLength: number, valueLength: number, kind: number): void {
    const head = this.#head!;
    const start = this.at;
    const valueStart = start + nameLength + 2;
    const valueEnd = valueStart + valueLength;
    if (kind === HOST && this.#authorityEnd >= 0) {
      const { buf } = this;
      // The same word twice is said once.
      if (!sameIgnoringCase(buf, valueStart, valueEnd, this.#authority, this.#authorityEnd)) {
        this.#problem = problem.HOST_DIFFERS;
      }
      return;
    }
    if (kind === COOKIE) {
      if (this.#cookie >= 0) return this.#crumb(valueStart, valueEnd);
      this.#cookie = head.count;
      kind = OTHER;
    }
    const index = head.count;
    if (index === head.kinds.length) {
      this.full = true;
      return;
    }
    const at = 4 * index;
    const { spans } = head;
    spans[at] = start;
    spans[at + 1] = start + nameLength;
    spans[at + 2] = valueStart;
    spans[at + 3] = valueEnd;
    head.kinds[index] = kind;
    head.count = index + 1;
    this.at = valueEnd + 2;
    if (kind === OTHER) return;
    if (noteField(head, this.buf, index, kind, valueStart, valueEnd) < 0) {
      this.#problem = kind === CONTENT_LENGTH ? problem.BAD_LENGTH_FIELD : problem.BAD_VALUE;
    }
  }

  /** A further piece of Cookie joins the first (RFC 9113 section 8.2.3); lines between move on. */
  #crumb(valueStart: number, valueEnd: number): void {
    const head = this.#head!;
    if (++this.#crumbs >= head.kinds.length) {
      this.full = true;
      return;
    }
    // Buffer's own slice would be a view of what moves.
    const value = Uint8Array.prototype.slice.call(this.buf, valueStart, valueEnd);
    const more = value.length + 2;
    this.ensure(more);
    const { buf } = this;
    const { spans } = head;
    const to = spans[4 * this.#cookie + 3]!;
    buf.copyWithin(to + more, to, this.at);
    buf[to] = 59;
    buf[to + 1] = 32;
    buf.set(value, to + 2);
    spans[4 * this.#cookie + 3] = to + more;
    for (let i = 4 * (this.#cookie + 1); i < 4 * head.count; i++) spans[i]! += more;
    this.at += more;
  }

  #pseudo(kind: number, start: number, length: number): number {
    const end = start + length;
    if (this.#composed) return this.#mode === TRAILERS ? problem.PSEUDO_IN_TRAILERS : problem.LATE_PSEUDO;
    if ((kind === STATUS) !== (this.#mode === RESPONSE)) return problem.UNKNOWN_PSEUDO;
    switch (kind) {
      case METHOD:
        if (this.#methodEnd >= 0) return problem.REPEATED_PSEUDO;
        this.#method = start;
        this.#methodEnd = end;
        return 0;
      case PATH:
        if (this.#pathEnd >= 0) return problem.REPEATED_PSEUDO;
        this.#path = start;
        this.#pathEnd = end;
        return 0;
      case SCHEME:
        if (this.#schemeEnd >= 0) return problem.REPEATED_PSEUDO;
        this.#scheme = start;
        this.#schemeEnd = end;
        return 0;
      case AUTHORITY:
        if (this.#authorityEnd >= 0) return problem.REPEATED_PSEUDO;
        this.#authority = start;
        this.#authorityEnd = end;
        return 0;
      case STATUS:
        if (this.#statusEnd >= 0) return problem.REPEATED_PSEUDO;
        this.#status = start;
        this.#statusEnd = end;
        return 0;
      case PROTOCOL:
        if (this.#protocolEnd >= 0) return problem.REPEATED_PSEUDO;
        this.#protocol = start;
        this.#protocolEnd = end;
        return 0;
      default:
        return problem.UNKNOWN_PSEUDO;
    }
  }

  /** All pseudo-header fields are here: the first line and `host` behind them. */
  #compose(): number {
    this.#composed = true;
    return this.#mode === REQUEST ? this.#composeRequest() : this.#composeResponse();
  }

  #composeRequest(): number {
    const trouble = this.#checkRequest();
    if (trouble !== 0) return trouble;
    const head = this.#head!;
    // CONNECT has its authority where others have a path.
    const extended = this.#protocolEnd >= 0;
    const bare = this.connect && !extended;
    const from = bare ? this.#authority : this.#path;
    const to = bare ? this.#authorityEnd : this.#pathEnd;
    const hasHost = this.#authorityEnd >= 0;
    const methodLength = extended ? GET.length : this.#methodEnd - this.#method;
    this.ensure(methodLength + to - from + (hasHost ? this.#authorityEnd - this.#authority : 0) + 24);
    const { buf } = this;
    let at = this.at;
    head.start = at;
    copyBytes(extended ? GET : buf, extended ? 0 : this.#method, methodLength, buf, at);
    at += methodLength;
    head.methodEnd = at;
    buf[at++] = 32;
    head.targetStart = at;
    copyBytes(buf, from, to - from, buf, at);
    at += to - from;
    head.targetEnd = at;
    copyBytes(HTTP_1_1, 0, HTTP_1_1.length, buf, at);
    at += HTTP_1_1.length;
    this.at = at;
    if (!hasHost) return 0;
    const length = this.#authorityEnd - this.#authority;
    copyBytes(HOST_LINE, 0, HOST_LINE.length, buf, at);
    copyBytes(buf, this.#authority, length, buf, at + HOST_LINE.length);
    const valueEnd = at + HOST_LINE.length + length;
    buf[valueEnd] = 13;
    buf[valueEnd + 1] = 10;
    const { spans } = head;
    spans[0] = at;
    spans[1] = at + 4;
    spans[2] = at + 6;
    spans[3] = valueEnd;
    head.kinds[0] = HOST;
    head.count = 1;
    head.hostIndex = 0;
    head.hostCount = 1;
    this.at = valueEnd + 2;
    if (extended) this.#upgrade();
    return 0;
  }

  #upgrade(): void {
    const length = this.#protocolEnd - this.#protocol;
    this.ensure(UPGRADE_LINE.length + length + 2);
    const { at, buf } = this;
    copyBytes(UPGRADE_LINE, 0, UPGRADE_LINE.length, buf, at);
    copyBytes(buf, this.#protocol, length, buf, at + UPGRADE_LINE.length);
    const valueEnd = at + UPGRADE_LINE.length + length;
    buf[valueEnd] = 13;
    buf[valueEnd + 1] = 10;
    this.#field("upgrade".length, length, UPGRADE);
    this.#head!.upgrade = true;
  }

  #checkRequest(): number {
    const { buf } = this;
    if (this.#methodEnd < 0) return problem.MISSING_PSEUDO;
    if (this.#methodEnd === this.#method) return problem.BAD_METHOD;
    for (let i = this.#method; i < this.#methodEnd; i++) if (TOKEN[buf[i]!] === 0) return problem.BAD_METHOD;
    if (this.#authorityEnd >= 0) {
      for (let i = this.#authority; i < this.#authorityEnd; i++) {
        if (TARGET[buf[i]!] === 0 || buf[i] === 64) return problem.BAD_AUTHORITY;
      }
    }
    this.connect = equalsText(buf, this.#method, this.#methodEnd, "CONNECT");
    if (this.#protocolEnd >= 0) {
      if (!this.connect || this.#authorityEnd <= this.#authority || this.#protocolEnd === this.#protocol) {
        return problem.BAD_EXTENDED_CONNECT;
      }
      for (let i = this.#protocol; i < this.#protocolEnd; i++) {
        if (TOKEN[buf[i]!] === 0) return problem.BAD_EXTENDED_CONNECT;
      }
    } else if (this.connect) {
      const bare = this.#schemeEnd < 0 && this.#pathEnd < 0;
      return bare && this.#authorityEnd > this.#authority ? 0 : problem.BAD_CONNECT;
    }
    if (this.#schemeEnd < 0 || this.#pathEnd < 0) return problem.MISSING_PSEUDO;
    if (this.#authorityEnd === this.#authority && this.#authorityEnd >= 0) return problem.BAD_AUTHORITY;
    this.https = equalsIgnoreCase(buf, this.#scheme, this.#schemeEnd, "https");
    if (!this.https && !isScheme(buf, this.#scheme, this.#schemeEnd)) return problem.BAD_SCHEME;
    for (let i = this.#path; i < this.#pathEnd; i++) {
      if (TARGET[buf[i]!] === 0 || buf[i] === 35) return problem.BAD_PATH;
    }
    if (buf[this.#path] === 47 && this.#pathEnd > this.#path) return 0;
    const star = equalsText(buf, this.#path, this.#pathEnd, "*") &&
      equalsText(buf, this.#method, this.#methodEnd, "OPTIONS");
    return star ? 0 : problem.BAD_PATH;
  }

  #composeResponse(): number {
    const { buf } = this;
    const head = this.#head!;
    const from = this.#status;
    if (this.#statusEnd - from !== 3) return problem.BAD_STATUS;
    const a = buf[from]! - 48;
    const b = buf[from + 1]! - 48;
    const c = buf[from + 2]! - 48;
    if (a < 1 || a > 9 || b < 0 || b > 9 || c < 0 || c > 9) return problem.BAD_STATUS;
    head.status = a * 100 + b * 10 + c;
    this.ensure(STATUS_LINE.length + 6);
    const at = this.at;
    head.start = at;
    copyBytes(STATUS_LINE, 0, STATUS_LINE.length, this.buf, at);
    copyBytes(this.buf, from, 3, this.buf, at + 9);
    this.buf[at + 12] = 32;
    this.buf[at + 13] = 13;
    this.buf[at + 14] = 10;
    head.reasonStart = head.reasonEnd = at + 13;
    this.at = at + 15;
    return 0;
  }
}

const NO_BYTES = new Uint8Array(0);

function isScheme(buf: Uint8Array, start: number, end: number): boolean {
  if (start === end) return false;
  for (let i = start; i < end; i++) {
    const byte = buf[i]!;
    const letter = byte >= 97 && byte <= 122 || byte >= 65 && byte <= 90;
    const other = byte >= 48 && byte <= 57 || byte === 43 || byte === 45 || byte === 46;
    if (!letter && !(other && i > start)) return false;
  }
  return true;
}

function sameIgnoringCase(buf: Uint8Array, start: number, end: number, from: number, to: number): boolean {
  if (end - start !== to - from) return false;
  for (let i = 0; i < end - start; i++) {
    let a = buf[start + i]!;
    let b = buf[from + i]!;
    if (a >= 65 && a <= 90) a += 32;
    if (b >= 65 && b <= 90) b += 32;
    if (a !== b) return false;
  }
  return true;
}
