/** The addresses of control planes: what may be written, and what it means for each type. */
import type { ControlPlaneAddress, SourceType } from "./types.ts";
import { isIpv4 } from "./value.ts";

export type PilotType = Exclude<SourceType, "file">;
type Scheme = ControlPlaneAddress["scheme"];

/**
 * Where each Pilot is in a cluster. istiod's certificate carries `istiod.istio-system.svc`, so that going over to TLS changes
 * scheme and port only; plaintext is the default because it needs no files.
 */
export const DEFAULT_ADDRESSES: Readonly<Record<PilotType, string>> = {
  pilot: "http://istio-pilot.istio-system:8080",
  pilotv2: "grpc://istio-pilot.istio-system:15010",
  pilotv3: "grpc://istiod.istio-system.svc:15010",
};

const PORTS: Readonly<Record<Scheme, number>> = { http: 8080, grpc: 15_010, grpcs: 15_012 };
/** The first is meant when none is written. */
const SCHEMES: Readonly<Record<PilotType, readonly [Scheme, ...Scheme[]]>> = {
  pilot: ["http"],
  pilotv2: ["grpc", "grpcs"],
  pilotv3: ["grpc", "grpcs"],
};
/** By convention TLS: meant when no scheme is written. */
const TLS_PORT = PORTS.grpcs;

/** An address, or what is wrong with it and what to write. */
export type AddressReading = { readonly address: ControlPlaneAddress } | {
  readonly text: string;
  readonly problem: string;
};

/**
 * `http://HOST:PORT`, `grpc://HOST:PORT`, `grpcs://HOST:PORT` or `HOST:PORT`, separated by commas, in the order of preference;
 * the port may be left out. `httpMeansGrpc`: as Mesher's router.address, where http:// and grpc:// are the same. What is
 * written twice counts once.
 */
export function readControlPlanes(
  list: string,
  type: PilotType,
  { httpMeansGrpc = false }: { readonly httpMeansGrpc?: boolean } = {},
): AddressReading[] {
  const texts = list.split(",").map((text) => text.trim()).filter((text) => text !== "");
  if (texts.length === 0) {
    return [{ text: list, problem: `it is empty; want ${DEFAULT_ADDRESSES[type]} or alike` }];
  }
  const readings: AddressReading[] = [];
  const seen = new Set<string>();
  for (const text of texts) {
    const reading = readControlPlane(text, type, httpMeansGrpc);
    if ("address" in reading) {
      const { scheme, host, port } = reading.address;
      const key = `${scheme}://${host}:${port}`;
      if (seen.has(key)) continue;
      seen.add(key);
    }
    readings.push(reading);
  }
  return readings;
}

function readControlPlane(text: string, type: PilotType, httpMeansGrpc: boolean): AddressReading {
  const wrong = (problem: string): AddressReading => ({ text, problem });
  const [, written, rest] = /^(?:([A-Za-z][\w+.-]*):\/\/)?(.*)$/s.exec(text) as unknown as [
    string,
    string | undefined,
    string,
  ];
  const like = DEFAULT_ADDRESSES[type];
  const place = rest.replace(/\/$/, "");
  if (/[/\\]/.test(place)) return wrong(`it has a path; want host and port only, such as ${like}`);
  if (/[?#@\s]/.test(place)) return wrong(`want host and port only, such as ${like}`);
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(place);
  if (match === null) {
    return wrong(
      /^[0-9a-fA-F:]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$/.test(place)
        ? `an IPv6 address stands in brackets; want such as grpc://[${place}]:15010`
        : `it is no host and port; want such as ${like}`,
    );
  }
  const [, six, name, digits] = match;
  const host = (six ?? name) as string;
  if (six !== undefined && !six.includes(":")) {
    return wrong(`only IPv6 addresses stand in brackets; want such as ${like}`);
  }
  if (name !== undefined && /^[\d.]+$/.test(name) && !isIpv4(name)) {
    return wrong(`"${name}" is no IPv4 address; want such as ${like}`);
  }
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port === 0 || port > 65_535)) {
    return wrong(`port ${digits} is out of range; want 1 to 65535`);
  }
  const shown = six === undefined ? host : `[${host}]`;
  const scheme = schemeOf(written?.toLowerCase(), type, port, httpMeansGrpc, shown);
  return "problem" in scheme
    ? wrong(scheme.problem)
    : { address: { text, scheme: scheme.scheme, host, port: port ?? PORTS[scheme.scheme] } };
}

function schemeOf(
  written: string | undefined,
  type: PilotType,
  port: number | undefined,
  httpMeansGrpc: boolean,
  host: string,
): { scheme: Scheme } | { problem: string } {
  const known = SCHEMES[type];
  if (written === undefined) {
    return { scheme: known.includes("grpcs") && port === TLS_PORT ? "grpcs" : known[0] };
  }
  const scheme = known.find((s) => s === written);
  if (scheme !== undefined) return { scheme };
  if (written === "http" && httpMeansGrpc) return { scheme: "grpc" };
  if (type === "pilot") {
    const plain = `want http://${host}:${written === "https" ? port ?? PORTS.http : PORTS.http}`;
    if (written === "https") return { problem: `Pilot's v1 API is asked without TLS; ${plain}` };
    if (written === "grpc" || written === "grpcs") {
      return {
        problem:
          `type pilot asks Pilot's v1 API by HTTP; ${plain}, or serviceDiscovery.type pilotv2 or pilotv3`,
      };
    }
    return { problem: `there is no scheme ${written}:// here; ${plain}` };
  }
  const plain = `grpc://${host}:${port === undefined || port === PORTS.http ? PORTS.grpc : port}`;
  if (written === "http") {
    return {
      problem: `${type} speaks gRPC; want ${plain}, or serviceDiscovery.type pilot for Pilot's v1 API`,
    };
  }
  if (written === "https") {
    return { problem: `${type} speaks gRPC; want grpcs://${host}:${port ?? TLS_PORT} for TLS` };
  }
  return { problem: `there is no scheme ${written}:// here; want ${plain}, or grpcs:// for TLS` };
}
