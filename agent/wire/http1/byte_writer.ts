/** A growing byte buffer in which a head (and small bodies behind it) is put together for one write. */
import { Buffer } from "node:buffer";
import { latin1 } from "./head.ts";

/** Strings have many inner forms: looked up on each of them, the method costs more than the copying. */
const { charCodeAt } = String.prototype;

export class ByteWriter {
  buf: Buffer;
  length = 0;

  constructor(capacity = 4096) {
    this.buf = Buffer.allocUnsafeSlow(capacity);
  }

  ensure(more: number): void {
    const need = this.length + more;
    if (need <= this.buf.length) return;
    const next = Buffer.allocUnsafeSlow(Math.max(need, 2 * this.buf.length));
    next.set(this.buf.subarray(0, this.length));
    this.buf = next;
  }

  /** Latin-1 text: every character is one byte. */
  text(s: string): void {
    const n = s.length;
    this.ensure(n);
    const buf = this.buf;
    let at = this.length;
    for (let i = 0; i < n; i++) buf[at++] = charCodeAt.call(s, i);
    this.length += n;
  }

  /** Bytes `[start, end)` of another buffer. */
  span(from: Uint8Array, start: number, end: number): void {
    const n = end - start;
    this.ensure(n);
    const buf = this.buf;
    if (n < 48) {
      let at = this.length;
      for (let i = start; i < end; i++) buf[at++] = from[i]!;
    } else {
      // Buffer's own subarray costs more.
      buf.set(new Uint8Array(from.buffer, from.byteOffset + start, n), this.length);
    }
    this.length += n;
  }

  bytes(from: Uint8Array): void {
    this.span(from, 0, from.length);
  }

  decimal(n: number): void {
    this.text(String(n));
  }

  /** `name: value` and CRLF. */
  line(name: string, value: string): void {
    this.text(name);
    this.text(": ");
    this.text(value);
    this.text("\r\n");
  }

  view(): Uint8Array {
    // Buffer's own subarray costs more.
    return new Uint8Array(this.buf.buffer, this.buf.byteOffset, this.length);
  }

  clear(): void {
    this.length = 0;
  }

  toString(): string {
    return latin1(this.buf, 0, this.length);
  }
}

const encoder = new TextEncoder();

/** Text as one character per UTF-8 byte, the form in which heads are put together. ASCII stays as it is. */
export function latin1OfUtf8(s: string): string {
  for (let i = 0; i < s.length; i++) {
    if (s.charCodeAt(i) > 126) {
      const bytes = encoder.encode(s);
      return latin1(bytes, 0, bytes.length);
    }
  }
  return s;
}
