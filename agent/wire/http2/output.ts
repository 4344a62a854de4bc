/**
 * Bytes on their way out: everything that is said between two writes is in one buffer. Buffers are lent by a pool while there is
 * something to write, so an idle connection holds none.
 */
import { Buffer } from "node:buffer";

const SMALL_BYTES = 4 * 1024;
const LARGE_BYTES = 192 * 1024;
const MAX_SMALL = 64;
const MAX_LARGE = 16;

const small: Buffer[] = [];
const large: Buffer[] = [];

function lend(bytes: number): Buffer {
  if (bytes <= SMALL_BYTES) return small.pop() ?? Buffer.allocUnsafeSlow(SMALL_BYTES);
  if (bytes <= LARGE_BYTES) return large.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES);
  return Buffer.allocUnsafeSlow(bytes);
}

function giveBack(buffer: Buffer): void {
  if (buffer.length === SMALL_BYTES && small.length < MAX_SMALL) small.push(buffer);
  else if (buffer.length === LARGE_BYTES && large.length < MAX_LARGE) large.push(buffer);
}

const NONE = Buffer.allocUnsafeSlow(0);

export class Output {
  buf: Buffer = NONE;
  length = 0;
  #inFlight: Buffer = NONE;

  ensure(more: number): void {
    const need = this.length + more;
    if (need <= this.buf.length) return;
    const next = lend(need);
    if (this.length > 0) next.set(new Uint8Array(this.buf.buffer, this.buf.byteOffset, this.length));
    giveBack(this.buf);
    this.buf = next;
  }

  /** Hands out what there is; valid until {@link written}. What is said in between goes out next time. */
  take(): Uint8Array {
    const { buf, length } = this;
    giveBack(this.#inFlight);
    this.#inFlight = buf;
    this.buf = NONE;
    this.length = 0;
    return new Uint8Array(buf.buffer, buf.byteOffset, length);
  }

  written(): void {
    giveBack(this.#inFlight);
    this.#inFlight = NONE;
  }
}
