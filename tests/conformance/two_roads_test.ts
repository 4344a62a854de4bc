/**
 * Same YAML, two roads: rules compiled here from files, and what a real control plane made of the same rules, decoded here, decide alike.
 * Where they part is listed with reasons in two_roads/deviations.ts.
 */
import assert from "node:assert/strict";
import { compileRules } from "../../agent/discovery/offline.ts";
import { buildRouteTables } from "../../agent/route/table.ts";
import type { Program, Route } from "../../agent/model/model.ts";
import { ConfigFolder, HELD_BACK } from "../harness/config_folder.ts";
import { CLUSTERS, DECISIONS } from "./two_roads/deviations.ts";
import { PilotUpdates } from "./two_roads/pilot_updates.ts";
import { contextOf, rulesOf, type Scenario } from "./two_roads/rules.ts";
import { replay } from "./two_roads/replay.ts";
import { RequestGenerator } from "./two_roads/requests.ts";
import { PILOT_UPDATES, SCENARIOS, UPDATES } from "./two_roads/scenarios.ts";
import {
  clusterDifferences,
  differences,
  type Road,
  tell,
  tellCluster,
  type Told,
} from "./two_roads/told.ts";

const REQUESTS = 5_000;
const LEAST_SAME = 2_000;
const REQUESTS_A_STEP = 500;
const MOST_SHOWN = 20;
const RECORDINGS = new URL("../recordings/", import.meta.url).pathname;
const SEED = 20_261_124;

const unusedDecisions = new Set(DECISIONS);
const unusedClusters = new Set(CLUSTERS);

/** Named by table, virtual host and path. */
function routesOf(program: Program): [string, Route][] {
  return [...program.routeConfigurations].flatMap(([table, { virtualHosts }]) =>
    virtualHosts.flatMap(({ name, routes }) =>
      routes.map((route): [string, Route] => {
        const { path, prefix, safeRegex } = route.match;
        return [`${table} ${name} ${path ?? prefix ?? safeRegex?.regex}`, route];
      })
    )
  );
}

function filesRoad(files: ReadonlyMap<string, string>, scenario: Scenario): Road {
  const road = compileRules(files, contextOf(scenario));
  assert.deepEqual(road.diagnostics.filter((d) => d.severity === "error"), [], scenario.path);
  return road;
}

/** What a request comes to; the other fields are about how. */
const WAY: readonly (keyof Told)[] = ["kind", "virtualHost", "destinations"];

/** Gives the number of requests that both send the same way. */
function compareDecisions(scenario: Scenario, files: Road, recorded: Road, requests: number): number {
  let same = 0;
  const unexpected = new Map<string, string>();
  const taken = new Set<Route>();
  const generator = new RequestGenerator(SEED, [files.program, recorded.program]);
  for (let i = 0; i < requests; i++) {
    const request = generator.next();
    const a = tell(files, request);
    const b = tell(recorded, request);
    if (a.route !== undefined) taken.add(a.route.source);
    const fields = differences(a.told, b.told);
    if (!fields.some((field) => WAY.includes(field))) same++;
    for (const field of fields) {
      const found = { scenario: scenario.path, request, field, files: a.told, recorded: b.told };
      const known = DECISIONS.find((d) =>
        d.field === field && d.scenario.test(scenario.path) && d.when(found)
      );
      if (known !== undefined) unusedDecisions.delete(known);
      else {
        const text = `${field} ${JSON.stringify(a.told[field])}, recorded ${JSON.stringify(b.told[field])}`;
        unexpected.set(`${a.told.virtualHost} ${text}`, request.text);
      }
    }
  }
  assert.deepEqual([...unexpected].slice(0, MOST_SHOWN), [], `${unexpected.size} differences`);
  if (scenario.sampled) return same;
  const never = routesOf(files.program).filter(([name, route]) =>
    !taken.has(route) && !scenario.shadowed?.some((end) => name.endsWith(end))
  );
  assert.deepEqual(never.map(([name]) => name), [], "routes that no request takes");
  return same;
}

function compareClusters({ path }: Scenario, files: Program, recorded: Program): void {
  const unexpected: string[] = [];
  for (const name of new Set([...files.clusters.keys(), ...recorded.clusters.keys()])) {
    const found = {
      scenario: path,
      name,
      files: tellCluster(files, name),
      recorded: tellCluster(recorded, name),
    };
    for (const field of clusterDifferences(found.files, found.recorded)) {
      const known = CLUSTERS.find((d) => d.field === field && d.scenario.test(path) && d.when(found));
      if (known !== undefined) unusedClusters.delete(known);
      else unexpected.push(`${name} ${field} ${found.files[field]}, recorded ${found.recorded[field]}`);
    }
  }
  assert.deepEqual(unexpected, []);
}

function compare(scenario: Scenario, files: Road, recorded: Program, requests: number): number {
  compareClusters(scenario, files.program, recorded);
  return compareDecisions(
    scenario,
    files,
    { program: recorded, tables: buildRouteTables(recorded) },
    requests,
  );
}

Deno.test("same YAML, two roads", async (t) => {
  for (const scenario of SCENARIOS) {
    await t.step(scenario.path, async () => {
      const files = filesRoad(rulesOf(scenario), scenario);
      const programs: Program[] = [];
      await replay(scenario, (_step, program) => programs.push(program));
      assert.equal(programs.length, 1, "one step");
      const same = compare(scenario, files, programs[0] as Program, REQUESTS);
      assert.ok(same >= LEAST_SAME, `${same} requests go the same way`);
    });
  }
  for (const scenario of UPDATES) {
    await t.step(scenario.path, async () => {
      const folder = new ConfigFolder(`${RECORDINGS}${scenario.path}/config`);
      let files = filesRoad(folder.files, scenario);
      let steps = 0;
      let same = 0;
      await replay(scenario, (step, program) => {
        if (step !== "start") folder.take(step);
        if (!HELD_BACK.test(step)) files = filesRoad(folder.files, scenario);
        same += compare(scenario, files, program, REQUESTS_A_STEP);
        steps++;
      });
      assert.equal(steps, 21);
      assert.ok(same >= LEAST_SAME, `${same} requests go the same way`);
    });
  }
  await t.step(PILOT_UPDATES.path, async () => {
    const rules = new PilotUpdates();
    let steps = 0;
    let same = 0;
    await replay(PILOT_UPDATES, (step, program) => {
      rules.take(step);
      // Of another recording, so that it does not follow the changes.
      const routeConfigurations = new Map(program.routeConfigurations);
      routeConfigurations.delete("http_proxy");
      const files = filesRoad(rules.files, PILOT_UPDATES);
      same += compare(PILOT_UPDATES, files, { ...program, routeConfigurations }, REQUESTS_A_STEP);
      steps++;
    });
    assert.equal(steps, 22);
    assert.ok(same >= LEAST_SAME, `${same} requests go the same way`);
  });
  const unused = [...unusedDecisions, ...unusedClusters].map(({ reason }) => reason);
  assert.deepEqual(unused, [], "deviations that do not occur");
});
