/**
 * The last header block that a connection received, and the head that came out of it. Peers say the same head over and over, byte for byte
 * once it is in their table: then the head is a copy of the last one, its text included.
 */
import { MessageHead } from "../http1/head.ts";
import type { FieldTable } from "./field_table.ts";

/** What a header block said. */
export interface KnownHead {
  readonly head: MessageHead;
  readonly https: boolean;
  readonly connect: boolean;
}

/** A longer block is rarely said again. */
const MAX_BLOCK_BYTES = 256;
const MAX_SHARED = 32;
const NO_BYTES = new Uint8Array(0);

/** Heads are the same on many connections, which share them. */
const shared: KnownHead[] = [];
let nextShared = 0;

export class BlockMemo {
  #block: Uint8Array = NO_BYTES;
  #known: KnownHead | null = null;
  /** State of the table in which the block means this; -1: there is no block. */
  #count = -1;
  #oldest = -1;

  /** What that block said last, when it would say the same now. */
  find(buf: Uint8Array, start: number, end: number, table: FieldTable): KnownHead | null {
    const known = this.#known;
    return known !== null && this.#isSame(buf, start, end, table) ? known : null;
  }

  /** The block was decoded, and was in order. `count`: of the table before. */
  note(said: KnownHead, buf: Uint8Array, start: number, end: number, table: FieldTable, count: number): void {
    const length = end - start;
    // A block that changes the table does not mean the same twice.
    const steady = table.count === count && length <= MAX_BLOCK_BYTES && (buf[start]! & 0xe0) !== 0x20;
    if (!steady) return this.forget();
    if (this.#isSame(buf, start, end, table)) {
      this.#known = share(said);
      return;
    }
    this.#known = null;
    this.#count = count;
    this.#oldest = table.oldest;
    if (this.#block.length !== length) this.#block = new Uint8Array(length);
    for (let i = 0; i < length; i++) this.#block[i] = buf[start + i]!;
  }

  /** Other rules hold for the next block. */
  forget(): void {
    this.#known = null;
    this.#count = -1;
  }

  #isSame(buf: Uint8Array, start: number, end: number, table: FieldTable): boolean {
    const block = this.#block;
    if (table.count !== this.#count || table.oldest !== this.#oldest || block.length !== end - start) {
      return false;
    }
    for (let i = 0; i < block.length; i++) if (block[i] !== buf[start + i]) return false;
    return true;
  }
}

/** A copy of what was said, the same one for all who say it. */
function share(said: KnownHead): KnownHead {
  const { https, connect } = said;
  const { text } = said.head;
  for (const known of shared) {
    if (known.head.text === text && known.https === https && known.connect === connect) return known;
  }
  const head = new MessageHead(said.head.count);
  head.become(said.head);
  const known = { head, https, connect };
  shared[nextShared++ % MAX_SHARED] = known;
  return known;
}
