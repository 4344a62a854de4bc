/**
 * `discovery.hosts`: which hosts of a control plane are kept. A short name means a service of this namespace (or a host of
 * that very name, as files may have it), `name.namespace` one of another, `*.suffix` everything below, anything else a full name.
 */
import {
  type Cluster,
  type FilterChain,
  type Listener,
  parseClusterName,
  type RouteConfiguration,
  type VirtualHost,
} from "../model/model.ts";
import { hostCovers, isWildcard } from "../istio/host_pattern.ts";
import { clustersOfChain } from "./references.ts";

export interface HostChoice {
  /** Clusters that belong to no service (BlackHoleCluster, …) and inbound ones are always kept. */
  keepsCluster(cluster: Cluster): boolean;
  /**
   * The table with the kept virtual hosts. Catch-all ones (`*`) stay: they say what happens to the hosts that are left out,
   * which is what happens to hosts that the mesh does not know. The same object when nothing is left out.
   */
  choose(table: RouteConfiguration): RouteConfiguration;
  /** The listener with the kept chains; undefined when it has none left. */
  chooseChains(listener: Listener): Listener | undefined;
  /** Whether a table is of interest: `host:port` ones have one host. */
  keepsTable(name: string): boolean;
}

/** Whether a host is kept by these patterns (at least one). */
export function keptHosts(patterns: readonly string[], namespace: string): (host: string) => boolean {
  const wildcards = patterns.filter(isWildcard);
  const exact = new Set(patterns.filter((pattern) => !isWildcard(pattern)));
  return (host) => {
    const name = host.toLowerCase();
    if (exact.has(name) || wildcards.some((pattern) => hostCovers(pattern, name))) return true;
    const [service, itsNamespace, svc] = name.split(".");
    if (svc !== undefined && svc !== "svc") return false;
    return exact.has(`${service}.${itsNamespace}`) || exact.has(`${service}.${itsNamespace}.svc`) ||
      (itsNamespace === namespace && exact.has(service as string));
  };
}

/** Undefined when everything is kept. */
export function hostChoice(patterns: readonly string[], namespace: string): HostChoice | undefined {
  if (patterns.length === 0) return undefined;
  const keepsHost = keptHosts(patterns, namespace);
  const keepsName = (cluster: string): boolean => {
    const parsed = parseClusterName(cluster);
    return parsed === undefined || parsed.direction !== "outbound" || keepsHost(parsed.host);
  };
  const keepsVirtualHost = ({ name, domains }: VirtualHost): boolean =>
    domains.includes("*") || keepsHost(withoutPort(name)) ||
    domains.some((domain) => keepsHost(withoutPort(domain)));
  const keepsTable = (name: string): boolean => {
    const at = name.lastIndexOf(":");
    return at < 0 || keepsHost(name.slice(0, at));
  };
  return {
    keepsCluster: ({ name }) => keepsName(name),
    choose(table) {
      const virtualHosts = table.virtualHosts.filter(keepsVirtualHost);
      return virtualHosts.length === table.virtualHosts.length ? table : { ...table, virtualHosts };
    },
    chooseChains(listener) {
      const keepsChain = (chain: FilterChain): boolean => {
        const table = chain.http?.routeConfigName;
        if (table !== undefined) return keepsTable(table);
        const clusters = clustersOfChain(chain);
        return clusters.length === 0 || clusters.some(keepsName);
      };
      const filterChains = listener.filterChains.filter(keepsChain);
      if (filterChains.length === listener.filterChains.length) return listener;
      return filterChains.length === 0 && listener.defaultFilterChain === undefined
        ? undefined
        : { ...listener, filterChains };
    },
    keepsTable,
  };
}

function withoutPort(name: string): string {
  return name.replace(/:\d{1,5}$/, "");
}
