/**
 * How long to wait before the next try to reach a control plane.
 *
 * `quick` (it cannot be reached, or the stream broke): full jitter, so that agents that lost one control plane at the same
 * moment do not come back at the same moment. `slow` (it refuses us, or asks to be spared): minutes, half of it fixed.
 *
 * @example
 * ```ts
 * import { createBackoff } from "./backoff.ts";
 * const backoff = createBackoff(Math.random);
 * backoff.next("quick"); // 0 to 500 ms
 * backoff.next("quick"); // 0 to 1000 ms
 * backoff.reset();
 * ```
 */
import type { Rng } from "../core/ports.ts";

export type Pace = "quick" | "slow";

/** Bounds of the first wait and of every later one, ms; the bound doubles with each try. */
export const PACES: Readonly<Record<Pace, { readonly firstMs: number; readonly maxMs: number }>> = {
  quick: { firstMs: 500, maxMs: 30_000 },
  slow: { firstMs: 30_000, maxMs: 300_000 },
};

export interface Backoff {
  /** The wait in ms before the next try. */
  next(pace: Pace): number;
  /** After a success: the next wait is a first one again. */
  reset(): void;
}

export function createBackoff(rng: Rng): Backoff {
  const failed: Record<Pace, number> = { quick: 0, slow: 0 };
  return {
    next(pace) {
      const { firstMs, maxMs } = PACES[pace];
      const doublings = Math.min(30, failed[pace]++);
      const boundMs = Math.min(maxMs, firstMs * 2 ** doublings);
      return pace === "quick" ? rng() * boundMs : boundMs / 2 + rng() * boundMs / 2;
    },
    reset() {
      failed.quick = failed.slow = 0;
    },
  };
}
