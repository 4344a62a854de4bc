/** Stage 3, select: which route of which virtual host. Ends with 404, 502, 503 or 508. */
import { MeshError } from "../core/errors.ts";
import { type CompiledDestination, type CompiledRoute, type Decision } from "../route/types.ts";
import type { ProxyContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import type { RequestHeadView } from "./request_view.ts";
import { printable } from "./view.ts";

/** What the following stages go by: a route, or none for a host that no rule knows but the policy lets through. */
export interface Selected {
  readonly decision: Extract<Decision, { route: CompiledRoute }> | null;
  /** Null for redirects, direct responses and passthrough. */
  readonly destination: CompiledDestination | null;
}

export const PASS_THROUGH: Selected = { decision: null, destination: null };

export function checkSynced(proxy: ProxyContext, ex: Exchange): void {
  ex.world = proxy.world.current;
  if (ex.world.revision === 0) {
    throw new MeshError("P203", "Cannot route: the rules are not synced yet");
  }
}

/** For hosts that no rule takes: a rule may take a name of the agent's own, and pick checks where it leads. */
export function checkLoop(proxy: ProxyContext, ex: Exchange, host: string, port: number): void {
  if (!proxy.own.has(host, port)) return;
  throw new MeshError(
    "P205",
    `Cannot forward to "${
      printable(ex.authority)
    }": that is a listener of this agent; wanted is another host`,
  );
}

export function select(proxy: ProxyContext, ex: Exchange, view: RequestHeadView): Selected {
  checkSynced(proxy, ex);
  const decision = ex.world!.tables.select(view, proxy.rng());
  switch (decision.kind) {
    case "route":
      ex.virtualHost = decision.virtualHost;
      ex.route = decision.route;
      return { decision, destination: decision.destination };
    case "redirect":
    case "directResponse":
      ex.virtualHost = decision.virtualHost;
      ex.route = decision.route;
      return { decision, destination: null };
    case "noRoute":
      ex.virtualHost = decision.virtualHost;
      ex.details = "route_not_found";
      throw new MeshError(
        "P201",
        `Cannot route ${view.method} "${
          printable(view.path)
        }" of host "${view.host}": no route of virtual host ` +
          `"${decision.virtualHost.source.name}" matches`,
      );
    case "unknownPort":
      checkLoop(proxy, ex, view.host, view.port);
      throw unknownPort(view.host, view.port, decision.ports, ex);
    case "unknownHost":
      checkLoop(proxy, ex, view.host, view.port);
      checkPolicy(proxy, ex, view.host, view.port);
      return PASS_THROUGH;
  }
}

export function unknownPort(host: string, port: number, ports: readonly number[], ex: Exchange): MeshError {
  ex.details = "route_not_found";
  return new MeshError(
    "P202",
    `Cannot route to port ${port} of host "${host}": the host has ${ports.length === 1 ? "port" : "ports"} ` +
      ports.join(", "),
  );
}

/** A host that no rule knows. */
export function checkPolicy(proxy: ProxyContext, ex: Exchange, host: string, port: number): void {
  if (proxy.config.proxy.outboundTrafficPolicy === "ALLOW_ANY") return;
  ex.details = "direct_response";
  throw new MeshError(
    "P204",
    `Cannot forward to "${host}:${port}": no rule declares the host and outboundTrafficPolicy is REGISTRY_ONLY`,
  );
}
