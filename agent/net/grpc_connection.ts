/**
 * One grpc-js channel over one connection to one IP address, and one call on it. With grpc_one_address.ts the only file that knows
 * grpc-js.
 *
 * grpc-js dials, pools and reconnects by itself and hides why something failed. Here it gets exactly one address and one attempt,
 * the dial can be aborted, TLS is made by credentials of ours (so that its error and the socket are known), and the channel ends
 * with its connection.
 */
import * as grpc from "@grpc/grpc-js";
import grpcStreamDecoder from "@grpc/grpc-js/build/src/stream-decoder.js";
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { CallStatus } from "./connect_error.ts";
import { GrpcDecoder } from "./grpc_decoder.ts";
import { oneAddressOptions, oneAddressTarget, registerOneAddress } from "./grpc_one_address.ts";

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
  readonly secure?: (socket: Socket) => Promise<Socket>;
  /** The TCP connection stands. */
  readonly onConnected: () => void;
}

/** Answer to a ping must come within this, ms (or within the interval when that is shorter). */
const KEEPALIVE_TIMEOUT_MS = 15_000;
/** First TCP keepalive probe after this long without a byte, ms: finds a dead peer where pings are not allowed. */
const TCP_KEEPALIVE_MS = 30_000;
/** Flow-control window of stream and connection, bytes: a push of tens of MB must not wait for round trips. */
const WINDOW_BYTES = 4 << 20;

class OwnCredentials extends grpc.ChannelCredentials {
  constructor(readonly secure: boolean, readonly connect: (socket: Socket) => Promise<Socket>) {
    super();
  }

  _isSecure(): boolean {
    return this.secure;
  }

  _equals(other: grpc.ChannelCredentials): boolean {
    return other === this;
  }

  _createSecureConnector(): grpc.experimental.SecureConnector {
    const none = grpc.credentials.createEmpty();
    return {
      connect: async (socket) => ({ socket: await this.connect(socket), secure: this.secure }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => none,
      destroy() {},
    };
  }
}

/** Must be called once before the first {@link GrpcConnection}. */
export function prepareGrpc(): void {
  registerOneAddress();
  (grpcStreamDecoder as { StreamDecoder: unknown }).StreamDecoder = GrpcDecoder;
  // It writes to the console by itself; everything that it would say comes out as an error of the call too.
  grpc.setLogVerbosity(grpc.logVerbosity.NONE);
}

export class GrpcConnection {
  /** HTTP/2 stands: the server has sent its SETTINGS. Rejects never; see {@link ended}. */
  readonly ready: Promise<void>;
  /** The call is over. Never rejects. */
  readonly ended: Promise<CallStatus>;
  /** What the socket itself reported. */
  socketError: Error | undefined;
  /** The peer has closed the connection, or it broke; false while it stands and when grpc-js gave it up by itself. */
  peerGone = false;
  readonly #channel: grpc.Channel;
  readonly #call: grpc.experimental.CallStream;
  #sockets: Socket[] = [];
  #closed = false;
  #waiting: ((message: Uint8Array | null) => void) | null = null;
  #over = false;
  #settleEnded: (status: CallStatus) => void;
  readonly #dialing = new AbortController();
  readonly #unlink: () => void;

  constructor(plan: ConnectionPlan) {
    const { promise: ended, resolve: settleEnded } = Promise.withResolvers<CallStatus>();
    const { promise: ready, resolve: settleReady } = Promise.withResolvers<void>();
    this.ended = ended;
    this.ready = ready;
    this.#settleEnded = settleEnded;
    const abort = () => this.#dialing.abort();
    plan.signal.addEventListener("abort", abort, { once: true });
    this.#unlink = () => plan.signal.removeEventListener("abort", abort);

    const credentials = new OwnCredentials(plan.secure !== undefined, async (socket) => {
      this.#watch(socket);
      if (this.#closed) throw new Error("closed");
      socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
      plan.onConnected();
      if (plan.secure === undefined) return socket;
      const secured = await plan.secure(socket);
      this.#watch(secured);
      if (this.#closed) throw new Error("closed");
      return secured;
    });
    const address = { host: plan.address, port: plan.port, signal: this.#dialing.signal };
    this.#channel = new grpc.Channel(oneAddressTarget(plan.authority), credentials, {
      ...oneAddressOptions(address, (state) => {
        if (state === grpc.connectivityState.READY) settleReady();
      }),
      "grpc.default_authority": plan.authority,
      // Proxy variables would lead back to the agent itself.
      "grpc.enable_http_proxy": 0,
      "grpc.enable_retries": 0,
      "grpc.enable_channelz": 0,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.service_config_disable_resolution": 1,
      "grpc.max_receive_message_length": plan.maxMessageBytes,
      "grpc.max_send_message_length": -1,
      "grpc-node.flow_control_window": WINDOW_BYTES,
      ...(plan.keepaliveMs > 0
        ? {
          "grpc.keepalive_time_ms": plan.keepaliveMs,
          "grpc.keepalive_timeout_ms": Math.min(KEEPALIVE_TIMEOUT_MS, plan.keepaliveMs),
        }
        : {}),
    });
    const metadata = new grpc.Metadata();
    for (const [name, value] of plan.metadata) metadata.add(name, value);
    this.#call = this.#channel.createCall(plan.path, Infinity, plan.authority, null, null);
    this.#call.start(metadata, {
      onReceiveMetadata: () => {},
      onReceiveMessage: ({ buffer, byteOffset, byteLength }: Uint8Array) =>
        this.#deliver(new Uint8Array(buffer, byteOffset, byteLength)),
      onReceiveStatus: ({ code, details }) => {
        this.#over = true;
        settleEnded({ code, details });
        this.#deliver(null);
      },
    });
  }

  /** The next message, or null after the end. One at a time. */
  next(): Promise<Uint8Array | null> {
    if (this.#over) return Promise.resolve(null);
    const { promise, resolve } = Promise.withResolvers<Uint8Array | null>();
    this.#waiting = resolve;
    this.#call.startRead();
    return promise;
  }

  send(message: Uint8Array): void {
    if (this.#over) return;
    const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
    this.#call.sendMessageWithContext({}, bytes);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#over = true;
    this.#unlink();
    this.#call.cancelWithStatus(grpc.status.CANCELLED, "closed");
    this.#channel.close();
    // A graceful end would wait for the peer, which may be frozen.
    this.#dialing.abort();
    for (const socket of this.#sockets) socket.destroy();
    this.#settleEnded({ code: grpc.status.CANCELLED, details: "closed" });
    this.#deliver(null);
  }

  #deliver(message: Uint8Array | null): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(message);
  }

  #watch(socket: Socket): void {
    this.#sockets.push(socket);
    this.socketError ??= socket.errored ?? undefined;
    socket.on("error", (error: Error) => {
      this.socketError ??= error;
      this.peerGone = true;
    });
    socket.on("end", () => this.peerGone = true);
  }
}
