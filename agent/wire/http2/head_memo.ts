/**
 * The last head that a connection sent, line by line, with what became of each in HPACK. The next head is mostly the same but for a line
 * or two, and comparing bytes is much cheaper than looking for names and values in tables.
 */
import { type HpackEncoder, LITERAL } from "./hpack_encoder.ts";
import type { Output } from "./output.ts";

/** Code of a line that is not for HTTP/2; the others are those of {@link HpackEncoder.field}. */
export const LEFT_OUT = -1000;
/** Codes of one unit at most: the first line and Host are one, every other line is one. */
const STRIDE = 4;
/** So many units may differ before a head counts as another one. */
const MAX_OTHERS = 3;
/** After so many of these in a row the memo is made anew. */
const MAX_OTHER_HEADS = 8;

export class HeadMemo {
  #bytes: Uint8Array | null = null;
  readonly #ends: number[] = [];
  readonly #codes: number[] = [];
  #unit = 0;
  /** The unit at hand is the same as then, but was a literal, or is not in the table any more. */
  #same = false;
  #learning = false;
  #others = 0;
  /** The second head on a connection is the first that is worth it. */
  #otherHeads = MAX_OTHER_HEADS - 1;

  /** A head is about to be encoded, unit by unit: `again`, and where that gives -1, `note`. */
  begin(): void {
    this.#unit = this.#others = 0;
    this.#same = false;
    this.#learning = this.#otherHeads >= MAX_OTHER_HEADS;
    if (!this.#learning) return;
    this.#bytes = null;
    this.#ends.length = this.#codes.length = 0;
  }

  /** Says of a whole head what was said then, when every line is the same and needs no literal; false when it is to go unit by unit. */
  whole(hpack: HpackEncoder, out: Output, head: Uint8Array): boolean {
    const bytes = this.#bytes;
    if (bytes === null) return false;
    const end = bytes.length;
    // The empty line, which the lines of trailers may do without.
    if (head.length > end && head[end] !== 13) return false;
    for (let i = 0; i < end; i++) if (bytes[i] !== head[i]) return false;
    const codes = this.#codes;
    for (let i = 0; i < codes.length; i++) {
      if (codes[i] !== LEFT_OUT && !knows(hpack, codes[i]!)) return false;
    }
    for (let i = 0; i < codes.length; i++) if (codes[i] !== LEFT_OUT) hpack.again(out, codes[i]!);
    this.#otherHeads = 0;
    return true;
  }

  /** Says of the unit at `from` what was said then; position after it, or -1 when it has to be encoded and `note`d. */
  again(hpack: HpackEncoder, out: Output, head: Uint8Array, from: number): number {
    const bytes = this.#bytes;
    const unit = this.#unit;
    this.#same = false;
    if (bytes === null || unit >= this.#ends.length) return -1;
    const end = this.#ends[unit]!;
    const start = unit === 0 ? 0 : this.#ends[unit - 1]!;
    for (let i = start, j = from; i < end; i++, j++) if (bytes[i] !== head[j]) return -1;
    this.#same = true;
    const codes = this.#codes;
    const first = STRIDE * unit;
    // Only the first unit is more than a line.
    const last = unit === 0 ? STRIDE : first + 1;
    for (let i = first; i < last; i++) if (!knows(hpack, codes[i]!)) return -1;
    for (let i = first; i < last; i++) if (codes[i] !== LEFT_OUT) hpack.again(out, codes[i]!);
    this.#unit++;
    return from + end - start;
  }

  /** The unit that ends at `end` was encoded so. */
  note(end: number, a: number, b = LEFT_OUT, c = LEFT_OUT, d = LEFT_OUT): void {
    const codes = this.#codes;
    if (this.#learning) {
      this.#ends.push(end);
      codes.push(a, b, c, d);
      return;
    }
    // The first unit may end elsewhere now: Host behind other lines is no part of it.
    if (this.#same && (this.#unit > 0 || end === this.#ends[0])) {
      const at = STRIDE * this.#unit;
      codes[at] = a;
      codes[at + 1] = b;
      codes[at + 2] = c;
      codes[at + 3] = d;
    } else {
      this.#others++;
    }
    this.#unit++;
  }

  finish(head: Uint8Array): void {
    if (this.#learning) {
      this.#bytes = Uint8Array.prototype.slice.call(head, 0, this.#ends.at(-1) ?? 0);
      this.#otherHeads = 0;
    } else if (this.#bytes === null || this.#others > MAX_OTHERS) {
      this.#otherHeads++;
    } else {
      this.#otherHeads = 0;
    }
  }
}

function knows(hpack: HpackEncoder, code: number): boolean {
  return code >= 0 ? code >= hpack.table.oldest : code !== LITERAL;
}
