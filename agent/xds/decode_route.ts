/**
 * RouteConfiguration of every generation -> the model, virtual host by virtual host, so that a table of 10,000 never holds up
 * the traffic. A virtual host whose bytes are those of the table before is the same object again: nothing of it is decoded,
 * and `route/` keeps what it compiled of it. Its origin then still tells the version that brought it.
 *
 * In: the bytes of the resource, and the table that they replace. Out: a {@link RouteDecoding}; problems are those that Envoy
 * would refuse the table for (no domains, a domain twice, no path, weights of sum 0, a bad regex), and conditions that the
 * agent cannot test. Field paths are proto names with indices.
 *
 * @example
 * ```ts ignore
 * const decoding = decodeRouteConfiguration(schema, raw, { kind: "RouteConfiguration", resource: "8084", version }, before);
 * while (decoding.step()) await yieldWhenLate();
 * const result = decoding.result();
 * ```
 */
import type { Diagnostic, Origin } from "../core/diagnostics.ts";
import { fingerprint } from "../core/fingerprint.ts";
import type { RequestMirrorPolicy, RouteConfiguration, VirtualHost } from "../model/model.ts";
import type { Messages, Schema } from "../../protos/schema.ts";
import { decodeMirrors } from "./decode_route_action.ts";
import { decodePerFilter } from "./decode_route_filters.ts";
import { decodeHeaders } from "./decode_route_headers.ts";
import { decodeVirtualHost, type TableDefaults } from "./decode_route_host.ts";
import { splitMessage } from "./table_bytes.ts";
import type { DecodeResult, RawResource, RouteDecoding } from "./types.ts";
import { type Findings, findings, NOT_EXECUTED } from "./values.ts";

const VIRTUAL_HOSTS = 2;
/** Kept virtual hosts whose domains one step compares. */
const COMPARED_PER_STEP = 500;
/** Virtual hosts known again in one step; a new one ends it. */
const KEPT_PER_STEP = 32;

/** What is remembered of a table for the one that replaces it. */
interface Memory {
  /** Of all that is not a virtual host. */
  readonly seed: number;
  /** Of each virtual host's bytes, by index. */
  readonly fingerprints: Float64Array;
  readonly notes: ReadonlyMap<VirtualHost, readonly Diagnostic[]>;
}

const memories = new WeakMap<RouteConfiguration, Memory>();

export function decodeRouteConfiguration(
  schema: Schema,
  raw: RawResource,
  origin: Origin,
  previous?: RouteConfiguration,
): RouteDecoding {
  return new TableDecoding(schema, raw.bytes, origin, previous);
}

class TableDecoding implements RouteDecoding {
  readonly #schema: Schema;
  readonly #bytes: Uint8Array;
  readonly #origin: Origin;
  readonly #found: Findings;
  readonly #table: Messages["RouteConfiguration"];
  readonly #defaults: TableDefaults;
  readonly #shared: Omit<RouteConfiguration, "virtualHosts">;
  /** Begin and end of each virtual host in the bytes. */
  readonly #spans: readonly number[];
  readonly #seed: number;
  readonly #previous: Previous | undefined;
  readonly #fingerprints: Float64Array;
  readonly #hosts: VirtualHost[] = [];
  readonly #kept: VirtualHost[] = [];
  readonly #notes = new Map<VirtualHost, readonly Diagnostic[]>();
  /** Domains of the virtual hosts that are new. */
  readonly #domains = new Map<string, string>();
  #compared = 0;

  constructor(schema: Schema, bytes: Uint8Array, origin: Origin, previous: RouteConfiguration | undefined) {
    const { spans, rest } = splitMessage(schema, bytes, VIRTUAL_HOSTS);
    this.#schema = schema;
    this.#bytes = bytes;
    this.#origin = origin;
    this.#spans = spans;
    this.#found = findings(origin, NOT_EXECUTED);
    this.#table = schema.decode("RouteConfiguration", rest);
    this.#defaults = tableDefaults(schema, this.#table, this.#found);
    this.#shared = tableFields(this.#table, this.#found);
    // What the table says for all its virtual hosts is part of what they became.
    this.#seed = fingerprint(rest, 0, rest.length, 0);
    this.#fingerprints = new Float64Array(spans.length / 2);
    const memory = previous === undefined ? undefined : memories.get(previous);
    this.#previous = previous === undefined || memory === undefined
      ? undefined
      : new Previous(previous, memory);
  }

