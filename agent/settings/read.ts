/**
 * Settings: Mesher's conf directory, the environment and flags become one {@link AgentConfig}, each value with its origin.
 *
 * In: texts of the files, variables, flags. Out: the settings, or every mistake at once with file:line:column. A flag beats a
 * variable, a variable a file, a file the default. Pure: whoever calls it reads files and the environment (by name:
 * `ENV_NAMES`, and what {@link referencedVariables} finds).
 *
 * @example
 * ```ts
 * import { readSettings } from "./read.ts";
 * const files = new Map([["chassis.yaml", "cse: {protocols: {http: {listenAddress: 127.0.0.1:8080}}}"]]);
 * const { config, diagnostics } = readSettings({ directory: "/conf", files, env: new Map() });
 * config?.listen.http.port; // 8080
 * ```
 */
import { type Diagnostic, diagnostic, hasErrors } from "../core/diagnostics.ts";
import { isAbsolutePath, joinPath } from "../core/path.ts";
import { nearest } from "../core/suggest.ts";
import type { YamlValue } from "../core/yaml.ts";
import { type Context, type SettingFlags, valueOf } from "./effective.ts";
import { FROM_CONTROL_PLANE_KEY, judgeInbound, SERVICE_PORTS_KEY } from "./inbound.ts";
import { FILES, INERT_FILES } from "./schema.ts";
import { readSources } from "./source_settings.ts";
import { type Found, readTree } from "./tree.ts";
import type {
  AgentConfig,
  ListenAddress,
  LocalHealthCheck,
  ServicePort,
  SettingOrigin,
  TcpForward,
} from "./types.ts";
import { formatListenAddress } from "./value.ts";
import { readMetadata, workloadLabels } from "./workload.ts";

export type { SettingFlags } from "./effective.ts";
export { referencedVariables } from "./expand.ts";
export { formatConfig, jsonConfig, settingsTable } from "./format.ts";
export { ENV_NAMES, ENV_PERMISSIONS, SETTINGS } from "./schema.ts";
export { PAIRS, pairsTable } from "./sources.ts";

export interface SettingsInput {
  /** Absolute path of the conf directory; empty when there is none. Relative rules directories start here. */
  readonly directory: string;
  /** Prefix of file names in diagnostics. Default: `directory`. */
  readonly label?: string;
  /** File name (`chassis.yaml`) -> text. */
  readonly files: ReadonlyMap<string, string>;
  /** Asked by name; need not list what it has. */
  readonly env: ReadonlyMap<string, string>;
  readonly flags?: SettingFlags | undefined;
  /** Variables that the caller was not permitted to read. Others that `env` does not give are unset. */
  readonly unreadable?: ReadonlySet<string>;
}

export interface SettingsReading {
  /** Absent when a diagnostic is an error. */
  readonly config?: AgentConfig;
  readonly diagnostics: Diagnostic[];
}

/** Never throws for what is in its input. */
export function readSettings(input: SettingsInput): SettingsReading {
  const diagnostics: Diagnostic[] = [];
  const found = readFiles(input, diagnostics);
  const context: Context = { input, found, origins: new Map(), refused: new Set(), diagnostics };
  const { metadata, diagnostics: wrongMetadata } = readMetadata(input.env);
  diagnostics.push(...wrongMetadata);
  const config = assemble(context, metadata);
  // Finding places is slow, and mere infos are mostly not looked at.
  return hasErrors(diagnostics) ? { diagnostics: sorted(diagnostics) } : { config, diagnostics };
}

/** By file and place; what has no place first. */
function sorted(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const place = ({ where: { file = "", line = 0, column = 0 } }: Diagnostic) => ({ file, line, column });
  return diagnostics.map((d) => ({ d, at: place(d) })).sort((a, b) =>
    (a.at.file < b.at.file ? -1 : a.at.file > b.at.file ? 1 : 0) || a.at.line - b.at.line ||
    a.at.column - b.at.column
  ).map(({ d }) => d);
}

