/**
 * Every timeout of the data path in one list: a connection is one item whose `deadline` is simply assigned, which costs nothing per
 * request. One timer of the Clock sleeps until the earliest deadline (at most {@link TICK_MS}, so that `now` stays roughly right).
 */
import type { Clock } from "../core/ports.ts";

export interface Expirable {
  /** Monotonic ms; Infinity = none. Set through {@link Deadlines.arm} when it may be nearer than a tick. */
  deadline: number;
  /** Place in the list; -1 when not in it. Owned by Deadlines. */
  slot: number;
  /** The deadline has passed. It is Infinity when this is called. */
  expire(): void;
}

/** How stale `now` may be, ms. */
export const TICK_MS = 100;

export class Deadlines {
  /** Monotonic ms, at most about a tick old. For deadlines of seconds; short ones read the clock. */
  now: number;
  /** Add to monotonic ms for wall time; as fresh as `now`. */
  wallOffset: number;
  readonly #items: Expirable[] = [];
  #nextSweep = Infinity;
  #cancel: (() => void) | null = null;
  readonly #clock: Clock;
  readonly #sweepBound = () => this.#sweep();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.now = clock.monotonic();
    this.wallOffset = clock.now() - this.now;
  }

  get size(): number {
    return this.#items.length;
  }

  add(item: Expirable): void {
    if (item.slot >= 0) return;
    item.slot = this.#items.length;
    this.#items.push(item);
    if (this.#cancel === null) {
      this.now = this.#clock.monotonic();
      this.#schedule(this.now + TICK_MS);
    }
    if (item.deadline < this.#nextSweep) this.#schedule(item.deadline);
  }

  remove(item: Expirable): void {
    const slot = item.slot;
    if (slot < 0) return;
    item.slot = -1;
    const last = this.#items.pop()!;
    if (last !== item) {
      this.#items[slot] = last;
      last.slot = slot;
    }
    if (this.#items.length === 0) this.close();
  }

  /** Sets a deadline that may be near. */
  arm(item: Expirable, deadline: number): void {
    item.deadline = deadline;
    if (deadline < this.#nextSweep && item.slot >= 0) this.#schedule(deadline);
  }

  /** Stops the timer; a later `add` starts it again. */
  close(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#nextSweep = Infinity;
  }

  #schedule(at: number): void {
    this.#cancel?.();
    this.#nextSweep = at;
    // Timers may fire a hair early; one millisecond more keeps a deadline from being missed and swept twice.
    this.#cancel = this.#clock.after(Math.max(1, Math.ceil(at - this.#clock.monotonic())), this.#sweepBound);
  }

  #sweep(): void {
    this.#cancel = null;
    this.#nextSweep = Infinity;
    const now = this.now = this.#clock.monotonic();
    this.wallOffset = this.#clock.now() - now;
    let next = now + TICK_MS;
    const items = this.#items;
    // Downwards, because expire() may remove the item, which moves the last one (already seen) into its place.
    for (let i = items.length - 1; i >= 0; i--) {
      const item = items[i];
      if (item === undefined) continue;
      if (item.deadline <= now) {
        item.deadline = Infinity;
        item.expire();
      }
      if (item.deadline < next) next = item.deadline;
    }
    // An expire() may have armed a later one already.
    if (items.length > 0 && next < this.#nextSweep) this.#schedule(next);
  }
}
