/**
 * Machines that are not as they should be: each trouble ends in one plain sentence, or does no harm. The agent runs in a mount namespace
 * of its own and without root's rights where that matters, so this wants root; otherwise one line says that it was not run.
 */
import assert from "node:assert/strict";
import {
  type AgentProcess,
  type Finished,
  runAgent,
  startAgentProcess,
  type StartOptions,
} from "../harness/agent.ts";
import { within } from "../harness/bytes.ts";
import { askOnce, proxyGet } from "../harness/client.ts";
import { type ConfDirectory, type ConfOptions, makeConf, serviceEntry } from "../harness/conf.ts";
import { runLoad } from "../harness/load.ts";
import { mayMakeNamespaces } from "../harness/namespaces.ts";
import { echoing, startUpstream } from "../harness/upstream.ts";

const may = await mayMakeNamespaces();

function machine(name: string, fn: () => Promise<void>): void {
  if (may) Deno.test(`machine: ${name}`, fn);
  else Deno.test({ name: `machine: ${name} (not run: no root)`, ignore: true, fn });
}

/** In a mount namespace of its own, which `setup` (shell text) changes first. */
const inMounts = (setup: string, more: StartOptions = {}): StartOptions => ({
  ...more,
  before: `set -- unshare -m sh -c '${setup}; exec "$@"' sh "$@"`,
});

/** As a user without any rights, in a group of its own. */
const asNobody: StartOptions = {
  before: 'set -- setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all --no-new-privs "$@"',
};

/** Where those of nobody may be read, whatever the umask. */
async function openConf(options: ConfOptions = {}): Promise<ConfDirectory> {
  const conf = await makeConf(options);
  await Deno.chmod(conf.path, 0o755);
  return conf;
}

const refused = async (args: readonly string[], options: StartOptions = {}): Promise<Finished> => {
  const finished = await runAgent(args, options);
  assert.doesNotMatch(finished.stderr, /N109|^\s+at /m, finished.stderr);
  return finished;
};

const get = (agent: AgentProcess, authority: string) =>
  askOnce(agent.http, proxyGet(authority, "/", "Connection: close\r\n"));

machine("no name server answers: 503 says so, and what needs no name goes on", async () => {
  await using upstream = startUpstream(echoing("v1"));
  await using conf = await openConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }) },
  });
  // A port of the loopback that nobody has.
  await conf.write("resolv.conf", "nameserver 127.255.255.254\noptions timeout:1 attempts:1\n");
  await using agent = await startAgentProcess(
    ["run", "--config", conf.path],
    inMounts(`mount --bind ${conf.file("resolv.conf")} /etc/resolv.conf`),
  );
  const answer = await get(agent, "elsewhere.example");
  assert.equal(answer.status, 503);
  assert.match(
    answer.body,
    /^Cannot resolve "elsewhere\.example": (the name server cannot be reached|no answer from the name server)\. /,
  );
  assert.equal((await get(agent, "svc.test")).header("x-instance"), "v1");
  assert.equal((await get(agent, `127.0.0.1:${upstream.port}`)).header("x-instance"), "v1");
});

machine("no resolv.conf and no /etc/hosts: told at the start, and localhost is still a name", async () => {
  await using upstream = startUpstream(echoing("v1"));
  await using conf = await openConf();
  await using agent = await startAgentProcess(
    ["run", "--config", conf.path],
    inMounts("mount -t tmpfs none /etc"),
  );
  await agent.line(
    /warning \[N115\] Cannot resolve names that \/etc\/hosts does not have: there is no name server/,
  );
  assert.equal((await get(agent, `localhost:${upstream.port}`)).header("x-instance"), "v1");
  const answer = await get(agent, "elsewhere.example");
  assert.equal(answer.status, 503);
  assert.match(answer.body, /^Cannot resolve "elsewhere\.example": .*\./);
});

machine("a read-only root: the agent runs, and vm init says what it wants", async () => {
  await using upstream = startUpstream(echoing("v1"));
  await using conf = await openConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }) },
  });
  const readOnly = inMounts("mount -o remount,bind,ro /");
  await using agent = await startAgentProcess(["run", "--config", conf.path], readOnly);
  assert.equal((await get(agent, "svc.test")).header("x-instance"), "v1");
  assert.doesNotMatch(agent.stderr(), /error|Read-only/);

  const init = ["vm", "init", "--pilot", "grpc://10.0.0.5:15010", "--ip", "10.1.2.3", "--name", "web-1"];
  const { code, stderr } = await refused(init, { ...readOnly, rights: "vm" });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^\[N130\] Cannot write "\/etc\/mesh-agent": the file system is read-only; want one that can be written, or --root DIR of an image\n/m,
  );
});

