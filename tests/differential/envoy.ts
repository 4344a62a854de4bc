/**
 * Real Envoy as a child process, for the differential tests. `scripts/oracle.ts` installs it and names the binary in
 * ENVOY_BIN.
 */
import type { Json } from "../../agent/admin/envoy_json.ts";

export interface RunningEnvoy {
  /** Address of the proxy listener. */
  readonly port: number;
  /** Of every listener, by name. */
  readonly ports: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** Starts Envoy on a bootstrap whose listener and admin ports are 0; resolves when it takes requests. */
export async function startEnvoy(bootstrap: Json): Promise<RunningEnvoy> {
  const binary = Deno.env.get("ENVOY_BIN");
  if (binary === undefined) throw new Error("ENVOY_BIN is not set: run `deno task oracle`");
  const directory = await Deno.makeTempDir({ prefix: "envoy-" });
  const config = `${directory}/bootstrap.json`;
  const adminFile = `${directory}/admin`;
  await Deno.writeTextFile(config, JSON.stringify(bootstrap));
  const process = new Deno.Command(binary, {
    args: [
      ...["-c", config],
      ...["--admin-address-path", adminFile],
      ...["--concurrency", "1", "--use-dynamic-base-id", "--disable-hot-restart"],
      ...["--component-log-level", "main:info,config:info", "-l", "warning"],
    ],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = readLog(process.stderr);
  const stop = async () => {
    try {
      process.kill("SIGTERM");
    } catch {
      // It has ended already.
    }
    await process.status;
    await log.done;
    await Deno.remove(directory, { recursive: true });
  };
  if (!await log.until("starting main dispatch loop")) {
    await stop();
    throw new Error(`Envoy refused the bootstrap:\n${log.text()}`);
  }
  try {
    const admin = (await Deno.readTextFile(adminFile)).trim();
    const response = await fetch(`http://${admin}/listeners?format=json`);
    const { listener_statuses: statuses } = await response.json() as {
      listener_statuses: readonly {
        name: string;
        local_address: { socket_address: { port_value: number } };
      }[];
    };
    const port = statuses[0]?.local_address.socket_address.port_value;
    if (port === undefined) throw new Error("Envoy has no listener");
    const ports = new Map(statuses.map((s) => [s.name, s.local_address.socket_address.port_value]));
    return { port, ports, stop };
  } catch (e) {
    await stop();
    throw e;
  }
}

function readLog(stream: ReadableStream<Uint8Array>) {
  let text = "";
  let wanted: string | undefined;
  let found: ((yes: boolean) => void) | undefined;
  let ended = false;
  const check = () => {
    if (wanted === undefined || found === undefined) return;
    if (text.includes(wanted)) found(true);
    else if (ended) found(false);
  };
  const done = (async () => {
    for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
      // The end tells what went wrong, and what is waited for; before it Envoy lists its extensions.
      text = (text + piece).slice(-100_000);
      check();
    }
    ended = true;
    check();
  })();
  return {
    done,
    text: () => text,
    until: (what: string) =>
      new Promise<boolean>((resolve) => {
        wanted = what;
        found = resolve;
        check();
      }),
  };
}
