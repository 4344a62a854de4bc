/** Discovery: sources of rules behind one small interface, and the World that they fill. */
import type { Diagnostic } from "../core/diagnostics.ts";
import type { Program } from "../model/model.ts";
import type { RouteTables } from "../route/types.ts";

/** What a source publishes: a whole program (sharing unchanged parts by reference with the one before). */
export interface Publication {
  readonly program: Program;
  /** Every standing diagnostic of the source (not only new ones). */
  readonly diagnostics: readonly Diagnostic[];
  /** Counts for status: documents, hosts recompiled by this change, … */
  readonly stats: Readonly<Record<string, number>>;
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
}

/** A running source. */
export interface DiscoverySource {
  /** Resolves after the first publication (or with the reason why there can be none yet; it goes on trying). */
  readonly ready: Promise<void>;
  /** Reread now (SIGHUP). */
  refresh(): Promise<void>;
  close(): Promise<void>;
}
