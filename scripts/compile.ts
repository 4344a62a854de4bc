/**
 * `deno task compile`: the agent as one program, dist/mesh-agent.
 *
 * Ordinary `deno compile` of the bundle (bundle.ts: 18 MB smaller than of the sources, and it starts in a third of the time),
 * with the permission set of deno.json and the V8 flags baked in. With DENORT_BIN set that base
 * is used. When the base cannot be fetched (build machines without the download site), the one of
 * denort_from_wheel.ts is used instead, with a line that says so.
 *
 * @example
 * ```sh
 * deno task compile && dist/mesh-agent demo --once 200
 * ```
 */
import { BUNDLE, bundle } from "./bundle.ts";
import { denortFromWheel } from "./denort_from_wheel.ts";

export const V8_FLAGS = [
  // Linear-time fallback for a pattern that backtracks too much (no cost for others).
  "--enable-experimental-regexp-engine-on-excessive-backtracks",
  // Young generation, MB: room for twice the requests in flight, so that none is copied out of it. With 4 a request costs 15 % more CPU
  // at 256 connections and 25 % at 1,000; with 16 a collection during a push of 10,000 clusters takes 6 ms instead of 2.
  "--max-semi-space-size=16",
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

/** Arguments of `deno compile`, the output last. */
export function compileArguments(
  config: { permissions?: { default?: Record<string, Permission> }; unstable?: readonly string[] },
  output: string,
): string[] {
  return [
    "compile",
    // `deno task ok` checks the types, with the version that they are written for.
    "--no-check",
    "--no-prompt",
    // It would be /tmp/deno-compile-mesh-agent.cache, which anybody may have put there, and which the runtime takes machine code from.
    "--no-code-cache",
    ...(config.unstable ?? []).map((feature) => `--unstable-${feature}`),
    ...permissionFlags(config.permissions?.default ?? {}),
    `--v8-flags=${V8_FLAGS.join(",")}`,
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

/** Compiles to `output`, an absolute path; gives the line that tells what base was used. Throws with the compiler's own words. */
export async function compile(output: string): Promise<string> {
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const args = compileArguments(config, output);
  await bundle();
  const directory = await Deno.makeTempDir({ prefix: "mesh-compile-" });
  try {
    await stage(directory);
    const failure = await compileWith(Deno.execPath(), args, directory, { NO_COLOR: "1" });
    const given = Deno.env.get("DENORT_BIN");
    if (failure === null) return `base: ${given ?? `Deno ${Deno.version.deno}`}`;
    if (given !== undefined || !/denort|download|dns|connect|error sending/i.test(failure)) {
      throw new Error(failure);
    }
    const { deno, denort } = await denortFromWheel(root);
    const second = await compileWith(deno, args, directory, { NO_COLOR: "1", DENORT_BIN: denort });
    if (second !== null) throw new Error(second);
    return "base: Deno 2.6.10 out of a wheel, because this machine cannot fetch that of " + Deno.version.deno;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

if (import.meta.main) {
  const startMs = performance.now();
  const output = new URL("dist/mesh-agent", root).pathname;
  await Deno.mkdir(new URL("dist", root), { recursive: true });
  try {
    console.log(await compile(output));
  } catch (error) {
    console.error(`Cannot compile "${output}": ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
  const { size } = await Deno.stat(output);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(
    `dist/mesh-agent: ${(size / 1e6).toFixed(0)} MB in ${seconds} s; try dist/mesh-agent demo --once 200`,
  );
}
