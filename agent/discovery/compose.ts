/**
 * Two sources as one: services from one, rules from the other (Pilot's v1 API at 8080 and its xDS v2 at 15010).
 *
 * Who decides a request:
 *
 * 1. The tables of the rules, for every host that one of them knows on any port (a host known on another port only ends with
 *    404, as it does with rules alone); their clusters and endpoints are those of the rules' own stream.
 * 2. For all other hosts the services: the registration's default routes, in the table `http_proxy` behind the rules' own.
 *
 * A wildcard of the rules (`*.example.com`) counts as knowing what it covers, the catch-all `*` does not. Nothing is published
 * before both have spoken; after that each goes on by itself, and keeps what it said when it is lost.
 */
import type {
  Cluster,
  ClusterLoadAssignment,
  Program,
  RouteConfiguration,
  VirtualHost,
} from "../model/model.ts";
import { parseDomain } from "../route/domain_index.ts";
import type { DiscoveryInput, DiscoverySource, Publication } from "./types.ts";

const PROXY_TABLE = "http_proxy";

/** Starts both and publishes what follows from them together. */
export function composed(
  input: DiscoveryInput,
  startServices: (input: DiscoveryInput) => DiscoverySource,
  startRules: (input: DiscoveryInput) => DiscoverySource,
): DiscoverySource {
  let services: Publication | undefined;
  let rules: Publication | undefined;
  const compose = createComposer();
  const give = (): void => {
    if (services === undefined || rules === undefined) return;
    input.publish({
      program: compose(services.program, rules.program),
      diagnostics: [...services.diagnostics, ...rules.diagnostics],
      stats: { ...services.stats, ...rules.stats },
    });
    // What that change cost is told once, not again with each change of the services.
    rules = { ...rules, stats: { ...rules.stats, rebuiltTables: 0, recompiled: 0, decoded: 0 } };
  };
  const sources = [
    startServices({
      ...input,
      publish(publication) {
        services = publication;
        give();
      },
    }),
    startRules({
      ...input,
      publish(publication) {
        rules = publication;
        give();
      },
    }),
  ];
  const both = async (each: (source: DiscoverySource) => Promise<void>): Promise<void> => {
    await Promise.all(sources.map(each));
  };
  return {
    ready: both((source) => source.ready),
    problems: () => sources.flatMap((source) => source.problems()),
    status: () => sources.flatMap((source) => source.status()),
    refresh: () => both((source) => source.refresh()),
    close: () => both((source) => source.close()),
  };
}

/** A function that joins two programs, and gives what it gave before when nothing changed. */
export function createComposer(): (services: Program, rules: Program) => Program {
  let known: KnownHosts | undefined;
  let last: { services: Program; rules: Program; program: Program } | undefined;
  return (services, rules) => {
    if (last?.services === services && last.rules === rules) return last.program;
    if (known?.tables !== rules.routeConfigurations) known = knownHosts(rules.routeConfigurations);
    const own = rules.routeConfigurations.get(PROXY_TABLE);
    const added = (services.routeConfigurations.get(PROXY_TABLE)?.virtualHosts ?? [])
      .flatMap((host) => without(host, known as KnownHosts));
    const virtualHosts = [...own?.virtualHosts ?? [], ...added];
    const before = last?.program.routeConfigurations;
    const oldTable = before?.get(PROXY_TABLE);
    const sameHosts = oldTable !== undefined && oldTable.virtualHosts.length === virtualHosts.length &&
      virtualHosts.every((v, i) => v === oldTable.virtualHosts[i]);
    const table: RouteConfiguration = sameHosts ? oldTable : { name: PROXY_TABLE, virtualHosts };
    const tablesStay = before !== undefined && sameHosts &&
      last?.rules.routeConfigurations === rules.routeConfigurations;
    const program: Program = {
      routeConfigurations: tablesStay
        ? before
        : virtualHosts.length === 0
        ? rules.routeConfigurations
        : new Map([...rules.routeConfigurations, [PROXY_TABLE, table]]),
      clusters: joined<Cluster>(
        [services.clusters, rules.clusters],
        last && [last.services.clusters, last.rules.clusters],
        last?.program.clusters,
      ),
      loadAssignments: joined<ClusterLoadAssignment>(
        [services.loadAssignments, rules.loadAssignments],
        last && [last.services.loadAssignments, last.rules.loadAssignments],
        last?.program.loadAssignments,
      ),
      ...(rules.listeners === undefined ? {} : { listeners: rules.listeners }),
      ...(rules.inbound === undefined ? {} : { inbound: rules.inbound }),
    };
    last = { services, rules, program };
    return program;
  };
}

