/**
 * `deno task compile`: the agent as one program, dist/mesh-agent.
 *
 * Ordinary `deno compile` of the bundle (bundle.ts: 18 MB smaller than of the sources, and it starts in a third of the time),
 * with the permission set of deno.json and the V8 flags baked in. With DENORT_BIN set that base is used. When the base cannot be
 * fetched (build machines without the download site), the one of denort_from_wheel.ts is used instead, with a line that says so.
 *
 * Flags: --target NAME (of {@link TARGETS}) compiles for another machine, dist/mesh-agent-NAME; --target all for each of them, with a
 * line why one was not built. --sealed DIR bakes in the rights that `mesh-agent permissions --config DIR` prints, and no others: the
 * program runs with DIR alone, as it is when it is compiled. Let DIR be where it will lie in production.
 *
 * @example
 * ```sh
 * deno task compile && dist/mesh-agent demo --once 200
 * deno task compile --sealed /etc/mesh-agent
 * ```
 */
import type { Seal } from "../agent/supervisor/seal.ts";
import { BUNDLE, bundle } from "./bundle.ts";
import { denortFromWheel } from "./denort_from_wheel.ts";
import {
  agreed,
  byteCode,
  prepareScripts,
  SCRIPT_NAMES,
  settled,
  stageSettling,
  stageTelling,
  TELLING_FLAGS,
} from "./prepare.ts";
import { sealedFlags, sealFor } from "./seal.ts";

/** What it compiles for: name -> as Rust calls it. Windows is none: the agent lives by signals and /proc. */
export const TARGETS = {
  "linux-x64": "x86_64-unknown-linux-gnu",
  "linux-arm64": "aarch64-unknown-linux-gnu",
  "macos-x64": "x86_64-apple-darwin",
  "macos-arm64": "aarch64-apple-darwin",
} as const;

export type Target = keyof typeof TARGETS;

export const V8_FLAGS = [
  // Linear-time fallback for a pattern that backtracks too much (no cost for others).
  "--enable-experimental-regexp-engine-on-excessive-backtracks",
  // Young generation, MB: room for twice the requests in flight, so that none is copied out of it. With 4 a request costs 15 % more CPU
  // at 256 connections and 25 % at 1,000; with 16 a collection during a push of 10,000 clusters takes 6 ms instead of 2.
  "--max-semi-space-size=16",
  // Calls of a function before V8 thinks of optimizing it; its own 400 are reached while settings and rules are read, and the compiler
  // takes 4 MB as soon as it is used. What requests run reaches this in the first tenth of a second of load.
  "--invocation-count-for-maglev=2000",
  // Runs of a pattern before V8 makes machine code of it: not after one, for the many that a start uses two or three times (4 ms).
  "--regexp-tier-up-ticks=50",
  // For net/collect_garbage.ts: 3 MB of an idle agent.
  "--expose-gc",
  // Collections that byte code stays for without being run: what only a start runs goes with the one behind it (0.7 MB).
  "--bytecode-old-age=1",
];

type Permission = boolean | readonly string[] | undefined;

/** `permissions.default` of deno.json as command-line flags; what is false gets none. */
export function permissionFlags(set: Readonly<Record<string, Permission>>): string[] {
  const flags: string[] = [];
  for (const [name, value] of Object.entries(set)) {
    if (value === true) flags.push(`--allow-${name}`);
    else if (Array.isArray(value) && value.length > 0) flags.push(`--allow-${name}=${value.join(",")}`);
  }
  return flags;
}

export interface CompilerOptions {
  readonly target?: Target | undefined;
  readonly seal?: Seal | undefined;
  /** Default: {@link V8_FLAGS}. */
  readonly v8Flags?: readonly string[];
}

