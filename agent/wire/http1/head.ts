/**
 * HTTP/1.1 heads: bytes in, spans out. A {@link MessageHead} is made once per connection and filled again for every message;
 * nothing is copied and no string is made until somebody asks for one.
 *
 * In: a buffer that begins with a request or status line. Out: the position after the empty line, 0 when more bytes are
 * needed, or a negative number of problems.ts.
 *
 * @example
 * ```ts
 * import { MessageHead, parseRequestHead } from "./head.ts";
 * const bytes = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
 * const head = new MessageHead(100);
 * parseRequestHead(head, bytes, 0, bytes.length, { maxHeadBytes: 65536, maxTargetBytes: 32768 }); // 27
 * head.value("host"); // "a"
 * ```
 */
import { equalsIgnoreCase, FIELD_VALUE, LOWER, TARGET, TOKEN } from "./bytes.ts";
import * as problem from "./problems.ts";

import {
  CONNECTION,
  CONTENT_LENGTH,
  CONTENT_TYPE,
  EXPECT,
  HOST,
  KEEP_ALIVE,
  latin1,
  MessageHead,
  NOMINATED,
  OTHER,
  PROXY_AUTHORIZATION,
  PROXY_CONNECTION,
  TE,
  TRANSFER_ENCODING,
  UPGRADE,
  USER_AGENT,
  X_ENVOY,
  X_FORWARDED_FOR,
  X_FORWARDED_PROTO,
  X_REQUEST_ID,
} from "./message_head.ts";

export * from "./message_head.ts";

export interface HeadLimits {
  readonly maxHeadBytes: number;
  readonly maxTargetBytes: number;
}

/** Parses a request head. One leading empty line is skipped (RFC 9112 section 2.2). */
export function parseRequestHead(
  head: MessageHead,
  buf: Uint8Array,
  from: number,
  end: number,
  limits: HeadLimits,
): number {
  let pos = from;
  if (pos < end && buf[pos] === 13) {
    if (pos + 1 >= end) return 0;
    if (buf[pos + 1] !== 10) return problem.BARE_CR;
    pos += 2;
  }
  head.reset(buf, pos);
  const start = pos;
  while (pos < end && TOKEN[buf[pos]!] === 1) pos++;
  if (pos >= end) return more(start, end, limits);
  if (buf[pos] !== 32 || pos === start) return lineProblem(buf[pos]!, problem.BAD_METHOD);
  head.methodEnd = pos;
  head.targetStart = ++pos;
  while (pos < end && TARGET[buf[pos]!] === 1) pos++;
  if (pos - head.targetStart > limits.maxTargetBytes) return problem.TARGET_TOO_LARGE;
  if (pos >= end) return more(start, end, limits);
  if (pos === head.targetStart) return lineProblem(buf[pos]!, problem.BAD_REQUEST_LINE);
  if (buf[pos] !== 32) return lineProblem(buf[pos]!, problem.BAD_TARGET);
  head.targetEnd = pos;
  pos++;
  const version = parseVersion(head, buf, pos, end);
  if (version <= 0) return version === 0 ? more(start, end, limits) : version;
  pos += 8;
  if (pos + 1 >= end) return more(start, end, limits);
  if (buf[pos] !== 13) return lineProblem(buf[pos]!, problem.BAD_REQUEST_LINE);
  if (buf[pos + 1] !== 10) return problem.BARE_CR;
  pos = parseFields(head, buf, pos + 2, end);
  if (pos <= 0) return pos === 0 ? more(start, end, limits) : pos;
  if (pos - start > limits.maxHeadBytes) return problem.HEAD_TOO_LARGE;
  head.end = pos;
  const framing = checkFraming(head);
  if (framing < 0) return framing;
  if (head.badExpect) return problem.BAD_EXPECT;
  return pos;
}