type Pair<V> = readonly [ReadonlyMap<string, V>, ReadonlyMap<string, V>];

/** Both maps as one; the second wins. v1 names (`out.KEY`, service keys) and v2 names never meet but for the standing clusters. */
function joined<V>(
  now: Pair<V>,
  old: Pair<V> | undefined,
  last: ReadonlyMap<string, V> | undefined,
): ReadonlyMap<string, V> {
  if (last !== undefined && old !== undefined && now[0] === old[0] && now[1] === old[1]) return last;
  return new Map([...now[0], ...now[1]]);
}

/** The hosts of some tables. */
interface KnownHosts {
  readonly tables: Program["routeConfigurations"];
  has(host: string): boolean;
  /** What was made of a virtual host before, so that it stays the same object. */
  readonly made: WeakMap<VirtualHost, readonly VirtualHost[]>;
}

/** What of a default virtual host the rules do not know; the host itself when they know nothing of it. */
function without(host: VirtualHost, known: KnownHosts): readonly VirtualHost[] {
  let left = known.made.get(host);
  if (left === undefined) known.made.set(host, left = cut(host, known));
  return left;
}

function cut(host: VirtualHost, known: KnownHosts): readonly VirtualHost[] {
  // Short names stand for the service: when its full name (the first) is known, they are too.
  const [full] = host.domains;
  if (full === undefined || known.has(plainHost(full))) return [];
  const domains = host.domains.filter((domain) => !known.has(plainHost(domain)));
  return domains.length === host.domains.length ? [host] : domains.length === 0 ? [] : [{ ...host, domains }];
}

/** A domain without its port, brackets and trailing dot. */
function plainHost(domain: string): string {
  if (!/[:[A-Z]|\.$/.test(domain)) return domain;
  return domain.toLowerCase().replace(/:\d+$/, "").replace(/\.$/, "").replace(/^\[(.*)\]$/, "$1");
}

/**
 * Virtual hosts are named after their hosts (`host:port`), so that the names alone decide for nearly every service; domains are
 * only looked at, all of them, when some name is not there.
 */
function knownHosts(tables: Program["routeConfigurations"]): KnownHosts {
  const names = new Set<string>();
  for (const { virtualHosts } of tables.values()) {
    for (const { name } of virtualHosts) names.add(name.slice(0, Math.max(0, name.lastIndexOf(":"))));
  }
  let domains: { readonly exact: ReadonlySet<string>; readonly suffixes: readonly string[] } | undefined;
  return {
    tables,
    made: new WeakMap(),
    has(host) {
      if (names.has(host)) return true;
      const { exact, suffixes } = domains ??= domainsOf(tables.values());
      return exact.has(host) || suffixes.some((s) => host.length > s.length && host.endsWith(s));
    },
  };
}

function domainsOf(
  tables: Iterable<RouteConfiguration>,
): { readonly exact: ReadonlySet<string>; readonly suffixes: readonly string[] } {
  const exact = new Set<string>();
  const suffixes = new Set<string>();
  for (const { virtualHosts } of tables) {
    for (const { domains } of virtualHosts) {
      for (const text of domains) {
        const domain = parseDomain(plainHost(text));
        if (domain.kind === "exact") exact.add(domain.key);
        else if (domain.kind === "labels" || domain.kind === "suffix") suffixes.add(domain.key);
      }
    }
  }
  return { exact, suffixes: [...suffixes] };
}
