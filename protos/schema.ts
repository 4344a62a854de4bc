/**
 * The schema at run time: bytes <-> messages of xds.proto (messages.ts), and the Struct configurations of old Pilots.
 *
 * In: bytes of a message, or a google.protobuf.Struct. Out: plain objects as {@link Messages} describes them.
 *
 * @example
 * ```ts
 * import { loadSchema } from "./schema.ts";
 * const schema = await loadSchema();
 * const bytes = schema.encode("Locality", { region: "region1" });
 * schema.decode("Locality", bytes).region; // "region1"
 * ```
 */
import { MeshError } from "../agent/core/errors.ts";
import { createMessages, type Field, type MessageSet, type MessageType } from "./messages.ts";
import { WireReader } from "./wire.ts";
import descriptor from "./xds_descriptor.json" with { type: "json" };
import type { Enums, Messages } from "./xds_types.ts";

export { WireReader } from "./wire.ts";
export type { Enums, Messages } from "./xds_types.ts";

/** What {@link Schema.encode} takes: any part of a message. */
export type Partly<T> = T extends Uint8Array | string | number | boolean | null ? T
  : T extends readonly (infer E)[] ? readonly Partly<E>[]
  : { readonly [K in keyof T]?: Partly<T[K]> };

export interface Schema {
  /** Throws MeshError D211 when the bytes are no such message. */
  decode<K extends keyof Messages>(name: K, bytes: Uint8Array): Messages[K];
  encode<K extends keyof Messages>(name: K, value: Partly<Messages[K]>): Uint8Array;
  /**
   * A message out of its JSON form in a Struct, as Pilots up to 1.3 send filter configurations: snake_case, camelCase and
   * v2 names, durations and enums as text, wrappers as bare values. Unknown names are skipped, nulls too. Throws D211.
   */
  structToMessage<K extends keyof Messages>(name: K, struct: Messages["Struct"]): Messages[K];
  /** A Struct out of a JSON object, in the shape that {@link encode} takes. */
  jsonToStruct(object: Readonly<Record<string, unknown>>): Partly<Messages["Struct"]>;
  /** Undefined for a number that the enum does not have. */
  enumName<K extends keyof Enums>(name: K, value: number): Enums[K] | undefined;
  reader(bytes: Uint8Array): WireReader;
}

let loaded: Schema | undefined;

/** The schema, made once. */
export function loadSchema(): Schema {
  return loaded ??= schemaOf(createMessages(descriptor.nested.xds.nested as never));
}

/** What `decode` gives; whatever it throws becomes a MeshError D211. */
export function orUndecodable<T>(name: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (cause instanceof MeshError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MeshError("D211", `Cannot decode ${name}: ${reason}`, { side: "upstream", cause });
  }
}

function schemaOf(messages: MessageSet): Schema {
  const structs = structReader(messages);
  return {
    decode: (name, bytes) => orUndecodable(name, () => messages.decode(messages.type(name), bytes) as never),
    encode: (name, value) => messages.encode(messages.type(name), value as never),
    structToMessage: (name, struct) =>
      orUndecodable(name, () => structs.message(messages.type(name), struct, name) as never),
    jsonToStruct,
    enumName: (name, value) => messages.enum(name).names.get(value) as never,
    reader: (bytes) => new WireReader(bytes),
  };
}

function jsonToStruct(object: Readonly<Record<string, unknown>>): Partly<Messages["Struct"]> {
  const entries = Object.entries(object).filter(([, value]) => value !== undefined);
  return { fields: Object.fromEntries(entries.map(([name, value]) => [name, jsonToValue(value)])) };
}

function jsonToValue(value: unknown): Partly<Messages["Value"]> {
  switch (typeof value) {
    case "string":
      return { string_value: value };
    case "number":
      return { number_value: value };
    case "boolean":
      return { bool_value: value };
    case "object":
      if (value === null) return { null_value: 0 };
      return Array.isArray(value)
        ? { list_value: { values: value.map(jsonToValue) } }
        : { struct_value: jsonToStruct(value as Record<string, unknown>) };
    default:
      return { null_value: 0 };
  }
}

