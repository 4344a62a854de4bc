/**
 * The wire format of protobuf (protobuf.dev, "Encoding"): values one by one, out of bytes and into bytes.
 *
 * Everything read throws an Error when the bytes end too early or are no such value. 64-bit numbers are plain numbers: exact
 * up to 2^53.
 */

/** Messages and groups inside each other; protoc's own limit. */
export const MAX_DEPTH = 100;
/** Bytes of the longest varint. */
const LONGEST_VARINT = 10;
const TWO_32 = 0x1_0000_0000;
/** Up to here a loop is faster than a decoder. */
const SHORT_TEXT = 64;

const toText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const toBytes = new TextEncoder();
const double = new DataView(new ArrayBuffer(8));

/** Wire types. */
export const VARINT = 0;
const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
const START_GROUP = 3;
const END_GROUP = 4;
const FIXED32 = 5;
export const DOUBLE_WIRE = FIXED64;

export class WireReader {
  pos = 0;
  /** Where it ends; {@link enter} brings it forward for a time. */
  len: number;

  constructor(readonly buf: Uint8Array) {
    this.len = buf.length;
  }

  /** Field number << 3 | wire type. */
  tag(): number {
    const { buf, pos } = this;
    if (pos >= this.len) throw this.#ended(1);
    const first = buf[pos] as number;
    if (first < 128) {
      this.pos = pos + 1;
      return first;
    }
    return this.#short(15, "tag");
  }

  /** A length, for {@link pos} to go on from. */
  size(): number {
    const { buf, pos } = this;
    if (pos >= this.len) throw this.#ended(1);
    const first = buf[pos] as number;
    if (first < 128) {
      this.pos = pos + 1;
      return first;
    }
    return this.#short(7, "length");
  }

  /** A varint of at most five bytes, the last at most `last`. */
  #short(last: number, what: string): number {
    let value = 0;
    for (let i = 0; i < 5; i++) {
      if (this.pos >= this.len) throw this.#ended(1);
      const byte = this.buf[this.pos++] as number;
      if (i === 4 && byte > last) break;
      value = (value | (byte & 127) << i * 7) >>> 0;
      if (byte < 128) return value;
    }
    throw new Error(`invalid ${what} encoding`);
  }

  /** The lower 32 bits of a varint. */
  uint32(): number {
    const { buf, pos } = this;
    if (pos < this.len && buf[pos] as number < 128) {
      this.pos = pos + 1;
      return buf[pos] as number;
    }
    let value = 0;
    for (let i = 0; i < LONGEST_VARINT; i++) {
      if (this.pos >= this.len) throw this.#ended(1);
      const byte = this.buf[this.pos++] as number;
      if (i < 5) value = (value | (byte & 127) << i * 7) >>> 0;
      if (byte < 128) return value;
    }
    throw new Error("invalid varint encoding");
  }

  int32(): number {
    return this.uint32() | 0;
  }

  bool(): boolean {
    const { low, high } = this.#long();
    return low !== 0 || high !== 0;
  }

  uint64(): number {
    const { low, high } = this.#long();
    return high * TWO_32 + low;
  }

  int64(): number {
    const { low, high } = this.#long();
    return (high | 0) * TWO_32 + low;
  }

  #long(): { low: number; high: number } {
    let low = 0, high = 0;
    for (let i = 0; i < LONGEST_VARINT; i++) {
      if (this.pos >= this.len) throw this.#ended(1);
      const byte = this.buf[this.pos++] as number;
      if (i < 5) low = (low | (byte & 127) << i * 7) >>> 0;
      if (i === 4) high = (byte & 127) >>> 4;
      if (i > 4) high = (high | (byte & 127) << i * 7 - 32) >>> 0;
      if (byte < 128) return { low, high };
    }
    throw new Error("invalid varint encoding");
  }

  double(): number {
    this.#need(8);
    for (let i = 0; i < 8; i++) double.setUint8(i, this.buf[this.pos + i] as number);
    this.pos += 8;
    return double.getFloat64(0, true);
  }

  /** A view of the bytes read from. */
  bytes(): Uint8Array {
    const length = this.size();
    this.#need(length);
    const start = this.pos;
    this.pos = start + length;
    return this.buf.subarray(start, start + length);
  }

  /** Strict UTF-8; short ASCII is made without a decoder, in one flat piece. */
  string(): string {
    const bytes = this.bytes();
    if (bytes.length > SHORT_TEXT) return toText.decode(bytes);
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] as number > 127) return toText.decode(bytes);
    }
    return String.fromCharCode.apply(null, bytes as unknown as number[]);
  }

  /** Goes into a length-delimited field; the reader then ends with it. Returns where it ended before. */
  enter(): number {
    const length = this.size();
    this.#need(length);
    const outer = this.len;
    this.len = this.pos + length;
    return outer;
  }

  /** Out of it again, to `outer`. */
  leave(outer: number): void {
    if (this.pos !== this.len) throw new RangeError(`index out of range: ${this.pos} > ${this.len}`);
    this.len = outer;
  }

  /** Jumps over the value of a field; `number`: the field's. */
  skipType(wireType: number, depth: number, number: number): void {
    if (depth > MAX_DEPTH) throw new Error("max depth exceeded");
    if (number === 0) throw new Error("illegal tag: field number 0");
    switch (wireType) {
      case VARINT:
        do this.#need(1); while (this.buf[this.pos++] as number > 127);
        return;
      case FIXED64:
        return this.#skip(8);
      case LENGTH_DELIMITED:
        return this.#skip(this.size());
      case FIXED32:
        return this.#skip(4);
      case START_GROUP:
        for (;;) {
          const tag = this.tag();
          if ((tag & 7) !== END_GROUP) this.skipType(tag & 7, depth + 1, tag >>> 3);
          else if (tag >>> 3 === number) return;
          else throw new Error("invalid end group tag");
        }
      default:
        throw new Error(`invalid wire type ${wireType} at offset ${this.pos}`);
    }
  }

  #skip(length: number): void {
    this.#need(length);
    this.pos += length;
  }

  #need(length: number): void {
    if (this.pos + length > this.len) throw this.#ended(length);
  }

  #ended(length: number): RangeError {
    return new RangeError(`index out of range: ${this.pos} + ${length} > ${this.len}`);
  }
}

