import assert from "node:assert/strict";
import type { Cluster, Program, VirtualHost } from "../model/model.ts";
import { envoyBootstrap, envoyBootstrapPieces } from "./envoy_bootstrap.ts";
import { envoyCluster } from "./envoy_cluster.ts";
import type { JsonObject } from "./envoy_json.ts";
import { envoyRoute } from "./envoy_route.ts";

const host = (name: string, domains: string[]): VirtualHost => ({
  name,
  domains,
  routes: [{ name, match: { prefix: "/" }, route: { cluster: "c" }, origin: { file: "x.yaml", line: 1 } }],
});

const program: Program = {
  routeConfigurations: new Map([
    ["80", {
      name: "80",
      ignorePortInHostMatching: true,
      virtualHosts: [host("a:80", ["a", "*.w"]), host("allow_any", ["*"])],
    }],
    ["8080", {
      name: "8080",
      ignorePortInHostMatching: true,
      virtualHosts: [host("a:8080", ["a"]), host("b:8080", ["b", "b.w", "[::1]"]), host("s", ["*"])],
    }],
  ]),
  clusters: new Map(),
  loadAssignments: new Map(),
};

function tableOf(
  outbound: "ALLOW_ANY" | "REGISTRY_ONLY",
): readonly { name: string; domains: string[]; routes: JsonObject[] }[] {
  const options = { listen: { hostname: "127.0.0.1", port: 1 }, outbound } as const;
  const made = envoyBootstrap(program, options);
  assert.equal([...envoyBootstrapPieces(program, options)].join(""), JSON.stringify(made, null, 2));
  // deno-lint-ignore no-explicit-any
  return (made as any).staticResources.listeners[0].filterChains[0].filters[0].typedConfig.routeConfig
    .virtualHosts;
}

Deno.test("envoy bootstrap: the tables of all ports become one, by domains with ports", () => {
  assert.deepEqual(tableOf("REGISTRY_ONLY").map((v) => [v.name, v.domains]), [
    ["a:80", ["a", "a:80", "*.w", "*.w:80"]],
    ["a:8080", ["a:8080"]],
    ["b:8080", ["b:8080", "b.w:8080", "[::1]:8080"]],
    // `a` and, by the wildcard, `b.w` are served on port 80.
    ["unknown_port", ["a:*", "b", "b:*", "b.w:*", "[::1]", "[::1]:*"]],
    ["other", ["*"]],
  ]);
});

Deno.test("envoy bootstrap: a rule for every host is held to its port, the policy comes last", () => {
  const other = tableOf("ALLOW_ANY").at(-1)?.routes ?? [];
  assert.deepEqual(
    other.map((r) => r["name"] ?? (r["directResponse"] as JsonObject | undefined)?.["status"]),
    [404, "s", "allow_any"],
  );
  assert.deepEqual((other[1]?.["match"] as JsonObject)["headers"], [
    { name: ":authority", stringMatch: { safeRegex: { regex: ".+:8080" } } },
  ]);
  assert.deepEqual(tableOf("REGISTRY_ONLY").at(-1)?.routes.at(-1)?.["directResponse"], { status: 502 });
});

Deno.test("envoy bootstrap: origins stay out, extensions get their types", () => {
  const route = envoyRoute({
    match: { prefix: "/" },
    route: { cluster: "c", retryPolicy: { retryOn: "5xx", numRetries: 1, avoidPreviousHosts: true } },
    typedPerFilterConfig: {
      "envoy.filters.http.fault": {
        abort: { httpStatus: 500, percentage: { numerator: 1, denominator: "HUNDRED" } },
      },
    },
    origin: { file: "x.yaml" },
  });
  assert.equal(route["origin"], undefined);
  const text = JSON.stringify(route);
  assert.match(text, /"@type":"type.googleapis.com\/envoy.extensions.filters.http.fault.v3.HTTPFault"/);
  assert.match(text, /previous_hosts.v3.PreviousHostsPredicate/);
  assert.equal(
    envoyRoute({ match: { prefix: "/" }, redirect: { responseCode: 307 } })["redirect"] instanceof Object,
    true,
  );
});

Deno.test("envoy bootstrap: endpoints go inline, names make a DNS cluster, own destinations a forward proxy", () => {
  const cluster: Cluster = { name: "c", type: "EDS", lbPolicy: "ROUND_ROBIN", connectTimeout: "1s" };
  const withEndpoints = (address: string): Program => ({
    ...program,
    loadAssignments: new Map([["c", {
      clusterName: "c",
      endpoints: [{ lbEndpoints: [{ address, port: 7 }] }],
    }]]),
  });
  const made = envoyCluster(cluster, withEndpoints("10.0.0.1"));
  assert.equal(made["type"], "STATIC");
  assert.deepEqual(made["loadAssignment"], {
    clusterName: "c",
    endpoints: [{
      lbEndpoints: [{ endpoint: { address: { socketAddress: { address: "10.0.0.1", portValue: 7 } } } }],
    }],
  });
  assert.equal(envoyCluster(cluster, withEndpoints("db.test"))["type"], "STRICT_DNS");
  assert.equal(
    (envoyCluster({ ...cluster, type: "ORIGINAL_DST" }, program)["clusterType"] as JsonObject)["name"],
    "envoy.clusters.dynamic_forward_proxy",
  );
});

Deno.test("envoy bootstrap: headers of table and virtual host are those of its virtual host, in their order", () => {
  const add = (key: string) => [{ header: { key, value: "x" }, appendAction: "ADD_IF_ABSENT" as const }];
  for (const wins of [false, true]) {
    const table = {
      name: "80",
      requestHeadersToAdd: add("table"),
      responseHeadersToRemove: ["gone"],
      ...wins && { mostSpecificHeaderMutationsWins: true },
      virtualHosts: [{ ...host("h", ["h"]), requestHeadersToAdd: add("host") }],
    };
    const made = envoyBootstrap({ ...program, routeConfigurations: new Map([["80", table]]) }, {
      listen: { hostname: "127.0.0.1", port: 1 },
    });
    // deno-lint-ignore no-explicit-any
    const { virtualHosts, mostSpecificHeaderMutationsWins } = (made as any).staticResources.listeners[0]
      .filterChains[0].filters[0].typedConfig.routeConfig;
    const { requestHeadersToAdd, responseHeadersToRemove } = virtualHosts[0];
    const keys = requestHeadersToAdd.map((h: { header: { key: string } }) => h.header.key);
    assert.deepEqual(keys, wins ? ["table", "host"] : ["host", "table"]);
    assert.deepEqual(responseHeadersToRemove, ["gone"]);
    assert.equal(mostSpecificHeaderMutationsWins, wins ? true : undefined);
  }
});
