/** `doctor`: what a running agent says of itself. */
import { ageText, type SyncReport } from "../admin/sync.ts";
import { oneLine } from "../core/one_line.ts";
import type { StreamAddress } from "../core/ports.ts";
import { readSync } from "./ask_agent.ts";
import { type Check, counted, fail, ok, warn } from "./check_line.ts";

/** An agent that does not answer, ms. */
const PATIENCE_MS = 3_000;

export interface AgentFindings {
  /** One listens at the admin address and answers. */
  readonly running: boolean;
  readonly checks: readonly Check[];
}

/** `admin`: undefined = the settings turn the admin API off. Never rejects. */
export async function checkAgent(admin: StreamAddress | undefined): Promise<AgentFindings> {
  if (admin === undefined) {
    const next = "Set admin.enable true to see more.";
    return { running: false, checks: [warn("agent", "cannot be asked: the admin API is off", next)] };
  }
  const where = `${admin.hostname}:${admin.port}`;
  if (admin.port === 0) {
    const text = "cannot be asked: its admin address is any free port";
    return { running: false, checks: [warn("agent", text, "Name it with --admin ADDR:PORT.")] };
  }
  let report: SyncReport | string;
  try {
    report = await readSync(admin, PATIENCE_MS);
  } catch {
    const next = "Start it (mesh-agent run), or name its admin address with --admin.";
    return { running: false, checks: [warn("agent", `none is running: nobody listens at ${where}`, next)] };
  }
  if (typeof report === "string") {
    const next = "End what listens there, or give the agent another protocols.rest-admin.listenAddress.";
    return { running: false, checks: [fail("agent", report, next)] };
  }
  return { running: true, checks: [...ofReport(report, where)] };
}

export function* ofReport(report: SyncReport, where: string): Generator<Check> {
  const { nowMs, version, world, connections, findings, permissions } = report;
  if (!report.ready) {
    yield fail(
      "agent",
      `${version} at ${where} is not ready: ${report.reasons.join("; ")}`,
      "The checks above and mesh-agent status say what it waits for.",
    );
  } else if (world.cachedMs !== undefined) {
    yield warn(
      "agent",
      `${version} at ${where} is ready by its cache, ${ageText(nowMs - world.cachedMs)} old`,
      "Bring the control plane back; the checks above say why it is not reached.",
    );
  } else {
    const age = ageText(nowMs - world.publishedMs);
    yield ok("agent", `${version} at ${where} is ready: revision ${world.revision}, published ${age} ago`);
  }
  for (const { name, step, reason, types } of connections) {
    const [why, hint] = (reason ?? "").split("\n").map((line) => line.trim());
    if (why !== undefined && why !== "") {
      yield warn(
        "connection",
        `${name} is at the step ${step}: ${why}`,
        hint ?? "mesh-agent status says more.",
      );
    } else {
      yield ok("connection", `${name} is at the step ${step}`);
    }
    for (const { type, nacks, lastNack } of types) {
      if (lastNack === undefined) continue;
      const age = ageText(nowMs - lastNack.atMs);
      yield warn(
        "nacks",
        `${name} refused ${type} ${counted(nacks, "time")}, last ${age} ago: ${oneLine(lastNack.text, 300)}`,
        "Mend the rule that it was made from; what was in force before stays.",
      );
    }
    if (types.length > 0 && types.every(({ lastNack }) => lastNack === undefined)) {
      yield ok("nacks", `${name} refused nothing`);
    }
  }
  if (findings["error"] > 0) {
    yield fail(
      "findings",
      counted(findings["error"], "error"),
      "GET /diagnostics?format=text of the admin API lists them.",
    );
  } else {
    yield ok("findings", `no errors, ${counted(findings["warning"], "warning")}`);
  }
  for (const { what, wanted, count, code } of permissions.denied) {
    yield fail("denied", `[${code}] ${what}, ${counted(count, "time")}`, wanted);
  }
  if (permissions.restart.length > 0) {
    yield warn("rights", `a restart changes them: ${permissions.restart.join(", ")}`, "Restart the agent.");
  }
}
