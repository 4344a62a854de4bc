/**
 * The resolver against Envoy on the model itself: domains, matchers and actions that Istio rules cannot write but a
 * control plane may send (suffix and containing matchers, ranges, prefix wildcards, inverted conditions).
 */
import assert from "node:assert/strict";
import { envoyBootstrap } from "../../agent/admin/envoy_bootstrap.ts";
import type {
  Cluster,
  HeaderMatcher,
  Program,
  Route,
  RouteMatch,
  StringMatcher,
  VirtualHost,
} from "../../agent/model/model.ts";
import { buildRouteTables } from "../../agent/route/table.ts";
import type { RequestView, RouteTables } from "../../agent/route/types.ts";
import { viewOf } from "../../agent/route/view.ts";
import { startEnvoy } from "./envoy.ts";
import { type Random, randomOf } from "./generate.ts";
import { differences, outcomeOf } from "./outcome.ts";
import { startOwnProxy } from "./own_proxy.ts";
import {
  RawClient,
  type RawRequest,
  type RawResponse,
  seenOf,
  Upstream,
  UPSTREAM_HEADER,
} from "./raw_http.ts";

const SETS = 300;
const REQUESTS = 20;

const PATHS = ["/", "/a", "/a/b", "/ab", "/A", "/a.js", "/b/../a", "/%61", "/a//b"];
const VALUES = ["", "a", "ab", "abc", "A", "7", "10", "-3", "a,b"];
const REGEXES = ["a.*", ".*", "[a-z]+", "(?i)a", "(a|b)*", "\\d+", "/a(/.*)?", ".*\\.js"];

function cases(r: Random, n: number) {
  const one = <T>(list: readonly T[]): T => list[r(list.length)] as T;
  const rarely = (k: number) => r(k) === 0;
  const string = (values: readonly string[]): StringMatcher => {
    const fold = rarely(4) ? { ignoreCase: true } : {};
    switch (r(5)) {
      case 0:
        return { exact: one(values), ...fold };
      case 1:
        return { prefix: one(values.filter((v) => v !== "")), ...fold };
      case 2:
        return { suffix: one(values.filter((v) => v !== "")), ...fold };
      case 3:
        return { contains: one(values.filter((v) => v !== "")), ...fold };
      default:
        return { safeRegex: { regex: one(REGEXES) } };
    }
  };
  const header = (): HeaderMatcher => {
    const more = {
      ...(rarely(3) ? { invertMatch: true } : {}),
      ...(rarely(4) ? { treatMissingHeaderAsEmpty: true } : {}),
    };
    const name = one(["x-a", "x-b", ":method", ":authority", "host"]);
    const kind = r(4);
    if (kind === 0) return { name, presentMatch: !rarely(3), ...more };
    if (kind === 1) return { name, rangeMatch: { start: -5, end: 10 }, ...more };
    return { name, stringMatch: string([...VALUES, "GET", `e${n}.test`]), ...more };
  };
  const match = (): RouteMatch => {
    const fold = rarely(4) ? { caseSensitive: false } : {};
    const path = one<() => RouteMatch>([
      () => ({ prefix: one(["", "/", "/a", "/A", "/a/"]), ...fold }),
      () => ({ path: one(PATHS), ...fold }),
      () => ({ safeRegex: { regex: one(REGEXES) } }),
    ])();
    const headers = rarely(2) ? { headers: Array.from({ length: 1 + r(2) }, header) } : {};
    const query = rarely(3)
      ? {
        queryParameters: [{
          name: one(["x", "y"]),
          ...(rarely(3) ? { presentMatch: !rarely(3) } : { stringMatch: string(VALUES) }),
        }],
      }
      : {};
    return { ...path, ...headers, ...query };
  };
  const action = (): Omit<Route, "match"> => {
    switch (r(6)) {
      case 0:
        return {
          redirect: {
            responseCode: one([301, 302, 303, 307, 308]),
            ...(rarely(2) ? { hostRedirect: "h.test" } : {}),
            ...(rarely(2) ? { schemeRedirect: one(["http", "https"]) } : {}),
            ...(rarely(3) ? { portRedirect: one([80, 443, 99]) } : {}),
            ...one([{}, { pathRedirect: "/p" }, { pathRedirect: "/p?z" }, { prefixRewrite: "/q" }, {
              pathRedirect: "p",
            }]),
          },
        };
      case 1:
        return { directResponse: { status: one([200, 404, 418]), body: { inlineString: "text" } } };
    }
    const target = one(["c1", "c2", "c3"]);
    const clusters = [{ name: target, weight: 5 }, { name: one(["c1", "c2", "c3", "missing"]), weight: 0 }];
    return {
      route: {
        ...(rarely(3) ? { weightedClusters: { clusters } } : { cluster: rarely(12) ? "missing" : target }),
        timeout: "0s",
        ...one([{}, {}, { prefixRewrite: one(["/new", "/", "/new/"]) }, {
          regexRewrite: {
            pattern: { regex: one(["a", "^/a", "[a-z]+", "/+", "b*"]) },
            substitution: one(["<\\0>", "", "x"]),
          },
        }]),
        ...(rarely(4) ? { hostRewriteLiteral: "w.test" } : {}),
      },
    };
  };
  const routes = (): Route[] => Array.from({ length: 1 + r(4) }, () => ({ match: match(), ...action() }));
  const domains = [
    `e${n}.test`,
    `*.e${n}.test`,
    `*.x.e${n}.test`,
    `*-z.e${n}.test`,
    `p${n}.*`,
    `p${n}.q.*`,
    `q${n}`,
    `r.e${n}.test`,
  ];
  const hosts = (port: number): VirtualHost[] => {
    const left = domains.filter(() => !rarely(3)).filter((d) => port === 80 || !d.endsWith("*"));
    return left.map((d) => ({ name: `${d}:${port}`, domains: [d], routes: routes() }));
  };
  const request = (): RawRequest => {
    const host = one([
      `e${n}.test`,
      `a.e${n}.test`,
      `a.x.e${n}.test`,
      `a-z.e${n}.test`,
      `p${n}.a`,
      `p${n}.q.a`,
      `Q${n}`,
      `r.e${n}.test`,
    ]);
    const headers: [string, string][] = [];
    for (const name of ["x-a", "X-B"]) {
      if (rarely(2)) headers.push([name, one(VALUES)]);
      if (rarely(6)) headers.push([name, one(VALUES)]);
    }
    const query = one(["", "", "?x=a", "?x=7&y", "?y=ab&x", "?x=&x=a"]);
    return {
      method: one(["GET", "POST", "PUT"]),
      url: `http://${host}${host.startsWith("p") ? "" : one(["", ":80", ":81"])}${one(PATHS)}${query}`,
      headers,
      body: "",
    };
  };
  return { tables: { 80: hosts(80), 81: hosts(81) }, requests: Array.from({ length: REQUESTS }, request) };
}

