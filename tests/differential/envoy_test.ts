/**
 * The whole way against Envoy: random Istio rules through our parser and compiler, the result as a bootstrap into Envoy
 * and into our own proxy, the same requests to both. Same status, upstream, request as the upstream saw it, response.
 *
 * MESH_ORACLE_SEED (default 1) and MESH_ORACLE_SETS (default 600) choose the rule sets; a failure prints the seed.
 */
import assert from "node:assert/strict";
import { envoyBootstrap } from "../../agent/admin/envoy_bootstrap.ts";
import { createCompiler } from "../../agent/istio/compile.ts";
import { CONTEXT, parseSet, report, SEED, settled } from "./compare.ts";
import { startEnvoy } from "./envoy.ts";
import { ruleSet } from "./generate.ts";
import { differences } from "./outcome.ts";
import { startOwnProxy } from "./own_proxy.ts";
import { RawClient, Upstream } from "./raw_http.ts";

const SETS = Number(Deno.env.get("MESH_ORACLE_SETS") ?? 600);
const REQUESTS = 20;
/** Rule sets in one start of Envoy. */
const BATCH = 100;

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
