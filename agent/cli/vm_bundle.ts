/**
 * What `istioctl x workload entry configure` writes for a machine: cluster.env, mesh.yaml, hosts, istio-token and root-cert.pem
 * (istioctl/pkg/workload, Istio 1.8 to today) -> what this agent takes of it.
 *
 * In: texts by file name. Out: a {@link Bundle}, with a line for each thing that was not taken. Nothing here touches the machine:
 * what `hosts` says is meant for /etc/hosts, and goes into the agent's own settings instead.
 *
 * @example
 * ```ts
 * import { readBundle } from "./vm_bundle.ts";
 * const hosts = "203.0.113.20 istiod.istio-system.svc\n";
 * readBundle(new Map([["cluster.env", "ISTIO_SVC_IP='10.1.2.3'\n"], ["hosts", hosts]])).pilot; // "grpcs://203.0.113.20:15012"
 * ```
 */
import { normalAddress } from "../core/ip.ts";
import { parseYaml, splitDocuments, type YamlValue } from "../core/yaml.ts";
import { parseHosts } from "../net/hosts_file.ts";

export const BUNDLE_FILES = ["cluster.env", "mesh.yaml", "hosts", "istio-token", "root-cert.pem"] as const;

export interface Bundle {
  /** Address of istiod: by its IP address when `hosts` has its name. */
  readonly pilot: string;
  /** Name in istiod's certificate; absent when the address says it already. */
  readonly serverName?: string;
  readonly namespace?: string;
  /** INSTANCE_IP. */
  readonly ip?: string;
  /** Of ISTIO_SERVICE, without its namespace. */
  readonly service?: string;
  /** ISTIO_SERVICE_CIDR: what the mesh lives in; none when it is `*`. */
  readonly ranges: readonly string[];
  /** Node metadata, ISTIO_META_* and ISTIO_METAJSON_*. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly token?: string;
  readonly rootCert?: string;
  /** What of it was not taken, and why. */
  readonly left: readonly string[];
  /** What is missing or unreadable in it. */
  readonly problems: readonly string[];
}

/** Where istiod is when nothing says it (Istio's own default). */
const ISTIOD = "istiod.istio-system.svc:15012";

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Variables of Istio's own agent that mean nothing here. */
const NOT_HERE: Readonly<Record<string, string>> = {
  ISTIO_META_DNS_CAPTURE: "no DNS is captured",
  ISTIO_LOCAL_EXCLUDE_PORTS: "no port is captured",
  ISTIO_INBOUND_PORTS: "no port is captured: SERVICE_PORTS names those that the agent stands in front of",
};

export function readBundle(files: ReadonlyMap<string, string>): Bundle {
  const problems: string[] = [];
  const left: string[] = [];
  const env = parseEnvironment(files.get("cluster.env") ?? "", problems);
  const { discoveryAddress, proxyMetadata } = meshConfig(files.get("mesh.yaml"), problems);
  for (const [name, value] of proxyMetadata) {
    // It becomes a line of a file that systemd reads, and root's shell.
    if (!VARIABLE.test(name)) {
      problems.push(`mesh.yaml: proxyMetadata has ${JSON.stringify(name)}, which is no name of a variable`);
    } else if (!env.has(name)) env.set(name, value);
  }
  const given = (name: string) => env.get(name) || undefined;

  const metadata = new Map<string, string>();
  for (const [name, value] of [...env].sort(([a], [b]) => a < b ? -1 : 1)) {
    if (name in NOT_HERE) left.push(`${name}: ${NOT_HERE[name]}`);
    else if (/^ISTIO_META(JSON)?_/.test(name) && value !== "") metadata.set(name, value);
  }
  const account = given("SERVICE_ACCOUNT");
  if (account !== undefined && !metadata.has("ISTIO_META_SERVICE_ACCOUNT")) {
    metadata.set("ISTIO_META_SERVICE_ACCOUNT", account);
  }

  const namespace = given("POD_NAMESPACE") ?? given("ISTIO_NAMESPACE");
  const service = given("ISTIO_SERVICE")?.split(".")[0];
  const ip = given("ISTIO_SVC_IP");
  const rootCert = files.get("root-cert.pem");
  const token = files.get("istio-token")?.trim();
  if (rootCert !== undefined && !rootCert.includes("-----BEGIN CERTIFICATE-----")) {
    problems.push("root-cert.pem has no certificate");
  }
  return {
    ...addressOf(discoveryAddress ?? given("CA_ADDR") ?? ISTIOD, files.get("hosts") ?? ""),
    ...(namespace === undefined ? {} : { namespace }),
    ...(ip === undefined ? {} : { ip }),
    ...(service === undefined ? {} : { service }),
    ranges: (given("ISTIO_SERVICE_CIDR") ?? "*").split(",").map((range) => range.trim()).filter((range) =>
      range !== "" && range !== "*"
    ),
    metadata,
    ...(token === undefined || token === "" ? {} : { token }),
    ...(rootCert === undefined ? {} : { rootCert }),
    left,
    problems,
  };
}

