/**
 * What the compiled program does, as the kernel sees it: strace over the end-to-end tests. Every connection goes where
 * `mesh-agent permissions` says, every file that is opened is in its list or one of the runtime's own few ({@link RUNTIME}), and no other
 * program is started. Each agent is held to its own list, asked with the arguments and variables that it was started with.
 */
import assert from "node:assert/strict";
import { compile } from "../../scripts/compile.ts";
import { type AgentProcess, startAgentProcess } from "../harness/agent.ts";
import { askOnce, proxyGet } from "../harness/client.ts";
import { makeConf, serviceEntry } from "../harness/conf.ts";
import { echoing, startUpstream } from "../harness/upstream.ts";
import { judge, judged } from "../interop/judges.ts";

const root = new URL("../../", import.meta.url);
const program = Deno.env.get("AGENT") || new URL("dist/mesh-agent", root).pathname;

/** End-to-end tests that ask most of it: the cache, service ports, tunnels, TCP, Pilot by REST, control planes by gRPC, limits. */
const SUITES: readonly (readonly string[])[] = [
  ["--filter", "/istiod, delta|pilot v1|damaged/", "tests/e2e/boot_cache_test.ts"],
  ...[["inbound", "tunnels"], ["tcp_routes", "application"], [
    "pilot_v1",
    "connection_limits",
  ]]
    .map((names) => names.map((name) => `tests/e2e/${name}_test.ts`)),
  ["--filter", "/(istiod, delta|pilot-1.0.9): first sync/", "tests/e2e/control_plane_sync_test.ts"],
];

/** What the runtime and the C library open by themselves, whatever the agent may read. */
const RUNTIME: readonly RegExp[] = [
  // The program, which carries its modules behind its code; what it links.
  new RegExp(`^${program}$`),
  /^\/etc\/ld\.so\.(cache|preload)$/,
  /^\/(usr\/)?lib(64)?\/([\w-]+\/)?(lib(c|dl|gcc_s|m|pthread|rt)\.so\.\d|ld-linux[\w.-]+)$/,
  // Whether a package that is loaded late is a module, asked above where the program says it lies.
  /^(\/tmp)?\/package\.json$/,
  // Chance, clock, processors and memory.
  /^\/dev\/(u?random|null)$/,
  /^\/etc\/localtime$/,
  /^\/proc\/(meminfo|self\/(maps|cgroup|mountinfo|exe|stat|statm))$/,
  /^\/sys\/devices\/system\/cpu\//,
  /^\/sys\/fs\/cgroup\//,
];

/** The calls of interest. */
const CALLS = "execve,execveat,connect,sendto,sendmsg,sendmmsg,bind,listen,open,openat,openat2,creat";

interface Traced {
  readonly calls: readonly string[];
  /** As `permissions --json` has them; undefined of a run without isolation or with wrong usage. */
  readonly grants:
    | readonly { readonly right: string; readonly value: string; readonly because: string }[]
    | undefined;
}

/** A directory of traces, and a program that runs the agent under strace into it. */
async function tracing(work: (wrapper: string) => Promise<void>): Promise<Traced[]> {
  const directory = await Deno.makeTempDir({ prefix: "mesh-agent-strace-" });
  try {
    const wrapper = `${directory}/agent`;
    await Deno.writeTextFile(
      wrapper,
      `#!/bin/sh
if [ "$1" = run ]; then
  shift
  "${program}" permissions --json "$@" >"${directory}/$$.scope" 2>/dev/null || rm "${directory}/$$.scope"
  set -- run "$@"
fi
exec "${
        judge("strace")
      }" -f -D -qq --seccomp-bpf -e "trace=${CALLS}" -o "${directory}/$$.trace" "${program}" "$@"
`,
      { mode: 0o755 },
    );
    await work(wrapper);
    const traced: Traced[] = [];
    for await (const { name } of Deno.readDir(directory)) {
      if (!name.endsWith(".trace")) continue;
      const calls = (await Deno.readTextFile(`${directory}/${name}`)).split("\n")
        .map((line) => line.replace(/^\d+ +/, "")).filter((line) => /^\w+\(/.test(line));
      const scope = await Deno.readTextFile(`${directory}/${name.replace("trace", "scope")}`).catch(() =>
        undefined
      );
      const { isolation, grants } = scope === undefined
        ? { isolation: false, grants: [] }
        : JSON.parse(scope);
      traced.push({ calls, grants: isolation === true ? grants : undefined });
    }
    return traced;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

interface Place {
  readonly address: string;
  readonly port: number;
}

/** Where a connect or a datagram went; undefined for what has no address or is no address of the Internet. */
function placeOf(call: string): Place | undefined {
  const port = /sin6?_port=htons\((\d+)\)/.exec(call)?.[1];
  const address = /inet_addr\("([^"]+)"\)/.exec(call)?.[1] ??
    /inet_pton\(AF_INET6, "([^"]+)"/.exec(call)?.[1];
  return port === undefined || address === undefined ? undefined : { address, port: Number(port) };
}

const number = (address: string) => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

/** Whether a grant covers a place: `ADDRESS`, `RANGE`, each with or without `:PORT`. Written anew, so that it judges. */
function covers(grant: string, { address, port }: Place): boolean {
  const six = /^\[(.*)\]:(\d+)$/.exec(grant);
  const [, host = "", , length, wanted] = six === null
    ? /^([^/:]+|[0-9a-f:]+)(\/(\d+))?(?::(\d+))?$/.exec(grant) ?? []
    : ["", six[1], "", undefined, six[2]];
  if (wanted !== undefined && Number(wanted) !== port) return false;
  if (length === undefined) return host === address;
  const size = 2 ** (32 - Number(length));
  return !address.includes(":") && Math.floor(number(address) / size) === Math.floor(number(host) / size);
}

const descriptorOf = (call: string) => /^\w+\((\d+)/.exec(call)?.[1];

/** What of a trace is outside of its scope. */
function outside({ calls, grants }: Traced): string[] {
  const of = (right: string) =>
    (grants ?? []).filter((each) => each.right === right).map(({ value }) => value);
  const within = (path: string, roots: readonly string[]) =>
    roots.some((each) => path === each || path.startsWith(`${each}/`));
  const [connect, listen, read, write] = ["connect", "listen", "read", "write"].map(of) as [
    string[],
    string[],
    string[],
    string[],
  ];
  const bound = new Map<string | undefined, Place | undefined>();
  return calls.slice(1).filter((call) => {
    if (/^execve/.test(call)) return true;
    if (grants === undefined) return false;
    if (/^(connect|send)/.test(call)) {
      const place = placeOf(call);
      // A datagram on a connected socket says no address.
      if (place === undefined) return /^connect/.test(call) && !/sa_family=AF_UNSPEC/.test(call);
      return !connect.some((grant) => covers(grant, place));
    }
    // Only what takes connections: the resolver binds its datagram sockets to ports of its choice.
    if (/^bind/.test(call)) {
      bound.set(descriptorOf(call), placeOf(call));
      return false;
    }
    if (/^listen/.test(call)) {
      const place = bound.get(descriptorOf(call));
      return place === undefined || !listen.some((grant) => covers(grant, place));
    }
    const path = /"([^"]*)"/.exec(call)?.[1] ?? "";
    if (/O_WRONLY|O_RDWR|O_CREAT|^creat/.test(call)) return !within(path, write);
    return !within(path, [...read, ...write]) && !RUNTIME.some((pattern) => pattern.test(path));
  });
}

