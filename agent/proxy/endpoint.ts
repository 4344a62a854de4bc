/** One address of a cluster with its pool of idle connections and its count of requests under way. */
import type { Candidate } from "./balance/balancer.ts";
import { type ConnectionTerms, NO_TERMS } from "./connection_terms.ts";

/** What the pool keeps; UpstreamConnection is one. */
export interface Pooled {
  idle: boolean;
  readonly closed: boolean;
  close(): void;
}

/** Connections that many exchanges share; Http2Pool is one. */
export interface Shared {
  /** Open connections. */
  readonly size: number;
  /** Exchanges that wait may find room. */
  changed(): void;
  /** Takes no new exchanges; connections close after the last of theirs. */
  retire(): void;
}

/** Exchanges that wait for a connection; Waiting of limits.ts is one. */
export interface Queue<C> {
  /** Takes a connection that would be idle; false when nobody waits. */
  give(connection: C): boolean;
  /** There is room for another connection, perhaps. */
  freed(): void;
}

export class EndpointHandle<C extends Pooled = Pooled, S extends Shared = Shared> implements Candidate {
  active = 0;
  /** Open connections, idle ones included. */
  connections = 0;
  /** Connections on their way, where the cluster has limits. */
  dialing = 0;
  terms: ConnectionTerms = NO_TERMS;
  /** Left its cluster: connections are closed when their exchange is over. */
  gone = false;
  /** Not link-local, and none of the own listeners when those were so many; -1: not looked at yet. */
  allowed = -1;
  /** Last in, first out, so that surplus connections grow old and go. */
  readonly idle: C[] = [];
  /** HTTP/2 connections; null before the first. */
  shared: S | null = null;
  /** Null before the first wait, so always without limits. */
  waiting: Queue<C> | null = null;
  /** `10.0.0.1:8084`, `[::1]:80` */
  readonly key: string;

  constructor(readonly address: string, readonly port: number, public weight: number) {
    this.key = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  }

  /** An idle connection, or null. */
  take(): C | null {
    const connection = this.idle.pop();
    if (connection === undefined) return null;
    connection.idle = false;
    return connection;
  }

  /** Takes a connection that closed out of the pool. */
  drop(connection: C): void {
    const at = this.idle.lastIndexOf(connection);
    if (at >= 0) this.idle.splice(at, 1);
  }

  retire(): void {
    this.gone = true;
    this.shared?.retire();
    while (this.idle.length > 0) {
      const connection = this.idle.pop()!;
      connection.idle = false;
      connection.close();
    }
  }
}
