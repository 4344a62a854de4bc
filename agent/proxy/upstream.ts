/** One connection to an endpoint: at work for one exchange at a time, or idle in the endpoint's pool. */
import { MeshError } from "../core/errors.ts";
import type { AcceptedStream } from "../core/ports.ts";
import { MessageHead } from "../wire/http1/head.ts";
import { BodyReader } from "./body_reader.ts";
import type { Observer } from "../observe/types.ts";
import type { AgentConfig } from "../settings/types.ts";
import type { BufferPool } from "./buffers.ts";
import type { Deadlines, Expirable } from "./deadlines.ts";
import type { EndpointHandle } from "./endpoint.ts";
import type { RequestBody } from "./engine.ts";
import { Input } from "./input.ts";
import type { Far } from "./engine.ts";

/** Read buffer of a connection at rest, bytes. */
const BASE_BUFFER_BYTES = 16 * 1024;

/** Why a connection was cut by us. */
export type CutReason = "" | "timeout" | "cancelled" | "swept";

/** What a connection needs of the proxy around it. */
export interface UpstreamSurroundings {
  readonly config: AgentConfig;
  readonly observer: Observer;
  readonly deadlines: Deadlines;
  readonly buffers: BufferPool;
  readonly draining: boolean;
}

/** The upstream says that it did not look at the request: it may be sent again whatever it is. */
export class Unprocessed extends MeshError {}

/** A kept connection that ended before the first byte of an answer. */
export class DeadReuse extends MeshError {}

/** Whatever an exchange is at work on: a connection of its own, or a stream on a shared one. */
export interface Upstream extends Expirable {
  readonly endpoint: { active: number; readonly port: number };
  /** The answer's. */
  readonly head: MessageHead;
  readonly body: RequestBody & { begin(length: number): void; readonly untilClose: boolean };
  readonly closed: boolean;
  readonly cut: CutReason;
  routeDeadline: number;
  readonly cancel: () => void;
  release(): void;
  close(): void;
  /** From here on it is bytes both ways, without deadlines of its own. */
  tunnel(): Far;
}

export class UpstreamConnection implements Upstream {
  deadline = Infinity;
  slot = -1;
  readonly input: Input;
  readonly head: MessageHead;
  readonly body: BodyReader;
  /** Requests sent on it so far. */
  requests = 0;
  closed = false;
  idle = false;
  cut: CutReason = "";
  /** Monotonic ms at which the exchange on it must be over. */
  routeDeadline = Infinity;
  /** Monotonic ms from which it takes no more exchanges. */
  readonly #oldAt: number;
  /** The client went away. */
  readonly cancel = (): void => {
    this.cut = "cancelled";
    this.close();
  };
  readonly #proxy: UpstreamSurroundings;
  readonly #onIdleEnd = () => {
    if (this.idle) this.close();
  };

  constructor(
    proxy: UpstreamSurroundings,
    readonly endpoint: EndpointHandle<UpstreamConnection>,
    readonly stream: AcceptedStream,
  ) {
    this.#proxy = proxy;
    this.input = new Input(stream, proxy.buffers, BASE_BUFFER_BYTES);
    this.head = new MessageHead(proxy.config.proxy.limits.maxHeaderCount);
    this.body = new BodyReader(this.input, "upstream", this);
    this.#oldAt = proxy.deadlines.now + endpoint.terms.maxDurationMs;
    proxy.deadlines.add(this);
    proxy.observer.upstreamConnection(1);
    endpoint.connections++;
  }

  expire(): void {
    this.cut = this.idle ? "swept" : "timeout";
    this.close();
  }

  /** Only a connection that hangs while sending is cut, not one whose client takes its time; each read of a body begins anew. */
  beforeBodyWait(): void {
    const { config, deadlines } = this.#proxy;
    const stall = deadlines.now + config.proxy.timeouts.bodyStallMs;
    deadlines.arm(this, Math.min(stall, this.routeDeadline));
  }

  afterBodyWait(): void {
    this.#proxy.deadlines.arm(this, this.routeDeadline);
  }

  tunnel(): this {
    this.routeDeadline = Infinity;
    this.deadline = Infinity;
    return this;
  }

  /** The exchange is over and the connection may serve another. */
  release(): void {
    if (this.closed) return;
    const proxy = this.#proxy;
    this.routeDeadline = Infinity;
    const { maxIdlePerEndpoint } = proxy.config.proxy.limits;
    const pool = this.endpoint.idle;
    const { terms, waiting } = this.endpoint;
    const { now } = proxy.deadlines;
    // Bytes that nobody asked for belong to no request: never reuse.
    if (
      this.input.available > 0 || pool.length >= maxIdlePerEndpoint || this.endpoint.gone ||
      proxy.draining || this.requests >= terms.maxRequests || now >= this.#oldAt
    ) {
      this.close();
      return;
    }
    this.input.shrink();
    if (waiting !== null && waiting.give(this)) return;
    this.idle = true;
    const idleMs = terms.idleMs ?? proxy.config.proxy.timeouts.upstreamIdleMs;
    proxy.deadlines.arm(this, Math.min(now + idleMs, this.#oldAt));
    pool.push(this);
    this.input.prefetch(this.#onIdleEnd, true);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.idle) {
      this.idle = false;
      this.endpoint.drop(this);
    }
    this.endpoint.connections--;
    this.#proxy.deadlines.remove(this);
    this.#proxy.observer.upstreamConnection(-1);
    this.stream.close();
    this.endpoint.waiting?.freed();
  }
}
