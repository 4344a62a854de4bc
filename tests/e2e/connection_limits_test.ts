/** A DestinationRule's connectionPool from a rule file to the answer, the log's flag and the metrics. */
import assert from "node:assert/strict";
import { startAgentProcess } from "../harness/agent.ts";
import { within } from "../harness/bytes.ts";
import { RawClient } from "../harness/client.ts";
import { makeConf, serviceEntry } from "../harness/conf.ts";
import { startUpstream } from "../harness/upstream.ts";

const RULE = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: svc}
spec:
  host: svc.test
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 1, tcpKeepalive: {}}
      http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 2, idleTimeout: 10s}
`;
const GET = "GET / HTTP/1.1\r\nHost: svc.test\r\nConnection: close\r\n\r\n";

Deno.test("connectionPool of a DestinationRule is kept", async () => {
  const answer = Promise.withResolvers<void>();
  await using upstream = startUpstream(async (link) => {
    while (await link.request() !== undefined) {
      await answer.promise;
      await link.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
  });
  await using conf = await makeConf({
    files: { "rules/svc.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }), "rules/dr.yaml": RULE },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  using first = await RawClient.connect(agent.http);
  await first.send(GET);
  await within(upstream.nth(0), "the first request");
  // Two more: whichever comes second waits, the other is one too many.
  using second = await RawClient.connect(agent.http);
  using third = await RawClient.connect(agent.http);
  await Promise.all([second.send(GET), third.send(GET)]);
  const early = await within(Promise.race([second.toEnd(), third.toEnd()]), "a refusal");
  assert.match(early, /^HTTP\/1.1 503 [^]*\[P311\][^]*x-envoy-overloaded: true\r\n/);
  const metrics = async (): Promise<string> =>
    await (await fetch(`http://127.0.0.1:${agent.admin.port}/stats/prometheus`)).text();
  const busy = await metrics();
  for (
    const line of [
      'mesh_agent_cluster_limit_used{cluster="outbound|80||svc.test",of="connections"} 1',
      'mesh_agent_cluster_limit_used{cluster="outbound|80||svc.test",of="pending_requests"} 1',
      "mesh_agent_upstream_rq_pending_overflow_total 1",
      'mesh_agent_response_flags_total{flag="UO"} 1',
    ]
  ) assert.ok(busy.includes(`${line}\n`), `${line} in\n${busy}`);
  answer.resolve();
  assert.match(await within(first.toEnd(), "the first answer"), /^HTTP\/1.1 200 /);
  await within(upstream.nth(1), "the request that waited");
  assert.equal(upstream.links.length, 1);
  using fourth = await RawClient.connect(agent.http);
  await fourth.send(GET);
  assert.match(await within(fourth.toEnd(), "the last answer"), /^HTTP\/1.1 200 /);
  // The first connection had its two requests.
  assert.equal(upstream.links.length, 2);
});
