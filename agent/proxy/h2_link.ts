/**
 * One HTTP/2 connection over a ByteStream: reads into the codec, writes what the codec has to say, and watches that writes get on.
 * Whatever is said in one turn goes out in one write.
 */
import type { ByteStream, Clock } from "../core/ports.ts";
import type { Http2Connection } from "../wire/http2/connection.ts";
import type { Deadlines, Expirable } from "./deadlines.ts";
import { writeAtEnd, type Writer } from "./end_of_turn.ts";
import type { Input } from "./input.ts";
import { writeAll } from "../core/write_all.ts";

/** Reads below this say that the large buffer is not needed. */
const SMALL_READ_BYTES = 4096;
/** How long the rest of what a server said is waited for when it takes no more, ms. */
const LAST_READ_MS = 1000;
/** Steps of promises that an exchange takes from one piece of its answer to the next when both are at hand. */
const FLUSH_HOPS = 8;
/**
 * After a server's last frame: how long, ms, and how much is still read, so that a reset of TCP does not destroy the GOAWAY on its way
 * (RFC 9113 sections 5.4.1 and 9.1).
 */
const LINGER_MS = 1000;
const LINGER_BYTES = 256 * 1024;

export interface LinkOwner {
  /** What `receive` brought has been told. */
  received(): void;
  /** The agent made a mistake; the connection ends. */
  mistaken(error: Error): void;
  /** `run` ends. */
  ended(): void;
  /** `ownDeadline` has passed. */
  expired(): void;
}

export class Http2Link implements Expirable, Writer {
  deadline = Infinity;
  slot = -1;
  closed = false;
  /** The owner's next deadline, monotonic ms. */
  ownDeadline = Infinity;
  /** A client's write failed. What the server said before is still read: its GOAWAY tells what it did not look at. */
  broken = false;
  /** How often bytes were taken to be written. */
  handedOut = 0;
  #writeDeadline = Infinity;
  #writing = false;
  #scheduled = false;
  #due = false;
  #closing = false;
  #lingering = false;
  /** So many bytes received in all. */
  #lingerUntil = Infinity;
  /** There is nothing more to read. */
  #ended = false;
  #over: (() => void) | null = null;
  #hops = 0;
  readonly #write = (): void => {
    // Written at the end of the turn.
    if (!this.#scheduled) {
      this.#hops = 0;
      return;
    }
    if (this.#hops++ < FLUSH_HOPS) return queueMicrotask(this.#write);
    this.#hops = 0;
    this.#scheduled = false;
    void this.#writeOut();
  };

  constructor(
    readonly stream: ByteStream,
    readonly input: Input,
    readonly connection: Http2Connection,
    readonly owner: LinkOwner,
    readonly deadlines: Deadlines,
    readonly clock: Clock,
    readonly stallMs: number,
  ) {}

  /** Reads until the connection is over. Never rejects. */
  async run(): Promise<void> {
    const { connection, input, deadlines } = this;
    deadlines.add(this);
    this.flush();
    // How the last read went.
    let filled = false;
    let few = false;
    try {
      for (;;) {
        if (input.start < input.end) {
          if (this.#lingering || connection.failed) {
            // Thrown away, up to a bound.
            input.start = input.end;
            if (input.total > this.#lingerUntil) break;
          } else {
            const now = this.clock.monotonic();
            deadlines.now = now;
            input.start = connection.receive(input.buf, input.start, input.end, now);
            this.owner.received();
            if (connection.pending > 0) this.flush();
            if (this.closed) break;
            if (connection.failed) {
              // GOAWAY says why.
              this.#lingerUntil = input.total + LINGER_BYTES;
              this.closeAfterWrite();
              if (!connection.server) break;
            }
          }
          if (filled) input.enlarge();
          else if (few) input.shrink();
        }
        const from = input.start === input.end ? 0 : input.end;
        if (!input.took(await input.next()) || this.closed) break;
        filled = input.end === input.buf.length;
        few = input.end - from < SMALL_READ_BYTES;
      }
    } catch (error) {
      // The peer went away; everything else is a mistake of ours.
      if (error instanceof TypeError) this.owner.mistaken(error);
    }
    this.#ended = true;
    if (connection.failed && !this.closed && !this.#lingering && input.total <= this.#lingerUntil) {
      // The last word is still on its way.
      await new Promise<void>((resolve) => this.#over = resolve);
    } else {
      connection.abandon();
      this.close();
    }
    this.owner.ended();
  }

  /** Writes what the codec has, at the end of the turn. */
  flush(): void {
    if (this.#scheduled || this.#writing || this.closed || this.#lingering || this.broken) return;
    this.#scheduled = true;
    queueMicrotask(this.#write);
  }

  /** As {@link flush}, for whole messages: nothing will follow in this turn but what others say. */
  flushSoon(): void {
    if (this.#due || this.#writing || this.closed || this.#lingering || this.broken) return;
    this.#due = true;
    writeAtEnd(this);
  }

  writeNow(): void {
    this.#due = this.#scheduled = false;
    void this.#writeOut();
  }

  arm(deadline: number): void {
    this.ownDeadline = deadline;
    if (deadline < this.deadline) this.deadlines.arm(this, deadline);
  }

  /** Writes what there is, then closes; a server when the peer has done so, too, or a moment later. */
  closeAfterWrite(): void {
    this.#closing = true;
    if (this.broken) this.close();
    else if (this.connection.pending > 0) this.flush();
    else if (!this.#writing && !this.#scheduled) this.#linger();
  }

  #linger(): void {
    if (this.closed || this.#lingering) return;
    if (!this.connection.server || this.#ended) return this.close();
    this.#lingering = true;
    this.#lingerUntil = this.input.total + LINGER_BYTES;
    this.#writeDeadline = this.clock.monotonic() + LINGER_MS;
    this.deadlines.arm(this, Math.min(this.#writeDeadline, this.deadline));
    this.stream.closeWrite().catch(() => this.close());
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.deadlines.remove(this);
    this.connection.abandon();
    this.stream.close();
    this.#over?.();
  }

  expire(): void {
    const { now } = this.deadlines;
    if (this.#writeDeadline <= now) return this.close();
    if (this.ownDeadline <= now) {
      this.ownDeadline = Infinity;
      this.owner.expired();
    }
    this.deadlines.arm(this, Math.min(this.#writeDeadline, this.ownDeadline));
  }

  async #writeOut(): Promise<void> {
    const { connection, stream } = this;
    if (this.#writing || this.closed) return;
    this.#writing = true;
    try {
      while (connection.pending > 0) {
        const bytes = connection.take();
        this.handedOut++;
        this.#writeDeadline = this.deadlines.now + this.stallMs;
        if (this.#writeDeadline < this.deadline) this.deadlines.arm(this, this.#writeDeadline);
        const n = await stream.write(bytes);
        if (n < bytes.length) await writeAll(stream, bytes.subarray(n));
        this.#writeDeadline = Infinity;
        if (this.closed) return;
        connection.written();
      }
    } catch {
      this.#writing = false;
      if (connection.server || this.closed) return this.close();
      this.broken = true;
      this.#writeDeadline = this.deadlines.now + LAST_READ_MS;
      if (this.#closing) return this.close();
      return this.deadlines.arm(this, Math.min(this.#writeDeadline, this.deadline));
    }
    this.#writing = false;
    if (this.#closing) this.#linger();
  }
}
