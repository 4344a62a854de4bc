import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import type { Announcer } from "../net/announce.ts";
import type { AgentConfig } from "../settings/types.ts";
import { ManualClock } from "../../tests/harness/clock.ts";
import { configOf } from "../../tests/harness/world.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import {
  DEATHS_WITHIN_MS,
  DRAIN_GRACE_MS,
  MAX_DEATHS,
  PING_MS,
  SILENT_MS,
  supervise,
  type SuperviseOptions,
} from "./supervise.ts";

interface FakeWorker {
  readonly config: AgentConfig;
  readonly heard: ToWorker[];
  terminated: boolean;
  say(message: FromWorker): Promise<void>;
}

const LISTENING = {
  http: { hostname: "127.0.0.1", port: 4001 },
  grpc: { hostname: "127.0.0.1", port: 4004 },
  admin: { hostname: "127.0.0.1", port: 4002 },
  tcp: [{ hostname: "127.0.0.1", port: 4003 }],
  inbound: [{ hostname: "10.0.0.5", port: 4005 }],
};

/** Everything that is already resolved has had its turn. */
const settle = async () => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

/** Keeps what is announced, and pays no heed to it. */
function announcerOf(told: string[], watchdogMs?: number): Announcer {
  return {
    listening: () => void told.push("listening"),
    readiness: ({ text }) => void told.push(text),
    reloading: () => void told.push("reloading"),
    reloaded: () => void told.push("reloaded"),
    alive: () => void told.push("alive"),
    stopping: () => void told.push("stopping"),
    watchdogMs,
    close: () => Promise.resolve(void told.push("closed")),
  };
}

type RigOptions = Partial<SuperviseOptions> & { readonly watchdogMs?: number };

function rig(more: RigOptions = {}) {
  const clock = new ManualClock();
  const workers: FakeWorker[] = [];
  const lines: string[] = [];
  const base = configOf();
  const config: AgentConfig = {
    ...base,
    listen: {
      http: { hostname: "127.0.0.1", port: 0 },
      grpc: { hostname: "127.0.0.1", port: 0 },
      admin: { hostname: "127.0.0.1", port: 0 },
      health: { hostname: "0.0.0.0", port: 30103 },
      tcp: [{ listen: { hostname: "127.0.0.1", port: 0 }, host: "db", port: 1 }],
    },
    inbound: {
      servicePorts: [{ protocol: "rest", port: 0, localPort: 8084 }],
      fromControlPlane: false,
      healthChecks: [],
    },
  };
  const told: string[] = [];
  const supervisor = supervise({
    config,
    clock,
    announcer: announcerOf(told, more.watchdogMs),
    log: {
      level: "debug",
      log: (level, message, fields) => void lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    },
    spawn(config, hear) {
      const worker: FakeWorker = {
        config,
        heard: [],
        terminated: false,
        async say(message) {
          hear(message);
          await settle();
        },
      };
      workers.push(worker);
      return Promise.resolve({
        post: (message) => void worker.heard.push(message),
        terminate: () => worker.terminated = true,
      });
    },
    reread: () => Promise.resolve(undefined),
    ...more,
  });
  let outcome: unknown = "running";
  supervisor.ended.then((code) => outcome = code, (error) => outcome = error);
  const last = () => workers.at(-1)!;
  const types = () => last().heard.map(({ type }) => type);
  return { clock, workers, lines, told, supervisor, last, types, outcome: () => outcome, config };
}

async function started(more: RigOptions = {}) {
  const all = rig(more);
  await settle();
  await all.last().say({ type: "started", listening: LISTENING });
  return all;
}

Deno.test("supervise: a dead worker is replaced after a wait that doubles, on the ports of the first one", async () => {
  const { clock, workers, last, lines, outcome } = await started();
  assert.equal(workers.length, 1);
  for (const [i, waitMs] of [100, 200, 400].entries()) {
    await last().say({ type: "died", reason: `boom ${i}` });
    assert.ok(workers[i]!.terminated);
    clock.advance(waitMs - 1);
    await settle();
    assert.equal(workers.length, i + 1);
    clock.advance(1);
    await settle();
    assert.equal(workers.length, i + 2);
    assert.equal(
      lines.at(-1),
      `error the agent died and is started again {"reason":"boom ${i}","afterMs":${waitMs}}`,
    );
    await last().say({ type: "started", listening: LISTENING });
    assert.match(lines.at(-1)!, /^info the agent is back/);
  }
  const { listen, inbound } = last().config;
  assert.deepEqual(inbound?.servicePorts, [{ protocol: "rest", port: 4005, localPort: 8084 }]);
  assert.deepEqual(
    [
      listen.http.port,
      listen.admin?.port,
      listen.tcp?.[0]?.listen.port,
      listen.grpc?.port,
      listen.health?.port,
    ],
    [4001, 4002, 4003, 4004, 30103],
  );
  assert.equal(outcome(), "running");
});

