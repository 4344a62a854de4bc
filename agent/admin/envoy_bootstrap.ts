/**
 * A Program as a complete Envoy v3 bootstrap: one explicit-proxy HTTP listener with static routes, static clusters and
 * their endpoints. What `mesh-agent program --format envoy` prints, and what the differential tests hand to Envoy.
 *
 * In: a Program, addresses, the outbound policy. Out: an object to print as JSON (which is YAML), for `envoy -c`.
 *
 * One Envoy listener has one route table, so the tables of all ports become one: domain `reviews` of table 9080 becomes
 * `reviews:9080`, and of table 80 both `reviews:80` and `reviews`. Hosts asked for on a port that they do not have get
 * 404, other hosts what the outbound policy says. Prefix wildcards (`www.*`) cannot carry a port; only table 80's stay.
 *
 * @example
 * ```ts
 * import { envoyBootstrap } from "./envoy_bootstrap.ts";
 * console.log(JSON.stringify(envoyBootstrap(program, { listen: { hostname: "127.0.0.1", port: 10000 } }), null, 2));
 * ```
 */
import { jsonPieces, Lazy } from "../core/json_pieces.ts";
import type { StreamAddress } from "../core/ports.ts";
import {
  BLACKHOLE_CLUSTER,
  PASSTHROUGH_CLUSTER,
  type Program,
  type RouteConfiguration,
  type VirtualHost,
} from "../model/model.ts";
import { buildRouteTables } from "../route/table.ts";
import type { RouteTables } from "../route/types.ts";
import { DNS_CACHE, envoyCluster, forwardProxyCluster, needsForwardProxy } from "./envoy_cluster.ts";
import { extension, type Json, type JsonObject } from "./envoy_json.ts";
import { envoyRoute } from "./envoy_route.ts";

export interface BootstrapOptions {
  readonly listen: StreamAddress;
  /** No admin listener when absent. */
  readonly admin?: StreamAddress;
  /** What happens to hosts that no rule knows. Default ALLOW_ANY, as in Istio. */
  readonly outbound?: "ALLOW_ANY" | "REGISTRY_ONLY";
  /** Of the program; made anew when absent. */
  readonly tables?: Pick<RouteTables, "findVirtualHost">;
}

const RUNTIME: JsonObject = {
  // Istio's bootstrap lifts Envoy's limit on the size of regular expressions in the same way.
  "re2.max_program_size.error_level": 32768,
  // Conditions look at all values of a header joined with `,`, as every Envoy up to 1.38 does by default.
  "envoy.reloadable_features.match_headers_individually": false,
};

const HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

export function envoyBootstrap(program: Program, options: BootstrapOptions): JsonObject {
  return bootstrap(program, options, (items) => [...items]) as JsonObject;
}

/** {@link envoyBootstrap} as JSON text, piece by piece: clusters and virtual hosts are made as they are read. */
export function envoyBootstrapPieces(program: Program, options: BootstrapOptions): Generator<string> {
  return jsonPieces(bootstrap(program, options, (items) => new Lazy(items)));
}

/** `list` takes what may be long. */
function bootstrap(
  program: Program,
  options: BootstrapOptions,
  list: (items: Iterable<Json>) => unknown,
): unknown {
  const outbound = options.outbound ?? "ALLOW_ANY";
  const forwards = outbound === "ALLOW_ANY" || [...program.clusters.values()].some(needsForwardProxy);
  const outermostFirst = [...program.routeConfigurations.values()].some((t) =>
    t.mostSpecificHeaderMutationsWins
  );
  const tables = options.tables ?? buildRouteTables(program);
  const virtualHosts = list(mergedVirtualHosts(program, outbound, tables));
  return {
    node: { id: "mesh-agent", cluster: "mesh-agent" },
    ...(options.admin === undefined ? {} : { admin: { address: socketAddress(options.admin) } }),
    layeredRuntime: { layers: [{ name: "static", staticLayer: RUNTIME }] },
    staticResources: {
      listeners: [{
        name: "outbound_proxy",
        address: socketAddress(options.listen),
        filterChains: [{
          filters: [{
            name: "envoy.filters.network.http_connection_manager",
            typedConfig: {
              "@type": `type.googleapis.com/${HCM}`,
              ...connectionManager(virtualHosts, forwards, outermostFirst),
            },
          }],
        }],
      }],
      clusters: list(staticClusters(program, outbound)),
    },
  };
}

