/**
 * The tables of HPACK (RFC 7541 section 2.3): fields as ready lines `name: value CRLF` in one byte arena, so that a hit of the decoder
 * is one copy and nothing is an object. {@link FieldTable} is the dynamic table of either direction; {@link STATIC} holds the 61 entries
 * of appendix A in the same form.
 *
 * Fields are counted by a number that only grows; number `count - 1` is the newest.
 */
import { fieldKind } from "./field_kinds.ts";

/** Size of an entry on top of its name and value (RFC 7541 section 4.1). */
export const ENTRY_OVERHEAD = 32;
/** `: ` and CRLF. */
export const LINE_OVERHEAD = 4;
/** Numbers per entry in {@link FieldTable.entries}. */
export const STRIDE = 8;
/** Of an entry: start of its line, length of name and of value, kind. */
export const LINE = 0;
export const NAME_LENGTH = 1;
export const VALUE_LENGTH = 2;
export const KIND = 3;
/** Only for the encoder: hashes, and the next older entry of the same chain. */
const FIELD_HASH = 4;
const NAME_HASH = 5;
const NEXT_FIELD = 6;
const NEXT_NAME = 7;

const FIRST_ARENA_BYTES = 512;
const FIRST_SLOTS = 8;

/** Dynamic table; memory comes with the first entry and grows with use, to at most twice the maximum size. */
export class FieldTable {
  arena: Uint8Array = NO_BYTES;
  entries: Int32Array = NO_NUMBERS;
  /** Fields ever added. */
  count = 0;
  /** Number of the oldest entry that is still here. */
  oldest = 0;
  /** As RFC 7541 section 4.1 counts it. */
  size = 0;
  #mask = -1;
  #end = 0;
  #fieldChains: Int32Array = NO_NUMBERS;
  #nameChains: Int32Array = NO_NUMBERS;

  /** With `searchable`, entries are added with hashes and can be found by content. */
  constructor(public maxSize: number, readonly searchable: boolean) {}

