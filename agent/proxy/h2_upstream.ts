/** One HTTP/2 connection to an endpoint, with the streams of many exchanges on it. */
import type { AcceptedStream, Clock, Log } from "../core/ports.ts";
import type { MessageHead } from "../wire/http1/head.ts";
import { Http2Connection, type Http2Handler, type Http2Stream } from "../wire/http2/connection.ts";
import type { ConnectionTerms } from "./connection_terms.ts";
import { toldAll } from "./end_of_turn.ts";
import type { EndpointHandle } from "./endpoint.ts";
import type { Http2Body } from "./h2_body.ts";
import { headPool, trailerLines } from "./h2_heads.ts";
import { Http2Link } from "./h2_link.ts";
import { Input } from "./input.ts";
import type { UpstreamSurroundings } from "./upstream.ts";

/** Read buffer of a connection at rest, bytes. */
const BASE_BUFFER_BYTES = 8 * 1024;

/** Without a word of the cluster's, ms. The peer says goodbye in order when it closes earlier. */
const IDLE_MS = 300_000;

export interface Http2Surroundings extends UpstreamSurroundings {
  readonly clock: Clock;
  readonly log: Log;
}

/** Told when an exchange that waits may find room. */
export interface Http2Vacancies {
  room(): void;
  changed(): void;
}

/** Who is told what happens on a stream. */
export interface StreamOwner {
  readonly body: Http2Body;
  /** An answer's head, 1xx ones first. */
  headers(head: MessageHead, endStream: boolean): void;
  /** The stream is over before its end; `lost`: with this whole connection. Else as Http2Handler. */
  reset(code: number, unprocessed: boolean, problem: number, lost: Http2Upstream | null): void;
  /** More of the request may be sent. */
  resume(): void;
}

export class Http2Upstream implements Http2Handler {
  readonly connection: Http2Connection;
  readonly link: Http2Link;
  /** Requests sent on it so far. */
  requests = 0;
  #pinged = false;
  readonly #idleMs: number;
  #pingAt = Infinity;
  #idleSince: number;
  /** Monotonic ms from which it takes no more exchanges. */
  readonly #oldAt: number;
  readonly #terms: ConnectionTerms;
  #whenKnown: (() => void)[] = [];

  constructor(
    readonly proxy: Http2Surroundings,
    readonly endpoint: EndpointHandle,
    stream: AcceptedStream,
    readonly pool: Http2Vacancies,
  ) {
    const { limits, timeouts } = proxy.config.proxy;
    this.connection = new Http2Connection("client", this, {
      heads: headPool(limits.maxHeaderCount),
      limits: { maxHeaderCount: limits.maxHeaderCount, maxHeaderListSize: limits.maxHeadBytes },
    });
    this.link = new Http2Link(
      stream,
      new Input(stream, proxy.buffers, BASE_BUFFER_BYTES),
      this.connection,
      this,
      proxy.deadlines,
      proxy.clock,
      timeouts.bodyStallMs,
    );
    const now = proxy.clock.monotonic();
    const terms = this.#terms = endpoint.terms;
    // Those that asked for it may be gone by now, too.
    this.#idleMs = endpoint.gone || proxy.draining ? 0 : terms.idleMs ?? IDLE_MS;
    this.#idleSince = now;
    this.#oldAt = now + terms.maxDurationMs;
    this.#pingAt = now + terms.pingMs;
  }

  /** Until the connection is over; never rejects. */
  run(): Promise<void> {
    this.#schedule();
    return this.link.run();
  }

  /** The link is over. */
  ended(): void {
    this.#tellKnown();
  }

  get canRequest(): boolean {
    return this.connection.canRequest && !this.link.closed && !this.link.broken &&
      this.requests < this.#terms.maxRequests &&
      this.connection.streams.size < this.#terms.maxStreams;
  }

