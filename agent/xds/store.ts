/**
 * What a control plane has said, and the Program that follows from it: decoded resources by type go in, a Program that never
 * points a route at a cluster without endpoints comes out (istio-semantics 5.4: warming, make before break). Pure: time is an
 * argument; nothing is decoded or sent here.
 *
 * decoded resources -> apply() -> wanted() for the session, program() for the world.
 *
 * @example
 * ```ts ignore
 * const store = createXdsStore({ generation: "v3", hosts: [], namespace: "default" });
 * const problems = store.apply("CDS", { resources, removed: [], complete: true }, clock.now());
 * session.watch("EDS", store.wanted("EDS"));
 * if (store.synced()) publish(store.program(clock.now()));
 * ```
 */
import type { Diagnostic } from "../core/diagnostics.ts";
import { isSame } from "../istio/share.ts";
import type {
  ApplicationPort,
  Cluster,
  ClusterLoadAssignment,
  Listener,
  Program,
  RouteConfiguration,
} from "../model/model.ts";
import { HeldRoutes } from "./held_routes.ts";
import { type HostChoice, hostChoice } from "./host_choice.ts";
import { inboundPortsOf } from "./inbound_ports.ts";
import type { NamedType } from "./session.ts";
import type { Decoded, Generation, ResourceType } from "./types.ts";
import { WarmClusters } from "./warm_clusters.ts";

export interface XdsStoreOptions {
  readonly generation: Generation;
  /** `discovery.hosts`; empty = everything. */
  readonly hosts: readonly string[];
  /** Of this workload: completes short names in `hosts`. */
  readonly namespace: string;
}

/** One response, decoded. */
export interface Update<T extends ResourceType> {
  /**
   * By name, in the order of the response. A resource that did not change should be the object that {@link XdsStore.held}
   * gives: what is the same by identity is not touched.
   */
  readonly resources: ReadonlyMap<string, Decoded[T]>;
  readonly removed: readonly string[];
  /** What is absent is deleted (CDS and LDS in state-of-the-world). */
  readonly complete: boolean;
  /** Names that were in the response and could not be used: they keep their last good value also when `complete`. */
  readonly refused?: readonly string[];
}

export interface XdsStore {
  /** Takes in what is usable; the problems returned belong into the NACK (two listeners on one address). */
  apply<T extends ResourceType>(type: T, update: Update<T>, nowMs: number): readonly Diagnostic[];
  /** The names to subscribe to, sorted, without duplicates; the same array as long as nothing changed. */
  wanted(type: NamedType): readonly string[];
  /** The program in force; the same object when nothing changed, unchanged maps are shared with the one before. */
  program(nowMs: number): Program;
  /** Every type has spoken and everything was warm once; stays true. As of the last `apply` or `program`. */
  synced(): boolean;
  /** What `synced` (later: what is new) still waits for, in words: `CDS`, `endpoints of outbound|80||a`, `route table 8084`. */
  waitingFor(): readonly string[];
  /** When time alone changes the program (call `program` then), ms; undefined = never. */
  deadline(): number | undefined;
  /** The last good value of a resource, as it came. */
  held<T extends ResourceType>(type: T, name: string): Decoded[T] | undefined;
  /** Names of the resources held. */
  names(type: ResourceType): readonly string[];
}

export function createXdsStore(options: XdsStoreOptions): XdsStore {
  return new Store(options);
}

/** Names that `waitingFor` gives of one kind; the others are counted. */
const MOST_NAMED = 5;

