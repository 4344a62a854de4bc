import assert from "node:assert/strict";
import type { FilterChain, Listener } from "../model/model.ts";
import { loadSchema, type Messages, type Partly } from "../../protos/schema.ts";
import { decodeListener } from "./decode_listener.ts";
import type { DecodeResult } from "./types.ts";

type Wire = Partly<Messages["Listener"]>;
type WireFilter = Partly<Messages["Filter"]>;

const schema = loadSchema();
const origin = { kind: "Listener", resource: "l", version: "1" };
type WireAddress = Partly<Messages["Address"]> | null;
const address: WireAddress = { socket_address: { address: "0.0.0.0", port_value: 80 } };

function decode(listener: Wire): DecodeResult<Listener> {
  const bytes = schema.encode("Listener", { name: "l", address, ...listener });
  return decodeListener(schema, { name: "l", version: "", typeUrl: "", bytes }, origin);
}

/** The listener without its origin; notes as `field: message`. */
function good(listener: Wire): { value: Omit<Listener, "origin">; notes: string[] } {
  const result = decode(listener);
  assert.ok("value" in result, JSON.stringify(result));
  const { origin: _, ...value } = result.value;
  return { value, notes: result.notes.map((n) => `${n.where.field}: ${n.message}`) };
}

const chain = (...filters: WireFilter[]) => good({ filter_chains: [{ filters }] });

const typed = <K extends keyof Messages>(type: string, name: K, value: Partly<Messages[K]>): WireFilter => ({
  name: "any name",
  typed_config: { type_url: `type.googleapis.com/${type}`, value: schema.encode(name, value) },
});
const HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TCP = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const V2_HCM = "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager";
const toA = typed(TCP, "TcpProxy", { stat_prefix: "s", cluster: "a" });
const struct = (name: string, config: Record<string, unknown>): WireFilter => ({
  name,
  config: schema.jsonToStruct(config),
});

Deno.test("addresses: socket, pipe, inside Envoy, none", () => {
  const at = (address: WireAddress) => {
    const { value } = good({ address });
    return [value.address, value.port];
  };
  assert.deepEqual(at(address), ["0.0.0.0", 80]);
  assert.deepEqual(at({ socket_address: { address: "::1" } }), ["::1", 0]);
  assert.deepEqual(at({ pipe: { path: "/var/run/x" } }), ["/var/run/x", 0]);
  assert.deepEqual(at({ envoy_internal_address: { server_listener_name: "inner" } }), ["inner", 0]);
  assert.deepEqual(at(null), ["l", 0]);
});

Deno.test("direction, bind_to_port in both places, original destination", () => {
  const fields = (listener: Wire) => {
    const { trafficDirection, bindToPort, useOriginalDst } = good(listener).value;
    return [trafficDirection, bindToPort, useOriginalDst];
  };
  assert.deepEqual(fields({}), [undefined, undefined, undefined]);
  assert.deepEqual(fields({ traffic_direction: 1, deprecated_v1: { bind_to_port: { value: false } } }), [
    "INBOUND",
    false,
    undefined,
  ]);
  assert.deepEqual(
    fields({ traffic_direction: 2, bind_to_port: { value: true }, use_original_dst: { value: true } }),
    ["OUTBOUND", true, true],
  );
});

Deno.test("filters: Any by type URL, Struct by either name, TypedStruct; unknown ones are skipped", () => {
  const http = [{ http: { statPrefix: "p", routeConfigName: "80" } }];
  const hcm: Partly<Messages["HttpConnectionManager"]> = {
    stat_prefix: "p",
    rds: { route_config_name: "80" },
    http_filters: [{}, { name: "x" }],
  };
  const json = { stat_prefix: "p", rds: { routeConfigName: "80" }, http_filters: [null, { name: "mixer" }] };
  const wrapped = typed("udpa.type.v1.TypedStruct", "TypedStruct", {
    type_url: `type.googleapis.com/${HCM}`,
    value: schema.jsonToStruct(json),
  });
  for (
    const filter of [
      typed(HCM, "HttpConnectionManager", hcm),
      typed(V2_HCM, "HttpConnectionManager", hcm),
      struct("envoy.http_connection_manager", json),
      struct("envoy.filters.network.http_connection_manager", json),
      wrapped,
    ]
  ) {
    const unknown = [
      {},
      struct("mixer", { a: 1 }),
      typed("x.y.Z", "Locality", {}),
      typed("udpa.type.v1.TypedStruct", "TypedStruct", { type_url: "a/io.istio.stats" }),
    ];
    const { value, notes } = chain(...unknown, filter);
    assert.deepEqual(value.filterChains, http);
    assert.deepEqual(notes, []);
  }
  for (
    const filter of [
      toA,
      struct("envoy.tcp_proxy", { stat_prefix: "s", cluster: "a" }),
      typed("xds.type.v3.TypedStruct", "TypedStruct", {
        type_url: TCP,
        value: schema.jsonToStruct({ stat_prefix: "s", cluster: "a" }),
      }),
    ]
  ) {
    assert.deepEqual(chain(filter).value.filterChains, [{ tcp: { statPrefix: "s", cluster: "a" } }]);
  }
});

