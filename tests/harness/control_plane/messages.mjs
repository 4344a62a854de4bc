/**
 * The messages of the discovery protocol, declared by hand: only what a control plane reads and writes around the resources,
 * which stay bytes. v2 and v3 have the same field numbers here.
 *
 * bytes of a request -> plain object; plain object -> bytes of a response.
 */
import protobuf from "protobufjs";

const field = (id, type, rule) => ({ id, type, ...(rule === undefined ? {} : { rule }) });
const map = (id, type) => ({ id, keyType: "string", type });

const root = protobuf.Root.fromJSON({
  nested: {
    Any: { fields: { typeUrl: field(1, "string"), value: field(2, "bytes") } },
    Status: { fields: { code: field(1, "int32"), message: field(2, "string") } },
    Struct: { fields: { fields: map(1, "Value") } },
    ListValue: { fields: { values: field(1, "Value", "repeated") } },
    Value: {
      oneofs: {
        kind: {
          oneof: ["nullValue", "numberValue", "stringValue", "boolValue", "structValue", "listValue"],
        },
      },
      fields: {
        nullValue: field(1, "int32"),
        numberValue: field(2, "double"),
        stringValue: field(3, "string"),
        boolValue: field(4, "bool"),
        structValue: field(5, "Struct"),
        listValue: field(6, "ListValue"),
      },
    },
    Locality: {
      fields: { region: field(1, "string"), zone: field(2, "string"), subZone: field(3, "string") },
    },
    Node: {
      fields: {
        id: field(1, "string"),
        cluster: field(2, "string"),
        metadata: field(3, "Struct"),
        locality: field(4, "Locality"),
      },
    },
    DiscoveryRequest: {
      fields: {
        versionInfo: field(1, "string"),
        node: field(2, "Node"),
        resourceNames: field(3, "string", "repeated"),
        typeUrl: field(4, "string"),
        responseNonce: field(5, "string"),
        errorDetail: field(6, "Status"),
      },
    },
    DiscoveryResponse: {
      fields: {
        versionInfo: field(1, "string"),
        resources: field(2, "Any", "repeated"),
        typeUrl: field(4, "string"),
        nonce: field(5, "string"),
      },
    },
    DeltaDiscoveryRequest: {
      fields: {
        node: field(1, "Node"),
        typeUrl: field(2, "string"),
        resourceNamesSubscribe: field(3, "string", "repeated"),
        resourceNamesUnsubscribe: field(4, "string", "repeated"),
        initialResourceVersions: map(5, "string"),
        responseNonce: field(6, "string"),
        errorDetail: field(7, "Status"),
      },
    },
    Resource: {
      fields: { version: field(1, "string"), resource: field(2, "Any"), name: field(3, "string") },
    },
    DeltaDiscoveryResponse: {
      fields: {
        systemVersionInfo: field(1, "string"),
        resources: field(2, "Resource", "repeated"),
        typeUrl: field(4, "string"),
        nonce: field(5, "string"),
        removedResources: field(6, "string", "repeated"),
      },
    },
  },
});

const TYPES = {
  v2: {
    CDS: "envoy.api.v2.Cluster",
    EDS: "envoy.api.v2.ClusterLoadAssignment",
    LDS: "envoy.api.v2.Listener",
    RDS: "envoy.api.v2.RouteConfiguration",
  },
  v3: {
    CDS: "envoy.config.cluster.v3.Cluster",
    EDS: "envoy.config.endpoint.v3.ClusterLoadAssignment",
    LDS: "envoy.config.listener.v3.Listener",
    RDS: "envoy.config.route.v3.RouteConfiguration",
  },
};

export function typeUrlOf(generation, type) {
  return `type.googleapis.com/${TYPES[generation][type]}`;
}

/** CDS, EDS, LDS, RDS; undefined for any other type and for those of the other generation. */
export function typeOf(generation, typeUrl) {
  return Object.keys(TYPES[generation]).find((type) => typeUrlOf(generation, type) === typeUrl);
}

/** A request of either protocol in one shape; what the protocol does not have is empty. */
export function decodeRequest(bytes, delta, generation) {
  const message = root.lookupType(delta ? "DeltaDiscoveryRequest" : "DiscoveryRequest").decode(bytes);
  const { node, errorDetail } = message;
  return {
    type: typeOf(generation, message.typeUrl) ?? "other",
    typeUrl: message.typeUrl,
    version: delta ? "" : message.versionInfo,
    nonce: message.responseNonce,
    names: delta ? [] : [...message.resourceNames],
    subscribe: delta ? [...message.resourceNamesSubscribe] : [],
    unsubscribe: delta ? [...message.resourceNamesUnsubscribe] : [],
    initialVersions: delta ? { ...message.initialResourceVersions } : {},
    ...(node === null ? {} : {
      node: { id: node.id, cluster: node.cluster, metadata: plainStruct(node.metadata) },
    }),
    ...(errorDetail === null ? {} : { error: errorDetail.message }),
  };
}

function plainStruct(struct) {
  return Object.fromEntries(
    Object.entries(struct?.fields ?? {}).map(([name, value]) => [name, plainValue(value)]),
  );
}

function plainValue(value) {
  switch (value.kind) {
    case "structValue":
      return plainStruct(value.structValue);
    case "listValue":
      return value.listValue.values.map(plainValue);
    case "nullValue":
    case undefined:
      return null;
    default:
      return value[value.kind];
  }
}

/** `response`: version, typeUrl, nonce, resources ({ name, typeUrl, bytes }), removed (delta). */
export function encodeResponse(response, delta) {
  const { version, typeUrl, nonce, resources, removed } = response;
  const any = (resource) => ({ typeUrl: resource.typeUrl ?? typeUrl, value: resource.bytes });
  if (!delta) {
    return encode("DiscoveryResponse", {
      versionInfo: version,
      typeUrl,
      nonce,
      resources: resources.map(any),
    });
  }
  return encode("DeltaDiscoveryResponse", {
    systemVersionInfo: version,
    typeUrl,
    nonce,
    resources: resources.map((r) => ({ name: r.name, version: r.version ?? "", resource: any(r) })),
    removedResources: removed,
  });
}

/** Type, version and nonce of a recorded response. */
export function decodeResponseHead(bytes, delta, generation) {
  const message = root.lookupType(delta ? "DeltaDiscoveryResponse" : "DiscoveryResponse").decode(bytes);
  return {
    type: typeOf(generation, message.typeUrl) ?? "other",
    version: delta ? message.systemVersionInfo : message.versionInfo,
    nonce: message.nonce,
    count: message.resources.length,
    removed: delta ? [...message.removedResources] : [],
  };
}

/** A resource that has nothing but its name, which is field 1 of every type: an assignment without endpoints, a table without hosts. */
export function emptyResource(name) {
  const text = Buffer.from(name);
  const writer = protobuf.Writer.create().uint32(10).bytes(text);
  return { name, bytes: Buffer.from(writer.finish()) };
}

function encode(type, object) {
  return Buffer.from(root.lookupType(type).encode(object).finish());
}
