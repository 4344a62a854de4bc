/**
 * Where rule files send traffic to, read off before anything is compiled: the addresses and hosts of ServiceEntry and WorkloadEntry.
 * Most documents are passed over by their text alone: those that name only addresses which are in the scope anyway.
 *
 * @example
 * ```ts
 * import { namedPlaces } from "./rule_places.ts";
 * const text = "kind: ServiceEntry\nspec: {hosts: [api.example.com], ports: [{number: 443}], resolution: DNS}";
 * namedPlaces(new Map([["api.yaml", text]]), () => false); // [{ place: "api.example.com:443", where: "api.yaml:1" }]
 * ```
 */
import { parseYaml, splitDocuments, type YamlDocument, type YamlValue } from "../core/yaml.ts";
import { formatNetEntry, parseNetEntry } from "../settings/net_entry.ts";

export interface NamedPlace {
  /** As an entry of `cse.mesh.permissions.net`. */
  readonly place: string;
  /** File and first line of the document. */
  readonly where: string;
}

const NAMES_PLACES = /\bkind"?\s*:\s*["']?(?:ServiceEntry|WorkloadEntry)\b/;
/** Endpoints of STATIC are addresses; everything else may name hosts. */
const STATIC = /\bresolution"?\s*:\s*["']?STATIC\b/;
const NO_STATIC =
  /\bresolution"?\s*:\s*["']?(?:DNS|NONE|DYNAMIC)|\bkind"?\s*:\s*["']?(?:WorkloadEntry|\w*List)\b/;
const ADDRESS =
  /(?<![\w.:-])(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9a-fA-F]{0,4}:[0-9a-fA-F:]*:[0-9a-fA-F:.]*\]?)(?![\w.:])/g;

/** `files`: name -> text, JSON or YAML. `inside`: is the address in the scope whatever the port? Each place once, in order. */
export function namedPlaces(
  files: ReadonlyMap<string, string>,
  inside: (address: string) => boolean,
): NamedPlace[] {
  const places = new Map<string, string>();
  for (const [name, text] of files) {
    if (!NAMES_PLACES.test(text)) continue;
    for (const document of splitDocuments(text)) {
      if (!mayLeadOut(document.text, inside)) continue;
      for (const place of placesOf(document)) {
        if (!places.has(place)) places.set(place, `${name}:${document.line}`);
      }
    }
  }
  return [...places].map(([place, where]) => ({ place, where }));
}

function mayLeadOut(text: string, inside: (address: string) => boolean): boolean {
  if (!NAMES_PLACES.test(text)) return false;
  if (!STATIC.test(text) || NO_STATIC.test(text)) return true;
  for (const [address] of text.matchAll(ADDRESS)) if (!inside(address)) return true;
  return false;
}

function placesOf(document: YamlDocument): string[] {
  const parsed = parseYaml(document);
  if ("error" in parsed) return [];
  const objects = [parsed.value, ...list(parsed.value, "items")];
  return objects.flatMap((object) => {
    const spec = field(object, "spec") ?? null;
    switch (field(object, "kind")) {
      case "ServiceEntry":
        return placesOfService(spec);
      case "WorkloadEntry":
        return placesAt(field(spec, "address"), Object.values(field(spec, "ports") ?? {}));
      default:
        return [];
    }
  });
}

function placesOfService(spec: YamlValue): string[] {
  const ports = list(spec, "ports");
  const numbers = (key: "targetPort" | "number") =>
    ports.map((port) => field(port, key) ?? field(port, "number"));
  const endpoints = list(spec, "endpoints");
  if (endpoints.length > 0) {
    return endpoints.flatMap((endpoint) => {
      const own = field(endpoint, "ports");
      const of = ports.map((port) =>
        field(own ?? null, String(field(port, "name"))) ?? field(port, "targetPort") ?? field(port, "number")
      );
      return placesAt(field(endpoint, "address"), of);
    });
  }
  const resolution = field(spec, "resolution") ?? "NONE";
  if (resolution === "STATIC") return [];
  const hosts = list(spec, "hosts").flatMap((host) =>
    placesAt(host, numbers(resolution === "NONE" ? "number" : "targetPort"))
  );
  if (resolution !== "NONE") return hosts;
  return [...hosts, ...list(spec, "addresses").flatMap((address) => placesAt(address, numbers("number")))];
}

/** Without ports at every port. Sockets of this machine and whatever is no place are left out. */
function placesAt(host: YamlValue | undefined, ports: readonly unknown[]): string[] {
  if (typeof host !== "string") return [];
  const entry = parseNetEntry(host);
  if (entry === undefined || entry.port !== undefined || entry.kind === "any" || entry.kind === "private") {
    return [];
  }
  const numbers = ports.filter((port): port is number => Number.isInteger(port) && Number(port) > 0);
  const entries = numbers.length === 0 ? [entry] : numbers.map((port) => ({ ...entry, port }));
  return entries.map((each) => formatNetEntry(each) as string);
}

function field(value: YamlValue | undefined, key: string): YamlValue | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, key)
    ? (value as Readonly<Record<string, YamlValue>>)[key] ?? undefined
    : undefined;
}

function list(value: YamlValue, key: string): readonly YamlValue[] {
  const items = field(value, key);
  return Array.isArray(items) ? items : [];
}
