/**
 * A source that remembers: the last good world of a control plane is kept in a cache, and decides requests from the start on when
 * that control plane is away.
 *
 * In: the source of the settings, a {@link WorldCache}. Out: a source that publishes what was kept as soon as it is read, unless the
 * control plane was faster; from the control plane's first word on, only that counts. What is kept is the program as it was
 * published, {@link KEEP_AFTER_MS} after a change and never for more than a hundredth of the time. A cache that cannot be used or
 * written is a finding (D240, D241) and changes nothing else.
 *
 * @example
 * ```ts ignore
 * const source = remembered(input, plugin.start, openCacheFile(config.cacheDir));
 * await source.ready; // at once when there is a cache
 * ```
 */
import { type Diagnostic, diagnostic, formatDiagnostic } from "../core/diagnostics.ts";
import type { Code } from "../core/codes.ts";
import { MeshError } from "../core/errors.ts";
import type { Program } from "../model/model.ts";
import { inSlices } from "./pilot_ask.ts";
import { createSlices } from "./sliced.ts";
import type { DiscoveryInput, DiscoverySource, StartSource } from "./types.ts";
import { readWorldSteps, worldIdentity, worldLines } from "./world_text.ts";

/** Where a world is kept. */
export interface WorldCache {
  /** For messages. */
  readonly path: string;
  /** As it was written, whole; null: there is none. Rejects with MeshError D240 when it is damaged or cannot be read. */
  read(): Promise<Uint8Array | null>;
  /**
   * Replaces what is kept at one go: whatever happens meanwhile, either the old or the new is there afterwards. Rejects with MeshError
   * D241. `lines` are asked for as they are written.
   */
  write(lines: Iterable<string>): Promise<void>;
}

/** From a change to its being kept, ms: a push is several publications. */
export const KEEP_AFTER_MS = 1_000;
/** Between two writings at least so many times what the last one took. */
export const REST_FACTOR = 100;
/** After one that failed, ms. */
export const RETRY_MS = 60_000;
/** A control plane that has answered by then was hardly away: no warning in the log, ms. */
export const GRACE_MS = 10_000;

/** Starts at once; nothing is thrown. */
export function remembered(input: DiscoveryInput, start: StartSource, cache: WorldCache): DiscoverySource {
  const { clock, config, log } = input;
  const identity = worldIdentity(config);
  const findings: { unusable?: Diagnostic; unkept?: Diagnostic; inUse?: Diagnostic } = {};
  let spoken = false;
  let closed = false;

  const finding = (code: Code, message: string): Diagnostic =>
    diagnostic(code, message, { file: cache.path });
  const failure = (error: unknown): Diagnostic =>
    error instanceof MeshError
      ? finding(error.code, error.message)
      : finding("D241", `Cannot keep the rules in "${cache.path}": ${String(error)}`);

  let latest: Program | undefined;
  let kept: Program | undefined;
  let writing: Promise<void> | undefined;
  let cancel: (() => void) | undefined;
  let restMs = KEEP_AFTER_MS;
  let cancelWarning = (): void => {};
  const keep = async (): Promise<void> => {
    cancel?.();
    cancel = undefined;
    const program = latest;
    if (program === undefined || program === kept) return;
    const beganMs = clock.monotonic();
    try {
      await cache.write(worldLines(identity, { program, savedMs: clock.now() }));
      kept = program;
      delete findings.unkept;
      restMs = Math.max(KEEP_AFTER_MS, REST_FACTOR * (clock.monotonic() - beganMs));
    } catch (error) {
      const told = failure(error);
      if (told.message !== findings.unkept?.message) log.log("warn", formatDiagnostic(told));
      findings.unkept = told;
      restMs = RETRY_MS;
    }
  };
  const keepSoon = (): void => {
    if (closed || cancel !== undefined || writing !== undefined || latest === kept) return;
    cancel = clock.after(restMs, () => {
      writing = keep().finally(() => {
        writing = undefined;
        keepSoon();
      });
    });
  };

  const source = start({
    ...input,
    publish(publication) {
      spoken = true;
      cancelWarning();
      if (findings.inUse !== undefined) {
        log.log("info", "the control plane answered: its rules replace the cache");
      }
      delete findings.inUse;
      input.publish(publication);
      latest = publication.program;
      keepSoon();
    },
  });

  /** True when the cache decides requests now. */
  const recall = async (): Promise<boolean> => {
    try {
      const bytes = await cache.read();
      if (bytes === null || spoken || closed) return false;
      const slices = createSlices(clock, input.yieldTurn);
      const world = await inSlices(readWorldSteps(bytes, identity), slices);
      if (spoken || closed) return false;
      if (typeof world === "string") {
        throw new MeshError("D240", `Cannot use the cache "${cache.path}": ${world}; want one of this agent`);
      }
      const since = new Date(world.savedMs).toISOString();
      const inUse = finding(
        "D242",
        `Rules are those of the cache, kept at ${since}: no control plane has answered yet`,
      );
      input.publish({
        program: world.program,
        diagnostics: [inUse],
        stats: { clusters: world.program.clusters.size, tables: world.program.routeConfigurations.size },
        cachedMs: world.savedMs,
      });
      findings.inUse = inUse;
      log.log("info", "the rules of the cache decide until the control plane answers", { kept: since });
      cancelWarning = clock.after(GRACE_MS, () => log.log("warn", formatDiagnostic(inUse)));
      return true;
    } catch (error) {
      const told = error instanceof MeshError
        ? failure(error)
        // What was made of it could not be put in force.
        : finding("D240", `Cannot use the cache "${cache.path}": ${String(error)}; want one of this agent`);
      findings.unusable = told;
      log.log("warn", formatDiagnostic(told));
      return false;
    }
  };
  const recalled = recall();

  return {
    ready: recalled.then((served) => served ? undefined : source.ready),
    problems: () => [
      ...[findings.inUse, findings.unusable, findings.unkept].filter((each) => each !== undefined),
      ...source.problems(),
    ],
    status: source.status,
    refresh: source.refresh,
    async close() {
      closed = true;
      cancel?.();
      await Promise.all([source.close(), recalled, writing]);
      cancelWarning();
      await keep();
    },
  };
}
