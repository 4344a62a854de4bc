/**
 * A machine that boots: the real systemd as the first process of namespaces of its own, over a copy of this machine's files (an overlay
 * that is thrown away), with the compiled program and what `vm init` made. Shows that the hardened unit starts at boot, says that it is
 * ready, is reloaded, comes back from kill -9 and from a hang, and stops. Wants root and systemd; elsewhere one line says that it was not
 * run.
 */
import assert from "node:assert/strict";
import { compile } from "../../scripts/compile.ts";
import { until, within } from "../harness/bytes.ts";
import { mayMakeNamespaces } from "../harness/namespaces.ts";
import { judged } from "../interop/judges.ts";

const root = new URL("../../", import.meta.url);
const program = Deno.env.get("AGENT") || new URL("dist/mesh-agent", root).pathname;

/** `$1`: an empty directory. */
const BOOT = `
set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t tmpfs none run
mount -t tmpfs none tmp
mount --rbind /sys sys
mount --rbind /dev dev
install -m 0755 "${program}" usr/local/bin/mesh-agent
usr/local/bin/mesh-agent vm init --root "$PWD" --pilot grpc://10.99.0.1:15010 --ip 127.0.0.1 --name web-1
mkdir -p etc/systemd/system/multi-user.target.wants etc/systemd/system/mesh-agent.service.d old
ln -sf /etc/systemd/system/mesh-agent.service etc/systemd/system/multi-user.target.wants/mesh-agent.service
printf '[Service]\\nWatchdogSec=3s\\nRestartSec=100ms\\n' >etc/systemd/system/mesh-agent.service.d/sooner.conf
pivot_root . old
umount -l /old
ip link set lo up
export container=docker
exec /lib/systemd/systemd --system --log-target=journal --unit=multi-user.target
`;

interface Machine extends AsyncDisposable {
  /** Runs a command in it. */
  run(...words: string[]): Promise<{ readonly code: number; readonly text: string }>;
}

async function boot(): Promise<Machine> {
  const directory = await Deno.makeTempDir({ prefix: "mesh-agent-boot-" });
  const child = new Deno.Command("unshare", {
    args: [
      ...["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"],
      ...["sh", "-c", BOOT, "sh", directory],
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  const first = async (): Promise<string> =>
    (await Deno.readTextFile(`/proc/${child.pid}/task/${child.pid}/children`).catch(() => "")).trim();
  return {
    async run(...words) {
      const { code, stdout, stderr } = await new Deno.Command("nsenter", {
        args: ["-t", await first(), "--all", "--", ...words],
      }).output();
      return { code, text: (new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr)).trim() };
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

async function machineThatBoots(t: Deno.TestContext): Promise<void> {
  if (!await Deno.stat(program).then(() => true, () => false)) await compile(program);
  await using machine = await boot();
  const property = async (name: string): Promise<string> =>
    (await machine.run("systemctl", "show", "mesh-agent", "--value", "-p", name)).text;
  const isActive = async (): Promise<boolean> => (await property("ActiveState")) === "active";
  const journal = async (): Promise<string> =>
    (await machine.run("journalctl", "-u", "mesh-agent", "-o", "cat")).text;
  const settled = (what: () => Promise<boolean>, name: string) =>
    until(what, name, 15_000).catch(async (error) => {
      throw new Error(
        `${error.message}\n${(await machine.run("systemctl", "status", "-l", "mesh-agent")).text}`,
      );
    });

  const up = await until(
    async () => /^(running|degraded)/.test((await machine.run("systemctl", "is-system-running")).text),
    "systemd",
    20_000,
  )
    .then(() => true, () => false);
  if (!up) return console.log("not run: systemd does not boot in namespaces of this machine");

  const ready = () => machine.run("curl", "-s", "-m", "2", "http://127.0.0.1:30102/live");
  await t.step(
    "started at boot, ready by sd_notify, as a user of its own without any capability",
    async () => {
      await settled(isActive, "the unit to be active");
      assert.equal(await property("Type"), "notify");
      assert.match(await property("StatusText"), /^not ready: no rules are in yet/);
      assert.equal(await property("NRestarts"), "0");
      const status = (await machine.run("cat", `/proc/${await property("MainPID")}/status`)).text;
      assert.match(status, /^Uid:\t([1-9]\d*)\t\1\t/m);
      assert.match(status, /^CapEff:\t0+$/m);
      assert.match(status, /^NoNewPrivs:\t1$/m);
      assert.match(status, /^Seccomp:\t2$/m);
      assert.equal((await ready()).code, 0);
      const kept = await machine.run("stat", "-c", "%U %a", "/var/cache/mesh-agent", "/run/mesh-agent");
      assert.equal(kept.text, "mesh-agent 700\nmesh-agent 755");
      const certs = await machine.run("stat", "-c", "%G %a", "/etc/mesh-agent/certs");
      assert.equal(certs.text, "mesh-agent 2750");
    },
  );

  await t.step("reload", async () => {
    assert.equal((await machine.run("systemctl", "reload", "mesh-agent")).code, 0);
    await settled(async () => /SIGHUP: rereading settings and rules/.test(await journal()), "the reload");
    assert.equal(await property("NRestarts"), "0");
  });

  await t.step("kill -9, and a hang that the watchdog ends: started again", async () => {
    await machine.run("kill", "-KILL", await property("MainPID"));
    await settled(async () => await property("NRestarts") === "1" && await isActive(), "the first restart");
    await machine.run("kill", "-STOP", await property("MainPID"));
    await settled(async () => await property("NRestarts") === "2" && await isActive(), "the second restart");
    assert.equal((await ready()).code, 0);
    assert.match(
      (await machine.run("journalctl", "-u", "mesh-agent", "_PID=1", "-o", "cat")).text,
      /Watchdog timeout/,
    );
  });

  await t.step("a second vm init changes nothing, one with another address asks for a restart", async () => {
    const init = ["mesh-agent", "vm", "init", "--ip", "127.0.0.1", "--name", "web-1", "--pilot"];
    const same = await machine.run(...init, "grpc://10.99.0.1:15010");
    assert.match(same.text, /Nothing changed: everything is as it would be made\./);
    assert.doesNotMatch(same.text, /systemd-sysusers|enable --now|install -m/);
    assert.match((await machine.run(...init, "grpc://10.99.0.2:15010")).text, /systemctl restart mesh-agent/);
  });

  await t.step("stop", async () => {
    assert.equal((await within(machine.run("systemctl", "stop", "mesh-agent"), "the stop", 10_000)).code, 0);
    assert.equal(await property("Result"), "success");
    assert.match(await journal(), /info drained/);
    assert.notEqual((await ready()).code, 0);
  });
}

const NAME = "systemd boots a machine with the unit, reloads, restarts and stops it";
const has = async (path: string) => await Deno.stat(path).then(() => true, () => false);
if (await mayMakeNamespaces() && await has("/lib/systemd/systemd")) {
  judged(NAME, ["systemd-analyze", "curl"], machineThatBoots);
} else Deno.test({ name: `${NAME} (not run: no root, or no systemd)`, ignore: true, fn: () => {} });