type Value = Messages["Value"];
type Struct = Messages["Struct"];

const WRAPPERS: ReadonlySet<string> = new Set(["UInt32Value", "UInt64Value", "BoolValue", "DoubleValue"]);

interface StructReader {
  message(type: MessageType, struct: Struct, path: string): Record<string, unknown>;
}

/** Reads messages out of Structs; `path` is for the messages of its errors. */
function structReader(messages: MessageSet): StructReader {
  const namesByType = new Map<MessageType, Map<string, Field>>();
  const fieldsOf = (type: MessageType): Map<string, Field> => {
    let names = namesByType.get(type);
    if (names !== undefined) return names;
    names = new Map();
    for (const field of type.fields) {
      names.set(field.name, field);
      names.set(field.name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()), field);
    }
    // After the others: in v2 JSON `host_rewrite` is field 6, not v3's new field of that name.
    for (const field of type.fields) {
      const { v2Name } = field;
      if (v2Name === undefined) continue;
      names.set(v2Name, field);
      names.set(v2Name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()), field);
    }
    namesByType.set(type, names);
    return names;
  };

  const message = (type: MessageType, struct: Struct, path: string): Record<string, unknown> => {
    const result = type.create();
    const fields = fieldsOf(type);
    for (const [name, value] of Object.entries(struct.fields)) {
      const field = fields.get(name);
      if (field === undefined || value.kind === undefined || value.kind === "null_value") continue;
      result[field.name] = fieldValue(field, value, `${path}.${field.name}`);
      if (field.oneof !== undefined) result[field.oneof.name] = field.name;
    }
    return result;
  };

  const fieldValue = (field: Field, value: Value, path: string): unknown => {
    if (field.map) {
      const entries = Object.entries(expect(value.struct_value, "an object", path).fields);
      return Object.fromEntries(
        entries.filter(([, entry]) => entry.kind !== "null_value")
          .map(([key, entry]) => [key, single(field, entry, `${path}[${JSON.stringify(key)}]`)]),
      );
    }
    if (field.repeated) {
      const list = expect(value.list_value, "a list", path).values;
      return list.filter((entry) => entry.kind !== "null_value")
        .map((entry, i) => single(field, entry, `${path}[${i}]`));
    }
    return single(field, value, path);
  };

  const single = (field: Field, value: Value, path: string): unknown => {
    if (field.enum !== undefined) {
      if (value.number_value !== null) return value.number_value;
      const name = value.string_value ?? "";
      const { values } = field.enum;
      return expect(Object.hasOwn(values, name) ? values[name] : null, "a name of the enum", path);
    }
    const { message: type } = field;
    if (type === undefined) return scalar(field.scalar as string, value, path);
    if (type.name === "Value") return value;
    if (type.name === "Struct") return expect(value.struct_value, "an object", path);
    if (type.name === "ListValue") return expect(value.list_value, "a list", path);
    if (type.name === "Duration" && value.string_value !== null) {
      return message(type, durationFields(value.string_value, path), path);
    }
    if (WRAPPERS.has(type.name) && value.struct_value === null) {
      return Object.assign(type.create(), {
        value: scalar(type.fields[0]?.scalar as string, value, path),
      });
    }
    const struct = expect(value.struct_value, "an object", path);
    return type.name === "Any" ? any(struct, path) : message(type, struct, path);
  };

  /** JSON of an Any whose message we know; of another one only the type is kept. */
  const any = (struct: Struct, path: string): unknown => {
    const url = struct.fields["@type"]?.string_value ?? "";
    const name = messageOfTypeUrl(url);
    const known = name === undefined ? undefined : messages.type(name);
    const value = known !== undefined
      ? messages.encode(known, message(known, struct, path))
      : new Uint8Array(0);
    return Object.assign(messages.type("Any").create(), { type_url: url, value });
  };

  return { message };
}

