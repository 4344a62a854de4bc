/**
 * The bench of the start: a compiled agent from exec to its first proxied request, and its memory when it is idle, supervisor and worker
 * together; with rules from files and with rules from a control plane (one service, the scripted istiod of the tests).
 *
 * Each start is a process of its own; several programs take turns. Memory is VmRSS three seconds after the first answer.
 *
 * @example
 * ```sh
 * deno task compile && deno run -A scripts/bench/start.ts --rounds 9 dist/mesh-agent
 * ```
 */
import { type ControlPlane, startControlPlane } from "../../tests/harness/control_plane.ts";
import { serviceEntry } from "../../tests/harness/conf.ts";
import { programOf, resourcesOf } from "../../tests/harness/xds_resources.ts";
import { cpuSeconds, freePort, median, rssMb, start, untilAnswers } from "./process.ts";
import { agentSettings } from "./peers.ts";
import { writeConf } from "./targets.ts";

const SETTLE_MS = 3000;
const HOST = "start.example";
const PORT = 80;

const SOURCES = ["file", "pilotv3"] as const;
type Source = (typeof SOURCES)[number];

interface Start {
  readonly readyMs: number;
  readonly rssMb: number;
  readonly cpuMs: number;
}

interface Ground {
  readonly directory: string;
  readonly rules: string;
  readonly plane: ControlPlane;
}

async function measure(program: string, source: Source, { directory, rules, plane }: Ground): Promise<Start> {
  const [port, admin] = [freePort(), freePort()];
  const conf = `${directory}/${source}-${port}`;
  await writeConf(
    conf,
    source === "file" ? agentSettings(port, admin) : {
      "chassis.yaml": `cse:
  protocols:
    http: {listenAddress: "127.0.0.1:${port}"}
    rest-admin: {listenAddress: "127.0.0.1:${admin}"}
  service:
    registry:
      registrator: {disabled: true}
      serviceDiscovery: {type: pilotv3, address: "${plane.address}"}
`,
      "router.yaml": "router: {infra: pilotv3}\n",
    },
    { "rules.yaml": rules },
  );
  const log = `${conf}/log`;
  const running = start(program, [program, "run", "--config", conf], log, { NO_COLOR: "1" });
  try {
    const readyMs = await untilAnswers(port, `${HOST}:${PORT}`, 20_000, log);
    const cpuMs = 1000 * cpuSeconds(running.pid);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    return { readyMs, cpuMs, rssMb: rssMb(running.pid) };
  } finally {
    await running.stop();
  }
}

/** Rows of a table: program, source, exec to first proxied request (median, best), CPU until then, memory. */
export async function benchStarts(programs: readonly string[], rounds: number): Promise<string[]> {
  const directory = await Deno.makeTempDir({ prefix: "mesh-start-" });
  const upstream = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("ok"));
  const plane = await startControlPlane({ temper: "istiod" });
  const rules = serviceEntry(HOST, PORT, { v1: upstream.addr.port });
  try {
    await plane.set(resourcesOf(programOf(rules), "istiod"));
    const ground = { directory, rules, plane };
    const cases = programs.flatMap((program) =>
      SOURCES.map((source) => ({ program, source, starts: [] as Start[] }))
    );
    for (let round = 0; round < rounds; round++) {
      for (const { program, source, starts } of cases) starts.push(await measure(program, source, ground));
    }
    return [
      "| program | rules from | exec to first proxied request ms | best | CPU ms | RSS idle MB |",
      "|---|---|---|---|---|---|",
      ...cases.map(({ program, source, starts }) => {
        const of = (pick: (start: Start) => number) => starts.map(pick);
        const ready = of((s) => s.readyMs);
        const figures = [
          median(ready),
          Math.min(...ready),
          median(of((s) => s.cpuMs)),
          median(of((s) => s.rssMb)),
        ];
        return `| ${program} | ${source} | ${
          figures.map((n, i) => n.toFixed(i === figures.length - 1 ? 1 : 0)).join(" | ")
        } |`;
      }),
    ];
  } finally {
    await upstream.shutdown();
    await plane[Symbol.asyncDispose]();
    await Deno.remove(directory, { recursive: true });
  }
}

if (import.meta.main) {
  const at = Deno.args.indexOf("--rounds");
  const rounds = at < 0 ? 5 : Number(Deno.args[at + 1]);
  const programs = Deno.args.filter((_, i) => at < 0 || (i !== at && i !== at + 1));
  console.log((await benchStarts(programs.length === 0 ? ["dist/mesh-agent"] : programs, rounds)).join("\n"));
}
