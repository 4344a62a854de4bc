/**
 * The observer: where the proxy tells what happens. It counts, measures and hands records to the access log.
 *
 * In: {@link RequestRecord}s and small events (a connection more, a replay). Out: Prometheus text (`expose`) and log lines.
 * Everything lives in plain numbers and Float64Arrays; text is made at scrape time. Per-cluster series are bounded.
 *
 * @example
 * ```ts ignore
 * const observer = createObserver({ accessLog, gauges: () => [{ name: "config_revision", help: "…", value: 3 }] });
 * observer.requestStarted();
 * observer.request(record);
 * observer.expose(); // # HELP mesh_agent_requests_total …
 * ```
 */
import type { AccessLog } from "./access_log.ts";
import { createHistogram } from "./histogram.ts";
import type { Observer, RequestRecord } from "./types.ts";

/** A value read at scrape time. */
export interface Gauge {
  /** Without the `mesh_agent_` prefix. */
  readonly name: string;
  readonly help: string;
  /** Default gauge. */
  readonly type?: "gauge" | "counter";
  /** One sample, or one per label set (`severity="error"`). */
  readonly value: number | ReadonlyMap<string, number>;
}

export interface ObserverOptions {
  readonly accessLog?: AccessLog | undefined;
  /** Asked at each scrape: revision, diagnostics, pool sizes. */
  readonly gauges?: () => Iterable<Gauge>;
  /** Clusters with series of their own; the rest is counted under `other`. Default 1000. */
  readonly maxClusters?: number;
}

/** What status pages read without parsing the text. */
export interface ObserverTotals {
  readonly requests: number;
  readonly inFlight: number;
  readonly downstreamConnections: number;
  readonly upstreamConnections: number;
}

export type MeshObserver = Observer & {
  /** Prometheus text exposition, version 0.0.4. */
  expose(): string;
  totals(): ObserverTotals;
};

const PREFIX = "mesh_agent_";

/** Help of the names that the proxy counts; a name that is not here is exposed without. */
const COUNTER_HELP: Readonly<Record<string, string>> = {
  accept_errors_total: "accept() calls that failed, e.g. for want of file descriptors.",
  grpc_listener_connections_total: "Connections that the listener of protocols.grpc took.",
  http_listener_connections_total: "Connections that the listener of protocols.http took.",
  http2_upstream_errors_total: "Connections to upstreams that ended because somebody broke HTTP/2.",
  http2_upstream_goaways_total: "GOAWAY frames from upstreams.",
  http2_upstream_keepalive_timeouts_total: "Connections to upstreams closed because a ping had no answer.",
  rejected_overload_total: "Requests and connections answered 503 at a limit.",
  replayed_requests_total:
    "Requests sent again after a reused connection died before any response byte, or unprocessed.",
  retries_total: "Attempts after the first, by retry policy.",
  tcp_connections_total: "Tunnels and connections of local ports that reached an endpoint.",
  tcp_received_bytes_total: "Bytes of tunnels and local ports from applications.",
  tcp_sent_bytes_total: "Bytes of tunnels and local ports to applications.",
  upstream_cx_overflow_total: "Connections that were not opened because of maxConnections of a cluster.",
  upstream_rq_pending_overflow_total: "Requests answered 503 UO at a limit of a cluster.",
  upstream_rq_retry_overflow_total: "Retries not made because of a cluster's maxRetries or retryBudget.",
};

// Classes are indexed by the first digit of the status; 0 = the client went away before an answer.
const CLASSES: readonly string[] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

