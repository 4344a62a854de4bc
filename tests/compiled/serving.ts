/** One agent as a process, of any command line: in a chroot, sealed. Killed when the test of it is over. */
import { until } from "../harness/bytes.ts";
import type { Address } from "../harness/client.ts";

export interface Serving {
  readonly child: Deno.ChildProcess;
  /** Of the proxy. */
  readonly address: Address;
  /** Everything on standard error so far. */
  log(): string;
}

/** Resolves once `test` has, called when rules are in force. */
export async function serving(
  command: readonly string[],
  test: (agent: Serving) => Promise<void>,
): Promise<void> {
  const child = new Deno.Command(command[0]!, {
    args: command.slice(1),
    cwd: "/",
    clearEnv: true,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let log = "";
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) log += text;
  })();
  try {
    await until(() => /rules in force/.test(log), "rules in force", 20_000).catch((e: Error) => {
      throw new Error(`${e.message}\n${log}`);
    });
    const [, port] = /proxy listening on 127\.0\.0\.1:(\d+)/.exec(log)!;
    await test({ child, address: { hostname: "127.0.0.1", port: Number(port) }, log: () => log });
  } finally {
    try {
      child.kill("SIGKILL");
    } catch { /* it has ended */ }
    await child.status;
    await reading;
  }
}
