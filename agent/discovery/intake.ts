/**
 * The intake of an xDS source: what becomes of a response. It is decoded in slices, taken into the store and, when the
 * program changed by it, published.
 *
 * In: `apply` events of a session. Out: the verdict (ACK or NACK with its text), publications, standing findings. A resource
 * whose bytes are those of last time is not decoded again, and a response that changes nothing publishes nothing. A resource
 * that cannot be used keeps its last good value while its neighbours are taken in; bytes that cannot be decoded and names
 * that come twice keep the whole response out (istio-semantics 5.4.4, 5.4.7).
 *
 * @example
 * ```ts ignore
 * const intake = createIntake({ generation: "v3", input, codec, store });
 * const verdict = await intake.take(event, () => false);
 * ```
 */
import { type Diagnostic, diagnostic, formatOrigin, type Origin } from "../core/diagnostics.ts";
import { MeshError } from "../core/errors.ts";
import { fingerprint } from "../core/fingerprint.ts";
import { oneLine } from "../core/one_line.ts";
import type { Log } from "../core/ports.ts";
import type { Program } from "../model/model.ts";
import { difference, indexAhead } from "../route/table.ts";
import type { SessionEvent, Verdict } from "../xds/session.ts";
import type { XdsStore } from "../xds/store.ts";
import {
  type Decoded,
  type DecodeResult,
  type RawResource,
  RESOURCE_TYPES,
  type ResourceType,
  typeOfUrl,
  type XdsCodec,
} from "../xds/types.ts";
import type { Slices } from "./sliced.ts";
import type { DiscoveryInput } from "./types.ts";

export type Response = Extract<SessionEvent, { readonly kind: "apply" }>;

/** The table `http_proxy`, that is always asked for, in the words of Pilot 0.8. */
const HTTP_PROXY_OF_0_8 = "0";
/** A publication waits this long for a next response that is already there, ms: a push is several responses. */
export const GATHER_MS = 20;
/** Findings about good resources that are kept, by type. */
const MAX_NOTES = 200;
/** A larger resource is a large table, whose decoder knows its parts again; a fingerprint of it would take milliseconds. */
const MAX_FINGERPRINTED_BYTES = 256 << 10;
/** Bad resources that a NACK names; the others are counted. */
const MAX_NAMED = 3;
const MAX_NACK_CHARACTERS = 2_000;

export interface IntakeOptions {
  readonly input: Pick<DiscoveryInput, "clock" | "publish">;
  /** Whoever hands over a response has begun a slice. */
  readonly slices: Slices;
  readonly codec: XdsCodec;
  readonly store: XdsStore;
  readonly log: Log;
  /** Told after each publication. */
  readonly published: () => void;
}

export interface Intake {
  /** Never rejects. `waiting`: whether a next response is there already; it may then join the publication. */
  take(response: Response, waiting: () => boolean): Promise<Verdict>;
  /** Publishes what is taken in and not published yet. Never rejects. */
  publish(): Promise<void>;
  readonly published: boolean;
  /** Version by name, for initial_resource_versions. */
  versions(type: ResourceType): Readonly<Record<string, string>>;
  /** Standing findings: what was refused and is not mended, then remarks on what is in force. */
  problems(): readonly Diagnostic[];
  close(): void;
}

interface Known {
  readonly digest: number;
  readonly version: string;
}

/** What stands about a type: the last response refused as a whole, refused resources, remarks. */
interface Findings {
  whole: Diagnostic | undefined;
  readonly refused: Map<string, readonly Diagnostic[]>;
  store: readonly Diagnostic[];
  readonly notes: Map<string, readonly Diagnostic[]>;
}

const KINDS: Readonly<Record<ResourceType, string>> = {
  CDS: "Cluster",
  EDS: "ClusterLoadAssignment",
  LDS: "Listener",
  RDS: "RouteConfiguration",
};