function* staticClusters(program: Program, outbound: string): Generator<Json> {
  for (const [name, cluster] of program.clusters) {
    if (name === PASSTHROUGH_CLUSTER || name === BLACKHOLE_CLUSTER) continue;
    yield envoyCluster(cluster, program);
  }
  if (outbound === "ALLOW_ANY") yield forwardProxyCluster(PASSTHROUGH_CLUSTER);
}

function socketAddress(address: StreamAddress): JsonObject {
  return { socketAddress: { address: address.hostname, portValue: address.port } };
}

function connectionManager(virtualHosts: unknown, forwards: boolean, outermostFirst: boolean): object {
  const http = "envoy.extensions.filters.http";
  return {
    statPrefix: "outbound_proxy",
    httpProtocolOptions: { allowAbsoluteUrl: true },
    normalizePath: true,
    serverHeaderTransformation: "PASS_THROUGH",
    upgradeConfigs: [{ upgradeType: "websocket" }],
    routeConfig: {
      name: "outbound_proxy",
      validateClusters: false,
      maxDirectResponseBodySizeBytes: 1048576,
      ...(outermostFirst ? { mostSpecificHeaderMutationsWins: true } : {}),
      virtualHosts,
    },
    httpFilters: [
      extension("envoy.filters.http.fault", `${http}.fault.v3.HTTPFault`, {}),
      extension("envoy.filters.http.cors", `${http}.cors.v3.Cors`, {}),
      ...(forwards
        ? [
          extension(
            "envoy.filters.http.dynamic_forward_proxy",
            `${http}.dynamic_forward_proxy.v3.FilterConfig`,
            {
              dnsCacheConfig: DNS_CACHE,
            },
          ),
        ]
        : []),
      extension("envoy.filters.http.router", `${http}.router.v3.Router`, {}),
    ],
  };
}

/** Domains already given away, and virtual-host names, both unique in one table. */
class Merge {
  readonly #domains = new Set<string>();
  readonly #names = new Set<string>();

