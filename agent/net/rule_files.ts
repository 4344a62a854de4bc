/**
 * Rule files on disk: which files of a directory are rules, and their text, read again only when the file changed.
 *
 * A path is a directory (searched deeply; names that begin with a dot are skipped, symbolic links are followed, as a mounted
 * ConfigMap needs) or one file. Names given out are `label/relative/path`.
 *
 * @example
 * ```ts ignore
 * const reading = await createRuleFiles("/etc/mesh/rules", "rules").read();
 * reading?.files.get("rules/reviews.yaml");
 * ```
 */
import { directoryOf, joinPath } from "../core/path.ts";
import type { DirectoryReading } from "../discovery/types.ts";
import { shownPath } from "./paths.ts";
import type { ReadScope } from "./read_scope.ts";

const RULE_FILE = /\.(ya?ml|json)$/i;
/** Larger files are refused: a rule set of 10,000 services is about 10 MB. */
const MAX_FILE_BYTES = 256 * 1024 * 1024;
/** Files read at a time. */
const BREADTH = 32;
/** Readings until one finds nothing newly missing; then what is missing counts as gone. */
const MAX_READINGS = 5;

export interface RuleFiles {
  readonly path: string;
  readonly label: string;
  /** As RulesDirectory.read. */
  read(only?: ReadonlySet<string>): Promise<DirectoryReading | null>;
  /** The label of a rule file at this absolute path; undefined for everything else. */
  labelOf(path: string): string | undefined;
}

interface Known {
  readonly stamp: string;
  readonly text: string;
}

/**
 * `label` defaults to the path relative to the working directory when it lies inside, `scope` (what links may lead to) to
 * everything.
 */
export function createRuleFiles(path: string, label = shownPath(path), scope?: ReadScope): RuleFiles {
  const known = new Map<string, Known>();
  const root = joinPath(path, "/");
  /** The rest of a path that lies in the directory. */
  const inside = (at: string): string => at.slice(root.length);
  const nameOf = (at: string): string => at === path ? label : joinPath(label, inside(at));

  const readOne = async (
    name: string,
    at: string,
    files: Map<string, string | null>,
    unreadable: Map<string, string>,
  ): Promise<void> => {
    try {
      const info = await Deno.stat(at);
      if (!info.isFile) return;
      const outside = await scope?.outside(at);
      if (outside !== undefined) {
        unreadable.set(name, leadsOut(outside));
        return;
      }
      if (info.size > MAX_FILE_BYTES) {
        unreadable.set(name, `it is larger than ${MAX_FILE_BYTES} bytes`);
        return;
      }
      // A change within the clock's grain keeps size and time, so young files are always read.
      const mtime = info.mtime?.getTime() ?? 0;
      const stamp = `${info.dev}:${info.ino}:${info.size}:${mtime}:${info.ctime?.getTime() ?? 0}`;
      const before = known.get(name);
      if (before?.stamp === stamp && Date.now() - mtime > 2000) {
        files.set(name, before.text);
        return;
      }
      const text = await Deno.readTextFile(at);
      known.set(name, { stamp, text });
      files.set(name, text);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
        known.delete(name);
        files.set(name, null);
      } else unreadable.set(name, reasonOf(error));
    }
  };

  const list = async (
    directory: string,
    out: string[],
    unreadable: Map<string, string>,
    vanished: string[],
  ): Promise<void> => {
    let entries: Deno.DirEntry[];
    try {
      entries = await Array.fromAsync(Deno.readDir(directory));
    } catch (error) {
      if (directory === path) throw error;
      if (error instanceof Deno.errors.NotFound) vanished.push(directory);
      else unreadable.set(nameOf(directory), reasonOf(error));
      return;
    }
    for (const entry of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
      if (entry.name.startsWith(".")) continue;
      const at = joinPath(directory, entry.name);
      if (entry.isDirectory || (entry.isSymlink && await leadsDown(at))) {
        const outside = await scope?.outside(at).catch(() => undefined);
        if (outside === undefined) await list(at, out, unreadable, vanished);
        else unreadable.set(nameOf(at), leadsOut(outside));
      } else if (RULE_FILE.test(entry.name)) out.push(at);
    }
  };

  /** `before`: what vanished during the reading before this one. */
  const readAll = async (before = "", tries = MAX_READINGS): Promise<DirectoryReading | null> => {
    const vanished: string[] = [];
    const files = new Map<string, string | null>();
    const unreadable = new Map<string, string>();
    const paths: string[] = [];
    try {
      if ((await Deno.stat(path)).isFile) paths.push(path);
      else await list(path, paths, unreadable, vanished);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return null;
      unreadable.set(label, reasonOf(error));
      return { files, complete: false, unreadable };
    }
    for (let i = 0; i < paths.length; i += BREADTH) {
      await Promise.all(
        paths.slice(i, i + BREADTH).map((at) => readOne(nameOf(at), at, files, unreadable)),
      );
    }
    for (const [name, text] of files) {
      if (text !== null) continue;
      files.delete(name);
      vanished.push(name);
    }
    // The whole directory may be on its way out: only what is missing twice is gone (as a broken link is).
    const missing = vanished.sort().join("\n");
    if (missing !== before && tries > 1) return readAll(missing, tries - 1);
    for (const name of known.keys()) if (!files.has(name) && !unreadable.has(name)) known.delete(name);
    return { files, complete: true, unreadable };
  };

  return {
    path,
    label,
    async read(only) {
      if (only === undefined) return readAll();
      const files = new Map<string, string | null>();
      const unreadable = new Map<string, string>();
      for (const name of only) {
        const at = name === label ? path : joinPath(path, name.slice(label.length + 1));
        await readOne(name, at, files, unreadable);
      }
      // A file that vanished may have done so with its whole directory.
      for (const text of files.values()) if (text === null) return readAll();
      return { files, complete: false, unreadable };
    },
    labelOf(at) {
      if (at === path) return RULE_FILE.test(at) ? label : undefined;
      if (!at.startsWith(root) || !RULE_FILE.test(at)) return undefined;
      return inside(at).split("/").some((name) => name.startsWith(".")) ? undefined : nameOf(at);
    },
  };
}

/** Whether a link leads to a directory, and not back up to one that it stands in. */
async function leadsDown(link: string): Promise<boolean> {
  try {
    const target = await Deno.realPath(link);
    if (!(await Deno.stat(target)).isDirectory) return false;
    return !`${await Deno.realPath(directoryOf(link))}/`.startsWith(`${target}/`);
  } catch {
    return false;
  }
}

function leadsOut(real: string): string {
  return `it leads to "${real}", which the agent has no right to read (cse.mesh.permissions.read)`;
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.NotCapable) return "the agent runs without the right to read it";
  return error instanceof Error ? error.message : String(error);
}
