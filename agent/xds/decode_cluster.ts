/** Cluster of every generation -> the model. */
import type { Origin } from "../core/diagnostics.ts";
import type { Cluster, ClusterType } from "../model/model.ts";
import type { Schema } from "../../protos/schema.ts";
import { loadAssignment } from "./decode_endpoint.ts";
import type { DecodeResult, RawResource } from "./types.ts";
import { durationText, findings } from "./values.ts";

export function decodeCluster(schema: Schema, raw: RawResource, origin: Origin): DecodeResult<Cluster> {
  const found = findings(origin);
  const message = schema.decode("Cluster", raw.bytes);
  const type = schema.enumName("Cluster.DiscoveryType", message.type ?? 0) ?? "STATIC";
  const value: Cluster = {
    name: message.name,
    type: type as ClusterType,
    lbPolicy: "ROUND_ROBIN",
    connectTimeout: durationText(message.connect_timeout) ?? "5s",
    ...(message.load_assignment === null ? {} : { loadAssignment: loadAssignment(message.load_assignment) }),
    ...(message.eds_cluster_config === null
      ? {}
      : { edsServiceName: message.eds_cluster_config.service_name }),
    origin,
  };
  return found.problems.length > 0 ? { problems: found.problems } : { value, notes: found.notes };
}
