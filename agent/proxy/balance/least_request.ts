/**
 * LEAST_REQUEST as Envoy: with equal weights the less busy of two random endpoints; with unequal weights a weighted round robin whose
 * weights shrink by 1/(active + 1).
 */
import type { Rng } from "../../core/ports.ts";
import { type Balancer, type Candidate, equalWeights } from "./candidate.ts";
import { Schedule } from "./schedule.ts";

export function leastRequest<T extends Candidate>(candidates: readonly T[], rng: Rng): Balancer<T> {
  const n = candidates.length;
  if (n === 0) return { pick: () => null };
  if (n === 1) return { pick: () => candidates[0]! };
  if (equalWeights(candidates)) {
    return {
      pick() {
        const a = candidates[Math.floor(rng() * n)]!;
        const b = candidates[Math.floor(rng() * n)]!;
        return b.active < a.active ? b : a;
      },
    };
  }
  const schedule = new Schedule(candidates, (c) => c.weight / (c.active + 1));
  return { pick: () => schedule.next() };
}
