/**
 * Stage 1, accept, for HTTP/2: one client connection with many streams, each an exchange through the same pipeline.
 *
 * In: a connection that began with the HTTP/2 preface (downstream.ts has seen it). Out: exchanges; their answers go back through
 * {@link ServerStream}.
 */
import type { AcceptedStream } from "../core/ports.ts";
import { MeshError } from "../core/errors.ts";
import type { MessageHead } from "../wire/http1/head.ts";
import { Http2Connection, type Http2Handler, type Http2Stream } from "../wire/http2/connection.ts";
import { HEAD_TOO_LARGE, problemOf } from "../wire/http2/problems.ts";
import { type ConnectionHolder, FOLD_MS, type HeldConnection } from "./connection_holder.ts";
import type { ProxyContext } from "./context.ts";
import { addressText, describeBroken, Exchange, NO_BODY } from "./exchange.ts";
import { headPool, trailerLines } from "./h2_heads.ts";
import { Http2Link } from "./h2_link.ts";
import { ServerStream } from "./h2_server_stream.ts";
import type { Input } from "./input.ts";
import { handleExchange, refuseExchange } from "./pipeline.ts";

/** From the first GOAWAY of a drain to the second at the latest, ms. */
const FAREWELL_MS = 1000;

export class Http2Downstream implements Http2Handler, HeldConnection {
  readonly connection: Http2Connection;
  readonly link: Http2Link;
  /** Streams whose heads came with the bytes that are being read: they start when all of these are told, often with the whole body. */
  #started: ServerStream[] = [];
  /** Empty until it is wanted, and when the connection is folded. */
  #remoteText = "";
  /** Monotonic ms until which a connection without streams lives. */
  #idleUntil = 0;

  constructor(
    readonly proxy: ProxyContext,
    readonly stream: AcceptedStream,
    readonly input: Input,
    readonly holder: ConnectionHolder,
  ) {
    const { limits, timeouts } = proxy.config.proxy;
    this.connection = new Http2Connection("server", this, {
      heads: headPool(limits.maxHeaderCount),
      limits: { maxHeaderCount: limits.maxHeaderCount, maxHeaderListSize: limits.maxHeadBytes },
    });
    this.link = new Http2Link(
      stream,
      input,
      this.connection,
      this,
      proxy.deadlines,
      proxy.clock,
      timeouts.bodyStallMs,
    );
  }

  /** Tells the holder when the connection is over. */
  run(): void {
    this.#rest();
    void this.link.run();
  }

  /** Says goodbye: what runs is finished, then the connection closes. */
  drain(): void {
    this.connection.goAway();
    this.link.flush();
    this.link.arm(this.proxy.clock.monotonic() + FAREWELL_MS);
  }

  close(): void {
    this.link.close();
  }

  #rest(): void {
    if (this.connection.draining) return;
    const { config, deadlines } = this.proxy;
    const { idleMs } = config.proxy.timeouts;
    this.#idleUntil = deadlines.now + idleMs;
    this.link.arm(deadlines.now + Math.min(FOLD_MS, idleMs));
  }

  // ---------------------------------------------------------------- LinkOwner

  received(): void {
    const started = this.#started;
    if (started.length === 0) return;
    this.#started = [];
    if (!this.connection.draining) this.link.ownDeadline = Infinity;
    for (const stream of started) this.#serve(stream);
  }

  ended(): void {
    this.holder.left(this);
  }

  mistaken(error: Error): void {
    this.proxy.log.log("error", "connection loop failed", { error: error.stack });
  }

  expired(): void {
    if (this.connection.draining) {
      // The client does not answer the ping behind the first GOAWAY: what it has sent until now is all that counts.
      this.connection.goAway();
      return this.link.flush();
    }
    if (this.connection.streams.size > 0) return;
    const { now } = this.proxy.deadlines;
    if (now < this.#idleUntil) {
      this.#remoteText = "";
      this.connection.fold(now);
      return this.link.arm(this.#idleUntil);
    }
    // Without streams there is nothing to wait for: the second call ends it.
    this.connection.goAway();
    this.connection.goAway();
    this.link.flush();
  }

  #serve(stream: ServerStream): void {
    const { proxy } = this;
    const { head, h2 } = stream;
    if (h2.closed) {
      proxy.observer.count("http2_streams_reset_early_total");
      this.left(head);
      return;
    }
    const ex = this.#exchangeOf(stream);
    void handleExchange(proxy, ex);
  }

  #exchangeOf(stream: ServerStream): Exchange {
    const ex = stream.exchange = new Exchange(
      stream.head,
      // What comes on a tunnel is no body.
      stream.h2.connect ? NO_BODY : stream.body,
      stream,
      this.stream.remote,
      this.stream.local,
      this.#remoteText ||= addressText(this.stream.remote),
    );
    ex.http2 = true;
    ex.startMs = this.proxy.deadlines.now;
    return ex;
  }

  /** An exchange is over; its head may be used again. */
  left(head: MessageHead): void {
    this.connection.heads.give(head);
    if (this.connection.streams.size === 0) this.#rest();
    if (this.connection.pending > 0) this.link.flush();
  }

  // ---------------------------------------------------------------- Http2Handler

  headers(stream: Http2Stream, head: MessageHead, endStream: boolean): void {
    const it = new ServerStream(this, stream, head, endStream);
    stream.owner = it;
    this.#started.push(it);
  }

  data(stream: Http2Stream, buf: Uint8Array, start: number, end: number, endStream: boolean): void {
    const { body } = stream.owner as ServerStream;
    body.push(buf, start, end);
    if (endStream) body.finish(null);
  }

  trailers(stream: Http2Stream, head: MessageHead): void {
    (stream.owner as ServerStream).body.finish(trailerLines(head));
    this.connection.heads.give(head);
  }

  reset(stream: Http2Stream): void {
    (stream.owner as ServerStream | null)?.gone();
  }

  writable(stream: Http2Stream): void {
    (stream.owner as ServerStream).resume();
  }

  refused(stream: Http2Stream, problem: number): void {
    if (problem !== HEAD_TOO_LARGE) return;
    const { what, source } = problemOf(problem);
    const head = this.connection.heads.take();
    head.reset(head.buf, 0);
    const it = new ServerStream(this, stream, head, true);
    stream.owner = it;
    const ex = this.#exchangeOf(it);
    describeBroken(ex);
    const error = new MeshError("P104", `Cannot read the request: ${what} (${source})`, {
      side: "downstream",
    });
    void refuseExchange(this.proxy, ex, error);
  }

  settings(): void {}

  goAway(): void {}

  pong(): void {}

  drained(): void {
    this.link.closeAfterWrite();
  }

  failed(problem: number): void {
    const { what, source } = problemOf(problem);
    this.proxy.observer.count("http2_downstream_errors_total");
    this.proxy.log.log("debug", "HTTP/2 connection of a client ended", {
      client: addressText(this.stream.remote),
      reason: `${what} (${source})`,
    });
  }
}
