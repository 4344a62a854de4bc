/** Both carriers of calls to control planes, for suites that hold them to the same rules. */
import type { StreamTransport } from "../../agent/core/ports.ts";
import { createGrpcTransport } from "../../agent/net/grpc_transport.ts";
import { createHttp2Transport } from "../../agent/net/h2_transport.ts";
import type { StreamTransportOptions } from "../../agent/net/stream_transport.ts";

export interface TransportKind {
  /** As `discovery.transport` has it. */
  readonly name: "native" | "grpc-js";
  readonly create: (options?: StreamTransportOptions) => StreamTransport;
}

export const TRANSPORTS: readonly TransportKind[] = [
  { name: "native", create: createHttp2Transport },
  { name: "grpc-js", create: createGrpcTransport },
];
