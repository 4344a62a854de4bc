/**
 * The examples: each loads, `check` has nothing to say about it, and each line `# try: REQUEST => DECISION` of its comments is
 * what the rules decide.
 */
import { deepEqual, ok, strictEqual } from "node:assert/strict";
import { formatDiagnostic } from "../../agent/core/diagnostics.ts";
import { ANYBODY, compileRules } from "../../agent/discovery/offline.ts";
import { parseClusterName } from "../../agent/model/model.ts";
import type { RouteTables } from "../../agent/route/types.ts";
import { viewOf } from "../../agent/route/view.ts";

const directory = new URL("../../config/examples/", import.meta.url);

/** What the rules decide, in the words of the examples. */
function decide(tables: RouteTables, request: string): string {
  const [, method, url, rest] = /^(\S+) (\S+)(.*)$/.exec(request) ?? [];
  const headers = [...(rest ?? "").matchAll(/ -H "([^:]+): ([^"]*)"/g)].map((m) => [m[1]!, m[2]!] as const);
  const view = viewOf({ method: method!, url: url!, headers });
  const shares = new Map<string, number>();
  const extras: string[] = [];
  for (let percent = 0; percent < 100; percent++) {
    const decision = tables.select(view, (percent + 0.5) / 100);
    if (decision.kind === "redirect") {
      const { status, location } = decision.route.redirect(view);
      return `${status} ${location}`;
    }
    if (decision.kind === "directResponse") return `${decision.route.direct!.status}`;
    if (decision.kind !== "route") return decision.kind;
    const { host, subset } = parseClusterName(decision.destination.cluster)!;
    const name = `${host.split(".")[0]} ${subset}`.trim();
    shares.set(name, (shares.get(name) ?? 0) + 1);
    if (percent > 0) continue;
    const { route } = decision;
    const { fault } = route;
    if (fault !== null && fault.delayPerMillion > 0) extras.push(`delay ${fault.delayMs / 1000}s`);
    if (fault !== null && fault.abortPerMillion > 0) extras.push(`abort ${fault.httpStatus}`);
    if (route.timeoutMs > 0) {
      extras.push(
        `timeout ${route.timeoutMs < 1000 ? `${route.timeoutMs}ms` : `${route.timeoutMs / 1000}s`}`,
      );
    }
    if (route.rewritesPath) extras.push(`path ${route.rewritePath(view.path)}`);
  }
  const names = [...shares].map(([name, share]) => share === 100 ? name : `${name} ${share}`);
  return [...names, ...extras].join(", ");
}

const examples = [...Deno.readDirSync(directory)].map((entry) => entry.name).filter((name) =>
  name.endsWith(".yaml")
).sort();

Deno.test("there are examples", () => ok(examples.includes("bookinfo.yaml")));

for (const name of examples) {
  const text = Deno.readTextFileSync(new URL(name, directory));
  const { tables, diagnostics } = compileRules(new Map([[name, text]]), ANYBODY);
  Deno.test(`examples/${name} is clean`, () => deepEqual(diagnostics.map(formatDiagnostic), []));
  const tries = [...text.matchAll(/^# try: (.*) => (.*)$/gm)];
  ok(tries.length > 0, `${name} has nothing to try`);
  for (const [, request, decision] of tries) {
    Deno.test(`examples/${name}: ${request}`, () => strictEqual(decide(tables, request!), decision));
  }
}
