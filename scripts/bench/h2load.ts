/** Load by h2load: one thread, HTTP/2 with prior knowledge, a closed loop over connections with several streams each. */
import { GRPC_MESSAGE, LARGE_BYTES, UNARY_PATH } from "./peers.ts";

export interface Http2Load {
  readonly connections: number;
  /** Requests under way on each connection. */
  readonly streams: number;
  readonly seconds: number;
  readonly what: "unary" | "get" | "post";
}

export interface Http2Result {
  readonly requests: number;
  readonly seconds: number;
  readonly meanUs: number;
  readonly maxUs: number;
  /** Requests that failed or were not answered with 2xx. */
  readonly bad: number;
}

function toUs(text: string): number {
  const match = /^([\d.]+)(us|ms|s)$/.exec(text);
  if (match === null) return NaN;
  return Number(match[1]) * { us: 1, ms: 1e3, s: 1e6 }[match[2] as "us" | "ms" | "s"];
}

/** Reads h2load's report. */
export function parseH2load(text: string, seconds: number): Http2Result {
  const counts = /^requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/m
    .exec(text);
  const times = /^time for request:\s+(\S+)\s+(\S+)\s+(\S+)/m.exec(text);
  const statuses = /^status codes: (\d+) 2xx, (\d+) 3xx/m.exec(text);
  if (counts === null || times === null || statuses === null) {
    throw new Error(`Cannot read h2load's report: ${text}`);
  }
  return {
    requests: Number(counts[1]),
    seconds,
    meanUs: toUs(times[3]!),
    maxUs: toUs(times[2]!),
    // h2load takes redirects for successes.
    bad: Number(counts[3]) + Number(statuses[2]),
  };
}

/** Runs h2load against a port of this machine, with files in `directory` for the bodies. */
export async function h2load(
  port: number,
  host: string,
  load: Http2Load,
  directory: string,
): Promise<Http2Result> {
  const { connections, streams, seconds, what } = load;
  const args = ["-t1", `-c${connections}`, `-m${streams}`, `-D${seconds}`, `--connect-to=127.0.0.1:${port}`];
  if (what !== "get") {
    const body = `${directory}/${what}.body`;
    await Deno.writeFile(body, what === "unary" ? GRPC_MESSAGE : new Uint8Array(LARGE_BYTES).fill(120));
    args.push("-d", body);
  }
  if (what === "unary") args.push("-H", "content-type: application/grpc", "-H", "te: trailers");
  const path = what === "get" ? "/large" : UNARY_PATH;
  const { stdout, stderr, success } = await new Deno.Command("h2load", {
    args: [...args, `http://${host}${path}`],
  })
    .output();
  const text = new TextDecoder().decode(stdout);
  if (!success) throw new Error(`Cannot run h2load: ${new TextDecoder().decode(stderr)}`);
  return parseH2load(text, seconds);
}

/** Milliseconds until one request through `port` is answered with 2xx; throws with the log's end after `limitMs`. */
export async function untilAnswersHttp2(
  port: number,
  host: string,
  path: string,
  limitMs: number,
  logFile: string,
): Promise<number> {
  const startMs = performance.now();
  const args = ["-n1", "-c1", `--connect-to=127.0.0.1:${port}`, `http://${host}${path}`];
  while (performance.now() - startMs < limitMs) {
    const { stdout } = await new Deno.Command("h2load", { args, stderr: "null" }).output();
    if (/^status codes: 1 2xx/m.test(new TextDecoder().decode(stdout))) return performance.now() - startMs;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const log = await Deno.readTextFile(logFile).catch(() => "");
  throw new Error(`Cannot reach port ${port} in ${limitMs} ms by HTTP/2\n${log.slice(-2000)}`);
}
