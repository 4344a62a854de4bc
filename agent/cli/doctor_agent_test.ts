import assert from "node:assert/strict";
import type { SyncReport } from "../admin/sync.ts";
import type { SourceStatus } from "../discovery/types.ts";
import { checkAgent, ofReport } from "./doctor_agent.ts";

const CONNECTION: SourceStatus = {
  name: "pilotv3",
  addresses: [],
  step: "synced",
  sinceMs: 0,
  mode: "delta",
  node: "n",
  connects: 1,
  failures: 0,
  types: [{
    ...{
      type: "CDS",
      version: "1",
      nonce: "2",
      resources: 1,
      subscribed: "*",
      sent: 1,
      received: 1,
    } as const,
    ...{ bytes: 1, nacks: 0 },
  }],
};

const REPORT = {
  version: "0.1.0",
  nowMs: 100_000,
  ready: true,
  reasons: [],
  world: { revision: 3, publishedMs: 40_000 },
  findings: { error: 0, warning: 1, info: 0 },
  connections: [CONNECTION],
  permissions: { isolated: true, guard: "runtime", net: [], read: [], restart: [], denied: [] },
} as unknown as SyncReport;

function linesOf(more: Partial<SyncReport>): string[] {
  return [...ofReport({ ...REPORT, ...more }, "127.0.0.1:30102")].map(({ state, name, text, next }) => {
    assert.equal(next === undefined, state === "ok", `${name}: ${text}`);
    return `${state} ${name}: ${text}${next === undefined ? "" : ` > ${next}`}`;
  });
}

Deno.test("doctor: an agent in order", () => {
  assert.deepEqual(linesOf({}), [
    "ok agent: 0.1.0 at 127.0.0.1:30102 is ready: revision 3, published 1m00s ago",
    "ok connection: pilotv3 is at the step synced",
    "ok nacks: pilotv3 refused nothing",
    "ok findings: no errors, 1 warning",
  ]);
});

Deno.test("doctor: an agent that is not ready, one that lives on its cache, what it refused and was denied", () => {
  const [type] = CONNECTION.types;
  const lastNack = { version: "v7", text: "Cluster a: Cannot\nuse it", atMs: 97_000 };
  const lines = linesOf({
    ready: false,
    reasons: ["no rules are in yet"],
    connections: [{
      ...CONNECTION,
      step: "waiting",
      reason: "[D202] Cannot connect: refused\n    Start it.",
      types: [{ ...type!, nacks: 2, lastNack }],
    }],
    findings: { error: 1, warning: 0, info: 0 },
    permissions: {
      ...REPORT.permissions,
      restart: ["+connect 203.0.113.5"],
      denied: [{
        code: "P209",
        what: "connect 203.0.113.9:443",
        wanted: "name it",
        count: 1,
        firstMs: 1,
        lastMs: 1,
      }],
    },
  });
  assert.deepEqual(lines, [
    "fail agent: 0.1.0 at 127.0.0.1:30102 is not ready: no rules are in yet > The checks above and mesh-agent status say what it waits for.",
    "warn connection: pilotv3 is at the step waiting: [D202] Cannot connect: refused > Start it.",
    "warn nacks: pilotv3 refused CDS 2 times, last 3s ago: Cluster a: Cannot\\u000ause it > Mend the rule that it was made from; what was in force before stays.",
    "fail findings: 1 error > GET /diagnostics?format=text of the admin API lists them.",
    "fail denied: [P209] connect 203.0.113.9:443, 1 time > name it",
    "warn rights: a restart changes them: +connect 203.0.113.5 > Restart the agent.",
  ]);
  const cached = linesOf({ world: { ...REPORT.world, cachedMs: 58_000 } });
  assert.match(cached[0]!, /^warn agent: .* is ready by its cache, 42s old > Bring the control plane back/);
});

Deno.test("doctor: an agent that cannot be asked", async () => {
  assert.match((await checkAgent(undefined)).checks[0]!.text, /the admin API is off/);
  assert.match((await checkAgent({ hostname: "127.0.0.1", port: 0 })).checks[0]!.text, /any free port/);
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = silent.accept();
  const { port } = silent.addr as Deno.NetAddr;
  const asked = checkAgent({ hostname: "127.0.0.1", port });
  // Garbage, then the end.
  using connection = await accepting;
  await connection.write(new TextEncoder().encode("what?\r\n\r\n"));
  connection.close();
  const { running, checks } = await asked;
  assert.equal(running, false);
  assert.deepEqual(checks.map(({ state }) => state), ["fail"]);
});
