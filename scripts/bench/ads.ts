/**
 * The bench of control planes: Envoy and the agent beside each other, fed by one ADS server (the scripted control plane of the
 * tests) with N clusters of 10 endpoints each.
 *
 * Measured: exec to the first proxied request for the last service, CPU and memory for it (at rest and at most), and, from the moment in which the server
 * writes the answer, how long until one endpoint and one weight are in force; and the slowest request of two connections while
 * everything is pushed again.
 *
 * @example
 * ```sh
 * deno run -A scripts/bench/main.ts --cases none --no-start --no-scale --targets envoy,agent
 * ```
 */
import type { Program, Route } from "../../agent/model/model.ts";
import { type ControlPlane, type PlaneEvent, startControlPlane } from "../../tests/harness/control_plane.ts";
import { manyServices, serviceName } from "../../tests/harness/many_services.ts";
import { resourcesOf, type WireResources } from "../../tests/harness/xds_resources.ts";
import { wrk } from "./load.ts";
import {
  cpuSeconds,
  freePort,
  median,
  peakRssMb,
  probe,
  rssMb,
  type Running,
  start,
  untilAnswers,
} from "./process.ts";
import { agentCommand, envoyBinary, type Ground, type TargetName, writeConf } from "./targets.ts";

const PORT = 8080;

const KINDS = ["envoy", "agent delta", "agent delta grpc-js", "agent state-of-the-world"] as const;
type Kind = (typeof KINDS)[number];

interface Measured {
  readonly readyMs: number;
  readonly cpuMs: number;
  readonly rssMb: number;
  readonly peakMb: number;
  readonly endpointMs: number;
  readonly weightMs: number;
  readonly quietWorstMs: number;
  readonly worstMs: number;
}

/** What the first service's requests meet: its own status, told by the upstream's port. */
interface Turn {
  readonly first: readonly [port: number, weight: number];
  readonly second: readonly [port: number, weight: number];
  /** Other than before = every route is another. */
  readonly timeout: string;
}

/** N services; the first one is split between its own endpoint and that of `split.default`. */
function programOf(services: number, upstream: number, turn: Turn): Program {
  const { routeConfigurations, clusters, loadAssignments } = manyServices({
    services,
    endpoints: 10,
    port: PORT,
    upstream,
    timeout: turn.timeout,
  });
  const table = routeConfigurations.get(String(PORT))!;
  const own = `outbound|${PORT}||${serviceName(0)}.default.svc.cluster.local`;
  const other = `outbound|${PORT}||split.default.svc.cluster.local`;
  const route: Route = {
    match: { prefix: "/" },
    route: {
      timeout: turn.timeout,
      weightedClusters: {
        clusters: [{ name: own, weight: turn.first[1] }, { name: other, weight: turn.second[1] }],
      },
    },
  };
  const virtualHosts = [{ ...table.virtualHosts[0]!, routes: [route] }, ...table.virtualHosts.slice(1)];
  const at = (name: string, port: number) => ({
    clusterName: name,
    endpoints: [{ lbEndpoints: [{ address: "127.0.0.1", port }] }],
  });
  return {
    routeConfigurations: new Map([[table.name, { ...table, virtualHosts }]]),
    clusters: new Map([...clusters, [other, { ...clusters.get(own)!, name: other }]]),
    loadAssignments: new Map([
      ...loadAssignments,
      [own, at(own, turn.first[0])],
      [other, at(other, turn.second[0])],
    ]),
  };
}

function envoyBootstrap(plane: number, port: number): string {
  const socket = (port_value: number) => ({ socket_address: { address: "127.0.0.1", port_value } });
  const ads = { ads: {}, resource_api_version: "V3" };
  return JSON.stringify({
    node: { id: "sidecar~127.0.0.1~app-1.default~default.svc.cluster.local", cluster: "app" },
    dynamic_resources: {
      cds_config: ads,
      ads_config: {
        api_type: "GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
      },
    },
    static_resources: {
      listeners: [{
        name: "http",
        address: socket(port),
        filter_chains: [{
          filters: [{
            name: "envoy.filters.network.http_connection_manager",
            typed_config: {
              "@type":
                "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              stat_prefix: "http",
              rds: { config_source: ads, route_config_name: String(PORT) },
              http_filters: [{
                name: "envoy.filters.http.router",
                typed_config: {
                  "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                },
              }],
            },
          }],
        }],
      }],
      clusters: [{
        name: "xds",
        type: "STATIC",
        connect_timeout: "5s",
        typed_extension_protocol_options: {
          "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            explicit_http_config: { http2_protocol_options: {} },
          },
        },
        load_assignment: {
          cluster_name: "xds",
          endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(plane) } }] }],
        },
      }],
    },
  });
}

/** An upstream of its own that answers with one status, so that a probe sees where it went. */
function answering(status: number): { port: number; close(): Promise<void> } {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("", { status }),
  );
  return { port: server.addr.port, close: () => server.shutdown() };
}

