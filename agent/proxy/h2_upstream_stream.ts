/**
 * One exchange's stream to an upstream, in the place of a connection of its own: what UpstreamConnection is in HTTP/1.1.
 */
import { MeshError } from "../core/errors.ts";
import { MessageHead } from "../wire/http1/head.ts";
import type { Http2Stream } from "../wire/http2/connection.ts";
import { CANCEL, errorName, problemOf } from "../wire/http2/problems.ts";
import type { Endpoint } from "./clusters.ts";
import type { ProxyContext } from "./context.ts";
import { type Waiter, whenTold } from "./end_of_turn.ts";
import type { Exchange } from "./exchange.ts";
import { Http2Body } from "./h2_body.ts";
import { Http2Tunnel, TUNNEL_BUFFER_BYTES } from "./h2_tunnel.ts";
import type { Http2Upstream, StreamOwner } from "./h2_upstream.ts";
import { Input } from "./input.ts";
import { interim } from "./interim.ts";
import { DONE, type Far } from "./engine.ts";
import { type CutReason, DeadReuse, Unprocessed, type Upstream } from "./upstream.ts";

/** Interim answers before a final one. */
const MAX_INTERIMS = 64;
const NO_HEAD = new MessageHead(0);

export class UpstreamStream implements Upstream, StreamOwner, Waiter {
  deadline = Infinity;
  slot = -1;
  head: MessageHead = NO_HEAD;
  readonly body: Http2Body;
  closed = false;
  cut: CutReason = "";
  routeDeadline = Infinity;
  /** The final head of the answer came. */
  answered = false;
  /** Monotonic ms at which it did. */
  answeredMs = 0;
  readonly cancel = (): void => {
    this.cut = "cancelled";
    this.close();
  };
  connection: Http2Upstream | null = null;
  h2: Http2Stream | null = null;
  /** Instead of a promise: called once with the first change, when all that came with it is told. */
  onChange: (() => void) | null = null;
  /** Called when it fails. */
  onClose: (() => void) | null = null;
  #interims: MessageHead[] | null = null;
  #failure: unknown = null;
  /** The first exchange of a connection meets a peer of whom nothing is known yet. */
  #first = false;
  /** How often the connection had handed out bytes to write when the stream began. */
  #handedOut = 0;
  /** The exchange waits for something: called on every change. */
  #wake: (() => void) | null = null;
  #resume: (() => void) | null = null;
  #tunnel: Http2Tunnel | null = null;

  constructor(readonly proxy: ProxyContext, readonly endpoint: Endpoint, readonly grpc: boolean) {
    this.body = new Http2Body(this, -1);
    // A gRPC stream may be silent for as long as it likes.
    if (!grpc) {
      this.body.beforeWait = () => this.#armStall();
      // A client that takes its time is no stall of the upstream's.
      this.body.afterWait = () => this.arm(this.routeDeadline);
    }
    proxy.deadlines.add(this);
  }

  arm(deadline: number): void {
    this.proxy.deadlines.arm(this, deadline);
  }

