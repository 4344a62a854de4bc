/** A request record for tests. */
import type { RequestRecord } from "../../agent/observe/types.ts";

export function recordOf(more: Partial<RequestRecord> = {}): RequestRecord {
  return {
    startMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    method: "GET",
    path: "/hello?x=1",
    protocol: "HTTP/1.1",
    authority: "istioserver:8084",
    status: 200,
    flags: "",
    details: "via_upstream",
    bytesReceived: 0,
    bytesSent: 78,
    durationMs: 3.4,
    upstreamServiceTimeMs: 2.2,
    forwardedFor: "",
    userAgent: "curl/8.5",
    requestId: "7f3c",
    upstreamCluster: "outbound|8084|v3|istioserver",
    upstreamHost: "127.0.0.1:8083",
    routeName: "split",
    virtualHost: "istioserver:8084",
    downstreamRemote: "127.0.0.1:50000",
    attempts: [{ endpoint: "127.0.0.1:8083", outcome: "ok", durationMs: 2.2 }],
    ...more,
  };
}
