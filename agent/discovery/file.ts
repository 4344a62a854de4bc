/**
 * The file source: a directory of rule files becomes publications, again after every change.
 *
 * In: a watched directory. Out: one {@link Publication} per settled change: after 50 ms of quiet, at the latest 500 ms after
 * the first of a run of changes. Only changed documents are parsed (rule_set.ts) and only dependent hosts compiled. A
 * directory that is gone keeps what was in force; the agent is never empty by accident.
 *
 * @example
 * ```ts ignore
 * const source = start({ config, clock, log, openDirectory, publish: (p) => world.publish(p) });
 * await source.ready;
 * ```
 */
import { type Diagnostic, diagnostic, formatDiagnostic } from "../core/diagnostics.ts";
import { limitedPlace } from "../istio/check.ts";
import { createCompiler } from "../istio/compile.ts";
import { crossFindings } from "../istio/findings.ts";
import type { ProxyContext } from "../istio/resources.ts";
import type { AgentConfig } from "../settings/types.ts";
import { createRuleSet, type RuleSetState } from "./rule_set.ts";
import type { DirectoryReading, DiscoverySource, StartSource } from "./types.ts";

/** A change is taken up when nothing more has changed for this long, ms. */
export const QUIET_MS = 50;
/** Or at the latest this long after the first change of a run, ms. */
export const CEILING_MS = 500;

/**
 * Findings across more documents than this (about 10 ms) do not hold up the rules: until they come, this long after a
 * publication (ms), those of the publication before stand.
 */
const FINDINGS_AT_ONCE = 2000;
const FINDINGS_DELAY_MS = 250;

/** Where file rules live, as in a cluster of their own. */
const FILE_DOMAIN = "svc.cluster.local";

/** The proxy for which rules are compiled, as the settings describe it. */
export function proxyContextOf(config: AgentConfig): ProxyContext {
  return {
    namespace: config.workload.namespace,
    domainSuffix: FILE_DOMAIN,
    labels: config.workload.labels,
    outboundTrafficPolicy: config.proxy.outboundTrafficPolicy,
  };
}

export const start: StartSource = ({ config, clock, log, openDirectory, publish }): DiscoverySource => {
  const path = config.serviceDiscovery.address;
  const context = proxyContextOf(config);
  const directory = openDirectory(path);
  const rules = createRuleSet(context);
  const compiler = createCompiler(context);
  let published = false;
  let closed = false;
  let problems: readonly Diagnostic[] = [];
  /** What makes a publication necessary besides a changed text. */
  let lastProblem = "";
  let findings: readonly Diagnostic[] = [];
  let cancelFindings: (() => void) | undefined;

  const unreadable = new Map<string, string>();

  /** Files to reread; undefined = all. */
  let changed: Set<string> | undefined;
  let firstChangeMs = -1;
  let cancelTimer: (() => void) | undefined;
  let cancelRescan: (() => void) | undefined;
  let running: Promise<void> | undefined;

  const emit = (state: RuleSetState, own: readonly Diagnostic[]): void => {
    const { program, stats } = compiler.update(state.documents);
    const give = (): void => {
      problems = [...own, ...state.diagnostics, ...findings];
      publish({
        program,
        diagnostics: problems,
        stats: { documents: state.documents.length, parsed: state.parsed, kept: state.kept, ...stats },
      });
    };
    const find = () => crossFindings(state.defined, context, limitedPlace());
    cancelFindings?.();
    cancelFindings = undefined;
    if (state.defined.length <= FINDINGS_AT_ONCE) {
      findings = find();
      give();
    } else {
      give();
      cancelFindings = clock.after(FINDINGS_DELAY_MS, () => {
        findings = find();
        give();
      });
    }
    published = true;
  };

  const missing = (): void => {
    const problem = published
      ? diagnostic("D107", `The rules directory "${directory.label}" is gone`, { file: directory.label })
      : diagnostic(
        "D101",
        `Cannot read the rules directory "${directory.label}": it does not exist; want a directory of YAML files`,
        { file: directory.label },
      );
    if (lastProblem === problem.message) return;
    lastProblem = problem.message;
    problems = published ? [problem, ...problems] : [problem];
    log.log("warn", formatDiagnostic(problem));
  };

  const apply = (reading: DirectoryReading | null): void => {
    if (reading === null) return missing();
    const changes = new Map(reading.files);
    if (reading.complete) {
      for (const name of rules.files()) {
        if (!changes.has(name) && !reading.unreadable.has(name)) changes.set(name, null);
      }
    }
    const state = rules.update(changes);
    if (reading.complete) unreadable.clear();
    for (const name of changes.keys()) unreadable.delete(name);
    for (const [name, reason] of reading.unreadable) unreadable.set(name, reason);
    const own = [...unreadable].map(([file, reason]) =>
      diagnostic("D105", `Cannot read the rule file "${file}": ${reason}; want a readable file`, { file })
    );
    if (state.documents.length === 0 && state.diagnostics.length === 0 && own.length === 0) {
      own.push(
        diagnostic(
          "D102",
          `The rules directory "${directory.label}" holds no rules: every host is unknown to the agent`,
          { file: directory.label },
        ),
      );
    }
    const problem = own.map(formatDiagnostic).join("\n");
    if (!published && unreadable.size > 0 && state.documents.length === 0) {
      // Nothing could be read: that is no empty set of rules.
      if (problem !== lastProblem) log.log("error", problem);
      lastProblem = problem;
      problems = own;
      return;
    }
    if (published && !state.changed && problem === lastProblem) return;
    // Only after success, so that a failed try is taken up again by the next reading.
    lastProblem = "(failed)";
    emit(state, own);
    lastProblem = problem;
  };

  const run = (): Promise<void> => {
    cancelTimer?.();
    cancelTimer = undefined;
    if (running !== undefined) return running.then(() => firstChangeMs < 0 ? running : run());
    firstChangeMs = -1;
    const only = changed;
    changed = new Set();
    running = directory.read(only).then((reading) => {
      if (!closed) apply(reading);
    }).catch((error: unknown) => {
      // A bug in a compiler must not end the watch: the last world stays.
      log.log("error", `Cannot take up the rules of "${directory.label}": ${String(error)}`);
    }).finally(() => {
      running = undefined;
    });
    return running;
  };

  const onChange = (files?: readonly string[]): void => {
    if (closed) return;
    if (files === undefined) changed = undefined;
    else for (const file of files) changed?.add(file);
    const now = clock.monotonic();
    if (firstChangeMs < 0) firstChangeMs = now;
    cancelTimer?.();
    cancelTimer = clock.after(Math.min(QUIET_MS, Math.max(0, firstChangeMs + CEILING_MS - now)), run);
  };

  const stopWatching = directory.watch(onChange);
  const rescan = (): void => {
    cancelRescan = clock.after(config.serviceDiscovery.refreshIntervalMs, () => {
      onChange();
      rescan();
    });
  };
  if (config.serviceDiscovery.refreshIntervalMs > 0) rescan();

  const ready = run();
  return {
    ready,
    problems: () => problems,
    status: () => [],
    refresh() {
      changed = undefined;
      firstChangeMs = clock.monotonic();
      return run();
    },
    async close() {
      closed = true;
      cancelTimer?.();
      cancelRescan?.();
      cancelFindings?.();
      stopWatching();
      await running;
    },
  };
};