/** What the files set, by key. */
function readFiles(input: SettingsInput, diagnostics: Diagnostic[]): Map<string, Found> {
  const found = new Map<string, Found>();
  const label = input.label ?? input.directory;
  const labelled = (name: string) => label === "" ? name : joinPath(label, name);
  for (const name of [...input.files.keys()].sort((a, b) => FILES.indexOf(a) - FILES.indexOf(b))) {
    const text = input.files.get(name) as string;
    if (!FILES.includes(name)) {
      const told = judgeFile(name, text, labelled(name));
      if (told !== undefined) diagnostics.push(told);
      continue;
    }
    const read = readTree(labelled(name), text);
    diagnostics.push(...read.diagnostics);
    for (const one of read.found) {
      const { key } = one.setting;
      const before = found.get(key);
      if (before === undefined) {
        found.set(key, one);
      } else if (!isSame(before.value, one.value)) {
        const { file, line, column } = before.where;
        diagnostics.push(
          diagnostic(
            "S106",
            `Cannot read "${
              one.path.join(".")
            }": it is set at ${file}:${line}:${column}, too, to something else`,
            one.where,
          ),
        );
      }
    }
  }
  return found;
}

/** Scalars, and maps of scalars; what is deeper (aliases can make it endless) is never the same. */
function isSame(a: YamlValue, b: YamlValue, deep = true): boolean {
  if (a === b) return true;
  if (!deep || typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [keys, others] = [Object.keys(a), Object.keys(b)];
  return keys.length === others.length &&
    keys.every((key) => isSame(Reflect.get(a, key), Reflect.get(b, key), false));
}

function judgeFile(name: string, text: string, file: string): Diagnostic | undefined {
  if (!/\.ya?ml$/i.test(name)) return undefined;
  const why = INERT_FILES.get(name);
  if (why !== undefined) {
    // Mesher's own come with every line commented out.
    if (!/^\s*[^\s#-]/m.test(text)) return undefined;
    return diagnostic("S121", `File "${name}" has no effect here: ${why}`, { file });
  }
  // By the stem: the common ending would make everything near.
  const stem = (file: string) => file.replace(/\.ya?ml$/i, "");
  const near = nearest(stem(name), FILES.map(stem));
  return diagnostic(
    "S122",
    `File "${name}" is not read` + (near === undefined ? "" : `; did you mean "${near}.yaml"?`),
    { file },
  );
}

function assemble(context: Context, metadata: Record<string, unknown>): AgentConfig {
  const { input, origins } = context;
  const value = <T>(key: string) => valueOf(context, key) as T;

  const http = value<ListenAddress>("cse.protocols.http.listenAddress");
  const grpc = value<ListenAddress | undefined>("cse.protocols.grpc.listenAddress");
  const adminAddress = value<ListenAddress>("cse.protocols.rest-admin.listenAddress");
  const admin = value<boolean>("admin.enable") ? adminAddress : null;
  const tcp = value<readonly TcpForward[]>("cse.mesh.tcp.listeners");
  const health = value<ListenAddress | undefined>("cse.mesh.healthListenAddress");
  warnOfOpenListeners(context, http, grpc, admin, tcp);

  const workload = {
    podName: value<string>("workload.podName"),
    namespace: value<string>("workload.namespace"),
    instanceIp: value<string>("workload.instanceIp"),
  };
  const sources = readSources(context, workload);
  const inbound = {
    servicePorts: value<readonly ServicePort[]>(SERVICE_PORTS_KEY),
    fromControlPlane: value<boolean>(FROM_CONTROL_PLANE_KEY),
    healthChecks: value<readonly LocalHealthCheck[]>("localHealthCheck"),
  };
  const service = {
    name: value<string>("cse.service.name"),
    version: value<string>("cse.service.version"),
    application: value<string>("cse.service.app"),
  };
  const properties = value<Readonly<Record<string, string>>>("cse.service.properties");
  const mesh = <T>(name: string) => value<T>(`cse.mesh.${name}`);
  const limit = (name: string) => mesh<number>(`limits.${name}`);
  const timeout = (name: string) => mesh<number>(`timeouts.${name}`);
  const listen = {
    http,
    ...(grpc === undefined ? {} : { grpc }),
    admin,
    ...(tcp.length === 0 ? {} : { tcp }),
    ...(health === undefined ? {} : { health }),
  };
  const { instanceIp } = workload;
  context.diagnostics.push(
    ...judgeInbound(inbound, listen, instanceIp, sources.serviceDiscovery.type, origins),
  );
  return {
    confDirectory: input.directory,
    listen,
    ...(inbound.servicePorts.length === 0 && !inbound.fromControlPlane ? {} : { inbound }),
    service,
    workload: {
      ...workload,
      labels: workloadLabels(metadata, { ...service, properties }),
      metadata,
    },
    ...sources,
    proxy: {
      engine: mesh("engine"),
      outboundTrafficPolicy: mesh("outboundTrafficPolicy"),
      accessLog: mesh("accessLog"),
      limits: {
        maxHeadBytes: limit("maxHeadBytes"),
        maxHeaderCount: limit("maxHeaderCount"),
        maxTargetBytes: limit("maxTargetBytes"),
        maxConnections: limit("maxConnections"),
        maxInFlight: limit("maxInFlight"),
        maxDrainBytes: limit("maxDrainBytes"),
        maxIdlePerEndpoint: limit("maxIdlePerEndpoint"),
      },
      timeouts: {
        headMs: timeout("head"),
        bodyStallMs: timeout("bodyStall"),
        idleMs: timeout("idle"),
        upstreamIdleMs: timeout("upstreamIdle"),
        tunnelIdleMs: timeout("tunnelIdle"),
        connectMs: timeout("connect"),
      },
      drainMs: mesh("drainTimeout"),
    },
    isolation: mesh("isolation"),
    permissions: { net: mesh("permissions.net"), read: readablePaths(context) },
    cacheDir: writtenPath(context, "cse.mesh.cacheDir"),
    readinessFile: writtenPath(context, "cse.mesh.readinessFile"),
    log: { level: mesh("logLevel") },
    origins,
  };
}

/** From the conf directory. */
function readablePaths(context: Context): readonly string[] {
  const key = "cse.mesh.permissions.read";
  const paths = (valueOf(context, key) as readonly string[]).map((path) =>
    isAbsolutePath(path) ? joinPath(path) : joinPath(context.input.directory, path)
  );
  context.origins.set(key, { ...context.origins.get(key) as SettingOrigin, value: paths });
  return paths;
}

/** Of what is written: from the conf directory; empty when it is not set. */
function writtenPath(context: Context, key: string): string {
  const path = valueOf(context, key) as string;
  if (path === "") return "";
  const absolute = isAbsolutePath(path) ? joinPath(path) : joinPath(context.input.directory, path);
  context.origins.set(key, { ...context.origins.get(key) as SettingOrigin, value: absolute });
  return absolute;
}

function warnOfOpenListeners(
  { origins, diagnostics }: Context,
  http: ListenAddress,
  grpc: ListenAddress | undefined,
  admin: ListenAddress | null,
  tcp: readonly TcpForward[],
): void {
  const warn = (address: ListenAddress | null | undefined, key: string): void => {
    if (address == null || /^(127\.|::1$|localhost$)/.test(address.hostname)) return;
    diagnostics.push(
      diagnostic(
        "S123",
        `${key.slice("cse.".length)} "${formatListenAddress(address)}" is open to other machines`,
        (origins.get(key) as SettingOrigin).where,
      ),
    );
  };
  warn(http, "cse.protocols.http.listenAddress");
  warn(grpc, "cse.protocols.grpc.listenAddress");
  warn(admin, "cse.protocols.rest-admin.listenAddress");
  for (const { listen } of tcp) warn(listen, "cse.mesh.tcp.listeners");
}
