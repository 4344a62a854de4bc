/** Stage 4, shortcut: redirects, direct responses, injected faults, CORS preflights. True when the exchange has its answer. */
import { MeshError } from "../core/errors.ts";
import type { HeaderOps } from "../route/types.ts";
import { latin1OfUtf8 } from "../wire/http1/byte_writer.ts";
import { latin1 } from "../wire/http1/head.ts";
import type { ProxyContext } from "./context.ts";
import { preflightFields } from "./cors.ts";
import type { Exchange } from "./exchange.ts";
import { type Field, runOps } from "./fields.ts";
import { formatContext } from "./format.ts";
import { newRequestId } from "./ids.ts";
import type { RequestHeadView } from "./request_view.ts";
import { reply } from "./reply.ts";
import { isGrpc } from "./grpc.ts";
import { grpcFields, grpcStatusOf } from "./rescue.ts";
import { wait } from "./retry.ts";
import type { Selected } from "./select.ts";

/** Most requests have nothing to do here and should not pay for a promise. */
export function hasShortcut(selected: Selected): boolean {
  const decision = selected.decision;
  return decision !== null &&
    (decision.kind !== "route" || decision.route.fault !== null || decision.route.cors !== null);
}

export async function shortcut(
  proxy: ProxyContext,
  ex: Exchange,
  view: RequestHeadView,
  { decision }: Selected,
): Promise<boolean> {
  if (decision === null) return false;
  const { route } = decision;
  if (decision.kind === "redirect") {
    const { status, location } = route.redirect(view);
    ex.sentPath = route.rewritePath(view.path);
    ex.details = "direct_response";
    await local(
      proxy,
      ex,
      status,
      [{ name: "location", key: "location", value: latin1OfUtf8(location) }],
      "",
    );
    return true;
  }
  if (decision.kind === "directResponse") {
    ex.details = "direct_response";
    await local(proxy, ex, route.direct!.status, [], route.direct!.body);
    return true;
  }
  const { fault } = route;
  if (fault !== null) {
    if (fault.delayPerMillion > 0 && proxy.rng() * 1e6 < fault.delayPerMillion) {
      ex.addFlag("DI");
      await wait(proxy, ex, fault.delayMs);
      ex.attemptMs = proxy.clock.monotonic();
    }
    if (fault.abortPerMillion > 0 && proxy.rng() * 1e6 < fault.abortPerMillion) {
      ex.details = "fault_filter_abort";
      if (fault.grpcStatus >= 0) {
        ex.addFlag("FI");
        const text = "fault filter abort";
        const grpc = isGrpc(ex.head);
        const fields = grpc ? grpcFields(fault.grpcStatus, text) : [];
        if (ex.responseOps !== null) {
          runOps(ex.responseOps, null, fields, formatContext(proxy, ex, null, fields));
        }
        await reply(proxy, ex, 200, fields, grpc ? "" : text);
        return true;
      }
      throw new MeshError("P402", "fault filter abort", { status: fault.httpStatus });
    }
  }
  const preflight = route.cors === null ? null : preflightFields(ex, route.cors);
  if (preflight === null) return false;
  ex.details = "cors_preflight";
  await reply(proxy, ex, 200, preflight, "");
  return true;
}

function local(
  proxy: ProxyContext,
  ex: Exchange,
  status: number,
  fields: Field[],
  body: string | Uint8Array,
): Promise<void> {
  ex.status = status;
  const ops: HeaderOps | null = ex.route === null ? null : ex.route.responseOps;
  if (ex.requestId === "") ex.requestId = ex.head.value("x-request-id") ?? newRequestId(proxy.rng);
  const grpc = isGrpc(ex.head);
  // A gRPC client gets every answer of ours in its own shape, rule-made ones too (istio-semantics 1.14).
  if (grpc) {
    fields.push(
      ...grpcFields(grpcStatusOf(status), typeof body === "string" ? body : latin1(body, 0, body.length)),
    );
  } else if (body.length > 0) fields.push({ name: "content-type", key: "content-type", value: "text/plain" });
  if (ops !== null) runOps(ops, null, fields, formatContext(proxy, ex, null, fields));
  return grpc ? reply(proxy, ex, 200, fields, "") : reply(proxy, ex, status, fields, body);
}
