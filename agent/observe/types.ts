/** What is recorded of a request: the contract between the pipeline (which fills it) and logs and metrics (which read it). */

/** One try against one endpoint. */
export interface AttemptRecord {
  /** `10.0.0.1:8084` */
  readonly endpoint: string;
  /** `ok`, or the flag-like outcome: `connect-failure`, `timeout`, `reset`, `protocol-error`. */
  readonly outcome: string;
  readonly durationMs: number;
}

/** Filled once per request (also CONNECT and upgrades), after the last byte or when the client went away. */
export interface RequestRecord {
  /** Wall clock, ms. */
  readonly startMs: number;
  readonly method: string;
  /** As received: path with query, or authority for CONNECT. */
  readonly path: string;
  /** `HTTP/1.1`, `HTTP/1.0`, `HTTP/2`; `TCP` for a connection of a local port. */
  readonly protocol: string;
  readonly authority: string;
  /** 0 when the client went away before an answer, and for TCP. */
  readonly status: number;
  /** Envoy response flags joined with `,`; empty when none. */
  readonly flags: string;
  /** Why, in a word: Envoy's response code details, e.g. `via_upstream`, `route_not_found`. */
  readonly details: string;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly durationMs: number;
  /** Time from the last request byte to the first response byte; -1 when there was no upstream response. */
  readonly upstreamServiceTimeMs: number;
  readonly forwardedFor: string;
  readonly userAgent: string;
  readonly requestId: string;
  readonly upstreamCluster: string;
  /** Empty when none was tried. */
  readonly upstreamHost: string;
  readonly routeName: string;
  readonly virtualHost: string;
  readonly downstreamRemote: string;
  /** Of a gRPC answer; absent when there is none. */
  readonly grpcStatus?: number | undefined;
  readonly attempts: readonly AttemptRecord[];
  /** It came to the local application. */
  readonly inbound?: true | undefined;
}

/** Where the proxy tells what happens. All methods are cheap and never throw. */
export interface Observer {
  request(record: RequestRecord): void;
  downstreamConnection(delta: 1 | -1): void;
  upstreamConnection(delta: 1 | -1): void;
  requestStarted(): void;
  /** Counted by name, e.g. `replayed_requests_total`, `rejected_overload_total`. */
  count(name: string, by?: number): void;
}
