/**
 * The settings of inbound traffic: ports that the agent takes for the local application, and how it checks that one.
 *
 * In: `rest:8084,grpc:9000:9001` (Mesher's --service-ports, with the application's port behind it where it is another), and Mesher's
 * list `localHealthCheck`. Out: {@link ServicePort}s and {@link LocalHealthCheck}s, or what is wrong with them in words.
 *
 * @example
 * ```ts
 * import { parseServicePort } from "./inbound.ts";
 * parseServicePort("rest:8084:18084"); // { protocol: "rest", port: 8084, localPort: 18084 }
 * ```
 */
import { type Diagnostic, diagnostic } from "../core/diagnostics.ts";
import { parseDuration } from "../core/duration.ts";
import { normalAddress } from "../core/ip.ts";
import { nearest } from "../core/suggest.ts";
import type { YamlValue } from "../core/yaml.ts";
import type { AgentConfig, ListenAddress, LocalHealthCheck, ServicePort, SettingOrigin } from "./types.ts";

/** Mesher's word -> what is spoken to the application. */
const PROTOCOLS: Readonly<Record<string, ServicePort["protocol"]>> = {
  rest: "rest",
  http: "rest",
  grpc: "grpc",
  http2: "grpc",
  tcp: "tcp",
};
const WORDS = Object.keys(PROTOCOLS).join(", ");

export const SERVICE_PORT =
  "want PROTOCOL:PORT or PROTOCOL:PORT:LOCALPORT, such as rest:8084 or grpc:9000:9001";

export const HEALTH_CHECK = "want a list of maps with port, protocol, uri, interval, timeout and match";

type ListReading<T> = { readonly value: T[] } | { readonly problem: string; readonly path?: string[] };

/** Undefined when it is none. */
export function parseServicePort(text: string): ServicePort | string {
  const m = /^([A-Za-z0-9-]+):(\d{1,5})(?::(\d{1,5}))?$/.exec(text);
  if (m === null) return SERVICE_PORT;
  const [, word = "", port = "", local = port] = m;
  const protocol = Object.hasOwn(PROTOCOLS, word.toLowerCase()) ? PROTOCOLS[word.toLowerCase()] : undefined;
  if (protocol === undefined) {
    const near = nearest(word, Object.keys(PROTOCOLS));
    return `want one of ${WORDS} before the port` + (near === undefined ? "" : `; did you mean "${near}"?`);
  }
  if (Number(port) > 65_535 || Number(local) > 65_535) return "want ports of at most 65535";
  // A free port is none that the application could know.
  if (Number(local) === 0) return "want the application's port behind port 0, such as rest:0:8084";
  return { protocol, port: Number(port), localPort: Number(local) };
}

export function readServicePorts(value: YamlValue): ListReading<ServicePort> {
  const list = Array.isArray(value) ? value : typeof value === "string" ? value.split(",") : undefined;
  if (list === undefined) return { problem: SERVICE_PORT };
  const ports: ServicePort[] = [];
  for (const [i, each] of list.entries()) {
    if (each === null || (typeof each === "string" && each.trim() === "")) continue;
    const path = Array.isArray(value) ? { path: [String(i)] } : {};
    const read = typeof each === "string" ? parseServicePort(each.trim()) : SERVICE_PORT;
    if (typeof read === "string") return { problem: read, ...path };
    if (read.port !== 0 && ports.some(({ port }) => port === read.port)) {
      return { problem: `port ${read.port} is there twice; want another port`, ...path };
    }
    ports.push(read);
  }
  return { value: ports };
}

/** As it is written. */
export function formatServicePort({ protocol, port, localPort }: ServicePort): string {
  return localPort === port ? `${protocol}:${port}` : `${protocol}:${port}:${localPort}`;
}

const CHECK_KEYS = ["port", "protocol", "uri", "interval", "timeout", "match"];
const MATCH_KEYS = ["status", "body"];
const DEFAULT_INTERVAL_MS = 30_000;
const DEFAULT_TIMEOUT_MS = 3_000;
/** setTimeout's bound; above, a timer would fire at once. */
const MAX_MS = 2 ** 31 - 1;

