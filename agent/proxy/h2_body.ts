/** A message body out of HTTP/2 DATA: filled by the codec's calls, pulled by the pipeline. Both sides use it. */
import { copyBytes } from "../wire/http2/field_table.ts";
import type { RequestBody } from "./engine.ts";

/** Pieces below this share a buffer while nobody reads them. */
const SMALL_BYTES = 2048;
const TAIL_BYTES = 8192;

/** Who opens the window again. */
export interface BodySource {
  /** That many bytes of the body were taken out. */
  consumed(bytes: number): void;
}

export class Http2Body implements RequestBody {
  done = false;
  received = 0;
  trailers: Uint8Array | null = null;
  /** HTTP/2 bodies always say where they end. */
  readonly untilClose = false;
  /** Called before a wait for bytes, and after it. */
  beforeWait: (() => void) | null = null;
  afterWait: (() => void) | null = null;
  /** The newest piece; most bodies have one at a time. */
  #last: Uint8Array | null = null;
  /** Those before it. */
  #older: Uint8Array[] | null = null;
  /** Buffer of the last piece when more fits behind it. */
  #tail: Uint8Array | null = null;
  #ended = false;
  #error: unknown = null;
  #resolve: ((piece: Uint8Array | null) => void) | null = null;
  #reject: ((error: unknown) => void) | null = null;

  constructor(readonly source: BodySource, public length: number) {
    if (length === 0) this.done = this.#ended = true;
  }

  /** As BodyReader has it: here the frames tell. */
  begin(_length: number): void {}

  /** DATA came; the bytes are copied. */
  push(buf: Uint8Array, start: number, end: number): void {
    const n = end - start;
    if (n === 0) return;
    if (this.#resolve !== null) return this.#wake(copyOf(buf, start, end));
    const last = this.#last;
    if (n >= SMALL_BYTES || last === null) {
      this.#append(copyOf(buf, start, end));
      this.#tail = null;
      return;
    }
    const tail = this.#tail;
    if (tail !== null && last.byteOffset + last.length + n <= tail.length) {
      tail.set(new Uint8Array(buf.buffer, buf.byteOffset + start, n), last.byteOffset + last.length);
      this.#last = new Uint8Array(tail.buffer, last.byteOffset, last.length + n);
      return;
    }
    const fresh = this.#tail = new Uint8Array(TAIL_BYTES);
    fresh.set(new Uint8Array(buf.buffer, buf.byteOffset + start, n));
    this.#append(new Uint8Array(fresh.buffer, 0, n));
  }

  #append(piece: Uint8Array): void {
    if (this.#last !== null) (this.#older ??= []).push(this.#last);
    this.#last = piece;
  }

  /** The peer has ended its side. */
  finish(trailers: Uint8Array | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.trailers = trailers;
    if (this.#last !== null) return;
    this.done = true;
    this.#wake(null);
  }

  /** There will be no more; what is here is not given out either. */
  fail(error: unknown): void {
    if (this.done || this.#error !== null) return;
    this.#error = error;
    this.#last = this.#older = null;
    const reject = this.#reject;
    this.#resolve = this.#reject = null;
    reject?.(error);
  }

  buffered(): Uint8Array | null {
    if (this.#error !== null) throw this.#error;
    const piece = this.#older?.shift() ?? this.#last;
    if (piece === null) return null;
    if (piece === this.#last) {
      this.#last = this.#tail = null;
      if (this.#ended) this.done = true;
    }
    this.received += piece.length;
    this.source.consumed(piece.length);
    return piece;
  }

  read(): Promise<Uint8Array | null> {
    if (this.#error !== null) return Promise.reject(this.#error);
    if (this.#last !== null) return Promise.resolve(this.buffered());
    if (this.done) return Promise.resolve(null);
    this.beforeWait?.();
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  #wake(piece: Uint8Array | null): void {
    const resolve = this.#resolve;
    if (resolve === null) return;
    this.#resolve = this.#reject = null;
    this.afterWait?.();
    if (piece !== null) {
      this.received += piece.length;
      this.source.consumed(piece.length);
    }
    resolve(piece);
  }
}

/** Small pieces are cut one after the other from a sheet: an array of its own costs four times as much as a view. */
const SHEET_BYTES = 8 * 1024;
const MAX_CUT_BYTES = 1024;
let sheet = new Uint8Array(0);
let used = 0;

/** Bytes `[start, end)` of `buf`, to be kept. */
export function copyOf(buf: Uint8Array, start: number, end: number): Uint8Array {
  const n = end - start;
  if (n > MAX_CUT_BYTES) {
    const copy = new Uint8Array(n);
    copyBytes(buf, start, n, copy, 0);
    return copy;
  }
  if (used + n > sheet.length) {
    sheet = new Uint8Array(SHEET_BYTES);
    used = 0;
  }
  const at = used;
  used += n;
  copyBytes(buf, start, n, sheet, at);
  return new Uint8Array(sheet.buffer, at, n);
}
