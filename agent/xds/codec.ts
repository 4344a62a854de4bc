/**
 * Bytes <-> the contracts of types.ts, for xDS v2 and v3, state-of-the-world and delta.
 *
 * In: a DiscoveryResponse or DeltaDiscoveryResponse; then, resource by resource, the raw bytes in it. Out: an
 * {@link Envelope} whose resources are views of the message, and values of the model.
 *
 * @example
 * ```ts
 * import { createCodec } from "./codec.ts";
 * const codec = createCodec();
 * const request = codec.encodeRequest(
 *   "v3",
 *   { kind: "sotw", type: "CDS", withNode: false, version: "", nonce: "", names: [] },
 *   { id: "sidecar~10.0.0.1~a.default~default.svc.cluster.local", cluster: "a", metadata: {} },
 * );
 * ```
 */
import { loadSchema, type Messages, type Partly, type Schema } from "../../protos/schema.ts";
import { decodeCluster } from "./decode_cluster.ts";
import { createAssignmentDecoder } from "./decode_endpoint.ts";
import { decodeListener } from "./decode_listener.ts";
import { readResponse } from "./decode_response.ts";
import { decodeRouteConfiguration } from "./decode_route.ts";
import { type Generation, type Node, type Request, typeUrlOf, type XdsCodec } from "./types.ts";

/** google.rpc.Code of every NACK. */
const INVALID_ARGUMENT = 3;

/** Makes the schema, too. */
export function createCodec(): XdsCodec {
  const schema = loadSchema();
  const assignments = createAssignmentDecoder(schema);
  return {
    encodeRequest: (generation, request, node) => encodeRequest(schema, generation, request, node),
    readResponse: (message, delta) => readResponse(schema, message, delta),
    decodeResponse: (message, delta) => readResponse(schema, message, delta).result(),
    decodeCluster: (raw, origin) => decodeCluster(schema, assignments, raw, origin),
    decodeLoadAssignment: (raw, origin) => assignments.resource(raw, origin),
    decodeListener: (raw, origin) => decodeListener(schema, raw, origin),
    decodeRouteConfiguration: (raw, origin, previous) =>
      decodeRouteConfiguration(schema, raw, origin, previous),
  };
}

function encodeRequest(schema: Schema, generation: Generation, request: Request, node: Node): Uint8Array {
  const type_url = typeUrlOf(generation, request.type);
  const error_detail = request.error === undefined
    ? null
    : { code: INVALID_ARGUMENT, message: request.error };
  const nodeMessage = request.withNode ? nodeOf(schema, node) : null;
  if (request.kind === "sotw") {
    return schema.encode("DiscoveryRequest", {
      version_info: request.version,
      node: nodeMessage,
      resource_names: request.names,
      type_url,
      response_nonce: request.nonce,
      error_detail,
    });
  }
  return schema.encode("DeltaDiscoveryRequest", {
    node: nodeMessage,
    type_url,
    resource_names_subscribe: request.subscribe,
    resource_names_unsubscribe: request.unsubscribe,
    initial_resource_versions: request.initialVersions,
    response_nonce: request.nonce,
    error_detail,
  });
}

function nodeOf(schema: Schema, node: Node): Partly<Messages["Node"]> {
  const { region, zone = "", subZone = "" } = node.locality ?? {};
  return {
    id: node.id,
    cluster: node.cluster,
    metadata: schema.jsonToStruct(node.metadata),
    locality: region === undefined ? null : { region, zone, sub_zone: subZone },
  };
}
