import assert from "node:assert/strict";
import type { Cluster } from "../model/model.ts";
import { loadSchema, type Messages, type Partly } from "../../protos/schema.ts";
import { createCodec } from "./codec.ts";
import type { DecodeResult } from "./types.ts";

const schema = loadSchema();
const codec = createCodec();
const ORIGIN = { kind: "Cluster", resource: "c", version: "1" };

type Message = Partly<Messages["Cluster"]>;
const seconds = (n: number) => ({ seconds: n, nanos: 0 });
const of = <T>(value: T) => ({ value });
const any = <K extends keyof Messages>(url: string, name: K, value: Partly<Messages[K]>) => ({
  type_url: `type.googleapis.com/${url}`,
  value: schema.encode(name, value),
});
const struct = (object: Readonly<Record<string, unknown>>) => schema.jsonToStruct(object);

function decode(message: Message): DecodeResult<Cluster> {
  const bytes = schema.encode("Cluster", { name: "c", ...message } as Message);
  return codec.decodeCluster({ name: "c", version: "", typeUrl: "", bytes }, ORIGIN);
}

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const LB = "envoy.extensions.load_balancing_policies";
const socketOf = (address: string, port_value: number) => ({ socket_address: { address, port_value } });
const endpointOf = (address: string, port: number) => ({ endpoint: { address: socketOf(address, port) } });
const policy = (...list: { type_url: string; value: Uint8Array }[]) => ({
  load_balancing_policy: {
    policies: list.map((typed_config) => ({ typed_extension_config: { name: "", typed_config } })),
  },
});