/** Arguments of `deno compile`, the output last. */
export function compileArguments(
  config: { permissions?: { default?: Record<string, Permission> }; unstable?: readonly string[] },
  output: string,
  { target, seal, v8Flags = V8_FLAGS }: CompilerOptions = {},
): string[] {
  const set = config.permissions?.default ?? {};
  return [
    "compile",
    // `deno task ok` checks the types, with the version that they are written for.
    "--no-check",
    "--no-prompt",
    // It would be /tmp/deno-compile-mesh-agent.cache, which anybody may have put there, and which the runtime takes machine code from.
    "--no-code-cache",
    ...(config.unstable ?? []).map((feature) => `--unstable-${feature}`),
    ...permissionFlags(seal === undefined ? set : sealedFlags(seal, set)),
    ...(target === undefined ? [] : ["--target", TARGETS[target]]),
    `--v8-flags=${v8Flags.join(",")}`,
    // All that it needs is staged beside.
    "--no-config",
    "--include",
    "config",
    // Packages that are loaded late are in no module graph.
    "--include",
    BUNDLE,
    "--output",
    output,
    `${BUNDLE}/mod.js`,
  ];
}

const root = new URL("../", import.meta.url);

/**
 * Copies what goes into the program into a directory of its own, all of the same age: `deno compile` packs what it finds with its times,
 * and the same sources shall give the same bytes.
 */
async function stage(directory: string): Promise<void> {
  const copy = async (path: string): Promise<void> => {
    await Deno.mkdir(`${directory}/${path}`, { recursive: true });
    for await (const { name, isDirectory } of Deno.readDir(new URL(path, root))) {
      const inner = `${path}/${name}`;
      // For people who lay out machines, not for the program.
      if (inner === "config/deploy") continue;
      if (isDirectory) await copy(inner);
      else {
        await Deno.copyFile(new URL(inner, root), `${directory}/${inner}`);
        await Deno.utime(`${directory}/${inner}`, 0, 0);
      }
    }
  };
  for (const path of ["config", BUNDLE]) await copy(path);
}

async function compileWith(
  deno: string,
  args: string[],
  cwd: string,
  env: Record<string, string>,
): Promise<string | null> {
  const { success, stderr } = await new Deno.Command(deno, { args, cwd, env }).output();
  return success ? null : new TextDecoder().decode(stderr).trim();
}

export interface CompileOptions {
  /** Default: this machine's. */
  readonly target?: Target;
  /** Conf directory whose rights are baked in; default: none. */
  readonly sealed?: string;
}

/** A base that the compiler has no way to get. */
const UNREACHABLE = /denort|download|dns|connect|error sending/i;

/** Compiles what is staged; gives the line that tells what base was used. Throws with the compiler's own words. */
async function compileStaged(args: string[], directory: string, target: Target | undefined): Promise<string> {
  const failure = await compileWith(Deno.execPath(), args, directory, { NO_COLOR: "1" });
  const given = Deno.env.get("DENORT_BIN");
  if (failure === null) return `base: ${given ?? `Deno ${Deno.version.deno}`}`;
  if (given !== undefined || !UNREACHABLE.test(failure)) throw new Error(failure);
  const wheel = target ?? hostTarget();
  if (wheel !== "linux-x64" && wheel !== "linux-arm64") {
    throw new Error(
      `this machine cannot fetch the base of Deno ${Deno.version.deno}, and no wheel has one`,
    );
  }
  const { deno, denort } = await denortFromWheel(root, wheel);
  const second = await compileWith(deno, args, directory, { NO_COLOR: "1", DENORT_BIN: denort });
  if (second !== null) throw new Error(second);
  return "base: Deno 2.6.10 out of a wheel, because this machine cannot fetch that of " + Deno.version.deno;
}

