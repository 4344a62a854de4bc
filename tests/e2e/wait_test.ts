/** `mesh-agent wait`: before, while and after an agent starts; and what it says when the time is over. */
import assert from "node:assert/strict";
import { runAgent, startAgentProcess } from "../harness/agent.ts";
import { askOnce, proxyGet } from "../harness/client.ts";
import { istioserver, makeConf } from "../harness/conf.ts";
import { startControlPlane } from "../harness/control_plane.ts";
import { deadPort, echoing, startUpstream } from "../harness/upstream.ts";

const wait = (...args: readonly string[]) => runAgent(["wait", ...args]);

Deno.test("wait: ends with 0 as soon as the agent that starts meanwhile routes by rules", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using plane = await startControlPlane({ temper: "istiod" });
  await plane.serve(istioserver({ v1: v1.port }, { v1: 100 }));
  // Not yet: the agent listens, and has no rules.
  await plane.hold();
  const admin = `127.0.0.1:${deadPort()}`;
  await using conf = await makeConf({ discovery: "pilotv3", address: plane.address, admin });
  let over = false;
  const waiting = wait("--config", conf.path, "--timeout", "20s").finally(() => over = true);
  await using agent = await startAgentProcess(["run", "--config", conf.path], { rules: false });
  await plane.waitFor((e) => e.kind === "request" && e.type === "CDS", "its questions");
  assert.equal(over, false);
  await plane.release();
  const { code, stdout, stderr } = await waiting;
  assert.deepEqual({ code, stdout }, { code: 0, stdout: "" }, stderr);
  const answer = await askOnce(agent.http, proxyGet("istioserver:8084", "/", "Connection: close\r\n"));
  assert.equal(answer.header("x-instance"), "v1", "outbound works");
});

Deno.test("wait: when the time is over it says which step is missing and what to do", async () => {
  await using conf = await makeConf({ discovery: "pilotv3", address: `grpc://127.0.0.1:${deadPort()}` });
  await using agent = await startAgentProcess(["run", "--config", conf.path], { rules: false });
  await agent.line(/cannot use grpc:/);
  const admin = `127.0.0.1:${agent.admin.port}`;
  const { code, stderr } = await wait("--admin", admin, "--timeout", "300ms");
  assert.equal(code, 1);
  assert.match(
    stderr,
    /Outbound does not work after 300ms: no rules are in yet\n {4}pilotv3: \[D202\] Cannot connect to .*connection refused.*\n {4}Start the control plane/,
  );
});

Deno.test("wait: nobody, a stranger, and one that says nothing", async () => {
  const nobody = await wait("--admin", `127.0.0.1:${deadPort()}`, "--timeout", "0s");
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /nobody listens there\n {4}Start the agent/);
  await using web = startUpstream(async (link) => {
    await link.request();
    await link.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  });
  const stranger = await wait("--admin", `127.0.0.1:${web.port}`, "--timeout", "0s");
  assert.equal(stranger.code, 1);
  assert.match(
    stranger.stderr,
    /something else than a mesh-agent answers at 127\.0\.0\.1:\d+ \(status 200\)/,
  );
  await using silent = startUpstream((link) => link.peerGone());
  const mute = await wait("--admin", `127.0.0.1:${silent.port}`, "--timeout", "200ms");
  assert.equal(mute.code, 1);
  assert.match(mute.stderr, /accepts connections and does not answer/);
});

Deno.test("wait: wrong usage", async () => {
  for (const args of [["x"], ["--timeout", "soon"], ["--admin", "a:b:c"]]) {
    const { code, stderr } = await wait(...args);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, /Cannot /);
  }
});
