import assert from "node:assert/strict";
import { eds, endpoints, fixed, http, Shelf, synced, table, tcp } from "./store_fixture.ts";

/** Each row: a rule, and what shows it. */
const RULES: readonly (readonly [string, () => void])[] = [
  ["synced once every type has spoken and everything is warm", () => {
    const shelf = new Shelf();
    assert.deepEqual(shelf.store.waitingFor(), ["CDS", "LDS"]);
    shelf.cds(eds("a"));
    assert.deepEqual(shelf.store.waitingFor(), ["EDS", "LDS", "endpoints of a"]);
    shelf.lds(http(80, "80"));
    assert.deepEqual(shelf.store.waitingFor(), ["EDS", "RDS", "endpoints of a", "route table 80"]);
    shelf.rds(table("80", { x: "a" }));
    assert.deepEqual(shelf.store.waitingFor(), ["EDS", "endpoints of a", "clusters of route table 80"]);
    assert(!shelf.store.synced());
    shelf.eds(endpoints("a"));
    assert.deepEqual(shelf.store.waitingFor(), []);
    assert(shelf.store.synced());
    assert.equal(shelf.tables, "80: x>a");
  }],
  ["EDS and RDS need not speak when nothing is wanted of them", () => {
    const shelf = new Shelf({ generation: "v2" });
    shelf.cds(fixed("BlackHoleCluster"));
    shelf.lds();
    assert.deepEqual(shelf.store.wanted("RDS"), ["http_proxy"]);
    assert.deepEqual(shelf.store.wanted("EDS"), []);
    shelf.rds(table("0", {}));
    assert(shelf.store.synced());
  }],
  ["synced stays true", () => {
    const shelf = synced();
    assert(shelf.store.synced());
    shelf.cds(eds("new"));
    assert(shelf.store.synced());
    assert.deepEqual(shelf.store.waitingFor(), ["endpoints of new"]);
  }],
  ["RDS names: those of outbound listeners and http_proxy, once LDS has spoken", () => {
    const shelf = new Shelf();
    assert.deepEqual(shelf.store.wanted("RDS"), []);
    shelf.lds(
      http(81, "81"),
      http(80, "80"),
      http(9000, "in", { trafficDirection: "INBOUND" }),
      http(82, "a.b:82"),
      { ...http(83, "80"), defaultFilterChain: { http: { statPrefix: "", routeConfigName: "84" } } },
    );
    assert.deepEqual(shelf.store.wanted("RDS"), ["80", "81", "84", "a.b:82", "http_proxy"]);
  }],
  ["EDS names: service names of EDS clusters, each once, sorted; the same array until they change", () => {
    const shelf = new Shelf();
    shelf.cds(eds("b", { edsServiceName: "z" }), eds("c", { edsServiceName: "z" }), eds("a"), fixed("s"));
    const wanted = shelf.store.wanted("EDS");
    assert.deepEqual(wanted, ["a", "z"]);
    shelf.cds(eds("a"), eds("b", { edsServiceName: "z" }));
    assert.equal(shelf.store.wanted("EDS"), wanted);
  }],
  ["a new EDS cluster enters with its first endpoints, others at once", () => {
    const shelf = new Shelf();
    shelf.cds(eds("a"), fixed("s"));
    assert.equal(shelf.clusters, "s");
    shelf.eds(endpoints("a"));
    assert.equal(shelf.clusters, "a,s", "an empty assignment counts, too");
    assert.equal(shelf.store.deadline(), undefined);
  }],
  ["initial_fetch_timeout: absent 15 s (v2: 60 s), 0 s for ever, else as given", () => {
    const { edsInitialFetchTimeout: _, ...absent } = eds("absent");
    for (const [generation, ms] of [["v3", 15_000], ["v2", 60_000]] as const) {
      const shelf = new Shelf({ generation });
      shelf.cds(absent, eds("ever"), eds("soon", { edsInitialFetchTimeout: "2s" }));
      assert.equal(shelf.store.deadline(), 2_000);
      shelf.nowMs = 2_000;
      assert.equal(shelf.clusters, "soon");
      assert.equal(shelf.store.deadline(), ms);
      shelf.nowMs = ms;
      assert.equal(shelf.clusters, "absent,soon");
      assert.equal(shelf.store.deadline(), undefined);
    }
  }],
  ["endpoints that were refused end the waiting", () => {
    const shelf = new Shelf();
    shelf.cds(eds("a"));
    shelf.take("EDS", [], { refused: ["a"] });
    assert.equal(shelf.clusters, "a");
  }],
  ["a table that leads to a cold cluster is held; the one before stays", () => {
    const shelf = synced();
    shelf.cds(eds("a"), eds("b"), eds("new"));
    shelf.rds(table("80", { x: "new", y: "b" }));
    assert.equal(shelf.tables, "80: x>a; http_proxy:");
    assert.deepEqual(shelf.store.waitingFor(), ["endpoints of new", "clusters of route table 80"]);
    shelf.eds(endpoints("new", "10.0.0.3"));
    assert.equal(shelf.tables, "80: x>new y>b; http_proxy:");
  }],
  ["weighted clusters and mirrors count as well", () => {
    for (
      const route of [
        { weightedClusters: { clusters: [{ name: "a", weight: 1 }, { name: "new", weight: 1 }] } },
        { cluster: "a", requestMirrorPolicies: [{ cluster: "new" }] },
      ]
    ) {
      const shelf = synced();
      shelf.cds(eds("a"), eds("new"));
      shelf.rds({
        name: "80",
        virtualHosts: [{ name: "y:80", domains: ["y"], routes: [{ match: {}, route }] }],
      });
      assert.equal(shelf.tables, "80: x>a; http_proxy:");
      shelf.eds(endpoints("new"));
      assert.notEqual(shelf.tables, "80: x>a; http_proxy:");
    }
  }],
  ["a table held is replaced by a newer one", () => {
    const shelf = synced();
    shelf.cds(eds("a"), eds("b"), eds("new"));
    shelf.rds(table("80", { x: "new" }));
    shelf.rds(table("80", { x: "b" }));
    assert.equal(shelf.tables, "80: x>b; http_proxy:");
    assert.deepEqual(shelf.store.waitingFor(), ["endpoints of new"]);
  }],
  ["a table held gives way to the one in force when that is said again", () => {
    const shelf = synced();
    const before = shelf.store.held("RDS", "80");
    shelf.cds(eds("a"), eds("b"), eds("new"));
    shelf.rds(table("80", { x: "new" }));
    assert(before !== undefined);
    shelf.rds(before);
    shelf.eds(endpoints("new"));
    assert.equal(shelf.tables, "80: x>a; http_proxy:");
  }],
  ["a table that leads to a cluster that CDS does not have is not held (503 NC)", () => {
    const shelf = synced();
    shelf.rds(table("80", { x: "unknown" }));
    assert.equal(shelf.tables, "80: x>unknown; http_proxy:");
  }],
  ["no table is in force before CDS spoke", () => {
    const shelf = new Shelf();
    shelf.lds(http(80, "80"));
    shelf.rds(table("80", { x: "a" }));
    assert.equal(shelf.tables, "");
    shelf.cds(eds("a"));
    assert.equal(shelf.tables, "");
    shelf.eds(endpoints("a"));
    assert.equal(shelf.tables, "80: x>a");
  }],
  ["a replaced cluster is warm by the endpoints of its EDS name", () => {
    const shelf = synced();
    const now = eds("a", { connectTimeout: "9s" });
    shelf.cds(now, eds("b"));
    assert.equal(shelf.program.clusters.get("a"), now);
    assert.deepEqual(shelf.program.loadAssignments.get("a"), endpoints("a", "10.0.0.1"));
  }],
  ["a replaced cluster with another EDS name: the old one serves until the new one has endpoints", () => {
    const shelf = synced();
    const now = eds("a", { edsServiceName: "other" });
    shelf.cds(now, eds("b"));
    assert.notEqual(shelf.program.clusters.get("a"), now);
    assert(shelf.program.loadAssignments.has("a"), "the old cluster keeps its endpoints");
    shelf.rds(table("80", { x: "a", y: "a" }));
    assert.equal(shelf.tables, "80: x>a y>a; http_proxy:", "the name can serve: the table is not held");
    shelf.eds(endpoints("other", "10.0.0.9"));
    assert.equal(shelf.program.clusters.get("a"), now);
    assert(!shelf.program.loadAssignments.has("a"));
  }],
  ["a removed cluster that nothing leads to goes at once, with its endpoints", () => {
    const shelf = synced();
    shelf.cds(eds("a"));
    assert.equal(shelf.clusters, "a");
    assert.deepEqual([...shelf.program.loadAssignments.keys()], ["a"]);
    assert.deepEqual(shelf.store.wanted("EDS"), ["a"]);
  }],
  ["a removed cluster stays while the table in force leads there, until the next answer with it", () => {
    const shelf = synced();
    shelf.cds(eds("b"));
    assert.equal(shelf.clusters, "b,a");
    assert.deepEqual(shelf.store.wanted("EDS"), ["b"], "it is not subscribed any more");
    assert.equal(shelf.store.deadline(), 1_000);
    shelf.rds(table("http_proxy", {}));
    assert.equal(shelf.clusters, "b,a", "an answer without that table says nothing about it");
    shelf.rds(table("80", { x: "b" }));
    assert.equal(shelf.clusters, "b");
    assert.equal(shelf.store.deadline(), undefined);
  }],
  ["… also when the answer still leads there (503 NC)", () => {
    const shelf = synced();
    shelf.cds(eds("b"));
    shelf.rds(table("80", { x: "a" }));
    assert.equal(shelf.clusters, "b");
    const again = synced();
    again.cds(eds("b"));
    again.rds(again.store.held("RDS", "80") as never);
    assert.equal(again.clusters, "b", "the same table said again counts, too");
  }],
  ["… or for 1 s (v2: 10 s)", () => {
    const shelf = synced();
    shelf.cds(eds("b"));
    shelf.nowMs = 999;
    assert.equal(shelf.clusters, "b,a");
    shelf.nowMs = 1_000;
    assert.equal(shelf.clusters, "b");
    assert.equal(shelf.store.deadline(), undefined);
  }],
  ["… and CDS said again does not prolong that", () => {
    const shelf = synced();
    shelf.cds(eds("b"));
    shelf.nowMs = 900;
    shelf.cds(eds("b"));
    shelf.nowMs = 1_000;
    assert.equal(shelf.clusters, "b");
  }],
  ["… and as long as the table that replaces it is held", () => {
    const shelf = synced();
    shelf.cds(eds("b"), eds("new"));
    shelf.rds(table("80", { x: "new" }));
    shelf.nowMs = 60_000;
    assert.equal(shelf.clusters, "b,a");
    assert.equal(shelf.store.deadline(), undefined);
    shelf.eds(endpoints("new"));
    assert.equal(shelf.clusters, "b,new");
  }],
  ["a removed cluster that still serves is not emptied by EDS", () => {
    const shelf = synced();
    shelf.cds(eds("b"));
    shelf.eds(endpoints("a"));
    assert.deepEqual(shelf.program.loadAssignments.get("a"), endpoints("a", "10.0.0.1"));
  }],
  ["a removed cluster that comes back is warm by what it had", () => {
    const shelf = synced();
    shelf.cds(eds("b"));
    shelf.cds(eds("a"), eds("b"));
    shelf.nowMs = 5_000;
    assert.equal(shelf.clusters, "b,a");
  }],
  ["endpoints of a name that no cluster has are passed over", () => {
    const shelf = synced();
    const { program } = shelf;
    shelf.eds(endpoints("ghost", "10.0.0.1"));
    assert.equal(shelf.program, program);
    assert.equal(shelf.store.held("EDS", "ghost"), undefined);
  }],
  ["EDS and RDS are partial: what an answer lacks stays", () => {
    const shelf = synced();
    shelf.eds(endpoints("b", "10.0.0.9"));
    shelf.rds(table("http_proxy", { z: "b" }));
    assert.deepEqual(shelf.program.loadAssignments.get("a"), endpoints("a", "10.0.0.1"));
    assert.equal(shelf.tables, "80: x>a; http_proxy: z>b");
  }],
  ["EDS and RDS do not remove what is wanted (as Envoy)", () => {
    const shelf = synced();
    const { program } = shelf;
    shelf.take("EDS", [], { removed: ["a"] });
    shelf.take("RDS", [], { removed: ["80"] });
    assert.equal(shelf.program, program);
  }],
  ["CDS and LDS in delta: named removals only", () => {
    const shelf = synced();
    shelf.take("CDS", [eds("c")], { complete: false, removed: ["b"] });
    shelf.eds(endpoints("c"));
    assert.equal(shelf.clusters, "a,PassthroughCluster,c");
    shelf.take("LDS", [http(81, "81")], { complete: false });
    assert.equal(shelf.listeners, "0.0.0.0_80", "the new listener waits for its table");
    shelf.rds(table("81", {}));
    shelf.take("LDS", [], { complete: false, removed: ["0.0.0.0_80"] });
    assert.equal(shelf.listeners, "0.0.0.0_81");
  }],
  ["what a complete answer refused keeps its last good value", () => {
    const shelf = synced();
    shelf.take("CDS", [eds("b")], { refused: ["a"] });
    assert.equal(shelf.clusters, "a,b");
    shelf.take("LDS", [], { refused: ["0.0.0.0_80"] });
    assert.equal(shelf.listeners, "0.0.0.0_80");
  }],
  ["a table whose name vanished from LDS goes with the answer", () => {
    const shelf = synced();
    shelf.lds();
    assert.equal(shelf.tables, "http_proxy:");
    assert.deepEqual(shelf.store.wanted("RDS"), ["http_proxy"]);
    shelf.rds(table("80", { x: "a" }));
    assert.equal(shelf.tables, "http_proxy:", "what is not wanted is passed over");
  }],
  ["a listener is in force once its tables are; the one before keeps its own until then", () => {
    const shelf = synced();
    shelf.lds(http(80, "81"));
    assert.equal(shelf.program.listeners?.get("0.0.0.0_80")?.filterChains[0]?.http?.routeConfigName, "80");
    assert.equal(shelf.tables, "80: x>a; http_proxy:");
    shelf.rds(table("81", { y: "b" }));
    assert.equal(shelf.program.listeners?.get("0.0.0.0_80")?.filterChains[0]?.http?.routeConfigName, "81");
    assert.equal(shelf.tables, "81: y>b; http_proxy:");
  }],
  ["a listener waits for a table that is held", () => {
    const shelf = synced();
    shelf.cds(eds("a"), eds("new"));
    shelf.lds(http(80, "80"), http(81, "81"));
    shelf.rds(table("81", { y: "new" }));
    assert.equal(shelf.listeners, "0.0.0.0_80");
    shelf.eds(endpoints("new"));
    assert.equal(shelf.listeners, "0.0.0.0_80,0.0.0.0_81");
  }],
  ["a listener does not wait for ever for a table that RDS leaves out, nor for a refused one", () => {
    const shelf = synced();
    shelf.lds(http(80, "80"), http(81, "81"), http(82, "82"));
    shelf.take("RDS", [], { refused: ["82"] });
    assert.equal(shelf.listeners, "0.0.0.0_80,0.0.0.0_82");
    assert.equal(shelf.store.deadline(), 15_000);
    shelf.nowMs = 15_000;
    assert.equal(shelf.listeners, "0.0.0.0_80,0.0.0.0_81,0.0.0.0_82");
    assert.equal(shelf.store.deadline(), undefined);
  }],
  ["a listener whose TCP cluster is cold is held", () => {
    const shelf = synced();
    shelf.cds(eds("a"), eds("new"));
    shelf.lds(http(80, "80"), tcp("db", "10.0.0.5", 3306, "new"));
    assert.equal(shelf.listeners, "0.0.0.0_80");
    shelf.eds(endpoints("new"));
    assert.equal(shelf.listeners, "0.0.0.0_80,db");
  }],
  ["inbound listeners and their tables are left out", () => {
    const shelf = new Shelf({ generation: "v2" });
    shelf.cds(fixed("inbound|80||a"));
    shelf.lds(
      http(9000, table("inbound|80||a", { "*": "inbound|80||a" })),
      http(15006, table("in", { "*": "inbound|80||a" }), { trafficDirection: "INBOUND" }),
      tcp("10.1.1.7_3333", "10.1.1.7", 3333, "inbound|3333||mgmtCluster"),
      http(8084, table("8084", { x: "a" })),
    );
    shelf.rds(table("0", {}));
    assert.equal(shelf.listeners, "0.0.0.0_8084");
    assert.equal(shelf.tables, "8084: x>a; http_proxy:");
  }],
  ["inline tables of 0.8: by their names, `0` is http_proxy, RDS decides over them", () => {
    const shelf = new Shelf({ generation: "v2" });
    shelf.cds();
    shelf.lds(http(8084, table("8084", { x: "a" })), http(15002, table("0", { x: "inline" })));
    assert.equal(shelf.tables, "8084: x>a; http_proxy: x>inline");
    assert.equal(shelf.program.routeConfigurations.get("http_proxy")?.name, "http_proxy");
    shelf.rds(table("0", { x: "asked" }));
    assert.equal(shelf.tables, "8084: x>a; http_proxy: x>asked");
    assert(shelf.store.synced());
    assert.deepEqual(shelf.store.held("RDS", "0"), table("0", { x: "asked" }));
    shelf.lds(http(8084, table("8084", { x: "b" })));
    assert.equal(shelf.tables, "8084: x>b; http_proxy: x>asked");
  }],
  ["the listener with an inline table counts as its answer for removed clusters", () => {
    const shelf = new Shelf({ generation: "v2" });
    const listener = http(8084, table("8084", { x: "a" }));
    shelf.cds(fixed("a"));
    shelf.lds(listener);
    shelf.cds();
    assert.equal(shelf.clusters, "a");
    assert.equal(shelf.store.deadline(), 10_000);
    shelf.lds(listener);
    assert.equal(shelf.clusters, "");
  }],
  ["a removed cluster stays while a TCP listener in force leads there, until that is said again", () => {
    const shelf = synced();
    const listener = tcp("tcp", "10.0.0.5", 443, "b");
    shelf.lds(http(80, "80"), listener);
    shelf.cds(eds("a"));
    assert.equal(shelf.clusters, "a,b");
    shelf.lds(http(80, "80"), listener);
    assert.equal(shelf.clusters, "a");
  }],
  ["before any table came none is overdue", () => {
    const shelf = new Shelf();
    shelf.cds(fixed("a"));
    shelf.lds(http(80, "80"));
    assert.equal(shelf.store.deadline(), undefined);
    shelf.rds(table("http_proxy", {}));
    assert.equal(shelf.store.deadline(), 15_000);
  }],
  ["a listener whose table is in force does not wait for the next one of it", () => {
    const shelf = synced();
    shelf.cds(eds("a"), eds("b"), eds("c"));
    shelf.rds(table("80", { x: "c" }));
    shelf.lds(http(80, "80", { address: "10.0.0.9" }));
    assert.equal(shelf.program.listeners?.get("0.0.0.0_80")?.address, "10.0.0.9");
    assert.equal(shelf.tables, "80: x>a; http_proxy:");
  }],
  ["endpoints and tables that the control plane says are gone are not waited for", () => {
    const shelf = synced();
    shelf.cds(eds("a"), eds("b"), eds("c"));
    shelf.lds(http(80, "80"), http(81, "81"));
    shelf.rds(table("80", { x: "c" }));
    assert.equal(shelf.tables, "80: x>a; http_proxy:");
    assert.equal(shelf.listeners, "0.0.0.0_80");
    shelf.take("EDS", [], { removed: ["c"] });
    assert.equal(shelf.tables, "80: x>c; http_proxy:");
    shelf.take("RDS", [], { removed: ["81"] });
    assert.equal(shelf.listeners, "0.0.0.0_80,0.0.0.0_81");
  }],
  ["ports of the workload: with the next answer, without waiting; the same map until one changes", () => {
    const shelf = synced();
    const web = http(80, "80");
    assert.equal("inbound" in shelf.program, false);
    shelf.cds(eds("a"), eds("b"), fixed("inbound|90||"));
    const told = tcp("10.0.0.5_90", "10.0.0.5", 90, "inbound|90||");
    shelf.lds(web, told);
    const { program } = shelf;
    assert.deepEqual([...program.inbound?.values() ?? []], [
      { address: "10.0.0.5", port: 90, protocol: "tcp", localPort: 90 },
    ]);
    shelf.lds(web, { ...told });
    assert.equal(shelf.program, program);
    shelf.eds(endpoints("a", "10.0.0.9"));
    assert.notEqual(shelf.program, program);
    assert.equal(shelf.program.inbound, program.inbound);
    shelf.cds(eds("a"), eds("b"), fixed("inbound|90||"), fixed("c"));
    assert.equal(shelf.program.inbound, program.inbound);
    shelf.lds(web, tcp("10.0.0.5_90", "10.0.0.5", 91, "inbound|90||"));
    assert.equal(shelf.program.inbound?.get("10.0.0.5_90")?.port, 91);
    shelf.lds(web);
    assert.equal("inbound" in shelf.program, false);
  }],
  ["of two listeners on one address the second is refused; the one that is there is the first", () => {
    const shelf = new Shelf();
    const [first, second] = [tcp("first", "10.0.0.5", 80, "a"), tcp("second", "10.0.0.5", 80, "b")];
    assert.deepEqual(shelf.lds(first, second), [
      'Cannot use listener "second" at 10.0.0.5:80: "first" is there already; want one listener an address',
    ]);
    assert.equal(shelf.lds(second, first).length, 1);
    assert.deepEqual(shelf.store.names("LDS"), ["first"]);
    assert.deepEqual(shelf.lds(second), [], "the first is gone");
    assert.deepEqual(shelf.lds(tcp("second", "10.0.0.6", 80, "b"), tcp("first", "10.0.0.5", 80, "a")), []);
  }],
];

for (const [rule, shows] of RULES) Deno.test(`xDS store: ${rule}`, shows);

Deno.test("xDS store: what did not change is shared", () => {
  const shelf = synced();
  const before = shelf.program;
  assert.equal(shelf.program, before);
  shelf.eds(endpoints("a", "10.0.0.7"));
  const moved = shelf.program;
  assert.notEqual(moved, before);
  assert.notEqual(moved.loadAssignments, before.loadAssignments);
  assert.equal(moved.clusters, before.clusters);
  assert.equal(moved.routeConfigurations, before.routeConfigurations);
  assert.equal(moved.listeners, before.listeners);
  for (const type of ["CDS", "EDS", "LDS", "RDS"] as const) {
    const values = shelf.store.names(type).map((name) => shelf.store.held(type, name) as never);
    shelf.take(type, values);
    assert.equal(shelf.program, moved, `the same ${type} values again`);
  }
  shelf.rds(table("80", { x: "b" }));
  assert.equal(shelf.program.clusters, moved.clusters);
  assert.equal(shelf.program.loadAssignments, moved.loadAssignments);
});
