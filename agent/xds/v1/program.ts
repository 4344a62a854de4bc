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
import { isWildcard } from "../../istio/host_pattern.ts";
import { STANDING_CLUSTERS } from "../../istio/lower_cluster.ts";
import { share } from "../../istio/share.ts";
import type {
  ApplicationPort,
  Cluster,
  ClusterLoadAssignment,
  Listener,
  Program,
  RouteConfiguration,
  VirtualHost,
} from "../../model/model.ts";
import { keptHosts } from "../host_choice.ts";
import { clusterNameOf, createDefaultHosts, defaultCluster, type Names } from "./default_hosts.ts";
import { finish, type Steps } from "./json_steps.ts";
import { endpointsOf, type RegisteredService, type Registration } from "./registration.ts";
import { parseServiceKey } from "./service_key.ts";

/** What RouteRules became. */
export interface V1Rules {
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly tables: ReadonlyMap<string, RouteConfiguration>;
  readonly listeners: ReadonlyMap<string, Listener>;
  readonly inbound: ReadonlyMap<string, ApplicationPort>;
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

export interface BuiltProgram {
  readonly program: Program;
  readonly problems: readonly Diagnostic[];
}

export interface V1Programs {
  /** Shares with the program of the last call what is the same. */
  build(answers: V1Answers): BuiltProgram;
  /** The same in steps; to be run to its end before the next call. */
  buildSteps(answers: V1Answers): Steps<BuiltProgram>;
}

const DNS_REFRESH_RATE = "60s";

export function createV1Programs(options: V1Options): V1Programs {
  const wanted = hostFilter(options);
  const all = options.hosts.length === 0;
  const placed = createPlacing();
  const defaultHosts = createDefaultHosts(options);
  let before: Program | undefined;
  const programs: V1Programs = {
    build: (answers) => finish(programs.buildSteps(answers)),
    *buildSteps(answers) {
      const services = [...answers.services.values()].filter((s) => all || wanted(s.key.host));
      const clusters = new Map<string, Cluster>();
      let tables: ReadonlyMap<string, RouteConfiguration>;
      let problems: readonly Diagnostic[] = [];
      const { rules } = answers;
      if (rules === undefined) {
        for (const service of services) {
          yield;
          const name = clusterNameOf(service);
          clusters.set(name, placed(before?.clusters.get(name), service, answers.origin));
        }
        const made = yield* defaultHosts(services, answers.origin);
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
          yield;
          if (!all && !named.has(cluster.name) && !wanted(hostOfCluster(cluster))) continue;
          const service = answers.services.get(cluster.edsServiceName ?? "");
          const known = before?.clusters.get(cluster.name);
          clusters.set(
            cluster.name,
            service === undefined ? cluster : placed(known, service, answers.origin, cluster),
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
        ...(rules === undefined || rules.inbound.size === 0 ? {} : { inbound: rules.inbound }),
      };
      const unchanged = before !== undefined && before.routeConfigurations === program.routeConfigurations &&
        before.clusters === program.clusters && before.loadAssignments === program.loadAssignments &&
        before.listeners === program.listeners && before.inbound === program.inbound;
      if (!unchanged) before = program;
      return { program: before as Program, problems };
    },
  };
  return programs;
}

/** Clusters that some route or TCP listener names. */
export function namedClusters(
  tables: Iterable<RouteConfiguration>,
  listeners: Iterable<Listener> = [],
): Set<string> {
  const names = new Set<string>();
  for (const table of tables) for (const name of namesIn(table)) names.add(name);
  for (const { filterChains } of listeners) {
    for (const { tcp } of filterChains) if (tcp?.cluster !== undefined) names.add(tcp.cluster);
  }
  return names;
}

const namesOfTables = new WeakMap<RouteConfiguration, readonly string[]>();

function namesIn(table: RouteConfiguration): readonly string[] {
  const known = namesOfTables.get(table);
  if (known !== undefined) return known;
  const names: string[] = [];
  for (const { routes } of table.virtualHosts) {
    for (const { route } of routes) {
      if (route === undefined) continue;
      if (route.cluster !== undefined) names.push(route.cluster);
      for (const { name } of route.weightedClusters?.clusters ?? []) names.push(name);
      for (const { cluster } of route.requestMirrorPolicies ?? []) names.push(cluster);
    }
  }
  namesOfTables.set(table, names);
  return names;
}

/** Whether `discovery.hosts` keeps a host. */
export function hostFilter({ hosts, namespace }: V1Options): (host: string) => boolean {
  return hosts.length === 0 ? () => true : keptHosts(hosts, namespace);
}

/** A function that gives the cluster of a service; the one before when neither cluster nor service changed. */
function createPlacing(): (
  known: Cluster | undefined,
  service: RegisteredService,
  origin: Origin,
  cluster?: Cluster,
) => Cluster {
  const made = new WeakMap<
    RegisteredService,
    { readonly from: Cluster | undefined; readonly placed: Cluster }
  >();
  return (known, service, origin, cluster) => {
    const last = made.get(service);
    if (last !== undefined && last.from === cluster && last.placed === known) return known;
    const now = placeCluster(cluster ?? defaultCluster(service, origin), service);
    // The version in the origin is that of its first appearance.
    const sameOrigin = known?.origin === undefined ? now : { ...now, origin: known.origin };
    const placed = known !== undefined && share(known, sameOrigin) === known ? known : now;
    made.set(service, { from: cluster, placed });
    return placed;
  };
}

/**
 * What v1 calls `sds` whatever a service's endpoints are: names among them are resolved as STRICT_DNS; a wildcard host, which
 * can have none, goes where the client wanted to.
 */
function placeCluster(cluster: Cluster, service: RegisteredService): Cluster {
  if (cluster.type !== "EDS") return cluster;
  const { edsServiceName: _, ...plain } = cluster;
  const endpoints = [...endpointsOf(service.assignment)];
  if (endpoints.length === 0 && isWildcard(service.key.host)) {
    return { ...plain, type: "ORIGINAL_DST", lbPolicy: "CLUSTER_PROVIDED" };
  }
  if (endpoints.every((e) => normalAddress(e.address) !== undefined)) return cluster;
  return {
    ...plain,
    type: "STRICT_DNS",
    dnsRefreshRate: DNS_REFRESH_RATE,
    loadAssignment: { clusterName: cluster.name, endpoints: service.assignment.endpoints },
  };
}

function hostOfCluster({ name, edsServiceName }: Cluster): string {
  return parseServiceKey(edsServiceName ?? name.replace(/^out\./, ""))?.host ?? name;
}

function sameList(a: readonly VirtualHost[], b: readonly VirtualHost[]): boolean {
  return a.length === b.length && a.every((v, i) => v === b[i]);
}

/** `before` when both have the same entries in the same order. */
function shareMap<K, V>(
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
