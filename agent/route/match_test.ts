import assert from "node:assert/strict";
import type { RouteMatch } from "../model/model.ts";
import { compileMatch, queryParameter } from "./match.ts";
import { viewOf } from "./view.ts";

function judge(match: RouteMatch, url: string, headers: [string, string][] = [], method = "GET"): string {
  const view = viewOf({ method, url, headers });
  const failing = compileMatch(match).find((c) => !c.test(view));
  return failing === undefined ? "match" : failing.explain(view);
}

Deno.test("path: exact, prefix, regex, case", () => {
  assert.equal(judge({ path: "/a" }, "http://h/a?x"), "match");
  assert.equal(judge({ path: "/a" }, "http://h/A"), 'path: wanted exact "/a", request has "/A"');
  assert.equal(judge({ path: "/a", caseSensitive: false }, "http://h/A"), "match");
  assert.equal(judge({ prefix: "/foo" }, "http://h/foobar"), "match");
  assert.equal(judge({ prefix: "/FOO", caseSensitive: false }, "http://h/foobar"), "match");
  assert.equal(judge({ prefix: "" }, "http://h/foobar"), "match");
  const segments = { pathSeparatedPrefix: "/a" };
  for (const path of ["/a", "/a/", "/a/b", "/a?x"]) assert.equal(judge(segments, `http://h${path}`), "match");
  assert.equal(
    judge(segments, "http://h/ab"),
    'path: wanted exact "/a" or prefix "/a/", request has "/ab"',
  );
  assert.equal(judge({ ...segments, caseSensitive: false }, "http://h/A/b"), "match");
  assert.equal(judge({ prefix: "/b" }, "http://h/a"), 'path: wanted prefix "/b", request has "/a"');
  assert.equal(
    judge({ safeRegex: { regex: "/a" } }, "http://h/a/b"),
    'path: wanted regex "/a", request has "/a/b"',
  );
  assert.equal(
    judge({ safeRegex: { regex: "/A" }, caseSensitive: false }, "http://h/a"),
    'path: wanted regex "/A", request has "/a"',
  );
  assert.match(judge({ safeRegex: { regex: "(" } }, "http://h/a"), /which is invalid: missing closing \)/);
});

Deno.test("headers: values, presence, inversion, missing as empty", () => {
  const h = (m: object) => ({ prefix: "/", headers: [{ name: "end-user", ...m }] });
  const jason: [string, string][] = [["End-User", "jason"]];
  assert.equal(judge(h({ stringMatch: { exact: "jason" } }), "http://h/", jason), "match");
  assert.equal(
    judge(h({ stringMatch: { exact: "jason" } }), "http://h/"),
    'header end-user: wanted exact "jason", request has none',
  );
  assert.equal(judge(h({ stringMatch: { exact: "" } }), "http://h/", [["end-user", ""]]), "match");
  assert.equal(
    judge(h({ stringMatch: { exact: "a,b" } }), "http://h/", [["end-user", "a"], ["end-user", "b"]]),
    "match",
  );
  assert.equal(
    judge(h({ presentMatch: true }), "http://h/"),
    "header end-user: wanted it to be present, request has none",
  );
  assert.equal(
    judge(h({ presentMatch: true, invertMatch: true }), "http://h/", jason),
    'header end-user: wanted it to be absent, request has "jason"',
  );
  const without = { stringMatch: { exact: "jason" }, invertMatch: true, treatMissingHeaderAsEmpty: true };
  assert.equal(judge(h(without), "http://h/"), "match");
  assert.equal(
    judge(h(without), "http://h/", jason),
    'header end-user: wanted anything but exact "jason", request has "jason"',
  );
  assert.equal(
    judge(h({ ...without, stringMatch: { exact: "" } }), "http://h/"),
    'header end-user: wanted anything but exact "", request has none',
  );
  assert.equal(
    judge(h({ stringMatch: { exact: "x" }, invertMatch: true }), "http://h/"),
    'header end-user: wanted anything but exact "x", request has none',
  );
  assert.equal(judge(h({ rangeMatch: { start: 1, end: 10 } }), "http://h/", [["end-user", "9"]]), "match");
  assert.match(
    judge(h({ rangeMatch: { start: 1, end: 10 } }), "http://h/", [["end-user", "10"]]),
    /whole number from 1/,
  );
});

Deno.test("pseudo headers: method, scheme, authority with its port", () => {
  const m = (name: string, exact: string) => ({ prefix: "/", headers: [{ name, stringMatch: { exact } }] });
  assert.equal(judge(m(":method", "POST"), "http://h/", [], "POST"), "match");
  assert.equal(judge(m(":method", "POST"), "http://h/"), 'method: wanted exact "POST", request has "GET"');
  assert.equal(judge(m(":scheme", "http"), "http://h/"), "match");
  assert.equal(judge(m(":authority", "h:80"), "http://h:80/"), "match");
  assert.equal(
    judge(m(":authority", "h:80"), "http://h/"),
    'authority: wanted exact "h:80", request has "h"',
  );
});

Deno.test("query parameters: the first occurrence, raw", () => {
  const q = (stringMatch: object | undefined) => ({
    prefix: "/",
    queryParameters: [{ name: "x", ...(stringMatch ? { stringMatch } : { presentMatch: true }) }],
  });
  assert.equal(judge(q({ exact: "1" }), "http://h/?x=1&x=2"), "match");
  assert.equal(
    judge(q({ exact: "2" }), "http://h/?x=1&x=2"),
    'query parameter x: wanted exact "2", request has "1"',
  );
  assert.equal(
    judge(q({ exact: "1" }), "http://h/?x=%31"),
    'query parameter x: wanted exact "1", request has "%31"',
  );
  assert.equal(judge(q(undefined), "http://h/?x"), "match");
  assert.equal(
    judge(q(undefined), "http://h/?xx=1"),
    "query parameter x: wanted it to be present, request has none",
  );
  assert.equal(queryParameter("ax=1&x=2", "x"), "2");
  assert.equal(queryParameter("x=a=b", "x"), "a=b");
  assert.equal(queryParameter("", "x"), undefined);
});

Deno.test("bytes above 127 compare as UTF-8", () => {
  const m = { prefix: "/", headers: [{ name: "x", stringMatch: { exact: "é" } }] };
  assert.equal(judge(m, "http://h/", [["x", "é"]]), "match");
  assert.equal(
    judge(
      { prefix: "/", headers: [{ name: "x", stringMatch: { safeRegex: { regex: "." } } }] },
      "http://h/",
      [["x", "é"]],
    ),
    "match",
  );
});
