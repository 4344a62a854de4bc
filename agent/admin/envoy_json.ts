/** Proto-JSON values, and the shape of Envoy's named extensions. */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** `{ name, typedConfig }` with the message's type URL. */
export function extension(name: string, message: string, config: JsonObject): JsonObject {
  return { name, typedConfig: { "@type": `type.googleapis.com/${message}`, ...config } };
}

/** A model value without the fields that are ours alone. Model types are JSON by construction. */
export function plain(value: object, ...without: readonly string[]): JsonObject {
  const out: Record<string, Json> = {};
  for (const [key, v] of Object.entries(value)) {
    if (v !== undefined && !without.includes(key)) out[key] = v as Json;
  }
  return out;
}
