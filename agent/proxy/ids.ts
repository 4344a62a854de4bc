/** Request identifiers: UUID version 4 out of an Rng. */
import type { Rng } from "../core/ports.ts";

const HEX: readonly string[] = Array.from({ length: 65536 }, (_, i) => i.toString(16).padStart(4, "0"));

export function newRequestId(rng: Rng): string {
  const a = rng() * 0x100000000 >>> 0;
  const b = rng() * 0x100000000 >>> 0;
  const c = rng() * 0x100000000 >>> 0;
  const d = rng() * 0x100000000 >>> 0;
  return `${HEX[a >>> 16]}${HEX[a & 0xffff]}-${HEX[b >>> 16]}-${HEX[b & 0x0fff | 0x4000]}-${
    HEX[c >>> 16 & 0x3fff | 0x8000]
  }-${HEX[c & 0xffff]}${HEX[d >>> 16]}${HEX[d & 0xffff]}`;
}
