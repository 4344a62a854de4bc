/** gRPC calls to control planes. */
import { MeshError } from "../core/errors.ts";
import type { StreamTransport } from "../core/ports.ts";

export function createGrpcTransport(): StreamTransport {
  return { open: () => Promise.reject(new MeshError("D106", "not there yet")) };
}
