/**
 * How long to wait before the next try to reach a control plane.
 *
 * `quick` (it cannot be reached, or the stream broke): full jitter, so that agents that lost one control plane at the same
 * moment do not come back at the same moment. `lost` (a stream that had synced ended): the same within a few seconds, because
 * there is a control plane and it has something to say, but not at once each time, should it break by what we ask of it. `slow`
 * (it refuses us, or asks to be spared): minutes, half of it fixed.
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

export type Pace = "quick" | "lost" | "slow";

/** Bounds of the first wait and of every later one, ms; the bound doubles with each try. */
export const PACES: Readonly<Record<Pace, { readonly firstMs: number; readonly maxMs: number }>> = {
  quick: { firstMs: 500, maxMs: 30_000 },
  lost: { firstMs: 500, maxMs: 5_000 },
  slow: { firstMs: 30_000, maxMs: 300_000 },
};

export interface Backoff {
  /** The wait in ms before the next try. */
  next(pace: Pace): number;
  /** After a sync: the next wait is a first one again, but for that after a loss. */
  synced(): void;
  /** After a success that lasted: every next wait is a first one again. */
  reset(): void;
}

export function createBackoff(rng: Rng): Backoff {
  const failed: Record<Pace, number> = { quick: 0, lost: 0, slow: 0 };
  return {
    next(pace) {
      const { firstMs, maxMs } = PACES[pace];
      const doublings = Math.min(30, failed[pace]++);
      const boundMs = Math.min(maxMs, firstMs * 2 ** doublings);
      return pace === "slow" ? boundMs / 2 + rng() * boundMs / 2 : rng() * boundMs;
    },
    synced() {
      failed.quick = failed.slow = 0;
    },
    reset() {
      failed.quick = failed.lost = failed.slow = 0;
    },
  };
}
