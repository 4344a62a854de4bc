import assert from "node:assert/strict";
import type { FilterChain, Listener } from "../model/model.ts";
import { type L4Question, l4TablesOf, type SeenHello } from "./l4.ts";

const to = (cluster: string): Pick<FilterChain, "tcp"> => ({ tcp: { statPrefix: cluster, cluster } });
const PASS: FilterChain = { name: "PassthroughFilterChain", match: {}, ...to("PassthroughCluster") };

function listener(
  name: string,
  filterChains: readonly FilterChain[],
  defaultFilterChain?: FilterChain,
  more: Partial<Listener> = {},
): Listener {
  const at = name.lastIndexOf("_");
  return {
    name,
    address: name.slice(0, at),
    port: Number(name.slice(at + 1)),
    filterChains,
    ...(defaultFilterChain === undefined ? {} : { defaultFilterChain }),
    ...more,
  };
}

function tables(...listeners: readonly Listener[]) {
  return l4TablesOf({ listeners: new Map(listeners.map((l) => [l.name, l])) });
}

function ask(host: string, port: number, more: Partial<L4Question> = {}): L4Question {
  return { host, port, spellings: [host, `${host}.default.svc.cluster.local`], ...more };
}

const sni = (serverName: string, ...applicationProtocols: string[]): SeenHello => ({
  serverName,
  applicationProtocols,
});

Deno.test("l4: nothing is found without listeners, and their tables are made once", () => {
  assert.equal(l4TablesOf({}).find(ask("a", 1)), undefined);
  assert.equal(tables().find(ask("a", 1)), undefined);
  const listeners = new Map([["10.0.0.1_1", listener("10.0.0.1_1", [to("outbound|1||a")])]]);
  assert.equal(l4TablesOf({ listeners }), l4TablesOf({ listeners }));
});

Deno.test("l4: weights share, and 0 gets nothing", () => {
  const tcp = {
    statPrefix: "x",
    weightedClusters: [
      { name: "outbound|1|v1|a", weight: 1 },
      { name: "outbound|1|v0|a", weight: 0 },
      { name: "outbound|1|v2|a", weight: 3 },
    ],
  };
  const target = tables(listener("10.0.0.1_1", [{ tcp }])).find(ask("10.0.0.1", 1));
  const at = (random: number) => target?.choose(undefined, random)?.cluster;
  assert.equal(at(0), "outbound|1|v1|a");
  assert.equal(at(0.249), "outbound|1|v1|a");
  assert.equal(at(0.25), "outbound|1|v2|a");
  assert.equal(at(0.999999), "outbound|1|v2|a");
  assert.equal(target?.needsHello, false);
});

Deno.test("l4: an address finds its listener, or by subnet or server name the shared one", () => {
  const t = tables(
    listener("10.0.0.1_443", [to("outbound|443||own")]),
    listener("0.0.0.0_443", [
      { match: { serverNames: ["a.test"] }, ...to("outbound|443||a.test") },
      { match: { prefixRanges: ["10.8.0.0/16"] }, ...to("outbound|443||range") },
    ], PASS),
    listener("0.0.0.0_5432", [to("outbound|5432||db.test")]),
  );
  assert.equal(t.find(ask("10.0.0.1", 443))?.choose(undefined, 0)?.cluster, "outbound|443||own");
  assert.equal(t.find(ask("10.8.3.4", 443))?.choose(undefined, 0)?.cluster, "outbound|443||range");
  const foreign = t.find(ask("192.0.2.1", 443));
  assert.equal(foreign?.needsHello, true);
  assert.equal(foreign?.choose(sni("a.test"), 0)?.cluster, "outbound|443||a.test");
  assert.equal(foreign?.choose(sni("b.test"), 0)?.cluster, "PassthroughCluster");
  // Caught by a sidecar; here the service without an address is reached by its name.
  assert.equal(t.find(ask("192.0.2.1", 5432)), undefined);
  assert.equal(t.find(ask("10.0.0.1", 80)), undefined);
});

