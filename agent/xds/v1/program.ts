/**
 * xDS v1: what Pilot's REST API answers, decoded into the model (istio-semantics 5.1). Everything here is pure; who asks, and
 * when, is discovery/pilot.ts.
 *
 * Registration (services and endpoints) -> registration.ts; clusters, routes, listeners (RouteRules only) -> clusters.ts,
 * routes.ts, listeners.ts with faults.ts; all of it, put together here -> a Program. Each decoder takes what it gave before:
 * a bad object keeps its last good value, an unchanged one stays the same object, so that only what changed is compiled.
 *
 * @example
 * ```ts
 * import { createV1Programs } from "./program.ts";
 * import { decodeRegistration } from "./registration.ts";
 * const programs = createV1Programs({ namespace: "default", domainSuffix: "svc.cluster.local", hosts: [] });
 * const { services } = decodeRegistration(
 *   [{ "service-key": "reviews.default.svc.cluster.local|http", hosts: [{ ip_address: "10.0.0.1", port: 9080 }] }],
 *   { kind: "Registration" },
 * )!;
 * programs.build({ services, subsets: new Map(), origin: {} }).program.clusters.keys(); // out.reviews….local|http, …
 * ```
 */
import type { Diagnostic, Origin } from "../../core/diagnostics.ts";
import { normalAddress } from "../../core/ip.ts";
import { fullHost, hostCovers, isWildcard } from "../../istio/host_pattern.ts";
import { STANDING_CLUSTERS } from "../../istio/lower_cluster.ts";
import { share } from "../../istio/share.ts";
import type {
  Cluster,
  ClusterLoadAssignment,
  Listener,
  Program,
  RouteConfiguration,
  VirtualHost,
} from "../../model/model.ts";
import { createDefaultHosts, defaultCluster, type Names } from "./default_hosts.ts";
import { endpointsOf, type RegisteredService, type Registration } from "./registration.ts";
import { parseServiceKey } from "./service_key.ts";

/** What RouteRules became. */
export interface V1Rules {
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly tables: ReadonlyMap<string, RouteConfiguration>;
  readonly listeners: ReadonlyMap<string, Listener>;
}

export interface V1Answers {
  readonly services: Registration;
  /** Absent: Pilot does not serve them, or others bring the rules; then services have default routes. */
  readonly rules?: V1Rules;
  /** Endpoints by service key, of those that were asked for one by one. */
  readonly subsets: ReadonlyMap<string, ClusterLoadAssignment>;
  /** Of the registration: kind and version. */
  readonly origin: Origin;
}

export interface V1Options extends Names {
  /** `discovery.hosts`: patterns of the hosts to keep; empty = all. */
  readonly hosts: readonly string[];
}

export interface V1Programs {
  /** Shares with the program of the last call what is the same. */
  build(answers: V1Answers): { readonly program: Program; readonly problems: readonly Diagnostic[] };
}

const DNS_REFRESH_RATE = "60s";

export function createV1Programs(options: V1Options): V1Programs {
  const wanted = hostFilter(options);
  const defaultHosts = createDefaultHosts(options);
  let before: Program | undefined;
  return {
    build(answers) {
      const services = [...answers.services.values()].filter((s) => wanted(s.key.host));
      const clusters = new Map<string, Cluster>();
      let tables: ReadonlyMap<string, RouteConfiguration>;
      let problems: readonly Diagnostic[] = [];
      const { rules } = answers;
      if (rules === undefined) {
        for (const service of services) {
          const cluster = defaultCluster(service, answers.origin);
          clusters.set(cluster.name, placeCluster(cluster, service, before));
        }
        const made = defaultHosts(services, answers.origin);
        problems = made.problems;
        const old = before?.routeConfigurations.get("http_proxy");
        const same = old !== undefined && sameList(old.virtualHosts, made.virtualHosts);
        tables = new Map([[
          "http_proxy",
          same ? old : { name: "http_proxy", virtualHosts: made.virtualHosts },
        ]]);
      } else {
        const named = namedClusters(rules.tables.values());
        for (const cluster of rules.clusters.values()) {
          if (!named.has(cluster.name) && !wanted(hostOfCluster(cluster))) continue;
          const service = answers.services.get(cluster.edsServiceName ?? "");
          clusters.set(
            cluster.name,
            service === undefined ? cluster : placeCluster(cluster, service, before),
          );
        }
        tables = rules.tables;
      }
      for (const cluster of STANDING_CLUSTERS) clusters.set(cluster.name, cluster);
      const assignments = new Map<string, ClusterLoadAssignment>();
      for (const { text, assignment } of services) assignments.set(text, assignment);
      // A host that is wanted may have a route to one that is not.
      for (const { edsServiceName } of clusters.values()) {
        const service = answers.services.get(edsServiceName ?? "");
        if (service !== undefined) assignments.set(service.text, service.assignment);
      }
      for (const [key, assignment] of answers.subsets) assignments.set(key, assignment);
      const listeners = rules && new Map(
        [...rules.listeners].filter(([, l]) =>
          l.filterChains.every(({ tcp }) => tcp?.cluster === undefined || clusters.has(tcp.cluster))
        ),
      );
      const program: Program = {
        routeConfigurations: shareMap(before?.routeConfigurations, tables),
        clusters: shareMap(before?.clusters, clusters),
        loadAssignments: shareMap(before?.loadAssignments, assignments),
        ...(listeners === undefined ? {} : { listeners: shareMap(before?.listeners, listeners) }),
      };
      const unchanged = before !== undefined && before.routeConfigurations === program.routeConfigurations &&
        before.clusters === program.clusters && before.loadAssignments === program.loadAssignments &&
        before.listeners === program.listeners;
      if (!unchanged) before = program;
      return { program: before as Program, problems };
    },
  };
}

