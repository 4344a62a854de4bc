import assert from "node:assert/strict";
import type { RedirectAction, Route, RouteAction, RouteMatch } from "../model/model.ts";
import { compileRoute } from "./compile_route.ts";
import { viewOf } from "./view.ts";

const rewritten = (match: RouteMatch, action: RouteAction, path: string) =>
  compileRoute({ match, route: action }).rewritePath(path);

Deno.test("rewrite: prefix, exact, regex and the first slash", () => {
  assert.equal(rewritten({ prefix: "/foo" }, { prefixRewrite: "/" }, "/foo/bar"), "//bar");
  assert.equal(rewritten({ prefix: "/foo/" }, { prefixRewrite: "/" }, "/foo/bar"), "/bar");
  assert.equal(rewritten({ prefix: "/foo" }, { prefixRewrite: "/" }, "/foobar"), "/bar");
  assert.equal(rewritten({ path: "/foo" }, { prefixRewrite: "/x" }, "/foo"), "/x");
  assert.equal(rewritten({ safeRegex: { regex: ".*" } }, { prefixRewrite: "/x" }, "/any/thing"), "/x");
  assert.equal(rewritten({ prefix: "/" }, { prefixRewrite: "/v1" }, "/abc"), "/v1abc");
  assert.equal(
    rewritten({ prefix: "/FOO", caseSensitive: false }, { prefixRewrite: "/x" }, "/foo/a"),
    "/x/a",
  );
  const regexRewrite = { pattern: { regex: "^/([^/]+)(.*)$" }, substitution: "\\2/\\1" };
  assert.equal(rewritten({ prefix: "/" }, { regexRewrite }, "/a/b"), "/b/a");
  assert.equal(
    rewritten({ prefix: "/" }, { regexRewrite: { pattern: { regex: ".*" }, substitution: "" } }, "/a"),
    "/a",
  );
  assert.equal(compileRoute({ match: { prefix: "/" }, route: {} }).rewritesPath, false);
  assert.equal(rewritten({ pathSeparatedPrefix: "/foo" }, { prefixRewrite: "/x" }, "/foo/a"), "/x/a");
  assert.equal(rewritten({ pathSeparatedPrefix: "/foo" }, { prefixRewrite: "/x" }, "/foo"), "/x");
});

Deno.test("redirect: parts that are not named are kept", () => {
  const to = (redirect: Partial<RedirectAction>, url: string, match: RouteMatch = { prefix: "/" }) => {
    const route = compileRoute({ match, redirect: { responseCode: 301, ...redirect } });
    return route.redirect(viewOf({ method: "GET", url })).location;
  };
  assert.equal(to({ pathRedirect: "/new" }, "http://a:81/x?q=1"), "http://a:81/new?q=1");
  assert.equal(to({ pathRedirect: "/new?z" }, "http://a/x?q=1"), "http://a/new?z");
  assert.equal(to({ stripQuery: true, hostRedirect: "b" }, "http://a/x?q=1"), "http://b/x");
  assert.equal(to({ pathRedirect: "new" }, "http://a/x"), "http://a/new");
  assert.equal(to({ hostRedirect: "b:99" }, "http://a:81/x?q"), "http://b:99/x?q");
  assert.equal(to({ schemeRedirect: "https" }, "http://a:80/x"), "https://a/x");
  assert.equal(to({ schemeRedirect: "https" }, "http://a:81/x"), "https://a:81/x");
  assert.equal(to({ schemeRedirect: "http" }, "http://a:80/x"), "http://a:80/x");
  assert.equal(to({ portRedirect: 8443 }, "http://a:81/x"), "http://a:8443/x");
  assert.equal(to({ portRedirect: 8443 }, "http://[::1]:81/x"), "http://[::1]:8443/x");
  assert.equal(to({ portRedirect: 8443 }, "http://[::1]/x"), "http://[::1]:8443/x");
  assert.equal(to({ prefixRewrite: "/new" }, "http://a/old/b?q", { prefix: "/old" }), "http://a/new/b?q");
  assert.equal(to({ prefixRewrite: "/new" }, "http://a/old?q", { path: "/old" }), "http://a/new?q");
});

Deno.test("durations, retries, faults and bodies come out in plain units", () => {
  const source: Route = {
    match: { prefix: "/" },
    route: {
      cluster: "c",
      timeout: "1.500s",
      retryPolicy: {
        retryOn: "5xx, connect-failure,retriable-status-codes",
        numRetries: 3,
        perTryTimeout: "0.250s",
        retriableStatusCodes: [503],
        retryBackOff: { baseInterval: "0.010s" },
      },
    },
    typedPerFilterConfig: {
      "envoy.filters.http.fault": {
        delay: { fixedDelay: "2s", percentage: { numerator: 25, denominator: "HUNDRED" } },
        abort: { grpcStatus: 14, percentage: { numerator: 1, denominator: "MILLION" } },
      },
    },
  };
  const route = compileRoute(source);
  assert.equal(route.timeoutMs, 1500);
  assert.deepEqual([...route.retry?.on ?? []], ["5xx", "connect-failure", "retriable-status-codes"]);
  assert.equal(route.retry?.perTryTimeoutMs, 250);
  assert.equal(route.retry?.maxIntervalMs, 100);
  assert.deepEqual(route.fault, {
    delayPerMillion: 250_000,
    delayMs: 2000,
    abortPerMillion: 1,
    httpStatus: 0,
    grpcStatus: 14,
  });
  assert.equal(compileRoute({ match: { prefix: "/" }, route: { cluster: "c" } }).timeoutMs, 15_000);
  const direct = compileRoute({
    match: { prefix: "/" },
    directResponse: { status: 200, body: { inlineBytes: btoa("hé") } },
  });
  assert.deepEqual([...direct.direct?.body ?? []], [104, 233]);
});
