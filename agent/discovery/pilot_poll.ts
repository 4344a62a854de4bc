/**
 * One poll of Pilot's v1 API, and what is known from all polls so far.
 *
 * In: an HttpClient and an address. Out: the answers that are in force. The order of a poll is that of make before break:
 * registration, listeners, clusters, the route tables that listeners name, endpoints of the subsets that routes name. Each
 * path keeps its last good answer (pilot_ask.ts); a new table waits until its clusters and their endpoints are known, and
 * a cluster that a table in force still names stays.
 *
 * Where listeners were served and are not any more (404: Pilot 0.8 was replaced by 1.0), the routes go when three polls
 * running say so.
 */
import { type Diagnostic, diagnostic, type Origin } from "../core/diagnostics.ts";
import { MeshError } from "../core/errors.ts";
import type { HttpClient } from "../core/ports.ts";
import type { Cluster, ClusterLoadAssignment, Program, RouteConfiguration } from "../model/model.ts";
import type { ControlPlaneAddress } from "../settings/types.ts";
import type { Node } from "../xds/types.ts";
import { clusterSteps, type DecodedClusters } from "../xds/v1/clusters.ts";
import { decodeListeners, type Listeners } from "../xds/v1/listeners.ts";
import { createV1Programs, hostFilter, namedClusters, type V1Options } from "../xds/v1/program.ts";
import { type DecodedRegistration, decodeHosts, registrationSteps } from "../xds/v1/registration.ts";
import { routeSteps, type RouteTable } from "../xds/v1/routes.ts";
import { parseServiceKey, pathPart } from "../xds/v1/service_key.ts";
import {
  type Ask,
  type AskOptions,
  CONFIRMATIONS,
  createAsk,
  inSlices,
  type Known,
  type Outcome,
  type Question,
} from "./pilot_ask.ts";

/** After this many polls Pilot is asked again for what it did not serve. */
export const PROBE_POLLS = 10;

const REGISTRATION = "/v1/registration";

export interface PollOptions extends V1Options, AskOptions {
  readonly node: Node;
  /** False: only the registration is asked for, others bring the rules. */
  readonly rules: boolean;
}

export class V1Poller {
  readonly #ask: Ask;
  readonly #options: PollOptions;
  readonly #programs;
  readonly #wants: (host: string) => boolean;
  readonly #registration: Known<DecodedRegistration> = {};
  readonly #listeners: Known<Listeners> = {};
  readonly #clusters: Known<DecodedClusters> = {};
  readonly #tables = new Map<string, Known<RouteTable>>();
  readonly #subsets = new Map<string, Known<ClusterLoadAssignment>>();
  /** What requests are decided by. */
  #tablesInForce = new Map<string, RouteConfiguration>();
  #clustersInForce: ReadonlyMap<string, Cluster> = new Map();
  #waiting: readonly Diagnostic[] = [];
  #synced = false;
  #absences = 0;
  /** Whether the address serves listeners, clusters and routes; undefined: not known yet. */
  #serves: boolean | undefined;
  #pollsUntilProbe = 0;
  /** Something is new since the last program. */
  #changed = true;
  /** Something is new since tables were last put in force. */
  #rulesChanged = true;
  #keys = new Set<string>();
  #built: { program: Program; problems: readonly Diagnostic[] } | undefined;
  #address: ControlPlaneAddress | undefined;

  constructor(http: HttpClient, options: PollOptions) {
    this.#ask = createAsk(http, options);
    this.#options = options;
    this.#programs = createV1Programs(options);
    this.#wants = hostFilter(options);
  }

  /** Asks everything once. Rejects with MeshError when the address is of no use; what it had answered until then is kept. */
  async poll(address: ControlPlaneAddress): Promise<void> {
    try {
      await this.#pollAll(address);
    } finally {
      const { board, rules } = this.#options;
      board.note = !rules ? "services only" : this.#serves === undefined ? undefined : limits(this.#serves);
    }
  }

