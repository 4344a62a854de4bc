/**
 * The World holder: the one mutable cell between the sources of rules and the requests.
 *
 * In: publications (a whole program each). Out: `current`, replaced by one assignment, so a request that read it once keeps
 * a consistent view. Revision 0 is the empty world before anything was published.
 *
 * @example
 * ```ts ignore
 * const world = createWorldHolder(clock);
 * world.publish({ program, diagnostics: [], stats: {} });
 * world.current.tables.select(view, 0.5);
 * ```
 */
import type { Clock } from "../core/ports.ts";
import { EMPTY_PROGRAM } from "../model/model.ts";
import { buildRouteTables } from "../route/table.ts";
import type { Publication, World } from "./types.ts";

export interface WorldHolder {
  readonly current: World;
  /** Makes the route tables and puts the new world in force. Throws (and changes nothing) when no table can be made. */
  publish(publication: Publication): World;
  /** Told after each publication; returns the function that ends it. */
  onPublish(told: (now: World, before: World) => void): () => void;
}

export function createWorldHolder(clock: Pick<Clock, "now">): WorldHolder {
  const listeners = new Set<(now: World, before: World) => void>();
  let current: World = {
    revision: 0,
    program: EMPTY_PROGRAM,
    tables: buildRouteTables(EMPTY_PROGRAM),
    diagnostics: [],
    publishedMs: clock.now(),
    stats: {},
  };
  return {
    get current() {
      return current;
    },
    publish({ program, diagnostics, stats, cachedMs }) {
      const before = current;
      const tables = program === before.program ? before.tables : buildRouteTables(program, before.tables);
      const now: World = {
        revision: before.revision + 1,
        program,
        tables,
        diagnostics,
        publishedMs: clock.now(),
        stats,
        ...(cachedMs === undefined ? {} : { cachedMs }),
      };
      current = now;
      for (const told of listeners) told(now, before);
      return now;
    },
    onPublish(told) {
      listeners.add(told);
      return () => listeners.delete(told);
    },
  };
}
