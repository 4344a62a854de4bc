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

/** Uniform in [0, 1). */
export type Rng = () => number;

export interface StreamAddress {
  readonly hostname: string;
  readonly port: number;
}

/** A connected byte stream. `read` gives the number of bytes put into the buffer, or null at end of input. */
export interface ByteStream {
  read(into: Uint8Array): Promise<number | null>;
  /** May write fewer bytes than given; returns the count. */
  write(from: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
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
  /** Connects to an IP literal. Rejects with MeshError P-codes on refusal and time-out. */
  dial(address: StreamAddress, timeoutMs: number): Promise<AcceptedStream>;
}

export interface Resolver {
  /** Every address of a name, IPv4 first; an IP literal resolves to itself. Rejects when there is none. */
  resolve(hostname: string): Promise<readonly string[]>;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface Log {
  readonly level: LogLevel;
  log(level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>): void;
}