Deno.test("TCP: weights, timeouts, v1 configuration inside a Struct, tunnels", () => {
  const tcp = (filter: WireFilter) => {
    const { value, notes } = chain(filter);
    return [value.filterChains[0]?.tcp, notes.length];
  };
  assert.deepEqual(
    tcp(typed(TCP, "TcpProxy", {
      stat_prefix: "s",
      weighted_clusters: { clusters: [{ name: "a", weight: 1 }, { name: "b", weight: 3 }] },
      idle_timeout: { seconds: 5, nanos: 0 },
      max_connect_attempts: { value: 3 },
    })),
    [{
      statPrefix: "s",
      weightedClusters: [{ name: "a", weight: 1 }, { name: "b", weight: 3 }],
      idleTimeout: "5s",
      maxConnectAttempts: 3,
    }, 0],
  );
  const v1 = (...clusters: string[]) =>
    struct("envoy.tcp_proxy", {
      deprecated_v1: true,
      value: {
        stat_prefix: "s",
        route_config: {
          routes: clusters.map((cluster) => ({ cluster, destination_ip_list: ["10.0.0.1/32"] })),
        },
      },
    });
  assert.deepEqual(tcp(v1("a")), [{ statPrefix: "s", cluster: "a" }, 0]);
  assert.deepEqual(tcp(v1("a", "b")), [{ statPrefix: "s", cluster: "a" }, 1]);
  assert.deepEqual(tcp(typed(TCP, "TcpProxy", { cluster: "a", tunneling_config: {} })), [
    { statPrefix: "", cluster: "a" },
    1,
  ]);
});

Deno.test("filter chains: matches, names, the default one", () => {
  const ranges = [{ address_prefix: "10.0.0.0", prefix_len: { value: 8 } }, { address_prefix: "::" }];
  const { value, notes } = good({
    filter_chains: [
      {
        name: "one",
        filter_chain_match: {
          destination_port: { value: 0 },
          prefix_ranges: ranges,
          source_prefix_ranges: ranges.slice(0, 1),
          server_names: ["*.a"],
          transport_protocol: "tls",
          application_protocols: ["h2"],
        },
        filters: [toA],
      },
      { filter_chain_match: { sni_domains: ["b"] }, filters: [toA] },
      { filter_chain_match: {}, filters: [toA] },
      { filter_chain_match: { source_type: 1 }, filters: [toA] },
    ],
    default_filter_chain: { filters: [toA] },
  });
  const tcp = { statPrefix: "s", cluster: "a" };
  assert.deepEqual(value.filterChains, [
    {
      name: "one",
      match: {
        destinationPort: 0,
        prefixRanges: ["10.0.0.0/8", "::/0"],
        sourcePrefixRanges: ["10.0.0.0/8"],
        serverNames: ["*.a"],
        transportProtocol: "tls",
        applicationProtocols: ["h2"],
      },
      tcp,
    },
    { match: { serverNames: ["b"] }, tcp },
    { tcp },
    { tcp },
  ]);
  assert.deepEqual(value.defaultFilterChain, { tcp });
  assert.match(notes.join(), /^filter_chains\[3\].filter_chain_match: Cannot test/);
});

