/**
 * Gives back, after busy times, what requests left behind. V8 keeps room for the young of a busy day (32 MB and more), and nobody else
 * tells it that the day is over: with thousands of idle connections that is a third of what they cost.
 *
 * In: how many requests there were, seen every five seconds. Out: one call of `release` when there was none for half a minute and none is under
 * way; the next one only after as many requests as leave garbage worth the pause.
 */
import type { Clock } from "../core/ports.ts";

const CHECK_MS = 5000;
/**
 * Checks in a row that saw nothing new: a pause, not a gap. What comes after a collection pays for it by a third more CPU until the young
 * generation and the machine code are there again.
 */
const QUIET_CHECKS = 6;
/** About 10 MB of garbage. */
const MIN_REQUESTS = 1000;
/** A whole collection stops everything for about a millisecond per MB that lives on. */
const MAX_LIVE_BYTES = 128e6;

export interface Quietness {
  readonly clock: Clock;
  readonly totals: () => { readonly requests: number; readonly inFlight: number };
  /** Bytes of the heap that are in use, garbage among them. */
  readonly used: () => number;
  readonly release: () => void;
}

/** Begins to watch; gives the way to end it. */
export function releaseWhenQuiet({ clock, totals, used, release }: Quietness): () => void {
  let seen = 0;
  let released = 0;
  let quiet = 0;
  const check = (): void => {
    cancel = clock.after(CHECK_MS, check);
    const { requests, inFlight } = totals();
    quiet = inFlight === 0 && requests === seen ? quiet + 1 : 0;
    seen = requests;
    if (quiet !== QUIET_CHECKS || requests - released < MIN_REQUESTS) return;
    released = requests;
    if (used() <= MAX_LIVE_BYTES) release();
  };
  let cancel = clock.after(CHECK_MS, check);
  return () => cancel();
}
