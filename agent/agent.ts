/**
 * The agent, wired: settings -> discovery -> world -> proxy, with admin and logs beside.
 *
 * In: an {@link AgentConfig}. Out: a {@link RunningAgent} with its real addresses. The proxy listens before the first rules
 * are in (503 not synced until then), so nothing waits for a slow source. Nothing here is global: several agents may run in
 * one process.
 *
 * @example
 * ```ts ignore
 * const agent = await startAgent(config);
 * console.log(agent.httpAddress.port, agent.world.current.revision);
 * await agent.drain();
 * ```
 */
import type { Admin } from "./admin/admin.ts";
import { gaugesOf } from "./admin/gauges.ts";
import { inboundGauges } from "./admin/inbound_gauges.ts";
import { limitGauges } from "./admin/limit_gauges.ts";
import { answerHealth, type Readiness, readinessOf } from "./admin/readiness.ts";
import type { ScopeReport } from "./admin/sync.ts";
import { type Diagnostic, formatDiagnostic } from "./core/diagnostics.ts";
import type {
  Clock,
  Dialer,
  HttpClient,
  Listener,
  Log,
  Resolver,
  Rng,
  StreamAddress,
  StreamTransport,
} from "./core/ports.ts";
import { VERSION } from "./core/version.ts";
import { pluginOf } from "./discovery/plugins.ts";
import type { DiscoverySource, RulesDirectory, SourceStatus, StartSource, World } from "./discovery/types.ts";
import { createWorldHolder } from "./discovery/world.ts";
import { type AdminServer, serveAdmin } from "./net/admin_server.ts";
import { requireCapabilities } from "./net/capabilities.ts";
import { systemClock } from "./net/clock.ts";
import { collectGarbage } from "./net/collect_garbage.ts";
import { createDialer } from "./net/dial.ts";
import { resolveName, systemResolver } from "./net/dns.ts";
import { listenTcp } from "./net/listen.ts";
import { listenError } from "./net/listen_error.ts";
import { createLog } from "./net/log.ts";
import { createRights, restartText, scopedDialer, scopedResolve, scopedResolver } from "./net/rights.ts";
import { openReadGate, type ReadGate } from "./net/read_gate.ts";
import { createTurns } from "./net/turn.ts";
import { createAccessLog } from "./observe/access_log.ts";
import { Denials } from "./observe/denials.ts";
import { createObserver, type MeshObserver } from "./observe/observer.ts";
import type { RunningInbound } from "./proxy/inbound.ts";
import type { LocalPort } from "./proxy/local_ports.ts";
import { type ProxyOptions, type RunningProxy, startProxy } from "./proxy/proxy.ts";
import type { AgentConfig, SourceType } from "./settings/types.ts";

/** Everything has a default that meets the real world. */
export interface AgentOptions {
  /** Default: text on standard error at the level of the settings. */
  readonly log?: Log;
  /** Takes the bytes of the access log; default standard output. */
  readonly accessLogSink?: (bytes: Uint8Array) => Promise<void>;
  readonly clock?: Clock;
  readonly rng?: Rng;
  readonly dialer?: Dialer;
  readonly resolver?: Resolver;
  readonly openDirectory?: (path: string) => RulesDirectory;
  readonly openTransport?: () => Promise<StreamTransport>;
  readonly openHttpClient?: () => Promise<HttpClient>;
  /** Told when readiness may have changed. */
  readonly onReadiness?: (readiness: Readiness) => void;
  /** Asked to end the process, by POST /quitquitquit. */
  readonly onQuit?: () => void;
  /** What it holds itself to; default: whatever the process may do. */
  readonly scope?: {
    /** `net`: entries of net_entry.ts. `roots`: real paths of what may be read. */
    readonly net: readonly string[];
    readonly roots: readonly string[];
    readonly report: ScopeReport;
  };
}