  #armStall(): void {
    const { deadlines, config } = this.proxy;
    this.arm(Math.min(deadlines.now + config.proxy.timeouts.bodyStallMs, this.routeDeadline));
  }

  expire(): void {
    this.cut = "timeout";
    this.close();
  }

  /** The exchange is over in order. */
  release(): void {
    if (this.closed) return;
    const { head } = this;
    this.head = NO_HEAD;
    this.#end();
    this.connection?.connection.heads.give(head);
  }

  /** Gives the stream up, wherever it is. */
  close(): void {
    if (this.closed) return;
    this.#end();
    this.#fail(new Error("the stream was given up"));
  }

  #end(): void {
    this.closed = true;
    this.proxy.deadlines.remove(this);
    const { h2, connection } = this;
    if (h2 === null || connection === null) return;
    connection.connection.reset(h2, CANCEL);
    connection.left();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.body.fail(error);
    if (this.onChange !== null) queueMicrotask(() => this.goOn());
    this.wake();
    this.resume();
    this.onClose?.();
  }

  wake(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  // ---------------------------------------------------------------- from the connection

  consumed(bytes: number): void {
    const { h2, connection } = this;
    if (h2 === null || connection === null) return;
    connection.connection.consumed(h2, bytes);
    if (connection.connection.pending > 0) connection.link.flush();
  }

  headers(head: MessageHead, endStream: boolean): void {
    if (head.status < 200) {
      const interims = this.#interims ??= [];
      interims.push(head);
      // Counted where they come in, too: they may wait for a client that takes its time.
      if (interims.length > MAX_INTERIMS) {
        this.#end();
        this.#fail(this.#endlessInterims());
      }
    } else {
      this.head = head;
      this.answered = true;
      this.answeredMs = this.proxy.deadlines.now;
      if (endStream) this.body.finish(null);
    }
    if (this.onChange !== null) whenTold(this);
    else this.wake();
  }

  goOn(): void {
    const { onChange } = this;
    this.onChange = null;
    onChange?.();
  }

  reset(code: number, unprocessed: boolean, problem: number, lost: Http2Upstream | null): void {
    const key = this.endpoint.key;
    const before = this.answered
      ? ""
      : "upstream connect error or disconnect/reset before headers. reset reason: ";
    if (problem !== 0) {
      const { what, source } = problemOf(problem);
      const text = `${
        before && `${before}protocol error. `
      }Cannot read the answer of ${key}: ${what} (${source})`;
      return this.#fail(new MeshError("P306", text, { side: "upstream", retry: "reset" }));
    }
    // A connection may be over with the last stream that it refuses.
    if (lost !== null && !unprocessed) {
      const text = `${
        before && `${before}connection termination. `
      }The upstream ${key} closed the connection before its end`;
      const more = { side: "upstream", retry: "reset" } as const;
      if (this.answered) return this.#fail(new MeshError("P305", text, more));
      // What was never written nobody has seen; and a connection that worked before may have been dead when the request came.
      if (lost.link.handedOut === this.#handedOut) return this.#fail(new Unprocessed("P305", text, more));
      return this.#fail(this.#first ? new MeshError("P305", text, more) : new DeadReuse("P305", text, more));
    }
    const text = `${before && `${before}remote reset. `}The upstream ${key} reset the stream: ${
      errorName(code)
    }`;
    const Kind = unprocessed && !this.answered ? Unprocessed : MeshError;
    const retry = unprocessed ? "refused-stream" : "reset";
    this.#fail(new Kind("P310", text, { side: "upstream", retry }));
  }

  resume(): void {
    this.#tunnel?.resume();
    const resume = this.#resume;
    this.#resume = null;
    resume?.();
  }

  /** The peer took the upgrade: from here on the stream is bytes both ways. */
  tunnel(): Far {
    const { connection: { connection, link }, h2 } = this as { connection: Http2Upstream; h2: Http2Stream };
    this.routeDeadline = Infinity;
    this.arm(Infinity);
    this.body.beforeWait = this.body.afterWait = null;
    const stream = this.#tunnel = new Http2Tunnel(connection, link, h2, this.body, CANCEL);
    return {
      input: new Input(stream, this.proxy.buffers, TUNNEL_BUFFER_BYTES),
      stream,
      close: () => this.close(),
    };
  }

  #endlessInterims(): MeshError {
    const text = `Cannot read the answer of ${this.endpoint.key}: it sends interim answers without end`;
    return new MeshError("P306", text, { side: "upstream", retry: "reset" });
  }

  // ---------------------------------------------------------------- attempt

  /** Begins on that connection; false when there is no room after all. */
  open(connection: Http2Upstream, head: Uint8Array, endStream: boolean, protocol: string): boolean {
    const h2 = connection.open(this, head, endStream, protocol);
    if (h2 === null) return false;
    this.connection = connection;
    this.h2 = h2;
    this.#first = connection.requests === 1;
    this.#handedOut = connection.link.handedOut;
    return true;
  }

  /** Resolves with the next change, rejects when the stream is given up. */
  async turn(): Promise<void> {
    await new Promise<void>((resolve) => this.#wake = resolve);
    if (this.#failure !== null) throw this.#failure;
  }

  /** Resolves when a promise does, rejects when the stream is given up before. */
  async wait(promise: Promise<void>): Promise<void> {
    const given = new Promise<void>((resolve) => this.#wake = resolve);
    await Promise.race([promise, given]);
    this.#wake = null;
    if (this.#failure !== null) throw this.#failure;
  }

  /** Resolves with the next change, at once when there was one already. */
  changed(): Promise<void> {
    if (this.answered || this.#failure !== null || this.#interims !== null) return DONE;
    return new Promise((resolve) => this.#wake = resolve);
  }

  /** Is the final head here, and no interim answer left before it? From then on the time of the route counts. */
  takeFinal(): boolean {
    if (!this.answered || this.#interims !== null) return false;
    this.arm(this.routeDeadline);
    return true;
  }

  /** Resolves with the final head; interim answers are passed on. */
  async answer(proxy: ProxyContext, ex: Exchange): Promise<void> {
    let interims = 0;
    while (!this.takeFinal()) {
      const early = this.#interims?.shift();
      if (early !== undefined) {
        if (++interims > MAX_INTERIMS) throw this.#endlessInterims();
        await interim(proxy, ex, early);
        this.connection!.connection.heads.give(early);
        continue;
      }
      this.#interims = null;
      if (this.answered) continue;
      if (this.#failure !== null) throw this.#failure;
      await this.changed();
    }
  }

  /** Sends bytes as the windows allow; false when the stream is over. */
  async write(bytes: Uint8Array, from: number, last: boolean): Promise<boolean> {
    const { h2, connection } = this;
    const codec = connection!.connection;
    for (let at = from;;) {
      if (h2!.closed) return false;
      at += codec.sendData(h2!, bytes, at, bytes.length, last);
      connection!.link.flush();
      if (at === bytes.length) return true;
      if (!this.grpc) this.#armStall();
      await new Promise<void>((resolve) => this.#resume = resolve);
      if (!this.grpc) this.arm(this.routeDeadline);
    }
  }
}
