/**
 * Kinds of header fields in HTTP/2. Ordinary ones are the kinds of wire/http1/message_head.ts, so that a decoded head can be read by
 * whoever reads an HTTP/1.1 head; from 32 on come pseudo-header fields, from 48 on fields that make the message malformed. The kind is
 * found once per field and kept with it in the dynamic table.
 */
import { FIELD_VALUE, TOKEN } from "../http1/bytes.ts";
import { CONNECTION, kindOf, OTHER, TE, TRANSFER_ENCODING, UPGRADE } from "../http1/head.ts";
import * as problem from "./problems.ts";

/** Several of them are one line in HTTP/1.1 (RFC 9113 section 8.2.3). */
export const COOKIE = 24;
export const METHOD = 32;
export const SCHEME = 33;
export const AUTHORITY = 34;
export const PATH = 35;
export const STATUS = 36;
export const UNKNOWN_PSEUDO = 37;
/** RFC 8441. */
export const PROTOCOL = 38;
/** From here on: malformed, {@link malformation} says how. */
export const FIRST_BAD = 48;
const BAD_CONNECTION_FIELD = 48;
const BAD_TE = 49;
const BAD_UPPERCASE = 50;
const BAD_NAME = 51;
const BAD_VALUE = 52;

const MALFORMATIONS: readonly number[] = [
  problem.CONNECTION_FIELD,
  problem.BAD_TE,
  problem.UPPERCASE_NAME,
  problem.BAD_NAME,
  problem.BAD_VALUE,
];

export function malformation(kind: number): number {
  return MALFORMATIONS[kind - FIRST_BAD]!;
}

/** Lower-case letters and the other token characters. */
const NAME: Uint8Array = (() => {
  const t = TOKEN.slice();
  for (let b = 65; b <= 90; b++) t[b] = 0;
  return t;
})();

export function equalsText(buf: Uint8Array, start: number, end: number, word: string): boolean {
  if (end - start !== word.length) return false;
  for (let i = 0; i < word.length; i++) if (buf[start + i] !== word.charCodeAt(i)) return false;
  return true;
}

/** The kind of a field whose name and value are the given spans. */
export function fieldKind(
  buf: Uint8Array,
  nameStart: number,
  nameEnd: number,
  valueStart: number,
  valueEnd: number,
): number {
  for (let i = valueStart; i < valueEnd; i++) if (FIELD_VALUE[buf[i]!] === 0) return BAD_VALUE;
  if (valueEnd > valueStart) {
    const first = buf[valueStart];
    const last = buf[valueEnd - 1];
    if (first === 32 || first === 9 || last === 32 || last === 9) return BAD_VALUE;
  }
  if (nameStart === nameEnd) return BAD_NAME;
  if (buf[nameStart] === 58) return pseudoKind(buf, nameStart, nameEnd);
  for (let i = nameStart; i < nameEnd; i++) {
    if (NAME[buf[i]!] === 0) return TOKEN[buf[i]!] === 1 ? BAD_UPPERCASE : BAD_NAME;
  }
  const kind = kindOf(buf, nameStart, nameEnd);
  switch (kind) {
    case OTHER:
      return nameEnd - nameStart === 6 && equalsText(buf, nameStart, nameEnd, "cookie") ? COOKIE : OTHER;
    case TE:
      return equalsText(buf, valueStart, valueEnd, "trailers") ? TE : BAD_TE;
    default:
      return isConnectionField(kind) ? BAD_CONNECTION_FIELD : kind;
  }
}

/** Connection, Keep-Alive, Proxy-Connection, Transfer-Encoding, Upgrade: never sent on HTTP/2. */
export function isConnectionField(kind: number): boolean {
  // TRANSFER_ENCODING, CONNECTION, KEEP_ALIVE and PROXY_CONNECTION are neighbours.
  return kind >= TRANSFER_ENCODING && kind <= CONNECTION + 2 || kind === UPGRADE;
}

function pseudoKind(buf: Uint8Array, start: number, end: number): number {
  switch (end - start) {
    case 5:
      return equalsText(buf, start, end, ":path") ? PATH : UNKNOWN_PSEUDO;
    case 7:
      if (equalsText(buf, start, end, ":method")) return METHOD;
      if (equalsText(buf, start, end, ":scheme")) return SCHEME;
      return equalsText(buf, start, end, ":status") ? STATUS : UNKNOWN_PSEUDO;
    case 9:
      return equalsText(buf, start, end, ":protocol") ? PROTOCOL : UNKNOWN_PSEUDO;
    case 10:
      return equalsText(buf, start, end, ":authority") ? AUTHORITY : UNKNOWN_PSEUDO;
  }
  return UNKNOWN_PSEUDO;
}

/** Plain decimal of at most 15 digits (exact in a double); -1 when it is not. */
export function decimal(buf: Uint8Array, start: number, end: number): number {
  if (end === start || end - start > 15) return -1;
  let n = 0;
  for (let i = start; i < end; i++) {
    const digit = buf[i]! - 48;
    if (digit < 0 || digit > 9) return -1;
    n = n * 10 + digit;
  }
  return n;
}