/** An agent at work, and the ways to end it. */
export interface RunningAgent {
  readonly config: AgentConfig;
  readonly httpAddress: StreamAddress;
  /** Of `cse.protocols.grpc`; null when it is not set. */
  readonly grpcAddress: StreamAddress | null;
  /** Null when the settings turn admin off. */
  readonly adminAddress: StreamAddress | null;
  /** Of `cse.mesh.tcp.listeners`, in their order. */
  readonly tcpAddresses: readonly StreamAddress[];
  /** Of `cse.mesh.inbound.servicePorts`, in their order. */
  readonly inboundAddresses: readonly StreamAddress[];
  readonly world: { readonly current: World };
  readonly observer: MeshObserver;
  /** Standing findings of the source of rules. */
  problems(): readonly Diagnostic[];
  /** What each connection to a control plane is at. */
  status(): readonly SourceStatus[];
  /**
   * Ends gently: unready at once, no new connections, `Connection: close` on answers, whatever is left is cut off at the
   * deadline (default `drainMs` of the settings). Resolves when everything is closed.
   */
  drain(deadlineMs?: number): Promise<void>;
  /** Ends at once. */
  close(): Promise<void>;
  /**
   * Rereads the rules. With `next`, also compares the settings: returns the keys whose new value takes effect only after a
   * restart, sorted.
   */
  reload(next?: AgentConfig): Promise<readonly string[]>;
  /** Rights that only a restart gives (`+connect 203.0.113.5:443`) or takes (`-`), for the status. */
  needsRestart(rights: readonly string[]): void;
  /** The status as `mesh-agent status` prints it. */
  report(): Promise<string>;
}

/**
 * Starts it; resolves after the first try to get rules (there may be none yet: `world.current.revision` is 0 then).
 * Throws MeshError N101 to N103 when an address cannot be had.
 */
