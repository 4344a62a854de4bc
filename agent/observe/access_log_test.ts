import assert from "node:assert/strict";
import { ManualClock } from "../../tests/harness/clock.ts";
import { recordOf } from "../../tests/harness/record.ts";
import { createAccessLog, jsonLine, textLine } from "./access_log.ts";

Deno.test("access log text: Envoy's default order, then details, cluster, route and attempts", () => {
  assert.equal(
    textLine(recordOf()),
    '[2026-01-02T03:04:05.678Z] "GET /hello?x=1 HTTP/1.1" 200 - 0 78 3 2 "-" "curl/8.5" "7f3c" ' +
      '"istioserver:8084" "127.0.0.1:8083" via_upstream "outbound|8084|v3|istioserver" "split" 127.0.0.1:8083=ok/2\n',
  );
});

Deno.test("access log text: every attempt with its upstream and outcome, and the flags", () => {
  const line = textLine(recordOf({
    status: 503,
    flags: "UF,URX",
    upstreamServiceTimeMs: -1,
    attempts: [
      { endpoint: "127.0.0.1:1", outcome: "connect-failure", durationMs: 0.6 },
      { endpoint: "127.0.0.1:2", outcome: "timeout", durationMs: 250 },
    ],
  }));
  assert.match(line, / 503 UF,URX 0 78 3 - "/);
  assert.match(line, / 127\.0\.0\.1:1=connect-failure\/1,127\.0\.0\.1:2=timeout\/250\n$/);
});

Deno.test("access log text: nothing tried, nothing known", () => {
  const line = textLine(
    recordOf({ upstreamHost: "", upstreamCluster: "", routeName: "", attempts: [], details: "" }),
  );
  assert.match(line, /"-" - "-" "-" -\n$/);
});

Deno.test("access log text: bytes that could forge a field or a line are escaped", () => {
  const line = textLine(recordOf({ userAgent: 'a" "b\\', path: "/\x01é\u20ac", requestId: "x\ny" }));
  assert.match(line, /"GET \/\\x01\\xe9\\u20ac HTTP\/1\.1"/);
  assert.match(line, /"a\\" \\"b\\\\"/);
  assert.match(line, /"x\\x0ay"/);
  assert.equal(line.split("\n").length, 2);
});

Deno.test("access log text: lines to the same place and to others, kept or not, say each its own", () => {
  const names = ["", "a", 'b"', "c\x01"];
  const shown = ["-", "a", 'b\\"', "c\\x01"];
  for (let i = 0; i < 3000; i++) {
    // Some come again and again, so that they are kept.
    const pick = (k: number) => i % 3 === 0 ? k % 2 : (i * 7919 >> 2 * k) % names.length;
    const [authority, host, details, cluster, route] = [0, 1, 2, 3, 4].map(pick) as [
      number,
      number,
      number,
      number,
      number,
    ];
    const line = textLine(recordOf({
      authority: names[authority]!,
      upstreamHost: names[host]!,
      details: names[details]!,
      upstreamCluster: names[cluster]!,
      routeName: names[route]!,
      attempts: [],
    }));
    const end = `"7f3c" "${shown[authority]}" "${shown[host]}" ${shown[details]} "${shown[cluster]}" "${
      shown[route]
    }" -\n`;
    assert.ok(line.endsWith(end), `${line} should end with ${end}`);
  }
});

Deno.test("access log JSON: one object a line, bytes read as UTF-8", () => {
  const line = jsonLine(recordOf({ path: "/\xc3\xa9", userAgent: "" }));
  assert.equal(line.indexOf("\n"), line.length - 1);
  const value = JSON.parse(line);
  assert.deepEqual(Object.keys(value), [
    "start_time",
    "method",
    "path",
    "protocol",
    "response_code",
    "response_flags",
    "bytes_received",
    "bytes_sent",
    "duration",
    "upstream_service_time",
    "x_forwarded_for",
    "user_agent",
    "request_id",
    "authority",
    "upstream_host",
    "response_code_details",
    "upstream_cluster",
    "route_name",
    "virtual_host",
    "downstream_remote_address",
    "attempts",
  ]);
  assert.equal(value.path, "/é");
  assert.equal(value.user_agent, null);
  assert.deepEqual(value.attempts, [{ endpoint: "127.0.0.1:8083", outcome: "ok", duration: 2 }]);
});

/** A sink whose writes end when told. */
function slowSink() {
  const batches: string[] = [];
  const ends: ((error?: Error) => void)[] = [];
  return {
    batches,
    end: (error?: Error) => ends.shift()?.(error),
    sink: (bytes: Uint8Array) =>
      new Promise<void>((resolve, reject) => {
        batches.push(new TextDecoder().decode(bytes));
        ends.push((error) => error === undefined ? resolve() : reject(error));
      }),
  };
}

const settled = async () => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

Deno.test("access log: lines wait for 250 ms, then go in one write", async () => {
  const clock = new ManualClock();
  const { batches, sink, end } = slowSink();
  const log = createAccessLog({ format: "text", sink, clock });
  log.record(recordOf());
  clock.advance(200);
  log.record(recordOf());
  assert.equal(batches.length, 0);
  clock.advance(50);
  assert.equal(batches.length, 1);
  assert.equal(batches[0]?.split("\n").length, 3);
  end();
  await log.close();
  assert.equal(clock.pending, 0);
});

Deno.test("access log: 64 KiB go at once; while a write runs, lines gather and follow it", async () => {
  const clock = new ManualClock();
  const { batches, sink, end } = slowSink();
  const log = createAccessLog({ format: "text", sink, clock });
  const path = "/" + "x".repeat(1000);
  for (let i = 0; i < 80; i++) log.record(recordOf({ path }));
  assert.equal(batches.length, 1, "one write at a time");
  for (let i = 0; i < 80; i++) log.record(recordOf({ path }));
  assert.equal(batches.length, 1);
  end();
  await settled();
  assert.equal(batches.length, 2, "a full batch follows at once");
  end();
  await log.close();
  assert.equal(batches.join("").split("\n").length, 161);
  assert.equal(log.dropped, 0);
});

Deno.test("access log: a sink that hangs costs lines, not memory; a broken one is counted", async () => {
  const clock = new ManualClock();
  const { sink, end } = slowSink();
  const log = createAccessLog({ format: "text", sink, clock });
  const path = "/" + "x".repeat(64 * 1024);
  for (let i = 0; i < 200; i++) log.record(recordOf({ path }));
  const lost = log.dropped;
  assert.ok(lost > 100 && lost < 199, `${lost} dropped`);
  end(new Error("closed pipe"));
  await settled();
  assert.equal(log.dropped, lost + 1, "the batch under way is lost too");
  const closing = log.close();
  end();
  await closing;
  log.record(recordOf());
  assert.equal(log.dropped, lost + 2);
});

Deno.test("access log: inbound traffic says so, at the end of the text, early in the JSON", () => {
  assert.match(textLine(recordOf({ inbound: true })), /=ok\/\d+ inbound\n$/);
  assert.doesNotMatch(textLine(recordOf()), /bound\n$/);
  assert.equal(JSON.parse(jsonLine(recordOf({ inbound: true }))).direction, "inbound");
  assert.equal("direction" in JSON.parse(jsonLine(recordOf())), false);
});
