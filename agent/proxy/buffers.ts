/** Free lists: writers for heads and large read buffers, so that a request allocates neither. */
import { Buffer } from "node:buffer";
import { ByteWriter } from "../wire/http1/byte_writer.ts";
import { MessageHead } from "../wire/http1/head.ts";

/** Read buffer of a streaming body, bytes. */
export const LARGE_BUFFER_BYTES = 64 * 1024;
/** Read buffer of a tunnel that keeps filling the large one, bytes: 64 KiB cost a fifth more CPU per byte than haproxy takes. */
export const BULK_BUFFER_BYTES = 256 * 1024;
const MAX_LARGE = 64;
const MAX_BULK = 16;
/** Writers kept: as many as requests are under way on a busy day. With 64 of them, 256 connections paid for a new one per request. */
const MAX_WRITERS = 2048;
/** A writer that grew beyond this is kept only among the first {@link MAX_LARGE}, which bounds what all of them hold. */
const MAX_WRITER_BYTES = 16 * 1024;
const MAX_GROWN_WRITER_BYTES = 128 * 1024;
const NO_BYTES = Buffer.allocUnsafeSlow(0);

export class BufferPool {
  readonly #writers: ByteWriter[] = [];
  readonly #large: Buffer[] = [];
  readonly #bulk: Buffer[] = [];
  readonly #heads: MessageHead[] = [];

  takeWriter(): ByteWriter {
    return this.#writers.pop() ?? new ByteWriter(4096);
  }

  giveWriter(writer: ByteWriter): void {
    writer.length = 0;
    const kept = this.#writers.length;
    const small = writer.buf.length <= MAX_WRITER_BYTES;
    if (small ? kept < MAX_WRITERS : kept < MAX_LARGE && writer.buf.length <= MAX_GROWN_WRITER_BYTES) {
      this.#writers.push(writer);
    }
  }

  takeHead(maxHeaderCount: number): MessageHead {
    const head = this.#heads.pop();
    return head !== undefined && head.kinds.length === maxHeaderCount
      ? head
      : new MessageHead(maxHeaderCount);
  }

  /** Nobody reads it any more. */
  giveHead(head: MessageHead): void {
    head.reset(NO_BYTES, 0);
    if (this.#heads.length < MAX_WRITERS) this.#heads.push(head);
  }

  takeLarge(): Buffer {
    return this.#large.pop() ?? Buffer.allocUnsafeSlow(LARGE_BUFFER_BYTES);
  }

  takeBulk(): Buffer {
    return this.#bulk.pop() ?? Buffer.allocUnsafeSlow(BULK_BUFFER_BYTES);
  }

  /** Takes back either size. */
  giveLarge(buffer: Buffer): void {
    if (buffer.length === BULK_BUFFER_BYTES && this.#bulk.length < MAX_BULK) this.#bulk.push(buffer);
    if (buffer.length === LARGE_BUFFER_BYTES && this.#large.length < MAX_LARGE) this.#large.push(buffer);
  }
}
