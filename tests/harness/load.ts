/** A plain load generator: keep-alive connections that each ask in sequence, counting every answer. */
import { type Address, RawClient } from "./client.ts";
import type { WireResponse } from "./wire_reader.ts";

export interface Load {
  /** Answers by what `key` says of them. */
  readonly counts: ReadonlyMap<string, number>;
  /** Texts of the first failures. */
  readonly failures: readonly string[];
}

/**
 * Sends `total` requests (or until `stopped` says so) over `connections` connections. A failure is an answer that is not
 * 200, a cut one, or none at all.
 */
export async function runLoad(
  options: {
    readonly address: Address;
    readonly request: string;
    readonly connections: number;
    readonly total?: number;
    readonly stopped?: () => boolean;
    readonly key: (response: WireResponse) => string;
    readonly onAnswer?: (key: string) => void;
  },
): Promise<Load> {
  const counts = new Map<string, number>();
  const failures: string[] = [];
  let left = options.total ?? Infinity;
  const connection = async (): Promise<void> => {
    let client = await RawClient.connect(options.address);
    try {
      while (left > 0 && options.stopped?.() !== true) {
        left--;
        try {
          const response = await client.ask(options.request);
          if (response.status !== 200 || !response.complete) {
            failures.push(response.raw);
            continue;
          }
          const key = options.key(response);
          counts.set(key, (counts.get(key) ?? 0) + 1);
          options.onAnswer?.(key);
          client.reader.forget();
          if (response.header("connection") === "close") {
            client.close();
            client = await RawClient.connect(options.address);
          }
        } catch (e) {
          failures.push(String(e));
          client.close();
          client = await RawClient.connect(options.address);
        }
      }
    } finally {
      client.close();
    }
  };
  await Promise.all(Array.from({ length: options.connections }, connection));
  return { counts, failures };
}
