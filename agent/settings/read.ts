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
import { isAbsolute, join } from "node:path/posix";
import { type Diagnostic, diagnostic, hasErrors, type Origin } from "../core/diagnostics.ts";
import { nearest } from "../core/suggest.ts";
import type { YamlValue } from "../core/yaml.ts";
import { expand } from "./expand.ts";
import { FILES, type FlagName, INERT_FILES, type Setting, SETTINGS, variablesOf } from "./schema.ts";
import { PAIRS } from "./sources.ts";
import { type Found, readTree, writtenIn } from "./tree.ts";
import type { AgentConfig, ListenAddress, RouterInfra, SettingOrigin, SourceType } from "./types.ts";
import { formatListenAddress, parseListenAddress, readValue, type Written } from "./value.ts";
import { readMetadata, workloadLabels } from "./workload.ts";

export { referencedVariables } from "./expand.ts";
export { formatConfig, jsonConfig, settingsTable } from "./format.ts";
export { ENV_NAMES, ENV_PERMISSIONS, SETTINGS } from "./schema.ts";
export { PAIRS, pairsTable } from "./sources.ts";

export type SettingFlags = Readonly<Partial<Record<FlagName, string | undefined>>>;

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

interface Context {
  readonly input: SettingsInput;
  readonly found: ReadonlyMap<string, Found>;
  readonly origins: Map<string, SettingOrigin>;
  /** Keys with a wrong value: what would follow from their default is not told, too. */
  readonly refused: Set<string>;
  readonly diagnostics: Diagnostic[];
}

/** What the files set, by key. */
function readFiles(input: SettingsInput, diagnostics: Diagnostic[]): Map<string, Found> {
  const found = new Map<string, Found>();
  const label = input.label ?? input.directory;
  const labelled = (name: string) => label === "" ? name : join(label, name);
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

const BY_KEY = new Map(SETTINGS.map((setting) => [setting.key, setting]));

/** The effective value of a key: flag, variable, file, default. A wrong one is told and counts as not set. */
function valueOf(context: Context, key: string, without: readonly string[] = []): unknown {
  const { input: { env, flags = {} }, found, origins } = context;
  const setting = BY_KEY.get(key) as Setting;
  const take = (value: unknown, from: SettingOrigin["from"], where: Origin): unknown => {
    origins.set(key, originOf(value, from, where));
    return value;
  };

  const flag = setting.flag === undefined ? undefined : flags[setting.flag];
  if (flag !== undefined) {
    const where = { kind: "flag", field: `--${setting.flag}` };
    const value = judged(context, setting, given(flag), `--${setting.flag}`, where);
    if (value !== undefined) return take(value, "flag", where);
  }
  for (const name of variablesOf(setting)) {
    const text = env.get(name);
    if (text === undefined || text === "" || without.includes(name)) continue;
    const where = { kind: "variable", field: name };
    const written = setting.form.kind === "texts" ? fromJson(text) : given(text);
    const value = judged(context, setting, written, name, where);
    if (value !== undefined) return take(value, "environment", where);
  }
  const one = found.get(key);
  if (one !== undefined) {
    const value = valueInFile(context, one);
    if (value !== undefined) return take(value, "file", one.where);
  }
  const fallback = setting.form.kind === "address"
    ? parseListenAddress(setting.fallback as string)
    : setting.fallback;
  return take(fallback, "default", {});
}

function originOf(value: unknown, from: SettingOrigin["from"], where: Origin): SettingOrigin {
  return { value, from, where };
}

/** A text from outside of the files. */
function given(text: string): Written {
  return { value: text, source: () => text, isBare: () => false };
}

function fromJson(text: string): Written {
  try {
    return { ...given(text), value: JSON.parse(text) as YamlValue, source: () => undefined };
  } catch {
    return given(text);
  }
}

function valueInFile(context: Context, one: Found): unknown {
  const { input: { env, unreadable }, diagnostics } = context;
  const written = writtenIn(one);
  let expanded = false;
  const expandText = (text: string): string => {
    const { text: result, named } = expand(text, env);
    if (named.length > 0) expanded = true;
    for (const name of named) {
      if (unreadable?.has(name) !== true) continue;
      diagnostics.push(
        diagnostic(
          "S107",
          `Cannot read variable "${name}" for "${
            one.path.join(".")
          }": the permission set does not name it; ` +
            "want one that it names",
          one.where,
        ),
      );
    }
    return result;
  };
  const value = mapTexts(one.value, expandText);
  if (expanded && value === "") return undefined;
  return judged(
    context,
    one.setting,
    expanded ? { ...written, value, isBare: () => false } : written,
    one.path.join("."),
    one.where,
  );
}

/** Texts of a scalar or of a map one level deep, changed. */
function mapTexts(value: YamlValue, change: (text: string) => string): YamlValue {
  if (typeof value === "string") return change(value);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, typeof each === "string" ? change(each) : each]),
  );
}

/** The value in its form, or undefined after telling what is wrong with it. */
function judged(context: Context, setting: Setting, written: Written, name: string, where: Origin): unknown {
  const reading = readValue(setting.form, written);
  if ("value" in reading) return reading.value;
  context.refused.add(setting.key);
  const { code, problem, path = [] } = reading;
  const at = path.reduce<unknown>(
    (value, part) => (value as Readonly<Record<string, unknown>>)[part],
    written.value,
  );
  const shown = typeof at === "object" ? "" : ` "${String(at)}"`;
  context.diagnostics.push(
    diagnostic(code, `Cannot read ${[name, ...path].join(".")}${shown}: ${problem}`, where),
  );
  return undefined;
}

