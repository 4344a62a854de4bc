/**
 * Stage 6, prepare: the head for the upstream. Hop-by-hop headers go, path and host are rewritten, header operations run, forwarded
 * headers and the request id are added; a body that is already here follows in the same bytes.
 */
import type { CompiledDestination } from "../route/types.ts";
import type { ByteWriter } from "../wire/http1/byte_writer.ts";
import { CHUNK_OVERHEAD, chunkedTrailers, writeChunkSize } from "../wire/http1/chunked.ts";
import { EXPECT, HOP_BY_HOP, REMOVED, TE, X_ENVOY, X_FORWARDED_FOR } from "../wire/http1/head.ts";
import type { ProxyContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { copyLines, type Field, runOps, writeFields } from "./fields.ts";
import { formatContext } from "./format.ts";
import { grpcTimeoutMs, isGrpc } from "./grpc.ts";
import { newRequestId } from "./ids.ts";
import type { RequestHeadView } from "./request_view.ts";
import { isWebSocket, newKey } from "./websocket.ts";

const DROP: Uint8Array = (() => {
  const t = HOP_BY_HOP.slice();
  t[EXPECT] = t[X_FORWARDED_FOR] = 1;
  return t;
})();

/** Orders to the proxy, not for the upstream (Envoy takes them out too). */
const CONTROL_HEADERS = [
  "x-envoy-upstream-rq-timeout-ms",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-max-retries",
  "x-envoy-retry-on",
  "x-envoy-retry-grpc-on",
  "x-envoy-retriable-status-codes",
  "x-envoy-retriable-header-names",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-original-path",
  "x-envoy-original-host",
];

export function prepare(
  proxy: ProxyContext,
  ex: Exchange,
  view: RequestHeadView,
  destination: CompiledDestination | null,
): void {
  const { head, body, route } = ex;
  const out = ex.out = proxy.buffers.takeWriter();
  const ops = destination === null ? null : destination.requestOps;
  const hostRewrite = destination === null ? null : destination.hostRewrite;
  identify(proxy, ex);
  readTimeouts(ex);
  if (head.hasEnvoy) dropControlHeaders(ex);
  let fields: Field[] | null = null;
  if (ops !== null) {
    // Formatted before the rewrite, over the headers as the upstream would get them without the operations.
    fields = ex.requestFields = forwardedFields(ex, view);
    runOps(ops, head, fields, formatContext(proxy, ex, null));
  }

  out.text(view.method);
  out.text(" ");
  const rewritten = route !== null && route.rewritesPath ? route.rewritePath(view.path) : view.path;
  if (rewritten === view.path && !view.normalised && view.pathStart >= 0) {
    out.span(head.buf, view.pathStart, head.targetEnd);
  } else {
    out.text(view.query === undefined ? rewritten : `${rewritten}?${view.query}`);
  }
  out.text(" HTTP/1.1\r\n");

  const host = hostRewrite ?? view.authority;
  ex.sentPath = rewritten;
  ex.sentHost = host;
  let skip = -1;
  if (head.hostIndex < 0 || head.valueAt(head.hostIndex) !== host) {
    skip = head.hostIndex;
    out.line("Host", host);
  }
  copyLines(head, out, DROP, skip);
  if (fields !== null) writeFields(out, fields);
  else writeForwarded(ex, view, out);
  if (rewritten !== view.path) {
    out.line("x-envoy-original-path", view.query === undefined ? view.path : `${view.path}?${view.query}`);
  }
  if (hostRewrite !== null && hostRewrite !== view.authority) {
    out.line("x-envoy-original-host", view.authority);
  }
  if (ex.timeoutMs > 0) {
    const perTry = ex.perTryTimeoutMs;
    out.line("x-envoy-expected-rq-timeout-ms", String(Math.round(perTry > 0 ? perTry : ex.timeoutMs)));
  }

  ex.upgrading = head.upgrade && head.upgradeIndex >= 0 && body.length === 0 && head.minor === 1 &&
    ex.responder.canTunnel && mayUpgrade(ex, head.valueAt(head.upgradeIndex));
  if (ex.upgrading) {
    const protocol = head.valueAt(head.upgradeIndex);
    out.line("Connection", "Upgrade");
    out.line("Upgrade", protocol);
    if (isWebSocket(protocol) && ex.http2 !== ex.upstreamHttp2) {
      const key = head.value("sec-websocket-key");
      if (!ex.http2) ex.webSocketKey = key ?? "";
      else if (key === undefined) {
        ex.webSocketKey = newKey(proxy.rng);
        out.line("Sec-WebSocket-Key", ex.webSocketKey);
      }
    }
  }
  if (ex.upstreamHttp2 && takesTrailers(ex)) out.text("te: trailers\r\n");
  // HTTP/2 has frames.
  const chunked = body.length < 0 && !ex.upstreamHttp2;
  out.text(chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
  ex.headLength = out.length;
  ex.replayable = body.length === 0;
  if (body.length !== 0) takeBufferedBody(ex, out, chunked);
}

function takesTrailers(ex: Exchange): boolean {
  const { head } = ex;
  for (let i = 0; i < head.count; i++) {
    if (head.kinds[i] !== TE) continue;
    const value = head.valueAt(i);
    return value === "trailers" || /(?:^|[ \t,])trailers(?:$|[ \t,;])/i.test(value);
  }
  return isGrpc(head);
}

/** An upstream of HTTP/2 is asked by extended CONNECT, for WebSocket only; what may be left out is left out (RFC 9110 section 7.8). */
function mayUpgrade(ex: Exchange, value: string): boolean {
  if (ex.upstreamHttp2) return isWebSocket(value);
  return !value.toLowerCase().split(",").some((v) => v.trim() === "h2c");
}

/** The part of the body that came with the head goes out with it; a body that is all here can also be sent again. */
function takeBufferedBody(ex: Exchange, out: ByteWriter, chunked: boolean): void {
  const body = ex.body;
  const piece = body.done ? null : body.buffered();
  if (piece !== null) {
    if (chunked) {
      out.ensure(CHUNK_OVERHEAD);
      out.length = writeChunkSize(out.buf, out.length, piece.length);
    }
    out.bytes(piece);
    if (chunked) out.text("\r\n");
  }
  if (!body.done) return;
  ex.replayable = true;
  if (chunked) writeLastChunk(out, body.trailers);
}

export function writeLastChunk(out: ByteWriter, trailers: Uint8Array | null): void {
  out.text("0\r\n");
  // HTTP/2 lets more of them pass than those who merge them into the head of HTTP/1.1 could bear.
  const lines = trailers === null ? null : chunkedTrailers(trailers);
  if (lines !== null) out.bytes(lines);
  out.text("\r\n");
}

function identify(proxy: ProxyContext, ex: Exchange): void {
  const head = ex.head;
  ex.requestId = head.requestIdIndex >= 0 ? head.valueAt(head.requestIdIndex) : "";
  if (ex.requestId === "") {
    ex.requestId = newRequestId(proxy.rng);
    // An empty one makes way for ours.
    if (head.requestIdIndex >= 0) head.mark("x-request-id", REMOVED);
    head.requestIdIndex = -1;
  }
  const client = ex.remote.hostname;
  ex.forwardedFor = head.forwardedForIndex < 0 ? client : `${head.value("x-forwarded-for")},${client}`;
}

/** x-forwarded-for always stands anew; the others only when the client did not send them. */
function writeForwarded(ex: Exchange, view: RequestHeadView, out: ByteWriter): void {
  const head = ex.head;
  out.line("x-forwarded-for", ex.forwardedFor);
  if (!head.hasForwardedProto) out.line("x-forwarded-proto", view.scheme);
  if (head.requestIdIndex < 0) out.line("x-request-id", ex.requestId);
}

function forwardedFields(ex: Exchange, view: RequestHeadView): Field[] {
  const head = ex.head;
  const fields: Field[] = [{ name: "x-forwarded-for", key: "x-forwarded-for", value: ex.forwardedFor }];
  if (!head.hasForwardedProto) {
    fields.push({ name: "x-forwarded-proto", key: "x-forwarded-proto", value: view.scheme });
  }
  if (head.requestIdIndex < 0) {
    fields.push({ name: "x-request-id", key: "x-request-id", value: ex.requestId });
  }
  return fields;
}

/** Route's timeouts, which the client's x-envoy headers may override (istio-semantics 1.9). */
function readTimeouts(ex: Exchange): void {
  const { route, head } = ex;
  ex.timeoutMs = route?.timeoutMs ?? 0;
  ex.perTryTimeoutMs = route?.retry?.perTryTimeoutMs ?? 0;
  if (route !== null && route.maxGrpcTimeoutMs >= 0 && isGrpc(head)) {
    // The client's deadline counts, bounded by the route's (0: no bound).
    const most = route.maxGrpcTimeoutMs;
    const asked = grpcTimeoutMs(head);
    ex.timeoutMs = asked === 0 || most > 0 && asked > most ? most : asked;
  }
  if (head.hasEnvoy) {
    const total = head.value("x-envoy-upstream-rq-timeout-ms");
    if (total !== undefined && /^\d{1,9}$/.test(total)) ex.timeoutMs = Number(total);
    const perTry = head.value("x-envoy-upstream-rq-per-try-timeout-ms");
    if (perTry !== undefined && /^\d{1,9}$/.test(perTry)) ex.perTryTimeoutMs = Number(perTry);
  }
  if (ex.timeoutMs > 0 && ex.perTryTimeoutMs >= ex.timeoutMs) ex.perTryTimeoutMs = 0;
}

function dropControlHeaders(ex: Exchange): void {
  const { head } = ex;
  for (let i = 0; i < head.count; i++) {
    if (head.kinds[i] !== X_ENVOY) continue;
    if (CONTROL_HEADERS.includes(head.nameAt(i).toLowerCase())) head.kinds[i] = REMOVED;
  }
}
