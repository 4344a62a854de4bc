/**
 * Header blocks in (RFC 7541 section 6). Fields go as lines `name: value CRLF` into the buffer of a {@link FieldSink}; no string is made.
 *
 * @example
 * ```ts
 * import { HeadBuilder, HeadPool, REQUEST } from "./header_rules.ts";
 * import { HpackDecoder } from "./hpack_decoder.ts";
 * const decoder = new HpackDecoder(4096);
 * const builder = new HeadBuilder(65536);
 * const head = new HeadPool(100).take();
 * builder.begin(head, REQUEST);
 * const block = Uint8Array.of(0x82, 0x86, 0x84, 0x41, 1, 97); // GET http / a
 * decoder.decode(block, 0, block.length, builder); // 0
 * builder.finish(true); // 0
 * head.text; // "GET / HTTP/1.1\r\nhost: a\r\n\r\n"
 * ```
 */
import { fieldKind } from "./field_kinds.ts";
import {
  copyBytes,
  FieldTable,
  KIND,
  LINE,
  LINE_OVERHEAD,
  NAME_LENGTH,
  STATIC,
  STATIC_COUNT,
  VALUE_LENGTH,
} from "./field_table.ts";
import { huffmanDecode, maxDecodedLength } from "./huffman.ts";
import * as problem from "./problems.ts";

/** Takes lines one after the other: the decoder writes the next one at `at` and then calls `take`. */
export interface FieldSink {
  buf: Uint8Array;
  at: number;
  /** Too much came: lines are still decoded for the table's sake, but indexed ones need not be written. */
  readonly full: boolean;
  /** Makes room for that many bytes behind `at`. */
  ensure(bytes: number): void;
  /** The line at `at` is complete. `kind` is of field_kinds.ts. */
  take(nameLength: number, valueLength: number, kind: number): void;
}

export class HpackDecoder {
  readonly table: FieldTable;
  /** What our acknowledged SETTINGS allow. */
  #allowed: number;
  /** The peer must begin its next block with a size of at most this; -1: need not. */
  #wanted = -1;
  /** Position after what was read last; negative: a problem. */
  #pos = 0;

  constructor(maxSize: number) {
    this.table = new FieldTable(Math.min(maxSize, 4096), false);
    this.#allowed = maxSize;
  }

  /** Our SETTINGS_HEADER_TABLE_SIZE of `size` was acknowledged. */
  allow(size: number): void {
    if (size < this.table.maxSize) this.#wanted = size;
    this.#allowed = size;
  }

