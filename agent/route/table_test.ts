import assert from "node:assert/strict";
import type { Program, Route, RouteConfiguration, VirtualHost } from "../model/model.ts";
import { buildRouteTables, indexAhead } from "./table.ts";
import type { Decision } from "./types.ts";
import { viewOf } from "./view.ts";

const to = (cluster: string, more: Partial<Route> = {}): Route => ({
  match: { prefix: "/" },
  route: { cluster, timeout: "0s" },
  ...more,
});

const host = (name: string, domains: string[], routes: Route[] = [to(name)]): VirtualHost => ({
  name,
  domains,
  routes,
});

const table = (name: string, virtualHosts: VirtualHost[], ignorePort = true): RouteConfiguration => ({
  name,
  virtualHosts,
  ...(ignorePort ? { ignorePortInHostMatching: true } : {}),
});

const program = (...tables: RouteConfiguration[]): Program => ({
  routeConfigurations: new Map(tables.map((t) => [t.name, t])),
  clusters: new Map(),
  loadAssignments: new Map(),
});

function chosen(d: Decision): string {
  switch (d.kind) {
    case "route":
      return d.destination.cluster;
    case "unknownPort":
      return `ports ${d.ports.join(",")}`;
    case "unknownHost":
      return d.kind;
    case "noRoute":
      return `noRoute ${d.virtualHost.source.name}`;
    default:
      return `${d.kind} ${d.route.name}`;
  }
}

const ask = (p: Program, url: string, random = 0, headers: [string, string][] = []) =>
  chosen(buildRouteTables(p).select(viewOf({ method: "GET", url, headers }), random));

Deno.test("domains: exact, then longest suffix, then longest prefix, then the catch-all", () => {
  const p = program(table("80", [
    host("exact", ["a.shop.com"]),
    host("long", ["*.eu.shop.com"]),
    host("short", ["*.shop.com"]),
    host("dash", ["*-x.eu.shop.com"]),
    host("prefix", ["www.*"]),
    host("longprefix", ["www.b.*"]),
    host("any", ["*"]),
  ]));
  assert.equal(ask(p, "http://a.shop.com/"), "exact");
  assert.equal(ask(p, "http://A.SHOP.com./"), "exact");
  assert.equal(ask(p, "http://b.shop.com/"), "short");
  assert.equal(ask(p, "http://b.eu.shop.com/"), "long");
  assert.equal(ask(p, "http://b.c.eu.shop.com/"), "long");
  assert.equal(ask(p, "http://b-x.eu.shop.com/"), "dash");
  assert.equal(ask(p, "http://shop.com/"), "any");
  assert.equal(ask(p, "http://www.c.org/"), "prefix");
  assert.equal(ask(p, "http://www.b.org/"), "longprefix");
  assert.equal(ask(p, "http://www.shop.com/"), "short");
});

Deno.test("ports: the table of the port, host:port before host, unknown ports named", () => {
  const p = program(
    table("9080", [host("reviews", ["reviews", "reviews.default"]), host("six", ["[fd00::1]"])]),
    table("8080", [host("with", ["reviews:8080"]), host("without", ["reviews", "other"])], false),
    table("details:7000", [host("details", ["*"])], false),
  );
  assert.equal(ask(p, "http://reviews:9080/"), "reviews");
  assert.equal(ask(p, "http://reviews:8080/"), "with");
  assert.equal(ask(p, "http://other:8080/"), "without");
  assert.equal(ask(p, "http://reviews/"), "ports 8080,9080");
  assert.equal(ask(p, "http://[FD00::1]:9080/"), "six");
  assert.equal(ask(p, "http://[fd00::1]/"), "ports 9080");
  assert.equal(ask(p, "http://details:7000/"), "details");
  assert.equal(ask(p, "http://details:7001/"), "ports 7000");
  assert.equal(ask(p, "http://nobody/"), "unknownHost");
  assert.deepEqual(buildRouteTables(p).portsOf("Reviews."), [8080, 9080]);
});

Deno.test("http_proxy serves only what the port's table lacks; the catch-all comes last", () => {
  const p = program(
    table("80", [host("own", ["a"]), host("allow_any", ["*"])]),
    table("http_proxy", [host("pa", ["a", "a:80"]), host("pb", ["b", "b:80"]), host("pc", ["c:81"])], false),
  );
  assert.equal(ask(p, "http://a/"), "own");
  assert.equal(ask(p, "http://b/"), "pb");
  assert.equal(ask(p, "http://c/"), "ports 81");
  assert.equal(ask(p, "http://c:81/"), "pc");
  assert.equal(ask(p, "http://elsewhere/"), "allow_any");
});

Deno.test("http_proxy: names without a port belong to port 80, unless the table ignores ports", () => {
  const hosts = [host("b", ["b", "b:80"]), host("c", ["c:81"])];
  const strict = program(table("http_proxy", hosts, false));
  assert.equal(ask(strict, "http://b:81/"), "ports 80");
  const ignoring = program(table("http_proxy", hosts));
  assert.equal(ask(ignoring, "http://b:81/"), "b");
});

