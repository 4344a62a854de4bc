import assert from "node:assert/strict";
import type { LbEndpoint, LocalityLbEndpoints } from "../model/model.ts";
import { loadSchema, type Messages, type Partly } from "../../protos/schema.ts";
import { createCodec } from "./codec.ts";
import type { DecodeResult } from "./types.ts";
import type { ClusterLoadAssignment } from "../model/model.ts";

const schema = loadSchema();
const codec = createCodec();
const ORIGIN = { kind: "ClusterLoadAssignment", resource: "c", version: "1" };

type Locality = Partly<Messages["LocalityLbEndpoints"]>;
type Endpoint = Partly<Messages["LbEndpoint"]>;
type Address = Partly<Messages["Address"]>;

function decode(bytes: Uint8Array): DecodeResult<ClusterLoadAssignment> {
  return codec.decodeLoadAssignment({ name: "c", version: "", typeUrl: "", bytes }, ORIGIN);
}
const decodeLocalities = (...endpoints: Locality[]): DecodeResult<ClusterLoadAssignment> =>
  decode(schema.encode("ClusterLoadAssignment", { cluster_name: "c", endpoints }));

function localities(...endpoints: Locality[]): readonly LocalityLbEndpoints[] {
  const result = decodeLocalities(...endpoints);
  if ("problems" in result) assert.fail(JSON.stringify(result.problems));
  return result.value.endpoints;
}

const at = (address: string, port_value = 80): Address => ({ socket_address: { address, port_value } });
const on = (address: Address, more: Endpoint = {}): Endpoint => ({ endpoint: { address }, ...more });
const struct = (object: Readonly<Record<string, unknown>>) => schema.jsonToStruct(object);

const rows: readonly (readonly [string, Endpoint, LbEndpoint])[] = [
  ["an address", on(at("10.0.0.1")), { address: "10.0.0.1", port: 80 }],
  ["weight 1 is no weight", on(at("10.0.0.1"), { load_balancing_weight: { value: 1 } }), {
    address: "10.0.0.1",
    port: 80,
  }],
  ["a weight", on(at("10.0.0.1"), { load_balancing_weight: { value: 300 } }), {
    address: "10.0.0.1",
    port: 80,
    loadBalancingWeight: 300,
  }],
  ["IPv6 in one spelling", on(at("2001:DB8:0:0::1", 8080)), { address: "2001:db8::1", port: 8080 }],
  ["IPv4 in IPv6", on(at("::ffff:10.0.0.1")), { address: "10.0.0.1", port: 80 }],
  ["a unix socket", on({ pipe: { path: "/run/s.sock" } }), { address: "unix:///run/s.sock", port: 0 }],
  ["a path that is not ASCII", on({ pipe: { path: "/run/s\u00fc\u{1f600}" } }), {
    address: "unix:///run/s\u00fc\u{1f600}",
    port: 0,
  }],
  ["a long path", on({ pipe: { path: "/" + "x".repeat(300) } }), {
    address: "unix:///" + "x".repeat(300),
    port: 0,
  }],
  ["health", on(at("10.0.0.1"), { health_status: 2 }), {
    address: "10.0.0.1",
    port: 80,
    healthStatus: "UNHEALTHY",
  }],
  ["health that does not exist counts as unknown", on(at("10.0.0.1"), { health_status: 77 }), {
    address: "10.0.0.1",
    port: 80,
  }],
  [
    "of its metadata only the mode of TLS",
    on(at("10.0.0.1"), {
      metadata: {
        filter_metadata: {
          istio: struct({ workload: "a;b;c", tlsMode: "istio" }),
          "envoy.transport_socket_match": struct({ tlsMode: "istio" }),
          "envoy.lb": struct({ canary: true }),
        },
      },
    }),
    { address: "10.0.0.1", port: 80, tlsMode: "istio" },
  ],
  [
    "the mode of TLS among others",
    on(at("10.0.0.1"), {
      metadata: {
        filter_metadata: { "envoy.transport_socket_match": struct({ a: 1, tlsMode: "istio" }) },
      },
    }),
    { address: "10.0.0.1", port: 80, tlsMode: "istio" },
  ],
  [
    "TLS switched off",
    on(at("10.0.0.1"), {
      metadata: {
        filter_metadata: { "envoy.transport_socket_match": struct({ tlsMode: "disabled" }) },
      },
    }),
    { address: "10.0.0.1", port: 80 },
  ],
];
for (const [what, endpoint, wanted] of rows) {
  Deno.test(`endpoint: ${what}`, () => {
    assert.deepEqual(localities({ lb_endpoints: [endpoint] })[0]?.lbEndpoints, [wanted]);
  });
}

