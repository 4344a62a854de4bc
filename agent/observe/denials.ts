/**
 * What the agent wanted and has no right to: told in the log when it happens first, kept for the status. Bounded: what is denied
 * most lately is kept.
 *
 * @example
 * ```ts ignore
 * const denials = new Denials(log, clock);
 * denials.note("P209", "connect 203.0.113.5:443", "add it to cse.mesh.permissions.net");
 * denials.list(); // [{ code: "P209", what: "connect 203.0.113.5:443", count: 1, lastMs: ..., wanted: ... }]
 * ```
 */
import type { Code } from "../core/codes.ts";
import type { Clock, Log } from "../core/ports.ts";

export interface Denial {
  readonly code: Code;
  /** `connect 203.0.113.5:443` */
  readonly what: string;
  /** What would give the right. */
  readonly wanted: string;
  readonly count: number;
  /** Wall clock. */
  readonly firstMs: number;
  readonly lastMs: number;
}

const MAX_KEPT = 50;
/** Once so many are known, a new one is told at most so often, ms: an application may try address after address. */
const TELL_MS = 1000;

export class Denials {
  readonly #kept = new Map<string, Denial>();
  #toldMs = -Infinity;

  constructor(readonly log: Log, readonly clock: Pick<Clock, "now">) {}

  note(code: Code, what: string, wanted: string): void {
    const nowMs = this.clock.now();
    const before = this.#kept.get(what);
    if (before === undefined && (this.#kept.size < MAX_KEPT || nowMs - this.#toldMs >= TELL_MS)) {
      this.#toldMs = nowMs;
      this.log.log("warn", `[${code}] denied: ${what}; ${wanted}`);
    }
    this.#kept.delete(what);
    this.#kept.set(what, {
      code,
      what,
      wanted,
      count: (before?.count ?? 0) + 1,
      firstMs: before?.firstMs ?? nowMs,
      lastMs: nowMs,
    });
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value as string);
  }

  /** The latest last. */
  list(): Denial[] {
    return [...this.#kept.values()];
  }
}
