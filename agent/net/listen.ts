/** TCP listeners. */
import type { AcceptedStream, Listener } from "../core/ports.ts";
import type { ListenAddress } from "../settings/types.ts";
import type { ReadGate } from "./read_gate.ts";
import { TcpStream } from "./stream.ts";

/** Listens; throws what `Deno.listen` throws (see listen_error.ts for the sentence). Port 0 takes a free one. */
export function listenTcp(address: ListenAddress, gate: ReadGate | null = null): Listener {
  const listener = Deno.listen({ hostname: address.hostname, port: address.port });
  const bound = listener.addr as Deno.NetAddr;
  let closed = false;
  return {
    address: { hostname: bound.hostname, port: bound.port },
    async accept(): Promise<AcceptedStream | null> {
      try {
        return new TcpStream(await listener.accept() as Deno.TcpConn, gate);
      } catch (error) {
        if (closed || error instanceof Deno.errors.BadResource) return null;
        throw error;
      }
    },
    close() {
      if (closed) return;
      closed = true;
      listener.close();
    },
  };
}
