/**
 * `deno task bundle`: the agent as a few files of JavaScript, dist/agent/mod.js. It starts in two thirds of the time and
 * with 12 MB less than mod.ts, because the runtime reads and links a dozen modules in place of some 230, and half the text.
 *
 * Ordinary `deno bundle --minify` (which fetches esbuild from npm the first time) with one chunk per dynamic import, so that what is
 * loaded late from the sources is loaded late here. Packages are inside: it needs nothing but a deno.json above it, for its
 * rights. It stands as deep as agent/cli/, so that `../../config` is the same directory from both.
 *
 * @example
 * ```sh
 * deno task bundle && deno run -P dist/agent/mod.js run --config config
 * ```
 */
const root = new URL("../", import.meta.url);

/** Where the bundle is, relative to the repository. */
export const BUNDLE = "dist/agent";

/** What `deno bundle` puts in front of CommonJS packages: loads node:module at every start (16 ms, 3 MB). */
const EAGER_REQUIRE =
  /import ?\{ ?createRequire as (\w+) ?\} from "node:module";\s*var ([\w$]+)=\1\(import\.meta\.url\);/;
/** The same when it is called. */
const LAZY_REQUIRE = 'var $2=id=>process.getBuiltinModule("node:module").createRequire(import.meta.url)(id);';

/** A package that the sources load at the first need, in one go. */
const LATE_PACKAGE = /createRequire\(import\.meta\.url\)\("([a-z][\w-]*)"\)/g;

/** The worker's entry point, as the supervisor names it in the sources and where the bundler puts it. */
const WORKER_IN_SOURCES = 'new URL("./worker.ts",import.meta.url)';
const WORKER_IN_BUNDLE = 'new URL("./agent/supervisor/worker.js",import.meta.url)';

/** Entry points besides mod.ts, in agent/supervisor. */
const WORKERS = ["worker", "prepared_worker"];

/** What grpc-js requires when it serves channelz or ORCA, which no agent does: 140 kB, held in memory by whoever runs a compiled agent. */
const NEVER_LOADED = "@grpc/proto-loader";

/** A chunk as it is shipped, and the packages that it wants beside it as NAME.cjs. */
export function shippedChunk(chunk: string): { text: string; packages: string[] } {
  const packages: string[] = [];
  const text = chunk.replace(WORKER_IN_SOURCES, WORKER_IN_BUNDLE).replace(EAGER_REQUIRE, LAZY_REQUIRE)
    .replace(LATE_PACKAGE, (_, name: string) => {
      packages.push(name);
      return `createRequire(import.meta.url)("./${name}.cjs")`;
    });
  return { text, packages };
}

/** Throws with the bundler's own words. */
export async function denoBundle(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", ...args],
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
}

async function chunksIn(directory: URL): Promise<URL[]> {
  const chunks: URL[] = [];
  for await (const { name, isFile } of Deno.readDir(directory)) {
    if (isFile) chunks.push(new URL(name, directory));
  }
  return chunks;
}

/** Makes it anew; what was there is replaced only when all is well. Throws with the bundler's own words. */
export async function bundle(): Promise<void> {
  const fresh = new URL(`${BUNDLE}.new-${Deno.pid}/`, root);
  const target = new URL(BUNDLE, root);
  try {
    const entries = ["mod.ts", ...WORKERS.map((name) => `agent/supervisor/${name}.ts`)];
    await denoBundle(
      ...["--minify", "--code-splitting", "--external", NEVER_LOADED, "--outdir", fresh.pathname, ...entries],
    );
    const wanted = new Set<string>();
    for (const file of [...await chunksIn(fresh), ...await chunksIn(new URL("agent/supervisor/", fresh))]) {
      const { text, packages } = shippedChunk(await Deno.readTextFile(file));
      await Deno.writeTextFile(file, text);
      for (const each of packages) wanted.add(each);
    }
    for (const name of wanted) {
      const entry = new URL(`${name}.entry.js`, fresh);
      await Deno.writeTextFile(entry, `export * from "${name}";\n`);
      const output = new URL(`${name}.cjs`, fresh).pathname;
      await denoBundle("--minify", "--format", "cjs", "--output", output, entry.pathname);
      await Deno.remove(entry);
    }
    await Deno.remove(target, { recursive: true }).catch(() => {});
    await Deno.rename(fresh, target);
  } finally {
    await Deno.remove(fresh, { recursive: true }).catch(() => {});
  }
}

if (import.meta.main) {
  try {
    await bundle();
  } catch (error) {
    console.error(`Cannot bundle "${BUNDLE}": ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
  console.log(`${BUNDLE}/mod.js; try deno run -P ${BUNDLE}/mod.js demo --once 200`);
}