machine("the wrong user: conf directory, a file of it, rules, port below 1024, /etc", async () => {
  await using conf = await openConf({ files: { "rules/a.yaml": "" } });
  const run = ["run", "--config", conf.path];

  await Deno.chmod(conf.path, 0o700);
  const locked = await refused(run, asNobody);
  assert.equal(locked.code, 2);
  assert.match(
    locked.stderr,
    /^\[N107\] Cannot read the conf directory ".*": permission denied; want one that the agent's user may read\n/m,
  );
  assert.match(
    (await refused(["run", "--config", `${conf.path}/deeper`], asNobody)).stderr,
    /^\[N107\] Cannot read the conf directory ".*deeper": permission denied/m,
  );
  await Deno.chmod(conf.path, 0o755);

  await Deno.chmod(conf.file("chassis.yaml"), 0o600);
  assert.match(
    (await refused(run, asNobody)).stderr,
    /^\[N107\] Cannot read ".*chassis\.yaml": permission denied; want/m,
  );
  await Deno.chmod(conf.file("chassis.yaml"), 0o644);

  const low = await refused([...run, "--http", "127.0.0.1:80"], asNobody);
  assert.equal(low.code, 2);
  assert.match(
    low.stderr,
    /\[N103\] Cannot listen on "127\.0\.0\.1:80" \(http\): ports below 1024 are for root and CAP_NET_BIND_SERVICE; want/,
  );

  await Deno.chmod(conf.file("rules"), 0o700);
  await using agent = await startAgentProcess(run, { ...asNobody, rules: false });
  await agent.line(
    /error \[D105\] Cannot read the rule file ".*rules": permission denied; want a readable file/,
  );
  assert.equal((await get(agent, "svc.test")).status, 503);

  const init = ["vm", "init", "--pilot", "grpc://10.0.0.5:15010", "--ip", "10.1.2.3", "--name", "web-1"];
  const locked2 = await refused(init, { ...asNobody, rights: "vm" });
  assert.equal(locked2.code, 1);
  assert.match(
    locked2.stderr,
    /^\[N130\] Cannot write "\/etc\/mesh-agent": permission denied; want root \(sudo mesh-agent vm init/m,
  );
});

machine("the wrong user: certificate and token of a control plane", async () => {
  await using conf = await openConf({
    discovery: "pilotv3",
    address: "grpcs://127.0.0.1:9",
    controlPlane: {
      certDirectory: "certs",
      tokenFile: "certs/istio-token",
      serverName: "istiod.istio-system.svc",
    },
  });
  await conf.write("certs/root-cert.pem", "x");
  await conf.write("certs/istio-token", "x");
  await Deno.chmod(conf.file("certs"), 0o700);
  await using agent = await startAgentProcess(["run", "--config", conf.path], { ...asNobody, rules: false });
  await agent.line(/\[D203\].*root certificate file ".*root-cert\.pem" cannot be read/);
  assert.equal((await get(agent, "svc.test")).status, 503);
});

machine("kill -9 under load: the next one has the ports at once and serves", async () => {
  await using upstream = startUpstream(echoing("v1"));
  await using conf = await openConf({
    files: { "rules/a.yaml": serviceEntry("svc.test", 80, { v1: upstream.port }) },
  });
  const first = await startAgentProcess(["run", "--config", conf.path]);
  const { http, admin } = first;
  let killed = false;
  let answers = 0;
  const { promise: underWay, resolve } = Promise.withResolvers<void>();
  const load = runLoad({
    address: http,
    request: proxyGet("svc.test", "/"),
    connections: 8,
    key: () => "answer",
    onAnswer: () => ++answers === 200 && resolve(),
    stopped: () => killed,
  });
  await within(underWay, "200 answers", 10_000);
  first.signal("SIGKILL");
  killed = true;
  assert.equal((await first.ended).signal, "SIGKILL");
  // Whoever connects again meanwhile is refused.
  await load.catch(() => {});

  const listen = ["--http", `127.0.0.1:${http.port}`, "--admin", `127.0.0.1:${admin.port}`];
  await using second = await startAgentProcess(["run", "--config", conf.path, ...listen]);
  assert.equal((await get(second, "svc.test")).header("x-instance"), "v1");
  assert.doesNotMatch(second.stderr(), /error|warn/);
});
