/**
 * The page: what happens to a request, stage by stage, each a plain function in its own file.
 *
 * In: an {@link Exchange} from an engine (exchange.ts says how one is made). Out: an answer on its responder and a record at the observer;
 * `handleExchange` itself never throws.
 *
 *  1 accept    downstream.ts, h2_downstream.ts, serve.ts   bytes -> Exchange
 *  2 view      view.ts                               head -> what it asks for
 *  3 select    select.ts                             tables x view -> route
 *  4 shortcut  shortcut.ts                           redirect, direct response, fault, CORS preflight
 *  5 pick      pick.ts                               cluster -> endpoint
 *  6 prepare   prepare.ts                            head for the upstream
 *  7 attempt   attempt.ts                            dial or reuse, send, time out, try again
 *  8 answer    answer.ts                             upstream's answer -> client
 *  9 rescue    rescue.ts                             anything thrown -> answer
 * 10 record    record.ts                             always
 *
 * @example
 * ```ts ignore
 * const exchange = new Exchange(head, body, responder, remote, local);
 * await handleExchange(proxy, exchange);
 * exchange.status; // 200, or whatever was answered
 * ```
 */
import { MeshError } from "../core/errors.ts";
import { answer, endAnswer } from "./answer.ts";
import { attempt, beginAtOnce, type Begun, takeAtOnce } from "./attempt.ts";
import type { ProxyContext } from "./context.ts";
import { DONE, type Exchange } from "./exchange.ts";
import { afterTurn } from "./end_of_turn.ts";
import type { UpstreamStream } from "./h2_upstream_stream.ts";
import { admit } from "./inbound_port.ts";
import { retryOver } from "./limits.ts";
import { type Target, target } from "./pick.ts";
import { prepare } from "./prepare.ts";
import { record } from "./record.ts";
import { releaseUpstream, rescue } from "./rescue.ts";
import { hasShortcut, shortcut } from "./shortcut.ts";
import { select } from "./select.ts";
import { connect, upgraded } from "./tunnel.ts";
import { view } from "./view.ts";

export async function handleExchange(proxy: ProxyContext, ex: Exchange): Promise<void> {
  proxy.inFlight++;
  proxy.observer.requestStarted();
  let handedOn = false;
  try {
    checkLoad(proxy, ex);
    const seen = view(ex);
    if (proxy.inbound !== null) admit(proxy.inbound, ex);
    if (seen.method === "CONNECT") {
      await connect(proxy, ex, seen);
      return;
    }
    const selected = select(proxy, ex, seen);
    const { destination } = selected;
    if (destination !== null) ex.responseOps = destination.responseOps;
    if (hasShortcut(selected) && await shortcut(proxy, ex, seen, selected)) return;
    let to = target(proxy, ex, seen, destination === null ? null : destination.cluster);
    if (to instanceof Promise) {
      to = await to;
      if (ex.cancelled) {
        throw new MeshError("P112", "Cannot answer: the client closed the connection", {
          side: "downstream",
        });
      }
    }
    prepare(proxy, ex, seen, destination);
    const begun = ex.http2 && !ex.upgrading ? beginAtOnce(proxy, ex, to) : null;
    if (begun !== null && !(begun.stream instanceof Promise)) {
      handedOn = true;
      const { stream } = begun;
      const place = to;
      stream.onChange = () => proceed(proxy, ex, place, stream);
      return;
    }
    await exchange(proxy, ex, to, begun);
  } catch (error) {
    await rescue(proxy, ex, error);
  } finally {
    if (!handedOn) finish(proxy, ex);
  }
}

async function exchange(proxy: ProxyContext, ex: Exchange, to: Target, begun: Begun | null): Promise<void> {
  const connection = await attempt(proxy, ex, to, begun);
  if (ex.upgrading && tunnels(ex, connection.head.status)) {
    await upgraded(proxy, ex, connection);
    return;
  }
  const sent = answer(proxy, ex, connection, ex.responseOps);
  if (sent !== DONE) await sent;
  endAnswer(ex, connection);
}

/** Between two sides of HTTP/2 most answers need no promise: all of them came in one read, and goes out in one write. */
function proceed(proxy: ProxyContext, ex: Exchange, to: Target, stream: UpstreamStream): void {
  try {
    if (takeAtOnce(ex, stream)) {
      const sent = answer(proxy, ex, stream, ex.responseOps);
      if (sent === DONE) {
        endAnswer(ex, stream);
        // The end of the answer came with this read, whose time is at hand.
        const { now } = proxy.deadlines;
        return afterTurn(() => finish(proxy, ex, now));
      }
      return void conclude(proxy, ex, sent.then(() => endAnswer(ex, stream)));
    }
  } catch (error) {
    return void conclude(proxy, ex, Promise.reject(error));
  }
  void conclude(proxy, ex, exchange(proxy, ex, to, { endpoint: stream.endpoint, stream }));
}

async function conclude(proxy: ProxyContext, ex: Exchange, answered: Promise<void>): Promise<void> {
  try {
    await answered;
  } catch (error) {
    await rescue(proxy, ex, error);
  } finally {
    finish(proxy, ex);
  }
}

/** An exchange whose head could not even be read: straight to rescue and record. */
export async function refuseExchange(proxy: ProxyContext, ex: Exchange, error: MeshError): Promise<void> {
  proxy.inFlight++;
  proxy.observer.requestStarted();
  await rescue(proxy, ex, error);
  finish(proxy, ex);
}

/** The upstream took the upgrade: 101, or what extended CONNECT has instead (RFC 8441 section 5). */
function tunnels(ex: Exchange, status: number): boolean {
  return ex.upstreamHttp2 ? status < 300 : status === 101;
}

function checkLoad(proxy: ProxyContext, ex: Exchange): void {
  const { maxInFlight } = proxy.config.proxy.limits;
  if (proxy.inFlight <= maxInFlight) return;
  proxy.observer.count("rejected_overload_total");
  ex.details = "overload";
  throw new MeshError("P401", `Cannot take the request: ${maxInFlight} requests are in flight already`);
}

function finish(proxy: ProxyContext, ex: Exchange, nowMs = proxy.clock.monotonic()): void {
  proxy.inFlight--;
  releaseUpstream(ex);
  if (ex.retrying !== null) retryOver(ex);
  record(proxy, ex, nowMs);
  const out = ex.out;
  if (out !== null) {
    ex.out = null;
    proxy.buffers.giveWriter(out);
  }
  ex.responder.over?.();
}
