/**
 * When a request of HTTP/1.1 begins: answers first. A saturated proxy that begins whatever it has read has half of all clients' requests
 * open at a time: each needs an upstream connection of its own, and by the time its answer comes the processor's cache has forgotten it.
 * One that finishes what it began before it begins more does the same work over few connections, with what belongs to them at hand.
 *
 * In: `enter` before a request begins, `leave` when it is answered, or waits for long. Requests beyond the limit wait in order, for the
 * proxy and not for the upstream: a turn of the event loop that was over at once says that the proxy has nothing else to do, and the limit
 * rises. Every finished request lowers it a little and every long turn a lot, so that it follows what the upstreams need.
 */
import type { Clock, Turns } from "../core/ports.ts";

/** Requests at a time that always begin at once: with 64, 256 connections cost an eighth more. */
const FLOOR = 40;
/** Beyond the limit these begin with every turn. */
const ALWAYS = 8;
/** A shorter turn says that there was nothing to do, ms; with 64 events at hand it takes about 1 ms. */
const CALM_MS = 0.2;
/** Between two rises, ms: an upstream that shares the processor may only be waiting for its share. */
const PAUSE_MS = 1;
/** The limit falls by this with every finished request. */
const FALL = 1 / 64;

export class Admission {
  #limit = FLOOR;
  #within = 0;
  #turning = false;
  #riseMs = 0;
  #head = 0;
  readonly #queue: (() => void)[] = [];

  constructor(readonly clock: Clock, readonly turns: Turns | null) {}

  get waiting(): number {
    return this.#queue.length - this.#head;
  }

  /** Null = now. Either way `leave` must follow once. */
  enter(): Promise<void> | null {
    if (this.#within < this.#limit || this.turns === null) {
      this.#within++;
      return null;
    }
    const turn = new Promise<void>((resolve) => this.#queue.push(resolve));
    if (!this.#turning) void this.#turn(this.turns);
    return turn;
  }

  leave(): void {
    this.#within--;
    if (this.#limit > FLOOR) this.#limit -= FALL;
    if (this.waiting > 0) this.#admit(this.#limit);
  }

  #admit(upTo: number): void {
    const queue = this.#queue;
    while (this.#head < queue.length && this.#within < upTo) {
      this.#within++;
      queue[this.#head++]!();
    }
    if (this.#head === queue.length) {
      queue.length = 0;
      this.#head = 0;
    } else if (this.#head >= 1024) {
      queue.splice(0, this.#head);
      this.#head = 0;
    }
  }

  async #turn(turns: Turns): Promise<void> {
    const { clock } = this;
    this.#turning = true;
    do {
      const before = clock.monotonic();
      await turns.next();
      const now = clock.monotonic();
      const calm = now - before < CALM_MS;
      if (calm && now >= this.#riseMs) {
        this.#limit = 2 * Math.max(this.#limit, this.#within);
        this.#riseMs = now + PAUSE_MS;
      } else if (!calm) {
        this.#limit = Math.max(FLOOR, this.#limit * 7 / 8);
      }
      this.#admit(Math.max(this.#limit, this.#within + ALWAYS));
      if (calm && this.waiting > 0) await new Promise<void>((resolve) => void clock.after(PAUSE_MS, resolve));
    } while (this.waiting > 0);
    this.#turning = false;
  }
}
