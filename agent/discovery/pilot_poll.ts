/**
 * One poll of Pilot's v1 API, and what is known from all polls so far.
 *
 * In: an HttpClient and an address. Out: the answers that are in force. The order of a poll is that of make before break:
 * registration, listeners, clusters, the route tables that listeners name, endpoints of the subsets that routes name. Each
 * path keeps its last good answer; an answer whose digest is as before is not even parsed; a new table waits until all its
 * clusters and their endpoints are known.
 *
 * Never empty by accident: an empty registration after one with services counts only when {@link CONFIRMATIONS} polls running
 * say so (a Pilot that has just started answers `[]` until it knows its platform). The same holds for listeners that were
 * served and are not any more (404: Pilot 0.8 was replaced by 1.0).
 */
import { type Diagnostic, diagnostic, type Origin } from "../core/diagnostics.ts";
import { MeshError } from "../core/errors.ts";
import type { HttpAnswer, HttpClient } from "../core/ports.ts";
import type { ClusterLoadAssignment, Program, RouteConfiguration } from "../model/model.ts";
import type { ControlPlaneAddress } from "../settings/types.ts";
import type { Node } from "../xds/types.ts";
import { decodeClusters } from "../xds/v1/clusters.ts";
import { decodeListeners, type Listeners } from "../xds/v1/listeners.ts";
import {
  createV1Programs,
  hostFilter,
  namedClusters,
  type V1Options,
  type V1Rules,
} from "../xds/v1/program.ts";
import { parseJson } from "../xds/v1/reading.ts";
import { decodeHosts, decodeRegistration, type Registration } from "../xds/v1/registration.ts";
import { decodeRoutes, type RouteTable } from "../xds/v1/routes.ts";
import { parseServiceKey, pathPart } from "../xds/v1/service_key.ts";
import { digestOf } from "./digest.ts";
import type { V1Board, V1Kind } from "./pilot_status.ts";

/** One answer, from the connection to its last byte, ms. */
export const ANSWER_MS = 30_000;
/** Largest answer taken in, bytes: 10,000 services with 10 endpoints are about 10 MB. */
export const MAX_ANSWER_BYTES = 64 << 20;
/** Polls running that must say the same before something that was there is believed to be gone as a whole. */
export const CONFIRMATIONS = 3;
/** After this many polls Pilot is asked again for what it did not serve. */
export const PROBE_POLLS = 10;
/** Bodies above this are decoded in a turn of their own, bytes. */
const LARGE_BYTES = 256 << 10;

type Clusters = NonNullable<ReturnType<typeof decodeClusters>>;

/** What is known of a path. */
interface Known<T> {
  /** The last good answer. */
  value?: T;
  /** Of its body, and of what else it was decoded with. */
  digest?: string;
  version?: string;
  /** Why the last answer was not used. */
  failure?: Diagnostic;
}

type Outcome = "new" | "same" | "absent" | "bad";

export interface PollOptions extends V1Options {
  readonly node: Node;
  /** False: only the registration is asked for, others bring the rules. */
  readonly rules: boolean;
  readonly connectTimeoutMs: number;
  readonly board: V1Board;
  readonly yieldTurn: () => Promise<void>;
}

export class V1Poller {
  readonly #http: HttpClient;
  readonly #options: PollOptions;
  readonly #programs;
  readonly #wants: (host: string) => boolean;
  readonly #registration: Known<{ services: Registration; problems: readonly Diagnostic[] }> = {};
  readonly #listeners: Known<Listeners> = {};
  readonly #clusters: Known<Clusters> = {};
  readonly #tables = new Map<string, Known<RouteTable>>();
  readonly #subsets = new Map<string, Known<ClusterLoadAssignment>>();
  /** Tables that requests are decided by: those whose clusters were known when they came. */
  #inForce = new Map<string, RouteConfiguration>();
  #heldBack: readonly Diagnostic[] = [];
  #empties = 0;
  #absences = 0;
  /** Whether the address serves listeners, clusters and routes; undefined: not known yet. */
  #serves: boolean | undefined;
  #pollsUntilProbe = 0;
  #built: { program: Program; problems: readonly Diagnostic[] } | undefined;
  #address: ControlPlaneAddress | undefined;

  constructor(http: HttpClient, options: PollOptions) {
    this.#http = http;
    this.#options = options;
    this.#programs = createV1Programs(options);
    this.#wants = hostFilter(options);
  }

