/**
 * Faults of xDS v1. They stand in the listener, one filter for each faulty cluster: it acts when its header conditions hold
 * and the chosen route leads to its cluster. The model has faults on routes; so a filter goes to every route that leads to its
 * cluster: as it is where the route already asks for all its headers, else by a copy of the route that asks for them, put
 * before it. A route with weights takes a fault when each of its clusters has that fault (Pilot sends one filter for each); a
 * fault on a part of its clusters is left to the route that it was written for.
 */
import { isSame } from "../../istio/share.ts";
import type { HeaderMatcher, HTTPFault, Route } from "../../model/model.ts";

export interface ListenerFault {
  /** Absent: every cluster. */
  readonly upstreamCluster?: string;
  readonly headers: readonly HeaderMatcher[];
  readonly fault: HTTPFault;
}

/** The routes with their faults; the list itself when there are none. */
export function attachFaults(routes: readonly Route[], faults: readonly ListenerFault[]): readonly Route[] {
  if (faults.length === 0) return routes;
  return routes.flatMap((route) => withFaults(route, faults));
}

function withFaults(route: Route, faults: readonly ListenerFault[]): readonly Route[] {
  const clusters = clustersOf(route);
  if (clusters.length === 0) return [route];
  const copies: Route[] = [];
  for (const fault of faults) {
    const everywhere = clusters.every((cluster) =>
      faults.some((f) =>
        leadsTo(f, cluster) && isSame(f.fault, fault.fault) && isSame(f.headers, fault.headers)
      )
    );
    if (!everywhere) continue;
    const own = route.match.headers ?? [];
    const missing = fault.headers.filter((header) => !own.some((h) => isSame(h, header)));
    const faulty: Route = {
      ...route,
      ...(missing.length === 0 ? {} : { match: { ...route.match, headers: [...own, ...missing] } }),
      typedPerFilterConfig: { ...route.typedPerFilterConfig, "envoy.filters.http.fault": fault.fault },
    };
    // Equal filters of other clusters would make the same copy.
    if (copies.some((copy) => isSame(copy, faulty))) continue;
    // Behind this one nothing is left of the route.
    if (missing.length === 0) return [...copies, faulty];
    copies.push(faulty);
  }
  return copies.length === 0 ? [route] : [...copies, route];
}

function leadsTo(fault: ListenerFault, cluster: string): boolean {
  return fault.upstreamCluster === undefined || fault.upstreamCluster === cluster;
}

function clustersOf({ route }: Route): readonly string[] {
  if (route === undefined) return [];
  return route.cluster === undefined
    ? (route.weightedClusters?.clusters ?? []).map((c) => c.name)
    : [route.cluster];
}
