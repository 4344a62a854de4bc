/** Load by wrk: one thread, keep-alive, a closed loop. */

export interface Load {
  readonly connections: number;
  readonly seconds: number;
  readonly path: string;
  /** Body of a POST in bytes; 0 = GET. */
  readonly postBytes: number;
  /** Additional request headers. */
  readonly headers: readonly string[];
}

export interface LoadResult {
  readonly requests: number;
  /** Seconds by wrk's own clock. */
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
  /** Answers outside 2xx and 3xx, and socket errors. */
  readonly bad: number;
}

function toUs(text: string): number {
  const match = /^([\d.]+)(us|ms|s|m)$/.exec(text);
  if (match === null) return NaN;
  return Number(match[1]) * { us: 1, ms: 1e3, s: 1e6, m: 60e6 }[match[2] as "us" | "ms" | "s" | "m"];
}

/** Reads wrk's report. */
export function parseWrk(text: string): LoadResult {
  const summary = /(\d+) requests in ([\d.]+(?:us|ms|s|m))/.exec(text);
  if (summary === null) throw new Error(`Cannot read wrk's report: ${text}`);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  return {
    requests: Number(summary[1]),
    seconds: toUs(summary[2]!) / 1e6,
    p50Us: toUs(/^\s+50%\s+(\S+)/m.exec(text)?.[1] ?? ""),
    p99Us: toUs(/^\s+99%\s+(\S+)/m.exec(text)?.[1] ?? ""),
    maxUs: toUs(/^\s+Latency(?:\s+\S+){2}\s+(\S+)/m.exec(text)?.[1] ?? ""),
    bad: Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0) +
      (errors === null ? 0 : errors.slice(1).reduce((sum, part) => sum + Number(part), 0)),
  };
}

/** Runs wrk against a port of this machine. */
export async function wrk(port: number, host: string, load: Load, directory: string): Promise<LoadResult> {
  const args = ["-t1", `-c${load.connections}`, `-d${load.seconds}s`, "--latency", "--timeout", "10s"];
  args.push("-H", `Host: ${host}`);
  for (const header of load.headers) args.push("-H", header);
  if (load.postBytes > 0) {
    const script = `${directory}/post-${load.postBytes}.lua`;
    await Deno.writeTextFile(script, `wrk.method = "POST"\nwrk.body = string.rep("x", ${load.postBytes})\n`);
    args.push("-s", script);
  }
  args.push(`http://127.0.0.1:${port}${load.path}`);
  const { stdout, stderr, success } = await new Deno.Command("wrk", { args }).output();
  if (!success) throw new Error(`Cannot run wrk: ${new TextDecoder().decode(stderr)}`);
  return parseWrk(new TextDecoder().decode(stdout));
}