export async function startAgent(config: AgentConfig, options: AgentOptions = {}): Promise<RunningAgent> {
  const log = options.log ?? createLog({ level: config.log.level });
  const clock = options.clock ?? systemClock;
  await requireCapabilities(config);
  const loading = pluginOf(config.serviceDiscovery.type).load();
  const world = createWorldHolder(clock);
  const state = { accepting: false, draining: false };
  const denials = new Denials(log, clock);
  const rights = options.scope === undefined ? undefined : createRights(options.scope, denials);
  const dialerOf = (gate: ReadGate | null): Dialer => {
    if (options.dialer !== undefined) return options.dialer;
    return rights === undefined ? createDialer(gate) : scopedDialer(createDialer(gate), rights);
  };
  const resolver = options.resolver ??
    (rights === undefined ? systemResolver : scopedResolver(systemResolver, rights));
  const transportOptions = rights === undefined
    ? {}
    : { resolve: scopedResolve(resolveName, rights), scope: rights.read };
  /** Of the settings, and of the rules: see {@link RunningAgent.needsRestart}. */
  const restart = { settings: [] as readonly string[], rules: [] as readonly string[] };
  /** Only where rules are files: a third of what a start with a control plane would load. */
  const loadDirectories = async (): Promise<(path: string) => RulesDirectory> => {
    const [{ openRulesDirectory }, { scopedRules }] = await Promise.all([
      import("./net/watch.ts"),
      import("./net/scoped_rules.ts"),
    ]);
    return (path) => {
      const directory = openRulesDirectory(path, log, undefined, rights?.read);
      return rights === undefined ? directory : scopedRules(directory, rights.net, (places) => {
        restart.rules = places.map((place) => `+connect ${place}`);
        if (places.length > 0) log.log("warn", restartText(restart.rules, directory.label));
      });
    };
  };
  const directories = config.serviceDiscovery.type === "file" && options.openDirectory === undefined
    ? loadDirectories()
    : undefined;
  let source: DiscoverySource | undefined;
  let proxy: RunningProxy | undefined;
  let tcpAddresses: readonly StreamAddress[] = [];
  let inbound: RunningInbound | undefined;
  let inboundAddresses: readonly StreamAddress[] = [];
  let adminServer: AdminServer | undefined;

  const { accessLog: format } = config.proxy;
  const accessLog = format === "off"
    ? undefined
    : createAccessLog({ format, sink: options.accessLogSink ?? toStandardOutput, clock });
  const problems = () => source?.problems() ?? [];
  const status = () => source?.status() ?? [];
  let recompiled = 0;
  const observer = createObserver({
    accessLog,
    gauges: () => [
      ...gaugesOf({ world: world.current, problems: problems(), status: status(), state, recompiled }),
      ...proxy === undefined ? [] : limitGauges(proxy.limits()),
      ...inboundGauges(inbound?.status() ?? []),
    ],
    inbound: config.inbound !== undefined,
  });

  const readiness = () => ({
    world: world.current,
    state,
    status: status(),
    problems: problems(),
    nowMs: clock.now(),
  });
  const tellReadiness = (): void => options.onReadiness?.(readinessOf(readiness(), true));

  let admin: Promise<Admin> | undefined;
  /** Loaded when the rules are in, or asked for before: no request of an application waits for it. */
  const loadAdmin = (): Promise<Admin> =>
    admin ??= import("./admin/admin.ts").then(({ createAdmin }) =>
      createAdmin({
        config,
        world,
        state,
        expose: () => observer.expose(),
        problems,
        status,
        inbound: () => inbound,
        permissions: () => ({
          ...options.scope?.report ?? UNSCOPED,
          restart: [...new Set([...restart.settings, ...restart.rules])],
          denied: denials.list(),
        }),
        ...(options.onQuit === undefined ? {} : { quit: options.onQuit }),
        clock,
        version: VERSION,
        runtime: `deno ${Deno.version.deno}`,
      })
    );
  const answerAdmin = async (request: Request, peer?: string): Promise<Response> =>
    (await loadAdmin())(request, peer);
  let healthServer: AdminServer | undefined;

  let gate: ReadGate | null = null;
  const turns = createTurns();
  const closeAll = async (): Promise<void> => {
    state.accepting = false;
    inbound?.close();
    proxy?.close();
    gate?.close();
    await Promise.all([source?.close(), adminServer?.close(), healthServer?.close()]);
    turns.close();
    await accessLog?.close();
  };

  try {
    const { admin, health } = config.listen;
    if (admin !== null) adminServer = serveAdmin(admin, answerAdmin, log);
    if (health !== undefined) {
      healthServer = serveAdmin(health, (request) => answerHealth(request, readiness()), log, "health");
      log.log("info", `health listening on ${addressText(healthServer.address)}`);
    }
    gate = await openReadGate();
    ({ proxy, tcpAddresses } = await openProxy({
      config,
      world,
      dialer: dialerOf(gate),
      resolver,
      clock,
      rng: options.rng ?? Math.random,
      turns,
      observer,
      log,
      ownAddresses: adminServer === undefined ? [] : [adminServer.address],
    }, gate));
    if (config.inbound !== undefined) {
      const { openInbound } = await import("./net/open_inbound.ts");
      ({ inbound, addresses: inboundAddresses } = openInbound({
        config,
        dialer: dialerOf(gate),
        resolver,
        clock,
        rng: options.rng ?? Math.random,
        turns,
        observer: observer.inbound,
        log,
        ownAddresses: [
          proxy.address,
          proxy.grpcAddress,
          adminServer?.address,
          healthServer?.address,
          ...tcpAddresses,
        ]
          .filter((address) => address != null),
      }, gate));
    }
    state.accepting = true;
    for (const address of [proxy.address, ...(proxy.grpcAddress === null ? [] : [proxy.grpcAddress])]) {
      log.log("info", `proxy listening on ${addressText(address)}`);
    }
    if (adminServer !== undefined) log.log("info", `admin listening on ${addressText(adminServer.address)}`);
    world.onPublish((now, before) => {
      recompiled += now.stats["recompiled"] ?? 0;
      tellPublication(log, config.serviceDiscovery.type, now, before);
      tellReadiness();
      if (config.inbound?.fromControlPlane && !state.draining) inbound?.follow(now.program.inbound);
    });
    const plugin = await loading;
    const start = await remembering(config, plugin.start);
    source = start({
      config,
      clock,
      log,
      openDirectory: options.openDirectory ?? await directories ?? noDirectory,
      publish: (publication) => world.publish(publication),
      openTransport: options.openTransport ??
        (async () =>
          config.discovery.transport === "native"
            ? (await import("./net/h2_transport.ts")).createHttp2Transport(transportOptions)
            : (await import("./net/grpc_transport.ts")).createGrpcTransport(transportOptions)),
      openHttpClient: options.openHttpClient ??
        (async () =>
          (await import("./net/http_client.ts")).createHttpClient({ dialer: dialerOf(null), resolver })),
      resolver,
      rng: options.rng ?? Math.random,
      yieldTurn: turns.next,
    });
    await source.ready;
    tellReadiness();
    if (adminServer !== undefined) await loadAdmin();
    if (world.current.program.clusters.size > MANY_CLUSTERS) await collectGarbage();
  } catch (error) {
    await closeAll();
    throw error;
  }

  const running = proxy;
  const rules = source;
  return {
    config,
    httpAddress: running.address,
    grpcAddress: running.grpcAddress,
    adminAddress: adminServer?.address ?? null,
    tcpAddresses,
    inboundAddresses,
    world,
    observer,
    problems,
    status,
    async drain(deadlineMs = config.proxy.drainMs) {
      state.draining = true;
      tellReadiness();
      const { inFlight, downstreamConnections } = observer.totals();
      log.log("info", "draining: not ready from now on, no new connections, answers say Connection: close", {
        inFlight,
        connections: downstreamConnections,
        cutOffAfterMs: deadlineMs,
      });
      // The application answers what is under way, and may call others for that: outbound goes on until then.
      const beganMs = clock.monotonic();
      await inbound?.drain(deadlineMs);
      await running.drain(Math.max(0, deadlineMs - (clock.monotonic() - beganMs)));
      await closeAll();
      log.log("info", "drained");
    },
    close: closeAll,
    async reload(next) {
      await rules.refresh();
      return next === undefined ? [] : changedKeys(config, next);
    },
    needsRestart(rights) {
      restart.settings = rights;
    },
    async report() {
      const answer = await answerAdmin(new Request("http://127.0.0.1/sync?format=text"));
      return (await answer.text()).trimEnd();
    },
  };
}

