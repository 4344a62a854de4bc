/** Ports of the workload out of inbound listeners: of recorded Pilots, and of istiod's one listener for all. */
import assert from "node:assert/strict";
import type { Cluster, FilterChain, Listener } from "../model/model.ts";
import { loadSchema, type Messages, type Partly } from "../../protos/schema.ts";
import { decodeListener } from "./decode_listener.ts";
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

Deno.test("istiod's listener from its bytes: HTTP with routes in the chain, TCP, PERMISSIVE and STRICT", () => {
  const schema = loadSchema();
  const typed = <K extends keyof Messages>(type: string, name: K, value: Partly<Messages[K]>) => ({
    name,
    typed_config: { type_url: `type.googleapis.com/${type}`, value: schema.encode(name, value) },
  });
  const http = (port: number) =>
    typed(
      "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      "HttpConnectionManager",
      {
        stat_prefix: `inbound_0.0.0.0_${port};`,
        route_config: {
          name: `inbound|${port}||`,
          virtual_hosts: [{
            name: `inbound|http|${port}`,
            domains: ["*"],
            routes: [{ name: "default", match: { prefix: "/" }, route: { cluster: `inbound|${port}||` } }],
          }],
        },
      },
    );
  const tcp = (port: number) =>
    typed("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "TcpProxy", {
      stat_prefix: "x",
      cluster: `inbound|${port}||`,
    });
  const bytes = schema.encode("Listener", {
    name: "virtualInbound",
    address: { socket_address: { address: "0.0.0.0", port_value: 15006 } },
    traffic_direction: 1,
    filter_chains: [
      {
        filter_chain_match: { destination_port: { value: 80 }, transport_protocol: "tls" },
        filters: [http(80)],
      },
      {
        filter_chain_match: { destination_port: { value: 80 }, transport_protocol: "raw_buffer" },
        filters: [http(80)],
      },
      {
        filter_chain_match: { destination_port: { value: 81 }, transport_protocol: "tls" },
        filters: [http(81)],
      },
      { filter_chain_match: { destination_port: { value: 82 } }, filters: [tcp(82)] },
    ],
  });
  const raw = { name: "virtualInbound", version: "1", typeUrl: "", bytes };
  const result = decodeListener(schema, raw, { kind: "Listener", resource: "virtualInbound" });
  assert.ok("value" in result, JSON.stringify(result));
  const ports = portsOf([result.value], ...[80, 81, 82].map((port) => cluster(`inbound|${port}||`)));
  assert.deepEqual(
    ports.map(([name, { protocol, refused }]) => `${name} ${protocol} ${refused ?? "taken"}`),
    [
      "virtualInbound:80 http taken",
      "virtualInbound:81 http it wants mutual TLS, which the agent does not end",
      "virtualInbound:82 tcp taken",
    ],
  );
});