/** Clusters that some route or TCP listener names. */
export function namedClusters(
  tables: Iterable<RouteConfiguration>,
  listeners: Iterable<Listener> = [],
): Set<string> {
  const names = new Set<string>();
  for (const { virtualHosts } of tables) {
    for (const { routes } of virtualHosts) {
      for (const { route } of routes) {
        if (route === undefined) continue;
        if (route.cluster !== undefined) names.add(route.cluster);
        for (const { name } of route.weightedClusters?.clusters ?? []) names.add(name);
        for (const { cluster } of route.requestMirrorPolicies ?? []) names.add(cluster);
      }
    }
  }
  for (const { filterChains } of listeners) {
    for (const { tcp } of filterChains) if (tcp?.cluster !== undefined) names.add(tcp.cluster);
  }
  return names;
}

/** Which of `discovery.hosts` a host is of; short names are completed by the namespace of the workload. */
export function hostFilter({ hosts, namespace, domainSuffix }: V1Options): (host: string) => boolean {
  if (hosts.length === 0) return () => true;
  const patterns = hosts.flatMap((host) => [host, fullHost(host, namespace, domainSuffix)]);
  return (host) => patterns.some((pattern) => hostCovers(pattern, host));
}

/**
 * What v1 calls `sds` whatever a service's endpoints are: names among them are resolved as STRICT_DNS; a wildcard host, which
 * can have none, goes where the client wanted to.
 */
function placeCluster(cluster: Cluster, service: RegisteredService, before: Program | undefined): Cluster {
  if (cluster.type !== "EDS") return cluster;
  const known = before?.clusters.get(cluster.name);
  const { edsServiceName: _, ...plain } = cluster;
  let placed: Cluster = cluster;
  const endpoints = [...endpointsOf(service.assignment)];
  if (endpoints.length === 0 && isWildcard(service.key.host)) {
    placed = { ...plain, type: "ORIGINAL_DST", lbPolicy: "CLUSTER_PROVIDED" };
  } else if (endpoints.some((e) => normalAddress(e.address) === undefined)) {
    placed = {
      ...plain,
      type: "STRICT_DNS",
      dnsRefreshRate: DNS_REFRESH_RATE,
      loadAssignment: { clusterName: cluster.name, endpoints: service.assignment.endpoints },
    };
  }
  // The version in the origin of a default cluster is that of its first appearance.
  return share(known, known?.origin === undefined ? placed : { ...placed, origin: known.origin }) === known
    ? known as Cluster
    : placed;
}

function hostOfCluster({ name, edsServiceName }: Cluster): string {
  return parseServiceKey(edsServiceName ?? name.replace(/^out\./, ""))?.host ?? name;
}

function sameList(a: readonly VirtualHost[], b: readonly VirtualHost[]): boolean {
  return a.length === b.length && a.every((v, i) => v === b[i]);
}

/** `before` when both have the same entries in the same order. */
export function shareMap<K, V>(
  before: ReadonlyMap<K, V> | undefined,
  now: ReadonlyMap<K, V>,
): ReadonlyMap<K, V> {
  if (before === undefined || before.size !== now.size) return now;
  const old = before.entries();
  for (const [key, value] of now) {
    const [oldKey, oldValue] = old.next().value as [K, V];
    if (oldKey !== key || oldValue !== value) return now;
  }
  return before;
}
