/** Ports of the workload out of inbound listeners: of recorded Pilots, and of istiod's one listener for all. */
import assert from "node:assert/strict";
import type { Cluster, FilterChain, Listener } from "../model/model.ts";
import { inboundPortsOf } from "./inbound_ports.ts";

const cluster = (name: string, more: Partial<Cluster> = {}): Cluster => ({
  name,
  type: "ORIGINAL_DST",
  lbPolicy: "CLUSTER_PROVIDED",
  connectTimeout: "10s",
  ...more,
});

const at = (address: string, port: number): Partial<Cluster> => ({
  type: "STATIC",
  loadAssignment: { clusterName: "x", endpoints: [{ lbEndpoints: [{ address, port }] }] },
});

const http = (name: string, match?: FilterChain["match"]): FilterChain => ({
  http: {
    statPrefix: "x",
    routeConfig: {
      name,
      virtualHosts: [{
        name: "inbound|http|80",
        domains: ["*"],
        routes: [{ match: { prefix: "/" }, route: { cluster: name } }],
      }],
    },
  },
  ...(match && { match }),
});

const tcp = (name: string, match?: FilterChain["match"]): FilterChain => ({
  tcp: { statPrefix: "x", cluster: name },
  ...(match && { match }),
});

function portsOf(listeners: readonly Listener[], ...clusters: readonly Cluster[]) {
  return [...inboundPortsOf(listeners, new Map(clusters.map((c) => [c.name, c])))];
}

Deno.test("a listener for each port on the workload's address, as Pilots up to 1.5 send it", () => {
  const name = "inbound|9080||productpage.default.svc.cluster.local";
  const listener: Listener = {
    name: "10.1.1.7_9080",
    address: "10.1.1.7",
    port: 9080,
    filterChains: [http(name)],
  };
  assert.deepEqual(portsOf([listener], cluster(name, at("127.0.0.1", 9081))), [
    ["10.1.1.7_9080", { address: "10.1.1.7", port: 9080, protocol: "http", localPort: 9081 }],
  ]);
  const http2 = { ...at("127.0.0.1", 9081), httpProtocolOptions: { protocol: "HTTP2" } as const };
  assert.equal(portsOf([listener], cluster(name, http2))[0]?.[1].protocol, "http2");
  assert.match(portsOf([listener])[0]?.[1].refused ?? "", /cluster "inbound\|9080.*" is not there/);
  assert.match(
    portsOf([listener], cluster(name, at("10.9.9.9", 1)))[0]?.[1].refused ?? "",
    /it leads to 10\.9\.9\.9; want 127\.0\.0\.1/,
  );
});

Deno.test("istiod's one listener: chains by port are ports, chains for any port are none", () => {
  const raw = (destinationPort: number) => ({ destinationPort, transportProtocol: "raw_buffer" });
  const tls = (destinationPort: number) => ({ destinationPort, transportProtocol: "tls" });
  const listener: Listener = {
    name: "virtualInbound",
    address: "0.0.0.0",
    port: 15006,
    trafficDirection: "INBOUND",
    filterChains: [
      tcp("BlackHoleCluster", { destinationPort: 15006 }),
      http("InboundPassthroughCluster", { transportProtocol: "raw_buffer" }),
      tcp("InboundPassthroughCluster", { transportProtocol: "tls" }),
      http("inbound|8080||", tls(8080)),
      http("inbound|8080||", raw(8080)),
      http("inbound|8081||", tls(8081)),
      tcp("inbound|3306||", { destinationPort: 3306 }),
      { match: { destinationPort: 7 } },
    ],
    defaultFilterChain: tcp("InboundPassthroughCluster"),
  };
  const clusters = [8080, 8081, 3306].map((port) => cluster(`inbound|${port}||`));
  assert.deepEqual(portsOf([listener], ...clusters), [
    ["virtualInbound:8080", { address: "0.0.0.0", port: 8080, protocol: "http", localPort: 8080 }],
    ["virtualInbound:8081", {
      address: "0.0.0.0",
      port: 8081,
      protocol: "http",
      localPort: 8081,
      refused: "it wants mutual TLS, which the agent does not end",
    }],
    ["virtualInbound:3306", { address: "0.0.0.0", port: 3306, protocol: "tcp", localPort: 3306 }],
  ]);
  const outbound: Listener = { ...listener, trafficDirection: "OUTBOUND" };
  assert.deepEqual(portsOf([outbound], ...clusters), []);
});
