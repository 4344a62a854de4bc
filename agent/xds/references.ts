/** What a route table or a listener points at: the clusters and tables that must be there before it is put in force. */
import type { FilterChain, Listener, RouteConfiguration, VirtualHost } from "../model/model.ts";

const BY_HOST = new WeakMap<VirtualHost, readonly string[]>();

/** Cluster names in the routes of a virtual host, mirrors too; without duplicates. */
export function clustersOfHost(host: VirtualHost): readonly string[] {
  const known = BY_HOST.get(host);
  if (known !== undefined) return known;
  const names = new Set<string>();
  for (const { route } of host.routes) {
    if (route === undefined) continue;
    if (route.cluster !== undefined) names.add(route.cluster);
    for (const { name } of route.weightedClusters?.clusters ?? []) names.add(name);
    for (const { cluster } of route.requestMirrorPolicies ?? []) names.add(cluster);
  }
  const list = [...names];
  BY_HOST.set(host, list);
  return list;
}

export function chainsOf(listener: Listener): readonly FilterChain[] {
  const { filterChains, defaultFilterChain } = listener;
  return defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
}

/** Cluster names in a TCP chain. */
export function clustersOfChain({ tcp }: FilterChain): readonly string[] {
  if (tcp?.cluster !== undefined) return [tcp.cluster];
  return (tcp?.weightedClusters ?? []).map(({ name }) => name);
}

/** Names of the tables that a listener has from RDS. */
export function tablesOf(listener: Listener): readonly string[] {
  return chainsOf(listener).flatMap(({ http }) => http?.routeConfigName ?? []);
}

/** Tables that a listener brings itself (Pilot 0.8 has no others). */
export function inlineTablesOf(listener: Listener): readonly RouteConfiguration[] {
  return chainsOf(listener).flatMap(({ http }) => http?.routeConfig ?? []);
}

/**
 * Listeners for what comes to the workload are not ours. Pilots before 1.3 give no direction: what leads to `inbound|…` is
 * one.
 */
export function isInbound(listener: Listener): boolean {
  if (listener.trafficDirection !== undefined) return listener.trafficDirection === "INBOUND";
  return chainsOf(listener).some((chain) =>
    chain.http?.routeConfig?.name.startsWith("inbound|") === true ||
    clustersOfChain(chain).some((name) => name.startsWith("inbound|"))
  );
}
