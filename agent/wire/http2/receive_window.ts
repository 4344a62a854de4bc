/**
 * How much the peer may still send (RFC 9113 section 6.9). A stream's window opens only as its data is consumed. The connection's opens as
 * data comes, up to a bound of what all streams together hold, so that streams that nobody reads do not stop the others.
 */
import { writeWindowUpdate } from "./frames.ts";
import type { Output } from "./output.ts";
import { DEFAULT_WINDOW, type Http2Limits } from "./settings.ts";
import type { Http2Stream } from "./stream.ts";

export class ReceiveWindow {
  /** What the peer may send on the connection. */
  left = DEFAULT_WINDOW;
  /** Handed over and not consumed, all streams. */
  held = 0;

  constructor(readonly out: Output, readonly limits: Http2Limits) {}

  /** Opens the connection's window again when half of it is used up. */
  renew(): void {
    const { connectionWindow, maxHeldBytes } = this.limits;
    const over = this.held > maxHeldBytes ? this.held - maxHeldBytes : 0;
    const increment = connectionWindow - over - this.left;
    if (increment < connectionWindow >> 1) return;
    this.left += increment;
    writeWindowUpdate(this.out, 0, increment);
  }

  handOver(stream: Http2Stream, bytes: number): void {
    stream.held += bytes;
    this.held += bytes;
  }

  consumed(stream: Http2Stream, bytes: number): void {
    const n = bytes < stream.held ? bytes : stream.held;
    if (n === 0) return;
    stream.held -= n;
    const full = this.held > this.limits.maxHeldBytes;
    this.held -= n;
    if (full) this.renew();
    this.renewStream(stream);
  }

  renewStream(stream: Http2Stream): void {
    if (stream.remoteClosed || stream.closed) return;
    const { streamWindow } = this.limits;
    const increment = streamWindow - stream.held - stream.receiveWindow;
    if (increment < streamWindow >> 1) return;
    stream.receiveWindow += increment;
    writeWindowUpdate(this.out, stream.id, increment);
  }

  /** The stream is over: what it held does not count any more. */
  forget(stream: Http2Stream): void {
    const full = this.held > this.limits.maxHeldBytes;
    this.held -= stream.held;
    stream.held = 0;
    if (full) this.renew();
  }
}