Deno.test("filters that decide routing and are unknown leave the chain without a destination", () => {
  const bare = (...filters: WireFilter[]): [FilterChain | undefined, string] => {
    const { value, notes } = chain(...filters);
    return [value.filterChains[0], notes.join()];
  };
  const redis = { name: "envoy.filters.network.redis_proxy" };
  assert.deepEqual(bare(redis)[0], {});
  assert.match(
    bare(redis)[1],
    /^filter_chains\[0\].filters: Cannot execute network filter "envoy.*redis_proxy"/,
  );
  assert.deepEqual(bare({ name: "envoy.filters.network.sni_cluster" }, toA)[0], {});
  assert.match(
    bare({ name: "envoy.filters.network.sni_cluster" }, toA)[1],
    /"envoy.filters.network.sni_cluster"/,
  );
  assert.deepEqual(bare({ name: "envoy.filters.network.mongo_proxy" }, toA)[0], {
    tcp: { statPrefix: "s", cluster: "a" },
  });
  assert.deepEqual(bare(), [{}, ""]);
});

const table = {
  name: "8084",
  virtual_hosts: [{
    name: "h",
    domains: ["h"],
    routes: [{ match: { prefix: "/" }, route: { cluster: "a" } }],
  }],
};

Deno.test("inline tables, as Struct and as message, know the listener that they stand in", () => {
  const route = {
    match: { prefix: "/" },
    route: { cluster: "a" },
    origin: { ...origin, field: "" },
  };
  for (
    const [filter, field] of [
      [struct("envoy.http_connection_manager", { stat_prefix: "p", route_config: table }), "config"],
      [typed(HCM, "HttpConnectionManager", { stat_prefix: "p", route_config: table }), "typed_config"],
    ] as const
  ) {
    const place = `filter_chains[0].filters[0].${field}.route_config.virtual_hosts["h"]`;
    assert.deepEqual(chain(filter).value.filterChains[0]?.http, {
      statPrefix: "p",
      routeConfig: {
        name: "8084",
        virtualHosts: [{
          name: "h",
          domains: ["h"],
          routes: [{ ...route, origin: { ...origin, field: `${place}.routes[0]` } }],
          origin: { ...origin, field: place },
        }],
      },
    });
  }
});

Deno.test("what Envoy would refuse, or cannot be executed at all, refuses the listener and names the field", () => {
  const http = (m: Partly<Messages["HttpConnectionManager"]>): Wire => ({
    filter_chains: [{ filters: [typed(HCM, "HttpConnectionManager", m)] }],
  });
  const tcp = (m: Partly<Messages["TcpProxy"]>): Wire => ({
    filter_chains: [{ filters: [typed(TCP, "TcpProxy", m)] }],
  });
  const F = "filter_chains[0].filters[0].typed_config";
  const [host] = table.virtual_hosts;
  const cases: [Wire, string, RegExp][] = [
    [{ name: "" }, "name", /without a name/],
    [{ filter_chain_matcher: {} }, "filter_chain_matcher", /by a matcher/],
    [
      { address: { socket_address: { named_port: "http" } } },
      "address.socket_address.named_port",
      /port "http"/,
    ],
    [
      { address: { socket_address: { port_value: 65536 } } },
      "address.socket_address.port_value",
      /port "65536"/,
    ],
    [http({}), F, /without routes/],
    [http({ scoped_routes: {} }), F, /scoped_routes/],
    [http({ rds: {} }), `${F}.rds.route_config_name`, /without a name/],
    [
      http({ route_config: { ...table, virtual_hosts: [{ name: "h", domains: [] }] } }),
      `${F}.route_config.virtual_hosts[0].domains`,
      /no domains/,
    ],
    [
      http({ route_config: { ...table, virtual_hosts: [host ?? {}, host ?? {}] } }),
      `${F}.route_config.virtual_hosts[1].domains[0]`,
      /domain "h"/,
    ],
    [tcp({}), F, /without a cluster/],
    [tcp({ weighted_clusters: { clusters: [{ name: "a" }] } }), `${F}.weighted_clusters`, /weights is 0/],
  ];
  for (const [listener, field, message] of cases) {
    const result = decode(listener);
    assert.ok("problems" in result, field);
    assert.equal(result.problems.length, 1, JSON.stringify(result.problems));
    assert.deepEqual(result.problems[0]?.where, { ...origin, field });
    assert.equal(result.problems[0]?.code, "D212");
    assert.match(result.problems[0]?.message ?? "", message);
  }
});
