import assert from "node:assert/strict";
import { loadSchema, type Messages, type Partly } from "../../protos/schema.ts";
import { createCodec } from "./codec.ts";
import { type Generation, type Node, type Request, RESOURCE_TYPES, typeUrlOf } from "./types.ts";

const schema = loadSchema();
const codec = createCodec();
const D211 = { name: "MeshError", code: "D211" };

const NODE: Node = {
  id: "sidecar~10.1.1.7~app-1.default~default.svc.cluster.local",
  cluster: "app",
  metadata: {
    NAMESPACE: "default",
    LABELS: { app: "client" },
    POD_PORTS: [80, 1.5, true, null],
    NONE: undefined,
  },
  locality: { region: "region1", zone: "zone1" },
};

/** A Struct back as JSON. */
function json(value: Messages["Struct"]): unknown {
  const plain = (v: Messages["Value"]): unknown =>
    v.struct_value !== null
      ? json(v.struct_value)
      : v.list_value !== null
      ? v.list_value.values.map(plain)
      : v.kind === "null_value"
      ? null
      : v.string_value ?? v.number_value ?? v.bool_value;
  return Object.fromEntries(Object.entries(value.fields).map(([k, v]) => [k, plain(v)]));
}

function sotw(more: Partial<Request & { kind: "sotw" }>): Request {
  return { kind: "sotw", type: "CDS", withNode: false, version: "", nonce: "", names: [], ...more };
}

function delta(more: Partial<Request & { kind: "delta" }>): Request {
  return {
    kind: "delta",
    type: "CDS",
    withNode: false,
    nonce: "",
    subscribe: [],
    unsubscribe: [],
    initialVersions: {},
    ...more,
  };
}

const requestOf = (generation: Generation, request: Request): Messages["DiscoveryRequest"] =>
  schema.decode("DiscoveryRequest", codec.encodeRequest(generation, request, NODE));
const deltaRequestOf = (request: Request): Messages["DeltaDiscoveryRequest"] =>
  schema.decode("DeltaDiscoveryRequest", codec.encodeRequest("v3", request, NODE));

Deno.test("a first request has the node, a later one not", () => {
  const first = requestOf("v2", sotw({ withNode: true }));
  assert.equal(first.type_url, "type.googleapis.com/envoy.api.v2.Cluster");
  assert.equal(first.node?.id, NODE.id);
  assert.equal(first.node?.cluster, "app");
  assert.deepEqual({ ...first.node?.locality }, { region: "region1", zone: "zone1" });
  assert.deepEqual(json(first.node!.metadata!), {
    NAMESPACE: "default",
    LABELS: { app: "client" },
    POD_PORTS: [80, 1.5, true, null],
  });
  assert.equal(requestOf("v3", sotw({})).node, null);
});

Deno.test("ACK and NACK carry names, version and nonce; only a NACK has an error", () => {
  const acked = sotw({ type: "EDS", version: "7", nonce: "n", names: ["a", "b"] });
  const ack = requestOf("v3", acked);
  assert.deepEqual([ack.version_info, ack.response_nonce], ["7", "n"]);
  assert.deepEqual(ack.resource_names, ["a", "b"]);
  assert.equal(ack.error_detail, null);
  assert.equal(ack.type_url, "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment");
  const nack = requestOf("v3", { ...acked, error: "Cannot decode Cluster" } as Request);
  assert.deepEqual({ ...nack.error_detail }, { code: 3, message: "Cannot decode Cluster" });
});

Deno.test("delta requests", () => {
  const request = deltaRequestOf(delta({
    type: "RDS",
    withNode: true,
    nonce: "n",
    subscribe: ["80"],
    unsubscribe: ["81", "82"],
    initialVersions: { "80": "1", "__proto__": "2" },
    error: "no",
  }));
  assert.equal(request.node?.id, NODE.id);
  assert.equal(request.type_url, typeUrlOf("v3", "RDS"));
  assert.equal(request.response_nonce, "n");
  assert.deepEqual(request.resource_names_subscribe, ["80"]);
  assert.deepEqual(request.resource_names_unsubscribe, ["81", "82"]);
  assert.equal(request.initial_resource_versions["80"], "1");
  assert.equal(request.error_detail?.code, 3);
});

function response(value: Partly<Messages["DiscoveryResponse"]>): Uint8Array {
  return schema.encode("DiscoveryResponse", value);
}

Deno.test("resources of a response are views with their names", () => {
  for (const generation of ["v2", "v3"] as const) {
    const resources = [
      { type_url: typeUrlOf(generation, "CDS"), value: schema.encode("Cluster", { name: "c" }) },
      {
        type_url: typeUrlOf(generation, "EDS"),
        value: schema.encode("ClusterLoadAssignment", { cluster_name: "e" }),
      },
      { type_url: typeUrlOf(generation, "LDS"), value: schema.encode("Listener", { name: "l" }) },
      { type_url: typeUrlOf(generation, "RDS"), value: schema.encode("RouteConfiguration", { name: "r" }) },
    ];
    const type_url = typeUrlOf(generation, "CDS");
    const message = Uint8Array.from(response({ version_info: "v", nonce: "n", type_url, resources }));
    const envelope = codec.decodeResponse(message, false);
    assert.deepEqual(
      [envelope.version, envelope.nonce, envelope.typeUrl, envelope.removed],
      ["v", "n", type_url, []],
    );
    assert.deepEqual(envelope.resources.map(({ name }) => name), ["c", "e", "l", "r"]);
    assert.deepEqual(
      envelope.resources.map(({ typeUrl }) => typeUrl),
      RESOURCE_TYPES.map((type) => typeUrlOf(generation, type)),
    );
    for (const raw of envelope.resources) assert.equal(raw.bytes.buffer, message.buffer);
  }
});