/** By the address in `hosts` where the name stands there; then its certificate is for the name. */
function addressOf(discovery: string, hosts: string): { pilot: string; serverName?: string } {
  const [, host = discovery, port = "15012"] = /^(.*?)(?::(\d+))?$/.exec(discovery) ?? [];
  const scheme = port === "15010" ? "grpc" : "grpcs";
  const [address] = parseHosts(hosts).get(host.toLowerCase()) ?? [];
  if (address === undefined) return { pilot: `${scheme}://${host}:${port}` };
  const place = address.includes(":") ? `[${address}]` : address;
  return {
    pilot: `${scheme}://${place}:${port}`,
    ...(scheme === "grpcs" && normalAddress(host) === undefined ? { serverName: host } : {}),
  };
}

function meshConfig(
  text: string | undefined,
  problems: string[],
): { discoveryAddress?: string; proxyMetadata: readonly (readonly [string, string])[] } {
  const [document] = splitDocuments(text ?? "");
  if (document === undefined) return { proxyMetadata: [] };
  const read = parseYaml(document);
  if ("error" in read) {
    problems.push(`mesh.yaml is no YAML: ${read.error.message}`);
    return { proxyMetadata: [] };
  }
  const config = fieldOf(read.value, "defaultConfig");
  const address = fieldOf(config, "discoveryAddress");
  const metadata = fieldOf(config, "proxyMetadata");
  return {
    ...(typeof address === "string" && address !== "" ? { discoveryAddress: address } : {}),
    proxyMetadata: typeof metadata === "object" && metadata !== null
      ? Object.entries(metadata).filter((pair): pair is [string, string] => typeof pair[1] === "string")
      : [],
  };
}

function fieldOf(value: YamlValue | undefined, name: string): YamlValue | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, YamlValue>>)[name]
    : undefined;
}

/** Lines NAME=VALUE, the value quoted as for a shell: 'a', "a", a, and these in a row. */
export function parseEnvironment(text: string, problems: string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const [i, line] of text.split("\n").entries()) {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const [, name, quoted] = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(trimmed) ?? [];
    const value = quoted === undefined ? undefined : unquoted(quoted);
    if (name === undefined || value === undefined) {
      problems.push(`cluster.env:${i + 1} is no NAME=VALUE as a shell reads it`);
    } else found.set(name, value);
  }
  return found;
}

/** Undefined when a quote is not closed. */
function unquoted(text: string): string | undefined {
  let value = "";
  const piece = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^'"\\\s]+)/y;
  let at = 0;
  while (at < text.length) {
    piece.lastIndex = at;
    const match = piece.exec(text);
    if (match === null) return /^\s+(#.*)?$/.test(text.slice(at)) ? value : undefined;
    const [all, single, double, escaped, bare] = match;
    value += single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? bare;
    at += all.length;
  }
  return value;
}
