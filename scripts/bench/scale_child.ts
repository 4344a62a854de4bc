/**
 * Pure part of the 10,000-service bench, in a process of its own: parse, compile without parsing, one change, select.
 *
 * In: the number of services as the argument. Out: one JSON line of {@link ScaleTimes}.
 *
 * @example
 * ```sh
 * deno run -A scripts/bench/scale_child.ts 10000
 * ```
 */
import { createCompiler } from "../../agent/istio/compile.ts";
import { parseRules } from "../../agent/istio/parse.ts";
import type { RuleDocument } from "../../agent/istio/resources.ts";
import { buildRouteTables } from "../../agent/route/table.ts";
import { viewOf } from "../../agent/route/view.ts";
import { median } from "./process.ts";
import { scaleFiles, scaleService } from "./scale_rules.ts";

export interface ScaleTimes {
  readonly documents: number;
  readonly parseMs: number;
  readonly compileMs: number;
  readonly changeMs: number;
  readonly recompiled: number;
  readonly selectNs: number;
}

const count = Number(Deno.args[0] ?? 10_000);
const context = {
  namespace: "default",
  domainSuffix: "svc.cluster.local",
  labels: {},
  outboundTrafficPolicy: "ALLOW_ANY" as const,
};

const parse = (file: string, text: string): readonly RuleDocument[] => {
  const { documents, diagnostics } = parseRules(file, text, { namespace: "default" });
  if (diagnostics.length > 0) throw new Error(JSON.stringify(diagnostics[0]));
  return documents;
};

const parseStartMs = performance.now();
const byFile = new Map<string, readonly RuleDocument[]>();
for (const [file, text] of Object.entries(scaleFiles({ count, upstreamPort: 8080 }))) {
  byFile.set(file, parse(file, text));
}
const parseMs = performance.now() - parseStartMs;
const documents = [...byFile.values()].flat();

const compiles: number[] = [];
let compiler = createCompiler(context);
let { program } = compiler.update([]);
let tables = buildRouteTables(program);
for (let round = 0; round < 3; round++) {
  compiler = createCompiler(context);
  const startMs = performance.now();
  program = compiler.update(documents).program;
  tables = buildRouteTables(program);
  compiles.push(performance.now() - startMs);
}

const changes: number[] = [];
let recompiled = 0;
for (let round = 0; round < 7; round++) {
  byFile.set("changing.yaml", parse("changing.yaml", scaleService(0, 8080, 211 + round)));
  const changed = [...byFile.values()].flat();
  const startMs = performance.now();
  const result = compiler.update(changed);
  tables = buildRouteTables(result.program, tables);
  changes.push(performance.now() - startMs);
  recompiled = result.stats.recompiled;
}

const views = Array.from(
  { length: 1000 },
  (_, i) =>
    viewOf({
      method: "GET",
      url: `http://svc-${(i * 7919) % count}.default.svc.cluster.local/a/b?c=d`,
      headers: [],
    }),
);
const selects: number[] = [];
for (let round = 0; round < 50; round++) {
  const startMs = performance.now();
  for (let i = 0; i < 1000; i++) {
    if (tables.select(views[i]!, i / 1000).kind !== "route") throw new Error("the wrong decision");
  }
  selects.push((performance.now() - startMs) * 1000);
}

const times: ScaleTimes = {
  documents: documents.length,
  parseMs,
  compileMs: median(compiles),
  changeMs: median(changes),
  recompiled,
  selectNs: median(selects),
};
console.log(JSON.stringify(times));