class Store implements XdsStore {
  readonly #choice: HostChoice | undefined;
  readonly #clusters: WarmClusters;
  readonly #routes: HeldRoutes;
  #assignmentsSpoken = false;
  /** Clusters that the tables lead to: `discovery.hosts` keeps them, whatever their host. */
  #named: ReadonlySet<string> = new Set();
  #synced = false;
  #program: Program | undefined;
  /** And what they were made from. */
  #inbound: {
    readonly clusters: ReadonlyMap<string, Cluster>;
    readonly revision: number;
    readonly ports: ReadonlyMap<string, ApplicationPort> | undefined;
  } | undefined;
  /** When removed clusters that still stay must be looked at again. */
  #sweepMs = Infinity;

  constructor({ generation, hosts, namespace }: XdsStoreOptions) {
    this.#choice = hostChoice(hosts, namespace);
    this.#clusters = new WarmClusters(generation);
    this.#routes = new HeldRoutes(generation, this.#choice);
  }

  apply<T extends ResourceType>(type: T, update: Update<T>, nowMs: number): readonly Diagnostic[] {
    const { resources, removed, complete, refused = [] } = update;
    const bad = new Set(refused);
    // As Envoy: that there is nothing, or nothing sound, is an answer too and ends the waiting.
    const unusable = removed.length === 0 ? refused : [...refused, ...removed];
    const absentGo = complete ? (name: string) => !resources.has(name) && !bad.has(name) : undefined;
    let problems: readonly Diagnostic[] = [];
    if (type === "CDS") {
      if (this.#clusters.take(resources as ReadonlyMap<string, Cluster>, removed, absentGo)) {
        this.#settleClusters(nowMs);
        this.#promote(nowMs);
      }
    } else if (type === "EDS") {
      this.#assignmentsSpoken = true;
      const assignments = resources as ReadonlyMap<string, ClusterLoadAssignment>;
      if (this.#clusters.takeAssignments(assignments, unusable)) this.#promote(nowMs);
    } else {
      if (type === "LDS") {
        const listeners = resources as ReadonlyMap<string, Listener>;
        problems = this.#routes.takeListeners(listeners, removed, absentGo, nowMs);
      } else {
        this.#routes.takeTables(resources as ReadonlyMap<string, RouteConfiguration>, unusable);
      }
      this.#routes.propose();
      if (this.#nameClusters()) this.#settleClusters(nowMs);
      this.#promote(nowMs);
    }
    this.#tick(nowMs);
    return problems;
  }

  wanted(type: NamedType): readonly string[] {
    return type === "EDS" ? this.#clusters.wanted : this.#routes.wanted;
  }

  program(nowMs: number): Program {
    this.#tick(nowMs);
    const { clusters, loadAssignments } = this.#clusters;
    const { tables: routeConfigurations, listeners } = this.#routes;
    const before = this.#program;
    const inbound = this.#inboundPorts(clusters);
    if (
      before !== undefined && before.clusters === clusters && before.loadAssignments === loadAssignments &&
      before.routeConfigurations === routeConfigurations && before.listeners === listeners &&
      before.inbound === inbound
    ) return before;
    return this.#program = {
      routeConfigurations,
      clusters,
      loadAssignments,
      listeners,
      ...(inbound === undefined ? {} : { inbound }),
    };
  }

  /** Undefined when there are none. They wait for nothing: what they lead to is on this machine. */
  #inboundPorts(clusters: ReadonlyMap<string, Cluster>): ReadonlyMap<string, ApplicationPort> | undefined {
    const known = this.#inbound;
    if (known !== undefined && known.clusters === clusters && known.revision === this.#routes.revision) {
      return known.ports;
    }
    const made = inboundPortsOf(this.#routes.said, clusters);
    const ports = made.size === 0
      ? undefined
      : known?.ports !== undefined && isSame([...known.ports], [...made])
      ? known.ports
      : made;
    this.#inbound = { clusters, revision: this.#routes.revision, ports };
    return ports;
  }

  synced(): boolean {
    return this.#synced;
  }

  waitingFor(): readonly string[] {
    const { spoken, wanted, cold } = this.#clusters;
    const routes = this.#routes;
    return [
      ...(spoken ? [] : ["CDS"]),
      ...(this.#assignmentsSpoken || wanted.length === 0 ? [] : ["EDS"]),
      ...(routes.spoken ? [] : ["LDS"]),
      ...(routes.tablesSpoken || routes.wanted.length === 0 ? [] : ["RDS"]),
      ...some(cold.keys(), cold.size, "endpoints of "),
      ...some(routes.missing.keys(), routes.missing.size, "route table "),
      ...some(routes.held, routes.held.length, "clusters of route table "),
    ];
  }

  deadline(): number | undefined {
    let at = this.#sweepMs;
    for (const deadlineMs of this.#clusters.cold.values()) at = Math.min(at, deadlineMs);
    if (this.#routes.tablesSpoken) {
      for (const deadlineMs of this.#routes.missing.values()) at = Math.min(at, deadlineMs);
    }
    return at === Infinity ? undefined : at;
  }

  held<T extends ResourceType>(type: T, name: string): Decoded[T] | undefined {
    return this.#book(type).get(type === "RDS" ? this.#routes.nameOf(name) : name) as Decoded[T] | undefined;
  }

  names(type: ResourceType): readonly string[] {
    return [...this.#book(type).keys()];
  }

  #book(type: ResourceType): ReadonlyMap<string, Decoded[ResourceType]> {
    if (type === "CDS") return this.#clusters.said;
    if (type === "EDS") return this.#clusters.assignments;
    return type === "LDS" ? this.#routes.saidListeners : this.#routes.saidTables;
  }

  #settleClusters(nowMs: number): void {
    const choice = this.#choice;
    const keeps = choice === undefined
      ? undefined
      : (cluster: Cluster) => choice.keepsCluster(cluster) || this.#named.has(cluster.name);
    this.#clusters.settle(keeps, this.#routes.revision, nowMs);
    this.#routes.restart();
  }

  /** Notes what tables and listeners lead to, where `discovery.hosts` counts; true when that changed. */
  #nameClusters(): boolean {
    if (this.#choice === undefined) return false;
    const now = this.#routes.clustersNamed();
    const before = this.#named;
    this.#named = now;
    return now.size !== before.size || [...now].some((name) => !before.has(name));
  }

  #promote(nowMs: number): void {
    this.#routes.promote(this.#clusters);
    // Tables that were replaced name nothing any more.
    if (this.#nameClusters()) this.#settleClusters(nowMs);
    this.#sweep(nowMs);
  }

  /** What time alone does. */
  #tick(nowMs: number): void {
    const warmed = this.#clusters.expire(nowMs);
    const expired = this.#routes.expire(nowMs);
    if (warmed || expired) this.#promote(nowMs);
    else if (this.#sweepMs <= nowMs) this.#sweep(nowMs);
    this.#synced ||= this.waitingFor().length === 0;
  }

  /**
   * Lets removed clusters go: at once when nothing in force leads there; else when what leads there was said again (then 503
   * NC is right), or nothing was said for a while. A table that stays because its successor is held keeps its clusters.
   */
  #sweep(nowMs: number): void {
    this.#sweepMs = Infinity;
    const { removals } = this.#clusters;
    if (removals.size === 0) return;
    const stay = new Set<string>();
    for (const { revision, superseded, clusters } of this.#routes.inForce()) {
      for (const name of clusters) {
        const removal = removals.get(name);
        if (removal === undefined) continue;
        const awaited = revision <= removal.revision && nowMs < removal.untilMs;
        if (superseded || awaited) stay.add(name);
        if (awaited && !superseded) this.#sweepMs = Math.min(this.#sweepMs, removal.untilMs);
      }
    }
    this.#clusters.sweep(stay);
  }
}

function some(names: Iterable<string>, count: number, what: string): string[] {
  const list: string[] = [];
  for (const name of names) {
    if (list.length === MOST_NAMED) return [...list, `${count - MOST_NAMED} more`];
    list.push(what + name);
  }
  return list;
}