/** What the model has besides name, origin and the three fields that are always there. */
const rows: readonly (readonly [string, Message, Partial<Cluster>])[] = [
  ["nothing set: v2's unset type, Envoy's defaults", {}, {}],
  ["EDS under its own name", { type: 3 }, { type: "EDS" }],
  [
    "EDS under a service name, with a wait",
    { type: 3, eds_cluster_config: { service_name: "s", eds_config: { initial_fetch_timeout: seconds(0) } } },
    { type: "EDS", edsServiceName: "s", edsInitialFetchTimeout: "0s" },
  ],
  ["connect timeout with a fraction", { connect_timeout: { seconds: 0, nanos: 30_000_000 } }, {
    connectTimeout: "0.030s",
  }],
  ["original destination", { type: 4, lb_policy: 6 }, { type: "ORIGINAL_DST", lbPolicy: "CLUSTER_PROVIDED" }],
  ["v2's original destination", { type: 4, lb_policy: 4 }, {
    type: "ORIGINAL_DST",
    lbPolicy: "CLUSTER_PROVIDED",
  }],
  [
    "dynamic forward proxy",
    { cluster_type: { name: "envoy.clusters.dynamic_forward_proxy" }, lb_policy: 6 },
    { type: "ORIGINAL_DST", lbPolicy: "CLUSTER_PROVIDED" },
  ],
  [
    "v2 hosts with names",
    {
      type: 1,
      hosts: [socketOf("a.example.com", 80), socketOf("10.0.0.1", 81)],
      dns_refresh_rate: { seconds: 5, nanos: 0 },
    },
    {
      type: "STRICT_DNS",
      dnsRefreshRate: "5s",
      loadAssignment: {
        clusterName: "c",
        endpoints: [{
          lbEndpoints: [{ address: "a.example.com", port: 80 }, { address: "10.0.0.1", port: 81 }],
        }],
      },
    },
  ],
  [
    "load_assignment before hosts",
    {
      type: 2,
      hosts: [socketOf("old.example.com", 80)],
      load_assignment: {
        cluster_name: "c",
        endpoints: [{ lb_endpoints: [endpointOf("new.example.com", 443)], load_balancing_weight: of(1) }],
      },
    },
    {
      type: "LOGICAL_DNS",
      loadAssignment: {
        clusterName: "c",
        endpoints: [{
          lbEndpoints: [{ address: "new.example.com", port: 443 }],
          loadBalancingWeight: 1,
        }],
      },
    },
  ],
  ["random", { lb_policy: 3 }, { lbPolicy: "RANDOM" }],
  ["ring hash; Pilot 1.0's size 0 is none", {
    lb_policy: 2,
    ring_hash_lb_config: { minimum_ring_size: of(0) },
  }, {
    lbPolicy: "RING_HASH",
    ringHash: {},
  }],
  [
    "ring hash with sizes",
    { lb_policy: 2, ring_hash_lb_config: { minimum_ring_size: of(512), maximum_ring_size: of(1024) } },
    { lbPolicy: "RING_HASH", ringHash: { minimumRingSize: 512, maximumRingSize: 1024 } },
  ],
  ["maglev", { lb_policy: 5, maglev_lb_config: { table_size: of(1031) } }, {
    lbPolicy: "MAGLEV",
    maglev: { tableSize: 1031 },
  }],
  [
    "least request with slow start",
    {
      lb_policy: 1,
      least_request_lb_config: {
        slow_start_config: {
          slow_start_window: seconds(60),
          aggression: { default_value: 2 },
          min_weight_percent: of(10),
        },
      },
    },
    { lbPolicy: "LEAST_REQUEST", slowStart: { window: "60s", aggression: 2, minWeightPercent: 10 } },
  ],
  [
    "typed policy, the first known one, inside of wrr_locality",
    {
      lb_policy: 7,
      ...policy(
        any("a.b.Unknown", "Locality", {}),
        any(`${LB}.wrr_locality.v3.WrrLocality`, "WrrLocalityLbPolicyConfig", {
          endpoint_picking_policy: policy(
            any(`${LB}.ring_hash.v3.RingHash`, "RingHashLbPolicyConfig", { minimum_ring_size: of(64) }),
          ).load_balancing_policy,
        }),
      ),
    },
    { lbPolicy: "RING_HASH", ringHash: { minimumRingSize: 64 } },
  ],
  [
    "typed round robin with slow start",
    policy(
      any(`${LB}.round_robin.v3.RoundRobin`, "RoundRobinLbPolicyConfig", {
        slow_start_config: { slow_start_window: seconds(30) },
      }),
    ),
    { lbPolicy: "ROUND_ROBIN", slowStart: { window: "30s" } },
  ],
  [
    "typed least request, after one without a configuration",
    {
      load_balancing_policy: {
        policies: [
          {},
          ...policy(any(`${LB}.least_request.v3.LeastRequest`, "LeastRequestLbPolicyConfig", {}))
            .load_balancing_policy.policies,
        ],
      },
    },
    { lbPolicy: "LEAST_REQUEST" },
  ],
  [
    "typed maglev",
    policy(any(`${LB}.maglev.v3.Maglev`, "MaglevLbPolicyConfig", { table_size: of(1031) })),
    { lbPolicy: "MAGLEV", maglev: { tableSize: 1031 } },
  ],
  ["typed random", policy(any(`${LB}.random.v3.Random`, "RandomLbPolicyConfig", {})), { lbPolicy: "RANDOM" }],
  [
    "limits of DEFAULT priority; no limit stays a number",
    {
      circuit_breakers: {
        thresholds: [
          { priority: 1, max_connections: of(7) },
          {
            max_connections: of(4_294_967_295),
            max_pending_requests: of(0),
            max_retries: of(3),
            retry_budget: { budget_percent: of(25) },
          },
        ],
      },
    },
    {
      circuitBreakers: {
        maxConnections: 4_294_967_295,
        maxPendingRequests: 0,
        maxRetries: 3,
        retryBudget: { budgetPercent: 25, minRetryConcurrency: 3 },
      },
    },
  ],
  ["thresholds that say nothing (Pilot 1.0)", { circuit_breakers: { thresholds: [{}] } }, {}],
  [
    "outlier detection",
    {
      outlier_detection: {
        consecutive_5xx: of(0),
        enforcing_consecutive_5xx: of(0),
        consecutive_gateway_failure: of(7),
        enforcing_consecutive_gateway_failure: of(100),
        interval: seconds(15),
        base_ejection_time: seconds(45),
        max_ejection_percent: of(40),
        split_external_local_origin_errors: true,
        consecutive_local_origin_failure: of(6),
      },
    },
    {
      outlierDetection: {
        consecutive5xx: 0,
        enforcingConsecutive5xx: 0,
        consecutiveGatewayFailure: 7,
        enforcingConsecutiveGatewayFailure: 100,
        interval: "15s",
        baseEjectionTime: "45s",
        maxEjectionPercent: 40,
        splitExternalLocalOriginErrors: true,
        consecutiveLocalOriginFailure: 6,
      },
    },
  ],
  ["no panic mode", { common_lb_config: { healthy_panic_threshold: {} } }, { healthyPanicThreshold: 0 }],
  [
    "protocol fields of Istio up to 1.8",
    {
      common_http_protocol_options: { idle_timeout: seconds(30) },
      max_requests_per_connection: of(10),
      http2_protocol_options: { max_concurrent_streams: of(1_073_741_824) },
      upstream_http_protocol_options: { auto_sni: true },
    },
    {
      httpProtocolOptions: {
        idleTimeout: "30s",
        maxRequestsPerConnection: 10,
        protocol: "HTTP2",
        maxConcurrentStreams: 1_073_741_824,
        autoSni: true,
      },
    },
  ],
  ["as the client speaks, of old", { protocol_selection: 1, http2_protocol_options: {} }, {
    httpProtocolOptions: { protocol: "USE_DOWNSTREAM" },
  }],
  [
    "the extension stands for the older fields",
    {
      http2_protocol_options: {},
      max_requests_per_connection: of(1),
      typed_extension_protocol_options: {
        [HTTP_OPTIONS]: any(HTTP_OPTIONS, "UpstreamHttpOptions", {
          common_http_protocol_options: {
            max_connection_duration: seconds(3600),
            max_requests_per_connection: of(10),
          },
          explicit_http_config: { http_protocol_options: {} },
        }),
      },
    },
    { httpProtocolOptions: { maxConnectionDuration: "3600s", maxRequestsPerConnection: 10 } },
  ],
  [
    "HTTP/2 by the extension",
    {
      typed_extension_protocol_options: {
        anything: any(HTTP_OPTIONS, "UpstreamHttpOptions", {
          explicit_http_config: {
            http2_protocol_options: {
              connection_keepalive: { interval: seconds(20), timeout: seconds(5) },
            },
          },
        }),
      },
    },
    {
      httpProtocolOptions: { protocol: "HTTP2", connectionKeepalive: { interval: "20s", timeout: "5s" } },
    },
  ],
  [
    "TCP keepalive",
    { upstream_connection_options: { tcp_keepalive: { keepalive_time: of(7200), keepalive_probes: of(9) } } },
    { tcpKeepalive: { time: "7200s", probes: 9 } },
  ],
];

