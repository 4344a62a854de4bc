/**
 * What a route does -> the model: forward, redirect, answer.
 *
 * Forwarding that the agent cannot perform as told (cluster chosen by a header or plugin, endpoints chosen by metadata, paths
 * rewritten by a template) becomes an answer 501 that says so, and a note: passing the request on to somewhere else, or letting
 * a later route have it, would misroute it, and refusing the whole table would freeze its neighbours.
 */
import type {
  ClusterWeight,
  DirectResponseAction,
  HashPolicy,
  RedirectAction,
  RequestMirrorPolicy,
  RetryPolicy,
  Route,
  RouteAction,
} from "../model/model.ts";
import { substitutionError } from "../route/regex.ts";
import type { Messages, Schema } from "../../protos/schema.ts";
import { decodeHeaders } from "./decode_route_headers.ts";
import { checkRegex } from "./decode_route_match.ts";
import { durationText, type Findings, fractionalPercent, isLine, isPositive } from "./values.ts";

/** What outer levels say for routes that say nothing themselves. */
export interface ActionDefaults {
  readonly retryPolicy: RetryPolicy | undefined;
  readonly mirrors: readonly RequestMirrorPolicy[];
}

export type Action = Pick<Route, "route" | "redirect" | "directResponse">;

export function decodeAction(
  schema: Schema,
  route: Messages["Route"],
  at: string,
  found: Findings,
  defaults: ActionDefaults,
): Action {
  if (route.route !== null) return decodeForward(schema, route.route, `${at}.route`, found, defaults);
  if (route.redirect !== null) return decodeRedirect(route.redirect, `${at}.redirect`, found);
  if (route.direct_response !== null) {
    return { directResponse: decodeDirect(route.direct_response, `${at}.direct_response`, found) };
  }
  if (route.filter_action !== null) return unable("filter_action", at, found);
  if (route.non_forwarding_action !== null) return unable("non_forwarding_action", at, found);
  found.problem(
    at,
    "Cannot use a route without an action: none is set; wanted is route, redirect or direct_response",
  );
  return {};
}

/** The answer of a route that cannot be performed. */
function unable(field: string, at: string, found: Findings): Action {
  found.note(
    `${at}.${field}`,
    `Cannot execute ${field}: the agent does not know it; requests of this route are answered 501`,
  );
  return {
    directResponse: {
      status: 501,
      body: { inlineString: `mesh-agent cannot execute ${field} of this route\n` },
    },
  };
}

function decodeForward(
  schema: Schema,
  m: Messages["RouteAction"],
  at: string,
  found: Findings,
  defaults: ActionDefaults,
): Action {
  const impossible = impossibleField(m);
  if (impossible !== undefined) return unable(impossible, at, found);
  for (
    const field of [
      "auto_host_rewrite",
      "host_rewrite_header",
      "host_rewrite_path_regex",
      "host_rewrite",
    ] as const
  ) {
    const value = m[field];
    if (value !== null && !(typeof value === "object" && "value" in value && !value.value)) {
      found.note(`${at}.${field}`, `Cannot rewrite Host by ${field}: it is sent on as it came`);
    }
  }
  const timeout = durationText(m.timeout);
  const maxGrpcTimeout = durationText(
    m.max_grpc_timeout ?? m.max_stream_duration?.grpc_timeout_header_max ?? null,
  );
  const retryPolicy = m.retry_policy === null
    ? defaults.retryPolicy
    : decodeRetry(schema, m.retry_policy, `${at}.retry_policy`, found);
  const hashPolicy = m.hash_policy.flatMap((p, i) => decodeHash(p, `${at}.hash_policy[${i}]`, found));
  const own = m.request_mirror_policies.length > 0 || m.request_mirror_policy === null
    ? decodeMirrors(m.request_mirror_policies, `${at}.request_mirror_policies`, found)
    : decodeMirrors([m.request_mirror_policy], `${at}.request_mirror_policy`, found);
  const mirrors = own.length > 0 ? own : defaults.mirrors;
  isLine(m.host_rewrite_literal ?? "", `${at}.host_rewrite_literal`, found);
  const route: RouteAction = {
    ...decodeClusters(m, at, found),
    ...decodeRewrite(m, at, found),
    ...(m.host_rewrite_literal ? { hostRewriteLiteral: m.host_rewrite_literal } : {}),
    ...(timeout === undefined ? {} : { timeout }),
    ...(maxGrpcTimeout === undefined ? {} : { maxGrpcTimeout }),
    ...(retryPolicy === undefined ? {} : { retryPolicy }),
    ...(mirrors.length === 0 ? {} : { requestMirrorPolicies: mirrors }),
    ...(hashPolicy.length === 0 ? {} : { hashPolicy }),
  };
  return { route };
}

