/**
 * One connection to one IP address of a control plane and one gRPC call on it: what stream_transport.ts dials, whoever carries it
 * (h2_connection.ts or grpc_connection.ts). Both are configured by what stands here.
 */
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { CallEnd } from "./connect_error.ts";

/** Answer to a ping must come within this, ms (or within the interval when that is shorter). */
export const KEEPALIVE_TIMEOUT_MS = 15_000;
/** Flow-control window of stream and connection, bytes: a push of tens of MB must not wait for round trips. */
export const WINDOW_BYTES = 4 << 20;

export interface ConnectionPlan {
  /** IP literal. */
  readonly address: string;
  readonly port: number;
  /** `:authority` of the call. */
  readonly authority: string;
  readonly path: string;
  readonly metadata: readonly (readonly [string, string])[];
  readonly maxMessageBytes: number;
  readonly keepaliveMs: number;
  /** Gives up the dial. */
  readonly signal: AbortSignal;
  /** TLS over the connected socket; absent = plaintext. */
  readonly secure?: (socket: Duplex) => Promise<TLSSocket>;
  /** The TCP connection stands. */
  readonly onConnected: () => void;
}

export interface CallConnection {
  /** HTTP/2 stands: the server has sent its SETTINGS. Rejects never; see {@link ended}. */
  readonly ready: Promise<void>;
  /** The call is over. Never rejects. */
  readonly ended: Promise<CallEnd>;
  /** What the socket itself reported. */
  readonly socketError: Error | undefined;
  /** The next message, or null after the end. One at a time. */
  next(): Promise<Uint8Array | null>;
  /** After the end it does nothing. */
  send(message: Uint8Array): void;
  /** Ends call and connection at once. Idempotent. */
  close(): void;
  /** Once closed: resolves when nothing of a dial that failed is left, timers included. */
  gone(): Promise<void>;
}

export type Connect = (plan: ConnectionPlan) => CallConnection;
