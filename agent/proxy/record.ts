/** Stage 10, record: always, also when the client went away. */
import type { RequestRecord } from "../observe/types.ts";
import type { ProxyContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";

const GRPC_COUNTERS: readonly string[] = Array.from(
  { length: 17 },
  (_, status) => `grpc_status_${status}_total`,
);

export function record(proxy: ProxyContext, ex: Exchange, nowMs: number): void {
  const { head, responder, body } = ex;
  const duration = nowMs - ex.startMs;
  const result: RequestRecord = {
    startMs: ex.startMs + proxy.deadlines.wallOffset,
    method: ex.method,
    path: ex.view === null || ex.method === "CONNECT" ? ex.target : pathOf(ex),
    protocol: ex.http2 ? "HTTP/2" : head.minor === 1 ? "HTTP/1.1" : "HTTP/1.0",
    authority: ex.authority,
    status: ex.status,
    flags: ex.flags,
    details: ex.details,
    bytesReceived: body.received + ex.tunnelReceived,
    bytesSent: responder.sent + ex.tunnelSent,
    durationMs: duration,
    upstreamServiceTimeMs: ex.upstreamServiceMs,
    forwardedFor: ex.forwardedFor,
    userAgent: head.userAgentIndex < 0 ? "" : head.valueAt(head.userAgentIndex),
    requestId: ex.requestId,
    upstreamCluster: ex.cluster,
    upstreamHost: ex.upstreamHost,
    routeName: ex.route === null ? "" : ex.route.name,
    virtualHost: ex.virtualHost === null ? "" : ex.virtualHost.source.name,
    downstreamRemote: ex.remoteText,
    attempts: ex.attempts,
    inbound: proxy.inbound === null ? undefined : true,
    grpcStatus: ex.grpcStatus < 0 ? undefined : ex.grpcStatus,
  };
  if (ex.grpcStatus >= 0) {
    proxy.observer.count(GRPC_COUNTERS[ex.grpcStatus] ?? "grpc_status_other_total");
  }
  proxy.observer.request(result);
}

/** As received; of an absolute URL the part behind the authority. */
function pathOf(ex: Exchange): string {
  const view = ex.view!;
  if (view.pathStart < 0) return view.query === undefined ? view.path : `${view.path}?${view.query}`;
  return ex.target.substring(view.pathStart - ex.head.targetStart);
}
