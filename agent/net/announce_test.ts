import assert from "node:assert/strict";
import { NotifySocket } from "../../tests/harness/notify_socket.ts";
import type { Log } from "../core/ports.ts";
import { openAnnouncer } from "./announce.ts";

function rig(env: Record<string, string>, readinessFile = "") {
  const lines: string[] = [];
  const log: Log = { level: "debug", log: (level, message) => void lines.push(`${level} ${message}`) };
  const announcer = openAnnouncer({ readinessFile, log, env: (name) => env[name], pid: 7 });
  return { announcer, lines };
}

const READY = { ready: true, text: "ready" };
const UNREADY = { ready: false, text: "not ready: the agent is draining" };

Deno.test("announce: systemd hears in order what the agent is at, and nothing twice", async () => {
  await using socket = await NotifySocket.open();
  const { announcer, lines } = rig({ NOTIFY_SOCKET: socket.path });
  announcer.readiness(READY);
  announcer.readiness(READY);
  announcer.listening();
  announcer.listening();
  announcer.alive();
  announcer.reloading();
  announcer.reloaded();
  announcer.stopping();
  announcer.stopping();
  announcer.readiness(UNREADY);
  // Too late: the end is near.
  announcer.listening();
  announcer.reloaded();
  await announcer.close();
  await socket.waitFor(/draining/);
  const reloading = socket.messages[3]!;
  assert.match(reloading, /^RELOADING=1\nMONOTONIC_USEC=\d+$/);
  // Not before the signal by the clock of systemd, and at most a second ahead of it.
  const uptime = Number((await Deno.readTextFile("/proc/uptime")).split(" ")[0]);
  const said = Number(reloading.split("=")[2]) / 1e6;
  assert.ok(said >= uptime - 0.2 && said <= uptime + 1, `${said} at ${uptime}`);
  assert.deepEqual(socket.messages.toSpliced(3, 1), [
    "STATUS=ready",
    "READY=1\nSTATUS=ready",
    "WATCHDOG=1",
    "READY=1",
    "STOPPING=1",
    "STATUS=not ready: the agent is draining",
  ]);
  assert.deepEqual(lines, []);
});

Deno.test("announce: the watchdog is ours only when systemd means this process", async () => {
  await using socket = await NotifySocket.open();
  const msOf = async (env: Record<string, string>) => {
    const { announcer } = rig(env);
    await announcer.close();
    return announcer.watchdogMs;
  };
  const env = { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: "30000000" };
  assert.equal(await msOf(env), 30_000);
  assert.equal(await msOf({ ...env, WATCHDOG_PID: "7" }), 30_000);
  assert.equal(await msOf({ ...env, WATCHDOG_PID: "8" }), undefined);
  assert.equal(await msOf({ WATCHDOG_USEC: "30000000" }), undefined);
  for (const usec of ["0", "", "x", "-1"]) {
    assert.equal(await msOf({ ...env, WATCHDOG_USEC: usec }), undefined);
  }
});

Deno.test("announce: its own socket is bound where systemd lets it write, and leaves no file", async () => {
  await using socket = await NotifySocket.open();
  const runtime = await Deno.makeTempDir();
  try {
    const { announcer } = rig({
      NOTIFY_SOCKET: socket.path,
      RUNTIME_DIRECTORY: `${runtime}/none:${runtime}`,
    });
    announcer.alive();
    assert.deepEqual([...Deno.readDirSync(runtime)], []);
    await announcer.close();
    await socket.waitFor(/WATCHDOG/);
  } finally {
    await Deno.remove(runtime);
  }
});

Deno.test("announce: a systemd that cannot be told is one line each, and no trouble", async () => {
  const gone = rig({ NOTIFY_SOCKET: "/nowhere/notify" });
  gone.announcer.alive();
  gone.announcer.alive();
  await gone.announcer.close();
  assert.equal(gone.lines.length, 1);
  assert.match(gone.lines[0]!, /^warn .*\[N120\] Cannot tell systemd at "\/nowhere\/notify": /);
  const abstract = rig({ NOTIFY_SOCKET: "@/org/freedesktop/systemd1/notify", WATCHDOG_USEC: "1000000" });
  abstract.announcer.listening();
  await abstract.announcer.close();
  assert.equal(abstract.announcer.watchdogMs, undefined, "no promise that cannot be kept");
  assert.match(abstract.lines.join(), /abstract socket; want a path/);
  const nobody = rig({});
  nobody.announcer.listening();
  await nobody.announcer.close();
  assert.deepEqual(nobody.lines, []);
});

Deno.test("announce: the readiness file is there exactly while the agent is ready", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/ready`;
  const there = () => Deno.stat(path).then(() => true, () => false);
  try {
    // Of an agent that was killed.
    await Deno.writeTextFile(path, "ready\n");
    const { announcer, lines } = rig({}, path);
    assert.equal(await there(), false);
    announcer.readiness(READY);
    assert.equal(await Deno.readTextFile(path), "ready\n");
    announcer.readiness(UNREADY);
    assert.equal(await there(), false);
    announcer.readiness(READY);
    assert.equal(await there(), true);
    await announcer.close();
    assert.equal(await there(), false);
    assert.deepEqual(lines, []);

    const nowhere = rig({}, `${directory}/none/ready`);
    nowhere.announcer.readiness(READY);
    nowhere.announcer.readiness(READY);
    assert.deepEqual(nowhere.lines.map((line) => line.split("\n")[0]), [
      `warn setting cse.mesh.readinessFile: warning [N121] Cannot write the readiness file "${directory}/none/ready": ` +
      "No such file or directory; want a directory that is written to",
    ]);
    await nowhere.announcer.close();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
