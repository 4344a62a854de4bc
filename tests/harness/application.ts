/**
 * An application as it stands behind the agent: a process of its own on 127.0.0.1. It says what it got, speaks HTTP/1.1, HTTP/2 with
 * prior knowledge and WebSocket, and can be told to be unhealthy.
 *
 * @example
 * ```ts
 * import { startApplication } from "./application.ts";
 * await using application = await startApplication();
 * await (await fetch(`http://127.0.0.1:${application.port}/health`)).text(); // "up"
 * ```
 */
import { until } from "./bytes.ts";

export interface Application extends AsyncDisposable {
  readonly port: number;
  /** What /health answers from now on. */
  health(status: number): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
}

export async function startApplication(port = 0): Promise<Application> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-net=127.0.0.1", "--quiet", "--no-config", import.meta.url, String(port)],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let printed = "";
  const reading = (async () => {
    for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) printed += piece;
  })();
  await until(() => printed.includes("\n"), "the application's port");
  const own = Number(printed);
  let alive = true;
  const kill = async (): Promise<void> => {
    if (alive) child.kill("SIGKILL");
    alive = false;
    await child.status;
    await reading;
  };
  return {
    port: own,
    async health(status) {
      await (await fetch(`http://127.0.0.1:${own}/set-health/${status}`)).body?.cancel();
    },
    kill,
    [Symbol.asyncDispose]: kill,
  };
}

function serve(port: number): void {
  let health = 200;
  Deno.serve({
    hostname: "127.0.0.1",
    port,
    onListen: (address) => console.log(address.port),
  }, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname.startsWith("/set-health/")) {
      health = Number(pathname.slice("/set-health/".length));
      return new Response("set");
    }
    if (pathname === "/health") return new Response(health === 200 ? "up" : "down", { status: health });
    if (request.headers.get("upgrade") === "websocket") {
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.onmessage = ({ data }) => socket.send(`echo ${data}`);
      return response;
    }
    const body = await request.text();
    return Response.json({
      method: request.method,
      path: pathname,
      headers: Object.fromEntries(request.headers),
      length: body.length,
    }, { headers: { "x-application": "yes" } });
  });
}

if (import.meta.main) serve(Number(Deno.args[0]));