/** With `cse.mesh.cacheDir`, a source that keeps what a control plane said. */
async function remembering(
  { cacheDir, serviceDiscovery }: AgentConfig,
  start: StartSource,
): Promise<StartSource> {
  if (cacheDir === "" || serviceDiscovery.type === "file") return start;
  const [{ remembered }, { openCacheFile }] = await Promise.all([
    import("./discovery/remember.ts"),
    import("./net/cache_file.ts"),
  ]);
  return (input) => remembered(input, start, openCacheFile(cacheDir));
}

interface OpenProxy {
  readonly proxy: RunningProxy;
  /** Of the local ports. */
  readonly tcpAddresses: readonly StreamAddress[];
}

/** Listens with the engine of the settings. */
async function openProxy(
  options: Omit<ProxyOptions, "listener">,
  gate: ReadGate | null,
): Promise<OpenProxy> {
  const { config, log } = options;
  try {
    if (config.proxy.engine === "native") {
      return openNative(options, gate);
    }
    if (config.listen.tcp !== undefined) {
      log.log(
        "warn",
        "cse.mesh.tcp.listeners has no effect: the engine serve has no ports for TCP; want native",
      );
    }
    if (config.listen.grpc !== undefined) {
      log.log(
        "warn",
        "cse.protocols.grpc.listenAddress has no effect: the engine serve has one listener; want native",
      );
    }
    const [{ startServeProxy }, { serveRequests }] = await Promise.all([
      import("./proxy/serve.ts"),
      import("./net/serve.ts"),
    ]);
    return { proxy: startServeProxy({ ...options, serve: serveRequests(log) }), tcpAddresses: [] };
  } catch (error) {
    throw listenError("http", config.listen.http, error);
  }
}

