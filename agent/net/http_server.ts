/**
 * Deno.serve that survives. Its accept loop ends when the process is out of file descriptors; it is then started again on
 * the same port, so that a full data plane loses neither its probes nor, by an unhandled rejection, the process.
 */
import type { Log, StreamAddress } from "../core/ports.ts";

export interface HttpServer {
  readonly address: StreamAddress;
  /** Stops accepting and resolves when the answers in flight are out. */
  shutdown(): Promise<void>;
  /** Stops accepting and cuts off what is in flight. */
  close(): void;
}

export interface HttpServerOptions {
  /** What listens, for the log: `the admin listener`. */
  readonly what: string;
  readonly handle: (request: Request, remote: Deno.NetAddr) => Response | Promise<Response>;
  /** The answer to a request whose handler threw. */
  readonly onError: (error: unknown) => Response;
  readonly log: Log;
}

const RESTART_MS = 100;

/** Throws what Deno.serve throws when the address cannot be had. */
export function serveHttp(listen: StreamAddress, options: HttpServerOptions): HttpServer {
  const { what, handle, onError, log } = options;
  let closed = false;
  let finished = false;
  let restart: ReturnType<typeof setTimeout> | undefined;
  const stop = new AbortController();

  const start = (port: number): Deno.HttpServer<Deno.NetAddr> => {
    const server = Deno.serve({
      hostname: listen.hostname,
      port,
      signal: stop.signal,
      // Bodies pass through as they are; compression is on in older runtimes.
      automaticCompression: false,
      onListen: () => {},
      onError,
    }, (request: Request, info: Deno.ServeHandlerInfo<Deno.NetAddr>) => handle(request, info.remoteAddr));
    server.finished.catch((error: unknown) => {
      if (closed) return;
      log.log("warn", `${what} failed and is started again`, { error: String(error) });
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
        log.log("warn", `${what} cannot be started yet`, { error: String(error) });
        again(port);
      }
    }, RESTART_MS);
  };

  let server = start(listen.port);
  return {
    address: { hostname: server.addr.hostname, port: server.addr.port },
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
}
