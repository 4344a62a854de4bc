/** The demo's requests: N of them over a few connections, counted by the version that answered. */
import type { StreamAddress } from "../core/ports.ts";
import type { DemoAnswer } from "./demo_upstream.ts";
import { type ClientConnection, connectClient } from "./http_client.ts";

export interface LoadResult {
  readonly sent: number;
  readonly failed: number;
  /** The first failure, in words. */
  readonly firstFailure: string | undefined;
  readonly byVersion: ReadonlyMap<string, number>;
  readonly durationMs: number;
}

const CONNECTIONS = 8;

/** Sends `count` GETs of `url` through the proxy; `told` hears of progress about 20 times a second. */
export async function sendRequests(
  proxy: StreamAddress,
  url: string,
  count: number,
  told: (done: number) => void,
): Promise<LoadResult> {
  const byVersion = new Map<string, number>();
  const startMs = performance.now();
  let next = 0;
  let done = 0;
  let failed = 0;
  let firstFailure: string | undefined;
  let toldMs = 0;

  const client = async (): Promise<void> => {
    let connection: ClientConnection | undefined;
    while (next < count) {
      next++;
      try {
        connection ??= await connectClient(proxy);
        const { status, body } = await connection.send("GET", url);
        if (status !== 200) throw new Error(`status ${status}: ${body.trim().split("\n")[0] ?? ""}`);
        const { version } = JSON.parse(body) as DemoAnswer;
        byVersion.set(version, (byVersion.get(version) ?? 0) + 1);
      } catch (error) {
        failed++;
        firstFailure ??= error instanceof Error ? error.message : String(error);
        connection?.close();
        connection = undefined;
      }
      done++;
      const now = performance.now();
      if (now - toldMs > 50) {
        toldMs = now;
        told(done);
      }
    }
    connection?.close();
  };

  await Promise.all(Array.from({ length: Math.min(CONNECTIONS, count) }, client));
  told(done);
  return { sent: done, failed, firstFailure, byVersion, durationMs: performance.now() - startMs };
}
