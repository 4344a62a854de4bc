/**
 * How the rules get here and how fresh they are: what `mesh-agent status` and /sync show. Of a control plane: each connection
 * with its step, addresses and resource types; of files: revision and counts.
 *
 * In: the sources' own status, the world, the clock. Out: a {@link SyncReport} for programs and, from it, text for people.
 *
 * @example
 * ```ts ignore
 * const report = syncReport({ config, world: world.current, problems, status, reasons: [], nowMs: clock.now(), version });
 * console.log(formatSync(report));
 * ```
 */
import type { Diagnostic } from "../core/diagnostics.ts";
import { oneLine } from "../core/one_line.ts";
import type { SourceStatus, TypeStatus, World } from "../discovery/types.ts";
import type { Denial } from "../observe/denials.ts";
import type { InboundStatus } from "../proxy/inbound.ts";
import type { AgentConfig } from "../settings/types.ts";

/** The rights of an agent. */
export interface ScopeReport {
  /** It runs in a worker that has these rights and no others. */
  readonly isolated: boolean;
  /** Who holds it to `net`: the runtime, the agent alone (a range of IPv6 is among them), or nobody (any). */
  readonly guard: "runtime" | "agent" | "nobody";
  /** Where it may connect to. */
  readonly net: readonly string[];
  readonly read: readonly string[];
}

export interface PermissionsReport extends ScopeReport {
  /** Rights that only a restart gives (`+connect 203.0.113.5:443`) or takes (`-`). */
  readonly restart: readonly string[];
  /** The latest last. */
  readonly denied: readonly Denial[];
}

export interface SyncInput {
  readonly config: Pick<AgentConfig, "serviceDiscovery" | "router">;
  readonly world: World;
  readonly problems: readonly Diagnostic[];
  readonly status: readonly SourceStatus[];
  readonly permissions: PermissionsReport;
  /** Service ports in front of the application. Default none. */
  readonly inbound?: readonly InboundStatus[];
  /** Why the agent is not ready; empty when it is. */
  readonly reasons: readonly string[];
  readonly nowMs: number;
  readonly version: string;
}

export interface SyncReport {
  /** Of the agent. */
  readonly version: string;
  /** Wall clock of the report; ages count from it. */
  readonly nowMs: number;
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly services: { readonly type: string; readonly address: string };
  readonly rules: { readonly infra: string; readonly address: string };
  readonly world: {
    /** Publications so far; 0 = none yet. */
    readonly revision: number;
    readonly publishedMs: number;
    /** The rules are those of the cache, kept then (wall clock, ms); absent once a control plane has answered. */
    readonly cachedMs?: number;
    readonly tables: number;
    readonly virtualHosts: number;
    readonly clusters: number;
    readonly endpoints: number;
    readonly listeners: number;
    /** The source's own counts of its last publication. */
    readonly stats: Readonly<Record<string, number>>;
  };
  readonly findings: Readonly<Record<Diagnostic["severity"], number>>;
  /** Empty for files. */
  readonly connections: readonly SourceStatus[];
  readonly permissions: PermissionsReport;
  readonly inbound: readonly InboundStatus[];
}

export function syncReport(input: SyncInput): SyncReport {
  const { config: { serviceDiscovery, router }, world, status, reasons, nowMs, version } = input;
  const { routeConfigurations, clusters, loadAssignments, listeners } = world.program;
  let virtualHosts = 0;
  for (const table of routeConfigurations.values()) virtualHosts += table.virtualHosts.length;
  let endpoints = 0;
  for (const { loadAssignment, edsServiceName, name } of clusters.values()) {
    const assignment = loadAssignment ?? loadAssignments.get(edsServiceName ?? name);
    for (const locality of assignment?.endpoints ?? []) endpoints += locality.lbEndpoints.length;
  }
  const findings = { error: 0, warning: 0, info: 0 };
  for (const { severity } of input.problems) findings[severity]++;
  return {
    version,
    nowMs,
    ready: reasons.length === 0,
    reasons,
    services: { type: serviceDiscovery.type, address: serviceDiscovery.address },
    rules: { infra: router.infra, address: router.address },
    world: {
      revision: world.revision,
      publishedMs: world.publishedMs,
      ...(world.cachedMs === undefined ? {} : { cachedMs: world.cachedMs }),
      tables: routeConfigurations.size,
      virtualHosts,
      clusters: clusters.size,
      endpoints,
      listeners: listeners?.size ?? 0,
      stats: world.stats,
    },
    findings,
    connections: status,
    permissions: input.permissions,
    inbound: input.inbound ?? [],
  };
}

/** `from cache, 42s old`; undefined when a source has spoken. */
export function cachedText({ cachedMs }: Pick<World, "cachedMs">, nowMs: number): string | undefined {
  return cachedMs === undefined ? undefined : `from cache, ${ageText(nowMs - cachedMs)} old`;
}

