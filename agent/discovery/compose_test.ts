import assert from "node:assert/strict";
import { ManualClock } from "../../tests/harness/clock.ts";
import { OFFLINE_PORTS } from "../../tests/harness/discovery_ports.ts";
import { configOf } from "../../tests/harness/world.ts";
import type { Cluster, Program, VirtualHost } from "../model/model.ts";
import { buildRouteTables } from "../route/table.ts";
import { viewOf } from "../route/view.ts";
import { composed, createComposer } from "./compose.ts";
import type { DiscoveryInput, DiscoverySource, Publication } from "./types.ts";

const cluster = (name: string): Cluster => ({
  name,
  type: "EDS",
  lbPolicy: "ROUND_ROBIN",
  connectTimeout: "1s",
});
const host = (name: string, domains: readonly string[], to: string): VirtualHost => ({
  name,
  domains,
  routes: [{ match: { prefix: "/" }, route: { cluster: to } }],
});

function programOf(tables: Readonly<Record<string, readonly VirtualHost[]>>): Program {
  const names = Object.values(tables).flat().map((h) => h.routes[0]?.route?.cluster as string);
  return {
    routeConfigurations: new Map(
      Object.entries(tables).map(([name, virtualHosts]) => [name, { name, virtualHosts }]),
    ),
    clusters: new Map(names.map((name) => [name, cluster(name)])),
    loadAssignments: new Map(names.map((name) => [name, { clusterName: name, endpoints: [] }])),
  };
}

const FULL = "a.default.svc.cluster.local";
const SERVICES = programOf({
  http_proxy: [
    host(`${FULL}:*`, [FULL, `${FULL}.`, "a", "a.default"], "v1 a"),
    host("b:*", ["b.default.svc.cluster.local", "b"], "v1 b"),
    host("w:*", ["x.wild.com"], "v1 w"),
  ],
});

function decide(program: Program, url: string): string {
  const decision = buildRouteTables(program).select(viewOf({ method: "GET", url }), 0);
  return decision.kind === "route" ? decision.destination.cluster : decision.kind;
}

Deno.test("hosts that the rules know are decided there, on every port; the others by the registration", () => {
  const rules = programOf({
    "8084": [host(`${FULL}:8084`, [FULL, "a", "a:8084"], "v2 a"), host("allow_any", ["*"], "Passthrough")],
  });
  const program = createComposer()(SERVICES, rules);
  assert.equal(decide(program, "http://a:8084/"), "v2 a");
  assert.equal(decide(program, "http://a/"), "unknownPort");
  // Only v1 has this short form, but the service is the rules'.
  assert.equal(decide(program, "http://a.default:9/"), "unknownHost");
  assert.equal(decide(program, "http://b:8084/"), "v1 b");
  assert.equal(decide(program, "http://b/"), "v1 b");
  assert.equal(decide(program, "http://x.wild.com/"), "v1 w");
  assert.deepEqual([...program.clusters.keys()], ["v1 a", "v1 b", "v1 w", "v2 a", "Passthrough"]);
  assert.equal(program.loadAssignments.size, 5);
});

Deno.test("a wildcard of the rules knows what it covers", () => {
  const program = createComposer()(SERVICES, programOf({ "80": [host("w:80", ["*.wild.com"], "v2 w")] }));
  assert.equal(decide(program, "http://x.wild.com/"), "v2 w");
  assert.equal(decide(program, "http://a/"), "v1 a");
});

Deno.test("the rules' own http_proxy table stands before the services'", () => {
  const rules = programOf({ http_proxy: [host("b:80", ["b:80", "b.default.svc.cluster.local:80"], "v2 b")] });
  const program = createComposer()(SERVICES, rules);
  assert.equal(decide(program, "http://b/"), "v2 b");
  assert.equal(decide(program, "http://a:1/"), "v1 a");
});

