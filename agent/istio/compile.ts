/**
 * "Pilot in a file": rule documents -> a Program, in the shape of Envoy's v3 API, as istiod would answer a sidecar.
 *
 * In: every document in force. Out: a {@link Program}: one RouteConfiguration per HTTP port, listeners for ports that carry
 * more than HTTP, clusters per service port and subset, load assignments. The unit of work is one host: an update recompiles the hosts that depend on a changed document
 * (their ServiceEntries, WorkloadEntries, DestinationRules, VirtualServices with their delegates, and rules that hash by a
 * destination) and shares all else with the Program before by reference. Documents count as unchanged while their text, name
 * and place are.
 *
 * @example
 * ```ts
 * import { createCompiler } from "./compile.ts";
 * const compiler = createCompiler({
 *   namespace: "default",
 *   domainSuffix: "svc.cluster.local",
 *   labels: {},
 *   outboundTrafficPolicy: "ALLOW_ANY",
 * });
 * const { program } = compiler.update(documents);
 * program.routeConfigurations.get("8084")?.virtualHosts[0]?.domains; // ["istioserver.default.svc.cluster.local", …]
 * ```
 */
import {
  type Cluster,
  type ClusterLoadAssignment,
  clusterName,
  type Program,
  type RouteConfiguration,
  type VirtualHost,
} from "../model/model.ts";
import {
  destinationHashPolicy,
  type DestinationRuleDocument,
  DestinationRules,
  hasHash,
  type MergedRule,
} from "./destination_rules.ts";
import { type Change, Documents, keyOf } from "./document_changes.ts";
import { hostCovers, hostsOverlap, isWildcard } from "./host_pattern.ts";
import { type Candidate, HostTable } from "./host_table.ts";
import { possibleFullNames, serviceDomains } from "./hosts.ts";
import { ListenerTable, type PortChains } from "./listener_table.ts";
import { hasChains, lowerChains, placesOfService } from "./lower_l4.ts";
import { lowerAssignments, lowerClusters, STANDING_CLUSTERS } from "./lower_cluster.ts";
import { defaultRoute } from "./lower_route.ts";
import { preciseOrigin } from "./origin.ts";
import type { ProxyContext, RuleDocument } from "./resources.ts";
import { hasRoutes, type Service, type ServiceEntryDocument, Services } from "./services.ts";
import { share, shareList } from "./share.ts";
import { type Rule, VirtualServices } from "./virtual_services.ts";

export interface CompileStats {
  /** Hosts of services. */
  readonly hosts: number;
  /** Hosts of which anything was compiled anew. */
  readonly recompiled: number;
  /** Hosts of which routes were compiled anew. */
  readonly rerouted: number;
}

export interface Compiler {
  /** `documents`: all that are in force, sound and validated. */
  update(documents: readonly RuleDocument[]): { readonly program: Program; readonly stats: CompileStats };
}

export function createCompiler(proxy: ProxyContext): Compiler {
  return new HostCompiler(proxy);
}

/** What was compiled for one host. */
interface Unit {
  readonly rule: MergedRule | undefined;
  readonly clusters: readonly Cluster[];
  readonly assignments: readonly ClusterLoadAssignment[];
  /** Ports with a virtual host. */
  readonly ports: readonly number[];
  /** Of ports that carry more than HTTP. */
  readonly chains: readonly PortChains[];
}

const NO_CHAINS: readonly PortChains[] = [];

const HTTP_PORT = 80;

class HostCompiler implements Compiler {
  readonly #proxy: ProxyContext;
  readonly #documents = new Documents();
  readonly #services: Services;
  readonly #destinationRules: DestinationRules;
  readonly #virtualServices: VirtualServices;
  readonly #units = new Map<string, Unit>();
  /** Hosts in the order of the program's maps. */
  #order: readonly string[] = [];
  readonly #tables = new Map<number, HostTable>();
  readonly #listeners: ListenerTable;
  /** Virtual hosts of a rule's hosts that are no services: ids by port. */
  readonly #extras = new Map<Rule, readonly (readonly [port: number, id: string])[]>();
  #program: Program | undefined;

