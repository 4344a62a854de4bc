/**
 * Every timeout of the data path in one hierarchical timer wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels"): connect,
 * head, body stall, idle, per try, route, grpc-timeout, tunnels, HTTP/2 keepalive, backoff.
 *
 * In: items (a connection is one) whose `deadline` moves with every message. Out: `expire()`, never early and at most
 * {@link RESOLUTION_MS} late, plus what the Clock's own timer is late. Three levels of 256 buckets, links in typed arrays: arming, moving
 * and cancelling take constant time, touch one neighbour at most and allocate nothing.
 *
 * It is lazy where traffic is busy: putting a deadline off, or cancelling it, only writes the number, and the bucket in which the item
 * stands finds out. So a request that arms five timeouts pays for five comparisons.
 *
 * @example
 * ```ts ignore
 * deadlines.add(connection);
 * deadlines.arm(connection, deadlines.now + 15_000);
 * connection.deadline = Infinity; // cancelled
 * deadlines.remove(connection);
 * ```
 */
import type { Clock } from "../core/ports.ts";

export interface Expirable {
  /** Monotonic ms; Infinity = none, which may be assigned. Everything else goes through {@link Deadlines.arm}. */
  deadline: number;
  /** Place in the wheel; -1 when not in it. Owned by Deadlines. */
  slot: number;
  /** The deadline has passed. It is Infinity when this is called. */
  expire(): void;
}

/** Deadlines are rounded up to the next multiple of this, ms. */
export const RESOLUTION_MS = 10;
/** How stale `now` may be, ms. */
export const TICK_MS = 100;
const TICKS_ASLEEP = TICK_MS / RESOLUTION_MS;

const BUCKETS = 256;
const LEVELS = 3;
/** Heads of the circular lists come first among the nodes: the buckets, then what is due now. */
const DUE = LEVELS * BUCKETS;
const FIRST_ITEM = DUE + 1;

