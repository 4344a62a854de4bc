/** Servers in processes of their own, which tell their port in what they print. */
import { within } from "../harness/bytes.ts";

export type ForeignServer = { readonly port: number } & AsyncDisposable;

/** `pattern` finds the port in the output. The process ends when it is disposed of. */
export async function startServer(
  program: string,
  args: readonly string[],
  pattern = /^(\d+)$/m,
  env: Readonly<Record<string, string>> = {},
): Promise<ForeignServer> {
  const child = new Deno.Command(program, {
    args: [...args],
    env: { ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let text = "";
  let told = (): void => {};
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> => {
    for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
      text = (text + piece).slice(-10_000);
      told();
    }
  };
  const reading = Promise.all([read(child.stdout), read(child.stderr)]);
  const end = async (): Promise<void> => {
    await child.stdin.close().catch(() => {});
    try {
      child.kill("SIGKILL");
    } catch { /* it ended by itself */ }
    await child.status;
    await reading;
  };
  const found = new Promise<number>((resolve) => {
    told = () => {
      const match = pattern.exec(text);
      if (match !== null) resolve(Number(match[1]));
    };
  });
  try {
    return {
      port: await within(found, `the port of ${program} ${args.join(" ")}`),
      [Symbol.asyncDispose]: end,
    };
  } catch (e) {
    await end();
    throw new Error(`${(e as Error).message}\n${text}`);
  }
}

/** Runs it to its end; what it printed, standard output and standard error. Rejects when it does not end with 0. */
export async function runToEnd(program: string, args: readonly string[], ms = 60_000): Promise<string> {
  const stop = new AbortController();
  const ending = new Deno.Command(program, {
    args: [...args],
    // No proxy of the machine's own is asked.
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH") ?? "" },
    stdout: "piped",
    stderr: "piped",
    signal: stop.signal,
  }).output();
  const name = `${program.split("/").at(-1)} ${args.join(" ")}`;
  try {
    const { success, stdout, stderr } = await within(ending, `the end of ${name}`, ms);
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    if (!success) throw new Error(`"${name}" failed: ${text}`);
    return text;
  } catch (e) {
    stop.abort();
    await ending.catch(() => {});
    throw e;
  }
}
