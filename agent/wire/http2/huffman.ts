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

/** Inner nodes of the code tree, 0 is the root: what follows after a 0 and after a 1, a node or ~symbol. */
const TREE = new Int16Array(2 * EOS);
/** Nodes in which a string may end: what is pending is up to 7 bits of the EOS prefix, all ones. */
const MAY_END_IN = new Uint8Array(EOS);
growTree();

/** Entry of the decoding table: next state << 16, and the flags below; 0 = not looked up yet. States are nodes, and one failed. */
const EMITS = 1 << 8;
const MAY_END = 1 << 9;
const FAILS = 1 << 10;
const FAILED = EOS;
/** Entries are made at the first need: all of them would take the first millisecond of a connection, for a tenth that are used. */
const TRANSITIONS = new Uint32Array(16 * (FAILED + 1));

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
    entry = table[state << 4 | byte >> 4]! || transition(state, byte >> 4);
    if ((entry & EMITS) !== 0) to[at++] = entry & 255;
    state = entry >>> 16;
    entry = table[state << 4 | byte & 15]! || transition(state, byte & 15);
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

/** Four bits from a state on. */
function transition(state: number, nibble: number): number {
  let node = state;
  let flags = 0;
  for (let bit = 3; bit >= 0 && node !== FAILED; bit--) {
    const next = TREE[node << 1 | nibble >> bit & 1]!;
    if (next >= 0) node = next;
    else if (~next === EOS) node = FAILED;
    else {
      flags |= EMITS | ~next;
      node = 0;
    }
  }
  if (node === FAILED) flags = FAILS;
  else if (MAY_END_IN[node] === 1) flags |= MAY_END;
  return TRANSITIONS[state << 4 | nibble] = (flags | node << 16) >>> 0;
}

/** Depth by depth: in a canonical code the leaves of each come first, in the order of their symbols. */
function growTree(): void {
  const leaves = Uint16Array.from(LENGTHS, (bits, symbol) => bits << 9 | symbol).sort();
  let leaf = 0;
  let node = 0;
  let grown = 1;
  let code = 0;
  for (let bits = 1; node < grown; bits++) {
    code *= 2;
    for (const end = grown; node < end; node++) {
      for (let way = 0; way < 2; way++) {
        if (leaf < leaves.length && leaves[leaf]! >> 9 === bits) {
          const symbol = leaves[leaf++]! & 511;
          CODES[symbol] = code++;
          TREE[node << 1 | way] = ~symbol;
        } else TREE[node << 1 | way] = grown++;
      }
    }
  }
  for (let ones = 0, at = 0; ones < 8; ones++, at = TREE[at << 1 | 1]!) MAY_END_IN[at] = 1;
}
