/** Explanations and texts of what a control plane sent: resources and versions instead of files. */
import assert from "node:assert/strict";
import type { Origin } from "../core/diagnostics.ts";
import {
  type Cluster,
  type ClusterLoadAssignment,
  clusterName,
  type Listener,
  type Program,
  type Route,
} from "../model/model.ts";
import { explain, formatExplanation } from "./explain.ts";
import { programJson, programJsonPieces, programText } from "./program_text.ts";
import { buildRouteTables } from "./table.ts";
import { viewOf } from "./view.ts";

const HOST = "reviews.default.svc.cluster.local";
const of = (kind: string, resource: string, version: string, field?: string): Origin => ({
  kind,
  resource,
  version,
  ...(field === undefined ? {} : { field }),
});

const FIELD = `virtual_hosts["${HOST}:9080"]`;
const routes: Route[] = [
  {
    match: { path: "/old" },
    route: { cluster: clusterName(9081, "", HOST) },
    origin: of("RouteConfiguration", "9080", "r7", `${FIELD}.routes[0]`),
  },
  {
    match: { path: "/elsewhere" },
    route: { cluster: clusterName(80, "", "gone.default.svc.cluster.local") },
    origin: of("RouteConfiguration", "9080", "r7", `${FIELD}.routes[1]`),
  },
  {
    match: { prefix: "/" },
    route: {
      timeout: "0s",
      weightedClusters: {
        clusters: ["v1", "v2", "v3", "v4"].map((s) => ({ name: clusterName(9080, s, HOST), weight: 25 })),
      },
    },
    origin: {
      ...of("RouteConfiguration", "9080", "r7", `${FIELD}.routes[2]`),
      from: "VirtualService default/reviews",
    },
  },
];

const cluster = (subset: string, version: string): Cluster => {
  const name = clusterName(9080, subset, HOST);
  return {
    name,
    type: "EDS",
    lbPolicy: "LEAST_REQUEST",
    connectTimeout: "10s",
    edsServiceName: name,
    origin: of("Cluster", name, version),
  };
};
const assignment = (subset: string, addresses: readonly string[]): ClusterLoadAssignment => {
  const clusterName_ = clusterName(9080, subset, HOST);
  return {
    clusterName: clusterName_,
    endpoints: [{ lbEndpoints: addresses.map((address) => ({ address, port: 9080 })) }],
    origin: of("ClusterLoadAssignment", clusterName_, "e3"),
  };
};

const listener: Listener = {
  name: "0.0.0.0_9080",
  address: "0.0.0.0",
  port: 9080,
  trafficDirection: "OUTBOUND",
  filterChains: [
    {
      match: { serverNames: ["a.example", "b.example"], transportProtocol: "tls" },
      tcp: {
        statPrefix: "x",
        weightedClusters: [{ name: "outbound|443||a", weight: 1 }, { name: "outbound|443||b", weight: 3 }],
      },
    },
    {
      match: { prefixRanges: ["10.0.0.1/32"], destinationPort: 9080 },
      tcp: { statPrefix: "x", cluster: "c" },
    },
    { match: { applicationProtocols: ["http/1.1"] }, http: { statPrefix: "x", routeConfigName: "9080" } },
    { http: { statPrefix: "x", routeConfig: { name: "inline", virtualHosts: [] } } },
    {},
  ],
  defaultFilterChain: { tcp: { statPrefix: "x", cluster: "PassthroughCluster" } },
  origin: of("Listener", "0.0.0.0_9080", "l5"),
};

const program: Program = {
  routeConfigurations: new Map([["9080", {
    name: "9080",
    ignorePortInHostMatching: true,
    virtualHosts: [{
      name: `${HOST}:9080`,
      domains: [HOST, "reviews"],
      routes,
      origin: of("RouteConfiguration", "9080", "r7", FIELD),
    }],
  }]]),
  listeners: new Map([[listener.name, listener]]),
  clusters: new Map([cluster("", "c1"), cluster("v1", "c1"), cluster("v2", "c2"), cluster("v4", "c2")]
    .map((c) => [c.name, c])),
  loadAssignments: new Map(
    [
      assignment("", ["10.0.0.1", "10.0.0.2"]),
      assignment("v1", ["10.0.0.1"]),
      assignment(
        "v2",
        [],
      ),
    ].map((a) => [a.clusterName, a]),
  ),
};
const tables = buildRouteTables(program);
const ask = (url: string) => explain(program, tables, viewOf({ method: "GET", url, headers: [] }));

