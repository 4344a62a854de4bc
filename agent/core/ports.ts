/**
 * Ports: the few function shapes through which pure code meets the world. The shell (`net/`) implements them;
 * tests hand in fakes. `Deno.Conn` satisfies {@link ByteStream} structurally.
 */

/** Milliseconds everywhere. `now` is wall time since the epoch, `monotonic` never goes back. */
export interface Clock {
  now(): number;
  monotonic(): number;
  /** Runs `fn` once after `ms`; returns a cancel function (idempotent). */
  after(ms: number, fn: () => void): () => void;
}

/** Turns of the event loop. */
export interface Turns {
  /** Resolves after waiting I/O has had its turn. Never rejects. */
  next(): Promise<void>;
}

/** Uniform in [0, 1). */
export type Rng = () => number;

export interface StreamAddress {
  readonly hostname: string;
  readonly port: number;
}

/**
 * A connected byte stream, both halves of its own: each ends without the other. What fails rejects with an Error that is no TypeError.
 * tests/conformance/byte_stream_test.ts has the rules as rows.
 */
export interface ByteStream {
  /**
   * The number of bytes put into the buffer (0 only for an empty one), or null at end of input, then for ever. Nobody reading holds the
   * peer back. Reads that overlap are served in order.
   */
  read(into: Uint8Array): Promise<number | null>;
  /** May write fewer bytes than given; returns the count. The buffer is free again then, and not before. */
  write(from: Uint8Array): Promise<number>;
  /** Ends the own half, after what was written; idempotent. */
  closeWrite(): Promise<void>;
  /** Ends both at once: what is under way rejects. Idempotent. */
  close(): void;
}

export interface AcceptedStream extends ByteStream {
  readonly local: StreamAddress;
  readonly remote: StreamAddress;
}

export interface Listener {
  readonly address: StreamAddress;
  /** Next connection, or null once closed. */
  accept(): Promise<AcceptedStream | null>;
  close(): void;
}

export interface Dialer {
  /** Connects to an IP literal. Rejects with MeshError P-codes on refusal and time-out. `keepAlive`: the kernel probes it when silent. */
  dial(address: StreamAddress, timeoutMs: number, keepAlive?: boolean): Promise<AcceptedStream>;
}

/** No name server answered: the message says why, and nothing of the name is known. */
export class NoAnswer extends Error {}

export interface Resolver {
  /**
   * Every address of a name, IPv4 first; an IP literal resolves to itself. Rejects when there is none, with {@link NoAnswer} when that is
   * not known.
   */
  resolve(hostname: string): Promise<readonly string[]>;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface Log {
  readonly level: LogLevel;
  log(level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** What a dial to a control plane is at; shown by status. */
export type ConnectStep = "DNS" | "TCP" | "TLS" | "token" | "stream";

/** TLS towards a control plane. Files are read again on every connect. */
export interface TlsTarget {
  /** PEM file of roots; the certificate of the server must chain to one of them. */
  readonly rootCertificate: string;
  /** Both or none: PEM files of the client's chain and key. They need not exist when there is a token. */
  readonly clientCertificate?: string;
  readonly clientKey?: string;
  /**
   * Name that the certificate must carry and that is sent as SNI; default: the host of the address. A SPIFFE id is looked for among
   * the URIs of the certificate, with the host as SNI.
   */
  readonly serverName?: string;
}

export interface StreamTarget {
  /** Name or IP literal without brackets. */
  readonly host: string;
  readonly port: number;
  /** gRPC method, `/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources`. */
  readonly path: string;
  /** Absent = plaintext. */
  readonly tls?: TlsTarget;
  /**
   * File with a JWT, sent as `authorization: Bearer ...`; read again on every connect. Only over TLS, and it may be missing when
   * there is a client certificate.
   */
  readonly tokenFile?: string;
  /** Largest message taken in, bytes. */
  readonly maxMessageBytes: number;
  /** Interval of HTTP/2 pings, ms; 0 = none (TCP keepalive stays, as the system has it). */
  readonly keepaliveMs: number;
  /** From DNS to the open connection, ms. */
  readonly connectTimeoutMs: number;
  /** Told before each step begins. */
  readonly onStep: (step: ConnectStep) => void;
  /** Aborted: `open` gives up at once and rejects. Later it has no effect: the stream has its own `close`. */
  readonly signal?: AbortSignal;
}

/** One bidirectional gRPC call. */
export interface MessageStream {
  /** Queues one message (without gRPC frame head). After the end it does nothing. */
  send(message: Uint8Array): void;
  /**
   * Messages in order; read once. Returns when the server ended the call with OK, throws a MeshError of the codes D201 to
   * D209 otherwise. Not reading holds the server back (flow control).
   */
  readonly messages: AsyncIterable<Uint8Array>;
  /** Ends the call and its connection at once; `messages` returns. Idempotent. */
  close(): void;
}

/**
 * Opens calls to control planes. Never looks at *_proxy variables: they would lead back to the agent itself. Resolves once
 * the connection stands (TCP, and TLS if wanted); a refusal by the server comes out of `messages`.
 */
export interface StreamTransport {
  open(
    target: StreamTarget,
    metadata: readonly (readonly [string, string])[],
  ): Promise<MessageStream>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** Plain HTTP/1.1 GETs of the agent's own (xDS v1), without *_proxy variables; keeps connections. */
export interface HttpClient {
  /** Rejects with MeshError D201 to D205, and D221 for a body above `maxBytes`. `path` is sent as it is (already encoded). */
  get(
    address: { readonly host: string; readonly port: number },
    path: string,
    options: {
      readonly timeoutMs: number;
      /** From DNS to the open connection, ms; default: as `timeoutMs`, which bounds it in any case. */
      readonly connectTimeoutMs?: number;
      readonly maxBytes: number;
      readonly onStep?: (step: ConnectStep) => void;
    },
  ): Promise<HttpAnswer>;
  close(): void;
}
