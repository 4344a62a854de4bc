import assert from "node:assert/strict";
import { hostChoice } from "./host_choice.ts";
import { eds, endpoints, fixed, http, Shelf, table, tcp } from "./store_fixture.ts";

const SVC = "svc.cluster.local";

Deno.test("patterns of discovery.hosts", () => {
  const rows: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ["reviews", ["reviews", `reviews.default.${SVC}`, "reviews.default"], [
      `reviews.prod.${SVC}`,
      "reviews.example.com",
    ]],
    ["reviews.prod", [`reviews.prod.${SVC}`, "reviews.prod"], [
      `reviews.default.${SVC}`,
      "reviews.prod.example.com",
    ]],
    [`reviews.prod.${SVC}`, [`reviews.prod.${SVC}`], [`reviews.default.${SVC}`]],
    ["*.example.com", ["a.example.com", "a.b.example.com", "*.b.example.com"], ["example.com"]],
    [`*.prod.${SVC}`, [`a.prod.${SVC}`], [`a.default.${SVC}`]],
    ["api.example.com", ["api.example.com", "API.example.com"], ["api.example.org", "*.example.com"]],
  ];
  for (const [pattern, kept, left] of rows) {
    const choice = hostChoice([pattern], "default");
    assert(choice !== undefined);
    for (const host of kept) {
      assert(choice.keepsCluster(eds(`outbound|80|v1|${host}`)), `${pattern} keeps ${host}`);
    }
    for (const host of left) {
      assert(!choice.keepsCluster(eds(`outbound|80||${host}`)), `${pattern} leaves ${host}`);
    }
    assert(choice.keepsTable("80") && choice.keepsTable("http_proxy"));
    assert.equal(choice.keepsTable(`${kept[0]}:80`), true);
    assert.equal(choice.keepsTable(`${left[0]}:80`), false);
  }
  assert.equal(hostChoice([], "default"), undefined);
});

Deno.test("special and inbound clusters are always kept", () => {
  const choice = hostChoice(["x"], "default");
  for (
    const name of ["PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster", "inbound|80||y"]
  ) {
    assert(choice?.keepsCluster(fixed(name)), name);
  }
});

const A = `outbound|80||a.default.${SVC}`;
const B = `outbound|80||b.default.${SVC}`;
const C = `outbound|80||c.default.${SVC}`;

function chosen(): Shelf {
  const shelf = new Shelf({ hosts: ["a"] });
  shelf.cds(eds(A), eds(B), eds(C), fixed("PassthroughCluster"));
  shelf.lds(http(80, "80"), http(81, `c.default.${SVC}:81`), tcp("db", "10.0.0.5", 3306, C));
  return shelf;
}

Deno.test("only what is kept is subscribed; catch-all virtual hosts stay", () => {
  const shelf = chosen();
  assert.deepEqual(shelf.store.wanted("EDS"), [A]);
  assert.deepEqual(shelf.store.wanted("RDS"), ["80", "http_proxy"]);
  shelf.eds(endpoints(A));
  shelf.rds(table("80", { [`a.default.${SVC}`]: A, [`b.default.${SVC}`]: B, "*": "PassthroughCluster" }));
  assert.equal(shelf.tables, `80: a.default.${SVC}>${A} *>PassthroughCluster`);
  assert.equal(shelf.clusters, `${A},PassthroughCluster`);
  assert.equal(shelf.listeners, "0.0.0.0_80", "listeners of other hosts only are left out");
  assert(shelf.store.synced());
  assert.equal(shelf.store.held("RDS", "80")?.virtualHosts.length, 3, "what came is held whole");
});

Deno.test("clusters that a kept virtual host leads to are kept, whatever their host", () => {
  const shelf = chosen();
  shelf.eds(endpoints(A));
  shelf.rds(table("80", { [`a.default.${SVC}`]: A }));
  shelf.rds(table("80", { [`a.default.${SVC}`]: B }));
  assert.equal(shelf.tables, `80: a.default.${SVC}>${A}`, "held until they are warm");
  assert.deepEqual(shelf.store.wanted("EDS"), [A, B]);
  shelf.eds(endpoints(B));
  assert.equal(shelf.tables, `80: a.default.${SVC}>${B}`);
  shelf.rds(table("80", { [`a.default.${SVC}`]: A }));
  assert.deepEqual(shelf.store.wanted("EDS"), [A], "and left out again with the route");
  assert.equal(shelf.clusters, `${A},PassthroughCluster`);
});

Deno.test("of a listener's TCP chains the kept ones stay", () => {
  const shelf = chosen();
  shelf.eds(endpoints(A));
  const db = tcp("db", "10.0.0.5", 3306, C);
  shelf.lds({ ...db, filterChains: [...db.filterChains, { tcp: { statPrefix: "", cluster: A } }] });
  assert.deepEqual(shelf.program.listeners?.get("db")?.filterChains, [{
    tcp: { statPrefix: "", cluster: A },
  }]);
});

Deno.test("chains that lead to no cluster say nothing of hosts: they stay", () => {
  const shelf = chosen();
  const listener = tcp("x", "10.0.0.6", 1, C);
  shelf.lds({ ...listener, filterChains: [...listener.filterChains, { name: "unknown filter" }] });
  shelf.eds(endpoints(A));
  assert.deepEqual(shelf.program.listeners?.get("x")?.filterChains, [{ name: "unknown filter" }]);
});
