/** Frames of RFC 9113 section 4 and 6: numbers, and how they are written. Reading is in connection.ts, straight out of the receive buffer. */
import { copyBytes } from "./field_table.ts";
import type { Output } from "./output.ts";

export const DATA = 0x0;
export const HEADERS = 0x1;
export const PRIORITY = 0x2;
export const RST_STREAM = 0x3;
export const SETTINGS = 0x4;
export const PUSH_PROMISE = 0x5;
export const PING = 0x6;
export const GOAWAY = 0x7;
export const WINDOW_UPDATE = 0x8;
export const CONTINUATION = 0x9;
/** RFC 9218. */
export const PRIORITY_UPDATE = 0x10;

export const END_STREAM = 0x1;
export const ACK = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;
export const PRIORITY_FLAG = 0x20;

export const FRAME_HEAD = 9;

/** What a client sends first (RFC 9113 section 3.4). */
export const PREFACE: Uint8Array = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Puts a frame head at `at`, which must have room. */
export function putFrameHead(
  buf: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  id: number,
): void {
  buf[at] = length >> 16;
  buf[at + 1] = length >> 8;
  buf[at + 2] = length;
  buf[at + 3] = type;
  buf[at + 4] = flags;
  buf[at + 5] = id >> 24;
  buf[at + 6] = id >> 16;
  buf[at + 7] = id >> 8;
  buf[at + 8] = id;
}

export function putNumber(buf: Uint8Array, at: number, value: number): void {
  buf[at] = value >> 24;
  buf[at + 1] = value >> 16;
  buf[at + 2] = value >> 8;
  buf[at + 3] = value;
}

export function readNumber(buf: Uint8Array, at: number): number {
  return (buf[at]! << 24 | buf[at + 1]! << 16 | buf[at + 2]! << 8 | buf[at + 3]!) >>> 0;
}

/** Room for a frame at the end of `out`, its head written; position of the payload. */
export function beginFrame(out: Output, length: number, type: number, flags: number, id: number): number {
  out.ensure(FRAME_HEAD + length);
  const at = out.length;
  putFrameHead(out.buf, at, length, type, flags, id);
  out.length = at + FRAME_HEAD + length;
  return at + FRAME_HEAD;
}

export function writeData(
  out: Output,
  id: number,
  bytes: Uint8Array,
  start: number,
  length: number,
  end: boolean,
): void {
  const at = beginFrame(out, length, DATA, end ? END_STREAM : 0, id);
  copyBytes(bytes, start, length, out.buf, at);
}

export function writeReset(out: Output, id: number, code: number): void {
  // beginFrame may change out.buf, so it must come first.
  const at = beginFrame(out, 4, RST_STREAM, 0, id);
  putNumber(out.buf, at, code);
}

export function writeWindowUpdate(out: Output, id: number, increment: number): void {
  const at = beginFrame(out, 4, WINDOW_UPDATE, 0, id);
  putNumber(out.buf, at, increment);
}

/** `pairs`: id, value, id, value... */
export function writeSettings(out: Output, pairs: readonly number[]): void {
  let at = beginFrame(out, 3 * pairs.length, SETTINGS, 0, 0);
  for (let i = 0; i < pairs.length; i += 2) {
    out.buf[at] = pairs[i]! >> 8;
    out.buf[at + 1] = pairs[i]!;
    putNumber(out.buf, at + 2, pairs[i + 1]!);
    at += 6;
  }
}

export function writeSettingsAck(out: Output): void {
  beginFrame(out, 0, SETTINGS, ACK, 0);
}

export function writePing(out: Output, opaque: Uint8Array, start: number, ack: boolean): void {
  const at = beginFrame(out, 8, PING, ack ? ACK : 0, 0);
  copyBytes(opaque, start, 8, out.buf, at);
}

export function writeGoAway(out: Output, lastId: number, code: number, text: string): void {
  const debug = new TextEncoder().encode(text);
  const at = beginFrame(out, 8 + debug.length, GOAWAY, 0, 0);
  putNumber(out.buf, at, lastId);
  putNumber(out.buf, at + 4, code);
  out.buf.set(debug, at + 8);
}
