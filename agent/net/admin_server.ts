/**
 * The admin API's listener, on Deno.serve. Its accept loop ends when the process is out of file descriptors; it is then
 * started again, so that a full data plane does not lose its probes (or, unhandled, the process).
 *
 * @example
 * ```ts ignore
 * const server = serveAdmin({ hostname: "127.0.0.1", port: 30102 }, admin, log);
 * await server.close();
 * ```
 */
import type { Log, StreamAddress } from "../core/ports.ts";
import { listenError } from "./listen_error.ts";

export interface AdminServer {
  readonly address: StreamAddress;
  /** Stops accepting, waits for answers in flight at most 1 s. */
  close(): Promise<void>;
}

const RESTART_MS = 100;
const CLOSE_MS = 1000;

/** Throws MeshError N101 to N103 when the address cannot be had. */
export function serveAdmin(
  listen: StreamAddress,
  handle: (request: Request) => Response | Promise<Response>,
  log: Log,
): AdminServer {
  let closed = false;
  let restart: ReturnType<typeof setTimeout> | undefined;
  const stop = new AbortController();

  const start = (port: number): Deno.HttpServer<Deno.NetAddr> => {
    const server = Deno.serve({
      hostname: listen.hostname,
      port,
      signal: stop.signal,
      onListen: () => {},
      onError: (error) => {
        log.log("error", "admin request failed", { error: String(error) });
        return new Response("The agent could not answer; see its log.\n", { status: 500 });
      },
    }, (request: Request) => handle(request));
    server.finished.catch((error: unknown) => {
      if (closed) return;
      log.log("warn", "the admin listener failed and is started again", { error: String(error) });
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
        log.log("warn", "the admin listener cannot be started yet", { error: String(error) });
        again(port);
      }
    }, RESTART_MS);
  };

  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = start(listen.port);
  } catch (error) {
    throw listenError("rest-admin", listen, error);
  }
  return {
    address: { hostname: server.addr.hostname, port: server.addr.port },
    async close() {
      closed = true;
      clearTimeout(restart);
      const late = setTimeout(() => stop.abort(), CLOSE_MS);
      await server.shutdown().catch(() => {});
      clearTimeout(late);
    },
  };
}
