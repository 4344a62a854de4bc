/**
 * HTTP/2 and gRPC through whole processes beside each other: CPU of the proxy per call, mean latency, memory of idle connections.
 *
 * The setting is that of peers.ts in HTTP/2 on both sides: 200 services with 5 names, split 90/10, request id, x-forwarded-for, 15 s timeout,
 * two retries when the connection fails, access log on. Upstream: nghttpd; load: h2load with one thread. Rounds alternate, figures are
 * medians; compare within one run only.
 *
 * Flags: --rounds N (5), --seconds N (3), --targets haproxy,nginx,envoy,agent (or bundle), --cases unary,one,get,post,idle,
 * --connections N (10000, of the idle ones), --out FILE.
 *
 * @example
 * ```sh
 * deno run -A scripts/bench/grpc.ts --rounds 3 --targets haproxy,agent --cases unary
 * ```
 */
import { h2load, type Http2Load, type Http2Result } from "./h2load.ts";
import { idleBytes } from "./idle.ts";
import { type Speech, TARGET, UNARY_PATH } from "./peers.ts";
import { median, rssMb } from "./process.ts";
import { alternating, type Cost, costing, option, table } from "./rounds.ts";
import { type Ground, installPeers, layGround, type Target, type TargetName } from "./targets.ts";

interface Case {
  readonly name: string;
  readonly title: string;
  readonly load: Omit<Http2Load, "seconds">;
}

const CASES: readonly Case[] = [
  { name: "unary", title: "gRPC unary, 4 x 8", load: { connections: 4, streams: 8, what: "unary" } },
  { name: "one", title: "gRPC unary, 1 x 1", load: { connections: 1, streams: 1, what: "unary" } },
  { name: "get", title: "GET 64 KiB, 4 x 2", load: { connections: 4, streams: 2, what: "get" } },
  { name: "post", title: "POST 64 KiB, 4 x 2", load: { connections: 4, streams: 2, what: "post" } },
];

type Sample = Http2Result & Cost;

const sample = (target: Target, load: Http2Load, ground: Ground): Promise<Sample> =>
  costing(target.pid, () => h2load(target.port, TARGET, load, ground.directory));

async function benchCalls(names: readonly TargetName[], cases: readonly Case[]): Promise<string[]> {
  const rounds = Number(option("rounds") ?? 5);
  const seconds = Number(option("seconds") ?? 3);
  const ground = await layGround("HTTP/2");
  const rows: string[][] = [];
  try {
    const targets: Target[] = [];
    for (const name of names) targets.push(await ground.start(name));
    for (const target of targets) await sample(target, { ...CASES[0]!.load, seconds: 3 }, ground);
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
          median(of((s) => s.meanUs)).toFixed(0),
          (median(of((s) => s.maxUs)) / 1000).toFixed(1),
          rssMb(target.pid).toFixed(0),
          String(of((s) => s.bad).reduce((a, b) => a + b, 0)),
          median(of((s) => s.othersCores)).toFixed(2),
        ]);
        console.error(rows.at(-1)!.join("  "));
      }
    }
  } finally {
    await ground.close();
  }
  const header = ["case", "proxy", "calls/s", "CPU us/call [min-max]", `x ${names[0]}`, "mean us", "max ms"];
  header.push("RSS MB", "bad", "cores of others");
  return [
    `${rounds} rounds of ${seconds} s, alternating; medians. One worker each, access log on.`,
    "",
    table(header, rows),
  ];
}

/** Each proxy on its own, because what the others hold does not matter. */
async function benchIdle(names: readonly TargetName[]): Promise<string[]> {
  const count = Number(option("connections") ?? 10_000);
  const rows: string[][] = [];
  for (const speech of ["HTTP/1.1", "HTTP/2"] as const satisfies readonly Speech[]) {
    const ground = await layGround(speech);
    try {
      for (const name of names) {
        // It has room for 8,000 connections, as in the other cases.
        if (name === "haproxy") continue;
        const path = speech === "HTTP/2" ? UNARY_PATH : "/";
        const each: number[] = [];
        // Another process every time: room that earlier connections left would be used again.
        for (let round = 0; round < 3; round++) {
          const target = await ground.start(name);
          // Code is compiled before anything is measured.
          await idleBytes(target, speech, TARGET, path, count / 20);
          each.push(await idleBytes(target, speech, TARGET, path, count) / 1000);
          await target.stop();
        }
        rows.push([
          speech,
          name,
          `${median(each).toFixed(1)} [${Math.min(...each).toFixed(1)}-${Math.max(...each).toFixed(1)}]`,
        ]);
        console.error(rows.at(-1)!.join("  "));
      }
    } finally {
      await ground.close();
    }
  }
  return [table([`${count} idle connections`, "proxy", "KB each [min-max]"], rows)];
}

if (import.meta.main) {
  const names = (option("targets") ?? "haproxy,nginx,envoy,agent").split(",") as TargetName[];
  const wanted = (option("cases") ?? "unary,one,get,post,idle").split(",");
  await installPeers(["nginx", "haproxy", "h2load", "nghttpd"]);
  const report = [`## HTTP/2 bench, Deno ${Deno.version.deno}, ${new Date().toISOString()}`, ""];
  const cases = CASES.filter((c) => wanted.includes(c.name));
  if (cases.length > 0) report.push(...await benchCalls(names, cases), "");
  if (wanted.includes("idle")) report.push(...await benchIdle(names), "");
  const text = report.join("\n");
  console.log(text);
  const out = option("out");
  if (out !== undefined) await Deno.writeTextFile(out, text);
}
