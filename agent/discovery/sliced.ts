/**
 * Work in slices: long work looks at the clock between its pieces and lets waiting I/O run when its slice is used up, so
 * that a push of ten thousand clusters never holds up traffic.
 *
 * A rest is one turn of the event loop when nobody else has work. When somebody has, it goes on while there is more, so that a
 * request gets through as a whole (its upstream answers within a few turns), but not for longer than {@link REST_MS}.
 *
 * @example
 * ```ts ignore
 * const slices = createSlices(clock, yieldTurn);
 * for (const piece of work) {
 *   if (slices.spent()) await slices.rest();
 *   piece();
 * }
 * ```
 */
import type { Clock } from "../core/ports.ts";

/** One slice, ms. */
export const SLICE_MS = 4;
/** The longest rest, ms: traffic has a third of the time. */
export const REST_MS = 2;
/** A turn in which others worked takes this long, ms; one without takes a third of it. */
const BUSY_TURN_MS = 0.05;
/** What is quiet for this long is not waited for any more, ms. */
const QUIET_MS = 0.3;

export interface Slices {
  /** True when the slice is used up: `rest` before going on. */
  spent(): boolean;
  /** Lets waiting I/O run; a new slice begins. */
  rest(): Promise<void>;
  /** A new slice begins here: the work before it was not ours. */
  begin(): void;
}

export function createSlices(clock: Pick<Clock, "monotonic">, yieldTurn: () => Promise<void>): Slices {
  let sinceMs = clock.monotonic();
  return {
    spent: () => clock.monotonic() - sinceMs >= SLICE_MS,
    async rest() {
      const beganMs = clock.monotonic();
      let busyMs = -Infinity;
      let nowMs = beganMs;
      do {
        const turnMs = nowMs;
        await yieldTurn();
        nowMs = clock.monotonic();
        if (nowMs - turnMs >= BUSY_TURN_MS) busyMs = nowMs;
      } while (nowMs - busyMs < QUIET_MS && nowMs - beganMs < REST_MS);
      sinceMs = nowMs;
    },
    begin() {
      sinceMs = clock.monotonic();
    },
  };
}
