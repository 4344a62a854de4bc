/**
 * Why a TCP or TLS connection goes where it goes: the chains of the data path, told in order.
 *
 * In: `tcp://host:port` (any bytes) or `tls://server-name:port` (a TLS hello that names the host). Out: an {@link Explanation}
 * whose routes are filter chains.
 *
 * @example
 * ```ts ignore
 * formatExplanation(explainConnection(program, tables, "tcp://mysql:3306", "default"));
 * ```
 */
import { formatOrigin } from "../core/diagnostics.ts";
import { normalAddress } from "../core/ip.ts";
import type { FilterChain, Program } from "../model/model.ts";
import { explainDestination, type ExplainedRoute, type Explanation } from "./explain.ts";
import { type L4Question, l4Question, l4TablesOf, type L4Target, serviceClusterOf } from "./l4.ts";
import type { RouteTables } from "./types.ts";
import { splitAuthority } from "./view.ts";

/** Whether the URL asks about a connection and not about a request. */
export function isConnection(url: string): boolean {
  return /^(tcp|tls):\/\//i.test(url);
}

/** Throws a RangeError with a plain sentence when the URL has no host and port. */
export function explainConnection(
  program: Program,
  tables: RouteTables,
  url: string,
  namespace: string,
): Explanation {
  const m = /^(tcp|tls):\/\/([^/?#]*)\/?$/i.exec(url);
  const tls = m?.[1]?.toLowerCase() === "tls";
  const authority = m?.[2] ?? "";
  const where = splitAuthority(authority, "https");
  if (where === undefined || (!tls && !/:\d+$/.test(authority))) {
    throw new RangeError(`Cannot read "${url}": want tcp://HOST:PORT or tls://SERVER-NAME[:PORT]`);
  }
  const { host, port } = where;
  const question = l4Question(tables, host, port, namespace);
  const target = l4TablesOf(program).find(question);
  const request = `${tls ? "TLS" : "TCP"} connection to ${authority}`;
  if (target === undefined) return withoutRule(program, tables, request, question);

  const hello = tls ? { serverName: host, applicationProtocols: [] } : undefined;
  const chain = target.match(hello);
  const destinations = chain === undefined ? [] : sharesOf(program, chain);
  return {
    request,
    outcome: chain === undefined ? "noRoute" : "route",
    summary: chain === undefined
      ? `No chain of listener ${target.listener.name} takes it: closed (NR)`
      : `Listener ${target.listener.name}: ${
        destinations.map((d) => destinations.length === 1 ? d.cluster : `${d.cluster} (${d.share} %)`).join(
          ", ",
        )
      }`,
    routes: chainsOf(target, chain),
    destinations,
    actions: actionsOf(target, chain),
  };
}

function withoutRule(
  program: Program,
  tables: RouteTables,
  request: string,
  question: L4Question,
): Explanation {
  const cluster = serviceClusterOf(program, tables, question)?.cluster;
  if (cluster !== undefined) {
    return {
      request,
      outcome: "route",
      summary: `No TCP or TLS rule holds: goes to the whole service, ${cluster}`,
      routes: [],
      destinations: [explainDestination(program, cluster, 1, 1, undefined)],
      actions: byAddress(program, question),
    };
  }
  const ports = tables.portsOf(question.host);
  const none = { request, routes: [], destinations: [], actions: [] };
  if (ports.length > 0) {
    return {
      ...none,
      outcome: "unknownPort",
      summary: `Host ${question.host} is known, but not on port ${question.port}: it has ${ports.join(", ")}`,
    };
  }
  return {
    ...none,
    outcome: "unknownHost",
    summary:
      `No rule knows host ${question.host}: the outbound policy decides (ALLOW_ANY passes it on, REGISTRY_ONLY refuses it)`,
  };
}

/** The data path looks the name up; nothing is looked up here. */
function byAddress(program: Program, { host, port }: L4Question): string[] {
  if (normalAddress(host) !== undefined || !l4TablesOf(program).hasAddresses(port)) return [];
  return [`unless a listener on port ${port} has the address of ${host}: ask for tcp://ADDRESS:${port}`];
}

function sharesOf(program: Program, chain: FilterChain) {
  const clusters = chain.tcp?.weightedClusters ?? [{ name: chain.tcp?.cluster ?? "", weight: 1 }];
  const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
  return clusters.map(({ name, weight }) => explainDestination(program, name, weight, total, chain.origin));
}

function chainsOf(target: L4Target, chosen: FilterChain | undefined): ExplainedRoute[] {
  return target.chains.map((chain, i) => ({
    number: i + 1,
    name: conditionOf(chain),
    where: chain.origin === undefined ? "" : formatOrigin(chain.origin),
    result: chain === chosen ? "chosen" : "failed",
    ...(chain === chosen ? {} : { reason: "another chain fits better, or this one not at all" }),
  }));
}

function conditionOf({ match }: FilterChain): string {
  const parts = [
    ...match?.serverNames === undefined ? [] : [`server name ${match.serverNames.join(" or ")}`],
    ...match?.prefixRanges === undefined ? [] : [`address in ${match.prefixRanges.join(" or ")}`],
    ...match?.transportProtocol === undefined ? [] : [match.transportProtocol],
    ...match?.applicationProtocols === undefined ? [] : [match.applicationProtocols.join(" or ")],
  ];
  return parts.length === 0 ? "everything else" : parts.join(", ");
}

function actionsOf(target: L4Target, chain: FilterChain | undefined): string[] {
  const { idleTimeout, maxDownstreamConnectionDuration: duration } = chain?.tcp ?? {};
  return [
    ...target.needsHello ? ["waits for the client's TLS hello before it chooses"] : [],
    ...idleTimeout === undefined ? [] : [`closed after ${idleTimeout} without a byte`],
    ...duration === undefined ? [] : [`closed after ${duration}`],
  ];
}
