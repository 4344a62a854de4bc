/** `demo`: the agent with an upstream for every loopback endpoint of its rules, and what to try; `--once N` measures the split. */
import { type RunningAgent, startAgent } from "../agent.ts";
import { MeshError } from "../core/errors.ts";
import { createLog } from "../net/log.ts";
import { listenError } from "../net/listen_error.ts";
import type { ParsedArgs } from "./args.ts";
import type { ExitCode, Run } from "./command.ts";
import { sendRequests } from "./demo_load.ts";
import { demoEndpoints, type DemoPlan, demoPlan } from "./demo_plan.ts";
import { type DemoUpstream, serveDemoUpstream } from "./demo_upstream.ts";
import { type ShareRow, shareTable, whatToTry } from "./demo_text.ts";
import { untilSignal } from "./lifetime.ts";
import { loadSettings, settingsText } from "./load_settings.ts";
import type { Terminal } from "./terminal.ts";

/** The configuration that comes along, also inside a compiled program. */
const OWN_CONFIG = new URL("../../config", import.meta.url).pathname;

export const run: Run = async (args, terminal) => {
  const once = args.get("once");
  if (args.words.length > 0 || (once !== undefined && !/^[1-9]\d{0,8}$/.test(once))) {
    terminal.note(
      args.words.length > 0
        ? `Cannot demo "${args.words[0]}": demo takes flags only`
        : `Cannot send "${once}" requests: want a whole number from 1`,
    );
    return 2;
  }
  const { config, diagnostics, files } = await loadSettings(withConfig(args), OWN_CONFIG);
  if (config === undefined) {
    terminal.note(settingsText(diagnostics, terminal.paint, files));
    return 2;
  }
  // Requests scroll the explanation away: the demo shows them only when it keeps running.
  const shown = once === undefined
    ? config
    : { ...config, proxy: { ...config.proxy, accessLog: "off" as const } };
  const log = createLog({ level: once === undefined ? config.log.level : "warn" });
  const agent = await startAgent(shown, { log });
  const upstreams: DemoUpstream[] = [];
  try {
    for (const { version, hostname, port } of demoEndpoints(agent.world.current.program)) {
      try {
        upstreams.push(serveDemoUpstream(version, hostname, port));
      } catch (error) {
        throw listenError(`demo upstream ${version}`, { hostname, port }, error);
      }
    }
    const plan = demoPlan(agent.world.current.program);
    if (plan === undefined) {
      throw new MeshError(
        "N107",
        `Cannot demo the rules in "${config.serviceDiscovery.address}": no service of theirs has an endpoint on 127.0.0.1`,
      );
    }
    if (once !== undefined) return await measure(agent, plan, Number(once), args, terminal);
    terminal.note(whatToTry(agent, plan, upstreams, terminal.paint));
    return await untilSignal(agent, { log });
  } finally {
    await agent.close();
    await Promise.all(upstreams.map((u) => u.close()));
  }
};

/** The demo never picks up a conf directory that happens to lie around: it is the same everywhere. */
function withConfig(args: ParsedArgs): ParsedArgs {
  const own = (name: string) => name === "config" && !args.has("config");
  return {
    ...args,
    get: (name) => own(name) ? OWN_CONFIG : args.get(name),
    has: (name) => own(name) || args.has(name),
  };
}

async function measure(
  agent: RunningAgent,
  plan: DemoPlan,
  count: number,
  args: ParsedArgs,
  terminal: Terminal,
): Promise<ExitCode> {
  const total = count.toLocaleString("en");
  const result = await sendRequests(agent.httpAddress, plan.url, count, (done) => {
    terminal.progress(
      `${done.toLocaleString("en")} of ${total} requests, ${Math.floor((done / count) * 100)} %`,
    );
  });
  const weights = plan.shares.reduce((sum, s) => sum + s.weight, 0);
  const rows: ShareRow[] = plan.shares.map((s) => {
    const requests = result.byVersion.get(s.version) ?? 0;
    return {
      version: s.version,
      endpoints: s.endpoints,
      requests,
      share: (requests / count) * 100,
      weight: (s.weight / weights) * 100,
    };
  });
  terminal.print(
    args.has("json")
      ? JSON.stringify({ url: plan.url, ...result, byVersion: undefined, shares: rows }, null, 2)
      : shareTable(plan, result, rows, terminal.paint),
  );
  return result.failed > 0 ? 1 : 0;
}