const count = (traced: readonly Traced[], pattern: RegExp) =>
  traced.reduce((sum, { calls }) => sum + calls.filter((call) => pattern.test(call)).length, 0);

async function compiled(): Promise<void> {
  if (await Deno.stat(program).then(() => true, () => false)) return;
  await Deno.mkdir(new URL("dist", root), { recursive: true });
  await compile(program);
}

judged("strace: the program connects, listens, opens and starts nothing outside of its scope", [
  "strace",
  "node",
], async () => {
  await compiled();
  const logs: string[] = [];
  const traced = await tracing(async (wrapper) => {
    await Promise.all(SUITES.map(async (suite) => {
      const { success, stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["test", "-A", "--no-check", "--quiet", ...suite],
        cwd: root,
        env: { AGENT: wrapper, NO_COLOR: "1" },
      }).output();
      if (!success) logs.push(new TextDecoder().decode(stdout));
    }));
  });
  assert.deepEqual(logs, []);
  for (const each of traced) {
    assert.match(each.calls[0] ?? "", /^execve\(/);
    assert.deepEqual(outside(each), [], JSON.stringify(each.grants, null, 1));
  }
  const scoped = traced.filter(({ grants }) => grants !== undefined);
  const byGrpc = scoped.filter(({ grants }) =>
    grants!.some(({ right, because, value }) =>
      right === "connect" && /serviceDiscovery\.address$/.test(because) && !/:8080$/.test(value)
    )
  );
  assert.ok(byGrpc.length >= 2, "agents with a control plane");
  const [connects, listens, opens] = [/^connect.*AF_INET/, /^listen/, /^open/].map((call) =>
    count(scoped, call)
  );
  console.log(
    `${traced.length} agents, ${scoped.length} isolated: ${connects} connects, ${listens} listens, ${opens} opens`,
  );
  assert.ok(scoped.length >= 20 && connects! >= 100 && listens! >= 40 && opens! >= 500);
});

judged("strace: a rule that points outside of the scope is a named error, and no connection is tried", [
  "strace",
], async () => {
  await compiled();
  await using upstream = startUpstream(echoing("inside"));
  await using conf = await makeConf({
    files: { "rules/a.yaml": serviceEntry("inside.test", 80, { v1: upstream.port }) },
    mesh: { permissions: { net: ["127.0.0.0/8"] } },
  });
  const before = Deno.env.get("AGENT");
  const [traced] = await tracing(async (wrapper) => {
    Deno.env.set("AGENT", wrapper);
    let agent: AgentProcess | undefined;
    try {
      agent = await startAgentProcess(["run", "--config", conf.path]);
      const ask = (authority: string) =>
        askOnce(agent!.http, proxyGet(authority, "/", "Connection: close\r\n"));
      assert.equal((await ask("inside.test")).header("x-instance"), "inside");
      const elsewhere = serviceEntry("outside.test", 80, { v1: 8080 }).replace("127.0.0.1", "203.0.113.5");
      await conf.write("rules/b.yaml", elsewhere);
      await agent.line(/rules in force revision=2/);
      const answer = await ask("outside.test");
      assert.equal(answer.status, 403);
      assert.match(
        answer.header("proxy-status")!,
        /details="\[P209\] Cannot connect to '203\.0\.113\.5:8080'/,
      );
      assert.match(answer.body, /want it in cse\.mesh\.permissions\.net/);
      await agent.line(/warn \[P209\] denied: connect 203\.0\.113\.5:8080/);
    } finally {
      await agent?.stop();
      if (before === undefined) Deno.env.delete("AGENT");
      else Deno.env.set("AGENT", before);
    }
  });
  assert.deepEqual(outside(traced!), []);
  assert.equal(count([traced!], new RegExp(`^connect.*htons\\(${upstream.port}\\)`)), 1);
  assert.equal(count([traced!], /^(connect|send).*203\.0\.113\.5/), 0);
});
