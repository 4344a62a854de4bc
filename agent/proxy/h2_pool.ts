/**
 * The HTTP/2 connections of one endpoint. Exchanges share them; another is dialled when no stream is free on those that there are.
 */
import type { Cluster } from "../model/model.ts";
import { parseDuration } from "../core/duration.ts";
import type { Dialer } from "../core/ports.ts";
import { connectFailure } from "./connect_failure.ts";
import type { EndpointHandle, Shared } from "./endpoint.ts";
import { type Http2Surroundings, type Http2Terms, Http2Upstream } from "./h2_upstream.ts";

/** What a pool needs of the proxy around it. */
export interface PoolSurroundings extends Http2Surroundings {
  readonly dialer: Dialer;
}

/** Without a word of the cluster's, ms. The peer says goodbye in order when it closes earlier. */
const IDLE_MS = 300_000;

/** Objects of the model do not change, so their terms are read once. */
const terms = new WeakMap<Cluster, Http2Terms>();

function termsOf(cluster: Cluster): Http2Terms {
  let known = terms.get(cluster);
  if (known === undefined) {
    const options = cluster.httpProtocolOptions;
    const ping = options?.connectionKeepalive;
    known = {
      idleMs: parseDuration(options?.idleTimeout ?? "") ?? IDLE_MS,
      maxRequests: options?.maxRequestsPerConnection || Infinity,
      maxStreams: options?.maxConcurrentStreams || Infinity,
      pingMs: parseDuration(ping?.interval ?? "") || Infinity,
      pingTimeoutMs: parseDuration(ping?.timeout ?? "") || Infinity,
    };
    terms.set(cluster, known);
  }
  return known;
}

export class Http2Pool implements Shared {
  readonly #proxy: PoolSurroundings;
  readonly #endpoint: EndpointHandle;
  readonly #connections = new Set<Http2Upstream>();
  #dialing: Promise<void> | null = null;

  constructor(proxy: PoolSurroundings, endpoint: EndpointHandle) {
    this.#proxy = proxy;
    this.#endpoint = endpoint;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** A connection with a stream to spare. */
  ready(): Http2Upstream | null {
    for (const connection of this.#connections) if (connection.canRequest) return connection;
    return null;
  }

  /** Resolves when it is worth looking again: exchanges that come at the same time wait for one dial. Rejects with a MeshError. */
  dial(cluster: Cluster, timeoutMs: number): Promise<void> {
    return this.#dialing ??= this.#dial(cluster, timeoutMs).finally(() => this.#dialing = null);
  }

  async #dial(cluster: Cluster, timeoutMs: number): Promise<void> {
    const { dialer } = this.#proxy;
    const endpoint = this.#endpoint;
    let stream;
    try {
      stream = await dialer.dial({ hostname: endpoint.address, port: endpoint.port }, timeoutMs);
    } catch (cause) {
      throw connectFailure(endpoint.key, timeoutMs, cause);
    }
    const connection = new Http2Upstream(this.#proxy, endpoint, stream, termsOf(cluster));
    this.#connections.add(connection);
    endpoint.connections++;
    this.#proxy.observer.upstreamConnection(1);
    void connection.run().then(() => {
      this.#connections.delete(connection);
      endpoint.connections--;
      this.#proxy.observer.upstreamConnection(-1);
    });
  }

  retire(): void {
    for (const connection of this.#connections) connection.retire();
  }
}
