/** One line per thing that a chosen route does besides choosing: rewrites, headers, timeouts, retries, faults, CORS. */
import { formatDuration } from "../core/duration.ts";
import { fromByteString } from "./byte_string.ts";
import type { CompiledRoute, HeaderOps, HeaderStep, RequestView } from "./types.ts";

export function actionNotes(route: CompiledRoute, view: RequestView): string[] {
  const notes: string[] = [];
  if (route.rewritesPath) {
    notes.push(
      `path rewritten: ${fromByteString(view.path)} becomes ${fromByteString(route.rewritePath(view.path))}`,
    );
  }
  const several = route.destinations.length > 1;
  for (const d of route.destinations) {
    const about = several ? ` (${d.cluster})` : "";
    if (d.hostRewrite !== null) notes.push(`host rewritten to ${d.hostRewrite}${about}`);
    notes.push(
      ...headerNotes("request", d.requestOps, about),
      ...headerNotes("response", d.responseOps, about),
    );
  }
  if (route.kind !== "route") {
    notes.push(...headerNotes("response", route.responseOps, ""));
    return notes;
  }
  notes.push(route.timeoutMs === 0 ? "no timeout" : `timeout ${formatDuration(route.timeoutMs)}`);
  if (route.retry !== null) {
    const { numRetries, on, retriableStatusCodes, perTryTimeoutMs } = route.retry;
    const codes = retriableStatusCodes.size === 0 ? "" : `, status ${[...retriableStatusCodes].join(" ")}`;
    const perTry = perTryTimeoutMs === 0 ? "" : `, each try at most ${formatDuration(perTryTimeoutMs)}`;
    notes.push(
      `up to ${numRetries} ${numRetries === 1 ? "retry" : "retries"} on ${
        [...on].join(", ")
      }${codes}${perTry}`,
    );
  }
  const { fault, cors } = route;
  if (fault !== null && fault.delayPerMillion > 0) {
    notes.push(
      `fault: delay of ${formatDuration(fault.delayMs)} in ${fault.delayPerMillion / 10_000} % of requests`,
    );
  }
  if (fault !== null && fault.abortPerMillion > 0) {
    const status = fault.grpcStatus >= 0 ? `gRPC status ${fault.grpcStatus}` : `status ${fault.httpStatus}`;
    notes.push(`fault: abort with ${status} in ${fault.abortPerMillion / 10_000} % of requests`);
  }
  if (cors !== null) {
    const origin = view.header("origin");
    notes.push(
      origin === undefined
        ? "CORS policy; the request has no origin"
        : `CORS policy; origin ${fromByteString(origin)} is ${
          cors.originAllowed(origin) ? "" : "not "
        }allowed`,
    );
  }
  const mirrors = route.source.route?.requestMirrorPolicies ?? [];
  for (const m of mirrors) notes.push(`mirror to ${m.cluster}: compiled, not yet executed`);
  return notes;
}

function headerNotes(what: string, ops: HeaderOps | null, about: string): string[] {
  return (ops?.steps ?? []).map((s) => `${what} header ${s.action} ${s.key}${valueText(s)}${about}`);
}

function valueText(step: HeaderStep): string {
  if (step.value === null) return "";
  const text = step.value.map((p) => {
    if (typeof p === "string") return fromByteString(p);
    const limit = p.maxLength === Infinity ? "" : `:${p.maxLength}`;
    return `%${p.command}${p.argument === "" ? "" : `(${p.argument})`}${limit}%`;
  });
  return `: ${text.join("")}`;
}
