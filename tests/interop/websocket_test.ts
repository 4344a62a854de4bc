/** WebSocket by ws at both ends: 1,000 messages of up to 1 MB through Upgrade and CONNECT, both over HTTP/1.1 and HTTP/2. */
import assert from "node:assert/strict";
import { descriptorsBackTo, descriptorsOf, startAgentProcess } from "../harness/agent.ts";
import { askOnce, proxyGet } from "../harness/client.ts";
import { makeConf, serviceEntry } from "../harness/conf.ts";
import { judge, judged } from "./judges.ts";
import { runToEnd, startServer } from "./process.ts";

const at = (name: string): string => new URL(`./ws/${name}`, import.meta.url).pathname;

judged("WebSocket: 1,000 messages of up to 1 MB are echoed", ["node"], async (t) => {
  await using server = await startServer(judge("node"), [at("server.mjs")]);
  await using conf = await makeConf({
    files: { "rules/echo.yaml": serviceEntry("echo.test", 80, { v1: server.port }) },
    mesh: { timeouts: { upstreamIdle: "1s" } },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  await askOnce(agent.http, proxyGet("echo.test", "/", "Connection: close\r\n"));
  const before = descriptorsOf(agent.pid);
  for (const way of ["upgrade", "connect", "http2-connect", "http2-upgrade"]) {
    await t.step(way, async () => {
      const said = await runToEnd(judge("node"), [
        at("client.mjs"),
        way,
        String(agent.http.port),
        way.endsWith("upgrade") ? "echo.test" : "echo.test:80",
      ]);
      let bytes = 0;
      for (let i = 0; i < 1000; i++) bytes += Math.round(1_000_000 * (i / 999) ** 6);
      assert.equal(said, `1000 messages, ${bytes} bytes, closed with 1000\n`);
    });
  }
  await descriptorsBackTo(agent.pid, before);
});
