/**
 * A machine that boots: the real systemd as the first process of namespaces of its own, over a copy of this machine's files (an overlay
 * that is thrown away), with the compiled program and what `vm init` made. Shows that the hardened unit starts at boot, says that it is
 * ready, is reloaded, comes back from kill -9 and from a hang, and stops. Wants root and a systemd that boots; elsewhere the tests are ignored,
 * and their names say why.
 */
import assert from "node:assert/strict";
import { compile } from "../../scripts/compile.ts";
import { until, within } from "../harness/bytes.ts";
import { makeCertificate } from "../harness/certificate.ts";
import { serviceEntry } from "../harness/conf.ts";
import { startControlPlane } from "../harness/control_plane.ts";
import { mayMakeNamespaces, twoNamespaces } from "../harness/namespaces.ts";
import { judged } from "../interop/judges.ts";

const root = new URL("../../", import.meta.url);
const program = Deno.env.get("AGENT") || new URL("dist/mesh-agent", root).pathname;

/** `$1`: an empty directory; `$2`: shell text that changes the machine's files, run in its root, before it boots. */
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
eval "$2"
mkdir old
pivot_root . old
umount -l /old
ip link set lo up
export container=docker
exec /lib/systemd/systemd --system --log-target=journal --unit=multi-user.target
`;

/** An image that has the agent already. */
const FILLED = `
install -m 0755 "${program}" usr/local/bin/mesh-agent
usr/local/bin/mesh-agent vm init --root "$PWD" --pilot grpc://10.99.0.1:15010 --ip 127.0.0.1 --name web-1
mkdir -p etc/systemd/system/multi-user.target.wants etc/systemd/system/mesh-agent.service.d
ln -sf /etc/systemd/system/mesh-agent.service etc/systemd/system/multi-user.target.wants/mesh-agent.service
printf '[Service]\\nWatchdogSec=3s\\nRestartSec=100ms\\n' >etc/systemd/system/mesh-agent.service.d/sooner.conf
`;

interface Machine extends AsyncDisposable {
  /** Runs a command in it. */
  run(...words: string[]): Promise<{ readonly code: number; readonly text: string }>;
}

/** Rejects where systemd does not boot. `before`: words in front of the whole, of a network. */
async function boot(prepare: string, before: readonly string[] = []): Promise<Machine> {
  const directory = await Deno.makeTempDir({ prefix: "mesh-agent-boot-" });
  const network = before.length > 0 ? [] : ["--net"];
  const [command = "", ...words] = [
    ...[...before, "unshare", "--mount", "--pid", ...network, "--uts", "--ipc", "--cgroup", "--fork"],
    ...["--kill-child", "sh", "-c", BOOT, "sh", directory, prepare],
  ];
  const child = new Deno.Command(command, {
    args: words,
    stdout: "null",
    stderr: "null",
  }).spawn();
  const first = async (): Promise<string> =>
    (await Deno.readTextFile(`/proc/${child.pid}/task/${child.pid}/children`).catch(() => "")).trim();
  const machine: Machine = {
    async run(...words) {
      const { code, stdout, stderr } = await new Deno.Command("nsenter", {
        // systemd gives its services the same; a machine that tests may have another.
        env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
        args: ["-t", await first(), "--all", "--", ...words],
      }).output();
      return { code, text: (new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr)).trim() };
    },
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch { /* it did not get so far */ }
      await child.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
  const state = async () => (await machine.run("systemctl", "is-system-running")).text;
  let over = false;
  child.status.then(() => over = true);
  const up = await until(async () => over || /^(running|degraded)/.test(await state()), "systemd", 20_000)
    .then(() => !over, () => false);
  if (up) return machine;
  await machine[Symbol.asyncDispose]();
  throw new Error("Cannot boot: systemd does not come up in namespaces of this machine");
}

async function machineThatBoots(t: Deno.TestContext): Promise<void> {
  await using machine = await boot(FILLED);
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

/** The bundle of the machine in docs/deploy.md, in the words of istioctl; istiod without TLS. */
function bundle(ip: string, plane: string, rootCert: string): Record<string, string> {
  return {
    "cluster.env": `CANONICAL_SERVICE='web'