for (const [what, message, wanted] of rows) {
  Deno.test(`cluster: ${what}`, () => {
    const result = decode(message);
    if ("problems" in result) assert.fail(JSON.stringify(result.problems));
    assert.deepEqual(result.notes, []);
    assert.deepEqual(result.value, {
      name: "c",
      type: "STATIC",
      lbPolicy: "ROUND_ROBIN",
      connectTimeout: "5s",
      origin: ORIGIN,
      ...wanted,
    });
  });
}

Deno.test("cluster: the rule that istiod made it from", () => {
  const config = "/apis/networking.istio.io/v1/namespaces/shop/destination-rule/reviews";
  const result = decode({ metadata: { filter_metadata: { istio: struct({ config }) } } });
  assert.ok("value" in result);
  assert.deepEqual(result.value.origin, { ...ORIGIN, from: "DestinationRule shop/reviews" });
});

const notes: readonly (readonly [string, Message, string, Partial<Cluster>])[] = [
  ["a cluster type of somebody's own", { cluster_type: { name: "my.type" }, lb_policy: 6 }, "cluster_type", {
    type: "STATIC",
  }],
  ["no known typed policy", policy(any("a.b.C", "Locality", {})), "load_balancing_policy", {
    lbPolicy: "LEAST_REQUEST",
  }],
  ["a policy by configuration that is not there", { lb_policy: 7 }, "load_balancing_policy", {
    lbPolicy: "LEAST_REQUEST",
  }],
  [
    "an unknown transport socket",
    { transport_socket: { name: "x", typed_config: any("a.b.Socket", "Locality", {}) } },
    "transport_socket",
    {},
  ],
  [
    "PROXY protocol around TLS",
    {
      transport_socket: {
        name: "p",
        typed_config: any(
          "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
          "ProxyProtocolUpstreamTransport",
          {
            transport_socket: {
              name: "tls",
              typed_config: any(TLS, "UpstreamTlsContext", { sni: "s" }),
            },
          },
        ),
      },
    },
    "transport_socket",
    { tls: { mode: "SIMPLE", sni: "s" } },
  ],
];
for (const [what, message, field, wanted] of notes) {
  Deno.test(`cluster with a note: ${what}`, () => {
    const result = decode(message);
    assert.ok("value" in result);
    assert.deepEqual(result.notes.map((d) => [d.code, d.where]), [["D223", { ...ORIGIN, field }]]);
    for (const [key, value] of Object.entries(wanted)) {
      assert.deepEqual(result.value[key as keyof Cluster], value, key);
    }
  });
}

