/** ROUND_ROBIN: in turn, from a random start (so that many agents do not all begin at the same endpoint); weights honoured. */
import type { Rng } from "../../core/ports.ts";
import { type Balancer, type Candidate, equalWeights } from "./candidate.ts";
import { Schedule } from "./schedule.ts";

export function roundRobin<T extends Candidate>(candidates: readonly T[], rng: Rng): Balancer<T> {
  const n = candidates.length;
  if (n === 0) return { pick: () => null };
  let cursor = Math.floor(rng() * n);
  if (equalWeights(candidates)) {
    return {
      pick() {
        if (cursor >= n) cursor = 0;
        return candidates[cursor++]!;
      },
    };
  }
  const schedule = new Schedule(candidates, (c) => c.weight);
  for (; cursor > 0; cursor--) schedule.next();
  return { pick: () => schedule.next() };
}
