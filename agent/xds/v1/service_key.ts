/**
 * Service keys of xDS v1 (istio-semantics 5.1): `host|port names|label sets`, how endpoints are asked for and virtual hosts
 * are named; and what the name of a port says of its protocol.
 *
 * @example
 * ```ts
 * import { formatServiceKey, parseServiceKey } from "./service_key.ts";
 * const key = parseServiceKey("reviews.default.svc.cluster.local|http|version=v1");
 * key?.labels; // [{ version: "v1" }]
 * formatServiceKey({ host: "reviews", ports: ["http"], labels: [] }); // "reviews|http"
 * ```
 */
import { type PortKind, portKind } from "../../istio/services.ts";

export interface ServiceKey {
  /** Lower-case. */
  readonly host: string;
  /** Port names; one empty name when the key has none. */
  readonly ports: readonly string[];
  /** Alternatives: an endpoint matches when it has all labels of one set. Empty = no filter. */
  readonly labels: readonly Readonly<Record<string, string>>[];
}

/** Undefined when the text is no service key. */
export function parseServiceKey(text: string): ServiceKey | undefined {
  const parts = text.split("|");
  const [host, ports = "", labels = ""] = parts;
  if (host === undefined || host === "" || parts.length > 3 || /[\s/]/.test(host)) return undefined;
  return {
    host: host.toLowerCase(),
    ports: ports.split(","),
    labels: labels === "" ? [] : labels.split(";").map((set) =>
      Object.fromEntries(
        set.split(",").map((pair) => {
          const at = pair.indexOf("=");
          return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
        }),
      )
    ),
  };
}

/** The one spelling that Pilot uses: names and labels sorted, empty parts left out. */
export function formatServiceKey({ host, ports, labels }: ServiceKey): string {
  const names = [...ports].sort().join(",");
  const sets = labels.map((set) =>
    Object.keys(set).sort().map((name) => set[name] === "" ? name : `${name}=${set[name]}`).join(",")
  ).sort().join(";");
  if (sets !== "") return `${host}|${names}|${sets}`;
  return names === "" ? host : `${host}|${names}`;
}

/** A text as one part of a URL path. `~` too is written as %7E. */
export function pathPart(text: string): string {
  return encodeURIComponent(text).replaceAll("~", "%7E");
}

/** `http-web` is HTTP, `web` says nothing (istio-semantics 0.4). */
export function portKindByName(name: string): PortKind {
  const lower = name.toLowerCase();
  if (lower === "grpc-web" || lower.startsWith("grpc-web-")) return portKind("grpc-web");
  const dash = lower.indexOf("-");
  return portKind(dash < 0 ? lower : lower.slice(0, dash));
}