function openNative(options: Omit<ProxyOptions, "listener">, gate: ReadGate | null): OpenProxy {
  const { config, log } = options;
  const listener = listenTcp(config.listen.http, gate);
  let grpcListener: Listener | undefined;
  if (config.listen.grpc !== undefined) {
    try {
      grpcListener = listenTcp(config.listen.grpc, gate);
    } catch (error) {
      listener.close();
      throw listenError("grpc", config.listen.grpc, error);
    }
  }
  const localPorts: LocalPort[] = [];
  for (const { listen, host, port } of config.listen.tcp ?? []) {
    try {
      localPorts.push({ listener: listenTcp(listen, gate), host, port });
    } catch (error) {
      listener.close();
      grpcListener?.close();
      for (const open of localPorts) open.listener.close();
      throw listenError("tcp", listen, error);
    }
  }
  for (const { listener: { address }, host, port } of localPorts) {
    log.log("info", `local port ${addressText(address)} leads to ${addressText({ hostname: host, port })}`);
  }
  return {
    proxy: startProxy({
      ...options,
      listener,
      ...(grpcListener === undefined ? {} : { grpcListener }),
      localPorts,
    }),
    tcpAddresses: localPorts.map(({ listener: { address } }) => address),
  };
}

/** Keys whose value differs. All settings are read once at start; only the rules are live. */
function changedKeys(now: AgentConfig, next: AgentConfig): string[] {
  const keys = new Set([...now.origins.keys(), ...next.origins.keys()]);
  const text = (config: AgentConfig, key: string) => JSON.stringify(config.origins.get(key)?.value);
  return [...keys].filter((key) => text(now, key) !== text(next, key)).sort();
}

function noDirectory(path: string): never {
  throw new TypeError(`rules are no files here: ${path}`);
}

/** Of an agent that runs as the process does. */
const UNSCOPED: ScopeReport = { isolated: false, guard: "nobody", net: [], read: [] };

/** From here on the rubbish of reading the rules is worth a collection (about 10 ms for each 1000). */
const MANY_CLUSTERS = 2000;

/** New findings that one publication may put into the log; the rest is on /diagnostics. */
const MAX_TOLD = 20;

function tellPublication(log: Log, type: SourceType, now: World, before: World): void {
  const { program } = before;
  // Of control planes: there they come and go all day.
  const endpointsOnly = type !== "file" && now.program.loadAssignments !== program.loadAssignments &&
    now.program.routeConfigurations === program.routeConfigurations &&
    now.program.clusters === program.clusters && now.program.listeners === program.listeners;
  log.log(endpointsOnly ? "debug" : "info", "rules in force", { revision: now.revision, ...now.stats });
  const known = new Set(before.diagnostics.map(formatDiagnostic));
  let told = 0;
  let untold = 0;
  for (const d of now.diagnostics) {
    const line = formatDiagnostic(d);
    // What a control plane sent amiss was told when it came.
    if (d.severity === "info" || d.code.startsWith("D2") || known.has(line)) continue;
    if (told === MAX_TOLD) untold++;
    else {
      told++;
      log.log(d.severity === "error" ? "error" : "warn", line);
    }
  }
  if (untold > 0) log.log("warn", `${untold} more findings; see /diagnostics`);
}

function addressText({ hostname, port }: StreamAddress): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

async function toStandardOutput(bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}
