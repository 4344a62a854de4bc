/**
 * Listeners and route tables: a new one is held back while it leads to clusters without endpoints, and the one before stays
 * in force; a listener also waits for its tables (istio-semantics 5.4.2, 5.4.6).
 *
 * LDS and RDS values in; tables and listeners in force out.
 */
import { type Diagnostic, diagnostic } from "../core/diagnostics.ts";
import { normalAddress } from "../core/ip.ts";
import type { Listener, RouteConfiguration } from "../model/model.ts";
import type { HostChoice } from "./host_choice.ts";
import {
  chainsOf,
  clustersOfChain,
  clustersOfHost,
  inlineTablesOf,
  isInbound,
  tablesOf,
} from "./references.ts";
import type { Generation } from "./types.ts";
import { initialFetchTimeoutMs } from "./quirks.ts";

/** A table or listener, in force or held. */
interface Unit<T> {
  /** As it was taken in. */
  readonly source: T;
  /** With what `discovery.hosts` keeps, under our name. */
  readonly value: T;
  /** When an answer last said so. */
  revision: number;
  /** Held: virtual hosts before this one lead to warm clusters. */
  checked: number;
}

/** The table of the explicit proxy, for all ports. */
const HTTP_PROXY = "http_proxy";

export interface Warmth {
  /** CDS has spoken. */
  readonly spoken: boolean;
  isCold(cluster: string): boolean;
  /** Clusters that CDS has and that wait for endpoints. */
  readonly cold: { readonly size: number };
}

export class HeldRoutes {
  readonly #generation: Generation;
  readonly #choice: HostChoice | undefined;
  readonly #saidListeners = new Map<string, Listener>();
  readonly #saidTables = new Map<string, RouteConfiguration>();
  readonly #inline = new Map<string, RouteConfiguration>();
  readonly #tables = new Map<string, Unit<RouteConfiguration>>();
  readonly #heldTables = new Map<string, Unit<RouteConfiguration>>();
  readonly #listeners = new Map<string, Unit<Listener>>();
  readonly #heldListeners = new Map<string, Unit<Listener>>();
  /** Tables wanted and not there yet -> until when they are waited for. */
  readonly #missing = new Map<string, number>();
  #wanted: ReadonlySet<string> = new Set();
  #wantedSorted: readonly string[] = [];
  #tablesInForce: ReadonlyMap<string, RouteConfiguration> | undefined;
  #listenersInForce: ReadonlyMap<string, Listener> | undefined;
  /** Answers taken in. */
  revision = 0;
  spoken = false;
  tablesSpoken = false;

  constructor(generation: Generation, choice: HostChoice | undefined) {
    this.#generation = generation;
    this.#choice = choice;
  }