/** Makes the byte code of the start (prepare.ts) with programs of its own, and puts it beside the bundle; gives a line about it. */
async function prepare(config: Parameters<typeof compileArguments>[0]): Promise<string> {
  await prepareScripts();
  const directory = await Deno.makeTempDir({ prefix: "mesh-prepare-" });
  const compiled = async (name: string, v8Flags: readonly string[]): Promise<string> => {
    const program = `${directory}/${name}`;
    await compileStaged(compileArguments(config, program, { v8Flags }), directory, undefined);
    return program;
  };
  try {
    await stage(directory);
    await stageTelling(directory);
    const telling = await compiled("telling", [...V8_FLAGS, ...TELLING_FLAGS]);
    await stageSettling(directory);
    const settling = await compiled("settling", V8_FLAGS);
    const code = await agreed(async () => await settled(settling, await byteCode(telling)));
    for (const [name, bytes] of Object.entries(code)) {
      await Deno.writeFile(new URL(`${BUNDLE}/${name}.prepared.cache`, root), bytes);
    }
    return "start prepared";
  } catch (error) {
    for (const name of SCRIPT_NAMES) {
      for (const kind of ["cjs", "cache"]) {
        await Deno.remove(new URL(`${BUNDLE}/${name}.prepared.${kind}`, root)).catch(() => {});
      }
    }
    const reason = error instanceof Error ? error.message : String(error);
    return `start not prepared, so it takes a quarter longer: ${reason.trim().split("\n").at(-1)}`;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/**
 * Compiles to `output`, an absolute path; gives the line that tells what base was used, and whether the start is prepared. Throws with the
 * compiler's own words.
 */
export async function compile(output: string, { target, sealed }: CompileOptions = {}): Promise<string> {
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const name = output.slice(output.lastIndexOf("/") + 1);
  const seal = sealed === undefined ? undefined : await sealFor(sealed, name);
  const args = compileArguments(config, output, { target, seal });
  await bundle();
  const start = target === undefined ? await prepare(config) : "start not prepared: that needs its machine";
  const directory = await Deno.makeTempDir({ prefix: "mesh-compile-" });
  try {
    await stage(directory);
    if (seal !== undefined) {
      const file = `${directory}/${BUNDLE}/seal.json`;
      await Deno.writeTextFile(file, JSON.stringify(seal));
      await Deno.utime(file, 0, 0);
    }
    return `${await compileStaged(args, directory, target)}; ${start}`;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function hostTarget(): Target | undefined {
  const arch = Deno.build.arch === "x86_64" ? "x64" : "arm64";
  return Deno.build.os === "linux"
    ? `linux-${arch}`
    : Deno.build.os === "darwin"
    ? `macos-${arch}`
    : undefined;
}

function option(name: string): string | undefined {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? undefined : Deno.args[at + 1];
}

/** Compiles and tells of it; false when it failed. */
async function tell(output: string, options: CompileOptions): Promise<boolean> {
  const startMs = performance.now();
  try {
    const base = await compile(output, options);
    const { size } = await Deno.stat(output);
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    console.log(`${output}: ${(size / 1e6).toFixed(0)} MB in ${seconds} s; ${base}`);
    return true;
  } catch (error) {
    console.error(`Cannot compile "${output}": ${error instanceof Error ? error.message : error}`);
    return false;
  }
}

if (import.meta.main) {
  const output = new URL("dist/mesh-agent", root).pathname;
  await Deno.mkdir(new URL("dist", root), { recursive: true });
  const target = option("target");
  const sealed = option("sealed");
  const options = sealed === undefined ? {} : { sealed };
  if (target === undefined) Deno.exit(await tell(output, options) ? 0 : 1);
  const names = Object.keys(TARGETS) as Target[];
  const wanted = target === "all" ? names : names.filter((name) => name === target);
  if (wanted.length === 0) {
    console.error(`Cannot compile for "${target}": want all, or one of ${names.join(", ")}`);
    Deno.exit(2);
  }
  let built = 0;
  for (const each of wanted) if (await tell(`${output}-${each}`, { ...options, target: each })) built++;
  // Of all, those that no base can be had for are told, and are no failure.
  Deno.exit(built > 0 ? 0 : 1);
}
