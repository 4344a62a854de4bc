/**
 * Proto-JSON (lowerCamel, durations as `1.5s`, wrappers as bare values, Any with `@type`) -> bytes, by the schema of protos/.
 * An unknown field is a mistake of the test and throws.
 *
 * @example
 * ```ts
 * import { encodeMessage } from "./xds_encode.ts";
 * encodeMessage("Cluster", { name: "a", type: "EDS", connectTimeout: "1s" });
 * ```
 */
import protobuf from "protobufjs";
import type { Json, JsonObject } from "../../agent/admin/envoy_json.ts";
import descriptor from "../../protos/xds_descriptor.json" with { type: "json" };

const root = protobuf.Root.fromJSON(descriptor as protobuf.INamespace).resolveAll();

/** Messages that the flat schema had to call otherwise. */
const RENAMED: Readonly<Record<string, string>> = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": "UpstreamHttpOptions",
  "envoy.extensions.filters.http.cors.v3.CorsPolicy": "CorsFilterPolicy",
};
/** Extensions of which only the name matters: their content is left out. */
const BY_NAME_ALONE = /\.(Router|Cors|GrpcStats|PreviousHostsPredicate|PreviousPrioritiesConfig)$/;
/** Fields of Envoy that the schema leaves out, since the agent has no use for them. */
const LEFT_OUT = new Set(["localityWeightedLbConfig"]);
const WRAPPERS = new Set(["UInt32Value", "UInt64Value", "BoolValue", "DoubleValue"]);

/** `type` is the name in protos/xds.proto. */
export function encodeMessage(type: string, value: JsonObject): Uint8Array {
  const message = root.lookupType(type);
  return message.encode(objectOf(message, value, type)).finish();
}

const fieldsByJsonName = new Map<protobuf.Type, ReadonlyMap<string, protobuf.Field>>();

function fieldsOf(type: protobuf.Type): ReadonlyMap<string, protobuf.Field> {
  let fields = fieldsByJsonName.get(type);
  if (fields === undefined) {
    fields = new Map(type.fieldsArray.map((f) => [camelCase(f.name), f.resolve()]));
    fieldsByJsonName.set(type, fields);
  }
  return fields;
}

function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
}

function objectOf(type: protobuf.Type, value: JsonObject, path: string): Record<string, unknown> {
  const fields = fieldsOf(type);
  const out: Record<string, unknown> = {};
  for (const [name, v] of Object.entries(value)) {
    if (LEFT_OUT.has(name)) continue;
    const field = fields.get(name);
    if (field === undefined) throw new Error(`Cannot encode "${path}.${name}": the schema has no such field`);
    const at = `${path}.${name}`;
    if (field instanceof protobuf.MapField) {
      out[field.name] = Object.fromEntries(
        Object.entries(v as JsonObject).map(([key, item]) => [key, valueOf(field, item, `${at}[${key}]`)]),
      );
    } else if (field.repeated) {
      out[field.name] = (v as readonly Json[]).map((item, i) => valueOf(field, item, `${at}[${i}]`));
    } else out[field.name] = valueOf(field, v, at);
  }
  return out;
}

function valueOf(field: protobuf.Field, value: Json, path: string): unknown {
  const type = field.resolvedType;
  if (type instanceof protobuf.Enum) {
    const number = type.values[value as string];
    if (number === undefined) throw new Error(`Cannot encode "${path}": ${type.name} has no ${value}`);
    return number;
  }
  if (type === null) return field.type === "bytes" ? fromBase64(value as string) : value;
  if (WRAPPERS.has(type.name)) return { value };
  switch (type.name) {
    case "Duration":
      return durationOf(value as string);
    case "Struct":
      return structOf(value as JsonObject);
    case "Any":
      return anyOf(value as JsonObject);
    default:
      return objectOf(type, value as JsonObject, path);
  }
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

function durationOf(text: string): { seconds: number; nanos: number } {
  const total = Number(text.slice(0, -1));
  const seconds = Math.trunc(total);
  return { seconds, nanos: Math.round((total - seconds) * 1e9) };
}

function anyOf(value: JsonObject): { type_url: string; value: Uint8Array } {
  const { "@type": url, ...rest } = value;
  const fullName = (url as string).slice("type.googleapis.com/".length);
  const content = BY_NAME_ALONE.test(fullName) ? new Uint8Array() : encodeMessage(
    RENAMED[fullName] ?? fullName.slice(fullName.lastIndexOf(".") + 1),
    rest,
  );
  return { type_url: url as string, value: content };
}

/** A JSON object as google.protobuf.Struct. */
function structOf(value: JsonObject): { fields: Record<string, unknown> } {
  return { fields: Object.fromEntries(Object.entries(value).map(([name, v]) => [name, structValue(v)])) };
}

function structValue(value: Json): Record<string, unknown> {
  if (value === null) return { null_value: 0 };
  if (typeof value === "string") return { string_value: value };
  if (typeof value === "number") return { number_value: value };
  if (typeof value === "boolean") return { bool_value: value };
  if (Array.isArray(value)) return { list_value: { values: value.map(structValue) } };
  return { struct_value: structOf(value as JsonObject) };
}
