/**
 * Deno.serve as the listener of the serve engine.
 *
 * @example
 * ```ts ignore
 * const proxy = startServeProxy({ ...options, serve: serveRequests(log) });
 * ```
 */
import type { Log } from "../core/ports.ts";
import type { ServeRequests } from "../proxy/serve.ts";
import { ANSWER_CUT } from "../proxy/serve_body.ts";
import { serveHttp } from "./http_server.ts";

export function serveRequests(log: Log): ServeRequests {
  return (address, answer) =>
    serveHttp(address, {
      what: "the listener",
      handle: answer,
      onError(error) {
        if (error !== ANSWER_CUT) {
          log.log("error", "the server failed on a request", { error: String(error) });
        }
        return new Response(null, { status: 500 });
      },
      log,
    });
}