Deno.test("localities: places, weights, priorities; equal places are one object", () => {
  const place = { region: "r", zone: "z", sub_zone: "s" };
  const [first, second, third, fourth] = localities(
    { locality: place, load_balancing_weight: { value: 3 }, lb_endpoints: [on(at("10.0.0.1"))] },
    { locality: place, priority: 2, lb_endpoints: [] },
    { locality: { region: "r", zone: "", sub_zone: "" } },
    { locality: {} },
  );
  assert.deepEqual(first, {
    locality: { region: "r", zone: "z", subZone: "s" },
    loadBalancingWeight: 3,
    lbEndpoints: [{ address: "10.0.0.1", port: 80 }],
  });
  assert.deepEqual(second, { locality: first?.locality, priority: 2, lbEndpoints: [] });
  assert.equal(second?.locality, first?.locality);
  assert.deepEqual(third, { locality: { region: "r" }, lbEndpoints: [] });
  assert.deepEqual(fourth, { lbEndpoints: [] });
});

Deno.test("an assignment without endpoints is legal, and knows where it came from", () => {
  const result = decodeLocalities();
  assert.ok("value" in result);
  assert.deepEqual(result.value, { clusterName: "c", endpoints: [], origin: ORIGIN });
});

Deno.test("fields that we do not know are jumped over, wherever they are", () => {
  const address = [0x12, 3, ...new TextEncoder().encode("::1"), 0x18, 0];
  const endpoint = [0x0a, 11, 0x0a, 9, 0x0a, 7, ...address];
  const unknown = [0xfa, 0x07, 2, 1, 1, 0xf8, 0x07, 5, 0xfd, 0x07, 1, 2, 3, 4];
  const nested = [...unknown, ...endpoint, ...unknown];
  const locality = [...unknown, 0x12, nested.length, ...nested, ...unknown];
  const result = decode(Uint8Array.from([...unknown, 0x0a, 1, 0x63, 0x12, locality.length, ...locality]));
  assert.ok("value" in result);
  assert.deepEqual(result.value.endpoints, [{ lbEndpoints: [{ address: "::1", port: 0 }] }]);
});