  /** The virtual host with what is left of its domains; none when nothing is. */
  *add(name: string, domains: readonly string[], rest: () => JsonObject): Generator<Json> {
    const free = domains.filter((d) => {
      const key = d.toLowerCase();
      if (this.#domains.has(key)) return false;
      this.#domains.add(key);
      return true;
    });
    if (free.length === 0) return;
    let unique = name;
    for (let n = 2; this.#names.has(unique); n++) unique = `${name}#${n}`;
    this.#names.add(unique);
    yield { name: unique, domains: free, ...rest() };
  }
}

/** Hosts looked up for one virtual host of unknown ports: a few milliseconds. */
const AT_ONCE = 2_000;

function* mergedVirtualHosts(
  program: Program,
  outbound: string,
  lookUp: Pick<RouteTables, "findVirtualHost">,
): Generator<Json> {
  const merge = new Merge();
  const known: string[] = [];
  const catchAll: Json[] = [];
  const tables = [...program.routeConfigurations.values()];
  const portOf = (name: string) => /^\d{1,5}$/.test(name) ? Number(name) : undefined;
  const restOf = (table: RouteConfiguration, vh: VirtualHost) => () => ({
    routes: vh.routes.map(envoyRoute),
    ...headersOf(table, vh),
  });
  // As in the agent's own look-up: `host:port` tables, then the ports' tables, then http_proxy for what they lack.
  for (const table of tables) {
    if (portOf(table.name) !== undefined || !/:\d{1,5}$/.test(table.name)) continue;
    for (const vh of table.virtualHosts) {
      yield* merge.add(vh.name, vh.domains.map((d) => d === "*" ? table.name : d), restOf(table, vh));
    }
  }
  for (const table of tables) {
    const port = portOf(table.name);
    if (port === undefined) continue;
    for (const vh of table.virtualHosts) {
      const named = vh.domains.filter((d) => d !== "*");
      known.push(...named.map(withoutPort));
      yield* merge.add(vh.name, named.flatMap((d) => domainsAt(d, port)), restOf(table, vh));
      if (named.length < vh.domains.length && !isPolicy(vh)) catchAll.push(...onPort(vh, port));
    }
  }
  const table = tables.find((t) => t.name === "http_proxy");
  for (const vh of table?.virtualHosts ?? []) {
    if (table === undefined || isPolicy(vh)) continue;
    known.push(...vh.domains.map(withoutPort));
    yield* merge.add(vh.name, vh.domains.filter((d) => d !== "*"), restOf(table, vh));
  }
  // A wildcard of table 80 serves a bare host that is known by name on another port only.
  const exact = known.filter((d) => !d.includes("*"));
  const wildcards = [...new Set(known.filter((d) => d.startsWith("*")))];
  const notFound = { match: { prefix: "" }, directResponse: { status: 404 } };
  for (let at = 0; at < exact.length; at += AT_ONCE) {
    const domains = exact.slice(at, at + AT_ONCE).flatMap((d) =>
      lookUp.findVirtualHost(d, 80) === undefined ? [d, `${d}:*`] : [`${d}:*`]
    );
    yield* merge.add("unknown_port", domains, () => ({ routes: [notFound] }));
  }
  yield* merge.add("other", ["*"], () => ({
    routes: [
      ...wildcards.map((d) => ({
        match: { prefix: "", headers: [authority(`(?i).+${escapeRegex(d.slice(1))}(:\\d+)?`)] },
        directResponse: { status: 404 },
      })),
      ...catchAll,
      outbound === "ALLOW_ANY"
        ? {
          name: "allow_any",
          match: { prefix: "/" },
          route: { cluster: PASSTHROUGH_CLUSTER, timeout: "0s" },
        }
        : { name: "block_all", match: { prefix: "/" }, directResponse: { status: 502 } },
    ],
  }));
}

/** What a table does to headers is done by each of its virtual hosts, because tables become one. */
function headersOf(table: RouteConfiguration, vh: VirtualHost): JsonObject {
  const levels = table.mostSpecificHeaderMutationsWins === true ? [table, vh] : [vh, table];
  const out: Record<string, Json> = {};
  for (
    const field of [
      "requestHeadersToAdd",
      "requestHeadersToRemove",
      "responseHeadersToAdd",
      "responseHeadersToRemove",
    ] as const
  ) {
    const steps = levels.flatMap((level) => [...level[field] ?? []] as unknown[]);
    if (steps.length > 0) out[field] = steps as Json[];
  }
  return out;
}

/** Istio's own last virtual host of a table; here the outbound policy takes its place. */
function isPolicy(vh: VirtualHost): boolean {
  return vh.name === "allow_any" || vh.name === "block_all";
}

function withoutPort(domain: string): string {
  return domain.replace(/:\d{1,5}$/, "");
}

function domainsAt(domain: string, port: number): string[] {
  if (/:\d{1,5}$/.test(domain) && !domain.endsWith("]")) return [domain];
  if (domain.endsWith("*")) return port === 80 ? [domain] : [];
  return port === 80 ? [domain, `${domain}:80`] : [`${domain}:${port}`];
}

/** Routes of a rule for `*`, held to their port by the authority. */
function onPort(vh: VirtualHost, port: number): Json[] {
  const regex = port === 80 ? "[^:]+|.+:80|\\[.*\\]" : `.+:${port}`;
  return vh.routes.map((route) => {
    const made = envoyRoute(route);
    const match = made["match"] as JsonObject;
    const headers = (match["headers"] ?? []) as readonly Json[];
    return { ...made, match: { ...match, headers: [authority(regex), ...headers] } };
  });
}

function authority(regex: string): JsonObject {
  return { name: ":authority", stringMatch: { safeRegex: { regex } } };
}

function escapeRegex(text: string): string {
  return text.replace(/[\^$\\.*+?()[\]{}|]/g, "\\$&");
}
