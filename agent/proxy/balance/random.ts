/** RANDOM: weights honoured. */
import type { Rng } from "../../core/ports.ts";
import { type Balancer, type Candidate, equalWeights } from "./candidate.ts";

export function random<T extends Candidate>(candidates: readonly T[], rng: Rng): Balancer<T> {
  const n = candidates.length;
  if (n === 0) return { pick: () => null };
  if (equalWeights(candidates)) return { pick: () => candidates[Math.floor(rng() * n)]! };
  const sums = new Float64Array(n);
  let total = 0;
  for (let i = 0; i < n; i++) sums[i] = total += candidates[i]!.weight;
  return {
    pick() {
      const at = rng() * total;
      let low = 0;
      let high = n - 1;
      while (low < high) {
        const mid = (low + high) >> 1;
        if (sums[mid]! > at) high = mid;
        else low = mid + 1;
      }
      return candidates[low]!;
    },
  };
}