  constructor(proxy: ProxyContext) {
    this.#proxy = proxy;
    this.#services = new Services(proxy);
    this.#destinationRules = new DestinationRules(proxy);
    this.#listeners = new ListenerTable(proxy.outboundTrafficPolicy);
    this.#virtualServices = new VirtualServices(proxy, (host, subset, port) => {
      const service = this.#services.get(host.toLowerCase());
      return service && destinationHashPolicy(this.#ruleOf(service), subset, port);
    });
  }

  update(documents: readonly RuleDocument[]): { program: Program; stats: CompileStats } {
    const changes = this.#documents.update(documents);
    if (changes === undefined && this.#program !== undefined) {
      return { program: this.#program, stats: { hosts: this.#units.size, recompiled: 0, rerouted: 0 } };
    }
    const { ServiceEntry = [], WorkloadEntry = [], DestinationRule = [], VirtualService = [] } = changes ??
      {};

    const touched = this.#services.update(ServiceEntry, WorkloadEntry);
    const clusters = this.#applyDestinationRules(DestinationRule);
    const hashes = new Set<string>();
    for (const [host, how] of touched) if (how === "service") clusters.add(host);
    for (const host of clusters) {
      const service = this.#services.get(host);
      const rule = service && this.#ruleOf(service);
      if (hasHash(rule) || hasHash(this.#units.get(host)?.rule)) hashes.add(host);
    }
    const rules = this.#virtualServices.update(VirtualService, hashes);

    const routes = this.#hostsToRoute(touched, hashes, rules.before, rules.after);
    const recompiled = new Set<string>([...routes, ...clusters]);
    let clustersChanged = false;
    let assignmentsChanged = false;
    for (const host of clusters) {
      const before = this.#units.get(host);
      const after = this.#compileClusters(host, before);
      if (after?.clusters !== before?.clusters) clustersChanged = true;
      if (after?.assignments !== before?.assignments) assignmentsChanged = true;
    }
    for (const [host, how] of touched) {
      if (how !== "endpoints" || clusters.has(host)) continue;
      recompiled.add(host);
      const before = this.#units.get(host) as Unit;
      const service = this.#services.get(host) as Service;
      const assignments = shareList(
        before.assignments,
        lowerAssignments(service, before.clusters, this.#services),
        (a) => a.clusterName,
      );
      if (assignments !== before.assignments) {
        this.#units.set(host, { ...before, assignments });
        assignmentsChanged = true;
      }
    }
    const chained = this.#hostsToChain(routes, clusters, rules.before, rules.after);
    for (const host of chained) this.#compileChains(host);
    const ports = new Set<number>();
    for (const host of routes) this.#compileRoutes(host, ports);
    this.#placeExtras(touched, rules.before, rules.after, ports);
    this.#sortHosts(clusters);

    this.#program = {
      routeConfigurations: this.#configurations(ports),
      clusters: clustersChanged || this.#program === undefined ? this.#clusterMap() : this.#program.clusters,
      loadAssignments: assignmentsChanged || this.#program === undefined
        ? this.#assignmentMap()
        : this.#program.loadAssignments,
      listeners: this.#listeners.listeners(),
    };
    const stats = { hosts: this.#units.size, recompiled: recompiled.size, rerouted: routes.size };
    return { program: this.#program, stats };
  }

  #ruleOf(service: Service): MergedRule | undefined {
    return this.#destinationRules.find(service.host, service.namespace);
  }

  /** Hosts of services that changed rules may hold for. */
  #applyDestinationRules(changes: readonly Change<DestinationRuleDocument>[]): Set<string> {
    const hosts = new Set<string>();
    for (const [before, after] of changes) {
      if (before !== undefined) this.#destinationRules.remove(before);
      if (after !== undefined) this.#destinationRules.add(after);
      for (const document of [before, after]) {
        if (document === undefined) continue;
        for (const host of this.#servicesUnder(this.#destinationRules.hostOf(document))) hosts.add(host);
      }
    }
    return hosts;
  }

  *#servicesUnder(pattern: string): Generator<string> {
    if (!isWildcard(pattern)) {
      if (this.#services.get(pattern) !== undefined) yield pattern;
      return;
    }
    for (const host of this.#services.hosts()) if (hostCovers(pattern, host)) yield host;
  }

  #hostsToRoute(
    touched: ReadonlyMap<string, "endpoints" | "service">,
    hashes: ReadonlySet<string>,
    before: readonly Rule[],
    after: readonly Rule[],
  ): Set<string> {
    const hosts = new Set(hashes);
    for (const [host, how] of touched) {
      if (how !== "service") continue;
      hosts.add(host);
      // A short name of another service may be this one's full name.
      for (const full of possibleFullNames(host, this.#proxy.namespace, this.#proxy.domainSuffix)) {
        if (this.#services.get(full) !== undefined) hosts.add(full);
      }
    }
    for (const list of [before, after]) {
      for (const rule of list) {
        for (const pattern of rule.hosts) {
          for (const host of this.#servicesUnder(pattern)) hosts.add(host);
        }
      }
    }
    return hosts;
  }

  #compileClusters(host: string, before: Unit | undefined): Unit | undefined {
    const service = this.#services.get(host);
    if (service === undefined) {
      // Its virtual hosts are taken out with the routes, which need to know its ports.
      if (before !== undefined) this.#units.set(host, { ...before, clusters: [], assignments: [] });
      return undefined;
    }
    const rule = this.#ruleOf(service);
    const lowered = lowerClusters(service, rule, this.#services);
    const unit: Unit = {
      rule,
      clusters: shareList(before?.clusters, lowered.clusters, (c) => c.name),
      assignments: shareList(before?.assignments, lowered.assignments, (a) => a.clusterName),
      ports: before?.ports ?? [],
      chains: before?.chains ?? NO_CHAINS,
    };
    this.#units.set(host, unit);
    return unit;
  }

  /** Hosts whose chains may be others now: their services or rules changed, or what the rules' destinations are. */
  #hostsToChain(
    routes: ReadonlySet<string>,
    clusters: ReadonlySet<string>,
    before: readonly Rule[],
    after: readonly Rule[],
  ): Set<string> {
    const hosts = new Set([...routes, ...clusters]);
    const rules = new Set<Rule>([...before, ...after].filter((rule) => rule.l4Destinations.size > 0));
    for (const host of clusters) for (const rule of this.#virtualServices.l4RulesTo(host)) rules.add(rule);
    if (rules.size === 0) return hosts;
    const patterns = new Set(Array.from(rules).flatMap((rule) => rule.hosts));
    const wild = [...this.#services.hosts()].filter(isWildcard);
    for (const pattern of patterns) {
      for (const host of this.#servicesUnder(pattern)) hosts.add(host);
      for (const host of wild) if (hostsOverlap(pattern, host)) hosts.add(host);
    }
    return hosts;
  }

  #compileChains(host: string): void {
    const service = this.#services.get(host);
    const unit = this.#units.get(host);
    const before = unit?.chains ?? NO_CHAINS;
    const ports = service?.ports.filter(hasChains) ?? [];
    if (ports.length === 0 && before.length === 0) return;
    const rules = this.#virtualServices.l4RulesFor(host);
    const input = {
      proxy: this.#proxy,
      rules,
      serviceOf: (name: string) => this.#services.get(name),
      destinationRuleOf: (s: Service) => this.#ruleOf(s),
    };
    const chains = service === undefined ? NO_CHAINS : shareList(
      before,
      placesOfService(service).flatMap((place) =>
        ports.map((port) => ({
          host,
          port: port.number,
          ...place,
          chains: lowerChains(service, port, place, input),
        }))
      ),
      ({ bind, ranges, port }) => `${bind} ${ranges.join()} ${port}`,
    );
    if (chains === before) return;
    this.#listeners.replace(before, chains);
    if (unit !== undefined) this.#units.set(host, { ...unit, chains });
  }

  /** Puts the virtual hosts of a service into the tables of its ports and notes these ports. */
  #compileRoutes(host: string, touchedPorts: Set<number>): void {
    const service = this.#services.get(host);
    const unit = this.#units.get(host);
    const ports: number[] = [];
    if (service !== undefined) {
      for (const port of service.ports) if (hasRoutes(port.kind)) ports.push(port.number);
    }
    for (const port of unit?.ports ?? []) {
      if (ports.includes(port)) continue;
      this.#tables.get(port)?.set(host, undefined);
      touchedPorts.add(port);
    }
    if (service === undefined) {
      this.#units.delete(host);
      return;
    }
    for (const port of ports) {
      const table = this.#table(port);
      const before = table.get(host);
      table.set(host, this.#serviceCandidate(service, port, unit?.rule, before));
      touchedPorts.add(port);
    }
    this.#units.set(host, { ...unit as Unit, ports });
  }

  #serviceCandidate(
    service: Service,
    port: number,
    destinationRule: MergedRule | undefined,
    before: Candidate | undefined,
  ): Candidate {
    const { host } = service;
    const found = this.#virtualServices.ruleFor(host, port);
    const domains = serviceDomains(
      host,
      this.#proxy,
      service.addresses,
      (name) => this.#services.get(name)?.ports.some((p) => p.number === port) ?? false,
    );
    const old = before?.virtualHost;
    if (found === undefined) {
      const document = service.documents[0] as ServiceEntryDocument;
      const at = (document.spec.hosts ?? []).findIndex((h) => h.toLowerCase() === host);
      const origin = preciseOrigin(document, ["spec", "hosts", Math.max(0, at)]);
      const hash = destinationHashPolicy(destinationRule, "", port);
      const virtualHost = {
        name: `${host}:${port}`,
        domains,
        routes: [defaultRoute(clusterName(port, "", host), hash, origin)],
        origin,
      };
      return { virtualHost: share(old, virtualHost), rule: undefined, extra: -1 };
    }
    const virtualHost = this.#ruleHost(
      `${host}:${port}`,
      domains,
      found.rule,
      found.routes,
      old,
      (pattern) => isWildcard(pattern) ? hostCovers(pattern, host) : pattern === host,
    );
    return { virtualHost, rule: found.rule, extra: -1 };
  }

  #ruleHost(
    name: string,
    domains: readonly string[],
    rule: Rule,
    routes: VirtualHost["routes"],
    old: VirtualHost | undefined,
    isNamedBy: (pattern: string) => boolean,
  ): VirtualHost {
    const at = Math.max(0, rule.hosts.findIndex(isNamedBy));
    const shared = shareList(old?.routes, routes, (_, i) => i);
    return share(old, {
      name,
      domains,
      routes: shared,
      origin: preciseOrigin(rule.document, ["spec", "hosts", at]),
    });
  }

  #table(port: number): HostTable {
    let table = this.#tables.get(port);
    if (table === undefined) {
      this.#tables.set(port, table = new HostTable(port, this.#proxy.outboundTrafficPolicy));
    }
    return table;
  }

  /** Virtual hosts for hosts that rules name and no service of the port has. */
  #placeExtras(
    touched: ReadonlyMap<string, "endpoints" | "service">,
    before: readonly Rule[],
    after: readonly Rule[],
    touchedPorts: Set<number>,
  ): void {
    const rules = new Set(after);
    for (const [host, how] of touched) {
      if (how !== "service") continue;
      for (const rule of this.#virtualServices.naming(host)) rules.add(rule);
    }
    // Which services a wildcard owns depends on the hosts of every rule.
    const changed = changedHosts(before, after);
    if (changed.length > 0) {
      for (const rule of this.#virtualServices.wild()) {
        if (rule.hosts.some((a) => isWildcard(a) && changed.some((b) => hostsOverlap(a, b)))) rules.add(rule);
      }
    }
    const previous = new Map<string, VirtualHost>();
    const drop = (rule: Rule): void => {
      for (const [port, id] of this.#extras.get(rule) ?? []) {
        const table = this.#tables.get(port) as HostTable;
        const old = table.get(id)?.virtualHost;
        if (old !== undefined) previous.set(`${port} ${id}`, old);
        table.set(id, undefined);
        touchedPorts.add(port);
      }
      this.#extras.delete(rule);
    };
    for (const rule of before) drop(rule);
    for (const rule of rules) drop(rule);
    for (const rule of rules) {
      const placed: [number, string][] = [];
      for (const { port, host } of this.#extrasOf(rule)) {
        const id = `${rule.document.namespace}/${rule.document.name} ${host}`;
        const name = `${host}:${port}`;
        const routes = this.#virtualServices.routesOf(rule, port);
        const old = previous.get(`${port} ${id}`);
        const virtualHost = this.#ruleHost(name, [host], rule, routes, old, (pattern) => pattern === host);
        this.#table(port).set(id, { virtualHost, rule, extra: rule.hosts.indexOf(host) });
        touchedPorts.add(port);
        placed.push([port, id]);
      }
      if (placed.length > 0) this.#extras.set(rule, placed);
    }
  }

  #extrasOf(rule: Rule): { port: number; host: string }[] {
    const first = rule.hosts[0] as string;
    if (rule.hosts.length === 1 && !isWildcard(first) && this.#services.get(first) !== undefined) return [];
    // Ports on which some host of the rule is a service with routes.
    const ports = new Set<number>();
    const note = (service: Service | undefined): void => {
      for (const port of service?.ports ?? []) if (hasRoutes(port.kind)) ports.add(port.number);
    };
    let anywhere = false;
    for (const pattern of rule.hosts) {
      for (const host of this.#servicesUnder(pattern)) {
        anywhere = true;
        if (pattern !== host && !this.#virtualServices.ownsByWildcard(rule, host)) continue;
        note(this.#services.get(host));
      }
    }
    const extras: { port: number; host: string }[] = [];
    const onPort = (host: string, port: number): boolean =>
      this.#services.get(host)?.ports.some((p) => p.number === port) ?? false;
    for (const port of ports) {
      if (this.#virtualServices.routesOf(rule, port).length === 0) continue;
      for (const pattern of rule.hosts) {
        if ([...this.#servicesUnder(pattern)].some((host) => onPort(host, port))) continue;
        extras.push({ port, host: pattern });
      }
    }
    if (!ports.has(HTTP_PORT) && !anywhere && this.#virtualServices.routesOf(rule, HTTP_PORT).length > 0) {
      // Istio lets a rule for hosts that nobody declares work on port 80.
      for (const host of rule.hosts) extras.push({ port: HTTP_PORT, host });
    }
    return extras;
  }

  #sortHosts(clusters: ReadonlySet<string>): void {
    let differs = this.#order.length !== this.#units.size;
    for (const host of clusters) if (!this.#units.has(host)) differs = true;
    if (!differs) return;
    this.#order = [...this.#units.keys()].sort();
  }

  #configurations(touchedPorts: ReadonlySet<number>): ReadonlyMap<string, RouteConfiguration> {
    const known = this.#program?.routeConfigurations;
    let same = known !== undefined;
    for (const port of touchedPorts) {
      const table = this.#tables.get(port) as HostTable;
      if (table.size === 0) {
        this.#tables.delete(port);
        same = false;
      } else if (table.configuration() !== known?.get(String(port))) same = false;
    }
    if (same && known !== undefined) return known;
    const map = new Map<string, RouteConfiguration>();
    for (const port of [...this.#tables.keys()].sort((a, b) => a - b)) {
      map.set(String(port), (this.#tables.get(port) as HostTable).configuration());
    }
    return map;
  }

  #clusterMap(): ReadonlyMap<string, Cluster> {
    const map = new Map<string, Cluster>();
    for (const host of this.#order) {
      for (const cluster of (this.#units.get(host) as Unit).clusters) map.set(cluster.name, cluster);
    }
    for (const cluster of STANDING_CLUSTERS) map.set(cluster.name, cluster);
    return map;
  }

  #assignmentMap(): ReadonlyMap<string, ClusterLoadAssignment> {
    const map = new Map<string, ClusterLoadAssignment>();
    for (const host of this.#order) {
      for (const a of (this.#units.get(host) as Unit).assignments) map.set(a.clusterName, a);
    }
    return map;
  }
}

/** Hosts of rules that were or are now different in what they claim. */
function changedHosts(before: readonly Rule[], after: readonly Rule[]): readonly string[] {
  const known = new Map(before.map((rule) => [keyOf(rule.document), rule]));
  const hosts = new Set<string>();
  for (const rule of after) {
    const key = keyOf(rule.document);
    const old = known.get(key);
    known.delete(key);
    if (old !== undefined && old.rank === rule.rank && old.hosts.join() === rule.hosts.join()) continue;
    for (const host of [...rule.hosts, ...old?.hosts ?? []]) hosts.add(host);
  }
  for (const rule of known.values()) for (const host of rule.hosts) hosts.add(host);
  return [...hosts];
}
