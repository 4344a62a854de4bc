/**
 * TCP through haproxy (64 KiB buffers) and through a local port of the agent: CPU of the proxy per GB, alternating rounds, medians.
 *
 * In: haproxy on the PATH. Out: a table. Each round moves `--gib` (default 2) down and the same up, over one connection each; client
 * and server are processes of their own.
 *
 * @example
 * ```sh
 * deno run -A scripts/bench/tcp.ts --rounds 5
 * ```
 */
import { cpuSeconds, freePort, median, type Running, start } from "./process.ts";
import { option } from "./rounds.ts";

const GIB = 1 << 30;
const CHUNK = 1 << 18;

/** Says what it did as one line on standard output: so many bytes received or sent. */
async function serve(port: number): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  for await (const conn of listener) void answer(conn);
}

/** The first 9 bytes say what is wanted: `d` and a size = send that much; `u` = take everything in and say when it is over. */
async function answer(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  let got = 0;
  while (got < 9) got += await conn.read(buffer.subarray(got)) ?? 9;
  if (buffer[0] === 100) {
    let left = Number(new DataView(buffer.buffer).getBigUint64(1));
    while (left > 0) left -= await conn.write(buffer.subarray(0, Math.min(left, CHUNK)));
  } else {
    while (await conn.read(buffer) !== null);
    await conn.write(buffer.subarray(0, 1));
  }
  conn.close();
}

async function transfer(port: number, direction: "d" | "u", bytes: number): Promise<void> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const buffer = new Uint8Array(CHUNK);
  const head = new Uint8Array(9);
  head[0] = direction.charCodeAt(0);
  new DataView(head.buffer).setBigUint64(1, BigInt(bytes));
  await conn.write(head);
  if (direction === "u") {
    for (let left = bytes; left > 0;) left -= await conn.write(buffer.subarray(0, Math.min(left, CHUNK)));
    await conn.closeWrite();
  }
  let received = 0;
  for (let n; (n = await conn.read(buffer)) !== null;) received += n;
  conn.close();
  const wanted = direction === "d" ? bytes : 1;
  if (received !== wanted) throw new Error(`${received} bytes came instead of ${wanted}`);
}

async function untilListening(port: number): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function main(): Promise<void> {
  const rounds = Number(option("rounds") ?? 5);
  const bytes = Number(option("gib") ?? 2) * GIB;
  const directory = await Deno.makeTempDir({ prefix: "mesh-bench-tcp-" });
  const self = new URL(import.meta.url).pathname;
  const running: Running[] = [];
  try {
    const upstream = freePort();
    running.push(
      start(
        "server",
        [Deno.execPath(), "run", "-A", self, "serve", String(upstream)],
        `${directory}/server.log`,
      ),
    );
    const [haproxyPort, agentPort] = [freePort(), freePort()];
    await Deno.writeTextFile(
      `${directory}/haproxy.cfg`,
      `global
  nbthread 1
  tune.bufsize 65536
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen bench
  bind 127.0.0.1:${haproxyPort}
  server one 127.0.0.1:${upstream}
`,
    );
    const haproxy = start(
      "haproxy",
      ["haproxy", "-f", `${directory}/haproxy.cfg`, "-db"],
      `${directory}/haproxy.log`,
    );
    running.push(haproxy);
    await Deno.mkdir(`${directory}/rules`);
    await Deno.writeTextFile(
      `${directory}/rules/db.yaml`,
      `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db}
spec:
  hosts: [db.test]
  resolution: STATIC
  ports: [{number: 3306, name: tcp, protocol: TCP}]
  endpoints: [{address: 127.0.0.1, ports: {tcp: ${upstream}}}]
`,
    );
    await Deno.writeTextFile(
      `${directory}/chassis.yaml`,
      `cse:
  protocols: {http: {listenAddress: "127.0.0.1:0"}, rest-admin: {listenAddress: "127.0.0.1:0"}}
  mesh: {accessLog: "off", tcp: {listeners: ["${agentPort}=db.test:3306"]}}
`,
    );
    const root = new URL("../../", import.meta.url).pathname;
    const agent = start(
      "agent",
      [Deno.execPath(), "run", "-A", `${root}mod.ts`, "run", "--config", directory],
      `${directory}/agent.log`,
    );
    running.push(agent);
    for (const port of [upstream, haproxyPort, agentPort]) await untilListening(port);

    const cost = new Map<string, number[]>();
    for (let round = -1; round < rounds; round++) {
      for (
        const [name, { pid }, port] of [["haproxy", haproxy, haproxyPort], [
          "agent",
          agent,
          agentPort,
        ]] as const
      ) {
        for (const direction of ["d", "u"] as const) {
          const before = cpuSeconds(pid);
          await transfer(port, direction, bytes);
          // The first round warms up.
          if (round < 0) continue;
          const key = `${name} ${direction === "d" ? "down" : "up"}`;
          const list = cost.get(key) ?? [];
          list.push((cpuSeconds(pid) - before) / (bytes / 1e9));
          cost.set(key, list);
        }
      }
    }
    console.log("| CPU-s per GB | median | all rounds |\n|---|---|---|");
    for (const [name, list] of cost) {
      console.log(`| ${name} | ${median(list).toFixed(2)} | ${list.map((v) => v.toFixed(2)).join(" ")} |`);
    }
  } finally {
    for (const process of running.reverse()) await process.stop();
    await Deno.remove(directory, { recursive: true });
  }
}

if (import.meta.main) {
  if (Deno.args[0] === "serve") await serve(Number(Deno.args[1]));
  else await main();
}