  async #pollAll(address: ControlPlaneAddress): Promise<void> {
    if (address !== this.#address) this.#pollsUntilProbe = 0;
    this.#address = address;
    await this.#pollRegistration(address);
    // A Pilot that knows no services yet knows no routes either.
    if (!this.#options.rules || this.#registration.failure !== undefined) return;
    if (this.#serves === false && this.#pollsUntilProbe-- > 0) return;
    await this.#pollRules(address);
  }

  /** The next poll asks again for what was not served. */
  probe(): void {
    this.#pollsUntilProbe = 0;
  }

  /** Everything that is wanted was answered once; stays true. */
  get synced(): boolean {
    return this.#synced ||= this.#isComplete();
  }

  #isComplete(): boolean {
    if (this.#registration.value === undefined) return false;
    if (!this.#options.rules || this.#serves === false) return true;
    if (this.#listeners.value?.tables.every((name) => this.#tablesInForce.has(name)) !== true) return false;
    for (const known of this.#subsets.values()) if (known.value === undefined) return false;
    return this.#clusters.value !== undefined;
  }

  /** The program of what is known; the same object when nothing changed. Call it when `synced`. */
  async program(): Promise<Program> {
    if (!this.#changed && this.#built !== undefined) return this.#built.program;
    const { listeners, inbound } = this.#serves === true && this.#listeners.value || {};
    const subsets = new Map<string, ClusterLoadAssignment>();
    for (const [key, { value }] of this.#subsets) if (value !== undefined) subsets.set(key, value);
    const steps = this.#programs.buildSteps({
      services: this.#registration.value?.services ?? new Map(),
      ...(listeners === undefined || inbound === undefined
        ? {}
        : { rules: { clusters: this.#clustersInForce, tables: this.#tablesInForce, listeners, inbound } }),
      subsets,
      origin: origin("Registration", REGISTRATION, this.#registration.version ?? ""),
    });
    const built = await inSlices(steps, this.#options.slices);
    this.#built = built;
    this.#changed = false;
    return built.program;
  }

  /** Standing findings in what is known. */
  problems(): readonly Diagnostic[] {
    const found: Diagnostic[] = [];
    const add = (known: Known<unknown>) => {
      if (known.failure !== undefined) found.push(known.failure);
    };
    add(this.#registration);
    found.push(...this.#registration.value?.problems ?? [], ...this.#built?.problems ?? []);
    if (!this.#options.rules) return found;
    add(this.#listeners);
    if (this.#serves === true) {
      for (const known of [this.#clusters, ...this.#tables.values(), ...this.#subsets.values()]) add(known);
      found.push(...this.#listeners.value?.problems ?? [], ...this.#listeners.value?.notes ?? []);
      found.push(...this.#clusters.value?.problems ?? []);
      for (const { value } of this.#tables.values()) {
        found.push(...value?.problems ?? [], ...value?.notes ?? []);
      }
      found.push(...this.#waiting);
    }
    if (this.#serves !== undefined) {
      found.push(diagnostic("D222", limits(this.#serves), { kind: "Registration" }));
    }
    return found;
  }

  /** Counts for `stats` of a publication. */
  counts(): Readonly<Record<string, number>> {
    const services = this.#registration.value?.services ?? new Map<string, never>();
    let endpoints = 0;
    for (const { assignment } of services.values()) {
      for (const { lbEndpoints } of assignment.endpoints) endpoints += lbEndpoints.length;
    }
    return { services: services.size, endpoints, tables: this.#tablesInForce.size };
  }

  /** Asks, and notes what is new. */
  async #note<T extends object>(
    address: ControlPlaneAddress,
    known: Known<T>,
    question: Question<T>,
  ): Promise<Outcome> {
    const outcome = await this.#ask(address, known, question);
    if (outcome === "new") this.#changed = this.#rulesChanged = true;
    return outcome;
  }

  async #pollRegistration(address: ControlPlaneAddress): Promise<void> {
    const known = this.#registration;
    const outcome = await this.#note(address, known, {
      kind: "registration",
      optional: true,
      path: REGISTRATION,
      decode: (json, version) =>
        registrationSteps(
          json,
          origin("Registration", REGISTRATION, version),
          known.value?.services,
        ),
      sizeOf: ({ services }) => services.size,
    });
    this.#options.board.holds("registration", known.value?.services.size ?? 0, "*");
    if (outcome === "absent") {
      throw new MeshError(
        "D220",
        `Cannot ask "${address.text}" for services: it answers 404 to ${REGISTRATION}; want Pilot's v1 API`,
      );
    }
    if (outcome === "bad" && known.failure !== undefined && known.failure.code !== "D230") {
      throw new MeshError(known.failure.code, known.failure.message);
    }
  }

  async #pollRules(address: ControlPlaneAddress): Promise<void> {
    const { board, node } = this.#options;
    const tail = `${pathPart(node.cluster)}/${pathPart(node.id)}`;
    // Without services there is nothing that a listener could be for.
    const doubtful = this.#registration.value?.services.size !== 0;
    const listeners = this.#listeners;
    const path = `/v1/listeners/${tail}`;
    const outcome = await this.#note(address, listeners, {
      kind: "listeners",
      optional: true,
      path,
      decode: function* (json, version) {
        yield;
        return decodeListeners(json, origin("Listener", "", version), listeners.value);
      },
      ...(doubtful ? { sizeOf: ({ tables }) => tables.length } : {}),
    });
    if (outcome === "absent") return this.#noteAbsence(address, path);
    this.#absences = 0;
    if (listeners.value === undefined) return;
    this.#serves = true;
    board.holds("listeners", listeners.value.listeners.size, "*");
    const clusters = this.#clusters;
    await this.#note(address, clusters, {
      kind: "clusters",
      path: `/v1/clusters/${tail}`,
      decode: (json, version) => clusterSteps(json, origin("Cluster", "", version), clusters.value?.clusters),
      ...(doubtful ? { sizeOf: (value: DecodedClusters) => value.clusters.size } : {}),
    });
    board.holds("clusters", clusters.value?.clusters.size ?? 0, "*");
    await this.#pollTables(address, listeners.value, tail);
    if (this.#rulesChanged) this.#keys = this.#subsetKeys();
    await this.#pollSubsets(address, this.#keys);
    if (!this.#rulesChanged) return;
    // What waits is looked at again by the next poll.
    this.#putInForce();
    this.#rulesChanged = this.#waiting.length > 0;
  }

  async #pollTables(
    address: ControlPlaneAddress,
    { tables, faults }: Listeners,
    tail: string,
  ): Promise<void> {
    for (const name of this.#tables.keys()) {
      if (tables.includes(name)) continue;
      this.#tables.delete(name);
      this.#changed = this.#rulesChanged = true;
    }
    const wanted = (name: string) => this.#wants(parseServiceKey(name)?.host ?? name);
    for (const name of tables) {
      const known = entryOf(this.#tables, name);
      const own = faults.get(name) ?? [];
      await this.#note(address, known, {
        kind: "routes",
        path: `/v1/routes/${name}/${tail}`,
        decode: (json, version) =>
          routeSteps(
            name,
            json,
            { faults: own, wanted },
            origin("RouteConfiguration", name, version),
            known.value,
          ),
        // The listener is there for the hosts of this table.
        sizeOf: ({ configuration }) => configuration.virtualHosts.length,
        salt: own.length === 0 ? "" : JSON.stringify(own),
      });
    }
    this.#options.board.holds(
      "routes",
      [...this.#tables.values()].filter(({ value }) => value !== undefined).length,
      this.#tables.size,
    );
  }

  async #pollSubsets(address: ControlPlaneAddress, keys: ReadonlySet<string>): Promise<void> {
    for (const key of this.#subsets.keys()) if (!keys.has(key)) this.#subsets.delete(key);
    for (const key of keys) {
      await this.#note(address, entryOf(this.#subsets, key), {
        kind: "endpoints",
        path: `${REGISTRATION}/${pathPart(key)}`,
        decode: function* (json, version) {
          yield;
          const decoded = decodeHosts(json, key, origin("Registration", key, version));
          return decoded.assignment ?? decoded.problems[0];
        },
      });
    }
    this.#options.board.holds(
      "endpoints",
      [...this.#subsets.values()].filter(({ value }) => value !== undefined).length,
      keys.size,
    );
  }

  /** Service keys that routes lead to and that the registration does not list. */
  #subsetKeys(): Set<string> {
    const tables = [...this.#tables.values()].flatMap(({ value }) => value?.configuration ?? []);
    const listed = this.#registration.value?.services;
    const named = namedClusters([...tables, ...this.#tablesInForce.values()]);
    const keys = new Set<string>();
    for (const clusters of [this.#clusters.value?.clusters, this.#clustersInForce]) {
      for (const [name, { edsServiceName: key }] of clusters ?? []) {
        if (key !== undefined && named.has(name) && listed?.has(key) !== true) keys.add(key);
      }
    }
    return keys;
  }

  /** Tables whose clusters are all known go into force; another keeps what it was, if it was anything. */
  #putInForce(): void {
    const tables = new Map<string, RouteConfiguration>();
    const waiting: Diagnostic[] = [];
    for (const [name, { value, version }] of this.#tables) {
      const before = this.#tablesInForce.get(name);
      const next = value?.configuration ?? before;
      if (next === undefined) continue;
      const missing = before === undefined || before === next ? undefined : this.#missingFor(next);
      tables.set(name, missing === undefined || before === undefined ? next : before);
      if (missing === undefined) continue;
      waiting.push(diagnostic(
        "D212",
        `Cannot apply route table "${name}" yet: it names cluster "${missing}"; want that in /v1/clusters, with endpoints`,
        origin("RouteConfiguration", name, version ?? ""),
      ));
    }
    const clusters = new Map(this.#clusters.value?.clusters);
    for (const name of namedClusters(tables.values())) {
      const before = this.#clustersInForce.get(name);
      if (!clusters.has(name) && before !== undefined) clusters.set(name, before);
    }
    this.#tablesInForce = tables;
    this.#clustersInForce = clusters;
    this.#waiting = waiting;
  }

  /** The first cluster of a table that cannot be used yet. */
  #missingFor(table: RouteConfiguration): string | undefined {
    for (const name of namedClusters([table])) {
      const cluster = this.#clusters.value?.clusters.get(name);
      if (cluster === undefined) return name;
      const key = cluster.edsServiceName;
      if (key === undefined || this.#registration.value?.services.has(key)) continue;
      if (this.#subsets.get(key)?.value === undefined) return name;
    }
    return undefined;
  }

  #noteAbsence(address: ControlPlaneAddress, path: string): void {
    this.#pollsUntilProbe = PROBE_POLLS;
    if (this.#serves !== true) {
      this.#serves = false;
      return;
    }
    if (++this.#absences < CONFIRMATIONS) {
      this.#pollsUntilProbe = 0;
      this.#listeners.failure = diagnostic(
        "D230",
        `Cannot believe yet that "${address.text}" serves no routes any more: it answers 404 to ${path}; ` +
          `want the same answer ${CONFIRMATIONS} times in a row`,
        origin("Listener", path, ""),
      );
      return;
    }
    this.#serves = false;
    this.#changed = this.#rulesChanged = true;
    for (const known of [this.#listeners, this.#clusters]) {
      delete known.value;
      delete known.digest;
      delete known.failure;
    }
    this.#tables.clear();
    this.#subsets.clear();
    this.#tablesInForce = new Map();
    this.#clustersInForce = new Map();
    this.#waiting = [];
  }
}

function origin(kind: string, resource: string, version: string): Origin {
  return { kind, ...(resource === "" ? {} : { resource }), version };
}

/** The entry of a map; a new one when there is none. */
function entryOf<T>(map: Map<string, Known<T>>, name: string): Known<T> {
  let known = map.get(name);
  if (known === undefined) map.set(name, known = {});
  return known;
}

/** What v1 cannot give. */
function limits(serves: boolean): string {
  return serves
    ? "v1 knows RouteRule and DestinationPolicy only, VirtualService and DestinationRule do not act"
    : "this Pilot serves only the registration of v1, no rule acts and services are reached by default routes";
}