export function readHealthChecks(value: YamlValue): ListReading<LocalHealthCheck> {
  if (!Array.isArray(value)) return { problem: HEALTH_CHECK };
  const checks: LocalHealthCheck[] = [];
  for (const [i, each] of value.entries()) {
    if (each === null) continue;
    const read = readCheck(each);
    if ("problem" in read) return { problem: read.problem, path: [String(i), ...read.path ?? []] };
    if (checks.some(({ port }) => port === read.port)) {
      return {
        problem: `port ${read.port} is checked twice; want one check for each port`,
        path: [String(i)],
      };
    }
    checks.push(read);
  }
  return { value: checks };
}

function readCheck(value: YamlValue): LocalHealthCheck | { problem: string; path?: string[] } {
  if (!isMap(value)) return { problem: HEALTH_CHECK };
  const unknown = Object.keys(value).find((key) => !CHECK_KEYS.includes(key));
  if (unknown !== undefined) {
    return { problem: `there is no such key; want ${CHECK_KEYS.join(", ")}`, path: [unknown] };
  }
  const { port, protocol = "rest", uri = "/", interval, timeout, match = {} } = value;
  if (!isCount(port, 1, 65_535)) return { problem: "want the application's port", path: ["port"] };
  const kind = protocol === "http" ? "rest" : protocol;
  if (kind !== "rest" && kind !== "tcp") return { problem: "want rest or tcp", path: ["protocol"] };
  if (typeof uri !== "string" || !/^\/[\x21-\x7e]*$/.test(uri)) {
    return { problem: "want a path such as /health", path: ["uri"] };
  }
  const [intervalMs, timeoutMs] = [ms(interval, DEFAULT_INTERVAL_MS), ms(timeout, DEFAULT_TIMEOUT_MS)];
  if (intervalMs === undefined) return { problem: "want a duration such as 10s", path: ["interval"] };
  if (timeoutMs === undefined) return { problem: "want a duration such as 3s", path: ["timeout"] };
  if (!isMap(match)) return { problem: "want a map with status and body", path: ["match"] };
  const wrong = Object.keys(match).find((key) => !MATCH_KEYS.includes(key));
  if (wrong !== undefined) {
    return { problem: `there is no such key; want ${MATCH_KEYS.join(", ")}`, path: ["match", wrong] };
  }
  const { status, body } = match;
  const number = typeof status === "string" && /^\d{3}$/.test(status) ? Number(status) : status;
  if (number != null && !isCount(number, 100, 599)) {
    return { problem: "want a status such as 200", path: ["match", "status"] };
  }
  if (body != null && typeof body !== "string") {
    return { problem: "want a regular expression (in quotes)", path: ["match", "body"] };
  }
  if (kind === "tcp" && (number != null || body != null)) {
    return {
      problem: "a check of tcp gets no answer to match; want protocol rest, or no match",
      path: ["match"],
    };
  }
  return {
    port,
    protocol: kind,
    uri,
    intervalMs,
    timeoutMs,
    ...(number == null ? {} : { status: number }),
    ...(body == null || body === "" ? {} : { body }),
  };
}

function isMap(value: YamlValue): value is { readonly [key: string]: YamlValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: YamlValue | undefined, min: number, max: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max;
}

function ms(value: YamlValue | undefined, fallback: number): number | undefined {
  if (value == null) return fallback;
  const read = typeof value === "string" ? parseDuration(value) : undefined;
  return read !== undefined && read > 0 && read <= MAX_MS ? read : undefined;
}

/** What is known of a setting's place, for a finding. */
type Origins = ReadonlyMap<string, SettingOrigin>;

export const SERVICE_PORTS_KEY = "cse.mesh.inbound.servicePorts";
export const FROM_CONTROL_PLANE_KEY = "cse.mesh.inbound.fromControlPlane";
const CHECKS_KEY = "localHealthCheck";