  /** Place of entry `number` in `entries`. */
  at(number: number): number {
    return (number & this.#mask) * STRIDE;
  }

  /** RFC 7541 section 4.3. */
  resize(maxSize: number): void {
    this.maxSize = maxSize;
    this.#evict(0);
  }

  /**
   * Gives the memory back. For the encoder's table only: the peer keeps the entries, and pushes them out in their turn, but nobody refers
   * to them any more. What is added from now on stays as long as it would have.
   */
  forget(): void {
    this.arena = NO_BYTES;
    this.entries = this.#fieldChains = this.#nameChains = NO_NUMBERS;
    this.#mask = -1;
    this.#end = this.size = 0;
    this.oldest = this.count;
  }

  /**
   * Adds a line (RFC 7541 section 4.4). `buf` may be anything but this table's arena, of which {@link line} gives a copy.
   */
  add(
    buf: Uint8Array,
    lineStart: number,
    nameLength: number,
    valueLength: number,
    kind: number,
    fieldHash: number,
    nameHash: number,
  ): void {
    const size = nameLength + valueLength + ENTRY_OVERHEAD;
    this.#evict(size);
    if (size > this.maxSize) return;
    if (this.count - this.oldest === this.#mask + 1) this.#growSlots();
    const length = nameLength + valueLength + LINE_OVERHEAD;
    const start = this.#place(length);
    copyBytes(buf, lineStart, length, this.arena, start);
    const number = this.count++;
    const at = this.at(number);
    const { entries } = this;
    entries[at + LINE] = start;
    entries[at + NAME_LENGTH] = nameLength;
    entries[at + VALUE_LENGTH] = valueLength;
    entries[at + KIND] = kind;
    this.size += size;
    if (this.searchable) {
      entries[at + FIELD_HASH] = fieldHash;
      entries[at + NAME_HASH] = nameHash;
      this.#link(number);
    }
  }

  /** Number of the newest entry with that hash and content, or -1. */
  findField(hash: number, buf: Uint8Array, ns: number, ne: number, vs: number, ve: number): number {
    if (this.size === 0) return -1;
    const { entries, oldest } = this;
    for (let number = this.#fieldChains[hash & this.#mask]!; number >= oldest;) {
      const at = this.at(number);
      if (
        entries[at + FIELD_HASH] === hash && entries[at + NAME_LENGTH] === ne - ns &&
        entries[at + VALUE_LENGTH] === ve - vs
      ) {
        const line = entries[at + LINE]!;
        if (
          sameLower(this.arena, line, buf, ns, ne) && same(this.arena, line + ne - ns + 2, buf, vs, ve)
        ) return number;
      }
      number = entries[at + NEXT_FIELD]!;
    }
    return -1;
  }

  /** Number of the newest entry with that name, or -1. */
  findName(hash: number, buf: Uint8Array, ns: number, ne: number): number {
    if (this.size === 0) return -1;
    const { entries, oldest } = this;
    for (let number = this.#nameChains[hash & this.#mask]!; number >= oldest;) {
      const at = this.at(number);
      if (
        entries[at + NAME_HASH] === hash && entries[at + NAME_LENGTH] === ne - ns &&
        sameLower(this.arena, entries[at + LINE]!, buf, ns, ne)
      ) return number;
      number = entries[at + NEXT_NAME]!;
    }
    return -1;
  }

  #evict(more: number): void {
    const { entries } = this;
    while (this.oldest < this.count && this.size + more > this.maxSize) {
      const at = this.at(this.oldest++);
      this.size -= entries[at + NAME_LENGTH]! + entries[at + VALUE_LENGTH]! + ENTRY_OVERHEAD;
    }
  }

  /** Where a line of that length goes. Lines are in one piece and in order, with at most one jump to the front. */
  #place(length: number): number {
    if (this.oldest === this.count) this.#end = 0;
    const first = this.oldest === this.count ? 0 : this.entries[this.at(this.oldest) + LINE]!;
    let at = this.#end;
    // Behind the newest line, unless the lines have jumped and the oldest one is in the way.
    const jumped = this.oldest < this.count && first >= at;
    const limit = jumped ? first : this.arena.length;
    if (at + length > limit) {
      if (!jumped && length <= first && this.arena.length >= 2 * this.maxSize) at = 0;
      else at = this.#growArena(length);
    }
    this.#end = at + length;
    return at;
  }

  /** A larger arena with the lines moved to its front; gives the position after them. */
  #growArena(length: number): number {
    const most = 2 * this.maxSize + LINE_OVERHEAD;
    const need = this.size + length;
    let capacity = Math.max(FIRST_ARENA_BYTES, this.arena.length);
    while (capacity < 2 * need && capacity < most) capacity *= 2;
    const next = new Uint8Array(Math.max(Math.min(capacity, most), need));
    let at = 0;
    for (let number = this.oldest; number < this.count; number++) {
      const entry = this.at(number);
      const bytes = this.entries[entry + NAME_LENGTH]! + this.entries[entry + VALUE_LENGTH]! + LINE_OVERHEAD;
      copyBytes(this.arena, this.entries[entry + LINE]!, bytes, next, at);
      this.entries[entry + LINE] = at;
      at += bytes;
    }
    this.arena = next;
    return at;
  }

  #growSlots(): void {
    const { entries } = this;
    const slots = Math.max(FIRST_SLOTS, 2 * (this.#mask + 1));
    const next = new Int32Array(slots * STRIDE);
    for (let number = this.oldest; number < this.count; number++) {
      const from = this.at(number);
      next.set(entries.subarray(from, from + STRIDE), (number & (slots - 1)) * STRIDE);
    }
    this.#mask = slots - 1;
    this.entries = next;
    if (!this.searchable) return;
    this.#fieldChains = new Int32Array(slots).fill(-1);
    this.#nameChains = new Int32Array(slots).fill(-1);
    for (let number = this.oldest; number < this.count; number++) this.#link(number);
  }

  #link(number: number): void {
    const at = this.at(number);
    const { entries } = this;
    const field = entries[at + FIELD_HASH]! & this.#mask;
    entries[at + NEXT_FIELD] = this.#fieldChains[field]!;
    this.#fieldChains[field] = number;
    const name = entries[at + NAME_HASH]! & this.#mask;
    entries[at + NEXT_NAME] = this.#nameChains[name]!;
    this.#nameChains[name] = number;
  }
}

