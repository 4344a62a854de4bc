/**
 * gRPC messages out of the chunks of an HTTP/2 stream, in place of grpc-js' own decoder. That one keeps the chunks and joins them
 * at the end: touching 37 MB of fresh memory at once stops all traffic for 25 ms. This one copies each chunk as it comes, and needs
 * half the memory.
 *
 * In: chunks of any cut. Out: whole messages with their head of 5 bytes (compressed flag, length), as grpc-js wants them.
 *
 * @example
 * ```ts
 * import { GrpcDecoder } from "./grpc_decoder.ts";
 *
 * const decoder = new GrpcDecoder(64 << 20);
 * decoder.write(Uint8Array.of(0, 0, 0, 0)); // []
 * decoder.write(Uint8Array.of(1, 42)); // [the message 0 0 0 0 1 42]
 * ```
 */
import { Buffer } from "node:buffer";

/** Compressed flag and length (gRPC over HTTP/2, Length-Prefixed-Message). */
const HEAD_BYTES = 5;

export class GrpcDecoder {
  readonly #head = Buffer.alloc(HEAD_BYTES);
  #headFilled = 0;
  #message: Buffer | null = null;
  #filled = 0;

  /** `maxBytes` bounds a message without its head; -1 = no bound. */
  constructor(readonly maxBytes: number) {}

  /** A message has begun and is not whole. */
  get partial(): boolean {
    return this.#headFilled > 0;
  }

  /** The messages that end in this chunk. Throws on a message above the bound, before making room for it. */
  write(chunk: Uint8Array): Buffer[] {
    const done: Buffer[] = [];
    let at = 0;
    while (at < chunk.length) {
      const message = this.#message;
      if (message === null) {
        const part = chunk.subarray(at, at + HEAD_BYTES - this.#headFilled);
        this.#head.set(part, this.#headFilled);
        this.#headFilled += part.length;
        at += part.length;
        if (this.#headFilled === HEAD_BYTES) this.#begin();
      } else {
        const part = chunk.subarray(at, at + message.length - this.#filled);
        message.set(part, this.#filled);
        this.#filled += part.length;
        at += part.length;
      }
      if (this.#message !== null && this.#filled === this.#message.length) {
        done.push(this.#message);
        this.#message = null;
        this.#headFilled = 0;
      }
    }
    return done;
  }

  #begin(): void {
    const length = this.#head.readUInt32BE(1);
    if (this.maxBytes !== -1 && length > this.maxBytes) {
      throw new Error(`Received message larger than max (${length} vs ${this.maxBytes})`);
    }
    const message = Buffer.from(new ArrayBuffer(HEAD_BYTES + length));
    message.set(this.#head);
    this.#message = message;
    this.#filled = HEAD_BYTES;
  }
}