  /** Resolves when the peer's SETTINGS are here, or never will be. */
  known(): Promise<void> {
    if (this.connection.peer.known || this.link.closed) return Promise.resolve();
    return new Promise((resolve) => this.#whenKnown.push(resolve));
  }

  #tellKnown(): void {
    for (const resolve of this.#whenKnown) resolve();
    this.#whenKnown = [];
  }

  /** One of both sides, or the way between them, has ended it. */
  get over(): boolean {
    const { connection, link } = this;
    return connection.failed || connection.draining || connection.peerDraining || link.closed || link.broken;
  }

  /** It takes no more exchanges, whatever becomes of those that it has. */
  get leaving(): boolean {
    return this.over || this.requests >= this.#terms.maxRequests;
  }

  /** Opens a stream for an exchange; null when there is no room after all. */
  open(owner: StreamOwner, head: Uint8Array, endStream: boolean, protocol: string): Http2Stream | null {
    const stream = this.connection.request(head, endStream, false, protocol);
    if (stream === null) return null;
    stream.owner = owner;
    this.requests++;
    return stream;
  }

  /** A stream of it is over. */
  left(): void {
    const { connection } = this;
    if (connection.pending > 0) this.link.flush();
    this.pool.room();
    if (connection.streams.size > 0 || connection.failed) return;
    this.#idleSince = this.proxy.deadlines.now;
    if (this.endpoint.gone || this.proxy.draining || this.requests >= this.#terms.maxRequests) this.retire();
    else if (this.#idleSince + this.#idleMs < this.link.ownDeadline) this.#schedule();
  }

  retire(): void {
    this.connection.goAway();
    if (this.connection.streams.size === 0) this.link.closeAfterWrite();
    else this.link.flush();
    this.pool.changed();
  }

  /** The next time to look at idleness and signs of life. */
  #schedule(): void {
    const { streams, draining } = this.connection;
    const idle = streams.size === 0 ? this.#idleSince + this.#idleMs : Infinity;
    this.link.arm(Math.min(this.#pingAt, draining ? Infinity : Math.min(idle, this.#oldAt)));
  }

  // ---------------------------------------------------------------- LinkOwner

  received(): void {
    toldAll();
  }

  mistaken(error: Error): void {
    this.proxy.log.log("error", "connection loop failed", { error: error.stack });
  }

  expired(): void {
    const { connection } = this;
    const { now } = this.proxy.deadlines;
    if (now >= this.#pingAt) {
      if (this.#pinged) {
        this.proxy.observer.count("http2_upstream_keepalive_timeouts_total");
        return this.link.close();
      }
      this.#pinged = true;
      this.#pingAt = now + this.#terms.pingTimeoutMs;
      connection.ping();
      this.link.flush();
    }
    const idle = connection.streams.size === 0 && now >= this.#idleSince + this.#idleMs;
    if (!connection.draining && (idle || now >= this.#oldAt)) this.retire();
    if (!this.link.closed) this.#schedule();
  }

  // ---------------------------------------------------------------- Http2Handler

  headers(stream: Http2Stream, head: MessageHead, endStream: boolean): void {
    (stream.owner as StreamOwner).headers(head, endStream);
  }

  data(stream: Http2Stream, buf: Uint8Array, start: number, end: number, endStream: boolean): void {
    const { body } = stream.owner as StreamOwner;
    body.push(buf, start, end);
    if (endStream) body.finish(null);
  }

  trailers(stream: Http2Stream, head: MessageHead): void {
    (stream.owner as StreamOwner).body.finish(trailerLines(head));
    this.connection.heads.give(head);
  }

  reset(stream: Http2Stream, code: number, unprocessed: boolean, problem: number): void {
    (stream.owner as StreamOwner | null)?.reset(
      code,
      unprocessed,
      problem,
      this.connection.failed ? this : null,
    );
    this.left();
  }

  writable(stream: Http2Stream): void {
    (stream.owner as StreamOwner).resume();
  }

  refused(): void {}

  settings(): void {
    this.#tellKnown();
    // A peer that takes nothing is left, or every exchange would dial another connection beside it.
    if (this.connection.peer.maxConcurrentStreams === 0) this.retire();
    this.pool.changed();
  }

  goAway(_lastId: number, code: number, debug: string): void {
    this.proxy.observer.count("http2_upstream_goaways_total");
    this.pool.changed();
    if (code === 0) return;
    this.proxy.log.log("info", "an upstream ends its HTTP/2 connection", {
      endpoint: this.endpoint.key,
      code,
      debug,
    });
  }

  pong(): void {
    this.#pinged = false;
    this.#pingAt = this.proxy.deadlines.now + this.#terms.pingMs;
    this.#schedule();
  }

  drained(): void {
    this.link.closeAfterWrite();
  }

  failed(): void {
    this.proxy.observer.count("http2_upstream_errors_total");
  }
}