function impossibleField(m: Messages["RouteAction"]): string | undefined {
  if (m.metadata_match !== null) return "metadata_match";
  if (m.path_rewrite !== "") return "path_rewrite";
  if (m.path_rewrite_policy !== null) return "path_rewrite_policy";
  if (m.cluster_header !== null) return "cluster_header";
  if (m.cluster_specifier_plugin !== null) return "cluster_specifier_plugin";
  if (m.inline_cluster_specifier_plugin !== null) return "inline_cluster_specifier_plugin";
  if (m.weighted_clusters?.clusters.some((c) => c.name === "" && c.cluster_header !== "") === true) {
    return "weighted_clusters.clusters.cluster_header";
  }
  return undefined;
}

function decodeClusters(
  m: Messages["RouteAction"],
  at: string,
  found: Findings,
): Pick<RouteAction, "cluster" | "weightedClusters"> {
  if (m.weighted_clusters === null) {
    if (!m.cluster) {
      found.problem(
        at,
        "Cannot forward without a cluster: none is named; wanted is cluster or weighted_clusters",
      );
    }
    return { cluster: m.cluster ?? "" };
  }
  const place = `${at}.weighted_clusters`;
  const clusters = m.weighted_clusters.clusters.map((c, i) =>
    decodeClusterWeight(c, `${place}.clusters[${i}]`, found)
  );
  // Shares are of the sum, also where v2's total_weight says otherwise: 0.8.0 makes 100/100/100 of 0/0/100.
  if (clusters.every((c) => c.weight === 0)) {
    found.problem(
      place,
      `Cannot divide requests among ${clusters.length} clusters: the sum of their weights is 0; more is wanted`,
    );
  }
  return { weightedClusters: { clusters } };
}

function decodeClusterWeight(
  m: Messages["WeightedCluster.ClusterWeight"],
  at: string,
  found: Findings,
): ClusterWeight {
  if (m.name === "") {
    found.problem(`${at}.name`, "Cannot forward to a cluster without a name: a name is wanted");
  }
  isLine(m.host_rewrite_literal ?? "", `${at}.host_rewrite_literal`, found);
  return {
    name: m.name,
    weight: m.weight?.value ?? 0,
    ...decodeHeaders(m, at, found),
    ...(m.host_rewrite_literal ? { hostRewriteLiteral: m.host_rewrite_literal } : {}),
  };
}

function decodeRewrite(
  m: Messages["RouteAction"],
  at: string,
  found: Findings,
): Pick<RouteAction, "regexRewrite" | "prefixRewrite"> {
  if (m.regex_rewrite !== null) {
    return { regexRewrite: decodeRegexRewrite(m.regex_rewrite, `${at}.regex_rewrite`, found) };
  }
  isLine(m.prefix_rewrite, `${at}.prefix_rewrite`, found);
  return m.prefix_rewrite === "" ? {} : { prefixRewrite: m.prefix_rewrite };
}

function decodeRegexRewrite(
  m: Messages["RegexMatchAndSubstitute"],
  at: string,
  found: Findings,
): NonNullable<RouteAction["regexRewrite"]> {
  const regex = checkRegex(m.pattern?.regex ?? "", `${at}.pattern.regex`, found);
  const error = substitutionError(regex, m.substitution);
  if (error !== undefined) {
    found.problem(
      `${at}.substitution`,
      `Cannot rewrite to "${m.substitution}": ${error}; RE2's \\0 to \\9 are wanted`,
    );
  }
  isLine(m.substitution, `${at}.substitution`, found);
  return { pattern: { regex }, substitution: m.substitution };
}

export function decodeRetry(
  schema: Schema,
  m: Messages["RetryPolicy"],
  at: string,
  found: Findings,
): RetryPolicy {
  if (m.retriable_headers.length > 0) {
    found.note(`${at}.retriable_headers`, "Cannot retry by response headers: they are not looked at");
  }
  if (m.retriable_request_headers.length > 0) {
    found.note(`${at}.retriable_request_headers`, "Cannot retry certain requests only: all are retried");
  }
  const previousHosts = m.retry_host_predicate.some((p) =>
    p.name.endsWith("retry_host_predicates.previous_hosts") ||
    p.typed_config?.type_url.endsWith(".PreviousHostsPredicate") === true
  );
  const updateFrequency = m.retry_priority === null ? 0 : updateFrequencyOf(schema, m.retry_priority);
  const base = durationText(m.retry_back_off?.base_interval ?? null);
  const max = durationText(m.retry_back_off?.max_interval ?? null);
  return {
    retryOn: m.retry_on,
    numRetries: m.num_retries?.value ?? 1,
    ...(isPositive(m.per_try_timeout) ? { perTryTimeout: durationText(m.per_try_timeout) as string } : {}),
    ...(m.retriable_status_codes.length === 0 ? {} : { retriableStatusCodes: m.retriable_status_codes }),
    ...(base === undefined
      ? {}
      : { retryBackOff: { baseInterval: base, ...(max === undefined ? {} : { maxInterval: max }) } }),
    ...(updateFrequency === 0 ? {} : { retryPriority: { updateFrequency } }),
    ...(previousHosts ? { avoidPreviousHosts: true } : {}),
    ...(m.host_selection_retry_max_attempts === 0
      ? {}
      : { hostSelectionRetryMaxAttempts: m.host_selection_retry_max_attempts }),
  };
}