export function createIntake({ input, slices, codec, store, log, published: told }: IntakeOptions): Intake {
  const { clock } = input;
  const known = byType(() => new Map<string, Known>());
  const findings = byType<Findings>(() => ({
    whole: undefined,
    refused: new Map(),
    store: [],
    notes: new Map(),
  }));
  let published: Program | undefined;
  /** Resources decoded since the last publication. */
  let decodedCount = 0;
  /** Since when something taken in may be unpublished; undefined = nothing. */
  let changedMs: number | undefined;
  let cancelGather: (() => void) | undefined;
  let cancelDeadline: (() => void) | undefined;
  let closed = false;

  /** Indexes the program's new tables in slices: what then puts it in force finds it done. */
  const index = async ({ routeConfigurations }: Program): Promise<void> => {
    const before = published?.routeConfigurations;
    if (routeConfigurations === before) return;
    for (const [name, table] of routeConfigurations) {
      const indexing = indexAhead(table, before?.get(name));
      while (indexing.step()) if (slices.spent() && await rest()) return;
    }
  };

  const putInForce = (program: Program): void => {
    const changes = routeChanges(program, published);
    input.publish({
      program,
      diagnostics: problems(),
      stats: {
        clusters: program.clusters.size,
        tables: program.routeConfigurations.size,
        rebuiltTables: changes.tables,
        recompiled: changes.hosts,
        decoded: decodedCount,
      },
    });
    published = program;
    decodedCount = 0;
    told();
  };

  let publishing = false;
  let publishAgain = false;
  const publish = async (): Promise<void> => {
    cancelGather?.();
    cancelGather = undefined;
    changedMs = undefined;
    publishAgain = true;
    // Whoever is at it goes round once more.
    if (publishing) return;
    publishing = true;
    try {
      while (publishAgain && !closed) {
        publishAgain = false;
        const program = store.program(clock.monotonic());
        watchDeadline();
        if (!store.synced() || program === published) continue;
        await index(program);
        if (!closed) putInForce(program);
      }
    } catch (error) {
      // A bug in a compiler must not end the stream: the last world stays, and the next change tries again.
      log.log("error", `Cannot put in force what the control plane sent: ${String(error)}`);
    } finally {
      publishing = false;
    }
  };

  const publishInOwnTurn = (): void => {
    slices.begin();
    publish();
  };

  const watchDeadline = (): void => {
    cancelDeadline?.();
    const atMs = store.deadline();
    cancelDeadline = atMs === undefined
      ? undefined
      : clock.after(Math.max(0, atMs - clock.monotonic()), publishInOwnTurn);
  };

  const publishSoon = async (waiting: () => boolean): Promise<void> => {
    // Whether the next response is there shows only after a turn.
    if (!waiting()) await rest();
    if (!waiting()) return await publish();
    changedMs ??= clock.monotonic();
    const leftMs = changedMs + GATHER_MS - clock.monotonic();
    if (leftMs <= 0) return await publish();
    cancelGather ??= clock.after(leftMs, publishInOwnTurn);
  };

  /** Lets others run; true when the source was closed meanwhile. */
  const rest = async (): Promise<boolean> => {
    await slices.rest();
    return closed;
  };

  const decode = async <T extends ResourceType>(
    type: T,
    raw: RawResource,
    origin: Origin,
  ): Promise<DecodeResult<Decoded[T]> | undefined> => {
    if (type !== "RDS") {
      const result = type === "CDS"
        ? codec.decodeCluster(raw, origin)
        : type === "EDS"
        ? codec.decodeLoadAssignment(raw, origin)
        : codec.decodeListener(raw, origin);
      return result as DecodeResult<Decoded[T]>;
    }
    const decoding = codec.decodeRouteConfiguration(raw, origin, store.held("RDS", raw.name));
    while (decoding.step()) {
      if (slices.spent() && await rest()) return undefined;
    }
    return decoding.result() as DecodeResult<Decoded[T]>;
  };

  /** The resource whose bytes are read: who cannot be decoded is told by name. */
  let reading: Origin | undefined;

  const takeIn = async <T extends ResourceType>(
    type: T,
    response: Response,
    waiting: () => boolean,
  ): Promise<Verdict> => {
    const about = findings[type];
    const kind = KINDS[type];
    const digests = new Map<string, Known>();
    const values = new Map<string, Decoded[T]>();
    const refused = new Map<string, readonly Diagnostic[]>();
    const notes = new Map<string, readonly Diagnostic[]>();
    const decoded: string[] = [];
    for (const raw of response.resources) {
      if (slices.spent() && await rest()) return { ok: true };
      const { name } = raw;
      if (values.has(name) || refused.has(name)) {
        throw new MeshError(
          "D213",
          `Cannot use the ${type} response of version "${response.version}": it has "${name}" twice; want each name once`,
        );
      }
      const version = raw.version === "" ? response.version : raw.version;
      if (typeOfUrl(raw.typeUrl) !== type) {
        // Read as another message, its bytes may make a sound resource with nothing in it.
        throw new MeshError(
          "D211",
          `Cannot use "${name}" in the ${type} response of version "${response.version}": ` +
            `its type is "${raw.typeUrl}"; want ${kind}`,
        );
      }
      if (name === "") {
        // Whose place it has is not known: nothing may be taken for deleted.
        throw new MeshError(
          "D211",
          `Cannot use a resource in the ${type} response of version "${response.version}": it has no name; want one`,
        );
      }
      const digest = raw.bytes.length > MAX_FINGERPRINTED_BYTES ? NaN : fingerprint(raw.bytes);
      const before = known[type].get(name);
      const held = before?.digest === digest ? store.held(type, name) : undefined;
      if (before !== undefined && held !== undefined) {
        values.set(name, held);
        digests.set(name, before.version === raw.version ? before : { digest, version: raw.version });
        continue;
      }
      reading = { kind, resource: name, version };
      const result = await decode(type, raw, reading);
      reading = undefined;
      if (result === undefined) return { ok: true };
      decodedCount++;
      const misnamed = "value" in result ? misnaming(type, result.value, raw, version) : undefined;
      if ("problems" in result) refused.set(name, result.problems);
      else if (misnamed !== undefined) refused.set(name, [misnamed]);
      else {
        values.set(name, result.value);
        digests.set(name, { digest, version: raw.version });
        decoded.push(name);
        if (result.notes.length > 0) notes.set(name, result.notes);
      }
    }
    // The store takes it in at one go.
    if (slices.spent() && await rest()) return { ok: true };
    const fromStore = store.apply(type, {
      resources: values,
      removed: response.removed,
      complete: response.complete,
      refused: [...refused.keys()],
    }, clock.monotonic());
    settle(type, response, values, digests, refused);
    about.whole = undefined;
    about.store = fromStore;
    if (about.refused.size > 0) { for (const name of values.keys()) about.refused.delete(name); }
    if (about.notes.size > 0) { for (const name of decoded) about.notes.delete(name); }
    for (const [name, remarks] of notes) if (about.notes.size < MAX_NOTES) about.notes.set(name, remarks);
    for (const [name, problems] of refused) if (isAsked(type, name)) about.refused.set(name, problems);
    forgetUnasked();
    if (slices.spent() && await rest()) return { ok: true };
    await publishSoon(waiting);
    const problems = [...[...refused.values()].flat(), ...fromStore];
    if (problems.length === 0) return { ok: true };
    return { ok: false, error: nackText(problems) };
  };

  /** Remembers digests and versions of what is in force, and forgets what is gone. */
  const settle = (
    type: ResourceType,
    response: Response,
    values: ReadonlyMap<string, unknown>,
    digests: ReadonlyMap<string, Known>,
    refused: ReadonlyMap<string, unknown>,
  ): void => {
    const book = known[type];
    // What the store did not take (a second listener on an address) is looked at anew when it comes again.
    for (const [name, entry] of digests) {
      if (store.held(type, name) === values.get(name)) book.set(name, entry);
    }
    const forget = (name: string): void => forgetOf(type, name);
    for (const name of response.removed) forget(name);
    if (!response.complete) return;
    const { refused: standing } = findings[type];
    for (const names of book.size > digests.size ? [book, standing] : [standing]) {
      for (const name of names.keys()) if (!digests.has(name) && !refused.has(name)) forget(name);
    }
  };

  const forgetOf = (type: ResourceType, name: string): void => {
    known[type].delete(name);
    findings[type].refused.delete(name);
    findings[type].notes.delete(name);
  };

  /** istiod sends a table once more whose listener is gone: refused, it would never be mended. */
  const isAsked = (type: ResourceType, name: string): boolean =>
    type === "CDS" || type === "LDS" || name === HTTP_PROXY_OF_0_8 || store.held(type, name) !== undefined ||
    store.wanted(type).includes(name);

  const asked: { EDS?: readonly string[]; RDS?: readonly string[] } = {};
  /** Forgets endpoints and tables that nothing asks for any more: no answer will ever say that they are gone. */
  const forgetUnasked = (): void => {
    for (const type of ["EDS", "RDS"] as const) {
      const names = store.wanted(type);
      if (names === asked[type]) continue;
      asked[type] = names;
      const wanted = new Set(names);
      for (const book of [known[type], findings[type].refused]) {
        for (const name of book.keys()) {
          if (wanted.has(name) || name === HTTP_PROXY_OF_0_8) continue;
          if (store.held(type, name) === undefined) forgetOf(type, name);
        }
      }
    }
  };

  const problems = (): readonly Diagnostic[] => {
    const all = RESOURCE_TYPES.map((type) => findings[type]);
    return [
      ...all.flatMap((f) => f.whole ?? []),
      ...all.flatMap((f) => [...f.refused.values()].flat()),
      ...all.flatMap((f) => f.store),
      ...all.flatMap((f) => [...f.notes.values()].flat()),
    ];
  };

  return {
    async take(response, waiting) {
      try {
        return await takeIn(response.type, response, waiting);
      } catch (error) {
        const code = error instanceof MeshError ? error.code : "D211";
        const message = oneLine(error instanceof Error ? error.message : String(error));
        const whole = diagnostic(
          code,
          message,
          reading ?? { kind: response.type, version: response.version },
        );
        findings[response.type].whole = whole;
        return { ok: false, error: reading === undefined ? message : nackText([whole]) };
      } finally {
        reading = undefined;
      }
    },
    publish,
    get published() {
      return published !== undefined;
    },
    versions: (type) => Object.fromEntries([...known[type]].map(([name, { version }]) => [name, version])),
    problems,
    close() {
      closed = true;
      cancelGather?.();
      cancelDeadline?.();
    },
  };
}

