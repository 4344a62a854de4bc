/** Processes under measurement: start, wait until they answer, read their CPU time and memory from /proc, stop. */

/** Kernel clock ticks per second in /proc/PID/stat; 100 on every Linux that we meet. */
const TICKS_PER_SECOND = 100;

export interface Running {
  readonly name: string;
  readonly pid: number;
  /** Asks it to end, then insists. */
  stop(): Promise<void>;
}

/** Starts a program with its output in a file; `exec` keeps one process id. */
export function start(
  name: string,
  command: readonly string[],
  logFile: string,
  env: Readonly<Record<string, string>> = {},
): Running {
  const quoted = command.map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(" ");
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", `ulimit -n 20000 2>/dev/null; exec ${quoted} >'${logFile}' 2>&1`],
    env: { ...env },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const ended = child.status;
  return {
    name,
    pid: child.pid,
    async stop() {
      const signal = (kind: Deno.Signal) => {
        try {
          child.kill(kind);
        } catch {
          // It had ended by itself.
        }
      };
      signal("SIGTERM");
      const insist = setTimeout(() => signal("SIGKILL"), 2000);
      await ended;
      clearTimeout(insist);
    },
  };
}

/** User and system time of a process with its threads, in seconds. */
export function cpuSeconds(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory in MB (10^6 bytes). */
export function rssMb(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1] ?? 0) * 1024 / 1e6;
}

/** The most that it was resident so far, in MB (10^6 bytes). */
export function peakRssMb(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmHWM:\s+(\d+) kB/.exec(text)?.[1] ?? 0) * 1024 / 1e6;
}

/** CPU time of the whole machine that was not idle, in seconds: tells how loud the neighbours were. */
export function machineBusySeconds(): number {
  const fields = Deno.readTextFileSync("/proc/stat").split("\n")[0]!.trim().split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = fields;
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
}

/** One GET on a connection of its own; the status, or 0 when nothing listens or nothing sensible came. */
export async function probe(port: number, host: string, path = "/"): Promise<number> {
  let connection: Deno.TcpConn;
  try {
    connection = await Deno.connect({ hostname: "127.0.0.1", port });
  } catch {
    return 0;
  }
  try {
    await connection.write(
      new TextEncoder().encode(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    );
    const buffer = new Uint8Array(4096);
    const count = await connection.read(buffer);
    if (count === null) return 0;
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(new TextDecoder().decode(buffer.subarray(0, count)))?.[1] ?? 0);
  } catch {
    return 0;
  } finally {
    connection.close();
  }
}

/** Milliseconds until the first answer with `want` through `port`; throws with the log's end after `limitMs`. */
export async function untilAnswers(
  port: number,
  host: string,
  limitMs: number,
  logFile: string,
  { path, want }: { path: string; want: number } = { path: "/", want: 200 },
): Promise<number> {
  const startMs = performance.now();
  let status = 0;
  while (performance.now() - startMs < limitMs) {
    status = await probe(port, host, path);
    if (status === want) return performance.now() - startMs;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const log = await Deno.readTextFile(logFile).catch(() => "");
  throw new Error(`Cannot reach port ${port} in ${limitMs} ms: last status ${status}\n${log.slice(-2000)}`);
}

/** A port that was free a moment ago. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** Middle value; the mean of the two middle ones for an even count; NaN when empty. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