Deno.test("supervise: too many deaths end it with the reason, deaths long ago do not count", async () => {
  const { clock, last, lines, outcome } = await started();
  for (let i = 0; i < 3 * MAX_DEATHS; i++) {
    await last().say({ type: "died", reason: "now and then" });
    clock.advance(DEATHS_WITHIN_MS / MAX_DEATHS);
    await settle();
  }
  assert.equal(outcome(), "running");
  clock.advance(DEATHS_WITHIN_MS);
  for (let i = 0; i <= MAX_DEATHS; i++) {
    assert.equal(outcome(), "running");
    await last().say({ type: "died", reason: i === 0 ? "it hangs" : "again" });
    if (i === 0) assert.match(lines.at(-1)!, /"afterMs":100\}/, "the waits begin anew, too");
    if (i < MAX_DEATHS) clock.advance(5_000);
    await settle();
  }
  assert.equal(outcome(), 1);
  assert.match(
    lines.at(-1)!,
    /^error \[N111\] Cannot keep the agent running: it died 6 times within 60 s, first of: it hangs; the last time of: again/,
  );
  assert.equal(clock.pending, 0);
});

Deno.test("supervise: a first start that is refused rejects, a later one is tried again", async () => {
  const first = rig();
  await settle();
  await first.last().say({ type: "refused", code: "N101", message: "Cannot listen", hint: "h" });
  const error = first.outcome();
  assert.ok(error instanceof MeshError && error.code === "N101" && error.hint === "h");
  assert.ok(first.last().terminated);

  const later = await started();
  await later.last().say({ type: "died", reason: "boom" });
  later.clock.advance(100);
  await settle();
  await later.last().say({ type: "refused", code: "N101", message: "Cannot listen", hint: "h" });
  later.clock.advance(200);
  await settle();
  assert.equal(later.workers.length, 3);
  assert.equal(later.outcome(), "running");
});

Deno.test("supervise: a spawn that throws at first is the end, later a death", async () => {
  const refused = rig({ spawn: () => Promise.reject(new MeshError("N112", "Cannot isolate the agent")) });
  await settle();
  assert.equal((refused.outcome() as MeshError).code, "N112");
});

Deno.test("supervise: what a replaced worker still says is not heard", async () => {
  const { clock, workers, last, outcome } = await started();
  await last().say({ type: "died", reason: "boom" });
  await workers[0]!.say({ type: "died", reason: "again" });
  await workers[0]!.say({ type: "drained" });
  clock.advance(100);
  await settle();
  assert.equal(workers.length, 2);
  assert.equal(outcome(), "running");
});

Deno.test("supervise: the first signal drains, the second one ends at once", async () => {
  const drained = await started();
  drained.supervisor.end();
  assert.deepEqual(drained.types(), ["drain"]);
  assert.equal(drained.outcome(), "running");
  await drained.last().say({ type: "drained" });
  assert.equal(drained.outcome(), 0);
  assert.ok(drained.last().terminated);
  assert.equal(drained.clock.pending, 0);

  const insisted = await started();
  insisted.supervisor.end();
  insisted.supervisor.end();
  await settle();
  assert.equal(insisted.outcome(), 0);
  assert.ok(insisted.last().terminated);
});

Deno.test("supervise: a signal before the worker is there reaches it, one while none is there ends", async () => {
  const early = rig();
  early.supervisor.end();
  await settle();
  assert.deepEqual(early.types(), ["drain"]);

  const late = rig();
  late.supervisor.end();
  late.supervisor.end();
  await settle();
  assert.equal(late.outcome(), 0);
  assert.ok(late.last().terminated, "it came when nobody waited for it any more");

  const between = await started();
  await between.last().say({ type: "died", reason: "boom" });
  between.supervisor.end();
  await settle();
  assert.equal(between.outcome(), 0);
  assert.equal(between.clock.pending, 0);
});

Deno.test("supervise: a worker that dies while it drains, or does not end, is the end with 1", async () => {
  const died = await started();
  died.supervisor.end();
  await died.last().say({ type: "died", reason: "boom" });
  assert.equal(died.outcome(), 1);

  const stuck = await started();
  stuck.supervisor.end();
  stuck.clock.advance(stuck.config.proxy.drainMs + DRAIN_GRACE_MS - 1);
  await settle();
  assert.equal(stuck.outcome(), "running");
  stuck.clock.advance(1);
  await settle();
  assert.equal(stuck.outcome(), 1);
  assert.ok(stuck.last().terminated);
});

