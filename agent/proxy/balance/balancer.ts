/**
 * Load balancing: given the endpoints of a cluster, which one takes the next request. One interface, one file per policy, one
 * conformance test (balance_test.ts) over all of them.
 *
 * In: candidates with their weight and their count of active requests. Out: one of them, or null when there is none.
 *
 * @example
 * ```ts
 * import { createBalancer } from "./balancer.ts";
 * const b = createBalancer("ROUND_ROBIN", [{ weight: 1, active: 0 }, { weight: 3, active: 0 }], () => 0.5);
 * b.pick(); // the second one three times out of four
 * ```
 */
import type { Rng } from "../../core/ports.ts";
import type { LbPolicy } from "../../model/model.ts";
import type { Balancer, Candidate } from "./candidate.ts";
import { leastRequest } from "./least_request.ts";
import { random } from "./random.ts";
import { roundRobin } from "./round_robin.ts";

export type { Balancer, Candidate } from "./candidate.ts";

/** Policies without an own implementation yet (hash rings) pick at random, as Envoy does when a request has no hash. */
export function createBalancer<T extends Candidate>(
  policy: LbPolicy,
  candidates: readonly T[],
  rng: Rng,
): Balancer<T> {
  switch (policy) {
    case "ROUND_ROBIN":
      return roundRobin(candidates, rng);
    case "LEAST_REQUEST":
      return leastRequest(candidates, rng);
    default:
      return random(candidates, rng);
  }
}
