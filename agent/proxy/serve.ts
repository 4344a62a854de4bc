/**
 * The serve engine: Requests of a web server (Deno.serve) become {@link Exchange}s, answers become Responses. Pure: it
 * knows the web's types only; net/serve.ts listens. What it cannot do is in serve_limits.ts.
 *
 * In: Requests with the client's address. Out: a Response each, as soon as the pipeline hands over the head. The request's
 * head is written out as bytes and parsed by the same strict codec as on the native engine, so the same shapes are refused.
 *
 * @example
 * ```ts ignore
 * const proxy = startServeProxy({ ...ports, serve: serveRequests }, { hostname: "127.0.0.1", port: 30101 });
 * await proxy.drain(30_000);
 * ```
 */
import { MeshError } from "../core/errors.ts";
import type { StreamAddress } from "../core/ports.ts";
import { latin1OfUtf8 } from "../wire/http1/byte_writer.ts";
import { MessageHead, parseRequestHead } from "../wire/http1/head.ts";
import { BAD_METHOD } from "../wire/http1/problems.ts";
import type { ProxyContext } from "./context.ts";
import { brokenHead } from "./broken_head.ts";
import { NO_BODY } from "./engine.ts";
import { describeBroken, Exchange } from "./exchange.ts";
import { handleExchange, refuseExchange } from "./pipeline.ts";
import { createContext, type ProxyOptions, type RunningProxy } from "./proxy.ts";
import { ServeBody, ServeResponder } from "./serve_body.ts";

/** A web server, as the engine needs it. */
export interface RequestServer {
  readonly address: StreamAddress;
  /** Stops accepting; resolves when the last answer is out. */
  shutdown(): Promise<void>;
  /** Cuts everything. */
  close(): void;
}

/** Starts one; throws what listening throws. */
export type ServeRequests = (
  address: StreamAddress,
  answer: (request: Request, remote: StreamAddress) => Promise<Response>,
) => RequestServer;

export interface ServeProxyOptions extends Omit<ProxyOptions, "listener"> {
  readonly serve: ServeRequests;
}

/** As `startProxy`, for the engine `serve`. It listens on `config.listen.http`. */
export function startServeProxy(options: ServeProxyOptions): RunningProxy {
  const proxy = createContext(options);
  const server = options.serve(
    options.config.listen.http,
    (request, remote) => answerRequest(proxy, request, remote, server.address),
  );
  proxy.own.add(server.address.hostname, server.address.port);
  const close = (): void => {
    proxy.draining = true;
    server.close();
    proxy.clusters.close();
    proxy.deadlines.close();
  };
  return {
    address: server.address,
    grpcAddress: null,
    async drain(deadlineMs) {
      proxy.draining = true;
      await new Promise<void>((resolve) => {
        const stop = options.clock.after(deadlineMs, resolve);
        server.shutdown().then(() => {
          stop();
          resolve();
        });
      });
      close();
    },
    close,
    stats: () => ({
      // The server keeps its connections to itself.
      connections: proxy.inFlight,
      inFlight: proxy.inFlight,
      tunnels: 0,
      clusters: proxy.clusters.size,
    }),
    limits: () => proxy.clusters.limits(),
  };
}

/** Never rejects. */
export function answerRequest(
  proxy: ProxyContext,
  request: Request,
  remote: StreamAddress,
  local: StreamAddress,
): Promise<Response> {
  const { limits } = proxy.config.proxy;
  const bytes = headBytes(request);
  const head = new MessageHead(limits.maxHeaderCount);
  const end = parseRequestHead(head, bytes, 0, bytes.length, limits);
  const responder = new ServeResponder();
  const length = head.chunked ? -1 : Math.max(0, head.contentLength);
  const body = end > 0 && length !== 0 && request.body !== null
    ? new ServeBody(proxy, request.body, length)
    : null;
  const exchange = new Exchange(head, body ?? NO_BODY, responder, remote, local);
  exchange.startMs = proxy.clock.monotonic();
  if (body === null) request.body?.cancel().catch(() => {});
  if (end <= 0) {
    head.reset(bytes, 0);
    describeBroken(exchange);
    void refuseExchange(proxy, exchange, brokenHead(end === 0 ? BAD_METHOD : end));
  } else if (length !== 0 && body === null) {
    exchange.method = request.method;
    exchange.target = request.url;
    const error = new MeshError(
      "P113",
      `Cannot forward the body of a ${request.method} request: the serve engine does not see it`,
      { side: "downstream" },
    );
    void refuseExchange(proxy, exchange, error);
  } else {
    responder.onGone = () => exchange.cancel();
    void handleExchange(proxy, exchange).then(() => body?.release());
  }
  return responder.response;
}

/** The head as HTTP/1.1 bytes. The URL is what the server made of target and Host: an absolute target, which beats Host. */
function headBytes(request: Request): Uint8Array {
  let target = latin1OfUtf8(request.url);
  if (request.method === "CONNECT") target = target.replace(/^[a-z]+:\/\//i, "").replace(/\/$/, "");
  // With an empty Host the server has put its own name there.
  else if (request.headers.get("host") === "") target = target.replace(/^[a-z]+:\/\/[^/?#]*/i, "");
  let text = `${request.method} ${target} HTTP/1.1\r\n`;
  for (const [name, value] of request.headers) text += `${name}: ${value}\r\n`;
  text += "\r\n";
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