/** Parses a response head; interim answers are heads like any other. */
export function parseResponseHead(
  head: MessageHead,
  buf: Uint8Array,
  from: number,
  end: number,
  limits: HeadLimits,
): number {
  head.reset(buf, from);
  let pos = from;
  const version = parseVersion(head, buf, pos, end);
  if (version <= 0) return version === 0 ? more(from, end, limits) : problem.BAD_STATUS_LINE;
  pos += 8;
  if (pos + 5 > end) return more(from, end, limits);
  const a = buf[pos + 1]! - 48;
  const b = buf[pos + 2]! - 48;
  const c = buf[pos + 3]! - 48;
  if (buf[pos] !== 32 || a < 1 || a > 9 || b < 0 || b > 9 || c < 0 || c > 9) return problem.BAD_STATUS_LINE;
  head.status = a * 100 + b * 10 + c;
  pos += 4;
  // The space after the code is often left out when there is no reason.
  if (buf[pos] === 32) pos++;
  else if (buf[pos] !== 13) return problem.BAD_STATUS_LINE;
  head.reasonStart = pos;
  while (pos < end && FIELD_VALUE[buf[pos]!] === 1) pos++;
  if (pos + 1 >= end) return more(from, end, limits);
  if (buf[pos] !== 13 || buf[pos + 1] !== 10) return problem.BAD_STATUS_LINE;
  head.reasonEnd = pos;
  pos = parseFields(head, buf, pos + 2, end);
  if (pos <= 0) return pos === 0 ? more(from, end, limits) : pos;
  if (pos - from > limits.maxHeadBytes) return problem.HEAD_TOO_LARGE;
  head.end = pos;
  const framing = checkFraming(head);
  return framing < 0 ? framing : pos;
}

function more(start: number, end: number, limits: HeadLimits): number {
  return end - start > limits.maxHeadBytes ? problem.HEAD_TOO_LARGE : 0;
}

function lineProblem(byte: number, otherwise: number): number {
  if (byte === 10) return problem.BARE_LF;
  if (byte === 13) return otherwise === problem.BAD_METHOD ? otherwise : problem.BAD_REQUEST_LINE;
  return otherwise;
}

/** 1 when `HTTP/1.0` or `HTTP/1.1` stands at `pos`, 0 when bytes are missing, else a problem. */
function parseVersion(head: MessageHead, buf: Uint8Array, pos: number, end: number): number {
  if (pos + 8 > end) {
    const word = "HTTP/1.";
    for (let i = pos; i < end; i++) {
      if (i - pos < 7 && buf[i] !== word.charCodeAt(i - pos)) return problem.BAD_VERSION;
    }
    return 0;
  }
  if (
    buf[pos] !== 72 || buf[pos + 1] !== 84 || buf[pos + 2] !== 84 || buf[pos + 3] !== 80 ||
    buf[pos + 4] !== 47 ||
    buf[pos + 6] !== 46
  ) return problem.BAD_VERSION;
  const major = buf[pos + 5]! - 48;
  const minor = buf[pos + 7]! - 48;
  if (major < 0 || major > 9 || minor < 0 || minor > 9) return problem.BAD_VERSION;
  if (major !== 1 || minor > 1) return problem.UNSUPPORTED_VERSION;
  head.minor = minor;
  return 1;
}

/** Header lines up to and with the empty line; also used for trailers. Position after it, 0, or a problem. */
export function parseFields(head: MessageHead, buf: Uint8Array, from: number, end: number): number {
  let pos = from;
  let count = 0;
  const spans = head.spans;
  const max = head.kinds.length;
  let nominations = false;
  for (;;) {
    if (pos >= end) return 0;
    const nameStart = pos;
    while (pos < end && TOKEN[buf[pos]!] === 1) pos++;
    if (pos >= end) return 0;
    const colon = buf[pos];
    if (colon !== 58 || pos === nameStart) {
      if (pos === nameStart && colon === 13) {
        if (pos + 1 >= end) return 0;
        if (buf[pos + 1] !== 10) return problem.BARE_CR;
        head.count = count;
        if (nominations) nominate(head, buf);
        return pos + 2;
      }
      if (colon === 10) return problem.BARE_LF;
      if (colon === 32 || colon === 9) {
        return pos > nameStart ? problem.SPACE_BEFORE_COLON : problem.OBS_FOLD;
      }
      return problem.BAD_FIELD_NAME;
    }
    const nameEnd = pos++;
    while (pos < end && (buf[pos] === 32 || buf[pos] === 9)) pos++;
    const valueStart = pos;
    while (pos < end && FIELD_VALUE[buf[pos]!] === 1) pos++;
    if (pos + 1 >= end) {
      return pos < end && buf[pos] !== 13 ? (buf[pos] === 10 ? problem.BARE_LF : problem.BAD_FIELD_VALUE) : 0;
    }
    if (buf[pos] !== 13) return buf[pos] === 10 ? problem.BARE_LF : problem.BAD_FIELD_VALUE;
    if (buf[pos + 1] !== 10) return problem.BARE_CR;
    let valueEnd = pos;
    while (valueEnd > valueStart && (buf[valueEnd - 1] === 32 || buf[valueEnd - 1] === 9)) valueEnd--;
    pos += 2;
    if (count === max) return problem.TOO_MANY_FIELDS;
    const at = 4 * count;
    spans[at] = nameStart;
    spans[at + 1] = nameEnd;
    spans[at + 2] = valueStart;
    spans[at + 3] = valueEnd;
    const kind = kindOf(buf, nameStart, nameEnd);
    head.kinds[count] = kind;
    if (kind !== OTHER) {
      const trouble = noteField(head, buf, count, kind, valueStart, valueEnd);
      if (trouble < 0) return trouble;
      if (trouble === 1) nominations = true;
    }
    count++;
  }
}

