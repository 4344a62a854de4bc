/** Decoding a large mesh: 10,000 clusters and 10,000 assignments of 10 endpoints, as istiod writes them. */
import { loadSchema, type Messages, type Partly, type Schema } from "../../protos/schema.ts";
import { createCodec } from "./codec.ts";
import { type RawResource, typeUrlOf } from "./types.ts";

const SERVICES = 10_000;
const ENDPOINTS = 10;

const nameOf = (i: number): string => `outbound|8080||service-${i}.namespace-${i % 50}.svc.cluster.local`;

function clusterBytes(schema: Schema, i: number): Uint8Array {
  const name = nameOf(i);
  const unlimited = { value: 4_294_967_295 };
  const tls = schema.encode("UpstreamTlsContext", {
    common_tls_context: {
      alpn_protocols: ["istio-peer-exchange", "istio"],
      tls_certificate_sds_secret_configs: [{ name: "default" }],
      combined_validation_context: {
        default_validation_context: {
          match_subject_alt_names: [{ exact: `spiffe://cluster.local/ns/namespace-${i % 50}/sa/default` }],
        },
        validation_context_sds_secret_config: { name: "ROOTCA" },
      },
    },
    sni: `outbound_.8080_._.service-${i}.namespace-${i % 50}.svc.cluster.local`,
  });
  const tlsUrl = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
  return schema.encode("Cluster", {
    name,
    type: 3,
    lb_policy: 1,
    connect_timeout: { seconds: 10, nanos: 0 },
    eds_cluster_config: {
      eds_config: { ads: {}, initial_fetch_timeout: { seconds: 0, nanos: 0 } },
      service_name: name,
    },
    circuit_breakers: {
      thresholds: [{
        max_connections: unlimited,
        max_pending_requests: unlimited,
        max_requests: unlimited,
        max_retries: unlimited,
      }],
    },
    metadata: {
      filter_metadata: {
        istio: schema.jsonToStruct({
          config: `/apis/networking.istio.io/v1/namespaces/default/destination-rule/rule-${i}`,
          services: [{
            host: name.slice(15),
            name: `service-${i}`,
            namespace: `namespace-${i % 50}`,
          }],
        }),
      },
    },
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
    transport_socket_matches: [{
      name: "tlsMode-istio",
      match: schema.jsonToStruct({ tlsMode: "istio" }),
      transport_socket: {
        name: "envoy.transport_sockets.tls",
        typed_config: { type_url: tlsUrl, value: tls },
      },
    }, {
      name: "tlsMode-disabled",
      match: { fields: {} },
      transport_socket: {
        name: "envoy.transport_sockets.raw_buffer",
        typed_config: {
          type_url: "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
          value: new Uint8Array(0),
        },
      },
    }],
  });
}

function assignmentBytes(schema: Schema, i: number): Uint8Array {
  const lb_endpoints: Partly<Messages["LbEndpoint"]>[] = Array.from({ length: ENDPOINTS }, (_, e) => ({
    endpoint: {
      address: {
        socket_address: { address: `10.${i >> 8}.${i & 255}.${e + 1}`, port_value: 8080 },
      },
    },
    load_balancing_weight: { value: 1 },
    metadata: {
      filter_metadata: {
        "envoy.transport_socket_match": schema.jsonToStruct({ tlsMode: "istio" }),
        istio: schema.jsonToStruct({
          workload: `service-${i};namespace-${i % 50};service-${i};v1;Kubernetes`,
        }),
      },
    },
  }));
  return schema.encode("ClusterLoadAssignment", {
    cluster_name: nameOf(i),
    endpoints: [{
      locality: { region: "region1", zone: `zone${i % 3}`, sub_zone: "" },
      load_balancing_weight: { value: ENDPOINTS },
      lb_endpoints,
    }],
  });
}

function response(schema: Schema, type: "CDS" | "EDS"): Uint8Array {
  const make = type === "CDS" ? clusterBytes : assignmentBytes;
  const type_url = typeUrlOf("v3", type);
  return schema.encode("DiscoveryResponse", {
    version_info: "1",
    nonce: "1",
    type_url,
    resources: Array.from({ length: SERVICES }, (_, i) => ({ type_url, value: make(schema, i) })),
  });
}

const schema = loadSchema();
const codec = createCodec();
const cds = response(schema, "CDS");
const eds = response(schema, "EDS");
const origin = { kind: "Cluster", version: "1" };

Deno.bench("CDS response of 10,000: split", () => {
  codec.decodeResponse(cds, false);
});

const clusters: readonly RawResource[] = codec.decodeResponse(cds, false).resources;
Deno.bench("10,000 clusters", () => {
  for (const raw of clusters) codec.decodeCluster(raw, { ...origin, resource: raw.name });
});

Deno.bench("EDS response of 10,000: split", () => {
  codec.decodeResponse(eds, false);
});

const assignments: readonly RawResource[] = codec.decodeResponse(eds, false).resources;
Deno.bench("10,000 assignments of 10 endpoints", () => {
  for (const raw of assignments) codec.decodeLoadAssignment(raw, { ...origin, resource: raw.name });
});
