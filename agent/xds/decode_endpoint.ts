/**
 * ClusterLoadAssignment of every generation -> the model. Read directly off the wire, because there may be a hundred thousand
 * endpoints: what we do not need (most of an endpoint is metadata) is jumped over, equal localities are one object.
 *
 * In: bytes. Out: an assignment, and what is wrong with it at field paths in proto names.
 */
import type { Origin } from "../core/diagnostics.ts";
import { normalAddress } from "../core/ip.ts";
import type { ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints } from "../model/model.ts";
import { orUndecodable, type Schema, type WireReader } from "../../protos/schema.ts";
import {
  F1,
  F2,
  F2_VARINT,
  F3,
  F3_VARINT,
  F4,
  F5,
  F5_VARINT,
  F7,
  F8,
  skip,
  textIs,
  wrapped,
} from "./wire_fields.ts";
import type { DecodeResult, RawResource } from "./types.ts";
import { type Findings, findings } from "./values.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Locality = NonNullable<LocalityLbEndpoints["locality"]>;

export interface AssignmentRules {
  /** Addresses may be names (STRICT_DNS, LOGICAL_DNS). */
  readonly names: boolean;
  /** Field path for problems, made of the path inside of the assignment. */
  readonly path: (inner: string) => string;
}

export interface AssignmentDecoder {
  /** An EDS resource. */
  resource(raw: RawResource, origin: Origin): DecodeResult<ClusterLoadAssignment>;
  /** One inside of a cluster; throws MeshError D211. */
  inline(bytes: Uint8Array, found: Findings, rules: AssignmentRules): ClusterLoadAssignment;
}

const EDS_RULES: AssignmentRules = {
  names: false,
  path: (inner) => inner,
};

const HEALTH = ["UNKNOWN", "HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT", "DEGRADED"] as const;
/** Envoy's limit. */
const MAX_PRIORITY = 128;
const MAX_PORT = 65_535;
const NO_PORT = -1;
/** More different localities than any mesh has; beyond it sharing starts anew. */
const MAX_LOCALITIES = 4096;
const TLS_MODE_KEY = "envoy.transport_socket_match";
/** Bytes of the Struct {tlsMode: "istio"}, as every server writes it. */
const TLS_MODE_ISTIO = Uint8Array.from([
  ...[0x0a, 0x12, 0x0a, 0x07, ...new TextEncoder().encode("tlsMode")],
  ...[0x12, 0x07, 0x1a, 0x05, ...new TextEncoder().encode("istio")],
]);

/** What the fields of one endpoint said. */
interface Draft {
  kind: "socket" | "pipe" | "internal" | "name" | "";
  address: string;
  port: number;
  namedPort: string;
  weight: number;
  health: number;
  tlsMode: "istio" | undefined;
}

