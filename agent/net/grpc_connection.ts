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
import {
  type CallConnection,
  type ConnectionPlan,
  KEEPALIVE_TIMEOUT_MS,
  WINDOW_BYTES,
} from "./call_connection.ts";
import type { CallEnd } from "./connect_error.ts";
import { GrpcDecoder } from "./grpc_decoder.ts";
import { backoffOver, oneAddressOptions, oneAddressTarget, registerOneAddress } from "./grpc_one_address.ts";

/** First TCP keepalive probe after this long without a byte, ms: finds a dead peer where pings are not allowed. */
const TCP_KEEPALIVE_MS = 30_000;

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

export class GrpcConnection implements CallConnection {
  readonly ready: Promise<void>;
  readonly ended: Promise<CallEnd>;
  socketError: Error | undefined;
  /** The peer has closed the connection, or it broke; false while it stands and when grpc-js gave it up by itself. */
  #peerGone = false;
  #contentType = "";
  readonly #channel: grpc.Channel;
  readonly #call: grpc.experimental.CallStream;
  #sockets: Socket[] = [];
  #closed = false;
  #waiting: ((message: Uint8Array | null) => void) | null = null;
  #over = false;
  #settleEnded: (status: CallEnd) => void;
  readonly #dialing = new AbortController();
  readonly #unlink: () => void;

  constructor(plan: ConnectionPlan) {
    const { promise: ended, resolve: settleEnded } = Promise.withResolvers<CallEnd>();
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
      onReceiveMetadata: (metadata) => this.#contentType = String(metadata.get("content-type")[0] ?? ""),
      onReceiveMessage: ({ buffer, byteOffset, byteLength }: Uint8Array) =>
        this.#deliver(new Uint8Array(buffer, byteOffset, byteLength)),
      onReceiveStatus: ({ code, details }) => {
        this.#over = true;
        settleEnded(this.#endOf(code, details));
        this.#deliver(null);
      },
    });
  }

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
    this.#settleEnded({ kind: "lost", details: "closed" });
    this.#deliver(null);
  }

  gone(): Promise<void> {
    return backoffOver();
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
      this.#peerGone = true;
    });
    socket.on("end", () => this.#peerGone = true);
  }

  /** What grpc-js makes of the end of a call: a status by the server and one of its own look alike but for the words. */
  #endOf(code: number, details: string): CallEnd {
    const peerGone = this.#peerGone;
    if (this.#contentType !== "" && !this.#contentType.startsWith("application/grpc")) {
      return { kind: "no grpc", details: `HTTP status 200, ${this.#contentType}` };
    }
    if (/^Received HTTP status code/.test(details)) return { kind: "no grpc", details };
    switch (code) {
      case grpc.status.RESOURCE_EXHAUSTED:
        if (/larger than max/.test(details)) return { kind: "too large", details };
        // Its words for ENHANCE_YOUR_CALM, which grpc servers send to those who ping too often.
        if (details === "Bandwidth exhausted or memory limit exceeded") return { kind: "calm", details };
        break;
      case grpc.status.UNAVAILABLE:
        if (details === "Connection dropped") return { kind: peerGone ? "lost" : "silent", details };
        break;
      case grpc.status.INTERNAL:
      case grpc.status.UNKNOWN:
        // Made by itself when the stream broke without a status.
        if (peerGone || /RST_STREAM|No status|GOAWAY|session/i.test(details)) {
          return { kind: "lost", details };
        }
        break;
    }
    return { kind: "status", code, details };
  }
}
