/** Answers of the agent's own: one way to send them, whatever stage they come from. */
import type { ProxyContext } from "./context.ts";
import type { Exchange, Framing } from "./exchange.ts";
import { type Field, writeFields } from "./fields.ts";
import { writeConnection } from "./answer.ts";

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  413: "Content Too Large",
  414: "URI Too Long",
  418: "I'm a teapot",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  508: "Loop Detected",
};

const encoder = new TextEncoder();
const EMPTY = new Uint8Array(0);

export async function reply(
  proxy: ProxyContext,
  ex: Exchange,
  status: number,
  fields: readonly Field[],
  body: string | Uint8Array,
): Promise<void> {
  const { responder } = ex;
  const bytes = typeof body === "string" ? (body === "" ? EMPTY : encoder.encode(body)) : body;
  const out = ex.out ??= proxy.buffers.takeWriter();
  out.clear();
  ex.status = status;
  if (proxy.draining || ex.pumping || !mayDrain(proxy, ex)) responder.persistent = false;
  const bodyless = status === 204 || status === 304;
  let framing: Framing = "length";
  if (ex.method === "HEAD" || bodyless) framing = "none";
  out.text(`HTTP/1.1 ${status} ${REASONS[status] ?? "Status"}\r\n`);
  if (!bodyless) {
    out.line("content-length", String(bytes.length));
    if (bytes.length > 0 && !fields.some((f) => f.name === "content-type")) {
      out.line("content-type", "text/plain");
    }
  }
  writeFields(out, fields);
  writeConnection(ex, out);
  out.text("\r\n");
  responder.begin(out, status, framing);
  if (framing === "none" || bytes.length === 0) await responder.end(null);
  else await responder.data(bytes, true);
}

/** A body that nobody reads is drained up to a limit, so that the connection can go on; a longer one costs the connection. */
function mayDrain(proxy: ProxyContext, ex: Exchange): boolean {
  if (ex.body.done) return true;
  if (ex.head.expectContinue) return false;
  return ex.body.length < 0 || ex.body.length - ex.body.received <= proxy.config.proxy.limits.maxDrainBytes;
}
