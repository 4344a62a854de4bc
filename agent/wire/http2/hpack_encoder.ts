/**
 * Header blocks out (RFC 7541 section 6). A field that was seen before on the connection enters the dynamic table, so values that
 * never come again (request ids, times) do not push the others out; secrets are never put into a table. Strings go out without
 * Huffman coding: it would save bytes that loopback and mesh links have in plenty, and costs time on both sides.
 */
import { ENTRY_OVERHEAD, FieldTable, hashName, hashOn, STATIC, STATIC_COUNT } from "./field_table.ts";
import { huffmanEncode, huffmanLength } from "./huffman.ts";
import type { Output } from "./output.ts";

/** Indexes of the static table for names that are secrets, or may be. */
const AUTHORIZATION = 23;
const COOKIE = 32;
const PROXY_AUTHORIZATION = 49;
const SET_COOKIE = 55;
/** A cookie as short as this could be guessed by trying. */
const SHORT_COOKIE_BYTES = 20;
/** Given by {@link HpackEncoder.field}: the field went out as a literal. */
export const LITERAL = -100;
const SEEN_SLOTS = 64;
/** Room for the integers of one literal. */
const MAX_INTEGERS = 16;

export interface HpackEncoderOptions {
  /** Huffman coding where it is shorter; default false. */
  readonly huffman?: boolean;
}

export class HpackEncoder {
  readonly table: FieldTable;
  readonly #most: number;
  readonly #huffman: boolean;
  /** Hashes of fields that were sent once; made with the first one. */
  #seen: Int32Array | null = null;
  /** Size updates to send at the start of the next block: the smallest since the last block and the one now; -1: none. */
  #smallest = -1;

