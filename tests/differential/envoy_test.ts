/**
 * The whole way against Envoy: random Istio rules through our parser and compiler, the result as a bootstrap into Envoy
 * and into our own proxy, the same requests to both. Same status, upstream, request as the upstream saw it, response.
 *
 * MESH_ORACLE_SEED (default 1) and MESH_ORACLE_SETS (default 600) choose the rule sets; a failure prints the seed.
 */
import assert from "node:assert/strict";
import { envoyBootstrap } from "../../agent/admin/envoy_bootstrap.ts";
import { formatDiagnostic } from "../../agent/core/diagnostics.ts";
import { createCompiler } from "../../agent/istio/compile.ts";
import { parseRules } from "../../agent/istio/parse.ts";
import type { RuleDocument } from "../../agent/istio/resources.ts";
import { validateDocument } from "../../agent/istio/validate.ts";
import { parseClusterName, type Program } from "../../agent/model/model.ts";
import { explain, formatExplanation } from "../../agent/route/explain.ts";
import { buildRouteTables } from "../../agent/route/table.ts";
import { viewOf } from "../../agent/route/view.ts";
import { startEnvoy } from "./envoy.ts";
import { type RuleSet, ruleSet } from "./generate.ts";
import { differences, type Outcome, outcomeOf } from "./outcome.ts";
import { startOwnProxy } from "./own_proxy.ts";
import { RawClient, type RawRequest, type RawResponse, Upstream } from "./raw_http.ts";

const SEED = Number(Deno.env.get("MESH_ORACLE_SEED") ?? 1);
const SETS = Number(Deno.env.get("MESH_ORACLE_SETS") ?? 600);
const REQUESTS = 20;
/** Rule sets in one start of Envoy. */
const BATCH = 100;

const CONTEXT = {
  namespace: "default",
  domainSuffix: "svc.cluster.local",
  labels: { app: "oracle", version: "v1" },
  outboundTrafficPolicy: "REGISTRY_ONLY" as const,
};

function textOf(set: RuleSet): string {
  return set.objects.map((o) => JSON.stringify(o, null, 1)).join("\n---\n");
}

/** A generated rule that our own validator refuses is a mistake of the generator (or of the validator). */
function parseSet(set: RuleSet): readonly RuleDocument[] {
  const { documents, diagnostics } = parseRules(`r${set.number}.yaml`, textOf(set), { namespace: "default" });
  const errors = [...diagnostics, ...documents.flatMap(validateDocument)].filter((d) =>
    d.severity === "error"
  );
  assert.deepEqual(errors.map(formatDiagnostic), []);
  assert.equal(documents.length, set.objects.length);
  return documents;
}

/** The outcome, less what is chance: which of several endpoints of one cluster served. Then the service is what counts. */
function settled(response: RawResponse, program: Program, request: RawRequest): Outcome {
  const decision = buildTables(program).select(viewOf(request), 0);
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
function buildTables(program: Program): ReturnType<typeof buildRouteTables> {
  let tables = tablesOf.get(program);
  if (tables === undefined) tablesOf.set(program, tables = buildRouteTables(program));
  return tables;
}

Deno.test("envoy: random Istio rules route as Envoy routes them", async () => {
  const answer = [["x-resp", "up"], ["x-many", "1"], ["X-Many", "2"]] as const;
  const a = ["a-v1", "a-v2", "a-v3"].map((name) => new Upstream(name, answer));
  const [b, c, w] = ["b", "c", "w"].map((name) => new Upstream(name, answer)) as [
    Upstream,
    Upstream,
    Upstream,
  ];
  const upstreams = [...a, b, c, w];
  const [v1, v2, v3] = a.map((u) => u.port) as [number, number, number];
  const ports = { a: [v1, v2, v3] as const, b: b.port, c: c.port, w: w.port };
  const wrong: string[] = [];
  const statuses = new Map<number, number>();
  let served = 0;
  try {
    for (let from = 0; from < SETS; from += BATCH) {
      const sets = Array.from(
        { length: Math.min(BATCH, SETS - from) },
        (_, i) => ruleSet(SEED, from + i, ports, REQUESTS),
      );
      const { program } = createCompiler(CONTEXT).update(sets.flatMap(parseSet));
      const address = { hostname: "127.0.0.1", port: 0 };
      const envoy = await startEnvoy(
        envoyBootstrap(program, { listen: address, admin: address, outbound: "REGISTRY_ONLY" }),
      );
      const own = startOwnProxy(program);
      const clients = [new RawClient(envoy.port), new RawClient(own.port)] as const;
      try {
        for (const set of sets) {
          for (const request of set.requests) {
            const [theirs, ours] = [
              settled(await clients[0].send(request), program, request),
              settled(await clients[1].send(request), program, request),
            ];
            statuses.set(theirs.status, (statuses.get(theirs.status) ?? 0) + 1);
            if (theirs.upstream !== "") served++;
            const differing = differences(theirs, ours);
            if (differing.length > 0) wrong.push(report(set, request, differing, program));
          }
        }
      } finally {
        for (const client of clients) client.close();
        await own.stop();
        await envoy.stop();
      }
    }
  } finally {
    await Promise.all(upstreams.map((u) => u.stop()));
  }
  const shown = Number(Deno.env.get("MESH_ORACLE_SHOW") ?? 4);
  assert.equal(
    wrong.length,
    0,
    `seed ${SEED}: ${wrong.length} of ${SETS * REQUESTS} differ\n\n${wrong.slice(0, shown).join("\n\n")}`,
  );
  // The rule sets would prove little if everything were an error, or nothing.
  assert.ok(served > SETS * REQUESTS / 4, `only ${served} requests reached an upstream`);
  for (const status of [200, 301, 404, 502, 503]) {
    assert.ok((statuses.get(status) ?? 0) > 0, `no answer was ${status}`);
  }
});

function report(set: RuleSet, request: RawRequest, differing: readonly string[], program: Program): string {
  const why = formatExplanation(explain(program, buildTables(program), viewOf(request)));
  return `rule set ${set.number}: ${request.method} ${request.url} ${JSON.stringify(request.headers)}\n  ${
    differing.join("\n  ")
  }\n${why.replaceAll(/^/gm, "  | ")}`;
}