/** PreviousPrioritiesConfig { int32 update_frequency = 1 }; 0 for another plugin. */
function updateFrequencyOf(schema: Schema, m: Messages["RetryPolicy.RetryPriority"]): number {
  if (m.typed_config !== null && m.typed_config.type_url.endsWith(".PreviousPrioritiesConfig")) {
    return schema.decode("UInt32Value", m.typed_config.value).value;
  }
  return m.config?.fields.update_frequency?.number_value ?? 0;
}

export function decodeMirrors(
  policies: readonly Messages["RouteAction.RequestMirrorPolicy"][],
  at: string,
  found: Findings,
): RequestMirrorPolicy[] {
  return policies.flatMap((m, i) => {
    if (m.cluster === "") {
      found.note(`${at}[${i}]`, "Cannot mirror to a cluster that a header names: nothing is mirrored");
      return [];
    }
    const fraction = m.runtime_fraction?.default_value;
    const runtimeFraction = fraction ? fractionalPercent(fraction) : undefined;
    return [{
      cluster: m.cluster,
      ...(runtimeFraction === undefined ? {} : { runtimeFraction }),
      ...(m.disable_shadow_host_suffix_append ? { disableShadowHostSuffixAppend: true } : {}),
    }];
  });
}

function decodeHash(m: Messages["RouteAction.HashPolicy"], at: string, found: Findings): HashPolicy[] {
  if (m.header !== null) return [{ header: { headerName: m.header.header_name } }];
  if (m.query_parameter !== null) return [{ queryParameter: { name: m.query_parameter.name } }];
  if (m.connection_properties !== null) {
    return [{ connectionProperties: { sourceIp: m.connection_properties.source_ip } }];
  }
  if (m.cookie !== null) {
    const { name, path, attributes } = m.cookie;
    const ttl = durationText(m.cookie.ttl);
    return [{
      cookie: {
        name,
        ...(ttl === undefined ? {} : { ttl }),
        ...(path === "" ? {} : { path }),
        ...(attributes.length === 0
          ? {}
          : { attributes: attributes.map((a) => ({ name: a.name, value: a.value })) }),
      },
    }];
  }
  found.note(
    at,
    "Cannot hash by this policy: wanted is header, cookie, source IP or query parameter; it is left out",
  );
  return [];
}

const REDIRECT_CODES = [301, 302, 303, 307, 308] as const;

function decodeRedirect(m: Messages["RedirectAction"], at: string, found: Findings): Action {
  const scheme = m.https_redirect === true ? "https" : m.scheme_redirect ?? "";
  if (m.regex_rewrite !== null) return unable("regex_rewrite", at, found);
  if (scheme !== "" && scheme !== "http" && scheme !== "https") return unable("scheme_redirect", at, found);
  const responseCode = REDIRECT_CODES[m.response_code];
  if (responseCode === undefined) {
    found.problem(
      `${at}.response_code`,
      `Cannot redirect with response code "${m.response_code}": 0 to 4 (301, 302, 303, 307, 308) are wanted`,
    );
  }
  for (const field of ["path_redirect", "prefix_rewrite", "host_redirect"] as const) {
    isLine(m[field] ?? "", `${at}.${field}`, found);
  }
  const redirect: RedirectAction = {
    ...(m.path_redirect ? { pathRedirect: m.path_redirect } : {}),
    ...(m.prefix_rewrite ? { prefixRewrite: m.prefix_rewrite } : {}),
    ...(m.host_redirect === "" ? {} : { hostRedirect: m.host_redirect }),
    ...(scheme === "" ? {} : { schemeRedirect: scheme }),
    ...(m.port_redirect === 0 ? {} : { portRedirect: m.port_redirect }),
    ...(m.strip_query ? { stripQuery: true } : {}),
    responseCode: responseCode ?? 301,
  };
  return { redirect };
}

function decodeDirect(
  m: Messages["DirectResponseAction"],
  at: string,
  found: Findings,
): DirectResponseAction {
  if (m.status < 200 || m.status >= 600) {
    found.problem(
      `${at}.status`,
      `Cannot answer with status "${m.status}": it is no final HTTP status; 200 to 599 are wanted`,
    );
  }
  const { status, body } = m;
  if (body === null) return { status };
  if (body.inline_string !== null) return { status, body: { inlineString: body.inline_string } };
  if (body.inline_bytes !== null) return { status, body: { inlineBytes: base64(body.inline_bytes) } };
  found.note(`${at}.body`, "Cannot answer with a body that is not inline: the answer has none");
  return { status };
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
