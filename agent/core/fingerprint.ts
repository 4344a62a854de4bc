/**
 * Fingerprints by which unchanged bytes are known again: control planes send everything although little changed, with a new
 * version.
 *
 * @example
 * ```ts
 * import { fingerprint } from "./fingerprint.ts";
 * fingerprint(Uint8Array.of(9, 1, 2), 1) === fingerprint(Uint8Array.of(1, 2)); // true
 * ```
 */

/**
 * 53 bits that tell whether bytes (from `start`, default 0, to `end`, default the whole length) changed: two lanes of multiply and
 * rotate over words of four bytes. `seed`, default 0, is what they mean besides. No protection against an enemy, who would have to
 * be the control plane.
 */
export function fingerprint(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
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