Deno.test("a Pilot 0.8 resource without a value is skipped, one without a name is kept for the decoder", () => {
  const type_url = typeUrlOf("v2", "RDS");
  const { resources } = codec.decodeResponse(
    response({ type_url, resources: [{ type_url }, { type_url, value: Uint8Array.from([0x12, 0]) }] }),
    false,
  );
  assert.deepEqual(resources.map(({ name, bytes }) => [name, bytes.length]), [["", 2]]);
});

Deno.test("a cluster or listener without a value is kept for its decoder: left out, it would count as deleted", () => {
  for (const type of ["CDS", "LDS"] as const) {
    const type_url = typeUrlOf("v3", type);
    const { resources } = codec.decodeResponse(
      response({ type_url, resources: [{ type_url }, { type_url: "" }] }),
      false,
    );
    assert.deepEqual(resources.map(({ name, bytes }) => [name, bytes.length]), [["", 0]]);
  }
});

Deno.test("delta responses: names of wrappers, or of the resource; removed ones; wrappers without resource", () => {
  const type_url = typeUrlOf("v3", "CDS");
  const cluster = (name: string) => ({ type_url, value: schema.encode("Cluster", { name }) });
  const message = schema.encode("DeltaDiscoveryResponse", {
    system_version_info: "v",
    nonce: "n",
    type_url,
    resources: [
      { name: "a", version: "1", resource: cluster("a") },
      { name: "", version: "", resource: cluster("b") },
      { name: "unchanged", version: "1" },
    ],
    removed_resources: ["gone"],
  });
  const envelope = codec.decodeResponse(message, true);
  assert.deepEqual(envelope.resources.map(({ name, version }) => [name, version]), [["a", "1"], ["b", ""]]);
  assert.deepEqual(envelope.removed, ["gone"]);
  assert.deepEqual([envelope.version, envelope.nonce], ["v", "n"]);
});

const broken: readonly (readonly [string, Uint8Array])[] = [
  ["text", new TextEncoder().encode("<html>502 Bad Gateway</html>")],
  ["cut off", response({ version_info: "1234567890" }).subarray(0, 6)],
];
for (const [what, bytes] of broken) {
  Deno.test(`undecodable response: ${what}`, () => {
    assert.throws(() => codec.decodeResponse(bytes, false), D211);
  });
}

Deno.test("a response with a broken resource is still one, so that the resource can be refused by name", () => {
  for (
    const [value, name] of [
      [[0x0a, 1, 0x61, 0x12, 9], "a"],
      [[0x0a, 9, 0x61], ""],
      [[0x0a, 1, 0xff], ""],
    ] as const
  ) {
    const message = response({ resources: [{ value: Uint8Array.from(value) }], nonce: "n" });
    const { nonce, resources: [raw] } = codec.decodeResponse(message, false);
    assert.deepEqual([nonce, raw!.name], ["n", name]);
    assert.throws(() => codec.decodeCluster(raw!, { kind: "Cluster", resource: name }), D211);
  }
});

Deno.test("undecodable resources", () => {
  const origin = { kind: "Cluster", resource: "a", version: "1" };
  const raw = { name: "a", version: "", typeUrl: "", bytes: Uint8Array.from([0x0a, 1, 0x61, 0x22, 9]) };
  assert.throws(() => codec.decodeCluster(raw, origin), D211);
  assert.throws(
    () => codec.decodeLoadAssignment({ ...raw, bytes: Uint8Array.from([0x12, 2, 0x12, 9]) }, origin),
    D211,
  );
  assert.throws(() => codec.decodeListener(raw, origin), D211);
});

Deno.test("a delta resource has the name of its wrapper; without one its own", () => {
  const type_url = typeUrlOf("v3", "CDS");
  const resource = { type_url, value: schema.encode("Cluster", { name: "inner" }) };
  const message = schema.encode("DeltaDiscoveryResponse", {
    type_url,
    resources: [{ name: "outer", resource }, { resource }],
    removed_resources: ["gone"],
  });
  const { resources, removed } = codec.decodeResponse(message, true);
  assert.deepEqual(resources.map(({ name }) => name), ["outer", "inner"]);
  assert.deepEqual(removed, ["gone"]);
});

Deno.test("state of the world removes nothing by name: its field 6 is the control plane's", () => {
  const controlPlane = [0x32, 3, 0x0a, 1, 0x61];
  const message = Uint8Array.of(...response({ type_url: typeUrlOf("v3", "CDS") }), ...controlPlane);
  assert.deepEqual(codec.decodeResponse(message, false).removed, []);
});
