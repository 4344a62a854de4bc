/** Takes one message body out of an {@link Input}: by length, by chunks, or until the end of the connection. Both sides use it. */
import { MeshError } from "../core/errors.ts";
import { ChunkedDecoder } from "../wire/http1/chunked.ts";
import { problemOf } from "../wire/http1/problems.ts";
import type { RequestBody } from "./engine.ts";
import type { Input } from "./input.ts";

const NONE = 0;
const LENGTH = 1;
const CHUNKED = 2;
const CLOSE = 3;

/** From this many bytes to come on, reads go into a large buffer. */
const LARGE_BODY_BYTES = 16 * 1024;

/** Whose body it is. */
export interface BodyOwner {
  /** Before waiting for bytes, e.g. to set a deadline or to send 100 Continue. */
  beforeBodyWait(): Promise<void> | void;
  /** Bytes came. */
  afterBodyWait(): void;
}

export class BodyReader implements RequestBody {
  length = 0;
  done = true;
  received = 0;
  #kind = NONE;
  #remaining = 0;
  #decoder: ChunkedDecoder | null = null;

  constructor(
    readonly input: Input,
    readonly side: "downstream" | "upstream",
    readonly owner: BodyOwner | null = null,
  ) {}

  get trailers(): Uint8Array | null {
    return this.#kind === CHUNKED ? this.#decoder!.trailers : null;
  }

  /** The next body: `length` >= 0, or -1 for chunked, or -2 for until the end of the connection. */
  begin(length: number): void {
    this.received = 0;
    this.done = length === 0;
    this.length = length < 0 ? -1 : length;
    if (length >= 0) {
      this.#kind = length === 0 ? NONE : LENGTH;
      this.#remaining = length;
    } else if (length === -1) {
      this.#kind = CHUNKED;
      this.#decoder ??= new ChunkedDecoder();
      this.#decoder.reset();
    } else {
      this.#kind = CLOSE;
    }
  }

  /** True when the body ends with the connection. */
  get untilClose(): boolean {
    return this.#kind === CLOSE;
  }

  buffered(): Uint8Array | null {
    const input = this.input;
    const at = input.start;
    const available = input.end - at;
    if (this.done || available === 0) return null;
    if (this.#kind === CHUNKED) {
      const decoder = this.#decoder!;
      const next = decoder.decode(input.buf, at, input.end);
      if (next < 0) throw this.#broken(problemOf(next).what, problemOf(next).source);
      input.start = next;
      if (decoder.done) this.done = true;
      const n = decoder.dataEnd - decoder.dataStart;
      if (n === 0) return null;
      this.received += n;
      return slice(input.buf, decoder.dataStart, n);
    }
    const n = this.#kind === LENGTH && available > this.#remaining ? this.#remaining : available;
    input.start = at + n;
    this.received += n;
    if (this.#kind === LENGTH) {
      this.#remaining -= n;
      if (this.#remaining === 0) this.done = true;
    }
    return slice(input.buf, at, n);
  }

  async read(): Promise<Uint8Array | null> {
    const input = this.input;
    for (;;) {
      const piece = this.buffered();
      if (piece !== null) return piece;
      if (this.done) {
        input.shrink();
        return null;
      }
      const waiting = this.owner?.beforeBodyWait();
      if (waiting !== undefined) await waiting;
      if (this.#kind !== LENGTH || this.#remaining > LARGE_BODY_BYTES) input.enlarge();
      let more: boolean;
      try {
        more = await input.fill();
      } catch (cause) {
        throw this.#cut(cause);
      }
      if (more) {
        this.owner?.afterBodyWait();
        continue;
      }
      if (this.#kind === CLOSE) {
        this.done = true;
        return null;
      }
      throw this.#cut(undefined);
    }
  }

  #broken(what: string, source: string): MeshError {
    return this.side === "downstream"
      ? new MeshError("P101", `Cannot read the request body: ${what} (${source})`, { side: "downstream" })
      : new MeshError("P306", `Cannot read the response body: ${what} (${source})`, { side: "upstream" });
  }

  #cut(cause: unknown): MeshError {
    return this.side === "downstream"
      ? new MeshError(
        "P112",
        "Cannot read the request body: the client closed the connection before its end",
        {
          side: "downstream",
          cause,
        },
      )
      : new MeshError(
        "P305",
        "Cannot read the response body: the upstream closed the connection before its end",
        {
          side: "upstream",
          cause,
        },
      );
  }
}

/** Buffer's own subarray costs more. */
function slice(buf: Uint8Array, start: number, length: number): Uint8Array {
  return new Uint8Array(buf.buffer, buf.byteOffset + start, length);
}
