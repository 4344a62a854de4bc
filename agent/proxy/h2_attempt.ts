/** The HTTP/2 half of stage 7, attempt: a stream on a shared connection, the request on it, the head of the answer. */
import type { Endpoint } from "./clusters.ts";
import type { ProxyContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { isGrpc } from "./grpc.ts";
import { Http2Pool } from "./h2_pool.ts";
import { UpstreamStream } from "./h2_upstream_stream.ts";
import type { Target } from "./pick.ts";

/** A request up to this size is kept while it is sent, bytes, so that it can be sent again where a policy asks for that. */
const MAX_KEPT_BYTES = 64 * 1024;

/** A stream with the request on its way, and the final head of the answer. Rejects as the HTTP/1.1 half of attempt does. */
export async function sendHttp2(
  proxy: ProxyContext,
  ex: Exchange,
  to: Target,
  endpoint: Endpoint,
): Promise<UpstreamStream> {
  const stream = new UpstreamStream(proxy, endpoint, isGrpc(ex.head));
  endpoint.active++;
  ex.upstream = stream;
  ex.onCancel = stream.cancel;
  const out = ex.out!;
  const bytes = out.view();
  const head = bytes.subarray(0, ex.headLength);
  const { body } = ex;
  const whole = body.done && body.trailers === null;
  const bare = whole && bytes.length === ex.headLength;
  // A body that is still to come does not start the route's clock.
  if (body.done) startTimeouts(proxy, ex, stream);
  const pool = endpoint.shared ??= new Http2Pool(proxy, endpoint);
  let connection = pool.ready();
  for (;;) {
    if (connection === null) {
      const limit = to.addresses === null
        ? to.handle.connectTimeoutMs
        : proxy.config.proxy.timeouts.connectMs;
      await stream.wait(pool.dial(to.handle.cluster, limit));
      connection = pool.ready();
      if (connection === null) continue;
    }
    const h2 = connection.open(stream, head, bare);
    if (h2 !== null) {
      stream.connection = connection;
      stream.h2 = h2;
      break;
    }
    connection = null;
  }
  if (!bare) sendBody(proxy, ex, stream, bytes, whole);
  connection.link.flush();
  await stream.answer(proxy, ex);
  return stream;
}

/** The route's timeout begins when the whole request has been sent (istio-semantics 1.9), and not again with another attempt. */
function startTimeouts(proxy: ProxyContext, ex: Exchange, stream: UpstreamStream): void {
  const now = ex.requestSentMs = proxy.clock.monotonic();
  if (ex.timeoutMs > 0 && ex.routeDeadline === Infinity) ex.routeDeadline = now + ex.timeoutMs;
  stream.routeDeadline = ex.routeDeadline;
  const perTry = ex.perTryTimeoutMs > 0 && !stream.answered ? now + ex.perTryTimeoutMs : Infinity;
  stream.arm(Math.min(ex.routeDeadline, perTry));
}

/** The body that stands behind the head in `bytes`; what is still to come is pumped. */
function sendBody(
  proxy: ProxyContext,
  ex: Exchange,
  stream: UpstreamStream,
  bytes: Uint8Array,
  whole: boolean,
): void {
  const codec = stream.connection!.connection;
  const h2 = stream.h2!;
  const from = ex.headLength;
  const taken = from === bytes.length ? 0 : codec.sendData(h2, bytes, from, bytes.length, whole);
  const rest = from + taken < bytes.length
    ? Uint8Array.prototype.slice.call(bytes, from + taken, bytes.length)
    : null;
  if (rest === null && ex.body.done) {
    if (!whole) codec.sendTrailers(h2, ex.body.trailers!);
    return;
  }
  void pump(proxy, ex, stream, rest);
}

/** As pump.ts does for HTTP/1.1. Never rejects. */
async function pump(
  proxy: ProxyContext,
  ex: Exchange,
  stream: UpstreamStream,
  first: Uint8Array | null,
): Promise<void> {
  const { body } = ex;
  const out = ex.out!;
  let keeps = ex.route !== null && ex.route.retry !== null && !ex.replayable;
  ex.pumping = true;
  try {
    if (first !== null && !await stream.write(first, 0, body.done && body.trailers === null)) return;
    let ended = first !== null && body.done && body.trailers === null;
    while (!ended) {
      const piece = body.done ? null : body.buffered() ?? await body.read();
      if (stream.closed) return;
      if (piece === null) {
        if (body.trailers === null) stream.connection!.connection.sendEnd(stream.h2!);
        else stream.connection!.connection.sendTrailers(stream.h2!, body.trailers);
        stream.connection!.link.flush();
        break;
      }
      keeps = keeps && !stream.answered && out.length + piece.length <= MAX_KEPT_BYTES;
      if (keeps) out.bytes(piece);
      ended = body.done && body.trailers === null;
      if (!await stream.write(piece, 0, ended)) return;
    }
    if (keeps && !stream.answered) ex.replayable = true;
    ex.pumping = false;
    startTimeouts(proxy, ex, stream);
  } catch (error) {
    if (stream.closed) return;
    ex.bodyError = error;
    stream.close();
  }
}
