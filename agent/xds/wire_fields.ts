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

export function skip(r: WireReader, tag: number): void {
  r.skipType(tag & 7, 0, tag >>> 3);
}

/** google.protobuf.UInt32Value. */
export function wrapped(r: WireReader): number {
  const outer = r.enter();
  let value = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    if (tag === F1_VARINT) value = r.uint32();
    else skip(r, tag);
  }
  r.leave(outer);
  return value;
}

export function textIs(r: WireReader, wanted: string): boolean {
  const outer = r.enter();
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
  return r.string();
}
