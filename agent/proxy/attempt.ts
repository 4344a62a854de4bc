/**
 * Stage 7, attempt: dial or reuse, send, read the head of the answer; again when the route's retry policy and the state of the request
 * allow it. Gives the connection whose `head` is the final answer's. Ends with 502, 503, 504.
 */
import { MeshError } from "../core/errors.ts";
import type { CompiledRetry } from "../route/types.ts";
import { findHeadEnd, parseResponseHead } from "../wire/http1/head.ts";
import { problemOf } from "../wire/http1/problems.ts";
import type { Endpoint } from "./clusters.ts";
import type { ProxyContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { connectFailure } from "./connect_failure.ts";
import { interim } from "./interim.ts";
import { connectionWithin, mayRetryNow, requestOverflow, retryOver } from "./limits.ts";
import { pick, type Target } from "./pick.ts";
import type { UpstreamStream } from "./h2_upstream_stream.ts";
import { pump, startRouteTimeout } from "./pump.ts";
import { retriesFailure, retriesGrpc, retriesStatus, waitBackoff } from "./retry.ts";
import { DeadReuse, Unprocessed, type Upstream, UpstreamConnection } from "./upstream.ts";
import { writeAll } from "../core/write_all.ts";

/** Interim answers before a final one. */
const MAX_INTERIMS = 64;
/** How often a request goes again that an upstream did not look at, beyond the route's policy. */
const MAX_UNPROCESSED = 10;
/** So many times at once; then the peer gets time to find room. As Envoy's own backoff. */
const MAX_UNPROCESSED_AT_ONCE = 2;
const UNPROCESSED_BACKOFF = { baseIntervalMs: 25, maxIntervalMs: 250 };
const NONE_TRIED: readonly Endpoint[] = [];
/** Methods that may be sent again without harm (RFC 9110 section 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

let http2: typeof import("./h2_attempt.ts") | undefined;

/** A try over HTTP/2 that has begun already. */
export interface Begun {
  readonly endpoint: Endpoint;
  readonly stream: UpstreamStream | Promise<UpstreamStream>;
}

/** Begins the first try where that takes no promise; null where the cluster speaks no HTTP/2, or none was spoken before. */
export function beginAtOnce(proxy: ProxyContext, ex: Exchange, to: Target): Begun | null {
  if (http2 === undefined || !ex.upstreamHttp2) return null;
  ex.attemptMs = Math.max(ex.startMs, ex.attemptMs);
  const endpoint = pick(proxy, ex, to, NONE_TRIED);
  ex.upstreamHost = endpoint.key;
  try {
    return { endpoint, stream: http2.sendHttp2(proxy, ex, to, endpoint, ex.attemptMs) };
  } catch (error) {
    return { endpoint, stream: Promise.reject(error) };
  }
}

/** Is this the answer to be sent, with nothing before it and no retry to decide about? */
export function takeAtOnce(ex: Exchange, stream: UpstreamStream): boolean {
  if (!stream.takeFinal()) return false;
  const retry = ex.route === null ? null : ex.route.retry;
  if (
    retry !== null && ex.replayable &&
    (retriesStatus(retry, stream.head.status) || retriesGrpc(retry, stream))
  ) {
    return false;
  }
  ex.kept = false;
  if (ex.retrying !== null) retryOver(ex);
  const { answeredMs } = stream;
  ex.upstreamServiceMs = serviceMs(ex, answeredMs);
  ex.attempts.push({ endpoint: stream.endpoint.key, outcome: "ok", durationMs: answeredMs - ex.attemptMs });
  return true;
}

export async function attempt(
  proxy: ProxyContext,
  ex: Exchange,
  to: Target,
  begun: Begun | null = null,
): Promise<Upstream> {
  const retry = ex.route === null ? null : ex.route.retry;
  let tried = NONE_TRIED;
  let retries = 0;
  let replayed = false;
  let unprocessed = 0;
  let startMs = ex.attemptMs = Math.max(ex.startMs, ex.attemptMs);
  let first = begun;
  for (;;) {
    const endpoint = first === null ? pick(proxy, ex, to, tried) : first.endpoint;
    ex.upstreamHost = endpoint.key;
    let failure: MeshError | null = null;
    let outcome = "ok";
    let fresh = true;
    try {
      let connection: Upstream;
      let answeredMs: number;
      if (ex.upstreamHttp2) {
        // Loaded by the first request that needs it: most agents start without.
        if (http2 === undefined) {
          http2 = await import("./h2_attempt.ts");
          if (ex.cancelled) throw new Error("the client is gone");
        }
        const sent = first === null ? http2.sendHttp2(proxy, ex, to, endpoint, startMs) : first.stream;
        first = null;
        const stream = sent instanceof Promise ? await sent : sent;
        await stream.changed();
        if (!stream.takeFinal()) await stream.answer(proxy, ex);
        ex.kept = false;
        answeredMs = stream.answeredMs;
        connection = stream;
      } else {
        let own = endpoint.take();
        const { limits } = to.handle;
        if (limits !== null) {
          own ??= await connectionWithin(
            proxy,
            ex,
            limits,
            endpoint,
            () => dial(proxy, ex, to, endpoint),
            () => patience(proxy, ex),
            () => timeout(proxy, ex),
          );
          // Looked at in the turn in which it begins to count: several may have waited for the same thing.
          if (limits.requestsFull) {
            own.release();
            throw requestOverflow(proxy, ex, limits);
          }
        }
        fresh = own === null || own.requests === 0;
        // One function and few promises, because nearly every request passes here exactly once.
        if (own === null) own = await dial(proxy, ex, to, endpoint);
        engage(ex, endpoint, own);
        // Else the pool's idle time would still run while the head is written.
        proxy.deadlines.arm(own, proxy.deadlines.now + proxy.config.proxy.timeouts.bodyStallMs);
        const request = ex.out!.view();
        const sent = await own.stream.write(request);
        if (sent < request.length) await writeAll(own.stream, request.subarray(sent));
        afterSend(proxy, ex, own, startMs);
        const { input } = own;
        if (!input.took(await input.next())) throw new Error("end of input");
        fresh = true;
        if (!tryHead(proxy, own)) await readHead(proxy, ex, own);
        answeredMs = proxy.clock.monotonic();
        connection = own;
      }
      if (ex.retrying !== null) retryOver(ex);
      ex.upstreamServiceMs = serviceMs(ex, answeredMs);
      const again = retry !== null && ex.replayable &&
        (retriesStatus(retry, connection.head.status) || ex.upstreamHttp2 && retriesGrpc(retry, connection));
      if (!again || retries >= retry.numRetries || !mayRetryNow(proxy, ex, to.handle.limits)) {
        if (again && retries > 0 && retries >= retry.numRetries) ex.addFlag("URX");
        ex.attempts.push({
          endpoint: endpoint.key,
          outcome,
          durationMs: answeredMs - startMs,
        });
        return connection;
      }
      outcome = String(connection.head.status);
      connection.close();
      letGo(ex);
    } catch (thrown) {
      const error = failureOf(proxy, ex, endpoint, fresh, thrown);
      letGo(ex);
      if (ex.retrying !== null) retryOver(ex);
      if (!(error instanceof MeshError)) throw error;
      failure = error;
      outcome = outcomeOf(error);
    }
    const now = proxy.clock.monotonic();
    ex.attempts.push({ endpoint: endpoint.key, outcome, durationMs: now - startMs });
    if (failure !== null) {
      if (ex.cancelled || failure.side === "downstream") throw failure;
      if (
        failure instanceof DeadReuse && !replayed && ex.replayable && ex.body.length === 0 &&
        IDEMPOTENT.has(ex.method)
      ) {
        replayed = true;
        proxy.observer.count("replayed_requests_total");
        proxy.log.log("info", "request sent again: the kept connection was dead", {
          endpoint: endpoint.key,
          requestId: ex.requestId,
        });
        startMs = now;
        continue;
      }
      if (failure instanceof Unprocessed && (ex.replayable || ex.kept) && unprocessed < MAX_UNPROCESSED) {
        unprocessed++;
        proxy.observer.count("replayed_requests_total");
        startMs = now;
        // The pump of a body that is still to come goes on in this turn, or it would lose what it reads.
        if (unprocessed > MAX_UNPROCESSED_AT_ONCE && ex.replayable) {
          await waitBackoff(proxy, ex, UNPROCESSED_BACKOFF, unprocessed - MAX_UNPROCESSED_AT_ONCE);
          startMs = proxy.clock.monotonic();
        }
        continue;
      }
      if (retry === null || !mayRetry(retry, ex, failure)) throw failure;
      if (retries >= retry.numRetries) {
        if (retries > 0) {
          ex.addFlag(failure.flag);
          ex.addFlag("URX");
        }
        throw failure;
      }
      if (!mayRetryNow(proxy, ex, to.handle.limits)) throw failure;
    }
    retries++;
    proxy.observer.count("retries_total");
    tried = [...tried, endpoint];
    await waitBackoff(proxy, ex, retry!, retries);
    startMs = proxy.clock.monotonic();
  }
}

/** Before the request is through there is no time between it and the answer. */
function serviceMs(ex: Exchange, answeredMs: number): number {
  return ex.pumping ? 0 : Math.max(0, answeredMs - ex.requestSentMs);
}

function outcomeOf(error: MeshError): string {
  switch (error.code) {
    case "P303":
    case "P304":
      return "connect-failure";
    case "P209":
      return "denied";
    case "P306":
      return "protocol-error";
    case "P307":
    case "P308":
      return "timeout";
    default:
      return "reset";
  }
}

function mayRetry(retry: CompiledRetry, ex: Exchange, failure: MeshError): boolean {
  // When nothing of the body was pulled beyond `out`, a failed dial costs nothing; later the whole request must be at hand.
  if (!ex.replayable && (failure.retry !== "connect-failure" || ex.pumping)) return false;
  return retriesFailure(retry, failure.retry);
}

function letGo(ex: Exchange): void {
  const connection = ex.upstream;
  ex.onCancel = null;
  if (connection === null) return;
  ex.upstream = null;
  connection.endpoint.active--;
  connection.close();
}

/** What a failed attempt means; on its way to the client or to the next attempt. */
function failureOf(
  proxy: ProxyContext,
  ex: Exchange,
  endpoint: Endpoint,
  fresh: boolean,
  error: unknown,
): unknown {
  if (ex.bodyError !== null) return ex.bodyError;
  if (ex.cancelled) {
    return new MeshError("P112", "Cannot answer: the client closed the connection", {
      side: "downstream",
      cause: error,
    });
  }
  const connection = ex.upstream;
  // Without a connection it was the dial that failed, and that is told already.
  if (connection === null) return error;
  if (connection.cut === "timeout") return timeout(proxy, ex);
  if (error instanceof MeshError) return error;
  const reason =
    "upstream connect error or disconnect/reset before headers. reset reason: connection termination. ";
  const Kind = fresh ? MeshError : DeadReuse;
  return new Kind("P305", `${reason}The upstream ${endpoint.key} closed the connection before its answer`, {
    side: "upstream",
    retry: "reset",
    cause: error,
  });
}

/** The connection is at work for this exchange. */
function engage(ex: Exchange, endpoint: Endpoint, connection: UpstreamConnection): UpstreamConnection {
  endpoint.active++;
  ex.upstream = connection;
  ex.onCancel = connection.cancel;
  connection.requests++;
  return connection;
}

/** The request's bytes are on their way: start the clock, or go on sending the body. */
function afterSend(proxy: ProxyContext, ex: Exchange, connection: UpstreamConnection, startMs: number): void {
  if (!ex.body.done) {
    // Not awaited: the answer may come before the body is through.
    pump(proxy, ex, connection);
    return;
  }
  ex.requestSentMs = startMs;
  if (ex.timeoutMs > 0 || ex.perTryTimeoutMs > 0) startRouteTimeout(proxy, ex, connection, startMs);
  else connection.deadline = Infinity;
}

/** Nearly always the whole head comes in the first read. */
function tryHead(proxy: ProxyContext, connection: UpstreamConnection): boolean {
  const { input, head } = connection;
  const next = parseResponseHead(head, input.buf, input.start, input.end, proxy.config.proxy.limits);
  if (next <= 0 || head.status < 200) return false;
  input.start = next;
  return true;
}

function timeout(proxy: ProxyContext, ex: Exchange): MeshError {
  if (ex.pumping) return stalled(ex);
  if (proxy.clock.monotonic() >= ex.routeDeadline - 1) {
    ex.details = "response_timeout";
    return new MeshError(
      "P307",
      `upstream request timeout. The upstream ${ex.upstreamHost} did not answer within ${ex.timeoutMs} ms`,
      { side: "upstream" },
    );
  }
  if (ex.perTryTimeoutMs === 0) return stalled(ex);
  ex.details = "upstream_per_try_timeout";
  return new MeshError(
    "P308",
    `upstream request timeout. The upstream ${ex.upstreamHost} did not answer within ${ex.perTryTimeoutMs} ms of one try`,
    { side: "upstream", retry: "reset" },
  );
}

function stalled(ex: Exchange): MeshError {
  return new MeshError("P309", `The upstream ${ex.upstreamHost} stopped taking the request`, {
    side: "upstream",
    retry: "reset",
  });
}

/** How long this try may wait for a connection, ms. */
function patience(proxy: ProxyContext, ex: Exchange): number {
  // A body that is still to come does not start the route's clock.
  if (ex.body.done && ex.timeoutMs > 0 && ex.routeDeadline === Infinity) {
    ex.routeDeadline = ex.attemptMs + ex.timeoutMs;
  }
  const left = ex.routeDeadline === Infinity ? Infinity : ex.routeDeadline - proxy.clock.monotonic();
  return ex.perTryTimeoutMs > 0 ? Math.min(left, ex.perTryTimeoutMs) : left;
}

async function dial(
  proxy: ProxyContext,
  ex: Exchange,
  to: Target,
  endpoint: Endpoint,
): Promise<UpstreamConnection> {
  const configured = to.addresses === null
    ? to.handle.connectTimeoutMs
    : proxy.config.proxy.timeouts.connectMs;
  const limit = Math.max(1, Math.min(configured, patience(proxy, ex)));
  try {
    const stream = await proxy.dialer.dial(
      { hostname: endpoint.address, port: endpoint.port },
      limit,
      endpoint.terms.keepAlive,
    );
    if (ex.cancelled) {
      stream.close();
      throw new MeshError("P112", "Cannot answer: the client closed the connection", { side: "downstream" });
    }
    return new UpstreamConnection(proxy, endpoint, stream);
  } catch (error) {
    if (error instanceof MeshError && error.side === "downstream") throw error;
    const late = error instanceof MeshError && error.code === "P304";
    if (late && limit < configured) throw timeout(proxy, ex);
    throw connectFailure(endpoint.key, configured, error);
  }
}

/** Reads up to the end of the final head; interim answers are passed on. */
async function readHead(proxy: ProxyContext, ex: Exchange, connection: UpstreamConnection): Promise<void> {
  const { input, head } = connection;
  const { limits } = proxy.config.proxy;
  /** Bytes of the unfinished head that were searched for its end. */
  let searched = 0;
  let interims = 0;
  for (;;) {
    if (input.end > input.start) {
      let whole = true;
      if (searched > 0) {
        const found = findHeadEnd(input.buf, input.start + Math.max(0, searched - 3), input.end);
        whole = found > 0 || input.available > limits.maxHeadBytes;
      }
      if (whole) {
        const next = parseResponseHead(head, input.buf, input.start, input.end, limits);
        if (next < 0) throw notHttp(ex, `${problemOf(next).what} (${problemOf(next).source})`);
        if (next > 0) {
          input.start = next;
          searched = 0;
          if (head.status >= 200 || head.status === 101 && ex.upgrading) return;
          if (head.status === 101) throw notHttp(ex, "it switches protocols unasked");
          if (++interims > MAX_INTERIMS) throw notHttp(ex, "it sends interim answers without end");
          await interim(proxy, ex, head);
          continue;
        }
      }
      searched = input.available;
    }
    if (!(await input.fill())) throw new Error("end of input");
  }
}

function notHttp(ex: Exchange, why: string): MeshError {
  ex.details = "upstream_reset_before_response_started{protocol_error}";
  const reason = "upstream connect error or disconnect/reset before headers. reset reason: protocol error. ";
  return new MeshError("P306", `${reason}Cannot read the answer of ${ex.upstreamHost}: ${why}`, {
    side: "upstream",
    retry: "reset",
  });
}
