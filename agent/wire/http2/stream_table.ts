/** The streams of a connection, open and over (RFC 9113 sections 5.1 and 5.1.1): which numbers may come, and what a late one means. */
import * as problem from "./problems.ts";
import type { Http2Stream } from "./stream.ts";

export const LAST_STREAM_ID = 0x7fffffff;
/** Neither taken nor told: frames that may rightly come late. */
export const IGNORE = 1;

/** Numbers that fit into the array itself, without a buffer of its own. */
const CLOSED_RING = 16;
/** Streams reset by us whose late frames are still told from nonsense. */
const MAX_REMEMBERED_RESETS = 1000;

const FIRST_SLOTS = 8;
const NO_SLOTS: (Http2Stream | null)[] = [];

/**
 * Streams that are not over, by number. A Map would keep the garbage collector busy: it makes itself anew after so many insertions, its
 * older selves point to the newer ones, and whatever these held (whole exchanges) outlives every collection of the young generation.
 */
export class OpenStreams {
  size = 0;
  #slots: (Http2Stream | null)[] = NO_SLOTS;

  get(id: number): Http2Stream | undefined {
    let stream = this.#slots[this.#slotOf(id)] ?? null;
    while (stream !== null && stream.id !== id) stream = stream.next;
    return stream ?? undefined;
  }

  add(stream: Http2Stream): void {
    if (++this.size > this.#slots.length) this.#grow();
    this.#put(stream);
  }

  delete(stream: Http2Stream): void {
    const slot = this.#slotOf(stream.id);
    let before: Http2Stream | null = null;
    let at = this.#slots[slot] ?? null;
    while (at !== null && at !== stream) [before, at] = [at, at.next];
    if (at === null) return;
    if (before === null) this.#slots[slot] = stream.next;
    else before.next = stream.next;
    stream.next = null;
    this.size--;
  }

  clear(): void {
    this.#slots = NO_SLOTS;
    this.size = 0;
  }

  /** In the order of their numbers. */
  values(): Http2Stream[] {
    const all: Http2Stream[] = [];
    for (let stream of this.#slots) for (; stream !== null; stream = stream.next) all.push(stream);
    return all.sort((a, b) => a.id - b.id);
  }

  /** Numbers go up in steps of two. */
  #slotOf(id: number): number {
    return id >> 1 & this.#slots.length - 1;
  }

  #put(stream: Http2Stream): void {
    const slot = this.#slotOf(stream.id);
    stream.next = this.#slots[slot] ?? null;
    this.#slots[slot] = stream;
  }

  #grow(): void {
    const all = this.values();
    this.#slots = new Array<Http2Stream | null>(Math.max(FIRST_SLOTS, 2 * this.#slots.length)).fill(null);
    for (const stream of all) this.#put(stream);
  }
}

export class StreamTable {
  readonly open = new OpenStreams();
  /** Number of our next stream. */
  nextId = 1;
  /** Highest stream of the peer's that was taken. */
  lastPeerId = 0;
  /** Streams above are ignored: our final GOAWAY was sent. */
  lastTaken = LAST_STREAM_ID;
  #closedRing: Int32Array | null = null;
  #closedCount = 0;
  #resets: Set<number> | null = null;

  constructor(readonly server: boolean, readonly maxConcurrentStreams: number) {}

  remove(stream: Http2Stream): void {
    stream.closed = true;
    this.open.delete(stream);
    const ring = this.#closedRing ??= new Int32Array(CLOSED_RING);
    ring[this.#closedCount++ & (CLOSED_RING - 1)] = stream.id;
  }

  /** Without open streams: forgets which were over last. Their late frames are as wrong as those of older ones. */
  fold(): void {
    if (this.open.size > 0) return;
    this.open.clear();
    this.#closedRing = null;
  }

  rememberReset(id: number): void {
    const resets = this.#resets ??= new Set();
    resets.add(id);
    if (resets.size <= MAX_REMEMBERED_RESETS) return;
    for (const oldest of resets) {
      resets.delete(oldest);
      return;
    }
  }

  wasReset(id: number): boolean {
    return this.#resets !== null && this.#resets.has(id);
  }

  /** Never opened by anybody. */
  isIdle(id: number): boolean {
    if (this.#isPeers(id)) return id > this.lastPeerId;
    return id >= this.nextId || this.server;
  }

  /** Idle, and not one of those that we ignore after our goodbye. */
  isNonsense(id: number): boolean {
    return this.isIdle(id) && id <= this.lastTaken;
  }

  /** May a header block open this stream? 0 (then the number is taken), a problem, or IGNORE. */
  admit(id: number): number {
    if (!this.server) {
      // The server's streams are pushes, which we have refused; ours may be over for longer than we remember.
      return this.#isPeers(id) || id >= this.nextId ? problem.IDLE_STREAM : IGNORE;
    }
    if (!this.#isPeers(id)) return problem.BAD_STREAM_ID;
    if (id <= this.lastPeerId) {
      if (this.wasReset(id)) return IGNORE;
      const known = this.#closedRing !== null && this.#closedRing.includes(id);
      return known ? problem.FRAME_AFTER_CLOSE : problem.BAD_STREAM_ID;
    }
    if (id > this.lastTaken) return IGNORE;
    this.lastPeerId = id;
    return this.open.size >= this.maxConcurrentStreams ? problem.TOO_MANY_STREAMS : 0;
  }

  /** Odd numbers are the client's. */
  #isPeers(id: number): boolean {
    return (id & 1) === 1 === this.server;
  }
}
