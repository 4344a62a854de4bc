/**
 * Mutable state of clusters, by cluster name: endpoints with their pools, the balancer's cursor, DNS answers. It survives worlds (an
 * endpoint that stays keeps its connections) and is swept when the cluster leaves.
 */
import { parseDuration } from "../core/duration.ts";
import type { Rng } from "../core/ports.ts";
import type { World } from "../discovery/types.ts";
import {
  BLACKHOLE_CLUSTER,
  type Cluster,
  type ClusterLoadAssignment,
  type LbEndpoint,
  PASSTHROUGH_CLUSTER,
} from "../model/model.ts";
import { type Balancer, createBalancer } from "./balance/balancer.ts";
import { EndpointHandle } from "./endpoint.ts";
import { type ConnectionTerms, NO_TERMS, termsOf } from "./connection_terms.ts";
import type { Http2Pool } from "./h2_pool.ts";
import { ClusterLimits, isLimited } from "./cluster_limits.ts";
import type { Names } from "./names.ts";
import type { UpstreamConnection } from "./upstream.ts";

export type Endpoint = EndpointHandle<UpstreamConnection, Http2Pool>;

/** Mesh default of dnsRefreshRate. */
const DNS_REFRESH_MS = 60_000;
/** ORIGINAL_DST endpoints without a request or connection are forgotten beyond this many. */
const MAX_DIRECT_ENDPOINTS = 1024;
/** A pick looks this often for an endpoint that was not tried yet (Istio's host_selection_retry_max_attempts). */
const DEFAULT_HOST_ATTEMPTS = 5;

export class ClusterHandle {
  cluster: Cluster;
  connectTimeoutMs = 10_000;
  /** No fixed endpoints: goes to the address that the request names. */
  direct = false;
  /** Null when the cluster never had any. */
  limits: ClusterLimits | null = null;
  #terms: ConnectionTerms = NO_TERMS;
  #assignment: ClusterLoadAssignment | undefined;
  #world: World | null = null;
  #balancer: Balancer<Endpoint> | null = null;
  #endpoints: readonly Endpoint[] = [];
  readonly #byKey = new Map<string, Endpoint>();
  /** Names behind the endpoints of DNS clusters, and the answers that the endpoints were made from. */
  #answers: (readonly string[])[] = [];

  constructor(cluster: Cluster, readonly names: Names, readonly rng: Rng) {
    this.cluster = cluster;
  }

  get isDns(): boolean {
    return this.cluster.type === "STRICT_DNS" || this.cluster.type === "LOGICAL_DNS";
  }