ISTIO_INBOUND_PORTS='*'
ISTIO_METAJSON_LABELS='{"app":"web","service.istio.io/canonical-name":"web"}'
ISTIO_META_CLUSTER_ID='Kubernetes'
ISTIO_META_DNS_CAPTURE='true'
ISTIO_META_WORKLOAD_NAME='web'
ISTIO_NAMESPACE='shop'
ISTIO_SERVICE='web.shop'
ISTIO_SERVICE_CIDR='*'
ISTIO_SVC_IP='${ip}'
POD_NAMESPACE='shop'
SERVICE_ACCOUNT='web'
`,
    "mesh.yaml": "defaultConfig:\n  discoveryAddress: istiod.istio-system.svc:15010\n",
    "hosts": `${plane} istiod.istio-system.svc\n`,
    "istio-token": "e30.e30.c2ln",
    "root-cert.pem": rootCert,
  };
}

async function walkThrough(): Promise<void> {
  const page = await Deno.readTextFile(new URL("docs/deploy.md", root));
  const commands = /^```sh\n(# 2\. on the machine, as root\n[\s\S]*?)^```/m.exec(page)![1]!;
  const shown = /^\$ mesh-agent vm init --from bundle\n([\s\S]*?)^\.\.\.$/m.exec(page)![1]!;

  await using net = await twoNamespaces({ applications: { v1: 8081 } });
  const [plane] = net.planes;
  await using istiod = await startControlPlane({
    temper: "istiod",
    port: 15010,
    host: plane,
    before: net.inCluster,
  });
  await istiod.serve(
    serviceEntry("reviews.default.svc.cluster.local", 9080, { v1: 8081 }).replace("127.0.0.1", net.cluster),
  );
  const directory = await Deno.makeTempDir();
  try {
    const { cert } = await makeCertificate("istiod", { authority: true });
    await Deno.mkdir(`${directory}/bundle`);
    for (const [name, text] of Object.entries(bundle(net.vm, plane, cert))) {
      await Deno.writeTextFile(`${directory}/bundle/${name}`, text);
    }
    // /tmp of the machine is another one.
    const prepare = `cp "${program}" root/mesh-agent
cp -r "${directory}/bundle" root/bundle
echo web-1 >etc/hostname
echo "127.0.0.1 localhost" >etc/hosts`;
    await using machine = await boot(prepare, net.inVm);
    const before = await machine.run("sh", "-c", "cat /etc/hosts /etc/resolv.conf");
    const { code, text } = await within(
      machine.run("sh", "-ec", `cd /root\n${commands}`),
      "the lines of the walk-through",
      60_000,
    );
    assert.equal(code, 0, text);
    for (
      const line of shown.replaceAll("10.1.2.3", net.vm).replace(
        "grpcs://203.0.113.20:15012",
        `grpc://${plane}:15010`,
      ).trim().split("\n")
    ) {
      assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
    }
    assert.match(text, /^agent +ready$/m);
    const answer = await machine.run(
      "curl",
      "-s",
      "-x",
      "http://127.0.0.1:30101",
      "http://reviews.default:9080/",
    );
    assert.equal(answer.text, `v1 asked by ${net.vm}`);
    assert.match(istiod.requests("CDS")[0]!.node!.id, new RegExp(`^sidecar~${net.vm}~web-1\\.shop~`));
    const { metadata } = istiod.requests("CDS")[0]!.node!;
    assert.deepEqual([metadata["SERVICE_ACCOUNT"], metadata["WORKLOAD_NAME"]], ["web", "web"]);
    const rights = await machine.run(
      "sh",
      "-c",
      "stat -c '%U %G %a' /etc/mesh-agent/certs/*; systemctl is-enabled mesh-agent",
    );
    assert.equal(rights.text, "root mesh-agent 640\nroot mesh-agent 640\nenabled");
    const doctor = /^`(\(set -a; .* doctor .*\))`\.$/m.exec(page)![1]!;
    const looked = await machine.run("sh", "-c", doctor);
    assert.equal(looked.code, 0, looked.text);
    assert.doesNotMatch(looked.text, /^(fail|warn)/m);
    // Renewed by root as a shell does it: the directory gives its group on.
    await machine.run(
      "sh",
      "-c",
      "rm /etc/mesh-agent/certs/istio-token; echo e30.e30.c2ln >/etc/mesh-agent/certs/istio-token",
    );
    const renewed = await machine.run(
      "setpriv",
      "--reuid=mesh-agent",
      "--regid=mesh-agent",
      "--clear-groups",
      "cat",
      "/etc/mesh-agent/certs/istio-token",
    );
    assert.equal(renewed.text, "e30.e30.c2ln");
    assert.deepEqual(await machine.run("sh", "-c", "cat /etc/hosts /etc/resolv.conf"), before);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** A machine with nothing of the agent: a container may refuse what systemd needs, such as the overlay. */
async function boots(): Promise<boolean> {
  try {
    await using _machine = await boot(":");
    return true;
  } catch {
    return false;
  }
}

const has = async (path: string) => await Deno.stat(path).then(() => true, () => false);
const missing = !await mayMakeNamespaces()
  ? "no root"
  : !await has("/lib/systemd/systemd")
  ? "no systemd"
  : !await boots()
  ? "systemd does not boot in namespaces of this machine"
  : undefined;
if (missing === undefined && !await has(program)) await compile(program);
for (
  const [name, fn] of [
    ["systemd boots a machine with the unit, reloads, restarts and stops it", machineThatBoots],
    ["the lines of docs/deploy.md for a VM, on a machine that systemd booted", walkThrough],
  ] as const
) {
  if (missing === undefined) judged(name, ["systemd-analyze", "curl", "node"], fn);
  else Deno.test({ name: `${name} (not run: ${missing})`, ignore: true, fn: () => {} });
}
