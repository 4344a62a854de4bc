/**
 * A digest of bytes by which an unchanged resource is known again: control planes send the whole set although one resource
 * changed, with a new version. Not for secrets: who makes the bytes is trusted with the rules anyway.
 */

/** 52 bits, as a number. Equal bytes give equal digests; others differ but for a chance of about 2^-52. */
export function digestOf(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words = bytes.length & ~3;
  // Two lanes of MurmurHash3's mixing with different constants.
  let a = bytes.length ^ 0x9747b28c;
  let b = bytes.length ^ 0x3c6ef372;
  const mix = (word: number): void => {
    let k = Math.imul(word, 0xcc9e2d51 | 0);
    k = (k << 15) | (k >>> 17);
    a ^= Math.imul(k, 0x1b873593);
    a = (Math.imul((a << 13) | (a >>> 19), 5) + (0xe6546b64 | 0)) | 0;
    k = Math.imul(word, 0x239b961b);
    k = (k << 16) | (k >>> 16);
    b ^= Math.imul(k, 0xab0e9789 | 0);
    b = (Math.imul((b << 17) | (b >>> 15), 5) + 0x561ccd1b) | 0;
  };
  for (let at = 0; at < words; at += 4) mix(view.getInt32(at, true));
  if (words < bytes.length) {
    let rest = 0;
    for (let at = words; at < bytes.length; at++) rest = (rest << 8) | (bytes[at] as number);
    mix(rest);
  }
  return (finish(a) >>> 6) * 0x4000000 + (finish(b) >>> 6);
}

function finish(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b | 0);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35 | 0);
  return hash ^ (hash >>> 16);
}
