/**
 * The Huffman code of HPACK (RFC 7541 section 5.2, appendix B). The code is canonical, so the lengths alone define it. Decoding goes
 * by half bytes through one table: at most one symbol ends in four bits, because the shortest code has five.
 */

/** Bits of each symbol's code, 256 is EOS. */
// deno-fmt-ignore
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

const EOS = 256;
const CODE_BITS = Uint8Array.from(LENGTHS);
const CODES = new Uint32Array(257);

/** Entry of the decoding table: next state << 16, and the flags below. */
const EMITS = 1 << 8;
/** The string may end here: what is pending is up to 7 bits of the EOS prefix, all ones. */
const MAY_END = 1 << 9;
const FAILS = 1 << 10;
const TRANSITIONS = buildTables();

/** Bytes that may come out of `n` bytes: five bits is the shortest code. */
export function maxDecodedLength(n: number): number {
  return Math.floor(n * 8 / 5);
}

/** Decodes `from[start, end)` into `to` at `at` (which must have room, see {@link maxDecodedLength}); position after it, or -1. */
export function huffmanDecode(
  from: Uint8Array,
  start: number,
  end: number,
  to: Uint8Array,
  at: number,
): number {
  const table = TRANSITIONS;
  let state = 0;
  let entry = MAY_END;
  for (let i = start; i < end; i++) {
    const byte = from[i]!;
    entry = table[state << 4 | byte >> 4]!;
    if ((entry & EMITS) !== 0) to[at++] = entry & 255;
    state = entry >>> 16;
    entry = table[state << 4 | byte & 15]!;
    if ((entry & EMITS) !== 0) to[at++] = entry & 255;
    state = entry >>> 16;
    // A failed state only leads to itself, so one look per byte is enough.
    if ((entry & FAILS) !== 0) return -1;
  }
  return (entry & MAY_END) !== 0 ? at : -1;
}

/** Bytes that the text takes when encoded. */
export function huffmanLength(from: Uint8Array, start: number, end: number): number {
  let bits = 0;
  for (let i = start; i < end; i++) bits += CODE_BITS[from[i]!]!;
  return (bits + 7) >> 3;
}

/** Encodes `from[start, end)` into `to` at `at`; position after it. */
export function huffmanEncode(
  from: Uint8Array,
  start: number,
  end: number,
  to: Uint8Array,
  at: number,
): number {
  // At most 7 bits are pending and a code has at most 30: two steps keep it within 32.
  let pending = 0;
  let bits = 0;
  for (let i = start; i < end; i++) {
    const symbol = from[i]!;
    let left = CODE_BITS[symbol]!;
    const code = CODES[symbol]!;
    if (left > 16) {
      left -= 16;
      pending = pending << 16 | code >>> left;
      bits += 16;
      while (bits >= 8) {
        bits -= 8;
        to[at++] = pending >>> bits;
      }
      pending &= 255;
    }
    pending = pending << left | code & ((1 << left) - 1);
    bits += left;
    while (bits >= 8) {
      bits -= 8;
      to[at++] = pending >>> bits;
    }
    pending &= 255;
  }
  if (bits > 0) to[at++] = pending << (8 - bits) | 255 >>> bits;
  return at;
}

function buildTables(): Uint32Array {
  const order = LENGTHS.map((bits, symbol) => ({ bits, symbol })).sort((a, b) =>
    a.bits - b.bits || a.symbol - b.symbol
  );
  // Inner nodes of the code tree; a child is a node, or ~symbol.
  const children: [number, number][] = [[0, 0]];
  let code = 0;
  let before = order[0]!.bits;
  for (const { bits, symbol } of order) {
    code *= 2 ** (bits - before);
    before = bits;
    CODES[symbol] = code;
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit--) {
      const way = code >>> bit & 1;
      if (children[node]![way] === 0) children[node]![way] = children.push([0, 0]) - 1;
      node = children[node]![way]!;
    }
    children[node]![code & 1] = ~symbol;
    code++;
  }
  const failed = children.length;
  const table = new Uint32Array(16 * (failed + 1));
  // Nodes on the way of all ones, at most seven bits deep: where padding may stop.
  const mayEnd = new Set<number>();
  for (let node = 0, depth = 0; depth < 8; depth++, node = children[node]![1]!) mayEnd.add(node);
  for (let node = 0; node <= failed; node++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let at = node;
      let entry = 0;
      for (let bit = 3; bit >= 0 && at !== failed; bit--) {
        const next = children[at]![nibble >> bit & 1]!;
        if (next >= 0) at = next;
        else if (~next === EOS) at = failed;
        else {
          entry |= EMITS | ~next;
          at = 0;
        }
      }
      if (at === failed) entry = FAILS;
      else if (mayEnd.has(at)) entry |= MAY_END;
      table[node << 4 | nibble] = (entry | at << 16) >>> 0;
    }
  }
  return table;
}
