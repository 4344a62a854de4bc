/** The {@link StreamTransport} over grpc-js (`discovery.transport: grpc-js`), which is all in grpc_connection.ts. */
import type { StreamTransport } from "../core/ports.ts";
import { GrpcConnection, prepareGrpc } from "./grpc_connection.ts";
import { createStreamTransport, type StreamTransportOptions } from "./stream_transport.ts";

export function createGrpcTransport(options?: StreamTransportOptions): StreamTransport {
  prepareGrpc();
  return createStreamTransport((plan) => new GrpcConnection(plan), options);
}
