/** Stage 8, answer: the upstream's answer to the client, streamed. The head and what is here of the body go out in one write. */
import { MeshError } from "../core/errors.ts";
import type { HeaderOps } from "../route/types.ts";
import type { ByteWriter } from "../wire/http1/byte_writer.ts";
import { HOP_BY_HOP, type MessageHead, REMOVED, X_ENVOY } from "../wire/http1/head.ts";
import type { ProxyContext } from "./context.ts";
import { corsFields } from "./cors.ts";
import { DONE, type Exchange, type Framing } from "./exchange.ts";
import { copyLines, type Field, HOP_BY_HOP_AND_LENGTH, runOps, writeFields } from "./fields.ts";
import { formatContext } from "./format.ts";
import { grpcStatusIn, grpcStatusOfTrailers, isGrpc } from "./grpc.ts";
import type { Upstream } from "./upstream.ts";

const SERVICE_TIME = "x-envoy-upstream-service-time";

/** Length for BodyReader.begin: what follows this head (RFC 9112 section 6.3). */
export function bodyLength(method: string, head: MessageHead): number {
  if (method === "HEAD" || head.status === 204 || head.status === 304) return 0;
  if (head.chunked) return -1;
  return head.contentLength >= 0 ? head.contentLength : -2;
}

/**
 * Sends the answer; afterwards `endAnswer` hands the connection back. Not async itself, so that a short answer, which goes out in one
 * write, costs no promise beyond the write's.
 */
export function answer(
  proxy: ProxyContext,
  ex: Exchange,
  connection: Upstream,
  ops: HeaderOps | null,
): Promise<void> {
  const { head, body } = connection;
  const { responder } = ex;
  const out = ex.out!;
  const status = ex.status = head.status;
  ex.details = "via_upstream";
  body.begin(bodyLength(ex.method, head));

  let framing: Framing;
  const empty = body.done && (body.trailers === null || ex.method === "HEAD");
  if (empty) framing = head.contentLength === 0 && ex.method !== "HEAD" ? "length" : "none";
  else if (head.contentLength >= 0) framing = "length";
  else framing = responder.http11 ? "chunked" : "close";
  if (framing === "close" || ex.pumping || proxy.draining) responder.persistent = false;

  let fields: Field[] | null = null;
  if (ex.route !== null && ex.route.cors !== null) fields = corsFields(ex, ex.route.cors);
  // The rule's word replaces the upstream's, as in Envoy: browsers refuse two.
  for (const { name } of fields ?? []) head.mark(name, REMOVED);
  if (ops !== null) runOps(ops, head, fields ??= [], formatContext(proxy, ex, head, fields));
  if (head.hasEnvoy) dropServiceTime(head);

  out.clear();
  out.text("HTTP/1.1 ");
  out.span(head.buf, head.start + 9, head.reasonEnd);
  out.text("\r\n");
  const keepLength = status !== 204 && head.contentLength >= 0;
  copyLines(head, out, keepLength ? HOP_BY_HOP : HOP_BY_HOP_AND_LENGTH, -1);
  out.line(SERVICE_TIME, String(Math.round(ex.upstreamServiceMs)));
  if (fields !== null) writeFields(out, fields);
  if (framing === "chunked") out.text("Transfer-Encoding: chunked\r\n");
  // HTTP/2 needs no length to tell that there is no body; a client of HTTP/1.1 would wait for one.
  if (ex.upstreamHttp2 && empty && !ex.http2 && tellsNoLength(ex, head)) {
    out.text("content-length: 0\r\n");
  }
  writeConnection(ex, out);
  out.text("\r\n");
  responder.begin(out, status, framing);

  if (empty) {
    if (isGrpc(ex.head)) ex.grpcStatus = grpcStatusIn(head);
    return responder.end(null);
  }
  const piece = body.buffered();
  if (piece !== null && body.done && body.trailers === null) return responder.data(piece, true);
  if (piece === null || !body.done) return stream(ex, connection, piece, framing);
  // Nearly every gRPC answer: a message and its trailers came together.
  const taken = responder.data(piece, false);
  return taken === DONE ? end(ex, body.trailers) : taken.then(() => end(ex, body.trailers));
}

function end(ex: Exchange, trailers: Uint8Array | null): Promise<void> {
  if (trailers !== null && isGrpc(ex.head)) ex.grpcStatus = grpcStatusOfTrailers(trailers);
  return ex.responder.end(trailers);
}

async function stream(
  ex: Exchange,
  connection: Upstream,
  first: Uint8Array | null,
  framing: Framing,
): Promise<void> {
  const { body } = connection;
  const { responder } = ex;
  let piece = first;
  for (;;) {
    if (piece !== null) await responder.data(piece, body.done && body.trailers === null);
    if (body.done) {
      if (piece === null || body.trailers !== null) await end(ex, body.trailers);
      return;
    }
    // Nothing at hand: show the client what there is before waiting.
    piece = body.buffered();
    if (piece === null && !body.done) {
      if (framing !== "none") await responder.data(EMPTY, false);
      piece = await read(ex, connection);
    }
  }
}

const EMPTY = new Uint8Array(0);

async function read(ex: Exchange, connection: Upstream): Promise<Uint8Array | null> {
  try {
    return await connection.body.read();
  } catch (error) {
    if (ex.bodyError !== null) throw ex.bodyError;
    if (connection.cut === "timeout") {
      const late = connection.routeDeadline !== Infinity;
      ex.details = late ? "response_timeout" : "stream_idle_timeout";
      throw new MeshError(
        late ? "P307" : "P309",
        `Cannot finish the answer of ${ex.upstreamHost}: ${
          late ? "the route's time is over" : "it stopped sending"
        }`,
        { side: "upstream", cause: error },
      );
    }
    throw error;
  }
}

function tellsNoLength(ex: Exchange, head: MessageHead): boolean {
  return head.contentLength < 0 && ex.method !== "HEAD" && head.status !== 204 && head.status !== 304;
}

/** Hands the connection back to its pool when the next answer on it can be trusted. */
export function endAnswer(ex: Exchange, connection: Upstream): void {
  const { head } = connection;
  const { untilClose } = connection.body;
  ex.upstream = null;
  ex.onCancel = null;
  connection.endpoint.active--;
  const keep = head.minor === 1 ? !head.close : head.keepAlive && !head.close;
  if (keep && !untilClose && !ex.pumping) connection.release();
  else connection.close();
}

/** HTTP/1.1 keeps connections unless told otherwise, HTTP/1.0 the other way round. */
export function writeConnection(ex: Exchange, out: ByteWriter): void {
  const { responder } = ex;
  if (!responder.persistent) out.text("Connection: close\r\n");
  else if (!responder.http11) out.text("Connection: keep-alive\r\n");
}

function dropServiceTime(head: MessageHead): void {
  for (let i = 0; i < head.count; i++) {
    if (head.kinds[i] === X_ENVOY && head.nameAt(i).toLowerCase() === SERVICE_TIME) head.kinds[i] = REMOVED;
  }
}