export function createObserver(options: ObserverOptions = {}): MeshObserver {
  const { accessLog, gauges, maxClusters = 1000 } = options;
  const byClass = new Float64Array(CLASSES.length);
  const clusters = new Map<string, Float64Array>();
  const flags = new Map<string, number>();
  const counters = new Map<string, number>();
  const attempts = new Map<string, number>();
  for (const name of Object.keys(COUNTER_HELP)) counters.set(name, 0);
  const durations = createHistogram();
  const upstreamTimes = createHistogram();
  let started = 0;
  let ended = 0;
  let bytesReceived = 0;
  let bytesSent = 0;
  let downstream = 0;
  let downstreamTotal = 0;
  let upstream = 0;
  let upstreamTotal = 0;

  const clusterCounts = (name: string): Float64Array => {
    let counts = clusters.get(name);
    if (counts === undefined) {
      if (clusters.size >= maxClusters && name !== "other") return clusterCounts("other");
      counts = new Float64Array(CLASSES.length);
      clusters.set(name, counts);
    }
    return counts;
  };

  return {
    request(record: RequestRecord) {
      const at = record.status < 600 ? (record.status / 100) | 0 : 0;
      // Connections of local ports are no requests: they have counters of their own.
      if (record.protocol !== "TCP") {
        ended++;
        byClass[at] = (byClass[at] as number) + 1;
        bytesReceived += record.bytesReceived;
        bytesSent += record.bytesSent;
        durations.observe(record.durationMs);
      }
      if (record.upstreamServiceTimeMs >= 0) upstreamTimes.observe(record.upstreamServiceTimeMs);
      if (record.upstreamCluster !== "" && record.protocol !== "TCP") {
        const counts = clusterCounts(record.upstreamCluster);
        counts[at] = (counts[at] as number) + 1;
      }
      if (record.flags !== "") {
        for (const flag of record.flags.split(",")) flags.set(flag, (flags.get(flag) ?? 0) + 1);
      }
      for (const attempt of record.attempts) {
        attempts.set(attempt.outcome, (attempts.get(attempt.outcome) ?? 0) + 1);
      }
      accessLog?.record(record);
    },
    downstreamConnection(delta) {
      downstream += delta;
      if (delta > 0) downstreamTotal++;
    },
    upstreamConnection(delta) {
      upstream += delta;
      if (delta > 0) upstreamTotal++;
    },
    requestStarted() {
      started++;
    },
    count(name, by = 1) {
      counters.set(name, (counters.get(name) ?? 0) + by);
    },
    totals() {
      return {
        requests: ended,
        inFlight: started - ended,
        downstreamConnections: downstream,
        upstreamConnections: upstream,
      };
    },
    expose() {
      const out = new Exposition();
      out.one("requests_total", "counter", "Requests that ended, CONNECT and upgrades too.", ended);
      out.one("requests_in_flight", "gauge", "Requests between head and last byte.", started - ended);
      out.many(
        "responses_total",
        "counter",
        "Responses by class; none = the client went away before one.",
        CLASSES.map((name, i) => [`class="${name}"`, byClass[i] as number]),
      );
      out.many(
        "response_flags_total",
        "counter",
        "Requests by Envoy response flag.",
        [...flags].sort().map(([flag, n]) => [`flag="${labelText(flag)}"`, n]),
      );
      out.many(
        "cluster_responses_total",
        "counter",
        "Responses by cluster and class.",
        [...clusters].flatMap(([cluster, counts]) =>
          CLASSES.flatMap((name, i): [string, number][] =>
            counts[i] === 0 ? [] : [[`cluster="${labelText(cluster)}",class="${name}"`, counts[i] as number]]
          )
        ),
      );
      out.many(
        "attempts_total",
        "counter",
        "Tries against an endpoint by outcome.",
        [...attempts].sort().map(([outcome, n]) => [`outcome="${labelText(outcome)}"`, n]),
      );
      out.one("received_bytes_total", "counter", "Request body bytes received.", bytesReceived);
      out.one("sent_bytes_total", "counter", "Response body bytes sent.", bytesSent);
      out.head("request_duration_milliseconds", "histogram", "First request byte to last response byte.");
      out.text += durations.expose(`${PREFIX}request_duration_milliseconds`, "");
      out.head("upstream_service_time_milliseconds", "histogram", "Request sent to first response byte.");
      out.text += upstreamTimes.expose(`${PREFIX}upstream_service_time_milliseconds`, "");
      out.one("downstream_connections", "gauge", "Open connections of applications.", downstream);
      out.one("downstream_connections_total", "counter", "Connections of applications.", downstreamTotal);
      out.one("upstream_connections", "gauge", "Open connections to endpoints.", upstream);
      out.one("upstream_connections_total", "counter", "Connections to endpoints.", upstreamTotal);
      if (accessLog !== undefined) {
        out.one(
          "access_log_dropped_total",
          "counter",
          "Access log lines lost to a slow sink.",
          accessLog.dropped,
        );
      }
      for (const [name, n] of [...counters].sort()) {
        out.one(name, "counter", COUNTER_HELP[name] ?? "Counted by the proxy.", n);
      }
      for (const { name, help, value, type = "gauge" } of gauges?.() ?? []) {
        if (typeof value === "number") out.one(name, type, help, value);
        else out.many(name, type, help, [...value]);
      }
      return out.text;
    },
  };
}

class Exposition {
  text = "";

  head(name: string, type: string, help: string): void {
    this.text += `# HELP ${PREFIX}${name} ${help}\n# TYPE ${PREFIX}${name} ${type}\n`;
  }

  one(name: string, type: string, help: string, value: number): void {
    this.head(name, type, help);
    this.text += `${PREFIX}${name} ${value}\n`;
  }

  many(name: string, type: string, help: string, samples: readonly (readonly [string, number])[]): void {
    this.head(name, type, help);
    for (const [labels, value] of samples) this.text += `${PREFIX}${name}{${labels}} ${value}\n`;
  }
}

/** Label values escape backslash, quote and newline (Prometheus text format). */
function labelText(value: string): string {
  return /[\\"\n]/.test(value)
    ? value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")
    : value;
}