export class Deadlines {
  /** Monotonic ms, at most about {@link TICK_MS} old. For deadlines of seconds; short ones read the clock. */
  now: number;
  /** Add to monotonic ms for wall time; as fresh as `now`. */
  wallOffset: number;
  readonly #clock: Clock;
  /** Monotonic ms of tick 0. */
  readonly #base: number;
  /** The last tick whose bucket was looked at. */
  #tick = 0;
  #size = 0;
  #next = new Int32Array(FIRST_ITEM + 64);
  #previous = new Int32Array(FIRST_ITEM + 64);
  /** The tick in whose bucket a node stands; Infinity when it stands in none. */
  #filed = new Float64Array(FIRST_ITEM + 64);
  readonly #items: (Expirable | undefined)[] = [];
  /** Chain of nodes without an item, through `#next`; 0 = none. */
  #free = 0;
  #wakeTick = Infinity;
  #cancel: (() => void) | null = null;
  readonly #wakeBound = () => this.#wake();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.now = this.#base = clock.monotonic();
    this.wallOffset = clock.now() - this.now;
    for (let head = 0; head < FIRST_ITEM; head++) this.#next[head] = this.#previous[head] = head;
    this.#link(FIRST_ITEM, this.#next.length);
  }

  get size(): number {
    return this.#size;
  }

  /** Takes the item in, with the deadline that it has. */
  add(item: Expirable): void {
    if (item.slot >= 0) return;
    if (this.#free === 0) this.#grow();
    const node = item.slot = this.#free;
    this.#free = this.#next[node]!;
    this.#items[node - FIRST_ITEM] = item;
    this.#filed[node] = Infinity;
    if (this.#size++ === 0) {
      // Nobody was in the wheel while it stood still.
      this.now = this.#clock.monotonic();
      this.#tick = Math.max(this.#tick, Math.floor((this.now - this.#base) / RESOLUTION_MS));
      this.#schedule(this.#tick + TICKS_ASLEEP);
    }
    this.arm(item, item.deadline);
  }

  remove(item: Expirable): void {
    const node = item.slot;
    if (node < 0) return;
    item.slot = -1;
    this.#unlink(node);
    this.#items[node - FIRST_ITEM] = undefined;
    this.#next[node] = this.#free;
    this.#free = node;
    if (--this.#size === 0) this.close();
  }

  /** Sets a deadline, monotonic ms; of an item that is not in the wheel it counts from `add` on. */
  arm(item: Expirable, deadline: number): void {
    item.deadline = deadline;
    const node = item.slot;
    if (node < 0) return;
    const tick = Math.ceil((deadline - this.#base) / RESOLUTION_MS);
    // Later than the bucket where it stands: that one passes it on.
    if (tick < this.#filed[node]!) this.#file(node, tick);
  }

  /** Stops the timer; a later `add` to an empty wheel starts it again. */
  close(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#wakeTick = Infinity;
  }

  // ---------------------------------------------------------------- buckets

  #file(node: number, wanted: number): void {
    this.#unlink(node);
    const now = this.#tick;
    let tick = wanted <= now ? now + 1 : wanted;
    const ahead = tick - now;
    let head: number;
    if (ahead < BUCKETS) head = tick % BUCKETS;
    else if (ahead < BUCKETS ** 2) head = BUCKETS + Math.floor(tick / BUCKETS) % BUCKETS;
    else {
      // What is further than the wheel reaches (46 hours) goes round once more.
      if (ahead >= BUCKETS ** 3) tick = now + BUCKETS ** 3 - 1;
      head = 2 * BUCKETS + Math.floor(tick / BUCKETS ** 2) % BUCKETS;
    }
    this.#filed[node] = tick;
    this.#append(head, node);
    if (tick < this.#wakeTick && this.#cancel !== null) this.#schedule(tick);
  }

  #append(head: number, node: number): void {
    const last = this.#previous[head]!;
    this.#next[last] = node;
    this.#previous[node] = last;
    this.#next[node] = head;
    this.#previous[head] = node;
  }

  #unlink(node: number): void {
    if (this.#filed[node] === Infinity) return;
    this.#filed[node] = Infinity;
    const next = this.#next[node]!;
    const previous = this.#previous[node]!;
    this.#next[previous] = next;
    this.#previous[next] = previous;
  }

  /** Chains nodes `[from, to)` as free ones. */
  #link(from: number, to: number): void {
    for (let node = from; node < to; node++) this.#next[node] = node + 1 < to ? node + 1 : this.#free;
    this.#free = from;
  }

  #grow(): void {
    const before = this.#next.length;
    const grow = <T extends Int32Array | Float64Array>(from: T, to: T): T => (to.set(from), to);
    this.#next = grow(this.#next, new Int32Array(2 * before));
    this.#previous = grow(this.#previous, new Int32Array(2 * before));
    this.#filed = grow(this.#filed, new Float64Array(2 * before));
    this.#link(before, 2 * before);
  }

  // ---------------------------------------------------------------- time

  #schedule(tick: number): void {
    this.#cancel?.();
    this.#wakeTick = tick;
    const ms = this.#base + tick * RESOLUTION_MS - this.#clock.monotonic();
    // Timers may fire a hair early: then the next one is a millisecond away.
    this.#cancel = this.#clock.after(Math.max(1, Math.ceil(ms)), this.#wakeBound);
  }

  #wake(): void {
    this.#cancel = null;
    this.#wakeTick = Infinity;
    const now = this.now = this.#clock.monotonic();
    this.wallOffset = this.#clock.now() - now;
    const last = Math.floor((now - this.#base) / RESOLUTION_MS);
    while (this.#tick < last) {
      const tick = ++this.#tick;
      if (tick % BUCKETS === 0) {
        if (tick % BUCKETS ** 2 === 0) this.#refile(2 * BUCKETS + tick / BUCKETS ** 2 % BUCKETS);
        this.#refile(BUCKETS + tick / BUCKETS % BUCKETS);
      }
      this.#expire(tick % BUCKETS, now);
    }
    if (this.#size > 0) this.#schedule(this.#nextWake());
  }

  /** A bucket of an upper level has come: its items go to where they belong below. */
  #refile(head: number): void {
    for (let node = this.#take(head); node !== DUE; node = this.#next[DUE]!) {
      const { deadline } = this.#items[node - FIRST_ITEM]!;
      this.#unlink(node);
      if (deadline === Infinity) continue;
      const tick = Math.ceil((deadline - this.#base) / RESOLUTION_MS);
      if (tick > this.#tick) {
        this.#file(node, tick);
        continue;
      }
      this.#filed[node] = this.#tick;
      this.#append(this.#tick % BUCKETS, node);
    }
  }

  #expire(head: number, now: number): void {
    // Item by item from a list that stays whole, because expire() may remove and arm others.
    for (let node = this.#take(head); node !== DUE; node = this.#next[DUE]!) {
      const item = this.#items[node - FIRST_ITEM]!;
      this.#unlink(node);
      if (item.deadline <= now) {
        item.deadline = Infinity;
        item.expire();
      } else if (item.deadline !== Infinity) {
        this.#file(node, Math.ceil((item.deadline - this.#base) / RESOLUTION_MS));
      }
    }
  }

  /** Moves a bucket's list over to DUE; gives its first node. */
  #take(head: number): number {
    const first = this.#next[head]!;
    if (first === head) return DUE;
    const last = this.#previous[head]!;
    this.#next[DUE] = first;
    this.#previous[first] = DUE;
    this.#previous[DUE] = last;
    this.#next[last] = DUE;
    this.#next[head] = this.#previous[head] = head;
    return first;
  }

  /** The next bucket with something in it, or the next that may bring something down from above; at most TICK_MS away. */
  #nextWake(): number {
    let tick = this.#tick + 1;
    const latest = this.#tick + TICKS_ASLEEP;
    while (tick < latest && tick % BUCKETS !== 0 && this.#next[tick % BUCKETS] === tick % BUCKETS) tick++;
    return tick;
  }
}