  /** Decodes a whole block; 0, or a problem (of the connection, because the tables are out of step then). */
  decode(src: Uint8Array, start: number, end: number, sink: FieldSink): number {
    let pos = start;
    let fields = false;
    while (pos < end) {
      const byte = src[pos]!;
      if (byte >= 0x80) {
        let index = byte & 0x7f;
        if (index === 0x7f) {
          index = this.#integer(src, pos + 1, end, 0x7f);
          pos = this.#pos;
          if (pos < 0) return pos;
        } else {
          pos++;
        }
        fields = true;
        const trouble = this.#indexed(index, sink);
        if (trouble !== 0) return trouble;
      } else if ((byte & 0xe0) === 0x20) {
        const size = (byte & 0x1f) === 0x1f ? this.#integer(src, pos + 1, end, 0x1f) : byte & 0x1f;
        pos = (byte & 0x1f) === 0x1f ? this.#pos : pos + 1;
        if (pos < 0) return pos;
        if (fields) return problem.LATE_TABLE_SIZE;
        if (size > this.#allowed) return problem.BAD_TABLE_SIZE;
        if (this.#wanted >= 0 && size <= this.#wanted) this.#wanted = -1;
        this.table.resize(size);
      } else {
        fields = true;
        pos = this.#literal(src, pos, end, sink);
        if (pos < 0) return pos;
      }
      if (fields && this.#wanted >= 0) return problem.MISSING_TABLE_SIZE;
    }
    return 0;
  }

  #indexed(index: number, sink: FieldSink): number {
    if (index === 0) return problem.BAD_INDEX;
    let table = STATIC;
    let number = index - 1;
    if (index > STATIC_COUNT) {
      table = this.table;
      number = table.count - index + STATIC_COUNT;
      if (number < table.oldest) return problem.BAD_INDEX;
    }
    const { entries } = table;
    const at = table.at(number);
    const nameLength = entries[at + NAME_LENGTH]!;
    const valueLength = entries[at + VALUE_LENGTH]!;
    if (!sink.full) {
      const length = nameLength + valueLength + LINE_OVERHEAD;
      sink.ensure(length);
      copyBytes(table.arena, entries[at + LINE]!, length, sink.buf, sink.at);
    }
    sink.take(nameLength, valueLength, entries[at + KIND]!);
    return 0;
  }

  /** A literal at `pos`; position after it, or a problem. */
  #literal(src: Uint8Array, pos: number, end: number, sink: FieldSink): number {
    const byte = src[pos++]!;
    const indexing = byte >= 0x40;
    const prefix = indexing ? 0x3f : 0x0f;
    let index = byte & prefix;
    if (index === prefix) {
      index = this.#integer(src, pos, end, prefix);
      pos = this.#pos;
      if (pos < 0) return pos;
    }
    const lineStart = sink.at;
    let nameEnd: number;
    if (index === 0) {
      nameEnd = this.#string(src, pos, end, sink, lineStart);
      if (nameEnd < 0) return nameEnd;
      pos = this.#pos;
    } else {
      let table = STATIC;
      let number = index - 1;
      if (index > STATIC_COUNT) {
        table = this.table;
        number = table.count - index + STATIC_COUNT;
        if (number < table.oldest) return problem.BAD_INDEX;
      }
      const at = table.at(number);
      const length = table.entries[at + NAME_LENGTH]!;
      sink.ensure(length + LINE_OVERHEAD);
      copyBytes(table.arena, table.entries[at + LINE]!, length, sink.buf, lineStart);
      nameEnd = lineStart + length;
    }
    const valueStart = nameEnd + 2;
    const valueEnd = this.#string(src, pos, end, sink, valueStart);
    if (valueEnd < 0) return valueEnd;
    pos = this.#pos;
    const { buf } = sink;
    buf[nameEnd] = 58;
    buf[nameEnd + 1] = 32;
    buf[valueEnd] = 13;
    buf[valueEnd + 1] = 10;
    const kind = fieldKind(buf, lineStart, nameEnd, valueStart, valueEnd);
    const nameLength = nameEnd - lineStart;
    const valueLength = valueEnd - valueStart;
    if (indexing) this.table.add(buf, lineStart, nameLength, valueLength, kind, 0, 0);
    sink.take(nameLength, valueLength, kind);
    return pos;
  }

  /** Decodes the string at `pos` to `at` of the sink's buffer, with room for a line's ends behind it; position after it there, or a problem. */
  #string(src: Uint8Array, pos: number, end: number, sink: FieldSink, at: number): number {
    if (pos >= end) return problem.BLOCK_TRUNCATED;
    const byte = src[pos++]!;
    let length = byte & 0x7f;
    if (length === 0x7f) {
      length = this.#integer(src, pos, end, 0x7f);
      pos = this.#pos;
      if (pos < 0) return pos;
    }
    const stop = pos + length;
    if (stop > end) return problem.BLOCK_TRUNCATED;
    this.#pos = stop;
    if (byte < 0x80) {
      sink.ensure(at - sink.at + length + LINE_OVERHEAD);
      copyBytes(src, pos, length, sink.buf, at);
      return at + length;
    }
    sink.ensure(at - sink.at + maxDecodedLength(length) + LINE_OVERHEAD);
    const decoded = huffmanDecode(src, pos, stop, sink.buf, at);
    return decoded < 0 ? problem.BAD_HUFFMAN : decoded;
  }

  /** The bytes of an integer behind its full prefix (RFC 7541 section 5.1); position after it in `#pos`. */
  #integer(src: Uint8Array, pos: number, end: number, prefix: number): number {
    let value = prefix;
    for (let shift = 0;; shift += 7) {
      if (pos >= end) {
        this.#pos = problem.BLOCK_TRUNCATED;
        return 0;
      }
      // Four bytes reach 2^28: more than any block that is taken in, and no place for endless zeros.
      if (shift > 21) {
        this.#pos = problem.BAD_INTEGER;
        return 0;
      }
      const byte = src[pos++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.#pos = pos;
        return value;
      }
    }
  }
}
