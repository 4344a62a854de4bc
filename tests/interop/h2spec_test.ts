/** h2spec (RFC 9113 and RFC 7541 as its authors read them) against the real listener, every request routed to an upstream. */
import assert from "node:assert/strict";
import { startAgentProcess } from "../harness/agent.ts";
import { within } from "../harness/bytes.ts";
import { makeConf, serviceEntry } from "../harness/conf.ts";
import { answering, deadPort, startUpstream } from "../harness/upstream.ts";
import { judge, judged } from "./judges.ts";

/** Long enough for the cases that take an answer in pieces of a few bytes. */
const LONG = `HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n${"x".repeat(40)}`;

judged("h2spec: 145 of 145", ["h2spec"], async () => {
  await using upstream = startUpstream(answering(LONG));
  // h2spec names the host and port it connects to as the authority.
  const port = deadPort();
  await using conf = await makeConf({
    http: `127.0.0.1:${port}`,
    files: {
      "rules/all.yaml": serviceEntry("localhost.default.svc.cluster.local", port, { v1: upstream.port }),
    },
  });
  await using _agent = await startAgentProcess(["run", "--config", conf.path]);
  const { stdout } = await within(
    new Deno.Command(judge("h2spec"), {
      args: ["-h", "localhost", "-p", String(port), "-o", "2"],
      env: { NO_COLOR: "1" },
    }).output(),
    "the end of h2spec",
    120_000,
  );
  const report = new TextDecoder().decode(stdout);
  const failures = report.slice(Math.max(0, report.indexOf("Failures:")));
  assert.match(report, /^145 tests, 145 passed, 0 skipped, 0 failed$/m, failures);
  assert.ok(upstream.requests.length > 50, `only ${upstream.requests.length} requests reached the upstream`);
});
