/** Generated rule sets through the agent's own parser and compiler, and requests whose two outcomes are compared. */
import assert from "node:assert/strict";
import { formatDiagnostic } from "../../agent/core/diagnostics.ts";
import { parseRules } from "../../agent/istio/parse.ts";
import type { RuleDocument } from "../../agent/istio/resources.ts";
import { validateDocument } from "../../agent/istio/validate.ts";
import { parseClusterName, type Program } from "../../agent/model/model.ts";
import { explain, formatExplanation } from "../../agent/route/explain.ts";
import { buildRouteTables } from "../../agent/route/table.ts";
import { viewOf } from "../../agent/route/view.ts";
import type { RuleSet } from "./generate.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import type { RawRequest, RawResponse } from "./raw_http.ts";

export const SEED = Number(Deno.env.get("MESH_ORACLE_SEED") ?? 1);

export const CONTEXT = {
  namespace: "default",
  domainSuffix: "svc.cluster.local",
  labels: { app: "oracle", version: "v1" },
  outboundTrafficPolicy: "REGISTRY_ONLY" as const,
};

export function textOf(set: RuleSet): string {
  return set.objects.map((o) => JSON.stringify(o, null, 1)).join("\n---\n");
}

/** A generated rule that our own validator refuses is a mistake of the generator (or of the validator). */
export function parseSet(set: RuleSet): readonly RuleDocument[] {
  const { documents, diagnostics } = parseRules(`r${set.number}.yaml`, textOf(set), { namespace: "default" });
  const errors = [...diagnostics, ...documents.flatMap(validateDocument)].filter((d) =>
    d.severity === "error"
  );
  assert.deepEqual(errors.map(formatDiagnostic), []);
  assert.equal(documents.length, set.objects.length);
  return documents;
}

/** The outcome, less what is chance: which of several endpoints of one cluster served. Then the service is what counts. */
export function settled(response: RawResponse, program: Program, request: RawRequest): Outcome {
  const decision = tablesFor(program).select(viewOf(request), 0);
  const outcome = outcomeOf(response, decision.kind === "directResponse");
  if (decision.kind !== "route" || parseClusterName(decision.destination.cluster)?.subset !== "") {
    return outcome;
  }
  return {
    ...outcome,
    upstream: outcome.upstream.replace(/^a-v[123]$/, "a"),
    headers: outcome.headers.replace(/^x-upstream: a-v[123]$/m, "x-upstream: a"),
  };
}

const tablesOf = new WeakMap<Program, ReturnType<typeof buildRouteTables>>();
function tablesFor(program: Program): ReturnType<typeof buildRouteTables> {
  let tables = tablesOf.get(program);
  if (tables === undefined) tablesOf.set(program, tables = buildRouteTables(program));
  return tables;
}

export function report(
  set: RuleSet,
  request: RawRequest,
  differing: readonly string[],
  program: Program,
): string {
  const why = formatExplanation(explain(program, tablesFor(program), viewOf(request)));
  return `rule set ${set.number}: ${request.method} ${request.url} ${JSON.stringify(request.headers)}\n  ${
    differing.join("\n  ")
  }\n${why.replaceAll(/^/gm, "  | ")}`;
}
