/** Outgoing TCP connections. Proxy environment variables are never looked at: they would lead back to the agent itself. */
import { MeshError } from "../core/errors.ts";
import type { AcceptedStream, Dialer, StreamAddress } from "../core/ports.ts";
import { Deadlines, type Expirable } from "../proxy/deadlines.ts";
import { systemClock } from "./clock.ts";
import type { ReadGate } from "./read_gate.ts";
import { TcpStream } from "./stream.ts";

/**
 * An abort signal costs as much as the connection itself. So a connect that is given up is left to the kernel and closed should it
 * still succeed, as long as no more than this many are left so; beyond that every connect gets a signal.
 */
const MAX_ABANDONED = 32;

export function createDialer(gate: ReadGate | null = null): Dialer {
  const deadlines = new Deadlines(systemClock);
  let abandoned = 0;
  return {
    dial(address: StreamAddress, timeoutMs: number, keepAlive = false): Promise<AcceptedStream> {
      const controller = abandoned >= MAX_ABANDONED ? new AbortController() : null;
      return new Promise((resolve, reject) => {
        let late = false;
        const patience: Expirable = {
          deadline: systemClock.monotonic() + timeoutMs,
          slot: -1,
          expire() {
            late = true;
            abandoned++;
            deadlines.remove(patience);
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
          },
        };
        const { hostname, port } = address;
        const connecting = Deno.connect(
          controller === null ? { hostname, port } : { hostname, port, signal: controller.signal },
        );
        deadlines.add(patience);
        connecting.then((conn) => {
          deadlines.remove(patience);
          if (late) {
            abandoned--;
            conn.close();
            return;
          }
          if (keepAlive) conn.setKeepAlive(true);
          resolve(new TcpStream(conn, gate));
        }, (cause: unknown) => {
          deadlines.remove(patience);
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
