/**
 * What /stats/prometheus says about the rules and where they come from, read at scrape time: readiness, revision, findings, and
 * each connection to a control plane with its resource types.
 *
 * @example
 * ```ts ignore
 * createObserver({ gauges: () => gaugesOf({ world, problems, status, state, compiled }) });
 * ```
 */
import type { Diagnostic } from "../core/diagnostics.ts";
import type { SourceStatus, TypeStatus, World } from "../discovery/types.ts";
import type { Gauge } from "../observe/observer.ts";

export interface GaugeInput {
  readonly world: World;
  readonly problems: readonly Diagnostic[];
  readonly status: readonly SourceStatus[];
  readonly state: { readonly accepting: boolean; readonly draining: boolean };
  /** Virtual hosts that publications made anew, so far. An endpoint alone adds nothing. */
  readonly recompiled: number;
}

export function gaugesOf({ world, problems, status, state, recompiled }: GaugeInput): Gauge[] {
  const severities = new Map([['severity="error"', 0], ['severity="warning"', 0], ['severity="info"', 0]]);
  for (const { severity } of problems) {
    const label = `severity="${severity}"`;
    severities.set(label, (severities.get(label) ?? 0) + 1);
  }
  const ready = state.accepting && !state.draining && world.revision > 0;
  return [
    { name: "ready", help: "1 when requests are routed by rules.", value: ready ? 1 : 0 },
    { name: "config_revision", help: "Publications of the rules so far.", value: world.revision },
    {
      name: "config_published_seconds",
      help: "When the rules in force were published, Unix time.",
      value: world.publishedMs / 1000,
    },
    {
      name: "config_from_cache",
      help: "1 while the rules in force are those of the cache.",
      value: world.cachedMs === undefined ? 0 : 1,
    },
    { name: "config_diagnostics", help: "Standing findings in the rules.", value: severities },
    { name: "config_clusters", help: "Clusters in force.", value: world.program.clusters.size },
    {
      name: "config_recompiled_hosts_total",
      type: "counter",
      help: "Virtual hosts compiled anew by publications; an endpoint alone adds nothing.",
      value: recompiled,
    },
    ...status.length === 0 ? [] : sourceGauges(status),
  ];
}

function sourceGauges(status: readonly SourceStatus[]): Gauge[] {
  const bySource = (
    name: string,
    type: "gauge" | "counter",
    help: string,
    read: (source: SourceStatus) => number,
  ): Gauge => ({
    name,
    type,
    help,
    value: new Map(status.map((source) => [`source="${source.name}"`, read(source)])),
  });
  const byType = (
    name: string,
    type: "gauge" | "counter",
    help: string,
    read: (type: TypeStatus) => number | undefined,
  ): Gauge => {
    const value = new Map<string, number>();
    for (const source of status) {
      for (const counts of source.types) {
        const n = read(counts);
        if (n !== undefined) value.set(`source="${source.name}",type="${counts.type}"`, n);
      }
    }
    return { name, type, help, value };
  };
  return [
    bySource(
      "xds_synced",
      "gauge",
      "1 while the control plane has sent everything and is connected.",
      (s) => s.step === "synced" ? 1 : 0,
    ),
    bySource("xds_connects_total", "counter", "Connections (v1: polls) begun.", (s) => s.connects),
    bySource("xds_failures_total", "counter", "Connections (v1: polls) that failed.", (s) => s.failures),
    byType("xds_resources", "gauge", "Resources held.", (t) => t.resources),
    byType("xds_requests_total", "counter", "Requests sent.", (t) => t.sent),
    byType("xds_responses_total", "counter", "Responses received.", (t) => t.received),
    byType("xds_received_bytes_total", "counter", "Bytes of the responses.", (t) => t.bytes),
    byType("xds_nacks_total", "counter", "Responses refused, wholly or in part.", (t) => t.nacks),
    byType(
      "xds_last_response_timestamp_seconds",
      "gauge",
      "When the last response came, Unix time.",
      (t) => t.receivedMs === undefined ? undefined : t.receivedMs / 1000,
    ),
  ];
}
