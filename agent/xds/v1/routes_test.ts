import assert from "node:assert/strict";
import type { Route } from "../../model/model.ts";
import { attachFaults, type ListenerFault } from "./faults.ts";
import { decodeRoutes } from "./routes.ts";

const ORIGIN = { kind: "Test", version: "1" };
const CONTEXT = { faults: [], wanted: () => true };

const routesOf = (...routes: unknown[]) =>
  decodeRoutes("80", { virtual_hosts: [{ name: "a|http", domains: ["a"], routes }] }, CONTEXT, ORIGIN);

Deno.test("routes: header conditions, a quoted prefix, presence, patterns", () => {
  const rows: readonly [Record<string, unknown>, unknown][] = [
    [{ name: "X-A", value: "b" }, { name: "x-a", stringMatch: { exact: "b" } }],
    [{ name: "x", value: "" }, { name: "x", presentMatch: true }],
    [{ name: "x" }, { name: "x", presentMatch: true }],
    [{ name: "x", value: "^b\\.c.*", regex: true }, { name: "x", stringMatch: { prefix: "b.c" } }],
    [{ name: "x", value: "^.*", regex: true }, { name: "x", presentMatch: true }],
    [{ name: "x", value: "^b.c.*", regex: true }, {
      name: "x",
      stringMatch: { safeRegex: { regex: "^b.c.*" } },
    }],
    [{ name: "x", value: "^b\\d.*", regex: true }, {
      name: "x",
      stringMatch: { safeRegex: { regex: "^b\\d.*" } },
    }],
    [{ name: ":method", value: "GET" }, { name: ":method", stringMatch: { exact: "GET" } }],
    [{ name: "x", value: "^b.*", regex: false }, { name: "x", stringMatch: { exact: "^b.*" } }],
  ];
  for (const [written, wanted] of rows) {
    const made = routesOf({ prefix: "/", cluster: "c", headers: [written] });
    assert.deepEqual(made?.problems, []);
    assert.deepEqual(
      made?.configuration.virtualHosts[0]?.routes[0]?.match.headers,
      [wanted],
      JSON.stringify(written),
    );
  }
});

Deno.test("routes: weights, timeouts, retries, CORS; zero weights stay out", () => {
  const made = routesOf({
    regex: "/a[0-9]+",
    case_sensitive: false,
    weighted_clusters: {
      clusters: [{ name: "v1", weight: 0 }, { name: "v2", weight: 30 }, { name: "v3", weight: 70 }],
    },
    timeout_ms: 1500,
    retry_policy: { retry_on: "5xx", per_try_timeout_ms: 0 },
    use_websocket: true,
    cors: { max_age: "1h0m0s", allow_origin: ["*"], enabled: true },
    runtime: { key: "x", default: 50 },
    auto_host_rewrite: true,
  }, {
    path: "/one",
    weighted_clusters: { clusters: [{ name: "v1", weight: 0 }, { name: "v2", weight: 1 }] },
  }, {
    prefix: "/off",
    cluster: "c",
    runtime: { key: "x", default: 0 },
  });
  const [first, second, ...rest] = made?.configuration.virtualHosts[0]?.routes ?? [];
  assert.deepEqual(rest, []);
  assert.deepEqual(first?.match, { safeRegex: { regex: "/a[0-9]+" }, caseSensitive: false });
  assert.deepEqual(first?.route, {
    weightedClusters: { clusters: [{ name: "v2", weight: 30 }, { name: "v3", weight: 70 }] },
    timeout: "1.500s",
    retryPolicy: { retryOn: "5xx", numRetries: 1 },
  });
  assert.equal(first?.typedPerFilterConfig?.["envoy.filters.http.cors"]?.maxAge, "3600");
  assert.equal(second?.route?.cluster, "v2");
  assert.equal(second?.route?.timeout, undefined);
  assert.deepEqual(made?.notes.map((n) => n.where.field), [
    "virtual_hosts[0].routes[0].runtime",
    "virtual_hosts[0].routes[0].auto_host_rewrite",
  ]);
});

Deno.test("routes: Host and pseudo headers are left alone, which is told", () => {
  const made = routesOf({
    prefix: "/",
    cluster: "c",
    request_headers_to_add: [{ key: "Host", value: "x" }, { key: ":path", value: "y" }, {
      key: "a",
      value: "b",
    }],
  });
  assert.deepEqual(
    made?.configuration.virtualHosts[0]?.routes[0]?.requestHeadersToAdd?.map((h) => h.header),
    [
      { key: "a", value: "b" },
    ],
  );
  assert.equal(made?.notes.length, 2);
});