const problems: readonly (readonly [string, Locality, readonly string[]])[] = [
  ["a name", { lb_endpoints: [on(at("10.0.0.1")), on(at("a.example.com"))] }, [
    "lb_endpoints[1].endpoint.address.socket_address.address",
  ]],
  ["an empty address", { lb_endpoints: [on(at(""))] }, [
    "lb_endpoints[0].endpoint.address.socket_address.address",
  ]],
  ["an address in Roman fashion", { lb_endpoints: [on(at("010.1"))] }, [
    "lb_endpoints[0].endpoint.address.socket_address.address",
  ]],
  ["a large port", { lb_endpoints: [on(at("10.0.0.1", 65_536))] }, [
    "lb_endpoints[0].endpoint.address.socket_address.port_value",
  ]],
  ["a port by name", { lb_endpoints: [on({ socket_address: { address: "::1", named_port: "http" } })] }, [
    "lb_endpoints[0].endpoint.address.socket_address.named_port",
  ]],
  ["no port", { lb_endpoints: [on({ socket_address: { address: "::1" } })] }, [
    "lb_endpoints[0].endpoint.address.socket_address",
  ]],
  ["a pipe to nowhere", { lb_endpoints: [on({ pipe: {} })] }, ["lb_endpoints[0].endpoint.address.pipe.path"]],
  ["no address", { lb_endpoints: [{}, { endpoint: {} }] }, [
    "lb_endpoints[0].endpoint.address",
    "lb_endpoints[1].endpoint.address",
  ]],
  ["weight 0", { lb_endpoints: [on(at("::1"), { load_balancing_weight: { value: 0 } })] }, [
    "lb_endpoints[0].load_balancing_weight",
  ]],
  ["a locality of weight 0", { load_balancing_weight: {} }, ["load_balancing_weight"]],
  ["a late priority", { priority: 129 }, ["priority"]],
];
for (const [what, locality, fields] of problems) {
  Deno.test(`endpoint with a problem: ${what}`, () => {
    const result = decodeLocalities({ lb_endpoints: [] }, locality);
    assert.ok("problems" in result);
    assert.deepEqual(
      result.problems.map((d) => [d.code, d.where]),
      fields.map((field) => ["D212", { ...ORIGIN, field: `endpoints[1].${field}` }]),
    );
  });
}

Deno.test("an assignment without a name", () => {
  const result = decode(Uint8Array.from([0x12, 0]));
  assert.ok("problems" in result);
  assert.deepEqual(result.problems.map((d) => d.where.field), ["cluster_name"]);
});

Deno.test("endpoints that are told elsewhere", () => {
  const locality = (...fields: number[]): DecodeResult<ClusterLoadAssignment> =>
    decode(Uint8Array.from([0x0a, 1, 0x63, 0x12, fields.length, ...fields]));
  // leds_cluster_locality_config = 8
  const elsewhere = locality(0x42, 0);
  assert.ok("problems" in elsewhere);
  assert.equal(elsewhere.problems[0]?.where.field, "endpoints[0].lb_config");
  // lb_endpoints = 2 with endpoint_name = 5
  const named = locality(0x12, 3, 0x2a, 1, 0x61);
  assert.ok("value" in named);
  assert.deepEqual(named.value.endpoints[0]?.lbEndpoints, []);
  assert.equal(named.notes[0]?.where.field, "endpoints[0].lb_endpoints[0].endpoint_name");
});

Deno.test("endpoints that only exist inside of Envoy are left out with a note", () => {
  const result = decodeLocalities({
    lb_endpoints: [on({ envoy_internal_address: { server_listener_name: "x" } }), on(at("10.0.0.1"))],
  });
  assert.ok("value" in result);
  assert.deepEqual(result.value.endpoints[0]?.lbEndpoints, [{ address: "10.0.0.1", port: 80 }]);
  assert.deepEqual(result.notes.map((d) => [d.code, d.where.field]), [
    ["D223", "endpoints[0].lb_endpoints[0].endpoint.address.envoy_internal_address"],
  ]);
});

const undecodable: readonly (readonly [string, readonly number[]])[] = [
  ["cut in a name", [0x0a, 5, 0x61]],
  ["cut in a locality", [0x12, 9, 0x0a]],
  ["an inner length beyond the outer", [0x12, 2, 0x12, 2, 0x0a, 1, 0x63]],
  ["a number that crosses its message's end", [0x12, 2, 0x28, 0x80, 0x01]],
  ["a name that is not UTF-8", [0x0a, 1, 0xff]],
  ["field 0", [0x02, 0]],
  ["a length above 2 GB", [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]],
];
for (const [what, bytes] of undecodable) {
  Deno.test(`undecodable assignment: ${what}`, () => {
    assert.throws(() => decode(Uint8Array.from(bytes)), { name: "MeshError", code: "D211" });
  });
}
