/**
 * The import law: a folder of agent/ imports only folders above it in {@link LAYERS}, and no file imports itself by
 * a detour. The other half of the law (pure folders name no runtime) is the lint rule in lint/ports_rule.ts.
 *
 * In: the module graph as `deno info --json` tells it, type imports and dynamic imports included.
 * Out: one line per breach and exit 1, or a count and exit 0.
 *
 * @example
 * ```sh
 * deno run -A scripts/arch.ts
 * ```
 */

/** Top to bottom: each may import itself and what stands before it. */
export const LAYERS: readonly string[] = [
  "core",
  "model",
  "settings",
  "wire",
  "route",
  "istio",
  "protos",
  "xds",
  "observe",
  "discovery",
  "proxy",
  "admin",
  "net",
  "agent",
  "supervisor",
  "cli",
  "mod",
];

/** File -> the files it imports, as paths relative to the repository. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** Layer of a repository path; undefined for files the law does not speak of (tests, benches, scripts). */
export function layerOf(path: string): string | undefined {
  if (/_(test|bench)\.ts$/.test(path)) return undefined;
  if (path === "mod.ts") return "mod";
  if (path.startsWith("protos/")) return "protos";
  const inside = /^agent\/([^/]+?)(?:\.ts)?(?:\/|$)/.exec(path);
  return inside?.[1];
}

/** Imports that go down or out of the law, as sentences. */
export function upwardImports(graph: ImportGraph): string[] {
  const breaches: string[] = [];
  for (const [from, targets] of graph) {
    const layer = layerOf(from);
    if (layer === undefined) continue;
    const level = LAYERS.indexOf(layer);
    if (level < 0) breaches.push(`${from}: agent/${layer} is not in the list of layers (scripts/arch.ts)`);
    for (const target of targets) {
      const targetLayer = layerOf(target);
      if (targetLayer === undefined) {
        breaches.push(`${from}: imports ${target}, which is a test, a script or outside agent/`);
      } else if (LAYERS.indexOf(targetLayer) > level) {
        breaches.push(`${from}: ${layer} may not import ${target}; ${targetLayer} stands below it`);
      }
    }
  }
  return breaches;
}

/** Every group of files that import each other in a circle (Tarjan's strongly connected components). */
export function cycles(graph: ImportGraph): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  const found: string[][] = [];
  const visit = (file: string): void => {
    order.set(file, order.size);
    low.set(file, order.get(file)!);
    stack.push(file);
    onStack.add(file);
    for (const target of graph.get(file) ?? []) {
      if (!order.has(target)) visit(target);
      if (onStack.has(target)) low.set(file, Math.min(low.get(file)!, low.get(target)!));
    }
    if (low.get(file) !== order.get(file)) return;
    const group = stack.splice(stack.indexOf(file));
    for (const member of group) onStack.delete(member);
    if (group.length > 1 || graph.get(file)?.includes(file)) found.push(group.sort());
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return found;
}

interface InfoModule {
  readonly specifier: string;
  readonly error?: string;
  readonly dependencies?: readonly {
    readonly code?: { readonly specifier?: string };
    readonly type?: { readonly specifier?: string };
  }[];
}

/** Reads the graph out of what `deno info --json` printed. Packages and `node:` modules are left out. */
export function graphOfInfo(text: string, rootUrl: string): { graph: ImportGraph; errors: string[] } {
  const graph = new Map<string, string[]>();
  const errors: string[] = [];
  for (const module of (JSON.parse(text) as { modules: InfoModule[] }).modules) {
    if (!module.specifier.startsWith(rootUrl)) continue;
    const file = module.specifier.slice(rootUrl.length);
    if (module.error !== undefined) errors.push(`${file}: ${module.error.split("\n")[0]}`);
    const targets = new Set<string>();
    for (const dependency of module.dependencies ?? []) {
      for (const end of [dependency.code?.specifier, dependency.type?.specifier]) {
        if (end?.startsWith(rootUrl)) targets.add(end.slice(rootUrl.length));
      }
    }
    graph.set(file, [...targets]);
  }
  return { graph, errors };
}

/** Every TypeScript file of agent/ and mod.ts, as `deno info` sees them through one root module. */
async function readGraph(root: URL): Promise<{ graph: ImportGraph; errors: string[] }> {
  const files: string[] = [];
  const walk = async (directory: string): Promise<void> => {
    for await (const entry of Deno.readDir(new URL(directory, root))) {
      if (entry.isDirectory) await walk(`${directory}${entry.name}/`);
      else if (entry.name.endsWith(".ts")) files.push(directory + entry.name);
    }
  };
  await walk("agent/");
  await walk("protos/");
  files.push("mod.ts");
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(
      entry,
      files.sort().map((file) => `import ${JSON.stringify(new URL(file, root).href)};\n`).join(""),
    );
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--config", new URL("deno.json", root).pathname, entry],
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return graphOfInfo(new TextDecoder().decode(stdout), root.href);
  } finally {
    await Deno.remove(entry);
  }
}

if (import.meta.main) {
  const { graph, errors } = await readGraph(new URL("../", import.meta.url));
  const breaches = [
    ...errors,
    ...upwardImports(graph),
    ...cycles(graph).map((group) => `cycle: ${group.join(" -> ")}`),
  ];
  for (const breach of breaches) console.error(breach);
  if (breaches.length > 0) {
    console.error(`import law: ${breaches.length} breaches; the order is ${LAYERS.join(" < ")}`);
    Deno.exit(1);
  }
  const pure = [...graph.keys()].filter((file) => layerOf(file) !== undefined).length;
  console.log(`import law: ${pure} files in order, no cycles`);
}
