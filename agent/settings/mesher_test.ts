/** Configurations in the ordinary shapes of Mesher 1.6 and 1.8 load as they are. */
import assert from "node:assert/strict";
import { formatDiagnostic } from "../core/diagnostics.ts";
import { readSettings } from "./read.ts";
import type { ListenAddress } from "./types.ts";

const CASES: readonly {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly inert: readonly string[];
  readonly grpc?: ListenAddress;
}[] = [
  {
    name: "1.6: root cse, service.registry, service_description",
    files: {
      "chassis.yaml": `---
cse:
  protocols:
    grpc:
      listenAddress: 127.0.0.1:40101
    http:
      listenAddress: 127.0.0.1:30101
    rest-admin:
      listenAddress: 127.0.0.1:30102
  service:
    registry:
      address: http://127.0.0.1:30100
      scope: full
      watch: false
      autoIPIndex: true
  handler:
    chain:
      Consumer:
        outgoing:
      Provider:
        incoming:
  loadbalance:
    strategy: {name: RoundRobin}
  circuitBreaker:
    Consumer: {enabled: true}
ssl:
  mesher.Provider.verifyPeer: false
tracing:
  enabled: true
`,
      "mesher.yaml": "admin:\n  goRuntimeMetrics : true\n  enable: true\npprof:\n  enable: false\n",
      "microservice.yaml":
        "APPLICATION_ID: shop\nservice_description:\n  name: hello\n  version: 0.0.1\n  environment:\n" +
        "  properties:\n    allowCrossApp: false\n",
      "router.yaml": "#routeRule:\n",
      "egress.yaml": "egress:\n  infra: cse\negressRule:\n  a:\n  - hosts: ['*.example.com']\n",
    },
    inert: [
      "admin.goRuntimeMetrics",
      "cse.circuitBreaker",
      "cse.handler",
      "cse.loadbalance",
      "cse.service.registry.address",
      "cse.service.registry.autoIPIndex",
      "cse.service.registry.scope",
      "cse.service.registry.watch",
      "egress",
      "egressRule",
      "pprof",
      "ssl",
      "tracing",
    ],
    grpc: { hostname: "127.0.0.1", port: 40101 },
  },
  {
    name: "1.8: root servicecomb beside cse, registry at the root, service",
    files: {
      "chassis.yaml": `servicecomb:
  protocols:
    http: {listenAddress: "127.0.0.1:30101"}
    rest-admin: {listenAddress: "127.0.0.1:30102"}
  registry:
    address: http://127.0.0.1:30100
    scope: full
cse:
  flowcontrol:
    Provider: {qps: {enabled: true, global: {limit: 100}}}
`,
      "microservice.yaml":
        "servicecomb:\n  service:\n    name: hello\n    app: shop\n    version: 0.0.1\n    environment:\n" +
        "    properties: {allowCrossApp: false}\n",
    },
    inert: ["cse.flowcontrol", "servicecomb.registry.address", "servicecomb.registry.scope"],
  },
];

for (const { name, files, inert, grpc } of CASES) {
  Deno.test(`Mesher ${name}`, () => {
    const { config, diagnostics } = readSettings({
      directory: "/conf",
      files: new Map(Object.entries(files)),
      env: new Map(),
    });
    const lines = diagnostics.map(formatDiagnostic).join("\n");
    assert.ok(diagnostics.every((d) => d.severity === "info"), lines);
    const keys = diagnostics.filter((d) => d.code === "S120").map((d) => /"([^"]+)"/.exec(d.message)?.[1]);
    assert.deepEqual(keys.sort(), inert, lines);
    assert.deepEqual(config?.service, { name: "hello", version: "0.0.1", application: "shop" });
    assert.deepEqual(config?.workload.labels, { app: "hello", version: "0.0.1", allowCrossApp: "false" });
    assert.deepEqual(config?.listen.admin, { hostname: "127.0.0.1", port: 30102 });
    assert.deepEqual(config?.listen.grpc, grpc);
  });
}