/** What only shows when the settings are together: an address for the ports, and no way back into the agent. */
export function judgeInbound(
  inbound: NonNullable<AgentConfig["inbound"]>,
  listen: AgentConfig["listen"],
  instanceIp: string,
  type: AgentConfig["serviceDiscovery"]["type"],
  origins: Origins,
): Diagnostic[] {
  const { servicePorts, fromControlPlane, healthChecks } = inbound;
  const found: Diagnostic[] = [];
  const place = (key: string) => origins.get(key)?.where ?? {};
  const cause = servicePorts.length > 0 ? SERVICE_PORTS_KEY : FROM_CONTROL_PLANE_KEY;
  const wrongAddress = addressProblem(instanceIp, origins.get("workload.instanceIp")?.from === "default");
  if (wrongAddress !== undefined && (servicePorts.length > 0 || fromControlPlane)) {
    found.push(
      diagnostic("S125", `Cannot listen in front of the application on ${wrongAddress}`, place(cause)),
    );
  }
  const own: readonly (readonly [string, ListenAddress | null | undefined])[] = [
    ["protocols.http.listenAddress", listen.http],
    ["protocols.grpc.listenAddress", listen.grpc],
    ["protocols.rest-admin.listenAddress", listen.admin],
    ["mesh.healthListenAddress", listen.health],
    ...(listen.tcp ?? []).map((forward) => ["mesh.tcp.listeners", forward.listen] as const),
  ];
  for (const port of servicePorts) {
    const hit = own.find(([, address]) =>
      address?.port === port.localPort && isOn(address.hostname, "127.0.0.1")
    );
    if (hit !== undefined) {
      found.push(diagnostic(
        "S126",
        `Cannot lead service port "${
          formatServicePort(port)
        }" to 127.0.0.1:${port.localPort}: the agent itself ` +
          `listens there (${hit[0]}); want the application's port`,
        place(SERVICE_PORTS_KEY),
      ));
    }
  }
  const here = normalAddress(instanceIp);
  for (const port of servicePorts) {
    const hit = own.find(([, address]) =>
      address?.port === port.port && port.port !== 0 && isOn(address.hostname, here)
    );
    if (hit !== undefined) {
      found.push(diagnostic(
        "S126",
        `Cannot listen for service port "${
          formatServicePort(port)
        }" on ${instanceIp}: the agent itself listens ` +
          `there (${hit[0]}); want another port for one of them`,
        place(SERVICE_PORTS_KEY),
      ));
    }
  }
  if (fromControlPlane && type === "file") {
    found.push(diagnostic(
      "S127",
      "inbound.fromControlPlane has no effect: the rules come from files; want servicePorts",
      place(FROM_CONTROL_PLANE_KEY),
    ));
  }
  for (const { port } of healthChecks) {
    if (fromControlPlane || servicePorts.some(({ localPort }) => localPort === port)) continue;
    found.push(diagnostic(
      "S127",
      `localHealthCheck of port ${port} has no effect: no service port leads to it; want one of --service-ports`,
      place(CHECKS_KEY),
    ));
  }
  return found;
}

/** The rest of a sentence; undefined when the address will do. */
function addressProblem(address: string, isDefault: boolean): string | undefined {
  const normal = normalAddress(address);
  if (isDefault) {
    return "this machine's own address: INSTANCE_IP is not set; want the address of this workload in it";
  }
  const shown = `INSTANCE_IP "${address}": `;
  if (normal === undefined) return `${shown}it is no address; want the IP address of this workload`;
  if (normal === "127.0.0.1" || normal === "0.0.0.0" || normal === "::") {
    return `${shown}the application itself listens on 127.0.0.1; want another address of this workload`;
  }
  return undefined;
}

function isOn(hostname: string, address: string | undefined): boolean {
  const normal = hostname === "localhost" ? "127.0.0.1" : normalAddress(hostname) ?? hostname;
  return normal === address || normal === "0.0.0.0" || normal === "::";
}
