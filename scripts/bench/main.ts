/**
 * `deno task bench`: whole processes beside each other, alternating rounds, medians.
 *
 * The setting is that of peers.ts; the load is wrk with one thread. CPU is user and system time of the proxy's process
 * over its requests. Compare within one run only.
 *
 * Flags: --quick (short rounds, fewer cases), --rounds N, --seconds N, --targets nginx,agent,bundle, --cases c32,large,
 * --no-start, --no-scale (10,000 services from files) and --no-ads (from a control plane) leave parts out, --out FILE (write the tables there as well).
 *
 * @example
 * ```sh
 * deno task bench --quick --targets nginx,agent
 * ```
 */
import { benchAds } from "./ads.ts";
import { type Load, type LoadResult, wrk } from "./load.ts";
import { LARGE_BYTES, TARGET } from "./peers.ts";
import { median, rssMb } from "./process.ts";
import { alternating, type Cost, costing, option, table } from "./rounds.ts";
import { benchScale } from "./scale.ts";
import { type Ground, installPeers, layGround, type Target, type TargetName } from "./targets.ts";

interface Case {
  readonly name: string;
  readonly title: string;
  readonly load: Omit<Load, "seconds">;
  readonly quick: boolean;
}

const get = (connections: number, path = "/", headers: readonly string[] = []) => ({
  connections,
  path,
  postBytes: 0,
  headers,
});
const tenHeaders = Array.from({ length: 10 }, (_, i) => `x-header-${i}: value-of-header-${i}`);

const CASES: readonly Case[] = [
  { name: "c1", title: "78 B, c=1", load: get(1), quick: true },
  { name: "c32", title: "78 B, c=32", load: get(32), quick: true },
  { name: "headers", title: "78 B, c=32, 10 headers", load: get(32, "/", tenHeaders), quick: false },
  { name: "c256", title: "78 B, c=256", load: get(256), quick: true },
  { name: "c1000", title: "78 B, c=1000", load: get(1000), quick: true },
  { name: "large", title: "GET 64 KiB, c=8", load: get(8, "/large"), quick: true },
  {
    name: "post",
    title: "POST 64 KiB, c=8",
    load: { ...get(8, "/post"), postBytes: LARGE_BYTES },
    quick: true,
  },
];

interface Sample extends LoadResult, Cost {
  readonly rssMb: number;
}

async function sample(target: Target, load: Load, ground: Ground): Promise<Sample> {
  const result = await costing(target.pid, () => wrk(target.port, TARGET, load, ground.directory));
  return { ...result, rssMb: rssMb(target.pid) };
}

const us = (value: number) => value >= 1000 ? `${(value / 1000).toFixed(2)} ms` : `${value.toFixed(0)} us`;

async function benchRequests(
  ground: Ground,
  names: readonly TargetName[],
  quick: boolean,
): Promise<string[]> {
  const rounds = Number(option("rounds") ?? (quick ? 3 : 5));
  const seconds = Number(option("seconds") ?? (quick ? 1 : 3));
  const wanted = option("cases")?.split(",");
  const cases = CASES.filter((c) => wanted === undefined ? !quick || c.quick : wanted.includes(c.name));
  const targets: Target[] = [];
  for (const name of names) targets.push(await ground.start(name));
  const idle = targets.map((target) => rssMb(target.pid));
  for (const target of targets) await sample(target, { ...get(32), seconds: 2 }, ground);

  const rows: string[][] = [];
  for (const c of cases) {
    const samples = await alternating(
      targets,
      rounds,
      (target) => sample(target, { ...c.load, seconds }, ground),
    );
    const reference = median(samples[0]!.map((s) => s.cpuUs));
    for (const [i, target] of targets.entries()) {
      const of = (pick: (s: Sample) => number) => samples[i]!.map(pick);
      const cpu = of((s) => s.cpuUs);
      rows.push([
        c.title,
        target.name,
        median(of((s) => s.requests / s.seconds)).toFixed(0),
        `${median(cpu).toFixed(1)} [${Math.min(...cpu).toFixed(1)}-${Math.max(...cpu).toFixed(1)}]`,
        (median(cpu) / reference).toFixed(2),
        us(median(of((s) => s.p50Us))),
        us(median(of((s) => s.p99Us))),
        median(of((s) => s.rssMb)).toFixed(0),
        String(of((s) => s.bad).reduce((a, b) => a + b, 0)),
        median(of((s) => s.othersCores)).toFixed(2),
      ]);
      console.error(rows.at(-1)!.join("  "));
    }
  }
  const header = ["case", "proxy", "rps", "CPU us/request [min-max]", `x ${names[0]}`];
  header.push("p50", "p99", "RSS MB", "bad", "cores of others");
  return [
    `${rounds} rounds of ${seconds} s, alternating; medians. One worker each, access log on.`,
    "",
    table(header, rows),
    "",
    table(["proxy", "RSS idle MB"], targets.map((target, i) => [target.name, idle[i]!.toFixed(0)])),
  ];
}

/** Exec to first proxied request, each start on its own. */
async function benchStart(ground: Ground, names: readonly TargetName[], quick: boolean): Promise<string[]> {
  const times = new Map<TargetName, number[]>(names.map((name) => [name, []]));
  for (let round = 0; round < (quick ? 3 : 7); round++) {
    for (const name of names) {
      const target = await ground.start(name);
      times.get(name)!.push(target.readyMs);
      await target.stop();
    }
  }
  const rows = [...times].map(([name, ms]) => [name, median(ms).toFixed(0), Math.min(...ms).toFixed(0)]);
  return [table(["exec to first proxied request", "ms, median", "ms, best"], rows)];
}

if (import.meta.main) {
  const quick = Deno.args.includes("--quick");
  const names = (option("targets") ?? "nginx,haproxy,envoy,agent").split(",") as TargetName[];
  await installPeers();
  const ground = await layGround();
  const report: string[] = [`## Bench, Deno ${Deno.version.deno}, ${new Date().toISOString()}`, ""];
  try {
    if (option("cases") !== "none") report.push(...await benchRequests(ground, names, quick), "");
    if (!Deno.args.includes("--no-start")) report.push(...await benchStart(ground, names, quick), "");
    if (!Deno.args.includes("--no-scale")) report.push(...await benchScale(ground, quick), "");
    if (!Deno.args.includes("--no-ads")) report.push(...await benchAds(ground, names, quick), "");
  } finally {
    await ground.close();
  }
  const text = report.join("\n");
  console.log(text);
  const out = option("out");
  if (out !== undefined) await Deno.writeTextFile(out, text);
}
