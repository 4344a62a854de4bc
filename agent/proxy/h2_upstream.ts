/** One HTTP/2 connection to an endpoint, with the streams of many exchanges on it. */
import type { AcceptedStream, Clock, Log } from "../core/ports.ts";
import type { MessageHead } from "../wire/http1/head.ts";
import { Http2Connection, type Http2Handler, type Http2Stream } from "../wire/http2/connection.ts";
import type { EndpointHandle } from "./endpoint.ts";
import type { Http2Body } from "./h2_body.ts";
import { headPool, trailerLines } from "./h2_heads.ts";
import { Http2Link } from "./h2_link.ts";
import { Input } from "./input.ts";
import type { UpstreamSurroundings } from "./upstream.ts";

/** Read buffer of a connection at rest, bytes. */
const BASE_BUFFER_BYTES = 8 * 1024;

export interface Http2Surroundings extends UpstreamSurroundings {
  readonly clock: Clock;
  readonly log: Log;
}

/** HttpProtocolOptions of the cluster; times in ms, Infinity = no limit. */
export interface Http2Terms {
  readonly idleMs: number;
  readonly maxRequests: number;
  readonly maxStreams: number;
  readonly pingMs: number;
  readonly pingTimeoutMs: number;
}

/** Who is told what happens on a stream. */
export interface StreamOwner {
  readonly body: Http2Body;
  /** An answer's head, 1xx ones first. */
  headers(head: MessageHead, endStream: boolean): void;
  /** The stream is over before its end; `lost`: with the whole connection. Else as Http2Handler. */
  reset(code: number, unprocessed: boolean, problem: number, lost: boolean): void;
  /** More of the request may be sent. */
  resume(): void;
}

export class Http2Upstream implements Http2Handler {
  readonly connection: Http2Connection;
  readonly link: Http2Link;
  /** Requests sent on it so far. */
  requests = 0;
  #pinged = false;
  #idleSince = 0;

  constructor(
    readonly proxy: Http2Surroundings,
    readonly endpoint: EndpointHandle,
    stream: AcceptedStream,
    readonly terms: Http2Terms,
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
  }

  /** Until the connection is over; never rejects. */
  run(): Promise<void> {
    this.#idleSince = this.proxy.deadlines.now;
    this.#schedule();
    return this.link.run();
  }

  get canRequest(): boolean {
    return this.connection.canRequest && !this.link.closed && this.requests < this.terms.maxRequests &&
      this.connection.streams.size < this.terms.maxStreams;
  }

  /** Opens a stream for an exchange; null when there is no room after all. */
  open(owner: StreamOwner, head: Uint8Array, endStream: boolean): Http2Stream | null {
    const stream = this.connection.request(head, endStream);
    if (stream === null) return null;
    stream.owner = owner;
    this.requests++;
    return stream;
  }

  /** A stream of it is over. */
  left(): void {
    const { connection } = this;
    if (connection.pending > 0) this.link.flush();
    if (connection.streams.size > 0) return;
    this.#idleSince = this.proxy.deadlines.now;
    if (this.endpoint.gone || this.proxy.draining || this.requests >= this.terms.maxRequests) this.retire();
  }

  retire(): void {
    this.connection.goAway();
    if (this.connection.streams.size === 0) this.link.closeAfterWrite();
    else this.link.flush();
  }

  /** The next time to look at idleness and signs of life. */
  #schedule(): void {
    const { terms, proxy } = this;
    const ping = this.#pinged ? terms.pingTimeoutMs : terms.pingMs;
    this.link.arm(proxy.deadlines.now + Math.min(ping, terms.idleMs));
  }

  // ---------------------------------------------------------------- LinkOwner

  received(): void {}

  mistaken(error: Error): void {
    this.proxy.log.log("error", "connection loop failed", { error: error.stack });
  }

  expired(): void {
    const { connection, terms, proxy } = this;
    if (this.#pinged) return this.link.close();
    if (connection.streams.size === 0 && proxy.deadlines.now - this.#idleSince >= terms.idleMs) {
      return this.retire();
    }
    if (terms.pingMs < Infinity) {
      this.#pinged = true;
      connection.ping();
      this.link.flush();
    }
    this.#schedule();
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
    (stream.owner as StreamOwner | null)?.reset(code, unprocessed, problem, this.connection.failed);
    this.left();
  }

  writable(stream: Http2Stream): void {
    (stream.owner as StreamOwner).resume();
  }

  refused(): void {}

  settings(): void {}

  goAway(_lastId: number, code: number, debug: string): void {
    this.proxy.observer.count("http2_upstream_goaways_total");
    if (code === 0) return;
    this.proxy.log.log("info", "an upstream ends its HTTP/2 connection", {
      endpoint: this.endpoint.key,
      code,
      debug,
    });
  }

  pong(): void {
    this.#pinged = false;
    this.#schedule();
  }

  drained(): void {
    this.link.closeAfterWrite();
  }

  failed(): void {
    this.proxy.observer.count("http2_upstream_errors_total");
  }
}