const NO_BYTES = new Uint8Array(0);
const NO_NUMBERS = new Int32Array(0);

/** Copies bytes; short pieces, as fields mostly are, without the cost of a view. */
export function copyBytes(
  from: Uint8Array,
  start: number,
  length: number,
  to: Uint8Array,
  at: number,
): void {
  if (length < 64) {
    for (let i = 0; i < length; i++) to[at + i] = from[start + i]!;
  } else {
    to.set(new Uint8Array(from.buffer, from.byteOffset + start, length), at);
  }
}

function same(a: Uint8Array, at: number, b: Uint8Array, start: number, end: number): boolean {
  for (let i = start, j = at; i < end; i++, j++) if (a[j] !== b[i]) return false;
  return true;
}

/** Equal when `b` is written in lower case. */
function sameLower(a: Uint8Array, at: number, b: Uint8Array, start: number, end: number): boolean {
  for (let i = start, j = at; i < end; i++, j++) {
    const byte = b[i]!;
    if (a[j] !== (byte >= 65 && byte <= 90 ? byte + 32 : byte)) return false;
  }
  return true;
}

/** FNV-1a over lower-case bytes, the hash of a name; {@link hashOn} goes on with the value. */
export function hashName(buf: Uint8Array, start: number, end: number): number {
  let h = 0x811c9dc5 | 0;
  for (let i = start; i < end; i++) {
    const byte = buf[i]!;
    h = Math.imul(h ^ (byte >= 65 && byte <= 90 ? byte + 32 : byte), 0x01000193);
  }
  return h ^ h >>> 15;
}

export function hashOn(hash: number, buf: Uint8Array, start: number, end: number): number {
  let h = Math.imul(hash ^ 58, 0x01000193);
  for (let i = start; i < end; i++) h = Math.imul(h ^ buf[i]!, 0x01000193);
  return h ^ h >>> 15;
}

/** RFC 7541 appendix A, from index 1. */
const STATIC_FIELDS =
  ":authority=|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|:status=204|:status=206|" +
  ":status=304|:status=400|:status=404|:status=500|accept-charset=|accept-encoding=gzip, deflate|accept-language=|accept-ranges=|" +
  "accept=|access-control-allow-origin=|age=|allow=|authorization=|cache-control=|content-disposition=|content-encoding=|" +
  "content-language=|content-length=|content-location=|content-range=|content-type=|cookie=|date=|etag=|expect=|expires=|from=|" +
  "host=|if-match=|if-modified-since=|if-none-match=|if-range=|if-unmodified-since=|last-modified=|link=|location=|max-forwards=|" +
  "proxy-authenticate=|proxy-authorization=|range=|referer=|refresh=|retry-after=|server=|set-cookie=|strict-transport-security=|" +
  "transfer-encoding=|user-agent=|vary=|via=|www-authenticate=";

export const STATIC_COUNT = 61;

/** The static table; number `i` is index `i + 1`. Its kinds are of the fields as they stand (an empty value is fine for most). */
export const STATIC: FieldTable = (() => {
  const table = new FieldTable(1 << 16, true);
  for (const field of STATIC_FIELDS.split("|")) {
    const [name, value] = field.split("=") as [string, string];
    const line = new TextEncoder().encode(`${name}: ${value}\r\n`);
    const nameHash = hashName(line, 0, name.length);
    const valueStart = name.length + 2;
    const kind = fieldKind(line, 0, name.length, valueStart, valueStart + value.length);
    const fieldHash = hashOn(nameHash, line, valueStart, valueStart + value.length);
    table.add(line, 0, name.length, value.length, kind, fieldHash, nameHash);
  }
  return table;
})();
