import assert from "node:assert/strict";
import { diagnostic } from "../core/diagnostics.ts";
import { answerHealth, type ReadinessInput, readinessOf } from "./readiness.ts";

const READY: ReadinessInput = {
  world: { revision: 3 },
  state: { accepting: true, draining: false },
  status: [],
  problems: [],
  nowMs: 100_000,
};
const UNREADY = { ...READY, world: { revision: 0 } };

Deno.test("readiness: in words, with the age of a cache, and why not", () => {
  assert.deepEqual(readinessOf(READY), { ready: true, text: "ready" });
  const cached = { ...READY, world: { revision: 1, cachedMs: 58_000 } };
  assert.deepEqual(readinessOf(cached), { ready: true, text: "ready: rules from cache, 42s old" });
  // A clock that was set back.
  assert.equal(readinessOf({ ...cached, nowMs: 0 }).text, "ready: rules from cache, 0ms old");
  const problems = [diagnostic("D101", "Cannot read the rules directory", { file: "rules" })];
  assert.equal(
    readinessOf({ ...UNREADY, problems }).text,
    "not ready: no rules are in yet: Cannot read the rules directory",
  );
  const draining = { ...UNREADY, state: { accepting: false, draining: true } };
  assert.equal(readinessOf(draining).text, "not ready: the agent is draining; no rules are in yet");
  const closed = { ...READY, state: { accepting: false, draining: false } };
  assert.deepEqual(readinessOf(closed), { ready: false, text: "not ready: the proxy is not listening" });
});

Deno.test("health: GET /ready and /live, nothing else, and nothing about the inside", async () => {
  const ask = async (method: string, path: string, input = READY) => {
    const response = answerHealth(new Request(`http://10.0.0.5:30103${path}`, { method }), input);
    return `${response.status} ${await response.text()}`.trim();
  };
  const problems = [diagnostic("D202", 'Cannot connect to "grpc://10.9.9.9:15010"', {})];
  assert.equal(await ask("GET", "/ready"), "200 ready");
  assert.equal(await ask("HEAD", "/ready"), "200");
  assert.equal(
    await ask("GET", "/ready?x=1", { ...UNREADY, problems }),
    "503 not ready: no rules are in yet",
  );
  assert.equal(await ask("GET", "/live", UNREADY), "200 live");
  for (const path of ["/", "/sync", "/quitquitquit", "/ready/", "/program"]) {
    assert.equal(await ask("GET", path), "404 want /ready or /live", path);
  }
  assert.equal(await ask("POST", "/quitquitquit"), "404 want /ready or /live");
  assert.equal(await ask("POST", "/live"), "405 want GET");
});
