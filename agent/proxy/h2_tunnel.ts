/**
 * One stream of an HTTP/2 connection as a ByteStream: DATA both ways, END_STREAM as the half-close (RFC 9113 section 8.5). Both sides
 * use it for CONNECT and for upgraded streams.
 */
import type { ByteStream } from "../core/ports.ts";
import type { Http2Connection, Http2Stream } from "../wire/http2/connection.ts";
import type { Http2Body } from "./h2_body.ts";
import type { Http2Link } from "./h2_link.ts";

/** First buffer of the reading side, bytes; it grows with what comes. */
export const TUNNEL_BUFFER_BYTES = 2 * 1024;

export class Http2Tunnel implements ByteStream {
  #piece: Uint8Array | null = null;
  #resume: (() => void) | null = null;

  constructor(
    readonly codec: Http2Connection,
    readonly link: Http2Link,
    readonly h2: Http2Stream,
    readonly body: Http2Body,
    /** Of the RST_STREAM when it is closed before both ends, RFC 9113 section 7. */
    readonly cutCode: number,
  ) {}

  async read(into: Uint8Array): Promise<number | null> {
    const piece = this.#piece ?? this.body.buffered() ?? await this.body.read();
    if (piece === null) return null;
    const n = Math.min(piece.length, into.length);
    into.set(n === piece.length ? piece : piece.subarray(0, n));
    this.#piece = n === piece.length ? null : piece.subarray(n);
    return n;
  }

  /** Resolves when the windows have taken all of it. */
  async write(from: Uint8Array): Promise<number> {
    for (let at = 0;;) {
      if (this.h2.closed) throw new Error("the stream is over");
      at += this.codec.sendData(this.h2, from, at, from.length, false);
      this.link.flush();
      if (at === from.length) return at;
      await new Promise<void>((resolve) => this.#resume = resolve);
    }
  }

  closeWrite(): Promise<void> {
    this.codec.sendEnd(this.h2);
    this.link.flush();
    return Promise.resolve();
  }

  close(): void {
    if (!this.h2.closed) {
      this.codec.reset(this.h2, this.cutCode);
      this.link.flush();
    }
    this.body.fail(new Error("the tunnel is closed"));
    this.resume();
  }

  /** There is room again, or the stream is over. */
  resume(): void {
    const resume = this.#resume;
    this.#resume = null;
    resume?.();
  }
}
