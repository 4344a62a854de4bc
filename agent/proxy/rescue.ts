/** Stage 9, rescue: whatever was thrown becomes an answer with status, flag and Proxy-Status, gRPC-shaped for gRPC; or a cut. */
import type { Code } from "../core/codes.ts";
import { MeshError } from "../core/errors.ts";
import type { ProxyContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { corsFields } from "./cors.ts";
import { type Field, runOps } from "./fields.ts";
import { formatContext } from "./format.ts";
import { isGrpc } from "./grpc.ts";
import { applicationDown } from "./inbound_port.ts";
import { reply } from "./reply.ts";

/** Error types of RFC 9209, section 2.3. */
const PROXY_ERRORS: Partial<Record<Code, string>> = {
  P101: "http_request_error",
  P102: "http_request_error",
  P103: "http_request_error",
  P104: "http_request_error",
  P105: "http_request_error",
  P106: "http_request_error",
  P107: "http_request_error",
  P108: "http_request_error",
  P109: "http_request_error",
  P110: "http_request_error",
  P111: "http_request_error",
  P113: "http_request_error",
  P201: "destination_not_found",
  P202: "destination_not_found",
  P203: "proxy_configuration_error",
  P204: "http_request_denied",
  P205: "proxy_loop_detected",
  P206: "destination_ip_prohibited",
  P207: "dns_error",
  P208: "destination_not_found",
  P209: "destination_ip_prohibited",
  P301: "destination_not_found",
  P302: "destination_unavailable",
  P303: "connection_refused",
  P304: "connection_timeout",
  P305: "connection_terminated",
  P306: "http_protocol_error",
  P307: "http_response_timeout",
  P308: "http_response_timeout",
  P309: "connection_write_timeout",
  P310: "connection_terminated",
  P311: "connection_limit_reached",
  P312: "connection_refused",
  P313: "destination_unavailable",
  P401: "connection_limit_reached",
  P402: "proxy_internal_response",
  P403: "proxy_internal_error",
};

/** HTTP status -> grpc-status of a local reply (istio-semantics 1.14). */
export function grpcStatusOf(status: number): number {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}

/** Percent-encoding of the grpc-message header. */
function grpcMessage(text: string): string {
  return text.replace(
    /[^\x20-\x24\x26-\x7e]/g,
    (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0"),
  );
}

export function grpcFields(status: number, message: string): Field[] {
  return [
    { name: "content-type", key: "content-type", value: "application/grpc" },
    { name: "grpc-status", key: "grpc-status", value: String(status) },
    { name: "grpc-message", key: "grpc-message", value: grpcMessage(message) },
  ];
}

export async function rescue(proxy: ProxyContext, ex: Exchange, thrown: unknown): Promise<void> {
  releaseUpstream(ex);
  let error = thrown instanceof MeshError ? thrown : unexpected(proxy, ex, thrown);
  if (proxy.inbound !== null) error = applicationDown(proxy.inbound, error);
  const { responder } = ex;
  if (ex.cancelled || error.code === "P112") {
    ex.addFlag("DC");
    ex.details = "downstream_remote_disconnect";
    responder.persistent = false;
    responder.abort();
    return;
  }
  ex.addFlag(error.flag);
  if (responder.begun) {
    if (ex.details === "via_upstream") ex.details = "upstream_reset_after_response_started";
    responder.persistent = false;
    responder.abort();
    return;
  }
  if (ex.details === "") ex.details = PROXY_ERRORS[error.code] ?? "";
  // After a malformed message nobody knows where the next one begins.
  if (error.side === "downstream") responder.persistent = false;
  try {
    await errorReply(proxy, ex, error);
  } catch {
    // The client is gone: there is nobody to tell.
    responder.persistent = false;
    responder.abort();
  }
}

function errorReply(proxy: ProxyContext, ex: Exchange, error: MeshError): Promise<void> {
  const sentence = error.hint === "" ? `${error.message}.\n` : `${error.message}. ${error.hint}\n`;
  const details = error.message.replace(/[^\x20-\x7e]/g, "?").replace(/["\\]/g, "'").slice(0, 300);
  const kind = PROXY_ERRORS[error.code];
  const proxyStatus: Field = {
    name: "proxy-status",
    key: "Proxy-Status",
    value: `mesh-agent; error=${kind ?? "proxy_internal_error"}; details="[${error.code}] ${details}"`,
  };
  const fields = [proxyStatus];
  if (error.code === "P401" || error.code === "P311") {
    fields.push({ name: "x-envoy-overloaded", key: "x-envoy-overloaded", value: "true" });
  }
  const grpc = isGrpc(ex.head);
  if (grpc) {
    ex.grpcStatus = grpcStatusOf(error.status);
    fields.unshift(...grpcFields(ex.grpcStatus, error.message));
  }
  // Envoy lets a route's response operations run on its own answers too; its CORS filter comes behind the fault filter.
  if (error.code !== "P402" && ex.route !== null && ex.route.cors !== null) {
    fields.push(...corsFields(ex, ex.route.cors) ?? []);
  }
  if (ex.responseOps !== null) runOps(ex.responseOps, null, fields, formatContext(proxy, ex, null, fields));
  if (grpc) return reply(proxy, ex, 200, fields, "");
  return reply(proxy, ex, error.status, fields, sentence);
}

function unexpected(proxy: ProxyContext, ex: Exchange, thrown: unknown): MeshError {
  if (!ex.cancelled) {
    const stack = thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
    proxy.log.log("error", "a request met a mistake in the agent", { requestId: ex.requestId, error: stack });
  }
  return new MeshError("P403", "Cannot answer: the agent made a mistake", { cause: thrown });
}

/** Lets go of an upstream connection in the middle of its work. */
export function releaseUpstream(ex: Exchange): void {
  ex.onCancel = null;
  const connection = ex.upstream;
  if (connection === null) return;
  ex.upstream = null;
  connection.endpoint.active--;
  connection.close();
}
