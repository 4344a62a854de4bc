/**
 * What the limits of a cluster (cluster_limits.ts) do to a request: it waits its turn, or fails at once with 503, flag UO and
 * `x-envoy-overloaded`, never retried.
 */
import { MeshError } from "../core/errors.ts";
import type { ClusterLimits } from "./cluster_limits.ts";
import type { Endpoint } from "./clusters.ts";
import type { ProxyContext } from "./context.ts";
import type { Expirable } from "./deadlines.ts";
import type { Queue } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";
import type { UpstreamConnection } from "./upstream.ts";

/** `what`: a sentence about the limit. `counter`: Envoy's statistic. */
export function overflow(
  proxy: ProxyContext,
  ex: Exchange,
  counter: "cx" | "rq_pending" | "rq_retry",
  what: string,
): MeshError {
  proxy.observer.count(`upstream_${counter}_overflow_total`);
  ex.details = "upstream_reset_before_response_started{overflow}";
  return new MeshError(
    "P311",
    `upstream connect error or disconnect/reset before headers. reset reason: overflow. The cluster "${ex.cluster}" ${what}`,
    { side: "upstream" },
  );
}

export function requestOverflow(proxy: ProxyContext, ex: Exchange, limits: ClusterLimits): MeshError {
  return overflow(proxy, ex, "rq_pending", `has ${limits.maxRequests} requests under way already`);
}

/** One more waits from here on; the caller takes it off `limits.pending` again. */
export function enterPending(proxy: ProxyContext, ex: Exchange, limits: ClusterLimits): void {
  if (limits.pending >= limits.maxPending) {
    throw overflow(proxy, ex, "rq_pending", `has ${limits.maxPending} requests that wait already`);
  }
  limits.pending++;
}

/** Whether another attempt is within the cluster's limit of retries; if so, it counts until `retryOver`. */
export function mayRetryNow(proxy: ProxyContext, ex: Exchange, limits: ClusterLimits | null): boolean {
  if (limits === null) return true;
  if (limits.retriesFull) {
    proxy.observer.count("upstream_rq_retry_overflow_total");
    ex.addFlag("UO");
    return false;
  }
  limits.retries++;
  ex.retrying = limits;
  return true;
}

export function retryOver(ex: Exchange): void {
  ex.retrying!.retries--;
  ex.retrying = null;
}

/** A connection, the word to dial one (counted as dialled already), or why there is none. */
type Turn = UpstreamConnection | "dial" | MeshError;

/** HTTP/1.1 requests that wait for a connection of one endpoint, first come first served. */
export class Waiting implements Queue<UpstreamConnection> {
  readonly #turns: ((turn: Turn) => void)[] = [];

  constructor(readonly endpoint: Endpoint, readonly limits: ClusterLimits) {}

  get size(): number {
    return this.#turns.length;
  }

  /** Hands over a connection that would be idle; false when nobody waits. */
  give(connection: UpstreamConnection): boolean {
    const next = this.#turns.shift();
    next?.(connection);
    return next !== undefined;
  }

  /** There is room for another connection, perhaps. */
  freed(): void {
    while (this.#turns.length > 0 && mayDial(this.limits, this.endpoint)) {
      this.endpoint.dialing++;
      this.#turns.shift()!("dial");
    }
  }

  /** A dial failed: the others would fare no better. */
  fail(error: MeshError): void {
    for (const turn of this.#turns.splice(0)) turn(error);
  }

  /** `late` makes the error of a time that is over. */
  wait(proxy: ProxyContext, ex: Exchange, ms: number, late: () => MeshError): Promise<Turn> {
    return new Promise((resolve) => {
      const turn = (given: Turn): void => {
        proxy.deadlines.remove(patience);
        ex.onCancel = null;
        resolve(given);
      };
      const leave = (error: MeshError): void => {
        const at = this.#turns.indexOf(turn);
        if (at >= 0) this.#turns.splice(at, 1);
        turn(error);
      };
      const patience: Expirable = {
        deadline: proxy.clock.monotonic() + ms,
        slot: -1,
        expire: () => leave(late()),
      };
      this.#turns.push(turn);
      proxy.deadlines.add(patience);
      ex.onCancel = () => leave(gone());
    });
  }
}

function gone(): MeshError {
  return new MeshError("P112", "Cannot answer: the client closed the connection", { side: "downstream" });
}

function mayDial(limits: ClusterLimits, endpoint: Endpoint): boolean {
  // Those of HTTP/2 are never free for a request of HTTP/1.1, which would wait for ever.
  const own = endpoint.connections - (endpoint.shared?.size ?? 0);
  return own + endpoint.dialing === 0 || !limits.connectionsFull;
}

/**
 * A connection for an HTTP/1.1 request that found none idle: dialled, else the next that is free. `patienceMs` gives how long may be
 * waited, `late` what it means that it was in vain.
 */
export async function connectionWithin(
  proxy: ProxyContext,
  ex: Exchange,
  limits: ClusterLimits,
  endpoint: Endpoint,
  dial: () => Promise<UpstreamConnection>,
  patienceMs: () => number,
  late: () => MeshError,
): Promise<UpstreamConnection> {
  enterPending(proxy, ex, limits);
  let connection;
  try {
    connection = await next(proxy, ex, limits, endpoint, dial, patienceMs, late);
  } finally {
    limits.pending--;
  }
  if (!ex.cancelled) return connection;
  connection.release();
  throw gone();
}

async function next(
  proxy: ProxyContext,
  ex: Exchange,
  limits: ClusterLimits,
  endpoint: Endpoint,
  dial: () => Promise<UpstreamConnection>,
  patienceMs: () => number,
  late: () => MeshError,
): Promise<UpstreamConnection> {
  const waiting = (endpoint.waiting ??= new Waiting(endpoint, limits)) as Waiting;
  if (waiting.size === 0 && mayDial(limits, endpoint)) {
    endpoint.dialing++;
  } else {
    proxy.observer.count("upstream_cx_overflow_total");
    const turn = await waiting.wait(proxy, ex, patienceMs(), late);
    if (turn instanceof MeshError) throw turn;
    if (turn !== "dial") return turn;
  }
  try {
    if (ex.cancelled) throw gone();
    return await dial();
  } catch (error) {
    if (error instanceof MeshError && error.retry === "connect-failure") waiting.fail(error);
    throw error;
  } finally {
    endpoint.dialing--;
    waiting.freed();
  }
}
