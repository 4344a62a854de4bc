/** What the demo prints. */
import type { RunningAgent } from "../agent.ts";
import type { LoadResult } from "./demo_load.ts";
import type { DemoPlan } from "./demo_plan.ts";
import type { DemoUpstream } from "./demo_upstream.ts";
import type { Paint } from "./terminal.ts";

export interface ShareRow {
  readonly version: string;
  readonly endpoints: readonly string[];
  readonly requests: number;
  /** Percent. */
  readonly share: number;
  /** Percent. */
  readonly weight: number;
}

export function whatToTry(
  agent: RunningAgent,
  plan: DemoPlan,
  upstreams: readonly DemoUpstream[],
  paint: Paint,
): string {
  const proxy = `http://${agent.httpAddress.hostname}:${agent.httpAddress.port}`;
  const rules = agent.config.serviceDiscovery.address;
  const total = plan.shares.reduce((sum, s) => sum + s.weight, 0);
  const picture = plan.shares.map((s, i) =>
    `  ${i === 0 ? "application -> mesh-agent" : "                         "} -> ` +
    `${String(Math.round((s.weight / total) * 1000) / 10).padStart(4)} %  ${plan.host} ${s.version}  ` +
    `http://${s.endpoints.join(", http://")}`
  );
  const lines = [
    "",
    paint.bold("mesh-agent demo") + paint.dim(`  ${upstreams.length} upstreams, rules in ${rules}`),
    "",
    ...picture,
    "",
    paint.bold("try, in another terminal"),
    `  http_proxy=${proxy} curl ${plan.url}`,
    `  for i in $(seq 20); do http_proxy=${proxy} curl -s ${plan.url} | grep '"version"'; done`,
    `  ${paint.dim("# edit the weights; they are in force when the file is saved")}`,
    `  \${EDITOR:-vi} ${rules}`,
  ];
  if (agent.adminAddress !== null) {
    const admin = `http://${agent.adminAddress.hostname}:${agent.adminAddress.port}`;
    lines.push(
      `  ${paint.dim("# why a request goes where it goes; metrics; everything else")}`,
      `  curl '${admin}/explain?url=${plan.url}'`,
      `  curl ${admin}/stats/prometheus`,
      `  curl ${admin}/`,
    );
  }
  lines.push("", paint.dim("Ctrl-C ends it."), "");
  return lines.join("\n");
}

export function shareTable(
  plan: DemoPlan,
  result: LoadResult,
  rows: readonly ShareRow[],
  paint: Paint,
): string {
  const cells = rows.map((r) => [
    r.version,
    r.endpoints.join(" "),
    r.requests.toLocaleString("en"),
    `${r.share.toFixed(1)} %`,
    `${trim(r.weight)} %`,
    `${r.share >= r.weight ? "+" : "-"}${Math.abs(r.share - r.weight).toFixed(1)}`,
  ]);
  const head = ["version", "endpoint", "requests", "share", "weight", "difference"];
  const widths = head.map((h, i) => Math.max(h.length, ...cells.map((c) => (c[i] as string).length)));
  const line = (row: readonly string[]) =>
    row.map((c, i) => i < 2 ? c.padEnd(widths[i] as number) : c.padStart(widths[i] as number)).join("  ");
  const seconds = result.durationMs / 1000;
  const rate = Math.round(result.sent / seconds).toLocaleString("en");
  const failed = `${result.failed.toLocaleString("en")} failed`;
  return [
    `${result.sent.toLocaleString("en")} requests to ${plan.url} in ${
      seconds.toFixed(1)
    } s (${rate} a second), ` +
    (result.failed > 0 ? paint.red(failed) : paint.green(failed)),
    ...(result.firstFailure === undefined ? [] : [`first failure: ${result.firstFailure}`]),
    "",
    paint.bold(line(head)),
    ...cells.map(line),
  ].join("\n");
}

function trim(percent: number): string {
  return String(Math.round(percent * 10) / 10);
}