async function startProxy(kind: Kind, ground: Ground, plane: ControlPlane, port: number): Promise<Running> {
  const log = `${ground.directory}/ads-${kind.replaceAll(" ", "-")}.log`;
  if (kind === "envoy") {
    const file = `${ground.directory}/ads-envoy.json`;
    await Deno.writeTextFile(file, envoyBootstrap(plane.port, port));
    const flags = ["--concurrency", "1", "--disable-hot-restart", "-l", "error"];
    return start(kind, [await envoyBinary(), "-c", file, ...flags], log);
  }
  const directory = await writeConf(`${ground.directory}/ads-conf`, {
    "chassis.yaml": `cse:
  protocols:
    http: {listenAddress: "127.0.0.1:${port}"}
    rest-admin: {listenAddress: "127.0.0.1:${freePort()}"}
  service:
    registry:
      registrator: {disabled: true}
      serviceDiscovery: {type: pilotv3, address: "${plane.address}"}
discovery: {delta: ${kind.includes("delta")}, transport: ${kind.includes("grpc-js") ? "grpc-js" : "native"}}
`,
    "router.yaml": "router: {infra: pilotv3}\n",
  }, {});
  const { command, env } = agentCommand(directory);
  return start(kind, command, log, env);
}

/** Until a request for the first service has this status, from the moment in which the plane wrote the answer. */
async function inForce(
  plane: ControlPlane,
  resources: Partial<WireResources>,
  type: "EDS" | "RDS",
  port: number,
  status: number,
): Promise<number> {
  const from = plane.events.length;
  const sent = plane.waitFor((e: PlaneEvent) => e.kind === "response" && e.type === type, type, from)
    .then(() => performance.now());
  const pushed = plane.set(resources);
  const startMs = await sent;
  while (await probe(port, `${serviceName(0)}:${PORT}`) !== status) {
    if (performance.now() - startMs > 20_000) throw new Error(`Cannot see ${type} in force in 20 s`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const ms = performance.now() - startMs;
  await pushed;
  return ms;
}

async function measure(kind: Kind, services: number, ground: Ground): Promise<Measured> {
  const teapot = answering(418);
  const conflict = answering(409);
  const last = `${serviceName(services - 1)}:${PORT}`;
  const resources = (turn: Turn) => resourcesOf(programOf(services, ground.upstreamPort, turn), "istiod");
  const own = ground.upstreamPort;
  const begin = resources({ first: [own, 100], second: [conflict.port, 0], timeout: "0s" });
  const moved = resources({ first: [teapot.port, 100], second: [conflict.port, 0], timeout: "0s" });
  const weighed = resources({ first: [teapot.port, 0], second: [conflict.port, 100], timeout: "0s" });
  const anew = resources({ first: [own, 100], second: [conflict.port, 0], timeout: "60s" });

  await using plane = await startControlPlane({ temper: "istiod" });
  await plane.set(begin);
  const port = freePort();
  const proxy = await startProxy(kind, ground, plane, port);
  try {
    const log = `${ground.directory}/ads-${kind.replaceAll(" ", "-")}.log`;
    const readyMs = await untilAnswers(port, last, 60_000, log);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const idleMb = rssMb(proxy.pid);
    const peakMb = peakRssMb(proxy.pid);
    const cpuMs = 1000 * cpuSeconds(proxy.pid);
    const endpointMs = await inForce(plane, { EDS: moved.EDS }, "EDS", port, 418);
    const weightMs = await inForce(plane, { RDS: weighed.RDS }, "RDS", port, 409);
    const load = { connections: 2, seconds: 4, path: "/", postBytes: 0, headers: [] };
    const quiet = await wrk(port, last, load, ground.directory);
    const pushing = wrk(port, last, load, ground.directory);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await plane.set(anew);
    const during = await pushing;
    return {
      readyMs,
      cpuMs,
      rssMb: idleMb,
      peakMb,
      endpointMs,
      weightMs,
      quietWorstMs: quiet.maxUs / 1000,
      worstMs: during.maxUs / 1000,
    };
  } finally {
    await proxy.stop();
    await Promise.all([teapot.close(), conflict.close()]);
  }
}

/** The table, as Markdown lines. */
export async function benchAds(
  ground: Ground,
  names: readonly TargetName[],
  quick: boolean,
): Promise<string[]> {
  const lines = [
    "One ADS server, clusters of 10 endpoints.",
    "",
    "| proxy | clusters | ready ms | CPU ms | RSS MB | at most | endpoint in force ms | weight in force ms | slowest request ms, quiet | while all is pushed |",
    "|---|---|---|---|---|---|---|---|---|---|",
  ];
  const kinds = KINDS.filter((kind) => names.some((name) => kind.startsWith(name)));
  for (const services of quick ? [10_000] : [1_000, 10_000]) {
    const all = new Map<Kind, Measured[]>(kinds.map((kind) => [kind, []]));
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      for (const kind of kinds) all.get(kind)!.push(await measure(kind, services, ground));
    }
    for (const [kind, list] of all) {
      const of = (pick: (m: Measured) => number) => median(list.map(pick)).toFixed(0);
      const cells = [kind, services, of((m) => m.readyMs), of((m) => m.cpuMs)];
      cells.push(of((m) => m.rssMb), of((m) => m.peakMb));
      cells.push(
        of((m) => m.endpointMs),
        of((m) => m.weightMs),
        of((m) => m.quietWorstMs),
        of((m) => m.worstMs),
      );
      lines.push(`| ${cells.join(" | ")} |`);
      console.error(lines.at(-1));
    }
  }
  return lines;
}
