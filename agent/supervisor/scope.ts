/**
 * The rights of an isolated agent: what it listens on and connects to, reads, and takes from the environment, each with the setting or
 * file that caused it. Nothing else: no writing but to its cache, no programs, no native code, nothing of the system.
 *
 * In: the settings, and the few facts of the machine that they do not hold ({@link ScopeFacts}). Out: a {@link Scope}: grants for
 * people, a permission list for the runtime, entries for the agent's own gate.
 *
 * @example
 * ```ts ignore
 * const scope = scopeOf(config, await readFacts(config));
 * scope.runtime.net; // ["127.0.0.1:30101", "127.0.0.1:30102", "127.0.0.0/8", ...] or true
 * ```
 */
import { formatOrigin } from "../core/diagnostics.ts";
import { directoryOf, joinPath } from "../core/path.ts";
import { BOUND_VARIABLE, GRPC_VARIABLES, YAML_VARIABLES } from "../core/variables.ts";
import type { NamedPlace } from "../discovery/rule_places.ts";
import { NetScope } from "../net/net_scope.ts";
import { APPLICATION_ADDRESS } from "../proxy/inbound_port.ts";
import { FROM_CONTROL_PLANE_KEY, SERVICE_PORTS_KEY } from "../settings/inbound.ts";
import {
  formatNetEntry,
  type NetEntry,
  parseNetEntry,
  PRIVATE_RANGES,
  runtimeText,
} from "../settings/net_entry.ts";
import type { AgentConfig, ListenAddress } from "../settings/types.ts";

export interface Grant {
  readonly right: "listen" | "connect" | "read" | "write" | "env";
  readonly value: string;
  /** Setting, or what of the machine. */
  readonly because: string;
  /** Where that is, when it is no setting; see {@link originOf}. */
  readonly origin?: string;
}

/** Where the cause of a grant is set: `conf/chassis.yaml:3:19`, `default`, `variable POD_NAME`. Slow: it looks for the place. */
export function originOf({ because, origin }: Grant, { origins }: Pick<AgentConfig, "origins">): string {
  const setting = origins.get(because);
  return origin ??
    (setting === undefined || setting.from === "default" ? "default" : formatOrigin(setting.where));
}

/**
 * Who holds the agent to where it may connect: `runtime` (and the agent before it); `agent` alone, when a range of IPv6 is among them,
 * which the runtime's list cannot hold; nobody, when it is `any`.
 */
export type Guard = "runtime" | "agent" | "nobody";

export interface Scope {
  readonly guard: Guard;
  readonly grants: readonly Grant[];
  /** For `new Worker(url, { deno: { permissions } })`. */
  readonly runtime: {
    readonly net: true | string[];
    readonly read: string[];
    readonly write: string[];
    readonly env: string[];
  };
  /** For the agent's own gate (net_scope.ts). */
  readonly net: readonly string[];
  /** What a path must lead to after all links, which the runtime follows without asking (read_scope.ts). */
  readonly roots: readonly string[];
}

/** What of the machine the scope depends on. */
export interface ScopeFacts {
  /** Addresses in resolv.conf. */
  readonly nameservers: readonly string[];
  /** Where the {@link rootsOf} lead to; what is not there is missing. */
  readonly realPaths: ReadonlyMap<string, string>;
  /** The program itself, of which packages are read at the first need. */
  readonly program: readonly string[];
  /** Of rule files, when the rules are files. */
  readonly places: readonly NamedPlace[];
}

const RESOLV_CONF = "/etc/resolv.conf";
const HOSTS = "/etc/hosts";

const REGISTRY_ADDRESS = "cse.service.registry.serviceDiscovery.address";
const NET = "cse.mesh.permissions.net";
const CACHE = "cse.mesh.cacheDir";