  /** Is the cluster spoken to in HTTP/2, for a client that speaks it or not? */
  speaksHttp2(clientDoes: boolean): boolean {
    const protocol = this.cluster.httpProtocolOptions?.protocol;
    return protocol === "HTTP2" || clientDoes && protocol === "USE_DOWNSTREAM";
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** Takes over what a new world says; nothing happens when the cluster is the same. */
  update(world: World, cluster: Cluster): void {
    if (this.#world === world) return;
    const first = this.#world === null;
    this.#world = world;
    const assignment = cluster.loadAssignment ??
      world.program.loadAssignments.get(cluster.edsServiceName ?? cluster.name);
    if (!first && cluster === this.cluster && assignment === this.#assignment) return;
    const samePolicy = !first && cluster.lbPolicy === this.cluster.lbPolicy;
    const sameEndpoints = !first && assignment === this.#assignment && cluster.type === this.cluster.type;
    this.cluster = cluster;
    this.#assignment = assignment;
    this.connectTimeoutMs = parseDuration(cluster.connectTimeout) ?? 10_000;
    this.direct = cluster.type === "ORIGINAL_DST";
    this.#terms = termsOf(cluster);
    for (const endpoint of this.#byKey.values()) endpoint.terms = this.#terms;
    this.#limit(cluster);
    if (samePolicy && sameEndpoints) return;
    this.#answers = [];
    if (!this.isDns) {
      this.#rebuild(this.#usable().map((e) => [e.address, e.port, e.loadBalancingWeight ?? 1]));
    }
  }

  #limit({ circuitBreakers }: Cluster): void {
    const limited = isLimited(circuitBreakers);
    if (limited) this.limits ??= new ClusterLimits(this.#byKey);
    this.limits?.update(limited ? circuitBreakers : undefined);
  }

  /** DNS clusters: waits for the first answers; later ones are taken up as they come. */
  async prepare(): Promise<void> {
    const refreshMs = parseDuration(this.cluster.dnsRefreshRate ?? "") ?? DNS_REFRESH_MS;
    const usable = this.#usable();
    const logical = this.cluster.type === "LOGICAL_DNS";
    let changed = this.#answers.length !== usable.length;
    const answers: (readonly string[])[] = [];
    let failure: unknown;
    for (let i = 0; i < usable.length; i++) {
      const asked = this.names.resolve(usable[i]!.address, Math.max(refreshMs, 1000));
      try {
        answers.push(asked instanceof Promise ? await asked : asked);
      } catch (cause) {
        failure = cause;
        answers.push([]);
      }
      if (answers[i] !== this.#answers[i]) changed = true;
    }
    if (answers.every((a) => a.length === 0) && failure !== undefined) throw failure;
    if (!changed) return;
    this.#answers = answers;
    const list: [string, number, number][] = [];
    for (let i = 0; i < usable.length; i++) {
      const { port, loadBalancingWeight } = usable[i]!;
      for (const address of logical ? answers[i]!.slice(0, 1) : answers[i]!) {
        list.push([address, port, loadBalancingWeight ?? 1]);
      }
    }
    this.#rebuild(list);
  }

  /** Picks an endpoint, avoiding those in `tried` as long as luck allows. */
  pick(tried: readonly Endpoint[], attempts = DEFAULT_HOST_ATTEMPTS): Endpoint | null {
    const balancer = this.#balancer;
    if (balancer === null) return null;
    let endpoint = balancer.pick();
    if (tried.length === 0 || endpoint === null) return endpoint;
    for (let i = 0; i < attempts && tried.includes(endpoint as Endpoint); i++) endpoint = balancer.pick();
    return endpoint;
  }

  /** The endpoint for an address that a request named. */
  endpointOf(address: string, port: number): Endpoint {
    const key = `${address} ${port}`;
    let endpoint = this.#byKey.get(key);
    if (endpoint === undefined) {
      if (this.#byKey.size >= MAX_DIRECT_ENDPOINTS) this.#forgetUnused();
      endpoint = new EndpointHandle<UpstreamConnection, Http2Pool>(address, port, 1);
      endpoint.terms = this.#terms;
      this.#byKey.set(key, endpoint);
    }
    return endpoint;
  }

  retire(): void {
    for (const endpoint of this.#byKey.values()) endpoint.retire();
    this.#byKey.clear();
    this.#balancer = null;
    this.#endpoints = [];
    this.#world = null;
  }

  /** Endpoints of the best priority that has a healthy one. */
  #usable(): readonly LbEndpoint[] {
    const byPriority = new Map<number, LbEndpoint[]>();
    for (const locality of this.#assignment?.endpoints ?? []) {
      if (locality.loadBalancingWeight === 0) continue;
      const list = byPriority.get(locality.priority ?? 0) ?? [];
      for (const e of locality.lbEndpoints) {
        const health = e.healthStatus ?? "UNKNOWN";
        if (health === "UNKNOWN" || health === "HEALTHY" || health === "DEGRADED") list.push(e);
      }
      byPriority.set(locality.priority ?? 0, list);
    }
    for (const priority of [...byPriority.keys()].sort((a, b) => a - b)) {
      const list = byPriority.get(priority)!;
      if (list.length > 0) return list;
    }
    return [];
  }

  #rebuild(list: readonly (readonly [string, number, number])[]): void {
    const endpoints: Endpoint[] = [];
    const keep = new Set<string>();
    for (const [address, port, weight] of list) {
      const key = `${address} ${port}`;
      if (keep.has(key)) continue;
      keep.add(key);
      let endpoint = this.#byKey.get(key);
      if (endpoint === undefined) {
        endpoint = new EndpointHandle<UpstreamConnection, Http2Pool>(address, port, Math.max(1, weight));
        endpoint.terms = this.#terms;
        this.#byKey.set(key, endpoint);
      }
      endpoint.weight = Math.max(1, weight);
      endpoints.push(endpoint);
    }
    for (const [key, endpoint] of this.#byKey) {
      if (keep.has(key)) continue;
      this.#byKey.delete(key);
      endpoint.retire();
    }
    this.#endpoints = endpoints;
    this.#balancer = createBalancer(this.cluster.lbPolicy, endpoints, this.rng);
  }

  #forgetUnused(): void {
    for (const [key, endpoint] of this.#byKey) {
      if (endpoint.connections === 0 && endpoint.active === 0) this.#byKey.delete(key);
    }
  }
}

/** Where a host that no rule knows goes when the policy allows it, and the program itself has no such cluster. */
const PASSTHROUGH: Cluster = {
  name: PASSTHROUGH_CLUSTER,
  type: "ORIGINAL_DST",
  lbPolicy: "CLUSTER_PROVIDED",
  connectTimeout: "10s",
  httpProtocolOptions: { protocol: "USE_DOWNSTREAM" },
};

export class Clusters {
  readonly #handles = new Map<string, ClusterHandle>();
  #world: World | null = null;

  constructor(readonly names: Names, readonly rng: Rng) {}

  get size(): number {
    return this.#handles.size;
  }

  /** The state of a cluster in that world; undefined when the world does not have it. */
  get(world: World, name: string): ClusterHandle | undefined {
    if (world !== this.#world) this.#sweep(world);
    const known = this.#handles.get(name);
    const cluster = world.program.clusters.get(name) ??
      (name === PASSTHROUGH_CLUSTER ? PASSTHROUGH : undefined);
    if (cluster === undefined || name === BLACKHOLE_CLUSTER) return undefined;
    const handle = known ?? new ClusterHandle(cluster, this.names, this.rng);
    if (known === undefined) this.#handles.set(name, handle);
    handle.update(world, cluster);
    return handle;
  }

  /** Requests of an older world may still ask; they get what there is, and sweeping goes by the newest world only. */
  #sweep(world: World): void {
    if (this.#world !== null && world.revision < this.#world.revision) return;
    this.#world = world;
    for (const [name, handle] of this.#handles) {
      if (world.program.clusters.has(name) || name === PASSTHROUGH_CLUSTER) continue;
      this.#handles.delete(name);
      handle.retire();
    }
  }

  /** Every endpoint with its state, for dumps. */
  *handles(): Iterable<ClusterHandle> {
    yield* this.#handles.values();
  }

  /** Clusters that have limits, by name. */
  limits(): ReadonlyMap<string, ClusterLimits> {
    const limited = new Map<string, ClusterLimits>();
    for (const [name, { limits }] of this.#handles) if (limits !== null) limited.set(name, limits);
    return limited;
  }

  close(): void {
    for (const handle of this.#handles.values()) handle.retire();
    this.#handles.clear();
  }
}