Deno.test("routes: what is wrong is told with its place, and keeps only its own virtual host out", () => {
  const rows: readonly [unknown, string][] = [
    [{ prefix: "/" }, ""],
    [{ cluster: "c" }, ""],
    [{ prefix: "/", path: "/", cluster: "c" }, ""],
    [{ regex: "(", cluster: "c" }, ".regex"],
    [{ regex: "a(?!b)", cluster: "c" }, ".regex"],
    [{ prefix: "/", cluster: 1 }, ".cluster"],
    [{ prefix: "/", cluster: "c", timeout_ms: -1 }, ".timeout_ms"],
    [{ prefix: "/", cluster: "c", headers: [{ name: "" }] }, ".headers[0].name"],
    [{ prefix: "/", cluster: "c", headers: [{ name: "x", value: "[", regex: true }] }, ".headers[0].value"],
    [{ prefix: "/", cluster: "c", cors: { max_age: "soon" } }, ".cors.max_age"],
    [{ prefix: "/", cluster: "c", prefix_rewrite: "/\r\nx: y" }, ".prefix_rewrite"],
    [{ prefix: "/", cluster: "c", host_rewrite: "a\nb" }, ".host_rewrite"],
    [{ prefix: "/", path_redirect: "/\r" }, ".path_redirect"],
    [{ prefix: "/", host_redirect: "a\0" }, ".host_redirect"],
    [
      { prefix: "/", cluster: "c", request_headers_to_add: [{ key: "a b", value: "" }] },
      ".request_headers_to_add[0].key",
    ],
    [
      { prefix: "/", cluster: "c", request_headers_to_add: [{ key: "a", value: "b\r\nc: d" }] },
      ".request_headers_to_add[0].value",
    ],
    [{ prefix: "/", weighted_clusters: { clusters: [{ name: "a", weight: 0 }] } }, ".weighted_clusters"],
    [
      { prefix: "/", weighted_clusters: { clusters: [{ name: "a", weight: "x" }] } },
      ".weighted_clusters.clusters[0].weight",
    ],
  ];
  for (const [route, field] of rows) {
    const made = decodeRoutes(
      "80",
      {
        virtual_hosts: [
          { name: "a|http", domains: ["a"], routes: [route] },
          { name: "b|http", domains: ["b"], routes: [{ prefix: "/", cluster: "c" }] },
        ],
      },
      CONTEXT,
      ORIGIN,
    );
    assert.ok(
      made?.problems.some((p) => p.where.field === `virtual_hosts[0].routes[0]${field}`),
      JSON.stringify(route),
    );
    assert.deepEqual(made?.configuration.virtualHosts.map((v) => v.name), ["b|http"]);
  }
});

Deno.test("routes: the domain of two virtual hosts goes to the first; addresses without CIDR; null is empty", () => {
  const made = decodeRoutes(
    "80",
    {
      virtual_hosts: [
        {
          name: "a|http",
          domains: ["A", "10.0.0.5/32:80", "10.0.0.5/32", "0.0.0.0:80", "0.0.0.0", "10.0.0.0/8"],
          routes: [],
        },
        { name: "b|http", domains: ["a", "b"], routes: [] },
        { name: "b|http", domains: ["c"], routes: [] },
      ],
    },
    CONTEXT,
    ORIGIN,
  );
  assert.deepEqual(made?.configuration.virtualHosts.map((v) => v.domains), [
    ["a", "10.0.0.5:80", "10.0.0.5"],
    ["a", "b"],
  ]);
  assert.deepEqual(made?.problems.map((p) => `${p.code} ${p.where.field}`), [
    "D213 virtual_hosts[1].domains",
    "D213 virtual_hosts[2]",
  ]);
  assert.deepEqual(decodeRoutes("80", null, CONTEXT, ORIGIN)?.configuration.virtualHosts, []);
  assert.equal(decodeRoutes("80", {}, CONTEXT, ORIGIN), undefined);
});

Deno.test("routes: a virtual host whose JSON stayed is the same object; another version of the rest is told apart", () => {
  const table = (weight: number) => ({
    virtual_hosts: [
      { name: "a|http", domains: ["a"], routes: [{ prefix: "/", cluster: "c", timeout_ms: weight }] },
      { name: "b|http", domains: ["b"], routes: [{ prefix: "/", cluster: "c" }] },
    ],
  });
  const first = decodeRoutes("80", table(1), CONTEXT, ORIGIN);
  const same = decodeRoutes("80", table(1), CONTEXT, { ...ORIGIN, version: "2" }, first);
  assert.equal(same?.configuration, first?.configuration);
  const second = decodeRoutes("80", table(2), CONTEXT, { ...ORIGIN, version: "3" }, same);
  assert.equal(second?.configuration.virtualHosts[1], first?.configuration.virtualHosts[1]);
  assert.equal(second?.configuration.virtualHosts[0]?.origin?.version, "3");
});

Deno.test("faults: on the route that asks for the headers, by a copy elsewhere, on weights only when all have it", () => {
  const header = { name: "x", stringMatch: { exact: "1" } };
  const fault = { abort: { httpStatus: 400, percentage: { numerator: 5, denominator: "HUNDRED" as const } } };
  const of = (upstreamCluster: string, headers = [header]): ListenerFault => ({
    upstreamCluster,
    headers,
    fault,
  });
  const to = (cluster: string, more: Partial<Route["match"]> = {}): Route => ({
    match: { prefix: "/", ...more },
    route: { cluster },
  });
  const faulty = (route: Route) => route.typedPerFilterConfig?.["envoy.filters.http.fault"] !== undefined;

  assert.deepEqual(attachFaults([to("a", { headers: [header] })], [of("a")]).map(faulty), [true]);
  const split = attachFaults([to("a")], [of("a")]);
  assert.deepEqual(split.map(faulty), [true, false]);
  assert.deepEqual(split[0]?.match.headers, [header]);
  assert.equal(split[1]?.match.headers, undefined);
  assert.deepEqual(attachFaults([to("b")], [of("a")]).map(faulty), [false]);
  assert.deepEqual(attachFaults([to("a")], [of("a", [])]).map(faulty), [true]);

  const weighted: Route = {
    match: { prefix: "/" },
    route: { weightedClusters: { clusters: [{ name: "a", weight: 1 }, { name: "b", weight: 1 }] } },
  };
  assert.deepEqual(attachFaults([weighted], [of("a", [])]).map(faulty), [false]);
  assert.deepEqual(attachFaults([weighted], [of("a", []), of("b", [])]).map(faulty), [true]);
  const redirect: Route = { match: { prefix: "/" }, redirect: { responseCode: 301 } };
  assert.deepEqual(attachFaults([redirect], [of("a", [])]).map(faulty), [false]);
  const routes = [to("a")];
  assert.equal(attachFaults(routes, []), routes);
});