export class WireWriter {
  #buf = new Uint8Array(256);
  #pos = 0;

  /** What was written. */
  finish(): Uint8Array {
    return this.#buf.slice(0, this.#pos);
  }

  #reserve(length: number): void {
    if (this.#pos + length <= this.#buf.length) return;
    const grown = new Uint8Array(Math.max(2 * this.#buf.length, this.#pos + length));
    grown.set(this.#buf.subarray(0, this.#pos));
    this.#buf = grown;
  }

  #byte(value: number): void {
    this.#buf[this.#pos++] = value;
  }

  uint32(value: number): void {
    this.#reserve(5);
    let left = value >>> 0;
    for (; left > 127; left >>>= 7) this.#byte(left & 127 | 128);
    this.#byte(left);
  }

  /** Negative numbers take ten bytes. */
  int64(value: number): void {
    this.#reserve(LONGEST_VARINT);
    let low = value >>> 0;
    let high = Math.floor(value / TWO_32) >>> 0;
    for (; high > 0; low = (low >>> 7 | high << 25) >>> 0, high >>>= 7) this.#byte(low & 127 | 128);
    for (; low > 127; low >>>= 7) this.#byte(low & 127 | 128);
    this.#byte(low);
  }

  double(value: number): void {
    this.#reserve(8);
    double.setFloat64(0, value, true);
    for (let i = 0; i < 8; i++) this.#byte(double.getUint8(i));
  }

  bytes(value: Uint8Array): void {
    this.uint32(value.length);
    this.#reserve(value.length);
    this.#buf.set(value, this.#pos);
    this.#pos += value.length;
  }

  string(value: string): void {
    this.bytes(toBytes.encode(value));
  }

  /** Something length-delimited, of which the length is known only afterwards. */
  delimited(write: () => void): void {
    this.#reserve(1);
    const start = ++this.#pos;
    write();
    const length = this.#pos - start;
    let more = 0;
    for (let left = length; left > 127; left >>>= 7) more++;
    this.#reserve(more);
    this.#buf.copyWithin(start + more, start, this.#pos);
    this.#pos = start - 1;
    this.uint32(length);
    this.#pos += length;
  }
}
