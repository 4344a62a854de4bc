import assert from "node:assert/strict";
import { GET, got, rig, send } from "./proxy_fixture_test.ts";

const DELAY = {
  "envoy.filters.http.fault": {
    delay: { fixedDelay: "5s", percentage: { numerator: 100, denominator: "HUNDRED" as const } },
  },
};

Deno.test("bytes that come while a request is held back do not get into its head", async () => {
  const r = rig({ extra: { typedPerFilterConfig: DELAY }, upstream: () => {} });
  const c = r.client();
  send(c, "GET /first HTTP/1.1\r\nHost: svc\r\nX-One: 1\r\n\r\n");
  await r.clock.advance(1000);
  send(c, "GET /second-and-longer HTTP/1.1\r\nHost: svc\r\nX-Evil: 1\r\nX-More: 2\r\n\r\n");
  await r.clock.advance(5000);
  const seen = got(r.upstreams[0]!);
  assert.match(seen, /^GET \/first HTTP\/1.1\r\nHost: svc\r\nX-One: 1\r\n/);
  assert.doesNotMatch(seen, /Evil|second/);
  r.proxy.close();
});
