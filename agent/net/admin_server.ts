/**
 * The listeners of the admin API and of health, on Deno.serve.
 *
 * @example
 * ```ts ignore
 * const server = serveAdmin({ hostname: "127.0.0.1", port: 30102 }, admin, log);
 * await server.close();
 * ```
 */
import type { Log, StreamAddress } from "../core/ports.ts";
import { type HttpServer, serveHttp } from "./http_server.ts";
import { listenError } from "./listen_error.ts";

export interface AdminServer {
  readonly address: StreamAddress;
  /** Stops accepting, waits for answers in flight at most 1 s. */
  close(): Promise<void>;
}

const CLOSE_MS = 1000;

/** Throws MeshError N101 to N103 when the address cannot be had. */
export function serveAdmin(
  listen: StreamAddress,
  handle: (request: Request, peer: string) => Response | Promise<Response>,
  log: Log,
  name: "rest-admin" | "health" = "rest-admin",
): AdminServer {
  let server: HttpServer;
  try {
    server = serveHttp(listen, {
      what: name === "health" ? "the health listener" : "the admin listener",
      handle: (request, { hostname }) => handle(request, hostname),
      onError(error) {
        log.log("error", "admin request failed", { error: String(error) });
        return new Response("The agent could not answer; see its log.\n", { status: 500 });
      },
      log,
    });
  } catch (error) {
    throw listenError(name, listen, error);
  }
  return {
    address: server.address,
    async close() {
      const late = setTimeout(() => server.close(), CLOSE_MS);
      await server.shutdown();
      clearTimeout(late);
    },
  };
}
