/** When an attempt is made again (istio-semantics 1.9), and how long to wait before. */
import type { RetryClass } from "../core/errors.ts";
import { MeshError } from "../core/errors.ts";
import type { CompiledRetry } from "../route/types.ts";
import type { ProxyContext } from "./context.ts";
import type { Expirable } from "./deadlines.ts";
import type { Exchange } from "./exchange.ts";
import { grpcStatusIn, retriesGrpcStatus } from "./grpc.ts";
import type { Upstream } from "./upstream.ts";

export function retriesStatus(retry: CompiledRetry, status: number): boolean {
  const { on } = retry;
  if (status >= 500 && on.has("5xx")) return true;
  if (status >= 502 && status <= 504 && on.has("gateway-error")) return true;
  if (status === 409 && on.has("retriable-4xx")) return true;
  return on.has("retriable-status-codes") && retry.retriableStatusCodes.has(status);
}

/** gRPC statuses are looked for in answers of a head alone; those in trailers come too late. */
export function retriesGrpc(retry: CompiledRetry, answer: Upstream): boolean {
  return answer.body.done && retriesGrpcStatus(retry.on, grpcStatusIn(answer.head));
}

export function retriesFailure(retry: CompiledRetry, failure: RetryClass): boolean {
  const { on } = retry;
  if (failure === "never") return false;
  return on.has(failure) || on.has("5xx") || on.has("gateway-error") || on.has("reset");
}

/** Full jitter in [0, min(max, base * 2^(n-1))). Rejects when the client goes away or the route's time is over. */
export function waitBackoff(
  proxy: ProxyContext,
  ex: Exchange,
  retry: Pick<CompiledRetry, "baseIntervalMs" | "maxIntervalMs">,
  n: number,
): Promise<void> {
  const ms = proxy.rng() * Math.min(retry.maxIntervalMs, retry.baseIntervalMs * 2 ** (n - 1));
  const left = ex.routeDeadline - proxy.clock.monotonic();
  return wait(proxy, ex, Math.min(ms, left)).then(() => {
    if (ms < left) return;
    ex.details = "response_timeout";
    throw new MeshError(
      "P307",
      `upstream request timeout. No attempt succeeded within ${ex.timeoutMs} ms; the last one went to ${ex.upstreamHost}`,
      { side: "upstream" },
    );
  });
}

/** Waits, but not beyond the client's patience. */
export function wait(proxy: ProxyContext, ex: Exchange, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const waiting: Expirable = {
      deadline: proxy.clock.monotonic() + Math.max(0, ms),
      slot: -1,
      expire() {
        proxy.deadlines.remove(waiting);
        ex.onCancel = null;
        resolve();
      },
    };
    proxy.deadlines.add(waiting);
    ex.onCancel = () => {
      proxy.deadlines.remove(waiting);
      reject(
        new MeshError("P112", "Cannot answer: the client closed the connection", { side: "downstream" }),
      );
    };
  });
}
