/** Which chains decide about host:port when the control plane does not say whose a listener is. */
import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import type { Cluster, Listener, Program } from "../model/model.ts";
import { buildRouteTables } from "../route/table.ts";
import type { ProxyContext } from "./context.ts";
import { l4Target, planOf } from "./destination.ts";
import type { Exchange } from "./exchange.ts";

const listener = (address: string, cluster: string, more: Partial<Listener> = {}): Listener => ({
  name: `${address}_3306`,
  address,
  port: 3306,
  filterChains: [{ tcp: { statPrefix: cluster, cluster } }],
  ...more,
});

function rig(listeners: readonly Listener[], names: Readonly<Record<string, string>>) {
  const cluster = (name: string): [string, Cluster] => [name, {
    name,
    type: "EDS",
    lbPolicy: "ROUND_ROBIN",
    connectTimeout: "1s",
  }];
  const program: Program = {
    routeConfigurations: new Map(),
    clusters: new Map(["outbound|3306||db.test", "outbound|3306||other.test"].map(cluster)),
    loadAssignments: new Map(),
    listeners: new Map(listeners.map((l) => [l.name, l])),
  };
  const asked: string[] = [];
  const proxy = {
    config: {
      workload: { namespace: "default", instanceIp: "10.1.2.3" },
      proxy: { timeouts: { tunnelIdleMs: 1000 } },
    },
    rng: () => 0,
    names: {
      resolve(host: string) {
        asked.push(host);
        const address = names[host];
        return address === undefined
          ? Promise.reject(new MeshError("P207", "unknown"))
          : Promise.resolve([address]);
      },
    },
  } as unknown as ProxyContext;
  const ex = {
    world: { program, tables: buildRouteTables(program) },
    remote: { hostname: "127.0.0.1", port: 1 },
  } as unknown as Exchange;
  return { proxy, ex, asked, target: (host: string, port = 3306) => l4Target(proxy, ex, host, port) };
}

Deno.test("a TCP service whose route leads elsewhere is found by its address", async () => {
  const r = rig([
    listener("10.0.0.9", "outbound|3306||other.test"),
    listener("10.0.0.8", "outbound|3306|x|z.test"),
  ], {
    "db.test": "10.0.0.8",
  });
  const target = await r.target("db.test");
  assert.equal(target?.choose(undefined, 0)?.cluster, "outbound|3306|x|z.test");
  assert.deepEqual(r.asked, ["db.test"]);
});

Deno.test("nothing is looked up where no listener has an address, or the name tells, or no rule knows the host", async () => {
  const shared = rig([listener("0.0.0.0", "outbound|3306||other.test")], { "db.test": "10.0.0.9" });
  assert.equal(await shared.target("db.test"), undefined);
  const r = rig([listener("10.0.0.9", "outbound|3306||db.test")], { "stranger.test": "10.0.0.9" });
  assert.equal((await r.target("db.test"))?.listener.name, "10.0.0.9_3306");
  assert.equal(await r.target("stranger.test"), undefined);
  assert.equal(await r.target("db.test", 3307), undefined);
  assert.deepEqual([...shared.asked, ...r.asked], []);
});

Deno.test("a service without an address goes to its own cluster", async () => {
  const r = rig([listener("10.0.0.9", "outbound|3306||other.test")], {});
  assert.equal(await r.target("db.test"), undefined);
  assert.deepEqual(r.asked, ["db.test"]);
  assert.equal(
    planOf(r.proxy, r.ex, "db.test", 3306, undefined, undefined).cluster,
    "outbound|3306||db.test",
  );
});

Deno.test("the source of an application on this machine is the workload's address", async () => {
  const chain = (range: string, cluster: string) => ({
    match: { sourcePrefixRanges: [range] },
    tcp: { statPrefix: cluster, cluster },
  });
  const r = rig([
    listener("10.0.0.9", "", {
      filterChains: [chain("127.0.0.0/8", "local"), chain("10.1.0.0/16", "workload")],
    }),
  ], {});
  const target = await r.target("10.0.0.9");
  assert.equal(planOf(r.proxy, r.ex, "10.0.0.9", 3306, target, undefined).cluster, "workload");
});