Deno.test("http_proxy: the virtual host of a service whose ports are not known is for every port", () => {
  const hosts = [host("a:*", ["a"]), host("b:80", ["b", "b:80"])];
  const p = program(table("8084", [host("allow_any", ["*"])]), table("http_proxy", hosts, false));
  assert.equal(ask(p, "http://a/"), "a:*");
  assert.equal(ask(p, "http://a:8084/"), "a:*");
  assert.equal(ask(p, "http://a:9/"), "a:*");
  assert.equal(ask(p, "http://b:9/"), "ports 80");
});

Deno.test("http_proxy that ignores ports: a name with a port counts for hosts and ports without another table", () => {
  const p = program(
    table("80", [host("block_all", ["*"])]),
    table("auto.test:80", [host("own", ["*"])], false),
    table("auto.test:7000", [host("own7", ["*"])], false),
    table("http_proxy", [
      host("auto.test:80", ["auto:80", "10.0.0.1:80"]),
      host("auto.test:7000", ["auto:7000"]),
      host("web.test:80", ["web:80"]),
      host("web.test:81", ["web:81"]),
    ]),
  );
  assert.equal(ask(p, "http://auto.test/"), "own");
  assert.equal(ask(p, "http://auto/"), "auto.test:80");
  assert.equal(ask(p, "http://10.0.0.1/"), "auto.test:80");
  assert.equal(ask(p, "http://auto:7000/"), "auto.test:7000");
  assert.equal(ask(p, "http://auto:7001/"), "ports 80,7000");
  // A Sidecar resource may leave a host out of a port's table.
  assert.equal(ask(p, "http://web/"), "block_all");
  assert.equal(ask(p, "http://web:81/"), "web.test:81");
});

Deno.test("no falling through between virtual hosts: no route is no route", () => {
  const p = program(table("80", [
    host("a", ["a"], [{ match: { prefix: "/x" }, route: { cluster: "a" } }]),
    host("any", ["*"]),
  ]));
  assert.equal(ask(p, "http://a/x"), "a");
  assert.equal(ask(p, "http://a/y"), "noRoute a");
});

Deno.test("weights: random times the total, entries of weight 0 never", () => {
  const clusters = [{ name: "none", weight: 0 }, { name: "v1", weight: 1 }, { name: "v2", weight: 3 }];
  const p = program(
    table("80", [host("a", ["a"], [{ match: { prefix: "/" }, route: { weightedClusters: { clusters } } }])]),
  );
  assert.equal(ask(p, "http://a/", 0), "v1");
  assert.equal(ask(p, "http://a/", 0.2499), "v1");
  assert.equal(ask(p, "http://a/", 0.25), "v2");
  assert.equal(ask(p, "http://a/", 0.999999), "v2");
});

Deno.test("rebuild: unchanged tables and virtual hosts keep their compiled form, changed ones do not", () => {
  const hosts = Array.from(
    { length: 100 },
    (_, i) => host(`h${i}`, [`h${i}`, `h${i}.default`, `*.h${i}.org`]),
  );
  const first = buildRouteTables(program(table("80", hosts), table("81", [host("x", ["x"])])));
  const before = first.findVirtualHost("h1", 80);
  const changed = [...hosts];
  changed[5] = host("h5", ["h5", "renamed5"], [to("new5")]);
  changed.splice(7, 1);
  changed.push(host("late", ["late", "*.late.org"]));
  const second = buildRouteTables(program(table("80", changed), table("81", [host("x", ["x"])])), first);
  const at = (tables: typeof first, url: string) => chosen(tables.select(viewOf({ method: "GET", url }), 0));
  assert.equal(second.findVirtualHost("h1", 80), before);
  assert.equal(at(second, "http://h5/"), "new5");
  assert.equal(at(second, "http://renamed5/"), "new5");
  assert.equal(at(second, "http://h5.default/"), "unknownHost");
  assert.equal(at(second, "http://a.h5.org/"), "unknownHost");
  assert.equal(at(second, "http://h7/"), "unknownHost");
  assert.equal(at(second, "http://late/"), "late");
  assert.equal(at(second, "http://b.late.org/"), "late");
  assert.equal(at(second, "http://h8/"), "h8");
  // The tables before stay as they were.
  assert.equal(at(first, "http://h5.default/"), "h5");
  assert.equal(at(first, "http://h7/"), "h7");
  assert.equal(at(first, "http://late/"), "unknownHost");
});

Deno.test("rebuild: header operations of a table recompile its virtual hosts only when they change", () => {
  const hosts = Array.from({ length: 10 }, (_, i) => host(`h${i}`, [`h${i}`]));
  const build = (value: string | undefined, before?: ReturnType<typeof buildRouteTables>) => {
    const headers = value === undefined ? {} : {
      requestHeadersToAdd: [{
        header: { key: "x", value },
        appendAction: "APPEND_IF_EXISTS_OR_ADD" as const,
      }],
    };
    return buildRouteTables(program({ ...table("80", [...hosts]), ...headers }), before);
  };
  const added = (tables: ReturnType<typeof buildRouteTables>) =>
    tables.findVirtualHost("h1", 80)?.routes[0]?.destinations[0]?.requestOps?.steps[0]?.value?.[0];
  const none = build(undefined);
  const first = build("a", none);
  const same = build("a", first);
  const changed = build("b", same);
  const back = build(undefined, changed);
  assert.deepEqual([none, first, same, changed, back].map(added), [undefined, "a", "a", "b", undefined]);
  assert.equal(same.findVirtualHost("h1", 80), first.findVirtualHost("h1", 80));
});

