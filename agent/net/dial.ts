/** Outgoing TCP connections. Proxy environment variables are never looked at: they would lead back to the agent itself. */
import { MeshError } from "../core/errors.ts";
import type { AcceptedStream, Dialer, StreamAddress } from "../core/ports.ts";
import type { ReadGate } from "./read_gate.ts";
import { TcpStream } from "./stream.ts";

export function createDialer(gate: ReadGate | null = null): Dialer {
  return {
    async dial(address: StreamAddress, timeoutMs: number): Promise<AcceptedStream> {
      let late = false;
      const controller = new AbortController();
      const timer = setTimeout(() => {
        late = true;
        controller.abort();
      }, Math.min(timeoutMs, 0x7fffffff));
      try {
        const conn = await Deno.connect({
          hostname: address.hostname,
          port: address.port,
          signal: controller.signal,
        });
        if (late) {
          conn.close();
          throw new Error("late");
        }
        return new TcpStream(conn, gate);
      } catch (cause) {
        const where = `${address.hostname}:${address.port}`;
        throw late
          ? new MeshError("P304", `Cannot connect to "${where}": no answer within ${timeoutMs} ms`, {
            side: "upstream",
            retry: "connect-failure",
            cause,
          })
          : new MeshError("P303", `Cannot connect to "${where}": ${reasonOf(cause)}`, {
            side: "upstream",
            retry: "connect-failure",
            cause,
          });
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function reasonOf(cause: unknown): string {
  if (cause instanceof Deno.errors.ConnectionRefused) return "connection refused";
  if (cause instanceof Deno.errors.NotCapable) return "the agent was started without permission for it";
  return cause instanceof Error ? cause.message : String(cause);
}
