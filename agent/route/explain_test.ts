import assert from "node:assert/strict";
import { clusterName, type Program, type Route, type VirtualHost } from "../model/model.ts";
import { explain, formatExplanation } from "./explain.ts";
import { programJson, programText } from "./program_text.ts";
import { buildRouteTables } from "./table.ts";
import { viewOf } from "./view.ts";

const at = (line: number) => ({ file: "rules/reviews.yaml", line, column: 5, kind: "VirtualService" });
const host = "reviews.default.svc.cluster.local";

const routes: Route[] = [
  {
    name: "jason",
    match: { prefix: "/", headers: [{ name: "end-user", stringMatch: { exact: "jason" } }] },
    route: { cluster: clusterName(9080, "v2", host), timeout: "2s", prefixRewrite: "/v2/" },
    origin: at(12),
  },
  { match: { path: "/old" }, redirect: { pathRedirect: "/new", responseCode: 302 }, origin: at(20) },
  {
    match: { prefix: "/" },
    route: {
      weightedClusters: {
        clusters: [{ name: clusterName(9080, "v1", host), weight: 80 }, {
          name: clusterName(9080, "v3", host),
          weight: 20,
        }],
      },
      timeout: "0s",
      retryPolicy: { retryOn: "connect-failure", numRetries: 2 },
    },
    typedPerFilterConfig: {
      "envoy.filters.http.fault": {
        abort: { httpStatus: 500, percentage: { numerator: 10, denominator: "HUNDRED" } },
      },
    },
    requestHeadersToAdd: [{
      header: { key: "x-a", value: "%REQ(b)%" },
      appendAction: "OVERWRITE_IF_EXISTS_OR_ADD",
    }],
    origin: at(25),
  },
  { match: { prefix: "/never" }, directResponse: { status: 404 }, origin: at(40) },
];

const virtualHost: VirtualHost = {
  name: `${host}:9080`,
  domains: [host, "reviews", "*.reviews"],
  routes,
  origin: at(6),
};
const cluster = (name: string, port?: number) => ({
  name,
  type: "STATIC" as const,
  lbPolicy: "ROUND_ROBIN" as const,
  connectTimeout: "10s",
  ...(port === undefined ? { subsetLabels: { version: "v1" } } : {}),
  loadAssignment: {
    clusterName: name,
    endpoints: port === undefined
      ? []
      : [{ lbEndpoints: [{ address: "127.0.0.1", port, labels: { version: "v2" } }] }],
  },
});

const program: Program = {
  routeConfigurations: new Map([["9080", {
    name: "9080",
    virtualHosts: [virtualHost],
    ignorePortInHostMatching: true,
  }]]),
  clusters: new Map(
    [
      cluster(clusterName(9080, "", host), 1),
      cluster(clusterName(9080, "v1", host)),
      cluster(clusterName(9080, "v2", host), 8002),
    ]
      .map((c) => [c.name, c]),
  ),
  loadAssignments: new Map(),
};
const tables = buildRouteTables(program);
const ask = (url: string, headers: [string, string][] = []) =>
  explain(program, tables, viewOf({ method: "GET", url, headers }));

Deno.test("explain: the chosen route, what it does and where it goes", () => {
  assert.equal(
    formatExplanation(ask("http://reviews:9080/x?y=1", [["end-user", "jason"]])),
    `GET http://reviews:9080/x?y=1
  Goes to outbound|9080|v2|${host}

Virtual host ${host}:9080 of table 9080: domain reviews is the host
  rules/reviews.yaml:6:5

Routes
  => route 1 "jason"  rules/reviews.yaml:12:5
   . route 2  rules/reviews.yaml:20:5
       not reached
   . route 3  rules/reviews.yaml:25:5
       not reached
   . route 4  rules/reviews.yaml:40:5
       not reached

Destinations
     100 %  outbound|9080|v2|${host}
            127.0.0.1:8002 (version=v2)

Actions
  path rewritten: /x becomes /v2/x
  timeout 2s`,
  );
});

Deno.test("explain: failing conditions in plain words, shares, missing subsets and endpoints", () => {
  const e = ask("http://a.reviews:9080/x");
  assert.equal(e.virtualHost?.why, "wildcard domain *.reviews covers the host");
  assert.deepEqual(e.routes.map((r) => [r.result, r.reason]), [
    ["failed", 'header end-user: wanted exact "jason", request has none'],
    ["failed", 'path: wanted exact "/old", request has "/x"'],
    ["chosen", undefined],
    ["notReached", undefined],
  ]);
  assert.deepEqual(e.destinations.map((d) => [d.share, d.note]), [
    [80, "no endpoint carries the labels of subset v1 (version=v1): 503 UH"],
    [20, `no DestinationRule of ${host} defines subset v3: 503 NC`],
  ]);
  assert.deepEqual(e.actions, [
    `request header set x-a: %REQ(b)% (outbound|9080|v1|${host})`,
    `request header set x-a: %REQ(b)% (outbound|9080|v3|${host})`,
    "no timeout",
    "up to 2 retries on connect-failure",
    "fault: abort with status 500 in 10 % of requests",
  ]);
});

Deno.test("explain: redirects, unknown ports, unknown hosts", () => {
  assert.equal(
    ask("http://reviews:9080/old?q=1").summary,
    "Answered with 302, Location http://reviews:9080/new?q=1",
  );
  assert.equal(
    ask("http://reviews:81/").summary,
    "Host reviews is known, but not on port 81: 404; it has port 9080",
  );
  assert.match(ask("http://nobody/").summary, /^No rule knows host nobody: the outbound policy decides/);
});

Deno.test("a program as text and as JSON", () => {
  const text = programText(program);
  assert.match(text, /^Table 9080\n {2}reviews\.default\.svc\.cluster\.local:9080 {2}reviews\.default/);
  assert.match(
    text,
    /1\. jason: prefix \/, header end-user = jason {2}=> {2}outbound\|9080\|v2\|.*; rewrite \/v2\/; timeout 2s {2}\(rules\/reviews\.yaml:12:5\)/,
  );
  assert.match(text, /80 % outbound\|9080\|v1\|[^,]*, 20 % outbound/);
  assert.match(text, /outbound\|9080\|v2\|\S+ {2}STATIC ROUND_ROBIN {2}127\.0\.0\.1:8002/);
  assert.equal(programJson(program).clusters.length, 3);
});
