/**
 * The HTTP/2 connections of one endpoint. Exchanges share them; another is dialled when no stream is free on those that there are, within
 * the limits of the cluster. Where these allow none, exchanges wait here for room, first come first served.
 */
import type { Dialer } from "../core/ports.ts";
import { connectFailure } from "./connect_failure.ts";
import type { EndpointHandle, Shared } from "./endpoint.ts";
import { type Http2Surroundings, Http2Upstream } from "./h2_upstream.ts";
import type { ClusterLimits } from "./cluster_limits.ts";

/** What a pool needs of the proxy around it. */
export interface PoolSurroundings extends Http2Surroundings {
  readonly dialer: Dialer;
}

export interface Waiter {
  wake(): void;
}

export class Http2Pool implements Shared {
  readonly #proxy: PoolSurroundings;
  readonly #endpoint: EndpointHandle;
  readonly #connections = new Set<Http2Upstream>();
  #dialing: Promise<void> | null = null;
  readonly #waiting: Waiter[] = [];

  constructor(proxy: PoolSurroundings, endpoint: EndpointHandle) {
    this.#proxy = proxy;
    this.#endpoint = endpoint;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** All connections are. */
  get over(): boolean {
    for (const connection of this.#connections) if (!connection.over) return false;
    return true;
  }

  /** A connection with a stream to spare. */
  ready(): Http2Upstream | null {
    for (const connection of this.#connections) if (connection.canRequest) return connection;
    return null;
  }

  /** A pool whose connections all take their leave may always dial, or its exchanges would wait for the slowest of others. */
  mayDial(limits: ClusterLimits | null): boolean {
    if (limits === null || this.#dialing !== null || !limits.connectionsFull) return true;
    for (const connection of this.#connections) if (!connection.leaving) return false;
    return true;
  }

  /** Resolves when it is worth looking again: exchanges that come at the same time wait for one dial. Rejects with a MeshError. */
  dial(timeoutMs: number): Promise<void> {
    return this.#dialing ??= this.#dial(timeoutMs).finally(() => {
      this.#dialing = null;
      this.room();
      this.#endpoint.waiting?.freed();
    });
  }

  async #dial(timeoutMs: number): Promise<void> {
    const endpoint = this.#endpoint;
    const { address, port, terms } = endpoint;
    let stream;
    endpoint.dialing++;
    try {
      stream = await this.#proxy.dialer.dial({ hostname: address, port }, timeoutMs, terms.keepAlive);
    } catch (cause) {
      throw connectFailure(endpoint.key, timeoutMs, cause);
    } finally {
      endpoint.dialing--;
    }
    const connection = new Http2Upstream(this.#proxy, endpoint, stream, this);
    this.#connections.add(connection);
    endpoint.connections++;
    this.#proxy.observer.upstreamConnection(1);
    void connection.run().then(() => {
      this.#connections.delete(connection);
      endpoint.connections--;
      this.#proxy.observer.upstreamConnection(-1);
      endpoint.waiting?.freed();
      this.room();
    });
  }

  /** Its `wake` is called when there may be room for it; `again`: it was told so before, in vain. */
  queue(waiter: Waiter, again: boolean): void {
    if (again) this.#waiting.unshift(waiter);
    else this.#waiting.push(waiter);
  }

  /** It waits no more, woken or not: its turn is for the next. */
  leave(waiter: Waiter): void {
    const at = this.#waiting.indexOf(waiter);
    if (at >= 0) this.#waiting.splice(at, 1);
    else this.room();
  }

  /** There may be room for an exchange that waits. */
  room(): void {
    this.#waiting.shift()?.wake();
  }

  /** There may be room for all of them. */
  changed(): void {
    for (const waiter of this.#waiting.splice(0)) waiter.wake();
  }

  retire(): void {
    for (const connection of this.#connections) connection.retire();
  }
}
