/**
 * What came of a request, in a form in which two proxies can be compared. The documented differences between Envoy and
 * the agent are the lists of this file and nothing else.
 */
import { type RawResponse, SEEN_HEADER, seenOf, UPSTREAM_HEADER } from "./raw_http.ts";

/**
 * Headers on which the two may differ, with the reason.
 * Request headers as the upstream saw them:
 */
const REQUEST_IGNORED: Readonly<Record<string, string>> = {
  "x-request-id": "a fresh random id in both",
  "x-forwarded-for": "the agent names the application; Envoy, as Istio sets it up, adds nothing on this side",
  "content-length": "Envoy writes `content-length: 0` for some methods without a body",
  "grpc-timeout":
    "Envoy writes a rule's timeout into calls (max_grpc_timeout); the agent keeps to it itself and leaves the client's word",
  "connection": "belongs to the hop",
  "transfer-encoding": "belongs to the hop",
};

/** Response headers as the client saw them. */
const RESPONSE_IGNORED: Readonly<Record<string, string>> = {
  "date": "each writes its own clock",
  "server": "Envoy names itself in its own answers",
  "connection": "belongs to the hop",
  "keep-alive": "belongs to the hop",
  "transfer-encoding": "belongs to the hop",
  "content-length": "follows from the body, which is compared where it matters",
  "proxy-status": "the agent explains its own answers (RFC 9209)",
  "grpc-message": "the agent explains its own answers",
  [SEEN_HEADER]: "compared field by field",
};

/** Envoy's `x-envoy-*` headers are its own business; the agent writes a few of them. */
const VENDOR = /^x-envoy-/;

export interface Outcome {
  readonly status: number;
  readonly location: string;
  /** Name of the upstream that answered, empty for an answer of the proxy's own. */
  readonly upstream: string;
  /** Request as that upstream saw it. */
  readonly seen: string;
  /** Response headers, sorted; only rule-made ones when the answer is the proxy's own. */
  readonly headers: string;
  /** Body of direct responses and of upstreams; not of errors, which the agent explains in a sentence. */
  readonly body: string;
}

/** `ruled`: the answer is a rule's own (a direct response), so its body and content type are compared as well. */
export function outcomeOf(response: RawResponse, ruled: boolean): Outcome {
  const get = (name: string) => response.headers.find(([k]) => k === name)?.[1] ?? "";
  const seen = seenOf(response);
  const compared = seen !== undefined || ruled;
  return {
    status: response.status,
    location: get("location"),
    upstream: get(UPSTREAM_HEADER),
    seen: seen === undefined ? "" : [
      `HTTP/${seen.version} ${seen.method} ${seen.target}`,
      ...lines(seen.headers, REQUEST_IGNORED),
      `body ${seen.body.length} bytes`,
    ].join("\n"),
    headers: lines(
      response.headers,
      compared ? RESPONSE_IGNORED : { ...RESPONSE_IGNORED, "content-type": "error" },
    )
      .join("\n"),
    body: compared ? response.body : "",
  };
}

function lines(
  headers: readonly (readonly [string, string])[],
  ignored: Readonly<Record<string, string>>,
): string[] {
  const kept = headers.filter(([k]) => ignored[k] === undefined && !VENDOR.test(k));
  // Stable: values of one name stay in their order.
  return kept.toSorted(([a], [b]) => a < b ? -1 : a > b ? 1 : 0).map(([k, v]) => `${k}: ${v}`);
}

/** The fields in which two outcomes differ, each with both values; empty when they agree. */
export function differences(envoy: Outcome, own: Outcome): string[] {
  return (Object.keys(envoy) as (keyof Outcome)[])
    .filter((k) => envoy[k] !== own[k])
    .map((k) => `${k}:\n    Envoy ${JSON.stringify(envoy[k])}\n    agent ${JSON.stringify(own[k])}`);
}
