/**
 * Watches a rules directory through everything that happens to one: files written in place, renamed over (editors), the
 * `..data` link of a ConfigMap swapped, the directory deleted and made again, or not there yet.
 *
 * In: a path. Out: callbacks, with the labels of the changed files when the events name rule files and nothing else. The
 * directory is watched deeply; its nearest existing ancestor flatly, to see it come and go. Events may be lost (network file
 * systems), so the file source rereads every refreshInterval besides.
 *
 * @example
 * ```ts ignore
 * const directory = openRulesDirectory("/etc/mesh/rules", log);
 * const stop = directory.watch((files) => console.log(files ?? "everything"));
 * ```
 */
import { diagnostic, formatDiagnostic } from "../core/diagnostics.ts";
import { directoryOf, nameOf } from "../core/path.ts";
import type { Log } from "../core/ports.ts";
import type { RulesDirectory } from "../discovery/types.ts";
import type { ReadScope } from "./read_scope.ts";
import { createRuleFiles, type RuleFiles } from "./rule_files.ts";

/** `label` and `scope` as in createRuleFiles. */
export function openRulesDirectory(
  path: string,
  log: Log,
  label?: string,
  scope?: ReadScope,
): RulesDirectory {
  const files = createRuleFiles(path, label, scope);
  return {
    label: files.label,
    read: (only) => files.read(only),
    watch: (changed) => watchRules(files, log, changed),
  };
}

function watchRules(files: RuleFiles, log: Log, changed: (labels?: readonly string[]) => void): () => void {
  const { path } = files;
  let closed = false;
  let inner: Deno.FsWatcher | undefined;
  let innerIdentity = "";
  let outer: Deno.FsWatcher | undefined;
  let outerPath = "";

  const open = (at: string, recursive: boolean, told: (event: Deno.FsEvent) => void) => {
    let watcher: Deno.FsWatcher;
    try {
      watcher = Deno.watchFs(at, { recursive });
    } catch (error) {
      // An isolated agent has no right to the directory around its rules: rereading finds what watching it would.
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable)) {
        log.log(
          "warn",
          formatDiagnostic(
            diagnostic(
              "D108",
              `Cannot watch "${at}": ${error instanceof Error ? error.message : String(error)}`,
              { file: files.label },
            ),
          ),
        );
      }
      return undefined;
    }
    (async () => {
      for await (const event of watcher) {
        if (closed) return;
        if (event.kind !== "access") told(event);
      }
    })();
    return watcher;
  };

  const onInner = ({ paths }: Deno.FsEvent): void => {
    // The directory itself: gone, or no longer the one that is watched.
    if (paths.includes(path)) arm();
    const labels: string[] = [];
    for (const at of paths) {
      // Swap files of editors are nobody's rules; `..data` is a ConfigMap's.
      if (/^\.[^.]/.test(nameOf(at))) continue;
      const label = files.labelOf(at);
      if (label === undefined) return changed();
      labels.push(label);
    }
    if (labels.length > 0) changed(labels);
  };

  const onOuter = ({ paths }: Deno.FsEvent): void => {
    if (!paths.some((at) => path === at || path.startsWith(at + "/"))) return;
    arm();
    changed();
  };

  /** Puts the watches where they belong now. */
  const arm = (): void => {
    const identity = identityOf(path);
    if (identity !== innerIdentity) {
      inner?.close();
      inner = identity === "" ? undefined : open(path, true, onInner);
      innerIdentity = inner === undefined ? "" : identity;
    }
    let ancestor = directoryOf(path);
    while (identityOf(ancestor) === "" && ancestor !== directoryOf(ancestor)) {
      ancestor = directoryOf(ancestor);
    }
    const key = `${ancestor} ${identityOf(ancestor)}`;
    if (key !== outerPath) {
      outer?.close();
      outer = open(ancestor, false, onOuter);
      outerPath = outer === undefined ? "" : key;
      // It may have been made between the look and the watch.
      if (outer !== undefined && identityOf(path) !== innerIdentity) arm();
    }
  };

  arm();
  return () => {
    closed = true;
    inner?.close();
    outer?.close();
  };
}

function identityOf(path: string): string {
  try {
    const { dev, ino } = Deno.statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return "";
  }
}
