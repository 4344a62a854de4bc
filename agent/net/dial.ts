/** Outgoing TCP connections. Proxy environment variables are never looked at: they would lead back to the agent itself. */
import { MeshError } from "../core/errors.ts";
import type { AcceptedStream, Dialer, StreamAddress } from "../core/ports.ts";
import type { ReadGate } from "./read_gate.ts";
import { TcpStream } from "./stream.ts";

/**
 * An abort signal costs as much as the connection itself. So a connect that is given up is left to the kernel and closed should it
 * still succeed, as long as no more than this many are left so; beyond that every connect gets a signal.
 */
const MAX_ABANDONED = 32;

export function createDialer(gate: ReadGate | null = null): Dialer {
  let abandoned = 0;
  return {
    dial(address: StreamAddress, timeoutMs: number): Promise<AcceptedStream> {
      const controller = abandoned >= MAX_ABANDONED ? new AbortController() : null;
      return new Promise((resolve, reject) => {
        let late = false;
        const timer = setTimeout(() => {
          late = true;
          abandoned++;
          controller?.abort();
          reject(
            new MeshError(
              "P304",
              `Cannot connect to "${textOf(address)}": no answer within ${timeoutMs} ms`,
              {
                side: "upstream",
                retry: "connect-failure",
              },
            ),
          );
        }, Math.min(timeoutMs, 0x7fffffff));
        const { hostname, port } = address;
        const connecting = Deno.connect(
          controller === null ? { hostname, port } : { hostname, port, signal: controller.signal },
        );
        connecting.then((conn) => {
          clearTimeout(timer);
          if (late) {
            abandoned--;
            conn.close();
            return;
          }
          resolve(new TcpStream(conn, gate));
        }, (cause: unknown) => {
          clearTimeout(timer);
          if (late) {
            abandoned--;
            return;
          }
          reject(
            new MeshError("P303", `Cannot connect to "${textOf(address)}": ${reasonOf(cause)}`, {
              side: "upstream",
              retry: "connect-failure",
              cause,
            }),
          );
        });
      });
    },
  };
}

function textOf({ hostname, port }: StreamAddress): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

function reasonOf(cause: unknown): string {
  if (cause instanceof Deno.errors.ConnectionRefused) return "connection refused";
  if (cause instanceof Deno.errors.NotCapable) return "the agent was started without permission for it";
  return cause instanceof Error ? cause.message : String(cause);
}