Deno.test("rebuild: a domain claimed twice goes to the next holder when the first leaves", () => {
  const a = host("a", ["shared", "a"]);
  const b = host("b", ["shared", "b"]);
  const rest = Array.from({ length: 20 }, (_, i) => host(`h${i}`, [`h${i}`]));
  const first = buildRouteTables(program(table("80", [a, b, ...rest])));
  assert.equal(first.findVirtualHost("shared", 80)?.source, a);
  const second = buildRouteTables(program(table("80", [b, ...rest])), first);
  assert.equal(second.findVirtualHost("shared", 80)?.source, b);
  const third = buildRouteTables(program(table("80", [a, b, ...rest])), second);
  assert.equal(third.findVirtualHost("shared", 80)?.source, a);
});

Deno.test("rebuild at random: patched tables answer as freshly built ones", () => {
  let seed = 7;
  const next = (n: number) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
  const fresh = (i: number) =>
    host(`h${i}-${next(3)}`, [
      `h${i}`,
      `*.d${i}.x`,
      ...(next(2) === 0 ? [`*-s${i}`] : []),
      ...(next(3) === 0 ? [`p${i}.*`] : []),
    ]);
  let hosts = Array.from({ length: 40 }, (_, i) => fresh(i));
  let tables = buildRouteTables(program(table("80", hosts)));
  for (let round = 0; round < 300; round++) {
    hosts = [...hosts];
    const at = next(hosts.length);
    const what = next(4);
    if (what === 0) hosts.splice(at, 1);
    else if (what === 1) hosts.splice(at, 0, fresh(100 + round));
    else hosts[at] = fresh(Number(/\d+/.exec(hosts[at]?.name as string)));
    tables = buildRouteTables(program(table("80", hosts)), tables);
    const clean = buildRouteTables(program(table("80", hosts)));
    for (let i = 0; i < 40; i++) {
      for (const name of [`h${i}`, `a.d${i}.x`, `q-s${i}`, `p${i}.z`, `h${100 + round - i}`]) {
        assert.equal(
          tables.findVirtualHost(name, 80)?.source,
          clean.findVirtualHost(name, 80)?.source,
          `${round} ${name}`,
        );
      }
    }
  }
});

Deno.test("indexed ahead: many steps for a large new table, two for one change, then building finds it done", () => {
  const steps = (now: RouteConfiguration, before?: RouteConfiguration): number => {
    const indexing = indexAhead(now, before);
    let count = 1;
    while (indexing.step()) count++;
    assert.equal(indexing.step(), false);
    return count;
  };
  const hosts = Array.from({ length: 5000 }, (_, i) => host(`h${i}`, [`h${i}`, `h${i}.default`]));
  const first = table("80", hosts);
  assert.equal(steps(first), 50);
  assert.equal(steps(first), 1);
  const before = buildRouteTables(program(first));
  assert.equal(before.findVirtualHost("h7.default", 80)?.source, hosts[7]);
  const changed = table("80", hosts.with(7, host("new", ["h7", "late"])));
  assert.equal(steps(changed, first), 1);
  const anew = table("80", hosts.map(({ name, domains }) => host(name, [...domains, `${name}.more`])));
  assert.equal(steps(anew, changed), 51);
  const now = buildRouteTables(program(changed), before);
  assert.equal(now.findVirtualHost("late", 80)?.source.name, "new");
  assert.equal(now.findVirtualHost("h7.default", 80), undefined);
  assert.equal(now.findVirtualHost("h8", 80), before.findVirtualHost("h8", 80));
  const last = buildRouteTables(program(anew), now);
  assert.equal(last.findVirtualHost("h7.more", 80)?.source.name, "h7");
  assert.equal(last.findVirtualHost("late", 80), undefined);
});

Deno.test("ports of the explicit proxy's table: those in its domains, also after changes", () => {
  const hosts = Array.from({ length: 20 }, (_, i) => host(`h${i}`, [`h${i}:80`]));
  const first = buildRouteTables(
    program(table("http_proxy", [host("six", ["[fd00::1]:81"]), ...hosts], false)),
  );
  assert.deepEqual(first.portsOf("h1"), [80]);
  assert.deepEqual(first.portsOf("[FD00::1]"), [81]);
  assert.deepEqual(first.portsOf("fd00:"), []);
  const second = buildRouteTables(
    program(table("http_proxy", [...hosts, host("other", ["h1:9080", "h1:x"])], false)),
    first,
  );
  assert.deepEqual(second.portsOf("H1."), [80, 9080]);
  assert.deepEqual(second.portsOf("fd00::1"), []);
});
