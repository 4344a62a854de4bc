/** Request identifiers: UUID version 4 out of an Rng. */
import { Buffer } from "node:buffer";
import type { Rng } from "../core/ports.ts";
import { latin1 } from "../wire/http1/head.ts";

const DIGITS = "0123456789abcdef";
/** Two hex digits of every byte. */
const HIGH: Uint8Array = Uint8Array.from({ length: 256 }, (_, i) => DIGITS.charCodeAt(i >> 4));
const LOW: Uint8Array = Uint8Array.from({ length: 256 }, (_, i) => DIGITS.charCodeAt(i & 15));
const scratch = Buffer.alloc(36, "-");

/** Built in bytes: a string put together of parts would have to be flattened again for sending. */
export function newRequestId(rng: Rng): string {
  const a = rng() * 0x100000000 >>> 0;
  const b = (rng() * 0x100000000 >>> 0) & 0xffff0fff | 0x4000;
  const c = (rng() * 0x100000000 >>> 0) & 0x3fffffff | 0x80000000;
  const d = rng() * 0x100000000 >>> 0;
  put(0, a >>> 24);
  put(2, a >>> 16 & 255);
  put(4, a >>> 8 & 255);
  put(6, a & 255);
  put(9, b >>> 24);
  put(11, b >>> 16 & 255);
  put(14, b >>> 8 & 255);
  put(16, b & 255);
  put(19, c >>> 24);
  put(21, c >>> 16 & 255);
  put(24, c >>> 8 & 255);
  put(26, c & 255);
  put(28, d >>> 24);
  put(30, d >>> 16 & 255);
  put(32, d >>> 8 & 255);
  put(34, d & 255);
  return latin1(scratch, 0, 36);
}

function put(at: number, byte: number): void {
  scratch[at] = HIGH[byte]!;
  scratch[at + 1] = LOW[byte]!;
}
