/** Limits of clusters and how far they are used, for /stats/prometheus; clusters without limits have no series. */
import type { Gauge } from "../observe/observer.ts";
import type { ClusterLimits } from "../proxy/cluster_limits.ts";

/** Series beyond this many clusters are left out. */
const MAX_CLUSTERS = 1000;

export function limitGauges(clusters: ReadonlyMap<string, ClusterLimits>): Gauge[] {
  if (clusters.size === 0) return [];
  const used = new Map<string, number>();
  const allowed = new Map<string, number>();
  let n = 0;
  for (const [name, limits] of clusters) {
    if (++n > MAX_CLUSTERS) break;
    const label = name.replace(/["\\\n]/g, "_");
    const add = (of: string, now: number, max: number): void => {
      if (max === Infinity) return;
      used.set(`cluster="${label}",of="${of}"`, now);
      allowed.set(`cluster="${label}",of="${of}"`, max);
    };
    add("connections", limits.connections, limits.maxConnections);
    add("pending_requests", limits.pending, limits.maxPending);
    add("requests", limits.requests, limits.maxRequests);
    add("retries", limits.retries, limits.maxRetries);
  }
  return [
    { name: "cluster_limit", help: "What connectionPool of a cluster allows at a time.", value: allowed },
    { name: "cluster_limit_used", help: "How much of it is in use.", value: used },
  ];
}
