/**
 * Deno.serve as the listener of the serve engine. Its accept loop ends when the process is out of file descriptors; it is
 * then started again on the same port.
 *
 * @example
 * ```ts ignore
 * const proxy = startServeProxy({ ...options, serve: serveRequests(log) });
 * ```
 */
import type { Log, StreamAddress } from "../core/ports.ts";
import type { ServeRequests } from "../proxy/serve.ts";
import { ANSWER_CUT } from "../proxy/serve_body.ts";

const RESTART_MS = 100;

export function serveRequests(log: Log): ServeRequests {
  return (address, answer) => {
    let closed = false;
    let finished = false;
    let restart: ReturnType<typeof setTimeout> | undefined;
    const stop = new AbortController();

    const start = (port: number): Deno.HttpServer<Deno.NetAddr> => {
      const server = Deno.serve({
        hostname: address.hostname,
        port,
        signal: stop.signal,
        // Bodies pass through as they are; on in older runtimes.
        automaticCompression: false,
        onListen: () => {},
        onError(error) {
          if (error !== ANSWER_CUT) {
            log.log("error", "the server failed on a request", { error: String(error) });
          }
          return new Response(null, { status: 500 });
        },
      }, (request: Request, info: Deno.ServeHandlerInfo<Deno.NetAddr>) => answer(request, info.remoteAddr));
      server.finished.catch((error: unknown) => {
        if (closed) return;
        log.log("warn", "the listener failed and is started again", { error: String(error) });
        again(server.addr.port);
      });
      return server;
    };

    const again = (port: number): void => {
      restart = setTimeout(() => {
        if (closed) return;
        try {
          server = start(port);
        } catch (error) {
          log.log("warn", "the listener cannot be started yet", { error: String(error) });
          again(port);
        }
      }, RESTART_MS);
    };

    let server = start(address.port);
    const bound: StreamAddress = { hostname: server.addr.hostname, port: server.addr.port };
    return {
      address: bound,
      async shutdown() {
        closed = true;
        clearTimeout(restart);
        await server.shutdown().catch(() => {});
        finished = true;
      },
      close() {
        closed = true;
        clearTimeout(restart);
        // The runtime throws at an abort after the end.
        if (!finished) stop.abort();
      },
    };
  };
}
