/**
 * Rules without a running agent: files in, program, tables and findings out. `check`, `explain --rules` and `program` use it,
 * and the library door gives it out.
 *
 * @example
 * ```ts
 * import { compileRules } from "./offline.ts";
 * const compiled = compileRules(new Map([["rules.yaml", text]]));
 * compiled.program.clusters.size;
 * ```
 */
import type { Diagnostic } from "../core/diagnostics.ts";
import { checkRules, limitedPlace } from "../istio/check.ts";
import { createCompiler } from "../istio/compile.ts";
import { notExecuted } from "../istio/not_executed.ts";
import { sortDiagnostics } from "../istio/remark.ts";
import type { ProxyContext, RuleDocument } from "../istio/resources.ts";
import type { Program } from "../model/model.ts";
import { buildRouteTables } from "../route/table.ts";
import type { RouteTables } from "../route/types.ts";

/** What rule files come to. */
export interface CompiledRules {
  readonly program: Program;
  readonly tables: RouteTables;
  /** Every finding, by file and place. */
  readonly diagnostics: readonly Diagnostic[];
  /** The objects in force. */
  readonly documents: readonly RuleDocument[];
}

/** For whom rules are compiled when nobody says: namespace default, no labels, ALLOW_ANY. */
export const ANYBODY: ProxyContext = {
  namespace: "default",
  domainSuffix: "svc.cluster.local",
  labels: {},
  outboundTrafficPolicy: "ALLOW_ANY",
};

/** Findings only. `files`: name to YAML text. */
export function judgeRules(
  files: ReadonlyMap<string, string>,
  context: ProxyContext = ANYBODY,
): { valid: readonly RuleDocument[]; diagnostics: readonly Diagnostic[] } {
  const { valid, diagnostics } = checkRules(files, context);
  return { valid, diagnostics: sortDiagnostics([...diagnostics, ...notExecuted(valid, limitedPlace())]) };
}

/** Never throws for what is in the files: objects with errors are left out and reported. */
export function compileRules(
  files: ReadonlyMap<string, string>,
  context: ProxyContext = ANYBODY,
): CompiledRules {
  const { valid, diagnostics } = judgeRules(files, context);
  const { program } = createCompiler(context).update(valid);
  return { program, tables: buildRouteTables(program), diagnostics, documents: valid };
}
