/** The recorded scenarios that both roads are walked with. */
import type { Scenario } from "./rules.ts";

/** istiod went by the labels of the node. */
const CLIENT = { app: "client" };
/** Old Pilots went by the service that has the node's address. */
const SINK_CLIENT = { app: "sinkclient", version: "v1" };
const PRODUCTPAGE = { app: "productpage", version: "v1" };

const SINK_1_0: Scenario["renewed"] = [
  [
    "appendHeaders: {x-added-1: one, x-added-2: two}",
    "headers: {request: {add: {x-added-1: one, x-added-2: two}}}",
  ],
  ["    websocketUpgrade: true\n", ""],
  ["port: {name: http}", "subset: by-port-name"],
];

/** A prefix `/redirect` stands before them. */
const AFTER_REDIRECT = [" /redirect-uri-only", " /redirect-authority-only"];

export const SCENARIOS: readonly Scenario[] = [
  ...["istioserver", "bookinfo", "kitchen_sink"].flatMap((name) =>
    ["sotw", "sotw-http-proxy", "delta"].map((mode) => ({
      path: `istiod-2026-08/${name}/${mode}`,
      labels: CLIENT,
    }))
  ),
  {
    path: "istiod-2026-08/kitchen_sink/sotw-sidecar-resource",
    labels: { app: "restricted" },
    imports: ["ks-web", "ks-canary", "ks-delegate"],
  },
  { path: "istiod-2026-08/thousand/sotw", labels: CLIENT, sampled: true },
  { path: "pilot-1.0.9/v2/istioserver/basic", labels: {} },
  { path: "pilot-1.0.9/v2/bookinfo/basic", labels: PRODUCTPAGE },
  { path: "pilot-1.0.9/v2/bookinfo/mesh-httpproxy", labels: PRODUCTPAGE, rules: "config-httpproxy" },
  {
    path: "pilot-1.0.9/v2/kitchen_sink/basic",
    labels: SINK_CLIENT,
    shadowed: AFTER_REDIRECT,
    renewed: [...SINK_1_0, ["    removeResponseHeaders: [x-removed-1, x-removed-2]\n", ""]],
  },
  { path: "pilot-0.8.0/v2/istioserver/basic", labels: {} },
  { path: "pilot-0.8.0/v2/bookinfo/basic", labels: PRODUCTPAGE },
  { path: "pilot-0.8.0/v2/bookinfo/mesh-httpproxy", labels: PRODUCTPAGE, rules: "config-httpproxy" },
  {
    path: "pilot-0.8.0/v2/kitchen_sink/basic",
    labels: SINK_CLIENT,
    shadowed: AFTER_REDIRECT,
    renewed: [
      ...SINK_1_0,
      ["outlierDetection:\n      http: {", "outlierDetection: {"],
      ["httpHeader: x-user", "httpHeaderName: x-user"],
      ["destinationSubnet: 10.0.2.0/24", 'destinationSubnets: ["10.0.2.0/24"]'],
    ],
  },
];

export const PILOT_UPDATES: Scenario = {
  path: "pilot-0.8.0/v2/istioserver/updates",
  labels: {},
  also: ["pilot-0.8.0/v2/istioserver/basic/005-rds.bin"],
};

/** Streams through many changes of the rules. */
export const UPDATES: readonly Scenario[] = [
  { path: "istiod-2026-08/istioserver/updates", labels: CLIENT },
  { path: "istiod-2026-08/istioserver/updates-delta", labels: CLIENT },
];