function assemble(context: Context, metadata: Record<string, unknown>): AgentConfig {
  const { input, origins, diagnostics } = context;
  const value = <T>(key: string) => valueOf(context, key) as T;

  const http = value<ListenAddress>("cse.protocols.http.listenAddress");
  const adminAddress = value<ListenAddress>("cse.protocols.rest-admin.listenAddress");
  const admin = value<boolean>("admin.enable") ? adminAddress : null;
  warnOfOpenListeners(context, http, admin);
  judgeRegistrator(context, value<boolean>(REGISTRATOR));

  const type = value<SourceType>(TYPE);
  const skipped = type === "file" ? ["CSE_SERVICE_CENTER"] : [];
  if (type === "file" && (input.env.get("CSE_SERVICE_CENTER") ?? "") !== "") {
    diagnostics.push(
      diagnostic("S120", 'Variable CSE_SERVICE_CENTER has no effect here: serviceDiscovery.type is "file"', {
        kind: "variable",
        field: "CSE_SERVICE_CENTER",
      }),
    );
  }
  const written = valueOf(context, ADDRESS, skipped) as string;
  const address = type === "file" && !isAbsolute(written) ? join(input.directory, written) : written;
  origins.set(ADDRESS, { ...origins.get(ADDRESS) as SettingOrigin, value: address });

  const infra = value<RouterInfra | undefined>("router.infra") ?? type;
  const routerAddress = value<string | undefined>("router.address") ?? address;
  for (const [key, effective] of [["router.infra", infra], ["router.address", routerAddress]] as const) {
    const { from, where } = origins.get(key) as SettingOrigin;
    origins.set(key, { value: effective, from, where });
  }
  judgePair(context, type, infra);

  const service = {
    name: value<string>("cse.service.name"),
    version: value<string>("cse.service.version"),
    application: value<string>("cse.service.app"),
  };
  const properties = value<Readonly<Record<string, string>>>("cse.service.properties");
  const mesh = <T>(name: string) => value<T>(`cse.mesh.${name}`);
  const limit = (name: string) => mesh<number>(`limits.${name}`);
  const timeout = (name: string) => mesh<number>(`timeouts.${name}`);
  return {
    confDirectory: input.directory,
    listen: { http, admin },
    service,
    workload: {
      podName: value("workload.podName"),
      namespace: value("workload.namespace"),
      instanceIp: value("workload.instanceIp"),
      labels: workloadLabels(metadata, { ...service, properties }),
      metadata,
    },
    serviceDiscovery: {
      type,
      address,
      refreshIntervalMs: value("cse.service.registry.serviceDiscovery.refreshInterval"),
    },
    discovery: {
      hosts: [],
      delta: true,
      clusterId: "Kubernetes",
      certDirectory: "/etc/certs",
      tokenFile: "/var/run/secrets/tokens/istio-token",
      serverName: "",
      connectTimeoutMs: 10_000,
      addresses: [],
      routerAddresses: [],
    },
    router: { infra, address: routerAddress },
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
    log: { level: mesh("logLevel") },
    origins,
  };
}

const REGISTRATOR = "cse.service.registry.registrator.disabled";
const TYPE = "cse.service.registry.serviceDiscovery.type";
const ADDRESS = "cse.service.registry.serviceDiscovery.address";

function judgeRegistrator({ input, origins, refused, diagnostics }: Context, disabled: boolean): void {
  const { from, where } = origins.get(REGISTRATOR) as SettingOrigin;
  if (!disabled) {
    diagnostics.push(
      diagnostic(
        "S110",
        'Cannot use registrator.disabled "false": Istio takes services from its platform, and has no way for a ' +
          "sidecar to register one; want true",
        where,
      ),
    );
  } else if (from === "default" && !refused.has(REGISTRATOR) && input.files.has("chassis.yaml")) {
    const label = input.label ?? input.directory;
    diagnostics.push(
      diagnostic("S111", "registrator.disabled is not set: it counts as true, as Istio needs it", {
        file: label === "" ? "chassis.yaml" : join(label, "chassis.yaml"),
      }),
    );
  }
}

function judgePair({ origins, refused, diagnostics }: Context, type: SourceType, infra: RouterInfra): void {
  if (refused.has(TYPE) || refused.has("router.infra")) return;
  const typeAt = (origins.get(TYPE) as SettingOrigin).where;
  const infraAt = (origins.get("router.infra") as SettingOrigin).where;
  const state = PAIRS[type][infra];
  if (state === undefined) {
    diagnostics.push(
      diagnostic(
        "S112",
        `Cannot use router.infra "${infra}" with serviceDiscovery.type "${type}": they do not go together; ` +
          `want router.infra one of ${Object.keys(PAIRS[type]).join(", ")}`,
        infraAt,
      ),
    );
  } else if ("comesWith" in state) {
    const [key, value, where] = type === "file"
      ? ["router.infra", infra, infraAt]
      : ["serviceDiscovery.type", type, typeAt];
    diagnostics.push(
      diagnostic("S113", `Cannot use ${key} "${value}": it comes with ${state.comesWith}; want file`, where),
    );
  }
}

function warnOfOpenListeners(
  { origins, diagnostics }: Context,
  http: ListenAddress,
  admin: ListenAddress | null,
): void {
  for (const [protocol, address] of [["http", http], ["rest-admin", admin]] as const) {
    if (address === null || /^(127\.|::1$|localhost$)/.test(address.hostname)) continue;
    diagnostics.push(
      diagnostic(
        "S123",
        `protocols.${protocol}.listenAddress "${formatListenAddress(address)}" is open to other machines`,
        (origins.get(`cse.protocols.${protocol}.listenAddress`) as SettingOrigin).where,
      ),
    );
  }
}