Deno.test("l4: in file mode the service of a chain decides, in every spelling and under wildcards", () => {
  const chain = (service: string, cluster: string, names?: readonly string[]): FilterChain => ({
    ...(names === undefined ? {} : { match: { serverNames: names } }),
    ...to(cluster),
    service,
  });
  const db = "db.default.svc.cluster.local";
  const t = tables(
    listener("0.0.0.0_1", [chain(db, `outbound|1||other`)]),
    listener("late.test_1", [chain("late.test", "outbound|1||late.test")]),
    listener("0.0.0.0_443", [
      chain("*.wild.test", "outbound|443||x", ["a.wild.test"]),
      { ...chain("plain.test", "outbound|443||plain.test", ["plain.test"]), ruleless: true },
      chain("ruled.test", "outbound|443||ruled.test", ["ruled.test"]),
    ], PASS),
  );
  assert.equal(t.find(ask("db", 1))?.choose(undefined, 0)?.cluster, "outbound|1||other");
  assert.equal(t.find(ask(db, 1))?.choose(undefined, 0)?.cluster, "outbound|1||other");
  assert.equal(t.find(ask("late.test", 1))?.choose(undefined, 0)?.cluster, "outbound|1||late.test");
  assert.equal(t.find(ask("nobody", 1)), undefined);
  const wild = t.find(ask("a.wild.test", 443));
  assert.equal(wild?.needsHello, true);
  assert.equal(wild?.choose(sni("a.wild.test"), 0)?.cluster, "outbound|443||x");
  assert.equal(wild?.choose(sni("b.wild.test"), 0)?.cluster, "PassthroughCluster");
  assert.equal(wild?.choose(undefined, 0)?.cluster, "PassthroughCluster");
  // Its name stands in for an address: who says it in CONNECT need not say it again.
  const plain = t.find(ask("plain.test", 443));
  assert.equal(plain?.needsHello, false);
  assert.equal(plain?.choose(undefined, 0)?.cluster, "outbound|443||plain.test");
  // A rule that wants that name means it, also where it leads to the service itself.
  const ruled = t.find(ask("ruled.test", 443));
  assert.equal(ruled?.choose(sni("ruled.test"), 0)?.cluster, "outbound|443||ruled.test");
  assert.equal(ruled?.choose(sni("other.test"), 0)?.cluster, "PassthroughCluster");
});

Deno.test("l4: from a control plane by known address, by own cluster, by subset, by server name", () => {
  const weighted = {
    statPrefix: "x",
    weightedClusters: [{ name: "outbound|1|v1|a.test", weight: 1 }, {
      name: "outbound|1||b.test",
      weight: 9,
    }],
  };
  const t = tables(
    listener("10.0.0.1_1", [{ tcp: weighted }]),
    listener("10.0.0.2_1", [to("outbound|1||b.test")]),
    listener("10.0.0.3_1", [to("outbound|1|v1|c.test")]),
    listener("0.0.0.0_2", [to("outbound|2||d.test")]),
    listener("0.0.0.0_443", [{ match: { serverNames: ["*.e.test"] }, ...to("outbound|443||f.test") }], PASS),
    listener("virtualOutbound", [to("outbound|1||g.test")], undefined, {
      address: "0.0.0.0",
      port: 15001,
      useOriginalDst: true,
    }),
    listener("0.0.0.0_9", [{ http: { statPrefix: "x", routeConfigName: "9" } }], PASS),
  );
  const found = (host: string, port: number, more: Partial<L4Question> = {}) =>
    t.find(ask(host, port, more))?.listener.name;
  assert.equal(found("a.test", 1), "10.0.0.1_1");
  assert.equal(found("b.test", 1), "10.0.0.2_1");
  assert.equal(found("c.test", 1), "10.0.0.3_1");
  assert.equal(found("b.test", 1, { addresses: ["10.0.0.3"] }), "10.0.0.3_1");
  assert.equal(found("d.test", 2), "0.0.0.0_2");
  assert.equal(found("other.test", 2), undefined);
  assert.equal(found("x.e.test", 443), "0.0.0.0_443");
  assert.equal(found("e.test", 443), undefined);
  assert.equal(found("g.test", 15001), undefined);
  assert.equal(found("anything.test", 9), undefined);
  const [x] = [t.find(ask("x.e.test", 443))];
  assert.equal(x?.choose(sni("y.e.test"), 0)?.cluster, "outbound|443||f.test");
});

