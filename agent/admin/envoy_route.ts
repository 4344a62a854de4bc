/** Routes of the model as Envoy's JSON: the same names, plus what the model flattens (extensions, enums). */
import type { RedirectAction, RetryPolicy, Route, RouteAction } from "../model/model.ts";
import { extension, type Json, type JsonObject, plain } from "./envoy_json.ts";

const REDIRECT_CODES: Readonly<Record<RedirectAction["responseCode"], string>> = {
  301: "MOVED_PERMANENTLY",
  302: "FOUND",
  303: "SEE_OTHER",
  307: "TEMPORARY_REDIRECT",
  308: "PERMANENT_REDIRECT",
};

const FILTER_MESSAGES: Readonly<Record<string, string>> = {
  "envoy.filters.http.fault": "envoy.extensions.filters.http.fault.v3.HTTPFault",
  "envoy.filters.http.cors": "envoy.extensions.filters.http.cors.v3.CorsPolicy",
};

export function envoyRoute(route: Route): JsonObject {
  const perFilter: Record<string, Json> = {};
  for (const [name, config] of Object.entries(route.typedPerFilterConfig ?? {})) {
    const message = FILTER_MESSAGES[name];
    if (message === undefined || config === undefined) continue;
    perFilter[name] = { "@type": `type.googleapis.com/${message}`, ...plain(config) };
  }
  return {
    ...plain(route, "origin", "typedPerFilterConfig", "route", "redirect", "directResponse"),
    ...(route.route === undefined ? {} : { route: envoyAction(route.route) }),
    ...(route.redirect === undefined ? {} : {
      redirect: { ...plain(route.redirect), responseCode: REDIRECT_CODES[route.redirect.responseCode] },
    }),
    ...(route.directResponse === undefined ? {} : { directResponse: plain(route.directResponse) }),
    ...(Object.keys(perFilter).length === 0 ? {} : { typedPerFilterConfig: perFilter }),
  };
}

function envoyAction(action: RouteAction): JsonObject {
  const { retryPolicy, requestMirrorPolicies } = action;
  return {
    // maxGrpcTimeout stays, as istiod sends it: what replaces it in Envoy leaves calls without a grpc-timeout unbounded.
    ...plain(action, "retryPolicy", "requestMirrorPolicies"),
    ...(retryPolicy === undefined ? {} : { retryPolicy: envoyRetry(retryPolicy) }),
    ...(requestMirrorPolicies === undefined ? {} : {
      requestMirrorPolicies: requestMirrorPolicies.map((m) => ({
        ...plain(m, "runtimeFraction"),
        ...(m.runtimeFraction === undefined
          ? {}
          : { runtimeFraction: { defaultValue: plain(m.runtimeFraction) } }),
      })),
    }),
  };
}

function envoyRetry(policy: RetryPolicy): JsonObject {
  const { retryPriority, avoidPreviousHosts } = policy;
  const retry = "envoy.extensions.retry";
  return {
    ...plain(policy, "retryPriority", "avoidPreviousHosts"),
    ...(avoidPreviousHosts === true
      ? {
        retryHostPredicate: [
          extension(
            "envoy.retry_host_predicates.previous_hosts",
            `${retry}.host.previous_hosts.v3.PreviousHostsPredicate`,
            {},
          ),
        ],
      }
      : {}),
    ...(retryPriority === undefined ? {} : {
      retryPriority: extension(
        "envoy.retry_priorities.previous_priorities",
        `${retry}.priority.previous_priorities.v3.PreviousPrioritiesConfig`,
        plain(retryPriority),
      ),
    }),
  };
}
