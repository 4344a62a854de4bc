/** The bytes of a large table, looked at without decoding them: where its members lie, and whether they changed. */
import { MeshError } from "../core/errors.ts";
import type { Schema } from "../../protos/schema.ts";
import { enter, leave, skip } from "./wire_fields.ts";

/** Members of one repeated field of a message, and the message without them. */
export interface SplitMessage {
  /** Begin and end of each member, in pairs. */
  readonly spans: readonly number[];
  /** Bytes of all other fields. */
  readonly rest: Uint8Array;
}

/** Throws MeshError D211 when the bytes are no message. */
export function splitMessage(schema: Schema, bytes: Uint8Array, field: number): SplitMessage {
  const spans: number[] = [];
  const others: Uint8Array[] = [];
  try {
    const reader = schema.reader(bytes);
    while (reader.pos < reader.len) {
      const start = reader.pos;
      const tag = reader.tag();
      if (tag >>> 3 !== field) {
        skip(reader, tag);
        others.push(bytes.subarray(start, reader.pos));
        continue;
      }
      const outer = enter(reader);
      spans.push(reader.pos, reader.len);
      reader.pos = reader.len;
      leave(reader, outer);
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MeshError("D211", `Cannot decode RouteConfiguration: ${reason}`, { side: "upstream", cause });
  }
  return { spans, rest: joined(others) };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * 53 bits that tell whether bytes changed: two lanes of multiply and rotate over words of four bytes. No protection against
 * an enemy, who would have to be the control plane.
 */
export function fingerprint(bytes: Uint8Array, start: number, end: number, seed: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = end - start;
  let a = (seed ^ length ^ 0x3c6ef372) | 0;
  let b = (Math.floor(seed / 0x1_0000_0000) ^ Math.imul(length, 0x9e3779b1) ^ 0x1f83d9ab) | 0;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word = view.getInt32(at, true);
    a = Math.imul(a ^ word, 0x9e3779b1);
    a = (a << 13) | (a >>> 19);
    b = Math.imul(b ^ word, 0x85ebca77);
    b = (b << 17) | (b >>> 15);
  }
  for (; at < end; at++) {
    const byte = bytes[at] as number;
    a = Math.imul(a ^ byte, 0x9e3779b1);
    a = (a << 13) | (a >>> 19);
    b = Math.imul(b ^ byte, 0x85ebca77);
    b = (b << 17) | (b >>> 15);
  }
  a = mixed(a ^ (b >>> 9));
  b = mixed(b ^ (a >>> 7));
  return (b & 0x1f_ffff) * 0x1_0000_0000 + (a >>> 0);
}

function mixed(value: number): number {
  let v = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  v = Math.imul(v ^ (v >>> 13), 0xc2b2ae35);
  return v ^ (v >>> 16);
}