Deno.test("l4: Envoy's order: subnet, server name, transport, protocol; no way back", () => {
  const chains: FilterChain[] = [
    { match: { serverNames: ["a.b.test"] }, ...to("exact") },
    { match: { serverNames: ["*.b.test"] }, ...to("wildcard") },
    { match: { serverNames: ["*.test"] }, ...to("short wildcard") },
    { match: { transportProtocol: "tls", applicationProtocols: ["h2"] }, ...to("tls h2") },
    { match: { transportProtocol: "tls" }, ...to("tls") },
    { match: { transportProtocol: "raw_buffer" }, ...to("plain") },
  ];
  const target = tables(listener("10.0.0.1_1", chains)).find(ask("10.0.0.1", 1));
  const cluster = (hello?: SeenHello) => target?.choose(hello, 0)?.cluster;
  assert.equal(target?.needsHello, true);
  assert.equal(cluster(sni("a.b.test")), "exact");
  assert.equal(cluster(sni("c.b.test")), "wildcard");
  assert.equal(cluster(sni("c.d.test")), "short wildcard");
  assert.equal(cluster(sni("elsewhere", "h2")), "tls h2");
  assert.equal(cluster(sni("elsewhere", "spdy")), "tls");
  assert.equal(cluster(sni("")), "tls");
  assert.equal(cluster(), "plain");

  const nets: FilterChain[] = [
    { match: { prefixRanges: ["10.0.0.0/8"] }, ...to("wide") },
    { match: { prefixRanges: ["10.0.0.0/24"], serverNames: ["a.test"] }, ...to("narrow") },
  ];
  const net = tables(listener("10.0.0.1_1", nets)).find(ask("10.0.0.1", 1));
  assert.equal(net?.choose(sni("a.test"), 0)?.cluster, "narrow");
  // The longest subnet was chosen first, and no name of it fits.
  assert.equal(net?.choose(sni("b.test"), 0), undefined);
});

Deno.test("l4: destination port and source of a chain, in Envoy's order", () => {
  const chains: FilterChain[] = [
    { match: { destinationPort: 9 }, ...to("other port") },
    { match: { sourcePrefixRanges: ["10.0.0.0/8"] }, ...to("wide") },
    { match: { sourcePrefixRanges: ["10.1.0.0/16", "192.0.2.1/32"] }, ...to("narrow") },
  ];
  const target = tables(listener("10.0.0.1_1", chains)).find(ask("10.0.0.1", 1));
  const from = (source?: string) => target?.choose(undefined, 0, source)?.cluster;
  assert.equal(from("10.2.0.1"), "wide");
  assert.equal(from("10.1.0.1"), "narrow");
  assert.equal(from("192.0.2.1"), "narrow");
  assert.equal(from("192.0.2.2"), undefined);
  assert.equal(from(), undefined);
  const own: FilterChain[] = [{ match: { destinationPort: 1 }, ...to("own port") }, to("any port")];
  assert.equal(
    tables(listener("10.0.0.1_1", own)).find(ask("10.0.0.1", 1))?.choose(undefined, 0)?.cluster,
    "own port",
  );
});

Deno.test("l4: the name of a service stands for its whole range, not for parts of it", () => {
  const chain = (cluster: string, range: string, servicePrefix?: number): FilterChain => ({
    match: { prefixRanges: [range] },
    ...to(cluster),
    service: "r.test",
    ...(servicePrefix === undefined ? {} : { servicePrefix }),
  });
  const chains = [
    chain("part", "10.8.1.0/24"),
    chain("more", "10.0.0.0/8", 8),
    chain("all", "10.8.0.0/16", 16),
  ];
  const t = tables(listener("0.0.0.0_1", chains, PASS));
  assert.equal(t.find(ask("r.test", 1))?.choose(undefined, 0)?.cluster, "all");
  assert.equal(t.find(ask("10.8.1.1", 1))?.choose(undefined, 0)?.cluster, "part");
  assert.equal(t.find(ask("10.8.2.1", 1))?.choose(undefined, 0)?.cluster, "all");
  assert.equal(t.hasAddresses(1), false);
});
