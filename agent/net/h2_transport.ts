/** The {@link StreamTransport} over the agent's own HTTP/2 (`discovery.transport: native`), which is all in h2_connection.ts. */
import type { StreamTransport } from "../core/ports.ts";
import { Http2Call } from "./h2_connection.ts";
import { createStreamTransport, type StreamTransportOptions } from "./stream_transport.ts";

export function createHttp2Transport(options?: StreamTransportOptions): StreamTransport {
  return createStreamTransport((plan) => new Http2Call(plan), options);
}
