/**
 * The reading side of a connection: one buffer with the bytes that were received and not used yet. A read may be started ahead of
 * need (`prefetch`): on idle connections it tells at once when the peer closes, and costs nothing because the next message wants it anyway.
 */
import { Buffer } from "node:buffer";
import type { ByteStream } from "../core/ports.ts";
import { type BufferPool, LARGE_BUFFER_BYTES } from "./buffers.ts";

/** A prefetch needs this much room behind the bytes that are kept. */
const MIN_PREFETCH_ROOM = 256;
/** Of a connection whose reads were seen to bring more than its first buffer holds. */
const USUAL_BUFFER_BYTES = 2 * 1024;

export class Input {
  buf: Buffer;
  start = 0;
  end = 0;
  /** Bytes ever received. */
  total = 0;
  #pending: Promise<number | null> | null = null;
  #base: Buffer | null = null;
  /** A read filled less than the usual buffer. */
  #cramped = false;

  constructor(readonly stream: ByteStream, readonly pool: BufferPool, baseBytes: number) {
    this.buf = Buffer.allocUnsafeSlow(baseBytes);
  }

  get available(): number {
    return this.end - this.start;
  }

  get prefetching(): boolean {
    return this.#pending !== null;
  }

  /** Reads more behind the bytes at hand (which may move to the front); false at end of input. */
  async fill(): Promise<boolean> {
    return this.took(await this.next());
  }

  /**
   * `fill` in two halves, for hot loops: `if (!input.took(await input.next()))` saves a promise per read. Nothing else may be called in
   * between.
   */
  next(): Promise<number | null> {
    const pending = this.#pending;
    if (pending !== null) return pending;
    this.#makeRoom();
    return this.stream.read(this.end === 0 ? this.buf : this.buf.subarray(this.end));
  }

  /** As `next`, but whoever gives up waiting leaves the read to the next one who asks. */
  ahead(): Promise<number | null> {
    return this.#pending ??= this.next();
  }

  took(n: number | null): boolean {
    this.#pending = null;
    if (n === null) return false;
    this.end += n;
    this.total += n;
    if (this.end === this.buf.length && this.end < USUAL_BUFFER_BYTES) this.#cramped = true;
    return true;
  }

  #makeRoom(): void {
    if (this.start === this.end) {
      this.start = this.end = 0;
      return;
    }
    if (this.end < this.buf.length) return;
    if (this.start > 0) {
      this.buf.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
      return;
    }
    const next = Buffer.allocUnsafeSlow(Math.max(USUAL_BUFFER_BYTES, 2 * this.buf.length));
    next.set(this.buf);
    this.#base ??= this.buf;
    this.buf = next;
  }

  /**
   * Starts a read now; `settled` is told the count, null at the end, the error on failure, perhaps long after. With `rewind` it goes to
   * the front of an empty buffer: only when nobody uses any more what was read before (the spans of a head).
   */
  prefetch(settled: (n: unknown) => void, rewind: boolean): void {
    if (this.#pending !== null) return;
    if (rewind && this.start === this.end) this.start = this.end = 0;
    if (this.buf.length - this.end < MIN_PREFETCH_ROOM) {
      if (this.start !== this.end) return;
      // Whoever still reads what came before has the old buffer.
      this.#base ??= this.buf;
      this.buf = Buffer.allocUnsafeSlow(USUAL_BUFFER_BYTES);
      this.start = this.end = 0;
    }
    const p = this.stream.read(this.end === 0 ? this.buf : this.buf.subarray(this.end));
    this.#pending = p;
    p.then(settled, settled);
  }

  /** For a long body: reads go into a large buffer from the pool. Only while nothing is at hand and no read is under way. */
  enlarge(): void {
    if (this.start !== this.end || this.#pending !== null || this.buf.length >= LARGE_BUFFER_BYTES) return;
    this.#base ??= this.buf;
    this.buf = this.pool.takeLarge();
    this.start = this.end = 0;
  }

  /** For a tunnel: from the large buffer on to the one for bulk. */
  enlargeFurther(): void {
    if (this.#base === null || this.start !== this.end || this.#pending !== null) return;
    if (this.buf.length !== LARGE_BUFFER_BYTES) return;
    this.pool.giveLarge(this.buf);
    this.buf = this.pool.takeBulk();
    this.start = this.end = 0;
  }

  /**
   * Back to the small buffer when nothing is at hand. That is the first one until a read has filled it: what was once too small for a peer
   * would be so again, and a second read costs more than the memory.
   */
  shrink(): void {
    if (this.#base === null && !this.#cramped || this.start !== this.end || this.#pending !== null) return;
    let base = this.#base ?? this.buf;
    if (this.#cramped && base.length < USUAL_BUFFER_BYTES) {
      base = this.buf.length === USUAL_BUFFER_BYTES ? this.buf : Buffer.allocUnsafeSlow(USUAL_BUFFER_BYTES);
    }
    if (this.buf !== base) this.pool.giveLarge(this.buf);
    this.#base = null;
    this.#cramped = false;
    this.buf = base;
    this.start = this.end = 0;
  }
}
