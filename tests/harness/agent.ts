/**
 * The agent under test. `AGENT=` chooses what that is: empty = `deno run -P mod.ts` (the shipped permission set, never
 * -A), a path = a compiled program. It runs on free ports; the real ones are read from what it announces.
 *
 * @example
 * ```ts
 * import { startAgentProcess } from "./agent.ts";
 * import { makeConf } from "./conf.ts";
 * await using conf = await makeConf();
 * await using agent = await startAgentProcess(["run", "--config", conf.path]);
 * agent.http.port;
 * ```
 */
import { textOf, until, within } from "./bytes.ts";
import type { Address } from "./client.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** Program and arguments in front of the agent's own; `main`: another one than mod.ts, which is never compiled; `rights`: a named set. */
export function agentCommand(main?: string, rights?: string): string[] {
  const chosen = Deno.env.get("AGENT") ?? "";
  if (chosen !== "" && main === undefined) return [chosen];
  const set = rights === undefined ? "-P" : `-P=${rights}`;
  return [Deno.execPath(), "run", set, "--no-prompt", "--quiet", `${ROOT}${main ?? "mod.ts"}`];
}

/** Also for scripts that tests run under the same runtime. */
export const DENO: string = Deno.execPath();

/** Environment of every process under test: nothing of ours, so that no test depends on the machine. */
function environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const env: Record<string, string> = { NO_COLOR: "1" };
  for (const name of ["PATH", "HOME", "DENO_DIR", "TMPDIR"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  return { ...env, ...more };
}

export interface Finished {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Shell text run before the agent in the same process, e.g. `ulimit -n 100`. */
  readonly before?: string;
  readonly cwd?: string;
  /** Main module in place of mod.ts, from the repository. */
  readonly main?: string;
  /** Named permission set of deno.json in place of the default one; a compiled program has only one. */
  readonly rights?: string;
  /** False: do not wait for the first rules. */
  readonly rules?: false;
}

function commandFor(args: readonly string[], options: StartOptions): Deno.Command {
  const words = [...agentCommand(options.main, options.rights), ...args];
  // `exec`, so that the pid is the agent's own.
  const shell = options.before === undefined
    ? words
    : ["sh", "-c", `${options.before}; exec "$@"`, "sh", ...words];
  return new Deno.Command(shell[0] as string, {
    args: shell.slice(1),
    clearEnv: true,
    env: environment(options.env),
    cwd: options.cwd ?? ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs a command of the agent to its end. */
export async function runAgent(args: readonly string[], options: StartOptions = {}): Promise<Finished> {
  const output = await within(commandFor(args, options).output(), `the end of ${args.join(" ")}`, 30_000);
  return {
    code: output.code,
    signal: output.signal,
    stdout: new TextDecoder().decode(output.stdout),
    stderr: new TextDecoder().decode(output.stderr),
  };
}

let capabilities: Promise<ReadonlyMap<string, string | null>> | undefined;

/**
 * Why the agent under test lacks what only some runtimes have (`mesh-agent version --capabilities`); null when it has it. It excuses a
 * test from everything but the refusal of such settings.
 */
export async function lacking(capability: string): Promise<string | null> {
  capabilities ??= runAgent(["version", "--capabilities", "--json"]).then(({ stdout }) => {
    const found = JSON.parse(stdout).capabilities as { name: string; missing: string | null }[];
    return new Map(found.map(({ name, missing }) => [name, missing]));
  });
  const missing = (await capabilities).get(capability);
  if (missing === undefined) throw new Error(`Cannot find capability "${capability}" in the agent's table`);
  return missing;
}

/** What tests look at of a line of the JSON access log. */
export interface AccessLine {
  /** ISO 8601. */
  readonly start_time: string;
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly response_code: number;
  readonly response_flags: string;
  readonly response_code_details: string;
  readonly upstream_host: string | null;
  readonly attempts: readonly { readonly endpoint: string; readonly outcome: string }[];
}

export interface AgentProcess extends AsyncDisposable {
  readonly pid: number;
  /** The proxy's real address. */
  readonly http: Address;
  /** The admin's real address. */
  readonly admin: Address;
  /** Everything printed so far: standard output, then standard error. */
  printed(): string;
  stdout(): string;
  stderr(): string;
  /** Resolves when a line matching this was printed; gives the match. */
  line(pattern: RegExp, ms?: number): Promise<RegExpExecArray>;
  /** Lines of the JSON access log so far (`mesh: {accessLog: "json"}`). */
  accessLog(): readonly AccessLine[];
  signal(signal: Deno.Signal): void;
  readonly ended: Promise<Finished>;
  /** SIGTERM, then SIGKILL after 10 s. */
  stop(): Promise<Finished>;
}

/** Addresses as the agent announces them on start. */
const HTTP_LINE = /proxy (?:is )?listening on ([\d.]+|\[[^\]]+\]):(\d+)/i;
const ADMIN_LINE = /admin (?:is )?listening on ([\d.]+|\[[^\]]+\]):(\d+)/i;

/** Starts it and waits until it announced both listeners and its first rules. Rejects with what it printed when it ends before. */
export async function startAgentProcess(
  args: readonly string[],
  options: StartOptions = {},
): Promise<AgentProcess> {
  const child = commandFor(args, options).spawn();
  const texts = { stdout: "", stderr: "" };
  const watchers = new Set<() => void>();
  const collect = async (name: "stdout" | "stderr"): Promise<void> => {
    for await (const piece of child[name]) {
      texts[name] += textOf(piece);
      for (const watcher of watchers) watcher();
    }
  };
  const ended: Promise<Finished> = Promise.all([child.status, collect("stdout"), collect("stderr")])
    .then(([status]) => {
      for (const watcher of watchers) watcher();
      return { code: status.code, signal: status.signal, ...texts };
    });
  let over = false;
  ended.then(() => {
    over = true;
    for (const watcher of watchers) watcher();
  });

  const printed = (): string => texts.stdout + texts.stderr;
  const line = (pattern: RegExp, ms = 20_000): Promise<RegExpExecArray> => {
    let watcher: (() => void) | undefined;
    const found = new Promise<RegExpExecArray>((resolve, reject) => {
      watcher = () => {
        const match = pattern.exec(printed());
        if (match !== null) resolve(match);
        else if (over) reject(new Error(`Cannot see ${pattern}: the agent ended after\n${printed()}`));
      };
      watchers.add(watcher);
      watcher();
    });
    return within(found, `a line ${pattern} of the agent`, ms)
      .catch((e: Error) => {
        throw new Error(`${e.message}\n${printed()}`);
      })
      .finally(() => watchers.delete(watcher!));
  };
  const signal = (name: Deno.Signal): void => {
    try {
      child.kill(name);
    } catch { /* it ended by itself */ }
  };
  const stop = async (): Promise<Finished> => {
    if (!over) signal("SIGTERM");
    return await within(ended, "the end of the agent", 10_000).catch(async () => {
      signal("SIGKILL");
      return await ended;
    });
  };

  let http: RegExpExecArray;
  let admin: RegExpExecArray;
  try {
    http = await line(HTTP_LINE);
    admin = await line(ADMIN_LINE);
    if (options.rules !== false) await line(/rules in force/);
  } catch (e) {
    await stop();
    throw e;
  }
  return {
    pid: child.pid,
    http: { hostname: http[1]!, port: Number(http[2]) },
    admin: { hostname: admin[1]!, port: Number(admin[2]) },
    printed,
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
    line,
    accessLog: () =>
      texts.stdout.split("\n").slice(0, -1).filter((l) => l.startsWith("{")).map((l) =>
        JSON.parse(l) as AccessLine
      ),
    signal,
    ended,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

/** Number of open file descriptors. */
export function descriptorsOf(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** Resident memory in bytes. */
export function memoryOf(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`));
  return Number(match?.[1] ?? NaN) * 1024;
}

/** Waits until the process has at most so many descriptors. */
export async function descriptorsBackTo(pid: number, atMost: number, ms = 15_000): Promise<void> {
  await until(
    () => descriptorsOf(pid) <= atMost,
    `at most ${atMost} descriptors (now ${descriptorsOf(pid)})`,
    ms,
  );
}