function expect<T>(value: T | null | undefined, what: string, path: string): T {
  if (value === null || value === undefined) throw new Error(`${path}: must be ${what}`);
  return value;
}

function scalar(type: string, value: Value, path: string): unknown {
  switch (type) {
    case "string":
      return expect(value.string_value, "a text", path);
    case "bool":
      return expect(value.bool_value, "true or false", path);
    case "bytes":
      return Uint8Array.from(atob(expect(value.string_value, "base64", path)), (c) => c.charCodeAt(0));
    default: {
      const number = value.number_value ?? Number(value.string_value ?? NaN);
      if (Number.isNaN(number)) throw new Error(`${path}: must be a number`);
      return number;
    }
  }
}

/** `1.5s` -> seconds and nanos. */
function durationFields(text: string, path: string): Struct {
  const match = /^(-?)(\d+)(?:\.(\d{1,9}))?s$/.exec(text);
  if (match === null) {
    throw new Error(`${path}: must be a duration such as 1.5s, not ${JSON.stringify(text)}`);
  }
  const sign = match[1] === "-" ? -1 : 1;
  const number = (value: number): Value => ({ kind: "number_value", number_value: value }) as Value;
  return {
    fields: {
      seconds: number(sign * Number(match[2])),
      nanos: number(sign * Number((match[3] ?? "").padEnd(9, "0"))),
    },
  };
}

const BY_FULL_NAME = new Map<string, keyof Messages>(Object.entries<keyof Messages>({
  "envoy.extensions.upstreams.http.HttpProtocolOptions": "UpstreamHttpOptions",
  "envoy.extensions.filters.http.cors.CorsPolicy": "CorsFilterPolicy",
  "envoy.extensions.filters.network.http_connection_manager.HttpConnectionManager": "HttpConnectionManager",
  "envoy.config.filter.network.http_connection_manager.HttpConnectionManager": "HttpConnectionManager",
  "envoy.extensions.filters.network.tcp_proxy.TcpProxy": "TcpProxy",
  "envoy.config.filter.network.tcp_proxy.TcpProxy": "TcpProxy",
  "envoy.extensions.filters.http.fault.HTTPFault": "HTTPFault",
  "envoy.config.filter.http.fault.HTTPFault": "HTTPFault",
  "envoy.config.route.FilterConfig": "FilterConfig",
  "envoy.extensions.transport_sockets.tls.UpstreamTlsContext": "UpstreamTlsContext",
  "envoy.api.v2.auth.UpstreamTlsContext": "UpstreamTlsContext",
  "envoy.extensions.transport_sockets.proxy_protocol.ProxyProtocolUpstreamTransport":
    "ProxyProtocolUpstreamTransport",
  "envoy.extensions.load_balancing_policies.round_robin.RoundRobin": "RoundRobinLbPolicyConfig",
  "envoy.extensions.load_balancing_policies.least_request.LeastRequest": "LeastRequestLbPolicyConfig",
  "envoy.extensions.load_balancing_policies.random.Random": "RandomLbPolicyConfig",
  "envoy.extensions.load_balancing_policies.ring_hash.RingHash": "RingHashLbPolicyConfig",
  "envoy.extensions.load_balancing_policies.maglev.Maglev": "MaglevLbPolicyConfig",
  "envoy.extensions.load_balancing_policies.wrr_locality.WrrLocality": "WrrLocalityLbPolicyConfig",
  "udpa.type.TypedStruct": "TypedStruct",
  "xds.type.TypedStruct": "TypedStruct",
}));

/** Message of xds.proto that an Any with this type URL holds; undefined for types that we do not know. Versions do not matter. */
export function messageOfTypeUrl(url: string): keyof Messages | undefined {
  const name = url.slice(url.lastIndexOf("/") + 1);
  if (name.startsWith("envoy.api.v2.")) return BY_FULL_NAME.get(name);
  return BY_FULL_NAME.get(name.replace(/\.v\d+(?:alpha|beta)?\d*(?=\.\w+$)/, ""));
}