export function scopeOf(config: AgentConfig, facts: ScopeFacts): Scope {
  const grants: Grant[] = [];
  const entries: NetEntry[] = [];
  const grant = (right: Grant["right"], value: string, because: string, origin?: string) => {
    if (!grants.some((each) => each.right === right && each.value === value)) {
      grants.push({ right, value, because, ...(origin === undefined ? {} : { origin }) });
    }
  };
  const connect = (text: string, because: string, origin?: string) => {
    const entry = parseNetEntry(text);
    if (entry === undefined) return;
    entries.push(entry);
    grant("connect", formatNetEntry(entry) as string, because, origin);
  };

  const { http, grpc, admin, health, tcp = [] } = config.listen;
  grant("listen", hostPort(http), "cse.protocols.http.listenAddress");
  if (grpc !== undefined) grant("listen", hostPort(grpc), "cse.protocols.grpc.listenAddress");
  if (admin !== null) grant("listen", hostPort(admin), "cse.protocols.rest-admin.listenAddress");
  if (health !== undefined) grant("listen", hostPort(health), "cse.mesh.healthListenAddress");
  for (const { listen } of tcp) grant("listen", hostPort(listen), "cse.mesh.tcp.listeners");
  if (config.inbound !== undefined) {
    const { servicePorts, fromControlPlane } = config.inbound;
    const { instanceIp: hostname } = config.workload;
    for (const { port, localPort } of servicePorts) {
      grant("listen", hostPort({ hostname, port }), SERVICE_PORTS_KEY);
      connect(hostPort({ hostname: APPLICATION_ADDRESS, port: localPort }), SERVICE_PORTS_KEY);
    }
    // Which ports, only the control plane knows.
    if (fromControlPlane) {
      grant("listen", hostname.includes(":") ? `[${hostname}]` : hostname, FROM_CONTROL_PLANE_KEY);
      connect(APPLICATION_ADDRESS, FROM_CONTROL_PLANE_KEY);
    }
  }

  for (const { host, port } of config.discovery.addresses) {
    connect(hostPort({ hostname: host, port }), REGISTRY_ADDRESS);
  }
  for (const { host, port } of config.discovery.routerAddresses) {
    connect(hostPort({ hostname: host, port }), "router.address");
  }
  for (const { host, port } of tcp) connect(hostPort({ hostname: host, port }), "cse.mesh.tcp.listeners");
  for (const address of facts.nameservers) {
    connect(hostPort({ hostname: address, port: 53 }), "name server", RESOLV_CONF);
  }
  for (const text of config.permissions.net) {
    for (const each of text === "private" ? PRIVATE_RANGES : [text]) connect(each, NET);
  }
  const soFar = new NetScope(entries.map((entry) => formatNetEntry(entry) as string));
  for (const { place, where } of facts.places) {
    if (!soFar.covers(parseNetEntry(place) as NetEntry)) connect(place, "rule file", where);
  }

  const any = entries.some(({ kind }) => kind === "any");
  const texts = entries.map(runtimeText);
  const guard = any ? "nobody" : texts.includes(undefined) ? "agent" : "runtime";
  const listening = grants.filter(({ right }) => right === "listen").map(({ value }) => value);

  for (const [path, because, origin] of pathsOf(config)) grant("read", path, because, origin);
  for (const path of facts.program) grant("read", path, "the program", "packages read at the first need");
  const cacheDir = cacheDirOf(config);
  if (cacheDir !== "") grant("write", cacheDir, CACHE);
  grant("env", BOUND_VARIABLE, "fairness between connections", "set by the supervisor");
  for (const name of YAML_VARIABLES) grant("env", name, "package yaml", "places of findings");
  if (config.serviceDiscovery.type !== "file" && config.discovery.transport === "grpc-js") {
    for (const name of GRPC_VARIABLES) grant("env", name, "package @grpc/grpc-js", "control planes");
  }
  const valuesOf = (right: Grant["right"]) =>
    grants.filter((each) => each.right === right).map(({ value }) => value);
  return {
    guard,
    grants,
    runtime: {
      net: guard === "runtime" ? [...new Set([...listening, ...texts as string[]])] : true,
      read: valuesOf("read"),
      write: valuesOf("write"),
      env: valuesOf("env"),
    },
    net: valuesOf("connect"),
    roots: rootsOf(config).map((path) => facts.realPaths.get(path) ?? path),
  };
}

/** Rules of files are not kept. */
function cacheDirOf({ cacheDir, serviceDiscovery }: AgentConfig): string {
  return serviceDiscovery.type === "file" ? "" : cacheDir;
}

/** Path, because, origin. */
function pathsOf(config: AgentConfig): readonly (readonly [string, string, string?])[] {
  const { confDirectory, serviceDiscovery, discovery, permissions } = config;
  const cacheDir = cacheDirOf(config);
  const isFile = serviceDiscovery.type === "file";
  const secured = [...discovery.addresses, ...discovery.routerAddresses].some(({ scheme }) =>
    scheme === "grpcs"
  );
  const { certDirectory, tokenFile } = discovery;
  return [
    ...(confDirectory === ""
      ? []
      : [[confDirectory, "conf directory", "--config or $CHASSIS_HOME"] as const]),
    ...(isFile ? [[serviceDiscovery.address, REGISTRY_ADDRESS] as const] : []),
    ...(secured
      ? ["root-cert.pem", "cert-chain.pem", "key.pem"].map((name) =>
        [joinPath(certDirectory, name), "discovery.certDirectory"] as const
      )
      : []),
    ...(secured && tokenFile !== "" ? [[tokenFile, "discovery.tokenFile"] as const] : []),
    ...(cacheDir === "" ? [] : [[cacheDir, CACHE] as const]),
    [RESOLV_CONF, "names", "of the system"],
    [HOSTS, "names", "of the system"],
    ...permissions.read.map((path) => [path, "cse.mesh.permissions.read"] as const),
  ];
}

/**
 * What a path that is read must lie in after all links. Of certificates and token their directory: mounted secrets are links to a
 * directory beside them, another one after each renewal.
 */
export function rootsOf(config: AgentConfig): readonly string[] {
  const { certDirectory } = config.discovery;
  return pathsOf(config).map(([path, because]) => {
    if (because === "discovery.certDirectory") return certDirectory;
    return because === "discovery.tokenFile" ? directoryOf(path) : path;
  });
}

/** What a restart would give (`+`) and take (`-`), as `+connect 203.0.113.5:443`. */
export function scopeChange(now: Scope, next: Scope): string[] {
  const textOf = ({ right, value }: Grant) => `${right} ${value}`;
  const [before, after] = [now, next].map(({ grants }) => new Set(grants.map(textOf))) as [
    Set<string>,
    Set<string>,
  ];
  return [
    ...[...after].filter((text) => !before.has(text)).map((text) => `+${text}`),
    ...[...before].filter((text) => !after.has(text)).map((text) => `-${text}`),
  ];
}

function hostPort({ hostname, port }: ListenAddress): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
