import assert from "node:assert/strict";
import type { AgentConfig } from "../settings/types.ts";
import { nodeOf } from "./node.ts";

interface Workload {
  name?: string;
  port?: number;
  labels?: Record<string, string>;
  metadata?: Record<string, unknown>;
}

function config({ name = "shop", port = 30101, labels = {}, metadata = {} }: Workload): AgentConfig {
  return {
    listen: { http: { hostname: "127.0.0.1", port }, admin: null },
    service: { name, version: "1", application: "default" },
    workload: { podName: "shop-1", namespace: "prod", instanceIp: "10.0.0.7", labels, metadata },
    discovery: { clusterId: "Kubernetes" },
  } as unknown as AgentConfig;
}

Deno.test("the node names type, address, pod and domain", () => {
  const { id, cluster } = nodeOf(config({}), "v3");
  assert.equal(id, "sidecar~10.0.0.7~shop-1.prod~prod.svc.cluster.local");
  assert.equal(cluster, "shop.prod");
  assert.equal(nodeOf(config({ name: "", labels: { app: "till" } }), "v3").cluster, "till.prod");
  assert.equal(nodeOf(config({ name: "" }), "v3").cluster, "shop-1.prod");
});

Deno.test("metadata of v3", () => {
  assert.deepEqual(nodeOf(config({ labels: { app: "shop" } }), "v3").metadata, {
    NAME: "shop-1",
    NAMESPACE: "prod",
    CLUSTER_ID: "Kubernetes",
    INSTANCE_IPS: "10.0.0.7",
    ISTIO_VERSION: "1.31.0",
    WORKLOAD_NAME: "shop",
    HTTP_PROXY_PORT: "30101",
    LABELS: { app: "shop" },
    STATIC_LABELS: { app: "shop" },
  });
});

Deno.test("metadata of v2 has the labels as texts, too", () => {
  assert.deepEqual(nodeOf(config({ labels: { app: "shop" } }), "v2").metadata, {
    app: "shop",
    NAME: "shop-1",
    POD_NAME: "shop-1",
    NAMESPACE: "prod",
    CONFIG_NAMESPACE: "prod",
    CLUSTER_ID: "Kubernetes",
    INSTANCE_IPS: "10.0.0.7",
    ISTIO_VERSION: "1.10.0",
    ISTIO_PROXY_VERSION: "1.10.0",
    WORKLOAD_NAME: "shop",
    HTTP_PROXY_PORT: "30101",
    LABELS: { app: "shop" },
    STATIC_LABELS: { app: "shop" },
  });
});

Deno.test("ISTIO_META_* decides, but for the generator", () => {
  const { metadata } = nodeOf(
    config({
      name: "",
      port: 0,
      labels: { app: "shop" },
      metadata: {
        CLUSTER_ID: "east",
        SERVICE_ACCOUNT: "till",
        GENERATOR: "grpc",
        POD_PORTS: [1],
        STATIC_LABELS: { app: "static" },
        LABELS: { app: "raw" },
      },
    }),
    "v3",
  );
  assert.deepEqual(metadata, {
    NAME: "shop-1",
    NAMESPACE: "prod",
    CLUSTER_ID: "east",
    INSTANCE_IPS: "10.0.0.7",
    ISTIO_VERSION: "1.31.0",
    SERVICE_ACCOUNT: "till",
    POD_PORTS: [1],
    LABELS: { app: "shop" },
    STATIC_LABELS: { app: "static" },
  });
});
