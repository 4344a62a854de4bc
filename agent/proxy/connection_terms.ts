/** How long connections to a cluster live, read once from HttpProtocolOptions: objects of the model do not change. */
import { parseDuration } from "../core/duration.ts";
import type { Cluster } from "../model/model.ts";

/** Times in ms, Infinity = no limit. */
export interface ConnectionTerms {
  /** Without an exchange; undefined = the cluster says nothing, the agent's own holds. */
  readonly idleMs: number | undefined;
  /** From its start; then it closes after the exchanges that it has. */
  readonly maxDurationMs: number;
  readonly maxRequests: number;
  /** HTTP/2: exchanges at a time. */
  readonly maxStreams: number;
  /** HTTP/2: between pings, and how long an answer to one is waited for. */
  readonly pingMs: number;
  readonly pingTimeoutMs: number;
  /** The kernel probes silent connections. */
  readonly keepAlive: boolean;
}

export const NO_TERMS: ConnectionTerms = {
  idleMs: undefined,
  maxDurationMs: Infinity,
  maxRequests: Infinity,
  maxStreams: Infinity,
  pingMs: Infinity,
  pingTimeoutMs: Infinity,
  keepAlive: false,
};

const known = new WeakMap<Cluster, ConnectionTerms>();

export function termsOf(cluster: Cluster): ConnectionTerms {
  const { httpProtocolOptions: options, tcpKeepalive } = cluster;
  if (options === undefined && tcpKeepalive === undefined) return NO_TERMS;
  let terms = known.get(cluster);
  if (terms === undefined) {
    const ping = options?.connectionKeepalive;
    terms = {
      idleMs: options?.idleTimeout === undefined ? undefined : limitMs(options.idleTimeout),
      maxDurationMs: limitMs(options?.maxConnectionDuration),
      maxRequests: options?.maxRequestsPerConnection || Infinity,
      maxStreams: options?.maxConcurrentStreams || Infinity,
      pingMs: limitMs(ping?.interval),
      pingTimeoutMs: limitMs(ping?.timeout),
      keepAlive: tcpKeepalive !== undefined,
    };
    known.set(cluster, terms);
  }
  return terms;
}

/** `"0s"` = none. */
function limitMs(duration: string | undefined): number {
  return duration === undefined ? Infinity : parseDuration(duration) || Infinity;
}
