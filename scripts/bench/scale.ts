/** 10,000 services: compile, one change, selection (in a child process), and the running agent over such a directory. */
import { agentSettings } from "./peers.ts";
import { freePort, median, probe, rssMb, start, untilAnswers } from "./process.ts";
import type { ScaleTimes } from "./scale_child.ts";
import { scaleFiles, scaleService } from "./scale_rules.ts";
import { agentCommand, type Ground, writeConf } from "./targets.ts";

/** The watcher's quiet period, ms: a change is in force this long after the last write at the earliest. */
const QUIET_MS = 50;

async function child(count: number): Promise<ScaleTimes> {
  const script = new URL("scale_child.ts", import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, String(count)],
  }).output();
  if (!success) throw new Error(`Cannot measure ${count} services: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

interface LiveTimes {
  readonly readyMs: number;
  readonly rssMb: number;
  /** From the write of the changed file until a request sees it. */
  readonly changeMs: number[];
}

/** The agent over a directory of `count` services; then one of them changes, several times. */
async function live(ground: Ground, count: number, changes: number): Promise<LiveTimes> {
  const port = freePort();
  const directory = `${ground.directory}/scale-${count}`;
  await writeConf(
    directory,
    agentSettings(port, freePort()),
    scaleFiles({ count, upstreamPort: ground.upstreamPort }),
  );
  const { command, env } = agentCommand(directory);
  const log = `${directory}/agent.log`;
  const agent = start("agent", command, log, env);
  try {
    const host = "svc-0.default.svc.cluster.local";
    const last = `svc-${count - 1}.default.svc.cluster.local`;
    const readyMs = await untilAnswers(port, last, 60_000, log, { path: "/marker", want: 210 });
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const idleMb = rssMb(agent.pid);
    const changeMs: number[] = [];
    for (let change = 0; change < changes; change++) {
      const marker = 211 + change;
      await Deno.writeTextFile(
        `${directory}/rules/changing.yaml`,
        scaleService(0, ground.upstreamPort, marker),
      );
      const startMs = performance.now();
      while (await probe(port, host, "/marker") !== marker) {
        if (performance.now() - startMs > 10_000) throw new Error(`Cannot see change ${marker} in 10 s`);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      changeMs.push(performance.now() - startMs);
    }
    return { readyMs, rssMb: idleMb, changeMs };
  } finally {
    await agent.stop();
  }
}

/** The tables of the scale bench, as Markdown lines. */
export async function benchScale(ground: Ground, quick: boolean): Promise<string[]> {
  const lines = [
    "Services of 10 endpoints, 2 subsets and 3 routes each.",
    "",
    "| services | parse ms | compile ms | one change ms (hosts) | select ns | agent ready ms | RSS MB | change in force ms, after the quiet 50 ms [max] |",
    "|---|---|---|---|---|---|---|---|",
  ];
  for (const count of quick ? [10_000] : [1_000, 10_000]) {
    const pure = await child(count);
    const running = await live(ground, count, quick ? 3 : 7);
    const after = running.changeMs.map((ms) => ms - QUIET_MS);
    const cells = [count, pure.parseMs.toFixed(0), pure.compileMs.toFixed(0)];
    cells.push(`${pure.changeMs.toFixed(1)} (${pure.recompiled})`, pure.selectNs.toFixed(0));
    cells.push(running.readyMs.toFixed(0), running.rssMb.toFixed(0));
    cells.push(`${median(after).toFixed(0)} [${Math.max(...after).toFixed(0)}]`);
    lines.push(`| ${cells.join(" | ")} |`);
    console.error(lines.at(-1));
  }
  return lines;
}
