/** Route tables made for tests: messages as control planes send them, encoded, decoded. */
import type { Route, RouteConfiguration } from "../model/model.ts";
import { loadSchema, type Messages, type Partly } from "../../protos/schema.ts";
import { decodeRouteConfiguration } from "./decode_route.ts";
import type { DecodeResult } from "./types.ts";

export type Table = Partly<Messages["RouteConfiguration"]>;
export type WireRoute = Partly<Messages["Route"]>;

export const schema = loadSchema();
export const origin = { kind: "RouteConfiguration", resource: "80", version: "1" };
export const toA: WireRoute = { match: { prefix: "/" }, route: { cluster: "a" } };

export function decodeBytes(
  bytes: Uint8Array,
  previous?: RouteConfiguration,
  version = "1",
): DecodeResult<RouteConfiguration> {
  const raw = { name: "80", version: "", typeUrl: "", bytes };
  const decoding = decodeRouteConfiguration(schema, raw, { ...origin, version }, previous);
  while (decoding.step());
  return decoding.result();
}

export const decode = (table: Table, previous?: RouteConfiguration, version?: string) =>
  decodeBytes(schema.encode("RouteConfiguration", { name: "80", ...table }), previous, version);

export function good(table: Table, previous?: RouteConfiguration, version?: string): RouteConfiguration {
  const result = decode(table, previous, version);
  if (!("value" in result)) throw new TypeError(JSON.stringify(result.problems));
  return result.value;
}

export const hosts = (...routes: WireRoute[]): Table => ({
  virtual_hosts: [{ name: "h", domains: ["h"], routes }],
});

/** The only route, without its origin; notes as `field: message`. */
export function one(route: WireRoute): { route: Route; notes: string[] } {
  const result = decode(hosts(route));
  if (!("value" in result)) throw new TypeError(JSON.stringify(result.problems));
  const { origin: _, ...rest } = result.value.virtualHosts[0]?.routes[0] as Route;
  return { route: rest, notes: result.notes.map((n) => `${n.where.field}: ${n.message}`) };
}

/** An Any; `url` without its prefix. */
export const any = <K extends keyof Messages>(url: string, name: K, value: Partly<Messages[K]>) => ({
  type_url: `type.googleapis.com/${url}`,
  value: schema.encode(name, value),
});

export const HTTP_FAULT = "envoy.extensions.filters.http.fault.v3.HTTPFault";