const problems: readonly (readonly [string, Message, readonly string[]])[] = [
  ["no name", { name: "" }, ["name"]],
  ["an unknown type", { type: 9 }, ["type"]],
  ["an unknown policy", { lb_policy: 9 }, ["lb_policy"]],
  ["no time to connect", { connect_timeout: seconds(0) }, ["connect_timeout"]],
  ["negative time to connect", { connect_timeout: { seconds: 0, nanos: -1 } }, ["connect_timeout"]],
  ["a name in STATIC hosts", { hosts: [socketOf("10.0.0.1", 80), socketOf("a.b", 80)] }, [
    "hosts[1].socket_address.address",
  ]],
  [
    "bad inline endpoints",
    {
      type: 1,
      load_assignment: {
        endpoints: [{ lb_endpoints: [] }, {
          priority: 129,
          lb_endpoints: [endpointOf("a.b", 80), endpointOf("a.b", 70_000)],
        }],
      },
    },
    [
      "load_assignment.endpoints[1].lb_endpoints[1].endpoint.address.socket_address.port_value",
      "load_assignment.endpoints[1].priority",
    ],
  ],
  ["LOGICAL_DNS with two", { type: 2, hosts: [socketOf("a.b", 80), socketOf("c.d", 80)] }, [
    "load_assignment",
  ]],
  ["LOGICAL_DNS with none", { type: 2 }, ["load_assignment"]],
  ["no refresh", { type: 1, dns_refresh_rate: seconds(0) }, ["dns_refresh_rate"]],
  ["a large ring", { lb_policy: 2, ring_hash_lb_config: { minimum_ring_size: of(8_388_609) } }, [
    "ring_hash_lb_config.minimum_ring_size",
  ]],
  [
    "a ring whose ends are crossed",
    { lb_policy: 2, ring_hash_lb_config: { minimum_ring_size: of(9), maximum_ring_size: of(8) } },
    ["ring_hash_lb_config.minimum_ring_size"],
  ],
  ["a large table", { lb_policy: 5, maglev_lb_config: { table_size: of(5_000_013) } }, [
    "maglev_lb_config.table_size",
  ]],
  [
    "a slow start of more than all",
    {
      lb_policy: 1,
      least_request_lb_config: {
        slow_start_config: { slow_start_window: seconds(1), min_weight_percent: of(101) },
      },
    },
    ["least_request_lb_config.slow_start_config.min_weight_percent.value"],
  ],
  [
    "percentages",
    {
      outlier_detection: { max_ejection_percent: of(101), interval: seconds(0) },
      common_lb_config: { healthy_panic_threshold: of(-1) },
      circuit_breakers: {
        thresholds: [{ priority: 1 }, { retry_budget: { budget_percent: of(NaN) } }],
      },
    },
    [
      "circuit_breakers.thresholds[1].retry_budget.budget_percent.value",
      "outlier_detection.max_ejection_percent",
      "outlier_detection.interval",
      "common_lb_config.healthy_panic_threshold.value",
    ],
  ],
];
for (const [what, message, fields] of problems) {
  Deno.test(`cluster with a problem: ${what}`, () => {
    const result = decode(message);
    assert.ok("problems" in result);
    assert.deepEqual(
      result.problems.map((d) => [d.code, d.where]),
      fields.map((field) => ["D212", { ...ORIGIN, field }]),
    );
  });
}

Deno.test("cluster: undecodable extensions are undecodable clusters", () => {
  const value = Uint8Array.from([0x0a, 9]);
  const typed_config = { type_url: `type.googleapis.com/${TLS}`, value };
  assert.throws(() => decode({ transport_socket: { name: "tls", typed_config } }), { code: "D211" });
});

Deno.test("policies inside of policies are followed five deep", () => {
  let inner = policy(any(`${LB}.random.v3.Random`, "RandomLbPolicyConfig", {}));
  const decoded: (string | undefined)[] = [];
  for (let depth = 0; depth < 8; depth++) {
    const result = decode({ type: 3, ...inner });
    assert.ok("value" in result);
    decoded.push(result.value.lbPolicy);
    inner = policy(any(`${LB}.wrr_locality.v3.WrrLocality`, "WrrLocalityLbPolicyConfig", {
      endpoint_picking_policy: inner.load_balancing_policy,
    }));
  }
  assert.deepEqual(decoded, [...Array(6).fill("RANDOM"), "LEAST_REQUEST", "LEAST_REQUEST"]);
});
