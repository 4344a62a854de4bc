/** A Clock that moves only when told. */
import type { Clock } from "../../agent/core/ports.ts";

export class ManualClock implements Clock {
  #time: number;
  #timers: { at: number; fn: () => void }[] = [];

  constructor(startMs = 0) {
    this.#time = startMs;
  }

  now = (): number => this.#time;
  monotonic = (): number => this.#time;

  after = (ms: number, fn: () => void): () => void => {
    const timer = { at: this.#time + ms, fn };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((t) => t !== timer);
    };
  };

  /** Runs what comes due on the way, in order. */
  advance(ms: number): void {
    const end = this.#time + ms;
    for (;;) {
      const next = this.#timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((t) => t !== next);
      this.#time = next.at;
      next.fn();
    }
    this.#time = end;
  }

  get pending(): number {
    return this.#timers.length;
  }
}
