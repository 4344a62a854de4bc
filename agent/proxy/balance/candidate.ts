/** What a balancing policy sees of an endpoint, and what it gives back. */
export interface Candidate {
  /** At least 1. */
  readonly weight: number;
  /** Requests under way. */
  readonly active: number;
}

export interface Balancer<T extends Candidate> {
  /** Null only when there are no candidates. */
  pick(): T | null;
}

export function equalWeights(candidates: readonly Candidate[]): boolean {
  return candidates.every((c) => c.weight === candidates[0]!.weight);
}
