/** CORS of a route (istio-semantics 1.10): preflights are answered here, other answers get their headers. */
import type { CompiledCors } from "../route/types.ts";
import type { Exchange } from "./exchange.ts";
import type { Field } from "./fields.ts";

function field(name: string, value: string): Field {
  return { name, key: name, value };
}

/** Headers for the answer to an ordinary request; null when the origin is absent or not allowed. */
export function corsFields(ex: Exchange, cors: CompiledCors): Field[] | null {
  const origin = ex.head.value("origin");
  if (origin === undefined || origin === "" || !cors.originAllowed(origin)) return null;
  const fields = [field("access-control-allow-origin", origin)];
  if (cors.allowCredentials) fields.push(field("access-control-allow-credentials", "true"));
  if (cors.exposeHeaders !== "") fields.push(field("access-control-expose-headers", cors.exposeHeaders));
  return fields;
}

/**
 * Headers of the answer to a preflight; null when it is to be forwarded. One that is neither allowed nor forwarded gets all but
 * what names the origin, as in Envoy.
 */
export function preflightFields(ex: Exchange, cors: CompiledCors): Field[] | null {
  if (ex.method !== "OPTIONS") return null;
  const origin = ex.head.value("origin");
  const method = ex.head.value("access-control-request-method");
  if (origin === undefined || origin === "" || method === undefined || method === "") return null;
  const fields = corsFields(ex, cors);
  if (fields === null && cors.forwardNotMatchingPreflights) return null;
  const answer = fields ?? (cors.allowCredentials ? [field("access-control-allow-credentials", "true")] : []);
  const methods = cors.allowMethods === "*" ? method : cors.allowMethods;
  if (methods !== "") answer.push(field("access-control-allow-methods", methods));
  const asked = ex.head.value("access-control-request-headers") ?? "";
  const headers = cors.allowHeaders === "*" ? asked : cors.allowHeaders;
  if (headers !== "") answer.push(field("access-control-allow-headers", headers));
  if (cors.maxAge !== "") answer.push(field("access-control-max-age", cors.maxAge));
  return answer;
}
