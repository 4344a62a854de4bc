import assert from "node:assert/strict";
import { recordOf } from "../../tests/harness/record.ts";
import { createHistogram } from "./histogram.ts";
import { createObserver } from "./observer.ts";

Deno.test("histogram: a value on a bound belongs to it, buckets accumulate", () => {
  const h = createHistogram([1, 5, 10]);
  for (const value of [0, 1, 1.1, 5, 10, 11, NaN]) h.observe(value);
  assert.equal(
    h.expose("x", ""),
    'x_bucket{le="1"} 2\nx_bucket{le="5"} 4\nx_bucket{le="10"} 5\nx_bucket{le="+Inf"} 6\nx_sum 28.1\nx_count 6\n',
  );
  assert.equal(h.count, 6);
});

Deno.test("histogram: labels", () => {
  const h = createHistogram([1]);
  h.observe(1);
  assert.equal(
    h.expose("x", 'a="b",'),
    'x_bucket{a="b",le="1"} 1\nx_bucket{a="b",le="+Inf"} 1\nx_sum{a="b"} 1\nx_count{a="b"} 1\n',
  );
});

Deno.test("observer: counts by class, flag, cluster and outcome", () => {
  const observer = createObserver();
  for (const status of [200, 204, 301, 404, 503, 0]) {
    observer.requestStarted();
    observer.request(recordOf({ status, flags: status === 503 ? "UF,URX" : "" }));
  }
  observer.requestStarted();
  observer.downstreamConnection(1);
  observer.upstreamConnection(1);
  observer.upstreamConnection(-1);
  observer.count("retries_total", 3);
  observer.count("odd_total");
  const lines = observer.expose().split("\n");
  for (
    const line of [
      "mesh_agent_requests_total 6",
      "mesh_agent_requests_in_flight 1",
      'mesh_agent_responses_total{class="2xx"} 2',
      'mesh_agent_responses_total{class="none"} 1',
      'mesh_agent_response_flags_total{flag="URX"} 1',
      'mesh_agent_cluster_responses_total{cluster="outbound|8084|v3|istioserver",class="5xx"} 1',
      'mesh_agent_attempts_total{outcome="ok"} 6',
      "mesh_agent_downstream_connections 1",
      "mesh_agent_upstream_connections 0",
      "mesh_agent_upstream_connections_total 1",
      "mesh_agent_retries_total 3",
      "mesh_agent_odd_total 1",
      "mesh_agent_request_duration_milliseconds_count 6",
      "mesh_agent_sent_bytes_total 468",
    ]
  ) assert.ok(lines.includes(line), line);
  assert.deepEqual(observer.totals(), {
    requests: 6,
    inFlight: 1,
    downstreamConnections: 1,
    upstreamConnections: 0,
  });
});

Deno.test("observer: the text is well-formed exposition: help, type, samples of declared families only", () => {
  const observer = createObserver({
    gauges: () => [
      { name: "config_revision", help: "h", value: 2 },
      { name: "config_diagnostics", help: "h", value: new Map([['severity="error"', 1]]) },
    ],
  });
  observer.request(recordOf({ upstreamCluster: 'a"b\\c\nd' }));
  const declared = new Set<string>();
  for (const line of observer.expose().trimEnd().split("\n")) {
    const type = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line);
    if (type !== null) {
      assert.ok(!declared.has(type[1] as string), `${type[1]} twice`);
      declared.add(type[1] as string);
      continue;
    }
    if (line.startsWith("# HELP ")) continue;
    const sample =
      /^(\w+?)(?:_bucket|_sum|_count)?(?:\{(?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)*\})? -?[\d.e+-]+$/.exec(
        line,
      );
    assert.ok(sample !== null, line);
    assert.ok(declared.has(sample[1] as string) || declared.has(/^\w+/.exec(line)?.[0] as string), line);
  }
});

Deno.test("observer: series by cluster are bounded", () => {
  const observer = createObserver({ maxClusters: 2 });
  for (const name of ["a", "b", "c", "d"]) observer.request(recordOf({ upstreamCluster: name }));
  const text = observer.expose();
  assert.match(text, /cluster="b",class="2xx"\} 1/);
  assert.match(text, /cluster="other",class="2xx"\} 2/);
  assert.doesNotMatch(text, /cluster="c"/);
});

Deno.test("observer: with inbound traffic every series of traffic says its direction, and totals are of both", () => {
  const observer = createObserver({ inbound: true, gauges: () => [{ name: "g", help: "g", value: 1 }] });
  observer.requestStarted();
  observer.request(recordOf({ status: 200 }));
  for (const status of [502, 200]) {
    observer.inbound.requestStarted();
    observer.inbound.request(recordOf({
      status,
      flags: status === 502 ? "UF" : "",
      upstreamCluster: "inbound|8084||",
      inbound: true,
    }));
  }
  observer.inbound.requestStarted();
  observer.inbound.downstreamConnection(1);
  observer.inbound.count("tcp_connections_total");
  const lines = observer.expose().split("\n");
  for (
    const line of [
      'mesh_agent_requests_total{direction="outbound"} 1',
      'mesh_agent_requests_total{direction="inbound"} 2',
      'mesh_agent_requests_in_flight{direction="inbound"} 1',
      'mesh_agent_responses_total{direction="inbound",class="5xx"} 1',
      'mesh_agent_responses_total{direction="outbound",class="5xx"} 0',
      'mesh_agent_response_flags_total{direction="inbound",flag="UF"} 1',
      'mesh_agent_cluster_responses_total{direction="inbound",cluster="inbound|8084||",class="2xx"} 1',
      'mesh_agent_attempts_total{direction="outbound",outcome="ok"} 1',
      'mesh_agent_downstream_connections{direction="inbound"} 1',
      'mesh_agent_downstream_connections{direction="outbound"} 0',
      'mesh_agent_tcp_connections_total{direction="inbound"} 1',
      'mesh_agent_tcp_connections_total{direction="outbound"} 0',
      'mesh_agent_request_duration_milliseconds_count{direction="inbound"} 2',
      'mesh_agent_request_duration_milliseconds_count{direction="outbound"} 1',
      "mesh_agent_g 1",
    ]
  ) assert.ok(lines.includes(line), line);
  // One head for each family, however many directions.
  const heads = lines.filter((line) => line.startsWith("# TYPE"));
  assert.equal(new Set(heads).size, heads.length);
  assert.deepEqual(observer.totals(), {
    requests: 3,
    inFlight: 1,
    downstreamConnections: 1,
    upstreamConnections: 0,
  });
});