/** What a connection is at, as part of a sentence: `pilotv3 is at the TLS handshake with grpcs://istiod:15012`. */
export function describeStep(status: SourceStatus, nowMs: number): string {
  const { name, step, reason, nextTryMs, types } = status;
  const address = status.addresses.find((a) => a.inUse)?.address ?? status.addresses[0]?.address ?? "nowhere";
  const why = reason === undefined ? "" : `; last failure: ${firstLine(reason)}`;
  switch (step) {
    case "DNS":
      return `${name} looks up the host of ${address}${why}`;
    case "TCP":
      return `${name} connects to ${address}${why}`;
    case "TLS":
      return `${name} is at the TLS handshake with ${address}${why}`;
    case "token":
      return `${name} reads its token for ${address}${why}`;
    case "stream":
      return `${name} opens its stream to ${address}${why}`;
    case "first sync": {
      const missing = types.filter((t) => t.receivedMs === undefined).map((t) => t.type);
      const what = missing.length === 0 ? "what it asked for" : missing.join(", ");
      return `${name} waits for ${what} of ${address}${why}`;
    }
    case "waiting": {
      const next = nextTryMs === undefined ? "" : `, next try in ${ageText(nextTryMs - nowMs)}`;
      return `${name} has no connection to ${address}${next}${why}`;
    }
    case "closed":
      return `${name} is closed`;
    case "synced":
      return `${name} is synced with ${address}`;
  }
}

const firstLine = (text: string) => text.split("\n", 1)[0] as string;

/** Colours for a terminal; plain when left out. */
export interface Ink {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  yellow(text: string): string;
  green(text: string): string;
}

const same = (text: string) => text;
const PLAIN: Ink = { bold: same, dim: same, red: same, yellow: same, green: same };

/** The report for people, without a trailing newline. */
export function formatSync(report: SyncReport, ink: Ink = PLAIN): string {
  const { world, findings, connections, nowMs, services, rules } = report;
  const rows: [string, string][] = [
    ["agent", report.ready ? ink.green("ready") : ink.red(`not ready: ${report.reasons.join("; ")}`)],
    ["services", `${services.type} ${services.address}`],
    ["rules", `${rules.infra} ${rules.address}`],
  ];
  if (world.revision === 0) {
    rows.push(["in force", ink.red("nothing yet: requests are answered with 503")]);
  } else {
    const cached = cachedText(world, nowMs);
    rows.push([
      "in force",
      `${cached === undefined ? "" : ink.yellow(`${cached}; `)}revision ${world.revision}, published ${
        ageText(nowMs - world.publishedMs)
      } ago`,
    ]);
    const listeners = world.listeners === 0 ? [] : [count(world.listeners, "listener")];
    rows.push([
      "",
      [
        count(world.tables, "table"),
        count(world.virtualHosts, "virtual host"),
        count(world.clusters, "cluster"),
        count(world.endpoints, "endpoint"),
        ...listeners,
      ].join(", "),
    ]);
    const stats = Object.entries(world.stats).map(([name, n]) => `${name} ${n}`).join(", ");
    if (stats !== "") rows.push(["", `last change: ${stats}`]);
  }
  for (const [i, port] of report.inbound.entries()) {
    rows.push([i === 0 ? "inbound" : "", inboundText(port, ink)]);
  }
  rows.push(["findings", findingsText(findings, ink)], ...permissionRows(report.permissions, nowMs, ink));
  const lines = columns(rows);
  for (const connection of connections) lines.push("", ...connectionLines(connection, nowMs, ink));
  return lines.join("\n");
}

function inboundText(port: InboundStatus, ink: Ink) {
  const { address, protocol, application, from, check, reason, closed } = port;
  if (closed !== undefined) {
    return `${address} ${protocol} ${ink.yellow(`not taken: ${oneLine(closed)}`)}${
      ink.dim(`  (${oneLine(from)})`)
    }`;
  }
  const checks = check === "failing"
    ? `, ${ink.red(`check fails: ${oneLine(reason ?? "")}`)}`
    : check === "none"
    ? ""
    : `, check ${check === "passing" ? "passes" : "pending"}`;
  const source = from === "settings" ? "" : ink.dim(`  (${oneLine(from)})`);
  return `${address} ${protocol} to ${application}${checks}${source}`;
}

function permissionRows(
  { isolated, guard, net, restart, denied }: PermissionsReport,
  nowMs: number,
  ink: Ink,
) {
  const rows: [string, string][] = [[
    "rights",
    !isolated
      ? "those of the process"
      : guard === "nobody"
      ? ink.yellow("connects to any address")
      : `${count(net.length, "place")} to connect to, held to by the ${guard}`,
  ]];
  if (restart.length > 0) rows.push(["", ink.yellow(`want a restart: ${restart.join(", ")}`)]);
  for (const { code, what, wanted, count, lastMs } of denied) {
    const times = count === 1 ? "once" : `${count} times`;
    const last = `last ${ageText(nowMs - lastMs)} ago`;
    rows.push(["", `${ink.red(`denied: ${what}`)}, ${times}, ${last}  ${ink.dim(`[${code}] ${wanted}`)}`]);
  }
  return rows;
}

