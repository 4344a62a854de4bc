/** The HTTP/2 half of stage 7, attempt: a stream on a shared connection, the request on it, the head of the answer. */
import { MeshError } from "../core/errors.ts";
import type { Endpoint } from "./clusters.ts";
import type { ProxyContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { isGrpc } from "./grpc.ts";
import { Http2Pool } from "./h2_pool.ts";
import type { Http2Upstream } from "./h2_upstream.ts";
import { UpstreamStream } from "./h2_upstream_stream.ts";
import type { ClusterLimits } from "./cluster_limits.ts";
import { enterPending, requestOverflow } from "./limits.ts";
import type { Target } from "./pick.ts";
import { Unprocessed } from "./upstream.ts";
import { WEBSOCKET } from "./websocket.ts";

/** A request up to this size is kept while it is sent, bytes, so that it can be sent again where a policy asks for that. */
const MAX_KEPT_BYTES = 64 * 1024;

/** A stream with the request on its way; a promise of it only where no connection has room yet. Rejects as attempt's HTTP/1.1 half does. */
export function sendHttp2(
  proxy: ProxyContext,
  ex: Exchange,
  to: Target,
  endpoint: Endpoint,
  startMs: number,
): UpstreamStream | Promise<UpstreamStream> {
  const stream = new UpstreamStream(proxy, endpoint, ex.upgrading || isGrpc(ex.head));
  endpoint.active++;
  ex.upstream = stream;
  ex.onCancel = stream.cancel;
  const pool = endpoint.shared ??= new Http2Pool(proxy, endpoint);
  const moved = movedPump(ex);
  if (moved === null) ex.pumping = false;
  else moved.stream = stream;
  // A body that is still to come does not start the route's clock.
  if (ex.body.done && moved === null) startTimeouts(ex, stream, startMs);
  const { limits } = to.handle;
  if (limits !== null) limits.starting++;
  try {
    if (!begin(proxy, ex, pool, stream, moved, limits)) return beginLater(proxy, ex, to, pool, stream, moved);
  } finally {
    if (limits !== null && stream.h2 === null) limits.starting--;
  }
  return stream;
}

/** Begins on a connection that has room, with what there is of the request; false when none has. */
function begin(
  proxy: ProxyContext,
  ex: Exchange,
  pool: Http2Pool,
  stream: UpstreamStream,
  moved: Pump | null,
  limits: ClusterLimits | null,
): boolean {
  const connection = pool.ready();
  if (connection === null) return false;
  if (ex.upgrading && !mayUpgrade(connection)) return false;
  if (limits !== null && limits.requestsFull) throw requestOverflow(proxy, ex, limits);
  const bytes = ex.out!.view();
  const { body } = ex;
  const whole = moved === null && body.done && body.trailers === null;
  const bare = whole && bytes.length === ex.headLength;
  // The head ends with its empty line, whatever stands behind it.
  if (!stream.open(connection, bytes, bare && !ex.upgrading, ex.upgrading ? WEBSOCKET : "")) return false;
  // At once, because others that waited for the same connection come in this turn, too.
  if (limits !== null) limits.starting--;
  if (!bare && !ex.upgrading) sendBody(proxy, ex, stream, bytes, whole, moved);
  if (whole) connection.link.flushSoon();
  else connection.link.flush();
  return true;
}

/** False while the peer has not said whether it takes extended CONNECT, which nobody may send unasked (RFC 8441 section 3). */
function mayUpgrade({ connection: { peer }, endpoint }: Http2Upstream): boolean {
  if (!peer.known) return false;
  if (peer.connectProtocol) return true;
  throw new MeshError(
    "P111",
    `Cannot upgrade to WebSocket: the upstream ${endpoint.key} speaks HTTP/2 without extended CONNECT (RFC 8441)`,
  );
}

/** The next try dials anew, and tries are counted. */
function leftAtOnce({ key }: Endpoint): MeshError {
  const reason =
    "upstream connect error or disconnect/reset before headers. reset reason: connection termination. ";
  return new Unprocessed("P305", `${reason}The upstream ${key} closed the connection before the request`, {
    side: "upstream",
    retry: "reset",
  });
}

/** As `begin`, when a connection has room: one that is dialled, or that another exchange leaves. */
async function beginLater(
  proxy: ProxyContext,
  ex: Exchange,
  to: Target,
  pool: Http2Pool,
  stream: UpstreamStream,
  moved: Pump | null,
): Promise<UpstreamStream> {
  const { limits } = to.handle;
  const { endpoint } = stream;
  const { connectMs } = proxy.config.proxy.timeouts;
  const connectTimeoutMs = to.addresses === null ? to.handle.connectTimeoutMs : connectMs;
  let queued = false;
  if (limits !== null) {
    enterPending(proxy, ex, limits);
    limits.starting++;
  }
  try {
    do {
      if (!ex.upgrading || pool.ready() === null) {
        if (pool.mayDial(limits)) {
          await stream.wait(pool.dial(connectTimeoutMs));
          if (pool.over) throw leftAtOnce(endpoint);
        } else {
          if (!queued) proxy.observer.count("upstream_cx_overflow_total");
          pool.queue(stream, queued);
          queued = true;
          await stream.turn();
        }
      }
      if (ex.upgrading) {
        const connection = pool.ready();
        if (connection === null) continue;
        await stream.wait(connection.known());
        if (connection.over) throw leftAtOnce(endpoint);
      }
    } while (!begin(proxy, ex, pool, stream, moved, limits));
    return stream;
  } finally {
    if (limits !== null) {
      limits.pending--;
      if (stream.h2 === null) limits.starting--;
    }
    // Whoever leaves the queue without a stream passes its turn on.
    if (queued && stream.h2 === null) pool.leave(stream);
  }
}

/** The route's timeout begins when the whole request has been sent (istio-semantics 1.9), and not again with another attempt. */
function startTimeouts(ex: Exchange, stream: UpstreamStream, now: number): void {
  ex.requestSentMs = now;
  if (ex.timeoutMs > 0 && ex.routeDeadline === Infinity) ex.routeDeadline = now + ex.timeoutMs;
  stream.routeDeadline = ex.routeDeadline;
  const perTry = ex.perTryTimeoutMs > 0 && !stream.answered ? now + ex.perTryTimeoutMs : Infinity;
  stream.arm(Math.min(ex.routeDeadline, perTry));
}

/** The body that stands behind the head in `bytes`; what is still to come is pumped, by `moved` when that is at it already. */
function sendBody(
  proxy: ProxyContext,
  ex: Exchange,
  stream: UpstreamStream,
  bytes: Uint8Array,
  whole: boolean,
  moved: Pump | null,
): void {
  const codec = stream.connection!.connection;
  const h2 = stream.h2!;
  const from = ex.headLength;
  const taken = from === bytes.length ? 0 : codec.sendData(h2, bytes, from, bytes.length, whole);
  const rest = from + taken < bytes.length
    ? Uint8Array.prototype.slice.call(bytes, from + taken, bytes.length)
    : null;
  if (moved !== null) {
    moved.first = rest;
    moved.opened();
    return;
  }
  if (rest === null && ex.body.done) {
    if (!whole) codec.sendTrailers(h2, ex.body.trailers!);
    return;
  }
  const pump = new Pump(proxy, ex, stream, rest);
  pumps.set(ex, pump);
  void pump.run();
}

/** By exchange, because a refused stream's pump may have to go on with the next. */
const pumps = new WeakMap<Exchange, Pump>();

/** The pump that waits for more of a body whose beginning is kept; null when a new one may begin. */
function movedPump(ex: Exchange): Pump | null {
  if (!ex.kept || ex.replayable) return null;
  const pump = pumps.get(ex);
  return pump !== undefined && pump.reading ? pump : null;
}

/** Sends the rest of a request's body, as pump.ts does for HTTP/1.1. */
class Pump {
  /** Waits for the client, or for its stream to begin: it may be given another stream. */
  reading = false;
  #opened: (() => void) | null = null;

  constructor(
    readonly proxy: ProxyContext,
    readonly ex: Exchange,
    public stream: UpstreamStream,
    /** Stands before what is to be read. */
    public first: Uint8Array | null,
  ) {}

  /** Its stream has begun. */
  opened(): void {
    this.#opened?.();
    this.#opened = null;
  }

  /** Never rejects. */
  async run(): Promise<void> {
    const { proxy, ex } = this;
    const { body } = ex;
    const out = ex.out!;
    // Refused streams may go again under any policy, so what they sent is kept until the answer.
    ex.kept = !ex.replayable && out.length <= MAX_KEPT_BYTES;
    ex.pumping = true;
    try {
      let ended = false;
      if (this.first !== null) {
        ended = body.done && body.trailers === null;
        if (!await this.#write(this.#takeFirst(), ended)) return;
      }
      while (!ended) {
        this.reading = true;
        const piece = body.done ? null : body.buffered() ?? await body.read();
        while (!this.stream.closed && this.stream.h2 === null) {
          await new Promise<void>((resolve) => this.#opened = this.stream.onClose = resolve);
        }
        this.reading = false;
        if (this.stream.closed) return;
        if (this.first !== null && !await this.#write(this.#takeFirst(), false)) return;
        const { stream } = this;
        if (piece === null) {
          if (body.trailers === null) stream.connection!.connection.sendEnd(stream.h2!);
          else stream.connection!.connection.sendTrailers(stream.h2!, body.trailers);
          stream.connection!.link.flush();
          break;
        }
        ex.kept = ex.kept && !stream.answered && out.length + piece.length <= MAX_KEPT_BYTES;
        if (ex.kept) out.bytes(piece);
        ended = body.done && body.trailers === null;
        if (!await this.#write(piece, ended)) return;
      }
      if (ex.kept && !this.stream.answered) ex.replayable = true;
      ex.pumping = false;
      startTimeouts(ex, this.stream, proxy.clock.monotonic());
    } catch (error) {
      if (this.stream.closed) return;
      ex.bodyError = error;
      this.stream.close();
    }
  }

  #takeFirst(): Uint8Array {
    const first = this.first!;
    this.first = null;
    return first;
  }

  #write(bytes: Uint8Array, last: boolean): Promise<boolean> {
    return this.stream.write(bytes, 0, last);
  }
}