  /** Asks everything once. Rejects with MeshError when the address is of no use; what it had answered until then is kept. */
  async poll(address: ControlPlaneAddress): Promise<void> {
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

  /** Everything that is wanted was answered once. */
  get synced(): boolean {
    if (this.#registration.value === undefined) return false;
    if (!this.#options.rules || this.#serves === false) return true;
    return this.#rules() !== undefined;
  }

  /** The program of what is known; the same object when nothing changed. Call it when `synced`. */
  program(): Program {
    const rules = this.#serves === true ? this.#rules() : undefined;
    const registration = this.#registration.value;
    const subsets = new Map<string, ClusterLoadAssignment>();
    if (rules !== undefined) {
      for (const [key, known] of this.#subsets) if (known.value !== undefined) subsets.set(key, known.value);
    }
    this.#built = this.#programs.build({
      services: registration?.services ?? new Map(),
      ...(rules === undefined ? {} : { rules }),
      subsets,
      origin: this.#origin("Registration", "/v1/registration", this.#registration.version ?? ""),
    });
    return this.#built.program;
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
      found.push(...this.#heldBack);
    }
    if (this.#serves !== undefined) found.push(limits(this.#serves));
    return found;
  }

  /** Counts for `stats` of a publication. */
  counts(): Readonly<Record<string, number>> {
    let endpoints = 0;
    const services = this.#registration.value?.services ?? new Map<string, never>();
    for (const { assignment } of services.values()) {
      for (const { lbEndpoints } of assignment.endpoints) endpoints += lbEndpoints.length;
    }
    return { services: services.size, endpoints, tables: this.#inForce.size };
  }

  async #pollRegistration(address: ControlPlaneAddress): Promise<void> {
    const known = this.#registration;
    const path = "/v1/registration";
    const outcome = await this.#ask("registration", address, path, known, (json, version) => {
      const decoded = decodeRegistration(
        json,
        this.#origin("Registration", path, version),
        known.value?.services,
      );
      if (decoded?.services.size !== 0 || decoded.problems.length > 0) {
        this.#empties = 0;
        return decoded;
      }
      // The empty answer is not remembered before it counts, so that it is looked at again each time.
      if (known.value === undefined || known.value.services.size === 0) return decoded;
      if (++this.#empties >= CONFIRMATIONS) return decoded;
      return diagnostic(
        "D230",
        `Cannot believe yet that "${address.text}" has no services: its registration is empty, and there were ` +
          `${known.value.services.size} before; want the same answer ${CONFIRMATIONS} times in a row`,
        this.#origin("Registration", path, version),
      );
    });
    this.#options.board.holds("registration", known.value?.services.size ?? 0, "*");
    if (outcome === "same" && known.value?.services.size !== 0) this.#empties = 0;
    if (outcome === "absent") {
      throw new MeshError(
        "D220",
        `Cannot ask "${address.text}" for services: it answers 404 to ${path}; want Pilot's v1 API`,
      );
    }
    if (outcome === "bad" && known.failure !== undefined && known.failure.code !== "D230") {
      throw new MeshError(known.failure.code, known.failure.message);
    }
  }

  async #pollRules(address: ControlPlaneAddress): Promise<void> {
    const { board } = this.#options;
    const tail = `${pathPart(this.#options.node.cluster)}/${pathPart(this.#options.node.id)}`;
    const path = `/v1/listeners/${tail}`;
    const listeners = this.#listeners;
    const outcome = await this.#ask(
      "listeners",
      address,
      path,
      listeners,
      (json, version) => decodeListeners(json, this.#origin("Listener", "", version), listeners.value),
    );
    if (outcome === "absent") return this.#noteAbsence(address, path);
    this.#absences = 0;
    if (listeners.value === undefined) return;
    this.#serves = true;
    board.holds("listeners", listeners.value.listeners.size, "*");
    await this.#ask(
      "clusters",
      address,
      `/v1/clusters/${tail}`,
      this.#clusters,
      (json, version) =>
        decodeClusters(json, this.#origin("Cluster", "", version), this.#clusters.value?.clusters),
    );
    board.holds("clusters", this.#clusters.value?.clusters.size ?? 0, "*");
    for (const name of this.#tables.keys()) {
      if (!listeners.value.tables.includes(name)) this.#tables.delete(name);
    }
    for (const name of listeners.value.tables) {
      let known = this.#tables.get(name);
      if (known === undefined) this.#tables.set(name, known = {});
      const table = known;
      const faults = listeners.value.faults.get(name) ?? [];
      await this.#ask(
        "routes",
        address,
        `/v1/routes/${name}/${tail}`,
        table,
        (json, version) =>
          decodeRoutes(
            name,
            json,
            { faults, wanted: (host) => this.#wants(parseServiceKey(host)?.host ?? host) },
            this.#origin("RouteConfiguration", name, version),
            table.value,
          ),
        faults.length === 0 ? "" : JSON.stringify(faults),
      );
    }
    board.holds("routes", [...this.#tables.values()].filter((t) => t.value).length, this.#tables.size);
    await this.#pollSubsets(address);
    this.#putInForce();
  }

  async #pollSubsets(address: ControlPlaneAddress): Promise<void> {
    const keys = this.#subsetKeys();
    for (const key of this.#subsets.keys()) if (!keys.has(key)) this.#subsets.delete(key);
    for (const key of keys) {
      let known = this.#subsets.get(key);
      if (known === undefined) this.#subsets.set(key, known = {});
      const path = `/v1/registration/${pathPart(key)}`;
      await this.#ask("endpoints", address, path, known, (json, version) => {
        const decoded = decodeHosts(json, key, this.#origin("Registration", key, version));
        return decoded.assignment ?? decoded.problems[0];
      });
    }
    this.#options.board.holds(
      "endpoints",
      [...this.#subsets.values()].filter((k) => k.value !== undefined).length,
      keys.size,
    );
  }

  /** Service keys that routes lead to and that the registration does not list. */
  #subsetKeys(): Set<string> {
    const tables = [...this.#tables.values()].flatMap(({ value }) =>
      value === undefined ? [] : [value.configuration]
    );
    const listed = this.#registration.value?.services;
    const keys = new Set<string>();
    const named = namedClusters([...tables, ...this.#inForce.values()]);
    for (const [name, { edsServiceName: key }] of this.#clusters.value?.clusters ?? []) {
      if (key !== undefined && named.has(name) && listed?.has(key) !== true) keys.add(key);
    }
    return keys;
  }

  /** Tables whose clusters are all known go into force; another keeps what it was, if it was anything. */
  #putInForce(): void {
    const inForce = new Map<string, RouteConfiguration>();
    const heldBack: Diagnostic[] = [];
    for (const [name, { value, version }] of this.#tables) {
      const before = this.#inForce.get(name);
      if (value === undefined) {
        if (before !== undefined) inForce.set(name, before);
        continue;
      }
      const missing = before === undefined || before === value.configuration
        ? undefined
        : this.#missingFor(value.configuration);
      if (missing === undefined) {
        inForce.set(name, value.configuration);
        continue;
      }
      inForce.set(name, before as RouteConfiguration);
      heldBack.push(diagnostic(
        "D212",
        `Cannot apply route table "${name}" yet: ${missing} of which it makes use is not known; want it in /v1/clusters, ` +
          "with endpoints",
        this.#origin("RouteConfiguration", name, version ?? ""),
      ));
    }
    this.#inForce = inForce;
    this.#heldBack = heldBack;
  }

  #missingFor(table: RouteConfiguration): string | undefined {
    for (const name of namedClusters([table])) {
      const cluster = this.#clusters.value?.clusters.get(name);
      if (cluster === undefined) return `cluster "${name}"`;
      const key = cluster.edsServiceName;
      if (key === undefined || this.#registration.value?.services.has(key)) continue;
      if (this.#subsets.get(key)?.value === undefined) return `cluster "${name}"`;
    }
    return undefined;
  }

  /** Undefined as long as something is missing that was never answered. */
  #rules(): V1Rules | undefined {
    const listeners = this.#listeners.value;
    const clusters = this.#clusters.value;
    if (listeners === undefined || clusters === undefined) return undefined;
    if (!listeners.tables.every((name) => this.#inForce.has(name))) return undefined;
    for (const known of this.#subsets.values()) if (known.value === undefined) return undefined;
    return { clusters: clusters.clusters, tables: this.#inForce, listeners: listeners.listeners };
  }

  #noteAbsence(address: ControlPlaneAddress, path: string): void {
    this.#pollsUntilProbe = PROBE_POLLS;
    if (this.#serves !== true) {
      this.#serves = false;
      return;
    }
    this.#pollsUntilProbe = 0;
    if (++this.#absences < CONFIRMATIONS) {
      this.#listeners.failure = diagnostic(
        "D230",
        `Cannot believe yet that "${address.text}" serves no routes any more: it answers 404 to ${path}; want the same ` +
          `answer ${CONFIRMATIONS} times in a row`,
        this.#origin("Listener", path, ""),
      );
      return;
    }
    this.#serves = false;
    this.#pollsUntilProbe = PROBE_POLLS;
    for (const known of [this.#listeners, this.#clusters]) {
      delete known.value;
      delete known.digest;
      delete known.failure;
    }
    this.#tables.clear();
    this.#subsets.clear();
    this.#inForce.clear();
    this.#heldBack = [];
  }

  /** Asks one path. `decode` gives the value, or why it cannot be used, or nothing when the answer has another form. */
  async #ask<T extends object>(
    kind: V1Kind,
    address: ControlPlaneAddress,
    path: string,
    known: Known<T>,
    decode: (json: unknown, version: string) => T | Diagnostic | undefined,
    salt = "",
  ): Promise<Outcome> {
    const { board } = this.#options;
    const answer = await this.#get(kind, address, path);
    const version = digestOf(answer.body).toString(16).padStart(13, "0");
    const refuse = (failure: Diagnostic): Outcome => {
      known.failure = failure;
      board.refused(kind, version, failure.message);
      return "bad";
    };
    if (answer.status === 404 && !/^[A-Z]DS /.test(textOf(answer))) {
      delete known.failure;
      return "absent";
    }
    const where = this.#origin("Answer", path, version);
    if (answer.status !== 200) {
      return refuse(diagnostic(
        "D220",
        `Cannot use ${path} of "${address.text}": it answers ${answer.status}${said(answer)}; want 200`,
        where,
      ));
    }
    if (known.digest === version + salt) {
      delete known.failure;
      return "same";
    }
    if (answer.body.length > LARGE_BYTES) await this.#options.yieldTurn();
    const json = parseJson(answer.body);
    if (answer.body.length > LARGE_BYTES) await this.#options.yieldTurn();
    const value = json && decode(json.value, version);
    if (value === undefined) {
      return refuse(diagnostic(
        "D221",
        `Cannot use ${path} of "${address.text}": its ${answer.body.length} bytes are ` +
          `${json === undefined ? "no JSON" : "JSON of another form"}; want what Pilot's v1 API answers`,
        where,
      ));
    }
    if (isDiagnostic(value)) return refuse(value);
    known.value = value;
    known.digest = version + salt;
    known.version = version;
    delete known.failure;
    board.accepted(kind, version);
    return "new";
  }

  async #get(kind: V1Kind, address: ControlPlaneAddress, path: string): Promise<HttpAnswer> {
    const { board, connectTimeoutMs } = this.#options;
    board.sent(kind);
    const answer = await this.#http.get(address, path, {
      timeoutMs: Math.max(ANSWER_MS, connectTimeoutMs),
      connectTimeoutMs,
      maxBytes: MAX_ANSWER_BYTES,
      onStep: (step) => board.at(step),
    });
    board.received(kind, answer.body.length);
    return answer;
  }

  #origin(kind: string, resource: string, version: string): Origin {
    return { kind, ...(resource === "" ? {} : { resource }), version };
  }
}

function isDiagnostic(value: object): value is Diagnostic {
  return "code" in value && "severity" in value;
}

function textOf({ body }: HttpAnswer): string {
  return new TextDecoder().decode(body.subarray(0, 200));
}

/** The first line of an error's body, in brackets. */
function said(answer: HttpAnswer): string {
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  const line = textOf(answer).split(/[\r\n]/, 1)[0]?.replaceAll(/[\u0000-\u001f\u007f]+/g, " ").trim() ?? "";
  return line === "" ? "" : ` (${line})`;
}

function limits(serves: boolean): Diagnostic {
  return diagnostic(
    "D222",
    serves
      ? "Pilot's v1 API knows RouteRule and DestinationPolicy only: VirtualService and DestinationRule do not act"
      : "This Pilot serves only the registration of v1: no rule acts, services are reached by default routes",
    { kind: "Registration" },
  );
}
