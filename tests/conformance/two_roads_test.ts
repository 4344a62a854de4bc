/**
 * Same YAML, two roads: rules compiled here from files, and what a real control plane made of the same rules, decoded here, decide alike.
 * Where they part is listed with reasons in two_roads/deviations.ts.
 */
import assert from "node:assert/strict";
import { compileRules } from "../../agent/discovery/offline.ts";
import { buildRouteTables } from "../../agent/route/table.ts";
import type { CompiledRoute } from "../../agent/route/types.ts";
import { createCodec } from "../../agent/xds/codec.ts";
import { CLUSTERS, DECISIONS } from "./two_roads/deviations.ts";
import { contextOf, rulesOf, type Scenario } from "./two_roads/recording.ts";
import { replay } from "./two_roads/replay.ts";
import { RequestGenerator } from "./two_roads/requests.ts";
import { SCENARIOS } from "./two_roads/scenarios.ts";
import { differences, type Road, tell, tellCluster } from "./two_roads/told.ts";

const REQUESTS = 3_000;
const MOST_SHOWN = 20;
const SEED = 20_261_124;

const codec = await createCodec();

interface Roads {
  readonly files: Road;
  readonly recorded: Road;
}

async function roadsOf(scenario: Scenario): Promise<Roads> {
  const files = compileRules(rulesOf(scenario), contextOf(scenario));
  assert.deepEqual(files.diagnostics.filter((d) => d.severity === "error"), [], scenario.path);
  const program = await replay(scenario, codec);
  return { files, recorded: { program, tables: buildRouteTables(program) } };
}

Deno.test("same YAML, two roads", async (t) => {
  const unusedDecisions = new Set(DECISIONS);
  const unusedClusters = new Set(CLUSTERS);
  for (const scenario of SCENARIOS) {
    await t.step(scenario.path, async () => {
      const { files, recorded } = await roadsOf(scenario);
      const unexpected = new Map<string, string>();
      const taken = new Set<CompiledRoute>();
      const generator = new RequestGenerator(SEED, [files.program, recorded.program]);
      for (let i = 0; i < REQUESTS; i++) {
        const request = generator.next();
        const a = tell(files, request);
        const b = tell(recorded, request);
        if (a.route !== undefined) taken.add(a.route);
        for (const field of differences(a.told, b.told)) {
          const found = { scenario: scenario.path, request, field, files: a.told, recorded: b.told };
          const known = DECISIONS.find((d) =>
            d.field === field && d.scenario.test(scenario.path) && d.when(found)
          );
          if (known !== undefined) unusedDecisions.delete(known);
          else {
            const text = `${field} ${JSON.stringify(a.told[field])}, recorded ${
              JSON.stringify(b.told[field])
            }`;
            unexpected.set(`${a.told.virtualHost} ${text}`, request.text);
          }
        }
      }
      for (const name of new Set([...files.program.clusters.keys(), ...recorded.program.clusters.keys()])) {
        const found = {
          scenario: scenario.path,
          name,
          files: tellCluster(files.program, name),
          recorded: tellCluster(recorded.program, name),
        };
        if (JSON.stringify(found.files) === JSON.stringify(found.recorded)) continue;
        const known = CLUSTERS.find((d) => d.scenario.test(scenario.path) && d.when(found));
        if (known !== undefined) unusedClusters.delete(known);
        else {
          const text = `${JSON.stringify(found.files)}, recorded ${JSON.stringify(found.recorded)}`;
          unexpected.set(`cluster ${name} ${text}`, "");
        }
      }
      assert.deepEqual([...unexpected].slice(0, MOST_SHOWN), [], `${unexpected.size} differences`);
    });
  }
  assert.deepEqual(
    [...unusedDecisions, ...unusedClusters].map((d) => d.reason),
    [],
    "deviations that do not occur",
  );
});
