/** Free lists: writers for heads and large read buffers, so that a request allocates neither. */
import { Buffer } from "node:buffer";
import { ByteWriter } from "../wire/http1/byte_writer.ts";

/** Read buffer of a streaming body, bytes. */
export const LARGE_BUFFER_BYTES = 64 * 1024;
const MAX_KEPT = 64;
/** A writer that grew beyond this is not kept. */
const MAX_WRITER_BYTES = 128 * 1024;

export class BufferPool {
  readonly #writers: ByteWriter[] = [];
  readonly #large: Buffer[] = [];

  takeWriter(): ByteWriter {
    return this.#writers.pop() ?? new ByteWriter(4096);
  }

  giveWriter(writer: ByteWriter): void {
    writer.length = 0;
    if (this.#writers.length < MAX_KEPT && writer.buf.length <= MAX_WRITER_BYTES) this.#writers.push(writer);
  }

  takeLarge(): Buffer {
    return this.#large.pop() ?? Buffer.allocUnsafeSlow(LARGE_BUFFER_BYTES);
  }

  giveLarge(buffer: Buffer): void {
    if (buffer.length === LARGE_BUFFER_BYTES && this.#large.length < MAX_KEPT) this.#large.push(buffer);
  }
}