/** What our resolver says should happen, in the words of {@link told}. */
function predicted(tables: RouteTables, view: RequestView): string {
  const d = tables.select(view, 0);
  switch (d.kind) {
    case "unknownHost":
      return "502";
    case "unknownPort":
    case "noRoute":
      return "404";
    case "redirect": {
      const { status, location } = d.route.redirect(view);
      return `${status} ${location}`;
    }
    case "directResponse":
      return `${d.route.direct?.status} text`;
  }
  if (d.destination.cluster === "missing") return "503";
  const query = view.query === undefined ? "" : `?${view.query}`;
  return `200 ${d.destination.cluster} ${d.destination.hostRewrite ?? view.authority} ${
    d.route.rewritePath(view.path)
  }${query}`;
}

/** What Envoy did. */
function told(response: RawResponse): string {
  const get = (name: string) => response.headers.find(([k]) => k === name)?.[1];
  const seen = seenOf(response);
  if (seen !== undefined) {
    return `${response.status} ${get(UPSTREAM_HEADER)} ${
      seen.headers.find(([k]) => k === "host")?.[1]
    } ${seen.target}`;
  }
  const location = get("location");
  if (location !== undefined) return `${response.status} ${location}`;
  return response.body === "text" ? `${response.status} text` : String(response.status);
}

Deno.test("envoy: the resolver decides as Envoy does on random tables of the model", async () => {
  const seed = Number(Deno.env.get("MESH_ORACLE_SEED") ?? 1);
  const upstreams = ["c1", "c2", "c3"].map((name) => new Upstream(name));
  const sets = Array.from({ length: SETS }, (_, i) => cases(randomOf(seed * 7919 + i), i));
  const clusters = upstreams.map((u): Cluster => ({
    name: u.name,
    type: "STATIC",
    lbPolicy: "ROUND_ROBIN",
    connectTimeout: "1s",
    loadAssignment: {
      clusterName: u.name,
      endpoints: [{ lbEndpoints: [{ address: "127.0.0.1", port: u.port }] }],
    },
  }));
  const table = (port: 80 | 81) => ({
    name: String(port),
    ignorePortInHostMatching: true,
    virtualHosts: sets.flatMap((s) => s.tables[port]),
  });
  const program: Program = {
    routeConfigurations: new Map([["80", table(80)], ["81", table(81)]]),
    clusters: new Map(clusters.map((c) => [c.name, c])),
    loadAssignments: new Map(),
  };
  const address = { hostname: "127.0.0.1", port: 0 };
  const envoy = await startEnvoy(
    envoyBootstrap(program, { listen: address, admin: address, outbound: "REGISTRY_ONLY" }),
  );
  const own = startOwnProxy(program);
  const client = new RawClient(envoy.port);
  const ownClient = new RawClient(own.port);
  const tables = buildRouteTables(program);
  const wrong: string[] = [];
  try {
    for (const request of sets.flatMap((s) => s.requests)) {
      const response = await client.send(request);
      const want = told(response);
      const view = viewOf(request);
      const got = predicted(tables, view);
      const differing = differences(
        outcomeOf(response, false),
        outcomeOf(await ownClient.send(request), false),
      );
      if (want !== got) differing.push(`resolver: Envoy ${want}, here ${got}`);
      if (differing.length === 0) continue;
      const rules = JSON.stringify(tables.findVirtualHost(view.host, view.port)?.source);
      wrong.push(
        `${request.method} ${request.url} ${JSON.stringify(request.headers)}\n  ${
          differing.join("\n  ")
        }\n  ${rules}`,
      );
    }
  } finally {
    client.close();
    ownClient.close();
    await own.stop();
    await envoy.stop();
    await Promise.all(upstreams.map((u) => u.stop()));
  }
  assert.equal(
    wrong.length,
    0,
    `${wrong.length} of ${SETS * REQUESTS} differ:\n${wrong.slice(0, 8).join("\n")}`,
  );
});