  /** `maxSize`: most that is kept, whatever the peer allows. Until it says otherwise, it allows 4096. */
  constructor(maxSize: number, options: HpackEncoderOptions = {}) {
    this.#most = maxSize;
    this.#huffman = options.huffman ?? false;
    this.table = new FieldTable(Math.min(maxSize, 4096), true);
    if (maxSize < 4096) this.#smallest = this.table.maxSize;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  allow(size: number): void {
    const next = Math.min(size, this.#most);
    if (next === this.table.maxSize) return;
    this.#smallest = this.#smallest < 0 ? next : Math.min(this.#smallest, next);
    this.table.resize(next);
  }

  /** Forgets what was sent: it goes out as if it were new, which needs no word to the peer. */
  fold(): void {
    this.table.forget();
    this.#seen = null;
  }

  /** To be called before the first field of every block. */
  beginBlock(out: Output): void {
    if (this.#smallest < 0) return;
    const size = this.table.maxSize;
    if (this.#smallest < size) this.#integer(out, 0x20, 0x1f, this.#smallest);
    this.#integer(out, 0x20, 0x1f, size);
    this.#smallest = -1;
  }

  /** One field of the static table, name and value. Gives its code, as `field` does. */
  indexed(out: Output, index: number): number {
    out.ensure(1);
    out.buf[out.length++] = 0x80 | index;
    return -index;
  }

  /** What `field` gave then, once more; of a dynamic entry only as long as it is in the table. */
  again(out: Output, code: number): void {
    if (code >= 0) this.#integer(out, 0x80, 0x7f, STATIC_COUNT + this.table.count - code);
    else this.indexed(out, -code);
  }

  /**
   * One field, name and value somewhere in `buf`. RFC 9113 wants names in lower case, so upper case is written so. Gives the number of
   * its entry in the dynamic table, or its index in the static one, negated, or {@link LITERAL}.
   */
  field(
    out: Output,
    buf: Uint8Array,
    nameStart: number,
    nameEnd: number,
    start: number,
    end: number,
  ): number {
    const nameHash = hashName(buf, nameStart, nameEnd);
    const hash = hashOn(nameHash, buf, start, end);
    const { table } = this;
    let number = table.findField(hash, buf, nameStart, nameEnd, start, end);
    if (number >= 0) {
      this.#integer(out, 0x80, 0x7f, STATIC_COUNT + table.count - number);
      return number;
    }
    number = STATIC.findField(hash, buf, nameStart, nameEnd, start, end);
    if (number >= 0) {
      this.indexed(out, number + 1);
      return -(number + 1);
    }
    const inStatic = STATIC.findName(nameHash, buf, nameStart, nameEnd) + 1;
    let index = inStatic;
    if (index === 0) {
      number = table.findName(nameHash, buf, nameStart, nameEnd);
      if (number >= 0) index = STATIC_COUNT + table.count - number;
    }
    if (isSecret(inStatic, end - start)) {
      this.#integer(out, 0x10, 0x0f, index);
    } else if (this.#worthKeeping(hash, nameEnd - nameStart + end - start)) {
      this.#integer(out, 0x40, 0x3f, index);
      this.#add(buf, nameStart, nameEnd, start, end, hash, nameHash);
    } else {
      this.#integer(out, 0, 0x0f, index);
    }
    if (index === 0) this.#string(out, buf, nameStart, nameEnd, true);
    this.#string(out, buf, start, end, false);
    return LITERAL;
  }

  #worthKeeping(hash: number, length: number): boolean {
    if (length + ENTRY_OVERHEAD > this.table.maxSize >> 1) return false;
    const seen = this.#seen ??= new Int32Array(SEEN_SLOTS);
    // Two places for each, or two fields that fall on the same one would push each other out for ever.
    const slot = hash & (SEEN_SLOTS - 2);
    if (seen[slot] === hash || seen[slot + 1] === hash) return true;
    seen[slot + 1] = seen[slot]!;
    seen[slot] = hash;
    return false;
  }

  #add(
    buf: Uint8Array,
    nameStart: number,
    nameEnd: number,
    start: number,
    end: number,
    hash: number,
    nameHash: number,
  ): void {
    const nameLength = nameEnd - nameStart;
    const line = new Uint8Array(nameLength + end - start + 4);
    for (let i = 0; i < nameLength; i++) line[i] = lower(buf[nameStart + i]!);
    line[nameLength] = 58;
    line[nameLength + 1] = 32;
    line.set(buf.subarray(start, end), nameLength + 2);
    line[line.length - 2] = 13;
    line[line.length - 1] = 10;
    this.table.add(line, 0, nameLength, end - start, 0, hash, nameHash);
  }

  #string(out: Output, buf: Uint8Array, start: number, end: number, isName: boolean): void {
    const length = end - start;
    if (this.#huffman && !isName) {
      const shorter = huffmanLength(buf, start, end);
      if (shorter < length) {
        this.#integer(out, 0x80, 0x7f, shorter);
        out.ensure(shorter + 1);
        out.length = huffmanEncode(buf, start, end, out.buf, out.length);
        return;
      }
    }
    this.#integer(out, 0, 0x7f, length);
    out.ensure(length);
    const to = out.buf;
    let at = out.length;
    if (isName) {
      for (let i = start; i < end; i++) to[at++] = lower(buf[i]!);
    } else if (length < 64) {
      for (let i = start; i < end; i++) to[at++] = buf[i]!;
    } else {
      to.set(new Uint8Array(buf.buffer, buf.byteOffset + start, length), at);
    }
    out.length += length;
  }

  /** RFC 7541 section 5.1; `full` is the prefix with all bits set. */
  #integer(out: Output, pattern: number, full: number, value: number): void {
    out.ensure(MAX_INTEGERS);
    const { buf } = out;
    if (value < full) {
      buf[out.length++] = pattern | value;
      return;
    }
    buf[out.length++] = pattern | full;
    value -= full;
    while (value >= 0x80) {
      buf[out.length++] = value & 0x7f | 0x80;
      value >>>= 7;
    }
    buf[out.length++] = value;
  }
}

function lower(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}

/** RFC 7541 section 7.1.3. */
function isSecret(staticIndex: number, valueLength: number): boolean {
  switch (staticIndex) {
    case AUTHORIZATION:
    case PROXY_AUTHORIZATION:
      return true;
    case COOKIE:
    case SET_COOKIE:
      return valueLength < SHORT_COOKIE_BYTES;
  }
  return false;
}
