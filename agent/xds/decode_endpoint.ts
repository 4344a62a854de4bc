/** ClusterLoadAssignment of every generation -> the model. */
import type { Origin } from "../core/diagnostics.ts";
import type { ClusterLoadAssignment } from "../model/model.ts";
import type { Messages, Schema } from "../../protos/schema.ts";
import type { DecodeResult, RawResource } from "./types.ts";
import { findings } from "./values.ts";

export function decodeLoadAssignment(
  schema: Schema,
  raw: RawResource,
  origin: Origin,
): DecodeResult<ClusterLoadAssignment> {
  const found = findings(origin);
  const message = schema.decode("ClusterLoadAssignment", raw.bytes);
  const value = loadAssignment(message);
  return found.problems.length > 0 ? { problems: found.problems } : { value, notes: found.notes };
}

export function loadAssignment(message: Messages["ClusterLoadAssignment"]): ClusterLoadAssignment {
  return {
    clusterName: message.cluster_name,
    endpoints: message.endpoints.map((locality) => ({
      lbEndpoints: locality.lb_endpoints.map((endpoint) => ({
        address: endpoint.endpoint?.address?.socket_address?.address ?? "",
        port: endpoint.endpoint?.address?.socket_address?.port_value ?? 0,
      })),
    })),
  };
}