  step(): boolean {
    const count = this.#spans.length / 2;
    const begin = this.#hosts.length;
    if (begin === count) return this.#compareKept();
    const end = Math.min(begin + KEPT_PER_STEP, count);
    for (let index = begin; index < end; index++) if (!this.#takeHost(index)) break;
    return true;
  }

  /** False when it had to be decoded. */
  #takeHost(index: number): boolean {
    const start = this.#spans[2 * index] as number;
    const end = this.#spans[2 * index + 1] as number;
    const print = fingerprint(this.#bytes, start, end, this.#seed);
    this.#fingerprints[index] = print;
    const kept = this.#previous?.take(print);
    if (kept !== undefined) {
      this.#hosts.push(kept);
      this.#kept.push(kept);
      const notes = this.#previous?.memory.notes.get(kept);
      if (notes !== undefined) this.#notes.set(kept, notes);
      return true;
    }
    const message = this.#schema.decode("VirtualHost", this.#bytes.subarray(start, end));
    const at = `virtual_hosts[${index}]`;
    const before = this.#found.notes.length;
    const host = decodeVirtualHost(this.#schema, message, at, this.#origin, this.#defaults, this.#found);
    this.#hosts.push(host);
    if (this.#found.notes.length > before) this.#notes.set(host, this.#found.notes.splice(before));
    claimDomains(host, at, this.#domains, this.#found);
    return false;
  }

  /** Kept virtual hosts do not repeat each other's domains, but may repeat those of new ones. False when all are compared. */
  #compareKept(): boolean {
    const kept = this.#kept;
    if (this.#domains.size === 0 || this.#compared === kept.length) return false;
    const end = Math.min(this.#compared + COMPARED_PER_STEP, kept.length);
    for (; this.#compared < end; this.#compared++) {
      const host = kept[this.#compared] as VirtualHost;
      for (const domain of host.domains) {
        const owner = this.#domains.get(domain);
        if (owner !== undefined) repeatedDomain(domain, host.name, owner, "virtual_hosts", this.#found);
      }
    }
    return true;
  }

  result(): DecodeResult<RouteConfiguration> {
    while (this.step());
    const { problems, notes } = this.#found;
    if (problems.length > 0) return { problems };
    const told = summarized([...notes, ...[...this.#notes.values()].flat()]);
    const same = this.#previous?.sameAs(this.#hosts, this.#seed);
    if (same !== undefined) return { value: same, notes: told };
    const value: RouteConfiguration = { ...this.#shared, virtualHosts: this.#hosts };
    memories.set(value, { seed: this.#seed, fingerprints: this.#fingerprints, notes: this.#notes });
    return { value, notes: told };
  }
}

/** The virtual hosts of the table before, taken out one by one by the fingerprint of their bytes. */
class Previous {
  readonly memory: Memory;
  readonly #table: RouteConfiguration;
  readonly #taken: Uint8Array;
  /** Where the next one stands when nothing was inserted or removed. */
  #next = 0;
  #byPrint: Map<number, number> | undefined;

  constructor(table: RouteConfiguration, memory: Memory) {
    this.memory = memory;
    this.#table = table;
    this.#taken = new Uint8Array(table.virtualHosts.length);
  }

  /** The table before, when a new one has exactly what it had. */
  sameAs(hosts: readonly VirtualHost[], seed: number): RouteConfiguration | undefined {
    const { virtualHosts } = this.#table;
    const same = seed === this.memory.seed && hosts.length === virtualHosts.length &&
      hosts.every((host, i) => host === virtualHosts[i]);
    return same ? this.#table : undefined;
  }

  take(print: number): VirtualHost | undefined {
    const { fingerprints } = this.memory;
    let index: number | undefined = this.#next;
    if (fingerprints[index] !== print) {
      this.#byPrint ??= indexOf(fingerprints);
      index = this.#byPrint.get(print);
      if (index === undefined) {
        // Most often changed in place.
        this.#next++;
        return undefined;
      }
    }
    if (this.#taken[index] === 1) return undefined;
    this.#taken[index] = 1;
    this.#next = index + 1;
    return this.#table.virtualHosts[index];
  }
}

function indexOf(fingerprints: Float64Array): Map<number, number> {
  const index = new Map<number, number>();
  for (let i = 0; i < fingerprints.length; i++) index.set(fingerprints[i] as number, i);
  return index;
}

/** A table inside a listener. `at` is its place there, `filter_chains[0].filters[1].typed_config.route_config`. */
export function decodeInlineRouteConfiguration(
  schema: Schema,
  table: Messages["RouteConfiguration"],
  at: string,
  origin: Origin,
  found: Findings,
): RouteConfiguration {
  const inner: Findings = {
    problems: found.problems,
    notes: found.notes,
    problem: (field, message) => found.problem(`${at}.${field}`, message),
    note: (field, message) => found.note(`${at}.${field}`, message),
  };
  const defaults = tableDefaults(schema, table, inner);
  const virtualHosts = table.virtual_hosts.map((host, i) =>
    decodeVirtualHost(schema, host, `virtual_hosts[${i}]`, { ...origin, field: at }, defaults, inner)
  );
  const owners = new Map<string, string>();
  virtualHosts.forEach((host, i) => claimDomains(host, `virtual_hosts[${i}]`, owners, inner));
  return { ...tableFields(table, inner), virtualHosts };
}

/** Enters the domains of a virtual host; one that has an owner is a problem. */
function claimDomains(host: VirtualHost, at: string, owners: Map<string, string>, found: Findings): void {
  host.domains.forEach((domain, i) => {
    const owner = owners.get(domain);
    if (owner === undefined) owners.set(domain, host.name);
    else repeatedDomain(domain, owner, host.name, `${at}.domains[${i}]`, found);
  });
}

function repeatedDomain(domain: string, first: string, second: string, field: string, found: Findings): void {
  found.problem(
    field,
    `Cannot give domain "${domain}" to virtual host "${second}": "${first}" has it; one owner is wanted`,
  );
}

function tableDefaults(
  schema: Schema,
  table: Messages["RouteConfiguration"],
  found: Findings,
): TableDefaults {
  const mirrors: readonly RequestMirrorPolicy[] = decodeMirrors(
    table.request_mirror_policies,
    "request_mirror_policies",
    found,
  );
  return { perFilter: decodePerFilter(schema, table, null, "", found), mirrors };
}

function tableFields(
  table: Messages["RouteConfiguration"],
  found: Findings,
): Omit<RouteConfiguration, "virtualHosts"> {
  if (table.vhost_header !== "") {
    found.problem(
      "vhost_header",
      `Cannot choose virtual hosts by header "${table.vhost_header}": the agent chooses by Host; no vhost_header is wanted`,
    );
  }
  if (table.ignore_path_parameters_in_path_matching) {
    found.problem(
      "ignore_path_parameters_in_path_matching",
      "Cannot match paths without their parameters: the agent matches whole paths; false is wanted",
    );
  }
  if (table.vhds !== null) {
    found.note("vhds", "Cannot ask for virtual hosts on demand: only those in the table are known");
  }
  return {
    name: table.name,
    ...(table.ignore_port_in_host_matching ? { ignorePortInHostMatching: true } : {}),
    ...decodeHeaders(table, "", found),
    ...(table.most_specific_header_mutations_wins ? { mostSpecificHeaderMutationsWins: true } : {}),
  };
}

/** Equal notes of many places told once, at the first. */
export function summarized(notes: readonly Diagnostic[]): readonly Diagnostic[] {
  if (notes.length < 2) return notes;
  const byMessage = new Map<string, { readonly first: Diagnostic; count: number }>();
  for (const note of notes) {
    const known = byMessage.get(note.message);
    if (known === undefined) byMessage.set(note.message, { first: note, count: 1 });
    else known.count++;
  }
  return Array.from(byMessage.values(), ({ first, count }) => {
    if (count === 1) return first;
    const places = count === 2 ? "1 more place" : `${count - 1} more places`;
    return { ...first, message: `${first.message} (here and at ${places})` };
  });
}