/** Which of the known headers this is: a switch on the length first, so that most names cost one comparison. */
export function kindOf(buf: Uint8Array, start: number, end: number): number {
  switch (end - start) {
    case 2:
      return equalsIgnoreCase(buf, start, end, "te") ? TE : OTHER;
    case 4:
      return equalsIgnoreCase(buf, start, end, "host") ? HOST : OTHER;
    case 6:
      return equalsIgnoreCase(buf, start, end, "expect") ? EXPECT : OTHER;
    case 7:
      return equalsIgnoreCase(buf, start, end, "upgrade") ? UPGRADE : OTHER;
    case 10:
      if (equalsIgnoreCase(buf, start, end, "connection")) return CONNECTION;
      if (equalsIgnoreCase(buf, start, end, "user-agent")) return USER_AGENT;
      return equalsIgnoreCase(buf, start, end, "keep-alive") ? KEEP_ALIVE : OTHER;
    case 12:
      if (equalsIgnoreCase(buf, start, end, "content-type")) return CONTENT_TYPE;
      return equalsIgnoreCase(buf, start, end, "x-request-id") ? X_REQUEST_ID : OTHER;
    case 14:
      return equalsIgnoreCase(buf, start, end, "content-length") ? CONTENT_LENGTH : OTHER;
    case 15:
      return equalsIgnoreCase(buf, start, end, "x-forwarded-for") ? X_FORWARDED_FOR : OTHER;
    case 16:
      if (equalsIgnoreCase(buf, start, end, "proxy-connection")) return PROXY_CONNECTION;
      break;
    case 17:
      if (equalsIgnoreCase(buf, start, end, "transfer-encoding")) return TRANSFER_ENCODING;
      if (equalsIgnoreCase(buf, start, end, "x-forwarded-proto")) return X_FORWARDED_PROTO;
      break;
    case 19:
      if (equalsIgnoreCase(buf, start, end, "proxy-authorization")) return PROXY_AUTHORIZATION;
      break;
  }
  if (end - start > 9 && LOWER[buf[start]!] === 120 && equalsIgnoreCase(buf, start, start + 8, "x-envoy-")) {
    return X_ENVOY;
  }
  return OTHER;
}

/** Takes in what a known header says. 1 when Connection names further headers. */
export function noteField(
  head: MessageHead,
  buf: Uint8Array,
  index: number,
  kind: number,
  start: number,
  end: number,
): number {
  switch (kind) {
    case HOST:
      head.hostIndex = index;
      head.hostCount++;
      return 0;
    case CONTENT_LENGTH: {
      if (head.contentLength >= 0) return problem.SEVERAL_CONTENT_LENGTHS;
      // 15 digits stay exact in a double.
      if (end === start || end - start > 15) return problem.BAD_CONTENT_LENGTH;
      let n = 0;
      for (let i = start; i < end; i++) {
        const digit = buf[i]! - 48;
        if (digit < 0 || digit > 9) return problem.BAD_CONTENT_LENGTH;
        n = n * 10 + digit;
      }
      head.contentLength = n;
      return 0;
    }
    case TRANSFER_ENCODING:
      if (++head.transferEncodings > 1) return problem.BAD_TRANSFER_ENCODING;
      if (equalsIgnoreCase(buf, start, end, "chunked")) {
        head.chunked = true;
        return 0;
      }
      return encodingProblem(buf, start, end);
    case CONNECTION:
      return noteConnection(head, buf, start, end);
    case UPGRADE:
      head.upgradeIndex = index;
      return 0;
    case EXPECT:
      if (equalsIgnoreCase(buf, start, end, "100-continue")) head.expectContinue = true;
      else head.badExpect = true;
      return 0;
    case X_FORWARDED_FOR:
      head.forwardedForIndex = index;
      return 0;
    case X_FORWARDED_PROTO:
      head.hasForwardedProto = true;
      return 0;
    case X_REQUEST_ID:
      if (head.requestIdIndex < 0) head.requestIdIndex = index;
      return 0;
    case USER_AGENT:
      head.userAgentIndex = index;
      return 0;
    case CONTENT_TYPE:
      head.contentTypeIndex = index;
      return 0;
    case X_ENVOY:
      head.hasEnvoy = true;
      return 0;
  }
  return 0;
}

