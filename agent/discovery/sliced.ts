/**
 * Work in slices: long work looks at the clock between its pieces and lets waiting I/O run when its slice is used up, so
 * that a push of ten thousand clusters never holds up traffic.
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
      await yieldTurn();
      sinceMs = clock.monotonic();
    },
    begin() {
      sinceMs = clock.monotonic();
    },
  };
}