export function createAssignmentDecoder(schema: Schema): AssignmentDecoder {
  const localities = new Map<string, Locality>();
  const draft: Draft = {
    kind: "",
    address: "",
    port: 0,
    namedPort: "",
    weight: 1,
    health: 0,
    tlsMode: undefined,
  };

  const assignment = (r: WireReader, found: Findings, rules: AssignmentRules): ClusterLoadAssignment => {
    let clusterName = "";
    const endpoints: LocalityLbEndpoints[] = [];
    while (r.pos < r.len) {
      const tag = r.tag();
      if (tag === F1) clusterName = r.string();
      else if (tag === F2) endpoints.push(localityEndpoints(r, endpoints.length, found, rules));
      else skip(r, tag);
    }
    return { clusterName, endpoints };
  };

  const localityEndpoints = (
    r: WireReader,
    index: number,
    found: Findings,
    rules: AssignmentRules,
  ): LocalityLbEndpoints => {
    const outer = r.enter();
    const lbEndpoints: LbEndpoint[] = [];
    let locality: Locality | undefined;
    let weight: number | undefined;
    let priority = 0;
    let position = 0;
    const problem = (field: string, message: string): void =>
      found.problem(rules.path(`endpoints[${index}].${field}`), message);
    while (r.pos < r.len) {
      const tag = r.tag();
      if (tag === F2) {
        const endpoint = lbEndpoint(r, index, position++, found, rules);
        if (endpoint !== undefined) lbEndpoints.push(endpoint);
      } else if (tag === F1) locality = readLocality(r);
      else if (tag === F3) weight = wrapped(r);
      else if (tag === F5_VARINT) priority = r.uint32();
      else if (tag === F7 || tag === F8) {
        problem("lb_config", "Cannot use a locality whose endpoints come elsewhere; lb_endpoints are wanted");
        skip(r, tag);
      } else skip(r, tag);
    }
    r.leave(outer);
    if (weight === 0) problem("load_balancing_weight", "Cannot use weight 0; 1 or more is wanted");
    if (priority > MAX_PRIORITY) {
      problem("priority", `Cannot use priority ${priority}; at most ${MAX_PRIORITY} is wanted`);
    }
    const value: Mutable<LocalityLbEndpoints> = { lbEndpoints };
    if (locality !== undefined) value.locality = locality;
    if (weight !== undefined) value.loadBalancingWeight = weight;
    if (priority !== 0) value.priority = priority;
    return value;
  };

  const readLocality = (r: WireReader): Locality | undefined => {
    const outer = r.enter();
    let region = "", zone = "", subZone = "";
    while (r.pos < r.len) {
      const tag = r.tag();
      if (tag === F1) region = r.string();
      else if (tag === F2) zone = r.string();
      else if (tag === F3) subZone = r.string();
      else skip(r, tag);
    }
    r.leave(outer);
    if (region === "" && zone === "" && subZone === "") return undefined;
    const key = `${region}\0${zone}\0${subZone}`;
    let locality = localities.get(key);
    if (locality === undefined) {
      if (localities.size >= MAX_LOCALITIES) localities.clear();
      locality = {
        region,
        ...(zone === "" ? {} : { zone }),
        ...(subZone === "" ? {} : { subZone }),
      };
      localities.set(key, locality);
    }
    return locality;
  };

  const lbEndpoint = (
    r: WireReader,
    locality: number,
    position: number,
    found: Findings,
    rules: AssignmentRules,
  ): LbEndpoint | undefined => {
    draft.kind = "";
    draft.address = "";
    draft.port = 0;
    draft.namedPort = "";
    draft.weight = 1;
    draft.health = 0;
    draft.tlsMode = undefined;
    const outer = r.enter();
    while (r.pos < r.len) {
      const tag = r.tag();
      if (tag === F1) readEndpoint(r);
      else if (tag === F2_VARINT) draft.health = r.uint32();
      else if (tag === F3) readMetadata(r);
      else if (tag === F4) draft.weight = wrapped(r);
      else if (tag === F5) {
        draft.kind = "name";
        skip(r, tag);
      } else skip(r, tag);
    }
    r.leave(outer);
    return finishEndpoint(locality, position, found, rules);
  };

  const finishEndpoint = (
    locality: number,
    position: number,
    found: Findings,
    rules: AssignmentRules,
  ): LbEndpoint | undefined => {
    const { kind, weight, health, tlsMode } = draft;
    const path = (field: string): string =>
      rules.path(`endpoints[${locality}].lb_endpoints[${position}].${field}`);
    let { address, port } = draft;
    if (kind === "socket") {
      const normal = normalAddress(address);
      if (normal !== undefined) address = normal;
      else if (address === "") {
        found.problem(
          path("endpoint.address.socket_address.address"),
          "Cannot use an endpoint without an address",
        );
      } else if (!rules.names) {
        found.problem(
          path("endpoint.address.socket_address.address"),
          `Cannot use endpoint ${
            JSON.stringify(address)
          }: it is no IP address; only DNS clusters may have names`,
        );
      }
      if (draft.namedPort !== "") {
        found.problem(
          path("endpoint.address.socket_address.named_port"),
          `Cannot use port ${JSON.stringify(draft.namedPort)}; a number is wanted`,
        );
      } else if (port === NO_PORT) {
        found.problem(path("endpoint.address.socket_address"), "Cannot use an endpoint without a port");
      } else if (port > MAX_PORT) {
        found.problem(
          path("endpoint.address.socket_address.port_value"),
          `Cannot use port ${port}; at most ${MAX_PORT} is wanted`,
        );
      }
    } else if (kind === "pipe") {
      if (address === "") {
        found.problem(path("endpoint.address.pipe.path"), "Cannot use a unix socket without a path");
      }
      address = `unix://${address}`;
      port = 0;
    } else if (kind === "") {
      found.problem(path("endpoint.address"), "Cannot use an endpoint without an address");
    } else {
      found.note(
        path(kind === "name" ? "endpoint_name" : "endpoint.address.envoy_internal_address"),
        "Cannot reach an endpoint that only exists inside of Envoy; it is left out",
      );
      return undefined;
    }
    if (weight === 0) {
      found.problem(path("load_balancing_weight"), "Cannot use weight 0; 1 or more is wanted");
    }
    // Made whole where that is frequent: fields that come later cost a second allocation.
    const endpoint: Mutable<LbEndpoint> = tlsMode === undefined
      ? { address, port }
      : { address, port, tlsMode };
    if (weight > 1) endpoint.loadBalancingWeight = weight;
    if (health !== 0 && HEALTH[health] !== undefined) endpoint.healthStatus = HEALTH[health];
    return endpoint;
  };

  const readEndpoint = (r: WireReader): void => {
    const outer = r.enter();
    while (r.pos < r.len) {
      const tag = r.tag();
      if (tag === F1) readAddress(r);
      else skip(r, tag);
    }
    r.leave(outer);
  };

  const readAddress = (r: WireReader): void => {
    const outer = r.enter();
    while (r.pos < r.len) {
      const tag = r.tag();
      if (tag === F1) readSocketAddress(r);
      else if (tag === F2) readPipe(r);
      else {
        if (tag === F3) draft.kind = "internal";
        skip(r, tag);
      }
    }
    r.leave(outer);
  };

  const readSocketAddress = (r: WireReader): void => {
    draft.kind = "socket";
    draft.port = NO_PORT;
    const outer = r.enter();
    while (r.pos < r.len) {
      const tag = r.tag();
      if (tag === F2) draft.address = r.string();
      else if (tag === F3_VARINT) draft.port = r.uint32();
      else if (tag === F4) draft.namedPort = r.string();
      else skip(r, tag);
    }
    r.leave(outer);
  };

  const readPipe = (r: WireReader): void => {
    draft.kind = "pipe";
    const outer = r.enter();
    while (r.pos < r.len) {
      const tag = r.tag();
      if (tag === F1) draft.address = r.string();
      else skip(r, tag);
    }
    r.leave(outer);
  };

  /** Of an endpoint's metadata only filter_metadata["envoy.transport_socket_match"].tlsMode. */
  const readMetadata = (r: WireReader): void => {
    const outer = r.enter();
    while (r.pos < r.len) {
      const tag = r.tag();
      if (tag !== F1) {
        skip(r, tag);
        continue;
      }
      const outerEntry = r.enter();
      let isTlsMode = false;
      while (r.pos < r.len) {
        const entryTag = r.tag();
        if (entryTag === F1) isTlsMode = textIs(r, TLS_MODE_KEY);
        else if (entryTag === F2 && isTlsMode) {
          const outerStruct = r.enter();
          if (isTlsModeIstio(r)) draft.tlsMode = "istio";
          r.pos = r.len;
          r.leave(outerStruct);
        } else skip(r, entryTag);
      }
      r.leave(outerEntry);
    }
    r.leave(outer);
  };

  const isTlsModeIstio = (r: WireReader): boolean => {
    const length = r.len - r.pos;
    if (length === TLS_MODE_ISTIO.length) {
      let i = 0;
      while (i < length && r.buf[r.pos + i] === TLS_MODE_ISTIO[i]) i++;
      if (i === length) return true;
    }
    return schema.decode("Struct", r.buf.subarray(r.pos, r.len)).fields["tlsMode"]?.string_value === "istio";
  };

  const inline = (bytes: Uint8Array, found: Findings, rules: AssignmentRules): ClusterLoadAssignment =>
    orUndecodable("ClusterLoadAssignment", () => assignment(schema.reader(bytes), found, rules));

  return {
    inline,
    resource(raw, origin) {
      const found = findings(origin);
      const value = inline(raw.bytes, found, EDS_RULES);
      if (value.clusterName === "") {
        found.problem("cluster_name", "Cannot use a load assignment without cluster_name");
      }
      return found.problems.length > 0
        ? { problems: found.problems }
        : { value: { ...value, origin }, notes: found.notes };
    },
  };
}
