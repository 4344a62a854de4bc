/**
 * mesh-agent: a sidecar that routes an application's HTTP requests by Istio rules. This is the door of the library; run as a
 * program it is the command line.
 *
 * In: settings or rule files. Out: a running agent, or the compiled rules and the explanation of a request. Each function
 * loads what it needs when it is called, so that importing this costs next to nothing.
 *
 * @example
 * ```ts
 * import { compileRules, explain } from "./mod.ts";
 * const rules = await compileRules(new Map([["reviews.yaml", await Deno.readTextFile("reviews.yaml")]]));
 * for (const d of rules.diagnostics) console.log(d.code, d.message);
 * console.log((await explain(rules, { method: "GET", url: "http://reviews:9080/" })).summary);
 * ```
 *
 * @module
 */
import type { AgentOptions, RunningAgent } from "./agent/agent.ts";
import { tooOld } from "./agent/core/runtime_version.ts";
import { loadPrepared } from "./agent/net/prepared.ts";
import type { CompiledRules } from "./agent/discovery/offline.ts";
import type { ProxyContext } from "./agent/istio/resources.ts";
import type { Explanation } from "./agent/route/explain.ts";
import type { AgentConfig } from "./agent/settings/types.ts";

export type { AgentOptions, RunningAgent } from "./agent/agent.ts";
export type { Diagnostic, Origin, Severity } from "./agent/core/diagnostics.ts";
export type { CompiledRules } from "./agent/discovery/offline.ts";
export type { ProxyContext } from "./agent/istio/resources.ts";
export type { Program } from "./agent/model/model.ts";
export type { Explanation } from "./agent/route/explain.ts";
export type { AgentConfig } from "./agent/settings/types.ts";

/**
 * Starts an agent inside this process. Resolves when it listens and has tried once to get its rules. Throws MeshError when an
 * address cannot be had (N101 to N103).
 */
export async function start(config: AgentConfig, options: AgentOptions = {}): Promise<RunningAgent> {
  const { startAgent } = await import("./agent/agent.ts");
  return await startAgent(config, options);
}

/**
 * Compiles Istio YAML (file name -> text) for a workload; default: namespace `default`, no labels, ALLOW_ANY. Objects with
 * errors are left out and reported in `diagnostics`; never throws for what is in the files.
 */
export async function compileRules(
  files: ReadonlyMap<string, string>,
  context?: Partial<ProxyContext>,
): Promise<CompiledRules> {
  const { ANYBODY, compileRules } = await import("./agent/discovery/offline.ts");
  return compileRules(files, { ...ANYBODY, ...context });
}

/**
 * Tells why a request goes where it goes, by the resolver of the data path. `url` is absolute; headers default to none.
 * Throws when the URL cannot be read.
 */
export async function explain(
  rules: Pick<CompiledRules, "program" | "tables">,
  request: {
    readonly method: string;
    readonly url: string;
    readonly headers?: readonly (readonly [string, string])[];
  },
): Promise<Explanation> {
  const [{ explain }, { viewOf }] = await Promise.all([
    import("./agent/route/explain.ts"),
    import("./agent/route/view.ts"),
  ]);
  return explain(rules.program, rules.tables, viewOf({ ...request, headers: request.headers ?? [] }));
}

if (import.meta.main) {
  const sentence = tooOld(Deno.version.deno);
  if (sentence !== undefined) {
    console.error(sentence);
    Deno.exit(2);
  }
  const { main } = Deno.args[0] === "run" && loadPrepared<typeof import("./agent/cli/main.ts")>(
        "supervisor",
        new URL("./", import.meta.url),
      ) || await import("./agent/cli/main.ts");
  Deno.exit(await main(Deno.args));
}