Deno.test("supervise: a worker that answers no ping is killed and replaced, one that does is left alone", async () => {
  const { clock, workers, last, lines } = await started();
  for (let i = 0; i < 3 * SILENT_MS / PING_MS; i++) {
    clock.advance(PING_MS);
    await last().say({ type: "pong" });
  }
  assert.equal(workers.length, 1);
  clock.advance(SILENT_MS);
  assert.equal(workers[0]!.terminated, false);
  clock.advance(PING_MS);
  assert.equal(workers[0]!.terminated, true);
  assert.match(lines.at(-1)!, /"reason":"it has not answered for 60 s"/);
  clock.advance(100);
  await settle();
  assert.equal(workers.length, 2);
});

Deno.test("supervise: SIGHUP passes new settings and rights on, or only the rules; SIGUSR1 asks for the status", async () => {
  const next = configOf();
  const { supervisor, last } = await started({
    reread: () => Promise.resolve({ config: next, restart: ["+connect 203.0.113.5"] }),
  });
  supervisor.hangUp();
  await settle();
  supervisor.report();
  assert.deepEqual(last().heard, [{ type: "reload", config: next, restart: ["+connect 203.0.113.5"] }, {
    type: "report",
  }]);

  const broken = await started({ reread: () => Promise.reject(new Error("disk gone")) });
  broken.supervisor.hangUp();
  await settle();
  assert.match(broken.lines.at(-1)!, /^error Cannot reread \{"error":"disk gone"\}/);
  assert.deepEqual(broken.last().heard, []);

  const unusable = await started();
  unusable.supervisor.hangUp();
  await settle();
  assert.deepEqual(unusable.last().heard, [{ type: "reload", restart: [] }]);
});

Deno.test("supervise: what the agent is at is announced, from its start to its end", async () => {
  const { told, last, supervisor, outcome, clock } = await started();
  assert.deepEqual(told, ["listening", "alive"]);
  await last().say({ type: "readiness", readiness: { ready: true, text: "ready" } });
  assert.equal(told.at(-1), "ready");
  await last().say({ type: "died", reason: "boom" });
  assert.equal(told.at(-1), "not ready: the agent died and is started again");
  clock.advance(100);
  await settle();
  await last().say({ type: "started", listening: LISTENING });
  told.length = 0;
  supervisor.end();
  assert.deepEqual(told, ["stopping"]);
  await last().say({ type: "drained" });
  await settle();
  assert.deepEqual(told, ["stopping", "closed"]);
  assert.equal(outcome(), 0);
});

Deno.test("supervise: it is the agent that is alive, not its supervisor; asked twice as often as systemd wants", async () => {
  const { told, last, clock, types } = await started({ watchdogMs: 3_000 });
  told.length = 0;
  clock.advance(1_499);
  assert.deepEqual(types(), []);
  clock.advance(1);
  assert.deepEqual(types(), ["ping"]);
  assert.deepEqual(told, []);
  await last().say({ type: "pong" });
  assert.deepEqual(told, ["alive"]);
  // It hangs: no sign of life any more, and after a while it is replaced.
  clock.advance(SILENT_MS - 1_500);
  assert.deepEqual(told, ["alive"]);
  assert.equal(last().terminated, false);
  clock.advance(3_000);
  assert.equal(last().terminated, true);
});

Deno.test("supervise: a reload is over when the agent says so, when it could not be asked, or when it died", async () => {
  const { told, last, supervisor, clock } = await started();
  told.length = 0;
  supervisor.hangUp();
  await settle();
  assert.deepEqual(told, ["reloading"]);
  await last().say({ type: "reloaded" });
  assert.deepEqual(told, ["reloading", "reloaded"]);
  supervisor.hangUp();
  await settle();
  await last().say({ type: "died", reason: "boom" });
  assert.deepEqual(told.filter((text) => !text.startsWith("not ready")), [
    ...["reloading", "reloaded", "reloading", "reloaded"],
  ]);
  clock.advance(100);
  await settle();
  told.length = 0;
  await last().say({ type: "died", reason: "boom" });
  assert.ok(!told.includes("reloaded"), "that one was not asked");
  told.length = 0;
  supervisor.hangUp();
  await settle();
  assert.deepEqual(told, ["reloading", "reloaded"]);
  supervisor.end();
  clock.advance(100_000);
});

Deno.test("supervise: asked by the agent itself, it ends as by a first signal, never as by a second", async () => {
  const { last, types, supervisor, outcome, lines } = await started();
  await last().say({ type: "quit" });
  assert.deepEqual(types(), ["drain"]);
  await last().say({ type: "quit" });
  assert.equal(outcome(), "running");
  assert.ok(!lines.some((line) => line.includes("second signal")));
  await last().say({ type: "drained" });
  assert.equal(outcome(), 0);
  await supervisor.ended;
});
