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
import { createHistogram, type Histogram } from "./histogram.ts";
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
  /** There is inbound traffic: what is counted of traffic carries `direction`. Default false: no such label. */
  readonly inbound?: boolean;
}

/** What status pages read without parsing the text. */
export interface ObserverTotals {
  readonly requests: number;
  readonly inFlight: number;
  readonly downstreamConnections: number;
  readonly upstreamConnections: number;
}

/** Itself it takes what applications call. */
export type MeshObserver = Observer & {
  /** Takes what comes to the local application. */
  readonly inbound: Observer;
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

/** What one direction counts. */
class Counts implements Observer {
  readonly byClass = new Float64Array(CLASSES.length);
  readonly clusters = new Map<string, Float64Array>();
  readonly flags = new Map<string, number>();
  readonly counters = new Map<string, number>(Object.keys(COUNTER_HELP).map((name) => [name, 0]));
  readonly attempts = new Map<string, number>();
  readonly durations: Histogram = createHistogram();
  readonly upstreamTimes: Histogram = createHistogram();
  started = 0;
  ended = 0;
  bytesReceived = 0;
  bytesSent = 0;
  downstream = 0;
  downstreamTotal = 0;
  upstream = 0;
  upstreamTotal = 0;
  readonly #accessLog: AccessLog | undefined;
  readonly #maxClusters: number;

  /** `labels`: those of the direction, with a comma behind; empty = none. */
  constructor(accessLog: AccessLog | undefined, maxClusters: number, readonly labels: string) {
    this.#accessLog = accessLog;
    this.#maxClusters = maxClusters;
  }

  request(record: RequestRecord): void {
    const at = record.status < 600 ? (record.status / 100) | 0 : 0;
    // Connections of local ports are no requests: they have counters of their own.
    if (record.protocol !== "TCP") {
      this.ended++;
      this.byClass[at] = (this.byClass[at] as number) + 1;
      this.bytesReceived += record.bytesReceived;
      this.bytesSent += record.bytesSent;
      this.durations.observe(record.durationMs);
    }
    if (record.upstreamServiceTimeMs >= 0) this.upstreamTimes.observe(record.upstreamServiceTimeMs);
    if (record.upstreamCluster !== "" && record.protocol !== "TCP") {
      const counts = this.#clusterCounts(record.upstreamCluster);
      counts[at] = (counts[at] as number) + 1;
    }
    if (record.flags !== "") {
      for (const flag of record.flags.split(",")) this.flags.set(flag, (this.flags.get(flag) ?? 0) + 1);
    }
    for (const attempt of record.attempts) {
      this.attempts.set(attempt.outcome, (this.attempts.get(attempt.outcome) ?? 0) + 1);
    }
    this.#accessLog?.record(record);
  }

  downstreamConnection(delta: 1 | -1): void {
    this.downstream += delta;
    if (delta > 0) this.downstreamTotal++;
  }

  upstreamConnection(delta: 1 | -1): void {
    this.upstream += delta;
    if (delta > 0) this.upstreamTotal++;
  }

  requestStarted(): void {
    this.started++;
  }

  count(name: string, by = 1): void {
    this.counters.set(name, (this.counters.get(name) ?? 0) + by);
  }

  #clusterCounts(name: string): Float64Array {
    let counts = this.clusters.get(name);
    if (counts === undefined) {
      if (this.clusters.size >= this.#maxClusters && name !== "other") return this.#clusterCounts("other");
      counts = new Float64Array(CLASSES.length);
      this.clusters.set(name, counts);
    }
    return counts;
  }
}

export function createObserver(options: ObserverOptions = {}): MeshObserver {
  const { accessLog, gauges, maxClusters = 1000 } = options;
  const outbound = new Counts(
    accessLog,
    maxClusters,
    options.inbound === true ? 'direction="outbound",' : "",
  );
  const inbound = new Counts(accessLog, maxClusters, 'direction="inbound",');
  const directions = options.inbound === true ? [outbound, inbound] : [outbound];
  const sum = (of: (counts: Counts) => number) => directions.reduce((n, counts) => n + of(counts), 0);

  return {
    request: (record) => outbound.request(record),
    downstreamConnection: (delta) => outbound.downstreamConnection(delta),
    upstreamConnection: (delta) => outbound.upstreamConnection(delta),
    requestStarted: () => outbound.requestStarted(),
    count: (name, by) => outbound.count(name, by),
    inbound,
    totals: () => ({
      requests: sum((c) => c.ended),
      inFlight: sum((c) => c.started - c.ended),
      downstreamConnections: sum((c) => c.downstream),
      upstreamConnections: sum((c) => c.upstream),
    }),
    expose() {
      const out = new Exposition();
      const one = (name: string, type: string, help: string, of: (counts: Counts) => number): void => {
        out.head(name, type, help);
        for (const counts of directions) out.sample(name, counts.labels, of(counts));
      };
      const many = (
        name: string,
        help: string,
        of: (counts: Counts) => readonly (readonly [string, number])[],
      ): void => {
        out.head(name, "counter", help);
        for (const counts of directions) {
          for (const [labels, n] of of(counts)) out.sample(name, `${counts.labels}${labels},`, n);
        }
      };
      const histogram = (name: string, help: string, of: (counts: Counts) => Histogram): void => {
        out.head(name, "histogram", help);
        for (const counts of directions) out.text += of(counts).expose(`${PREFIX}${name}`, counts.labels);
      };
      one("requests_total", "counter", "Requests that ended, CONNECT and upgrades too.", (c) => c.ended);
      one("requests_in_flight", "gauge", "Requests between head and last byte.", (c) => c.started - c.ended);
      many(
        "responses_total",
        "Responses by class; none = the client went away before one.",
        (c) => CLASSES.map((name, i) => [`class="${name}"`, c.byClass[i] as number]),
      );
      many(
        "response_flags_total",
        "Requests by Envoy response flag.",
        (c) => [...c.flags].sort().map(([flag, n]) => [`flag="${labelText(flag)}"`, n]),
      );
      many(
        "cluster_responses_total",
        "Responses by cluster and class.",
        (c) =>
          [...c.clusters].flatMap(([cluster, counts]) =>
            CLASSES.flatMap((name, i): [string, number][] =>
              counts[i] === 0
                ? []
                : [[`cluster="${labelText(cluster)}",class="${name}"`, counts[i] as number]]
            )
          ),
      );
      many(
        "attempts_total",
        "Tries against an endpoint by outcome.",
        (c) => [...c.attempts].sort().map(([outcome, n]) => [`outcome="${labelText(outcome)}"`, n]),
      );
      one("received_bytes_total", "counter", "Request body bytes received.", (c) => c.bytesReceived);
      one("sent_bytes_total", "counter", "Response body bytes sent.", (c) => c.bytesSent);
      histogram(
        "request_duration_milliseconds",
        "First request byte to last response byte.",
        (c) => c.durations,
      );
      histogram(
        "upstream_service_time_milliseconds",
        "Request sent to first response byte.",
        (c) => c.upstreamTimes,
      );
      one("downstream_connections", "gauge", "Open connections of applications.", (c) => c.downstream);
      one(
        "downstream_connections_total",
        "counter",
        "Connections of applications.",
        (c) => c.downstreamTotal,
      );
      one("upstream_connections", "gauge", "Open connections to endpoints.", (c) => c.upstream);
      one("upstream_connections_total", "counter", "Connections to endpoints.", (c) => c.upstreamTotal);
      if (accessLog !== undefined) {
        out.head("access_log_dropped_total", "counter", "Access log lines lost to a slow sink.");
        out.sample("access_log_dropped_total", "", accessLog.dropped);
      }
      const names = new Set(directions.flatMap((c) => [...c.counters.keys()]));
      for (const name of [...names].sort()) {
        one(name, "counter", COUNTER_HELP[name] ?? "Counted by the proxy.", (c) => c.counters.get(name) ?? 0);
      }
      for (const { name, help, value, type = "gauge" } of gauges?.() ?? []) {
        out.head(name, type, help);
        if (typeof value === "number") out.sample(name, "", value);
        else for (const [labels, n] of value) out.sample(name, `${labels},`, n);
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

  /** `labels` with a comma behind each; empty = none. */
  sample(name: string, labels: string, value: number): void {
    this.text += `${PREFIX}${name}${labels === "" ? "" : `{${labels.slice(0, -1)}}`} ${value}\n`;
  }
}

/** Label values escape backslash, quote and newline (Prometheus text format). */
function labelText(value: string): string {
  return /[\\"\n]/.test(value)
    ? value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")
    : value;
}