  /** Of two listeners on one address the second is refused (the one that had it is the first). */
  takeListeners(
    resources: ReadonlyMap<string, Listener>,
    removed: readonly string[],
    absentGo: ((name: string) => boolean) | undefined,
    nowMs: number,
  ): readonly Diagnostic[] {
    this.spoken = true;
    this.revision++;
    const said = this.#saidListeners;
    if (absentGo !== undefined) { for (const name of said.keys()) if (absentGo(name)) said.delete(name); }
    for (const name of removed) if (!resources.has(name)) said.delete(name);
    const problems = this.#claimAddresses(resources);
    for (const [name, unit] of this.#listeners) {
      if (absentGo !== undefined || resources.has(name)) unit.revision = this.revision;
    }
    this.#inline.clear();
    const tables = new Set([HTTP_PROXY]);
    for (const listener of said.values()) {
      if (isInbound(listener)) continue;
      for (const name of tablesOf(listener)) if (this.#choice?.keepsTable(name) !== false) tables.add(name);
      for (const table of inlineTablesOf(listener)) {
        const name = this.nameOf(table.name);
        if (name.startsWith("inbound|") || this.#inline.has(name)) continue;
        this.#inline.set(name, table);
        const inForce = this.#tables.get(name);
        if (inForce !== undefined && !this.#saidTables.has(name)) inForce.revision = this.revision;
      }
    }
    for (const name of this.#saidTables.keys()) if (!tables.has(name)) this.#saidTables.delete(name);
    for (const name of this.#missing.keys()) if (!tables.has(name)) this.#missing.delete(name);
    const before = this.#wanted;
    for (const name of tables) {
      if (before.has(name) || this.#inline.has(name)) continue;
      // The explicit proxy's table is a supplement, unless there is no other.
      if (name === HTTP_PROXY && tables.size + this.#inline.size > 1) continue;
      this.#missing.set(name, nowMs + initialFetchTimeoutMs(this.#generation));
    }
    if (tables.size !== before.size || [...tables].some((name) => !before.has(name))) {
      this.#wanted = tables;
      this.#wantedSorted = [...tables].sort();
    }
    return problems;
  }

  /** What is not wanted is passed over; a wanted table that the control plane removes stays, as in Envoy. */
  takeTables(resources: ReadonlyMap<string, RouteConfiguration>, unusable: readonly string[]): void {
    this.tablesSpoken = true;
    this.revision++;
    for (const [said, table] of resources) {
      const name = this.nameOf(said);
      if (!this.#wanted.has(name)) continue;
      this.#saidTables.set(name, table);
      this.#missing.delete(name);
      const inForce = this.#tables.get(name);
      if (inForce !== undefined) inForce.revision = this.revision;
    }
    for (const name of unusable) this.#missing.delete(this.nameOf(name));
  }

  /** Pilot 0.8 asked for `http_proxy` answers with a table named `0`, and calls it so inside listeners. */
  nameOf(said: string): string {
    return this.#generation === "v2" && said === "0" ? HTTP_PROXY : said;
  }

  /** Clusters may have become cold (CDS spoke): held tables are looked through again. */
  restart(): void {
    for (const unit of this.#heldTables.values()) unit.checked = 0;
  }

  /** Ends the waiting for tables whose time is over; true when there was one. Not before RDS spoke at all. */
  expire(nowMs: number): boolean {
    let expired = false;
    if (!this.tablesSpoken) return expired;
    for (const [name, deadlineMs] of this.#missing) {
      if (deadlineMs <= nowMs) expired = this.#missing.delete(name);
    }
    return expired;
  }

  /** Sets against each other what was said and what is in force; what is new is held until {@link promote}. */
  propose(): void {
    for (const name of new Set([...this.#wanted, ...this.#inline.keys()])) {
      const source = this.#saidTables.get(name) ?? this.#inline.get(name);
      if (source === undefined) continue;
      this.#propose(name, source, this.#tables, this.#heldTables, (table) => {
        const chosen = this.#choice?.choose(table) ?? table;
        return chosen.name === name ? chosen : { ...chosen, name };
      });
    }
    for (const name of this.#heldTables.keys()) {
      if (!this.#saidTables.has(name) && !this.#inline.has(name)) this.#heldTables.delete(name);
    }
    const chosen = new Set<string>();
    for (const [name, listener] of this.#saidListeners) {
      if (isInbound(listener)) continue;
      const value = this.#choice === undefined ? listener : this.#choice.chooseChains(listener);
      if (value === undefined) continue;
      chosen.add(name);
      this.#propose(name, listener, this.#listeners, this.#heldListeners, () => value);
    }
    for (const name of this.#heldListeners.keys()) if (!chosen.has(name)) this.#heldListeners.delete(name);
    for (const name of this.#listeners.keys()) {
      if (chosen.has(name)) continue;
      this.#listeners.delete(name);
      this.#listenersInForce = undefined;
    }
  }

  /** Puts in force what leads to warm clusters; true when that was something. */
  promote(warmth: Warmth): boolean {
    let promoted = false;
    if (!warmth.spoken) return promoted;
    for (const [name, unit] of this.#heldTables) {
      if (!leadsToWarm(unit, warmth)) continue;
      this.#heldTables.delete(name);
      this.#tables.set(name, unit);
      this.#tablesInForce = undefined;
      promoted = true;
    }
    const awaited = (table: string): boolean =>
      !this.#tables.has(table) && (this.#missing.has(table) || this.#heldTables.has(table));
    for (const [name, unit] of this.#heldListeners) {
      if (tablesOf(unit.value).some(awaited)) continue;
      if (clustersOfListener(unit.value).some((cluster) => warmth.isCold(cluster))) continue;
      this.#heldListeners.delete(name);
      this.#listeners.set(name, unit);
      this.#listenersInForce = undefined;
      promoted = true;
    }
    this.#dropTables();
    return promoted;
  }

  /** Every table and listener in force: the clusters it leads to, and whether a newer one is held back. */
  *inForce(): Iterable<
    { readonly revision: number; readonly superseded: boolean; readonly clusters: Iterable<string> }
  > {
    for (const [name, { revision, value }] of this.#tables) {
      yield { revision, superseded: this.#heldTables.has(name), clusters: clustersOfTable(value) };
    }
    for (const [name, { revision, value }] of this.#listeners) {
      yield { revision, superseded: this.#heldListeners.has(name), clusters: clustersOfListener(value) };
    }
  }

  /** Clusters that tables and listeners lead to, in force or held. */
  clustersNamed(): Set<string> {
    const names = new Set<string>();
    for (const units of [this.#tables, this.#heldTables]) {
      for (const { value } of units.values()) for (const name of clustersOfTable(value)) names.add(name);
    }
    for (const units of [this.#listeners, this.#heldListeners]) {
      for (const { value } of units.values()) for (const name of clustersOfListener(value)) names.add(name);
    }
    return names;
  }

  get wanted(): readonly string[] {
    return this.#wantedSorted;
  }

  get missing(): ReadonlyMap<string, number> {
    return this.#missing;
  }

  get held(): readonly string[] {
    return [...this.#heldTables.keys()];
  }

  get saidListeners(): ReadonlyMap<string, Listener> {
    return this.#saidListeners;
  }

  get saidTables(): ReadonlyMap<string, RouteConfiguration> {
    return this.#saidTables;
  }

  /** Sorted by name. */
  get tables(): ReadonlyMap<string, RouteConfiguration> {
    return this.#tablesInForce ??= valuesOf(this.#tables);
  }

  /** Sorted by name. */
  get listeners(): ReadonlyMap<string, Listener> {
    return this.#listenersInForce ??= valuesOf(this.#listeners);
  }

  /** As they were said, inbound ones too. */
  get said(): Iterable<Listener> {
    return this.#saidListeners.values();
  }

  #claimAddresses(resources: ReadonlyMap<string, Listener>): readonly Diagnostic[] {
    const said = this.#saidListeners;
    const owners = new Map<string, string>();
    for (const [name, listener] of said) {
      const now = resources.get(name);
      if (now === undefined || addressOf(now) === addressOf(listener)) owners.set(addressOf(listener), name);
    }
    const problems: Diagnostic[] = [];
    for (const [name, listener] of resources) {
      const address = addressOf(listener);
      const owner = owners.get(address);
      if (owner !== undefined && owner !== name) {
        problems.push(
          diagnostic(
            "D212",
            `Cannot use listener "${name}" at ${address}: "${owner}" is there already; want one listener an address`,
            { kind: "Listener", resource: name, field: "address", ...versionOf(listener) },
          ),
        );
        continue;
      }
      owners.set(address, name);
      said.set(name, listener);
    }
    return problems;
  }

  /** What no listener has any more goes; a listener in force whose successor is held keeps its tables. */
  #dropTables(): void {
    const used = new Set([...this.#wanted, ...this.#inline.keys()]);
    for (const { value } of this.#listeners.values()) for (const name of tablesOf(value)) used.add(name);
    for (const name of this.#tables.keys()) {
      if (used.has(name)) continue;
      this.#tables.delete(name);
      this.#tablesInForce = undefined;
    }
  }

  #propose<T>(
    name: string,
    source: T,
    inForce: ReadonlyMap<string, Unit<T>>,
    held: Map<string, Unit<T>>,
    valueOf: (source: T) => T,
  ): void {
    if (inForce.get(name)?.source === source) held.delete(name);
    else if (held.get(name)?.source !== source) {
      held.set(name, { source, value: valueOf(source), revision: this.revision, checked: 0 });
    }
  }
}

/** Goes on where it stopped: while it is held, warm clusters stay warm. */
function leadsToWarm(unit: Unit<RouteConfiguration>, warmth: Warmth): boolean {
  if (warmth.cold.size === 0) return true;
  const hosts = unit.value.virtualHosts;
  for (; unit.checked < hosts.length; unit.checked++) {
    const host = hosts[unit.checked];
    if (host !== undefined && clustersOfHost(host).some((name) => warmth.isCold(name))) return false;
  }
  return true;
}

function* clustersOfTable({ virtualHosts }: RouteConfiguration): Iterable<string> {
  for (const host of virtualHosts) yield* clustersOfHost(host);
}

function clustersOfListener(listener: Listener): readonly string[] {
  return chainsOf(listener).flatMap(clustersOfChain);
}

function valuesOf<T>(units: ReadonlyMap<string, Unit<T>>): ReadonlyMap<string, T> {
  const values = new Map<string, T>();
  for (const name of [...units.keys()].sort()) values.set(name, (units.get(name) as Unit<T>).value);
  return values;
}

function addressOf({ address, port }: Listener): string {
  const host = normalAddress(address) ?? address;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function versionOf({ origin }: Listener): { version?: string } {
  return origin?.version === undefined ? {} : { version: origin.version };
}
