/**
 * The contracts of xDS inside the agent: what a decoder gives, what a session says, what the store holds. Everything here
 * is plain data; bytes and streams stay outside.
 */
import type { Diagnostic, Origin } from "../core/diagnostics.ts";
import type { Cluster, ClusterLoadAssignment, Listener, RouteConfiguration } from "../model/model.ts";

/** `v1` REST, `v2` and `v3` gRPC. */
export type Generation = "v2" | "v3";

/** The four types that we ask for. */
export type ResourceType = "CDS" | "EDS" | "LDS" | "RDS";
export const RESOURCE_TYPES: readonly ResourceType[] = ["CDS", "EDS", "LDS", "RDS"];

const PREFIX = "type.googleapis.com/";
const TYPE_URLS: Readonly<Record<Generation, Readonly<Record<ResourceType, string>>>> = {
  v2: {
    CDS: `${PREFIX}envoy.api.v2.Cluster`,
    EDS: `${PREFIX}envoy.api.v2.ClusterLoadAssignment`,
    LDS: `${PREFIX}envoy.api.v2.Listener`,
    RDS: `${PREFIX}envoy.api.v2.RouteConfiguration`,
  },
  v3: {
    CDS: `${PREFIX}envoy.config.cluster.v3.Cluster`,
    EDS: `${PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment`,
    LDS: `${PREFIX}envoy.config.listener.v3.Listener`,
    RDS: `${PREFIX}envoy.config.route.v3.RouteConfiguration`,
  },
};
const BY_URL = new Map(
  Object.values(TYPE_URLS).flatMap((urls) => RESOURCE_TYPES.map((type) => [urls[type], type] as const)),
);

export function typeUrlOf(generation: Generation, type: ResourceType): string {
  return TYPE_URLS[generation][type];
}

/** Undefined for a type that we never ask for. */
export function typeOfUrl(url: string): ResourceType | undefined {
  return BY_URL.get(url);
}

/** What a resource becomes. */
export interface Decoded {
  readonly CDS: Cluster;
  readonly EDS: ClusterLoadAssignment;
  readonly LDS: Listener;
  readonly RDS: RouteConfiguration;
}

/**
 * A resource is usable, or has problems (then it is not applied and its last good value stays). Undecodable bytes throw
 * MeshError D211 instead: then nothing of the whole response is applied. Each problem's `where` has kind (`Cluster`, …),
 * resource, version and field path (`virtual_hosts[2].routes[0].match.safe_regex.regex`).
 */
export type DecodeResult<T> =
  | { readonly value: T; readonly notes: readonly Diagnostic[] }
  | { readonly problems: readonly Diagnostic[] };

/** A resource as it came, not decoded yet. */
export interface RawResource {
  /** Known before decoding (field 1 of every type, or the delta wrapper). */
  readonly name: string;
  /** Empty in state-of-the-world and with istiod's delta. */
  readonly version: string;
  readonly typeUrl: string;
  readonly bytes: Uint8Array;
}

/** DiscoveryResponse and DeltaDiscoveryResponse in one shape. */
export interface Envelope {
  /** version_info or system_version_info. */
  readonly version: string;
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly RawResource[];
  /** Delta only. */
  readonly removed: readonly string[];
}

/** DiscoveryRequest and DeltaDiscoveryRequest; encoded by the codec. */
export type Request =
  | {
    readonly kind: "sotw";
    readonly type: ResourceType;
    readonly withNode: boolean;
    readonly version: string;
    readonly nonce: string;
    readonly names: readonly string[];
    /** Set = NACK. */
    readonly error?: string;
  }
  | {
    readonly kind: "delta";
    readonly type: ResourceType;
    readonly withNode: boolean;
    readonly nonce: string;
    readonly subscribe: readonly string[];
    readonly unsubscribe: readonly string[];
    readonly initialVersions: Readonly<Record<string, string>>;
    readonly error?: string;
  };

/** Node as Istio wants it; metadata is a JSON object. */
export interface Node {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly locality?: { readonly region: string; readonly zone?: string; readonly subZone?: string };
}

/** Bytes <-> contracts. Made once by `createCodec()` of xds/codec.ts (loads the schema). */
export interface XdsCodec {
  encodeRequest(generation: Generation, request: Request, node: Node): Uint8Array;
  /** Splits a response step by step: resources stay bytes (views of `message`). */
  readResponse(message: Uint8Array, delta: boolean): ResponseReading;
  /** The same at one go. Throws MeshError D211 when the bytes are no response. */
  decodeResponse(message: Uint8Array, delta: boolean): Envelope;
  /** `origin` has kind, resource and version; decoders add the field. */
  decodeCluster(raw: RawResource, origin: Origin): DecodeResult<Cluster>;
  decodeLoadAssignment(raw: RawResource, origin: Origin): DecodeResult<ClusterLoadAssignment>;
  decodeListener(raw: RawResource, origin: Origin): DecodeResult<Listener>;
  /**
   * Sliced by the caller through `virtualHosts`: a table of 10,000 hosts is decoded host by host. A virtual host whose bytes are those
   * of `previous` is that object again.
   */
  decodeRouteConfiguration(raw: RawResource, origin: Origin, previous?: RouteConfiguration): RouteDecoding;
}

/** A response being split. Call `step` until it says done; then `result`. */
export interface ResponseReading {
  /** Splits off some resources; false when there are none left. Throws MeshError D211 when the bytes are no response. */
  step(): boolean;
  result(): Envelope;
}

/** A route table being decoded. Call `step` until it says done; then `result`. */
export interface RouteDecoding {
  /** Decodes the next virtual host; false when there is none left. May throw MeshError D211. */
  step(): boolean;
  result(): DecodeResult<RouteConfiguration>;
}
