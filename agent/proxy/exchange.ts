/**
 * One request and its answer, in the form in which every stage of the pipeline meets it, whatever engine received it.
 *
 * In: an engine (native: own codec over a ByteStream; serve: Deno.serve) makes three things:
 * - `head`: the request head as HTTP/1.1 bytes with CRLF lines, parsed by `parseRequestHead` of wire/http1/head.ts. An engine that
 *   does not receive bytes writes them: `METHOD target HTTP/1.1`, the header lines, an empty line. The buffer need not live longer
 *   than the stage `prepare`; strings that were taken from the head stay.
 * - `body`: a {@link RequestBody}, pulled by the pipeline, never pushed.
 * - `responder`: a {@link Responder}, which sends the answer.
 * Then `await handleExchange(proxy, new Exchange(...))` (pipeline.ts): it never throws, always answers (or aborts) and always records.
 * Out: calls on the responder: `interim`* then `begin`, `data`*, and one of `end` (also `data(bytes, true)`) or `abort`.
 * The engine calls `exchange.cancel()` when its client went away before the end.
 *
 * @example
 * ```ts ignore
 * const head = new MessageHead(100);
 * parseRequestHead(head, bytes, 0, bytes.length, limits);
 * await handleExchange(proxy, new Exchange(head, NO_BODY, responder, remote, local));
 * ```
 */
import type { StreamAddress } from "../core/ports.ts";
import type { CompiledRoute, CompiledVirtualHost, HeaderOps } from "../route/types.ts";
import type { AttemptRecord } from "../observe/types.ts";
import type { World } from "../discovery/types.ts";
import type { ByteWriter } from "../wire/http1/byte_writer.ts";
import type { MessageHead } from "../wire/http1/head.ts";
import type { RequestBody, Responder } from "./engine.ts";
import type { ClusterLimits } from "./cluster_limits.ts";
import type { Upstream } from "./upstream.ts";
import type { Field } from "./fields.ts";
import type { RequestHeadView } from "./request_view.ts";

export { DONE, type Framing, NO_BODY, type RequestBody, type Responder } from "./engine.ts";

/** The state of one request; stages fill it in order. Also the source of the record. */
export class Exchange {
  // ---- accept
  /** Monotonic ms. */
  startMs = 0;
  /** Monotonic ms from which timeouts of the route count: `startMs`, or when an injected delay was over. */
  attemptMs = 0;
  /** The client speaks HTTP/2. */
  http2 = false;
  // ---- view
  view: RequestHeadView | null = null;
  method = "";
  /** As received: path with query, or authority for CONNECT. */
  target = "";
  authority = "";
  // ---- select
  world: World | null = null;
  virtualHost: CompiledVirtualHost | null = null;
  route: CompiledRoute | null = null;
  // ---- pick, attempt
  cluster = "";
  upstreamHost = "";
  readonly attempts: AttemptRecord[] = [];
  /** Monotonic ms at which the last request byte went upstream; 0 before. */
  requestSentMs = 0;
  upstreamServiceMs = -1;
  /** Monotonic ms at which the route's timeout ends the exchange; Infinity without one. */
  routeDeadline = Infinity;
  /** The cluster is spoken to in HTTP/2. */
  upstreamHttp2 = false;
  /** The connection, or stream of one, at work for this exchange. */
  upstream: Upstream | null = null;
  /** This attempt is a retry that counts in the cluster's limits. */
  retrying: ClusterLimits | null = null;
  /** What was sent of the body so far stands in `out`, and the rest can follow on another stream. */
  kept = false;
  /** A request body is still on its way up. */
  pumping = false;
  /** Why the request body could not be sent on. */
  bodyError: unknown = null;
  // ---- prepare
  /** Head for the upstream (and the body behind it, when it is whole), later the head of the answer. */
  out: ByteWriter | null = null;
  /** Where the head in `out` ends and the body begins. */
  headLength = 0;
  /** `out` holds the whole request, so that it can be sent again. */
  replayable = false;
  /** The client asked for another protocol and the answer may be 101. */
  upgrading = false;
  /** Sec-WebSocket-Key where one side speaks HTTP/2, which has none: the agent's own, or the client's. */
  webSocketKey = "";
  timeoutMs = 0;
  perTryTimeoutMs = 0;
  /** Path and host as the upstream gets them, and the header lines that rules added: what `%REQ(x)%` reads from then on. */
  sentPath = "";
  sentHost = "";
  requestFields: Field[] | null = null;
  /** Response operations of the chosen destination, which answers of the agent's own get as well. */
  responseOps: HeaderOps | null = null;
  requestId = "";
  forwardedFor = "";
  // ---- record
  /** Listener whose chains decided about a tunnel. */
  listener = "";
  /** Bytes of a tunnel, on top of body and answer. */
  tunnelReceived = 0;
  tunnelSent = 0;
  status = 0;
  flags = "";
  details = "";
  /** Of the answer, when it is gRPC's; -1 unknown. */
  grpcStatus = -1;
  /** The client went away. */
  cancelled = false;
  /** Set by the stage that waits for something; called once by `cancel`. */
  onCancel: (() => void) | null = null;

  constructor(
    readonly head: MessageHead,
    readonly body: RequestBody,
    readonly responder: Responder,
    readonly remote: StreamAddress,
    readonly local: StreamAddress,
    /** `remote` as text, where the engine has it at hand for all requests of a connection. */
    readonly remoteText: string = addressText(remote),
  ) {}

  /** The client went away: lets go of the upstream. Idempotent. */
  cancel(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    const waiting = this.onCancel;
    this.onCancel = null;
    waiting?.();
  }

  addFlag(flag: string): void {
    if (flag === "" || this.flags.split(",").includes(flag)) return;
    this.flags = this.flags === "" ? flag : `${this.flags},${flag}`;
  }
}

/** `10.0.0.1:8080`, `[::1]:80` */
export function addressText({ hostname, port }: StreamAddress): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/** A record of a request that could not be read says so instead of showing rubbish. */
export function describeBroken(ex: Exchange): void {
  ex.method = "-";
  ex.target = "-";
  const head = ex.head;
  head.count = 0;
  head.hostIndex =
    head.userAgentIndex =
    head.requestIdIndex =
    head.contentTypeIndex =
      -1;
  head.forwardedForIndex = -1;
  head.expectContinue = false;
}
