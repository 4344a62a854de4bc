/**
 * Records whole HTTP/2 connections between programs that we did not write, into tests/recordings/http2: `NAME.up.bin` is what the
 * client sent, `NAME.down.bin` what the server answered. Needs node, curl, nghttp, nghttpd and h2load.
 *
 * @example
 * ```sh
 * deno run -A tests/harness/record_http2.ts
 * ```
 */
import { GrpcServer } from "./grpc_pair.ts";
import { closeQuietly } from "../differential/raw_http.ts";
import { until } from "./bytes.ts";

const OUT = new URL("../recordings/http2/", import.meta.url);
/** A session is cut here; its start says everything about its kinds of frames. */
const MAX_BYTES = 32 * 1024;
const at = (name: string): string => new URL(name, import.meta.url).pathname;

/** Carries the first connection to `port` and keeps both directions. */
async function record(name: string, port: number, play: (port: number) => Promise<void>): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const kept: Record<"up" | "down", Uint8Array[]> = { up: [], down: [] };
  const carry = async (from: Deno.Conn, to: Deno.Conn, into: Uint8Array[]): Promise<void> => {
    const buf = new Uint8Array(65536);
    try {
      for (let n = await from.read(buf); n !== null; n = await from.read(buf)) {
        into.push(buf.slice(0, n));
        for (let done = 0; done < n;) done += await to.write(buf.subarray(done, n));
      }
    } catch {
      // Closed by the other side.
    }
    closeQuietly(to);
  };
  const served = (async () => {
    const client = await listener.accept();
    const server = await Deno.connect({ hostname: "127.0.0.1", port });
    await Promise.all([carry(client, server, kept.up), carry(server, client, kept.down)]);
    closeQuietly(client);
    closeQuietly(server);
  })();
  await play(listener.addr.port);
  await served;
  listener.close();
  for (const way of ["up", "down"] as const) {
    const bytes = new Uint8Array(await new Blob(kept[way] as BlobPart[]).arrayBuffer()).slice(0, MAX_BYTES);
    await Deno.writeFile(new URL(`${name}.${way}.bin`, OUT), bytes);
    console.log(name, way, bytes.length);
  }
}

async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, stdout: "null", stderr: "piped" })
    .output();
  if (!success) throw new Error(`${command}: ${new TextDecoder().decode(stderr)}`);
}

async function reached(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

await Deno.mkdir(OUT, { recursive: true });
{
  const child = new Deno.Command("node", { args: [at("http2_session.mjs"), "serve"], stdout: "piped" })
    .spawn();
  const reader = child.stdout.getReader();
  const port = Number(new TextDecoder().decode((await reader.read()).value));
  await record("node", port, (to) => run("node", at("http2_session.mjs"), "play", String(to)));
  await record("curl", port, (to) => {
    const more = ["-d", "x".repeat(3000), "-H", "X-A: 1", "-H", "Cookie: a=b; c=d"];
    return run(
      "curl",
      ...["-sS", "--noproxy", "*", "--http2-prior-knowledge", ...more],
      `http://127.0.0.1:${to}/echo`,
    );
  });
  child.kill("SIGTERM");
  await child.status;
  await reader.cancel();
}
{
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(`${directory}/a`, "a".repeat(5000));
  await Deno.writeTextFile(`${directory}/b`, "b");
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  const child = new Deno.Command("nghttpd", {
    args: ["--no-tls", "-a", "127.0.0.1", "-d", directory, "--trailer", "x-t: 1", String(port)],
    stdout: "null",
  }).spawn();
  await until(() => reached(port), "nghttpd");
  await record("nghttp", port, (to) => {
    const url = `http://127.0.0.1:${to}`;
    return run("nghttp", "-n", "-m", "3", `${url}/a`, `${url}/b`, `${url}/missing`);
  });
  await record(
    "h2load",
    port,
    (to) => run("h2load", "-n", "20", "-c", "1", "-m", "5", `http://127.0.0.1:${to}/b`),
  );
  child.kill("SIGTERM");
  await child.status;
  await Deno.remove(directory, { recursive: true });
}
{
  await using server = await GrpcServer.start();
  await record(
    "grpc-js",
    server.port,
    (to) => run("node", at("grpc_pair/client.mjs"), String(to), "grpc.test", "unary", "metadata"),
  );
}
