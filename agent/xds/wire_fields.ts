/**
 * Reading protobuf fields one by one, where a generated decoder would make objects that nobody keeps. All throw when the bytes
 * end too early; the caller makes a MeshError D211 of it.
 */
import type { WireReader } from "../../protos/schema.ts";

// Tags: field number << 3 | wire type (0 varint, 2 length-delimited).
export const F1 = 0x0a;
const F1_VARINT = 0x08;
export const F2 = 0x12;
export const F2_VARINT = 0x10;
export const F3 = 0x1a;
export const F3_VARINT = 0x18;
export const F4 = 0x22;
export const F5 = 0x2a;
export const F5_VARINT = 0x28;
export const F6 = 0x32;
export const F7 = 0x3a;
export const F8 = 0x42;

/** Goes into a length-delimited field; the reader then ends with it. Returns where it ended before. */
export function enter(r: WireReader): number {
  const end = r.size() + r.pos;
  if (end > r.len) throw new RangeError(`index out of range: ${end} > ${r.len}`);
  const outer = r.len;
  r.len = end;
  return outer;
}

export function leave(r: WireReader, outer: number): void {
  if (r.pos !== r.len) throw new RangeError(`index out of range: ${r.pos} > ${r.len}`);
  r.len = outer;
}

export function skip(r: WireReader, tag: number): void {
  r.skipType(tag & 7, 0, tag >>> 3);
}

/** google.protobuf.UInt32Value. */
export function wrapped(r: WireReader): number {
  const outer = enter(r);
  let value = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag === F1_VARINT) value = r.uint32();
    else skip(r, tag);
  }
  leave(r, outer);
  return value;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A string; short ASCII ones are made without a decoder, in one flat piece. */
export function text(r: WireReader): string {
  const outer = enter(r);
  const bytes = r.buf.subarray(r.pos, r.len);
  r.pos = r.len;
  r.len = outer;
  if (bytes.length > 64) return utf8.decode(bytes);
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i]! > 127) return utf8.decode(bytes);
  }
  return String.fromCharCode.apply(null, bytes as unknown as number[]);
}

export function textIs(r: WireReader, wanted: string): boolean {
  const outer = enter(r);
  const start = r.pos;
  const length = r.len - start;
  r.pos = r.len;
  r.len = outer;
  if (length !== wanted.length) return false;
  for (let i = 0; i < length; i++) {
    if (r.buf[start + i] !== wanted.charCodeAt(i)) return false;
  }
  return true;
}

/** A string that probably is that of the last time: then it is the same one again. */
export function textAgain(r: WireReader, last: string): string {
  const start = r.pos;
  if (textIs(r, last)) return last;
  r.pos = start;
  return text(r);
}
