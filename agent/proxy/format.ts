/** What the `%COMMAND%` operators of header rules say about an exchange. */
import type { FormatContext } from "../route/headers.ts";
import { type MessageHead, REMOVED } from "../wire/http1/head.ts";
import type { ProxyContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import type { Field } from "./fields.ts";

/** Reads headers as they stand at that moment: rewritten, without what rules removed, with what they added (as Envoy). */
export function formatContext(
  proxy: ProxyContext,
  ex: Exchange,
  response: MessageHead | null,
  responseFields: readonly Field[] = [],
): FormatContext {
  const view = ex.view;
  return {
    request(name) {
      switch (name) {
        case ":method":
          return ex.method;
        case ":authority":
          return ex.sentHost === "" ? ex.authority : ex.sentHost;
        case ":scheme":
          return view?.scheme;
        case ":path": {
          if (view === null) return undefined;
          const path = ex.sentPath === "" ? view.path : ex.sentPath;
          return view.query === undefined ? path : `${path}?${view.query}`;
        }
        case "x-request-id":
          return ex.requestId;
        case "x-forwarded-for":
          return ex.forwardedFor;
        case "x-forwarded-proto":
          return ex.head.value(name) ?? view?.scheme;
        case "host":
          return ex.sentHost === "" ? ex.authority : ex.sentHost;
        default:
          return firstValue(ex.head, ex.requestFields, name);
      }
    },
    response: (name) => name === ":status" ? String(ex.status) : firstValue(response, responseFields, name),
    command: (name, argument) => command(proxy, ex, name, argument),
  };
}

/** The first line of that name which no rule removed, else the first that one added. */
function firstValue(
  head: MessageHead | null,
  fields: readonly Field[] | null,
  name: string,
): string | undefined {
  for (let i = 0; head !== null && i < head.count; i++) {
    if (head.kinds[i] !== REMOVED && head.nameAt(i).toLowerCase() === name) return head.valueAt(i);
  }
  return fields?.find((f) => f.name === name)?.value;
}

function command(proxy: ProxyContext, ex: Exchange, name: string, argument: string): string | undefined {
  switch (name) {
    case "DOWNSTREAM_REMOTE_ADDRESS":
    case "DOWNSTREAM_DIRECT_REMOTE_ADDRESS":
      return `${ex.remote.hostname}:${ex.remote.port}`;
    case "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":
    case "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT":
      return ex.remote.hostname;
    case "DOWNSTREAM_REMOTE_PORT":
    case "DOWNSTREAM_DIRECT_REMOTE_PORT":
      return String(ex.remote.port);
    case "DOWNSTREAM_LOCAL_ADDRESS":
      return `${ex.local.hostname}:${ex.local.port}`;
    case "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":
      return ex.local.hostname;
    case "DOWNSTREAM_LOCAL_PORT":
      return String(ex.local.port);
    case "PROTOCOL":
      return ex.http2 ? "HTTP/2" : `HTTP/1.${ex.head.minor}`;
    case "RESPONSE_CODE":
      // Envoy counts an answer of its own as 0 while its headers are made.
      return String(ex.upstream === null ? 0 : ex.status);
    case "RESPONSE_CODE_DETAILS":
      return ex.details === "" ? undefined : ex.details;
    case "RESPONSE_FLAGS":
      return ex.flags === "" ? "-" : ex.flags;
    case "ROUTE_NAME":
      return ex.route?.name;
    case "START_TIME":
      return argument === ""
        ? new Date(proxy.clock.now()).toISOString()
        : strftime(argument, proxy.clock.now());
    case "STREAM_ID":
      return ex.requestId;
    case "UPSTREAM_CLUSTER":
      return ex.cluster;
    case "UPSTREAM_HOST":
    case "UPSTREAM_REMOTE_ADDRESS":
      return ex.upstreamHost === "" ? undefined : ex.upstreamHost;
    case "UPSTREAM_REMOTE_PORT":
      return ex.upstream === null ? undefined : String(ex.upstream.endpoint.port);
    case "HOSTNAME":
      return proxy.config.workload.podName;
    case "BYTES_RECEIVED":
      return String(ex.body.received);
    case "BYTES_SENT":
      return String(ex.responder.sent);
    case "DURATION":
    case "REQUEST_DURATION":
      return String(Math.round(proxy.clock.monotonic() - ex.startMs));
    default:
      return undefined;
  }
}

/** The operators of strftime that Envoy's documentation shows, UTC. */
function strftime(format: string, ms: number): string {
  const iso = new Date(ms).toISOString();
  const parts: Readonly<Record<string, string>> = {
    Y: iso.slice(0, 4),
    m: iso.slice(5, 7),
    d: iso.slice(8, 10),
    H: iso.slice(11, 13),
    M: iso.slice(14, 16),
    S: iso.slice(17, 19),
    s: String(Math.floor(ms / 1000)),
    F: iso.slice(0, 10),
    T: iso.slice(11, 19),
    z: "+0000",
    Z: "UTC",
    "%": "%",
  };
  return format
    .replace(
      /%([1-9])f/g,
      (_, n) => String(Math.floor(ms % 1000)).padStart(3, "0").padEnd(9, "0").slice(0, Number(n)),
    )
    .replace(/%3f/g, iso.slice(20, 23))
    .replace(/%([YmdHMSsFTzZ%])/g, (_, c) => parts[c] as string);
}
