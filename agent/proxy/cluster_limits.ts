/**
 * Circuit breakers of a cluster, as Envoy's (CircuitBreakers.Thresholds of DEFAULT priority): connections, requests that wait for one,
 * requests on one, retries. A cluster without limits has no {@link ClusterLimits}, so nothing is counted for it.
 *
 * - A request takes an idle connection, else it waits (`maxPendingRequests`) while one is dialled or, at `maxConnections`, until one of
 *   its endpoint is free. An endpoint without any connection of the protocol may always dial one, or its requests would wait for ever.
 * - A request that would be one too many fails at once: 503, flag UO, `x-envoy-overloaded`, never retried.
 */
import type { Cluster } from "../model/model.ts";

/** What is counted of an endpoint. */
interface Counted {
  readonly active: number;
  readonly connections: number;
  readonly dialing: number;
  readonly waiting: { freed(): void } | null;
  readonly shared: { changed(): void } | null;
}

/** Istio's "no limit". */
const UNLIMITED = 4_294_967_295;
/** Envoy's, for what given thresholds leave out. */
const DEFAULT_MAX = 1024;
const DEFAULT_RETRIES = 3;
const MIN_RETRIES_OF_BUDGET = 3;

type Breakers = NonNullable<Cluster["circuitBreakers"]>;

export function isLimited(breakers: Breakers | undefined): breakers is Breakers {
  if (breakers === undefined) return false;
  const { maxConnections, maxPendingRequests, maxRequests, maxRetries, retryBudget } = breakers;
  return retryBudget !== undefined ||
    !(maxConnections === UNLIMITED && maxPendingRequests === UNLIMITED && maxRequests === UNLIMITED &&
      maxRetries === UNLIMITED);
}

const limit = (value: number | undefined, otherwise: number): number =>
  value === undefined ? otherwise : value === UNLIMITED ? Infinity : value;

export class ClusterLimits {
  maxConnections = Infinity;
  maxPending = Infinity;
  maxRequests = Infinity;
  maxRetries = Infinity;
  /** Requests that wait for a connection, or for a stream of one. */
  pending = 0;
  /** Those among an endpoint's `active` that have no stream yet. */
  starting = 0;
  retries = 0;
  #budget: Breakers["retryBudget"];

  constructor(readonly endpoints: ReadonlyMap<string, Counted>) {}

  /** Takes over what a new world says; undefined = no limits any more. */
  update(breakers: Breakers | undefined): void {
    const given = breakers ?? {};
    const max = breakers === undefined ? Infinity : DEFAULT_MAX;
    this.maxConnections = limit(given.maxConnections, max);
    this.maxPending = limit(given.maxPendingRequests, max);
    this.maxRequests = limit(given.maxRequests, max);
    this.maxRetries = limit(given.maxRetries, breakers === undefined ? Infinity : DEFAULT_RETRIES);
    this.#budget = given.retryBudget;
    for (const { waiting, shared } of this.endpoints.values()) {
      waiting?.freed();
      shared?.changed();
    }
  }

  /** Open ones and those that are dialled. */
  get connections(): number {
    let n = 0;
    for (const endpoint of this.endpoints.values()) n += endpoint.connections + endpoint.dialing;
    return n;
  }

  /** On a connection. */
  get requests(): number {
    let n = 0 - this.starting;
    for (const endpoint of this.endpoints.values()) n += endpoint.active;
    return n;
  }

  get requestsFull(): boolean {
    return this.maxRequests < Infinity && this.requests >= this.maxRequests;
  }

  get connectionsFull(): boolean {
    return this.maxConnections < Infinity && this.connections >= this.maxConnections;
  }

  get retriesFull(): boolean {
    const budget = this.#budget;
    if (budget === undefined) return this.retries >= this.maxRetries;
    const share = Math.floor(budget.budgetPercent / 100 * (this.requests + this.pending));
    return this.retries >= Math.max(budget.minRetryConcurrency || MIN_RETRIES_OF_BUDGET, share);
  }
}