function findingsText({ error, warning, info }: SyncReport["findings"], ink: Ink): string {
  const part = (n: number, what: string, colour: (text: string) => string) =>
    n === 0 ? count(n, what) : colour(count(n, what));
  const infos = info === 0 ? "" : `, ${count(info, "info")}`;
  const where = error + warning + info === 0 ? "" : ink.dim("  (see /diagnostics?format=text)");
  return `${part(error, "error", ink.red)}, ${part(warning, "warning", ink.yellow)}${infos}${where}`;
}

function connectionLines(status: SourceStatus, nowMs: number, ink: Ink): string[] {
  const { name, step, sinceMs, mode, node, addresses, connects, failures, reason, nextTryMs, types } = status;
  const colour = step === "synced" ? ink.green : reason === undefined ? ink.yellow : ink.red;
  const rows: [string, string][] = [
    ["step", `${colour(step)} for ${ageText(nowMs - sinceMs)}`],
    ["mode", status.note === undefined ? mode : `${mode}: ${status.note}`],
    ["node", node],
    ...addresses.map(({ address, inUse }, i): [string, string] => [
      i === 0 ? "address" : "",
      inUse ? `${address}  ${ink.bold("in use")}` : address,
    ]),
    [
      mode === "polling" ? "polls" : "connections",
      `${connects}, ${failures === 0 ? "none failed" : `${failures} failed`}`,
    ],
  ];
  if (nextTryMs !== undefined) rows.push(["next try", `in ${ageText(nextTryMs - nowMs)}`]);
  if (reason !== undefined) {
    const [first = "", ...rest] = reason.split("\n").map((line) => line.trim());
    rows.push(["failure", ink.red(first)], ...rest.map((line): [string, string] => ["", ink.dim(line)]));
  }
  const lines = [ink.bold(name), ...columns(rows).map((line) => `  ${line}`)];
  if (types.length > 0) lines.push("", ...typeTable(types, nowMs).map((line) => `  ${line}`));
  for (const { type, lastNack } of types) {
    if (lastNack === undefined) continue;
    const version = lastNack.version === "" ? "" : ` version ${oneLine(lastNack.version)}`;
    lines.push(
      ink.yellow(`  refused: ${type}${version}, ${ageText(nowMs - lastNack.atMs)} ago`),
      ...lastNack.text.split("\n").map((line) => `    ${line}`),
    );
  }
  return lines;
}

const HEAD = [
  "TYPE",
  "VERSION",
  "NONCE",
  "AGE",
  "RESOURCES",
  "SUBSCRIBED",
  "SENT",
  "RECEIVED",
  "BYTES",
  "NACKS",
] as const;
/** From here on columns hold numbers, which stand right. */
const FIRST_NUMBER = 3;

function typeTable(types: readonly TypeStatus[], nowMs: number): string[] {
  const cells = [
    HEAD,
    ...types.map((t) => [
      t.type,
      shortened(t.version) || "-",
      shortened(t.nonce) || "-",
      t.receivedMs === undefined ? "never" : ageText(nowMs - t.receivedMs),
      String(t.resources),
      t.subscribed === "*" ? "all" : String(t.subscribed),
      String(t.sent),
      String(t.received),
      bytesText(t.bytes),
      String(t.nacks),
    ]),
  ];
  const widths = HEAD.map((_, i) => Math.max(...cells.map((row) => (row[i] as string).length)));
  return cells.map((row) =>
    row.map((cell, i) =>
      i < FIRST_NUMBER ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)
    ).join("  ").trimEnd()
  );
}

const LONGEST = 24;

/** The end of a long version or nonce is what changes. */
function shortened(foreign: string): string {
  const text = oneLine(foreign);
  return text.length <= LONGEST ? text : `…${text.slice(1 - LONGEST)}`;
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`.trimEnd());
}

function count(n: number, what: string): string {
  return `${n.toLocaleString("en")} ${what}${n === 1 || what === "info" ? "" : "s"}`;
}

/** `850ms`, `12s`, `3m20s`, `5h07m`, `4d2h`; nothing below zero. */
export function ageText(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))}ms`;
  const s = Math.floor(ms / 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h${two(Math.floor(s / 60) % 60)}m`;
  return `${Math.floor(s / 86_400)}d${Math.floor(s / 3600) % 24}h`;
}

/** `812 B`, `4.1 kB`, `12 MB`. */
function bytesText(n: number): string {
  if (n < 1000) return `${n} B`;
  const [value, unit] = n < 1e6 ? [n / 1e3, "kB"] : n < 1e9 ? [n / 1e6, "MB"] : [n / 1e9, "GB"];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}