Deno.test("ports of the workload are those that the rules' side names", () => {
  const inbound = new Map([
    ["l", { address: "10.0.0.5", port: 1, protocol: "http", localPort: 1 } as const],
  ]);
  const rules = { ...programOf({}), inbound };
  assert.equal(createComposer()(SERVICES, rules).inbound, inbound);
  assert.equal("inbound" in createComposer()(SERVICES, programOf({})), false);
});

Deno.test("what did not change stays the same object", () => {
  const compose = createComposer();
  const rules = programOf({ "8084": [host(`${FULL}:8084`, [FULL], "v2 a")] });
  const first = compose(SERVICES, rules);
  assert.equal(compose(SERVICES, rules), first);
  const endpoints: Program = { ...rules, loadAssignments: new Map(rules.loadAssignments) };
  const second = compose(SERVICES, endpoints);
  assert.notEqual(second, first);
  assert.equal(second.routeConfigurations, first.routeConfigurations);
  assert.equal(second.clusters, first.clusters);
  const third = compose({ ...SERVICES, loadAssignments: new Map() }, endpoints);
  assert.equal(third.routeConfigurations, first.routeConfigurations);
  const weights = programOf({ "8084": [host(`${FULL}:8084`, [FULL], "v2 other")] });
  const fourth = compose(SERVICES, weights);
  assert.equal(
    fourth.routeConfigurations.get("http_proxy"),
    first.routeConfigurations.get("http_proxy"),
    "the services' table is not compiled again",
  );
});

Deno.test("two sources as one: nothing before both have spoken; readiness, problems, status and end are of both", async () => {
  const published: Publication[] = [];
  const inputs: DiscoveryInput[] = [];
  const calls: string[] = [];
  const part = (name: string) => (own: DiscoveryInput): DiscoverySource => {
    inputs.push(own);
    const note = (what: string) => {
      calls.push(`${name} ${what}`);
      return Promise.resolve();
    };
    return {
      ready: Promise.resolve(),
      problems: () => [{ code: "D222", severity: "info", message: name, where: {} }],
      status: () => [],
      refresh: () => note("refresh"),
      close: () => note("close"),
    };
  };
  const source = composed(
    {
      ...OFFLINE_PORTS,
      config: configOf(),
      clock: new ManualClock(),
      log: { level: "error", log: () => {} },
      openDirectory: () => {
        throw new Error("no files");
      },
      publish: (publication) => void published.push(publication),
    },
    part("services"),
    part("rules"),
  );
  await source.ready;
  const [services, rules] = inputs as [DiscoveryInput, DiscoveryInput];
  const say = (input: DiscoveryInput, program: Program, name: string, stats: Record<string, number> = {}) =>
    input.publish({
      program,
      diagnostics: [{ code: "D212", severity: "warning", message: name, where: {} }],
      stats: { [name]: 1, ...stats },
    });
  say(services, SERVICES, "services");
  assert.equal(published.length, 0);
  say(rules, programOf({}), "rules");
  assert.equal(published.length, 1);
  assert.deepEqual(published[0]?.stats, { services: 1, rules: 1 });
  say(rules, programOf({}), "rules", { recompiled: 7 });
  assert.equal(published.at(-1)?.stats.recompiled, 7);
  say(services, SERVICES, "services");
  assert.equal(published.at(-1)?.stats.recompiled, 0, "that cost was of the rules");
  assert.deepEqual(published[0]?.diagnostics.map((d) => d.message), ["services", "rules"]);
  assert.deepEqual(source.problems().map((p) => p.message), ["services", "rules"]);
  await source.refresh();
  await source.close();
  assert.deepEqual(calls, ["services refresh", "rules refresh", "services close", "rules close"]);
});

Deno.test("a suffix of the rules knows the hosts that end with it", () => {
  const rules = programOf({ "80": [host("w:80", ["*-shop.com"], "v2 w")] });
  const services = programOf({ http_proxy: [host("x-shop.com:*", ["x-shop.com"], "v1 x")] });
  const program = createComposer()(services, rules);
  assert.equal(decide(program, "http://x-shop.com/"), "v2 w");
  assert.equal(decide(program, "http://x-shop.com:81/"), "unknownPort");
});
