/** Stage 5, pick: an endpoint of the cluster. Ends with 503 NC or UH, 403 or 508 for addresses that are not gone to. */
import { MeshError } from "../core/errors.ts";
import { PASSTHROUGH_CLUSTER } from "../model/model.ts";
import type { ClusterHandle, Endpoint } from "./clusters.ts";
import type { ProxyContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import type { RequestHeadView } from "./request_view.ts";

/** How long the address of a host that no rule knows is remembered, ms. */
const PASSTHROUGH_REFRESH_MS = 10_000;

export function clusterOf(proxy: ProxyContext, ex: Exchange, name: string): ClusterHandle {
  ex.cluster = name;
  const handle = proxy.clusters.get(ex.world!, name);
  if (handle === undefined) {
    ex.details = "cluster_not_found";
    throw new MeshError(
      "P301",
      `Cannot route to cluster "${name}": the rules declare no such service, port or subset`,
    );
  }
  ex.upstreamHttp2 = handle.speaksHttp2(ex.http2);
  return handle;
}

/** Where the request goes: cluster and a way to pick an endpoint of it, anew for every attempt. */
export interface Target {
  readonly handle: ClusterHandle;
  /** Addresses of the named host for clusters without endpoints of their own. */
  readonly addresses: readonly string[] | null;
  readonly port: number;
}

/** Only waits when a name must be resolved for the first time; so most requests pass without a promise. */
export function target(
  proxy: ProxyContext,
  ex: Exchange,
  view: Pick<RequestHeadView, "host" | "port">,
  cluster: string | null,
): Target | Promise<Target> {
  const handle = clusterOf(proxy, ex, cluster ?? PASSTHROUGH_CLUSTER);
  if (handle.direct) return direct(proxy, handle, view);
  if (handle.isDns) return handle.prepare().then(() => ({ handle, addresses: null, port: 0 }));
  return { handle, addresses: null, port: 0 };
}

async function direct(
  proxy: ProxyContext,
  handle: ClusterHandle,
  view: Pick<RequestHeadView, "host" | "port">,
): Promise<Target> {
  const addresses = await proxy.names.resolve(view.host, PASSTHROUGH_REFRESH_MS);
  // The policy looks at addresses, not names: a name may point anywhere.
  for (const address of addresses) proxy.own.check(view.host, address, view.port);
  return { handle, addresses, port: view.port };
}

export function pick(proxy: ProxyContext, ex: Exchange, to: Target, tried: readonly Endpoint[]): Endpoint {
  if (to.addresses !== null) {
    const address = to.addresses[tried.length % to.addresses.length]!;
    return to.handle.endpointOf(address, to.port);
  }
  const attempts = ex.route?.retry?.avoidPreviousHosts === false
    ? 0
    : ex.route?.retry?.hostSelectionRetryMaxAttempts ?? 5;
  const endpoint = to.handle.pick(tried, attempts);
  if (endpoint === null) {
    ex.details = "no_healthy_upstream";
    throw new MeshError("P302", `no healthy upstream: cluster "${ex.cluster}" has no endpoint`);
  }
  if (endpoint.allowed !== proxy.own.count) {
    proxy.own.check(endpoint.address, endpoint.address, endpoint.port);
    endpoint.allowed = proxy.own.count;
  }
  return endpoint;
}