/** A resource that says of itself another name than it came under (delta has names of its own). */
function misnaming<T extends ResourceType>(
  type: T,
  value: Decoded[T],
  { name }: RawResource,
  version: string,
): Diagnostic | undefined {
  const own = "clusterName" in value ? value.clusterName : value.name;
  if (own === name) return undefined;
  return diagnostic("D212", `Cannot use it as "${name}": its own name is "${own}"; want one name`, {
    kind: KINDS[type],
    resource: name,
    version,
    field: type === "EDS" ? "cluster_name" : "name",
  });
}

/** One line: the first few by place, field and reason. */
export function nackText(problems: readonly Diagnostic[]): string {
  const named = problems.slice(0, MAX_NAMED).map((p) => `${formatOrigin(p.where)}: ${p.message}`);
  const more = problems.length - named.length;
  if (more > 0) named.push(`${more} more`);
  return named.join("; ").slice(0, MAX_NACK_CHARACTERS);
}

/** Route tables that are not those of before, and the virtual hosts in them that are new: what must be compiled again. */
function routeChanges(now: Program, before: Program | undefined): { tables: number; hosts: number } {
  let tables = 0;
  let hosts = 0;
  if (now.routeConfigurations === before?.routeConfigurations) return { tables, hosts };
  for (const [name, table] of now.routeConfigurations) {
    const old = before?.routeConfigurations.get(name);
    if (old === table) continue;
    tables++;
    hosts += difference(old?.virtualHosts ?? [], table.virtualHosts).added.length;
  }
  return { tables, hosts };
}

function byType<V>(make: () => V): Readonly<Record<ResourceType, V>> {
  return { CDS: make(), EDS: make(), LDS: make(), RDS: make() };
}
