/** Selection and publication with 10,000 services. Run: `deno bench agent/route/select_bench.ts`. */
import type { Program, Route, RouteConfiguration, VirtualHost } from "../model/model.ts";
import { buildRouteTables } from "./table.ts";
import { viewOf } from "./view.ts";

const SERVICES = 10_000;

function service(i: number): VirtualHost {
  const name = `svc-${i}.ns-${i % 100}.svc.cluster.local`;
  const routes: Route[] = [
    {
      match: { prefix: "/api/", headers: [{ name: "end-user", stringMatch: { exact: "jason" } }] },
      route: { cluster: `outbound|8080|v2|${name}`, timeout: "0s" },
    },
    { match: { path: "/health" }, route: { cluster: `outbound|8080||${name}`, timeout: "1s" } },
    {
      match: { prefix: "/" },
      route: {
        weightedClusters: {
          clusters: [{ name: `outbound|8080|v1|${name}`, weight: 90 }, {
            name: `outbound|8080|v2|${name}`,
            weight: 10,
          }],
        },
        timeout: "0s",
      },
    },
  ];
  const short = `svc-${i}.ns-${i % 100}`;
  return {
    name: `${name}:8080`,
    domains: [name, `${name}.`, `${short}.svc`, short, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`],
    routes,
  };
}

const hosts = Array.from({ length: SERVICES }, (_, i) => service(i));
const wild = Array.from({ length: 1000 }, (_, i): VirtualHost => ({
  name: `w${i}`,
  domains: [`*.w${i}.example.org`],
  routes: [{ match: { prefix: "/" }, route: { cluster: `w${i}` } }],
}));

function programOf(virtualHosts: readonly VirtualHost[]): Program {
  const table: RouteConfiguration = { name: "8080", virtualHosts, ignorePortInHostMatching: true };
  return { routeConfigurations: new Map([["8080", table]]), clusters: new Map(), loadAssignments: new Map() };
}

const program = programOf([...hosts, ...wild]);
const tables = buildRouteTables(program);
const views = Array.from(
  { length: 1024 },
  (_, i) =>
    viewOf({
      method: "GET",
      url: `http://svc-${(i * 7919) % SERVICES}.ns-${((i * 7919) % SERVICES) % 100}:8080/api/x?y=1`,
    }),
);
const wildViews = Array.from(
  { length: 1024 },
  (_, i) => viewOf({ method: "GET", url: `http://a.b.w${i % 1000}.example.org:8080/x` }),
);
for (const view of [...views, ...wildViews]) tables.select(view, 0.5);

let n = 0;
Deno.bench("select: exact host among 10,000 services", () => {
  tables.select(views[n++ & 1023] as typeof views[0], 0.5);
});
Deno.bench("select: wildcard host among 1,000 wildcards", () => {
  tables.select(wildViews[n++ & 1023] as typeof views[0], 0.5);
});
Deno.bench("build: tables of 10,000 services from nothing", () => {
  buildRouteTables(program);
});
Deno.bench("build: one changed host among 10,000", (b) => {
  const changed = [...hosts, ...wild];
  changed[5000] = service(5000);
  const next = programOf(changed);
  b.start();
  buildRouteTables(next, tables);
  b.end();
});