Deno.test("explain: resource and version of table, route, cluster and endpoints, and what is missing", () => {
  const all = formatExplanation(ask("http://reviews:9080/"));
  assert.equal(
    all.slice(all.indexOf("\nVirtual host")),
    `
Virtual host ${HOST}:9080 of table 9080: domain reviews is the host
  RouteConfiguration 9080 version r7 ${FIELD}

Routes
   x route 1  RouteConfiguration 9080 version r7 ${FIELD}.routes[0]
       path: wanted exact "/old", request has "/"
   x route 2  RouteConfiguration 9080 version r7 ${FIELD}.routes[1]
       path: wanted exact "/elsewhere", request has "/"
  => route 3  RouteConfiguration 9080 version r7 ${FIELD}.routes[2] (VirtualService default/reviews)

Destinations
      25 %  outbound|9080|v1|${HOST}  weight 25
            Cluster outbound|9080|v1|${HOST} version c1
            ClusterLoadAssignment outbound|9080|v1|${HOST} version e3
            10.0.0.1:9080
      25 %  outbound|9080|v2|${HOST}  weight 25
            Cluster outbound|9080|v2|${HOST} version c2
            ! the control plane knows no endpoint of it: 503 UH
            ClusterLoadAssignment outbound|9080|v2|${HOST} version e3
      25 %  outbound|9080|v3|${HOST}  weight 25
            ! the control plane gives no subset v3 of ${HOST} (its DestinationRule does not define it, or no longer), ` +
      `and the route still names it: 503 NC
      25 %  outbound|9080|v4|${HOST}  weight 25
            Cluster outbound|9080|v4|${HOST} version c2
            ! the control plane has not sent its endpoints yet: 503 UH

Actions
  no timeout`,
  );
});

Deno.test("explain: a port and a host that the control plane does not give", () => {
  assert.equal(
    ask("http://reviews:9080/old").destinations[0]?.note,
    `${HOST} has no port 9081 (it has 9080): 503 NC`,
  );
  assert.equal(
    ask("http://reviews:9080/elsewhere").destinations[0]?.note,
    "the control plane gives no cluster of gone.default.svc.cluster.local (there is no such service, or " +
      "discovery.hosts leaves it out): 503 NC",
  );
});

Deno.test("a program of a control plane as text: versions, listeners, endpoints to come", () => {
  const text = programText(program);
  assert.match(text, /^Table 9080 {2}version r7\n/);
  assert.match(
    text,
    /\n {4}1\. path \/old {2}=> {2}outbound\|9081\|\|reviews\.default\.svc\.cluster\.local\n/,
  );
  assert.match(text, /\n {4}3\. prefix \/ {2}=> .* {2}\(VirtualService default\/reviews\)\n/);
  assert.ok(
    text.includes(`
Listeners
  0.0.0.0_9080  0.0.0.0:9080  outbound  version l5
    1. server name a.example b.example, tls  =>  TCP to 25 % outbound|443||a, 75 % outbound|443||b
    2. port 9080, to 10.0.0.1/32  =>  TCP to c
    3. protocol http/1.1  =>  HTTP by table 9080
    4. any connection  =>  HTTP by a table of its own (inline)
    5. any connection  =>  no filter that the agent knows
    otherwise  =>  TCP to PassthroughCluster

Clusters
  outbound|9080||${HOST}  EDS LEAST_REQUEST  10.0.0.1:9080 10.0.0.2:9080  version c1
  outbound|9080|v1|${HOST}  EDS LEAST_REQUEST  10.0.0.1:9080  version c1
  outbound|9080|v2|${HOST}  EDS LEAST_REQUEST  no endpoints  version c2
  outbound|9080|v4|${HOST}  EDS LEAST_REQUEST  endpoints not known yet  version c2`),
    text,
  );
});

Deno.test("a program as JSON, whole and in pieces, is the same", () => {
  for (const one of [program, { ...program, listeners: new Map(), clusters: new Map() }]) {
    assert.equal([...programJsonPieces(one)].join(""), JSON.stringify(programJson(one), null, 2));
  }
  assert.ok([...programJsonPieces(program)].length > 10);
});