/** A well-formed list that ends in chunked is a coding we do not have (501); anything else is an attack shape (400). */
function encodingProblem(buf: Uint8Array, start: number, end: number): number {
  const words = latin1(buf, start, end).toLowerCase().split(",").map((w) => w.trim());
  const known = new Set(["gzip", "x-gzip", "compress", "x-compress", "deflate"]);
  const last = words.pop();
  const fine = words.every((w) => known.has(w)) && (last === "chunked" || known.has(last ?? ""));
  return fine ? problem.UNKNOWN_TRANSFER_ENCODING : problem.BAD_TRANSFER_ENCODING;
}

function noteConnection(head: MessageHead, buf: Uint8Array, start: number, end: number): number {
  let result = 0;
  let pos = start;
  while (pos < end) {
    while (pos < end && (buf[pos] === 32 || buf[pos] === 9 || buf[pos] === 44)) pos++;
    const from = pos;
    while (pos < end && buf[pos] !== 44) pos++;
    let to = pos;
    while (to > from && (buf[to - 1] === 32 || buf[to - 1] === 9)) to--;
    if (to === from) continue;
    if (equalsIgnoreCase(buf, from, to, "close")) head.close = true;
    else if (equalsIgnoreCase(buf, from, to, "keep-alive")) head.keepAlive = true;
    else if (equalsIgnoreCase(buf, from, to, "upgrade")) head.upgrade = true;
    else result = 1;
  }
  return result;
}

/** Marks the lines that Connection names. Framing and Host cannot be named away: that would change the message. */
function nominate(head: MessageHead, buf: Uint8Array): void {
  for (let i = 0; i < head.count; i++) {
    if (head.kinds[i] !== CONNECTION) continue;
    for (const word of latin1(buf, head.spans[4 * i + 2]!, head.spans[4 * i + 3]!).split(",")) {
      const name = word.trim().toLowerCase();
      if (name === "" || name === "close" || name === "keep-alive" || name === "upgrade") continue;
      for (let j = 0; j < head.count; j++) {
        const kind = head.kinds[j]!;
        if (kind === HOST || kind === CONTENT_LENGTH || kind === TRANSFER_ENCODING || kind === CONNECTION) {
          continue;
        }
        if (equalsIgnoreCase(buf, head.spans[4 * j]!, head.spans[4 * j + 1]!, name)) {
          head.kinds[j] = NOMINATED;
          if (kind === X_REQUEST_ID) head.requestIdIndex = -1;
          else if (kind === X_FORWARDED_PROTO) head.hasForwardedProto = false;
        }
      }
    }
  }
}

function checkFraming(head: MessageHead): number {
  if (head.transferEncodings === 0) return 0;
  if (head.contentLength >= 0) return problem.LENGTH_AND_ENCODING;
  if (head.minor === 0) return problem.ENCODING_ON_1_0;
  return 0;
}

/**
 * Is the end of a head between `from` and `end`? For heads that come in pieces, so that a slow sender does not make us parse
 * from the start at every byte. Gives the position to go on from as `~position` when it is not.
 */
export function findHeadEnd(buf: Uint8Array, from: number, end: number): number {
  let pos = from;
  for (;;) {
    pos = buf.indexOf(10, pos);
    if (pos < 0 || pos >= end) return ~Math.max(from, end);
    if (pos >= 3 && buf[pos - 1] === 13 && buf[pos - 2] === 10) return pos + 1;
    // A bare LF will never be right: let the parser say so.
    if (pos >= 1 && buf[pos - 1] !== 13) return pos + 1;
    pos++;
  }
}
