/** Discovery: sources of rules behind one small interface, and the World that they fill. */
import type { Diagnostic } from "../core/diagnostics.ts";
import type { Clock, ConnectStep, HttpClient, Log, Resolver, Rng, StreamTransport } from "../core/ports.ts";
import type { Program } from "../model/model.ts";
import type { RouteTables } from "../route/types.ts";
import type { AgentConfig, SourceType } from "../settings/types.ts";

/** What a source publishes: a whole program (sharing unchanged parts by reference with the one before). */
export interface Publication {
  readonly program: Program;
  /** Every standing diagnostic of the source (not only new ones). */
  readonly diagnostics: readonly Diagnostic[];
  /** Counts for status: documents, hosts recompiled by this change, … */
  readonly stats: Readonly<Record<string, number>>;
  /** Of a cache (remember.ts): wall clock when it was kept, ms. */
  readonly cachedMs?: number;
}

/** The state that requests are decided by. Replaced by one assignment; a request keeps the one it began with. */
export interface World {
  /** 0 = nothing published yet: 503 not synced. */
  readonly revision: number;
  readonly program: Program;
  readonly tables: RouteTables;
  readonly diagnostics: readonly Diagnostic[];
  /** Wall clock of the publication, ms. */
  readonly publishedMs: number;
  /** Of the publication: documents, hosts, … */
  readonly stats: Readonly<Record<string, number>>;
  /** It is the world of a cache, kept then (wall clock, ms); absent once a source has spoken. */
  readonly cachedMs?: number;
}

/** A running source. */
export interface DiscoverySource {
  /**
   * Resolves after the first publication, or after the first try when there can be none yet (it goes on trying;
   * {@link problems} says why).
   */
  readonly ready: Promise<void>;
  /** Standing diagnostics, also those of a source that cannot publish yet. */
  problems(): readonly Diagnostic[];
  /** What each connection to a control plane is at; empty for files. */
  status(): readonly SourceStatus[];
  /** Reread now (SIGHUP). Resolves when what was found is published. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

/** One connection to a control plane, as `mesh-agent status` and /sync show it. Times are wall clock ms. */
export interface SourceStatus {
  /** Plugin, and what it brings: `pilotv3`, `pilot (services)`, `pilotv2 (rules)`. */
  readonly name: string;
  readonly addresses: readonly { readonly address: string; readonly inUse: boolean }[];
  /** `first sync`: the stream is open, types are missing. `synced`: all spoke. `waiting`: until `nextTryMs`. */
  readonly step: ConnectStep | "first sync" | "synced" | "waiting" | "closed";
  readonly sinceMs: number;
  /** `state-of-the-world`, `delta`, `polling`. */
  readonly mode: string;
  /** What this control plane cannot give, if that is to be known: `RouteRule only, …`. */
  readonly note?: string;
  /** Node id sent. */
  readonly node: string;
  /** Connections (v1: polls) begun so far, and how many of them failed. */
  readonly connects: number;
  readonly failures: number;
  /** The last failure, whole text with hint; absent once synced again. */
  readonly reason?: string;
  readonly nextTryMs?: number;
  readonly types: readonly TypeStatus[];
}

/** One resource type (v1: one path) of a connection. */
export interface TypeStatus {
  /** `CDS`, `EDS`, `LDS`, `RDS`; for v1 `registration`, `routes`, … */
  readonly type: string;
  /** Last accepted version (v1: hash of the body). */
  readonly version: string;
  readonly nonce: string;
  /** Of the last answer; undefined = none yet. */
  readonly receivedMs?: number;
  /** Resources held, and names subscribed (`*` = all). */
  readonly resources: number;
  readonly subscribed: number | "*";
  readonly sent: number;
  readonly received: number;
  readonly bytes: number;
  readonly nacks: number;
  readonly lastNack?: { readonly version: string; readonly text: string; readonly atMs: number };
}

/** What a source is given: its settings, its ports and where to publish. */
export interface DiscoveryInput {
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly log: Log;
  /** Opens the rules directory (or single file) at an absolute path. */
  readonly openDirectory: (path: string) => RulesDirectory;
  publish(publication: Publication): void;
  /** For sources that ask a control plane. The transport is loaded when first asked for. */
  readonly openTransport: () => Promise<StreamTransport>;
  readonly openHttpClient: () => Promise<HttpClient>;
  readonly resolver: Resolver;
  readonly rng: Rng;
  /** Lets waiting I/O run; resolves in the next turn of the event loop. */
  readonly yieldTurn: () => Promise<void>;
}

/** One kind of source: one file in discovery/ that exports `start`, and one entry in the list of plugins.ts. */
export interface DiscoveryPlugin {
  readonly type: SourceType;
  /** One line for help and documentation. */
  readonly summary: string;
  /** Its file; called only when the source is configured, so that an agent carries the code of no other one. */
  load(): Promise<{ readonly start: StartSource }>;
}

/** Starts at once and throws nothing: what is amiss is one of the source's problems. */
export type StartSource = (input: DiscoveryInput) => DiscoverySource;

/** A directory of rule files as the file source sees it. */
export interface RulesDirectory {
  /** Prefix of file names in diagnostics, e.g. `config/rules`. */
  readonly label: string;
  /**
   * Text of every rule file by its label (`config/rules/a.yaml`), or null when the directory does not exist.
   * With `only`, just these: a name that is gone has the value null.
   */
  read(only?: ReadonlySet<string>): Promise<DirectoryReading | null>;
  /** Calls back on every change, with the labels of the files when they are known. Returns the stop function. */
  watch(changed: (files?: readonly string[]) => void): () => void;
}

export interface DirectoryReading {
  readonly files: ReadonlyMap<string, string | null>;
  /** False when only some files were asked for (and nothing made a full reading necessary). */
  readonly complete: boolean;
  /** Files that are there but cannot be read: they count as unchanged. */
  readonly unreadable: ReadonlyMap<string, string>;
}
