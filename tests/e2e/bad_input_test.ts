/** Bad input, each with its exact text: what a user sees must not change by accident. */
import assert from "node:assert/strict";
import { runAgent, startAgentProcess } from "../harness/agent.ts";
import { askOnce, proxyGet } from "../harness/client.ts";
import {
  chassisText,
  type ConfOptions,
  ISTIOSERVER,
  istioserver,
  makeConf,
  serviceEntry,
  splitRule,
} from "../harness/conf.ts";
import { echoing, startUpstream } from "../harness/upstream.ts";

const SERVICE = serviceEntry(ISTIOSERVER, 8084, { v1: 9001 });
const HEAD = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: istioserver
spec:
  hosts: [istioserver]
`;
const PLAIN = `${HEAD}  http:
  - route:
    - destination: {host: istioserver}
`;

interface BadRules {
  readonly name: string;
  /** File of the rules directory -> text. */
  readonly files: Readonly<Record<string, string>>;
  readonly exit: 0 | 1;
  /** `DIR` stands for the rules directory. */
  readonly text: string;
}

const BAD_RULES: readonly BadRules[] = [
  {
    name: "malformed YAML",
    files: {
      "a.yaml":
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a\nspec:\n  hosts: [a]\n",
    },
    exit: 1,
    text: `DIR/a.yaml:4:1: error [Y001] Cannot read the YAML: missed comma between flow collection entries
       4 | spec:
         | ^
    Mend the YAML; until then the last good version of this file's objects stays in force.

1 file, 0 sound objects: 1 error, 0 warnings
`,
  },
  {
    name: "unknown field",
    files: { "a.yaml": PLAIN.replace("route:", "rout:") },
    exit: 1,
    text:
      `DIR/a.yaml:8:5: error [Y003] Cannot read field "rout": HTTPRoute has no such field; did you mean "route"?
       8 |   - rout:
         |     ^
    Mend the spelling or delete the field; Kubernetes refuses it too.

1 file, 0 sound objects: 1 error, 0 warnings
`,
  },
  {
    name: "weight -1",
    files: { "a.yaml": splitRule("istioserver", { v1: -1, v2: 2 }) },
    exit: 1,
    text: `DIR/a.yaml:10:15: error [R130] Cannot accept weight "-1": it is negative; want 0 or more
      10 |       weight: -1
         |               ^
    Weights are 0 or more and at least one of several must be above 0; each needs a destination.host.

1 file, 0 sound objects: 1 error, 0 warnings
`,
  },
  {
    name: "all weights 0",
    files: { "a.yaml": splitRule("istioserver", { v1: 0, v2: 0 }) },
    exit: 1,
    text: `DIR/a.yaml:9:5: error [R130] Cannot accept weights: all 2 are 0; give at least one above 0
       9 |     - destination: {host: istioserver, subset: v1}
         |     ^
    Weights are 0 or more and at least one of several must be above 0; each needs a destination.host.

1 file, 0 sound objects: 1 error, 0 warnings
`,
  },
  {
    name: "unknown subset",
    files: { "a.yaml": istioserver({ v1: 9001 }, { v1: 50, v9: 50 }) },
    exit: 0,
    text:
      `DIR/a.yaml:33:48: warning [R402] Cannot route to subset "v9" of istioserver.default.svc.cluster.local: ` +
      `DestinationRule "default/istioserver" (DIR/a.yaml:14) has subsets v1; did you mean "v1"?
      33 |     - destination: {host: istioserver, subset: v9}
         |                                                ^
    Until then this share of requests is answered 503 NC (no cluster).

1 file, 3 sound objects: 0 errors, 1 warning
`,
  },
  {
    name: "bad regex",
    files: { "a.yaml": PLAIN.replace("- route:", '- match:\n    - uri: {regex: "/a(?=b)"}\n    route:') },
    exit: 1,
    text:
      `DIR/a.yaml:9:20: error [R117] Cannot accept match of "uri": its regex is wrong: it does not compile as RE2 ` +
      `(invalid or unsupported Perl syntax: \`(?=\`); mend it
       9 |     - uri: {regex: "/a(?=b)"}
         |                    ^
    Regular expressions are RE2: no look-around, no back-references.

1 file, 0 sound objects: 1 error, 0 warnings
`,
  },
  {
    name: "duplicate host",
    files: {
      "a.yaml": SERVICE,
      "b.yaml": PLAIN,
      "c.yaml": PLAIN.replace("name: istioserver", "name: second"),
    },
    exit: 0,
    text:
      `DIR/c.yaml:6:11: warning [R407] VirtualService host "istioserver" belongs to "default/istioserver" (DIR/b.yaml:1), ` +
      `whose name comes first; this rule is not used for it
       6 |   hosts: [istioserver]
         |           ^
    Merge the two rules; hosts are never merged across VirtualServices.

3 files, 3 sound objects: 0 errors, 1 warning
`,
  },
  {
    name: "one object in two files",
    files: { "a.yaml": SERVICE, "b.yaml": SERVICE },
    exit: 1,
    text:
      `DIR/b.yaml:4:9: error [R401] Cannot accept ServiceEntry "default/istioserver-default-svc-cluster-local": ` +
      `DIR/a.yaml:1 and DIR/b.yaml:1 both define it; want one definition
       4 |   name: istioserver-default-svc-cluster-local
         |         ^
    Give one of them another name, or delete it.

2 files, 1 sound object: 1 error, 0 warnings
`,
  },
];

for (const { name, files, exit, text } of BAD_RULES) {
  Deno.test(`check: ${name}`, async () => {
    await using conf = await makeConf({
      files: Object.fromEntries(Object.entries(files).map(([file, body]) => [`rules/${file}`, body])),
    });
    const { code, stdout, stderr } = await runAgent(["check", conf.file("rules")]);
    assert.equal((stdout + withoutNotes(stderr)).replaceAll(conf.file("rules"), "DIR"), text);
    assert.equal(code, exit);
  });
}

interface BadConf {
  readonly name: string;
  readonly conf: ConfOptions;
  /** `DIR` stands for the conf directory. */
  readonly text: string;
}

const BAD_CONF: readonly BadConf[] = [
  {
    name: "a registrator",
    conf: { registratorDisabled: "false" },
    text:
      `DIR/chassis.yaml:10:19: error [S110] Cannot use registrator.disabled "false": Istio takes services from its ` +
      `platform, and has no way for a sidecar to register one; want true
      10 |         disabled: false
         |                   ^
    Set it to true: services are ServiceEntries here, and Kubernetes services with Pilot.
`,
  },
  {
    name: "an unknown key",
    conf: { files: { "chassis.yaml": chassisText().replace("listenAddress", "listenAdress") } },
    text:
      `DIR/chassis.yaml:4:7: error [S102] Cannot read key "cse.protocols.http.listenAdress": there is none of that ` +
      `name; did you mean "listenAddress"?
       4 |       listenAdress: 127.0.0.1:0
         |       ^
    Mend the spelling or delete the key.
`,
  },
  {
    name: "an unknown source of services",
    conf: { discovery: "consul" },
    text:
      `DIR/chassis.yaml:12:15: error [S105] Cannot read cse.service.registry.serviceDiscovery.type "consul": want ` +
      `one of file, pilot, pilotv2, pilotv3
      12 |         type: consul
         |               ^
    Use one of the values.
`,
  },
  {
    name: "rules that come later",
    conf: { files: { "router.yaml": "router:\n  infra: cse\n" } },
    text:
      `DIR/router.yaml:2:10: error [S113] Cannot use router.infra "cse": it comes with the rules of router.yaml; ` +
      `want file
       2 |   infra: cse
         |          ^
    Take the rules from where the services come from: leave router.infra out.
`,
  },
];

for (const { name, conf: options, text } of BAD_CONF) {
  Deno.test(`run: ${name}`, async () => {
    await using conf = await makeConf(options);
    const { code, stdout, stderr } = await runAgent(["run", "--config", conf.path]);
    assert.equal(withoutNotes(stderr).replaceAll(conf.path, "DIR"), text);
    assert.equal(stdout, "");
    assert.equal(code, 2);
  });
}

Deno.test("run: every mistake at once", async () => {
  await using conf = await makeConf({
    discovery: "consul",
    registratorDisabled: "false",
    mesh: { engine: "turbo", limits: { maxHeadBytes: "many" } },
  });
  const { code, stderr } = await runAgent(["run", "--config", conf.path]);
  assert.equal(code, 2);
  assert.equal(stderr.match(/: error \[S\d+\] /g)?.length, 4, stderr);
});

Deno.test("run: no conf directory", async () => {
  const { code, stderr } = await runAgent(["run", "--config", "/nowhere/conf"]);
  assert.equal(
    withoutNotes(stderr),
    `[N110] Cannot start from "/nowhere/conf": there is no such conf directory; want one with chassis.yaml
    To see it work without any configuration:      mesh-agent demo
    To start from the example that comes along:    mesh-agent run --config config
    A conf directory holds chassis.yaml, mesher.yaml, microservice.yaml and a directory rules with Istio YAML.
`,
  );
  assert.equal(code, 2);
});

Deno.test("run: the port is in use", async () => {
  const other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${(other.addr as Deno.NetAddr).port}`;
  try {
    for (const [key, name] of [["http", "http"], ["admin", "rest-admin"]] as const) {
      await using conf = await makeConf({ [key]: address });
      const { code, stderr } = await runAgent(["run", "--config", conf.path]);
      assert.equal(
        withoutLog(stderr),
        `[N101] Cannot listen on "${address}" (${name}): another program has the port; want a free one
    Stop the other program, or choose another listenAddress (port 0 = any free one).
`,
      );
      assert.equal(code, 2);
    }
  } finally {
    other.close();
  }
});

Deno.test("run: an empty rules directory", async () => {
  await using conf = await makeConf();
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  await agent.line(/D102/);
  const text = agent.stderr().replaceAll(conf.path, "DIR");
  assert.ok(
    text.includes(
      `DIR/rules: warning [D102] The rules directory "DIR/rules" holds no rules: every host is unknown to the agent
    Put VirtualService, DestinationRule and ServiceEntry files (*.yaml, *.yml, *.json) there.
`,
    ),
    text,
  );
});

Deno.test("run: no rules directory yet; it is served 503 until there is one", async () => {
  await using upstream = startUpstream(echoing("v1"));
  await using conf = await makeConf();
  await conf.remove("rules");
  await using agent = await startAgentProcess(["run", "--config", conf.path], { rules: false });
  await agent.line(/D101/);
  const early = await askOnce(agent.http, proxyGet("istioserver:8084"));
  assert.equal(early.status, 503);
  assert.match(early.body, /not synced/);
  const ready = async () => {
    const ask = (path: string) => askOnce(agent.admin, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
    const gauge = /^mesh_agent_ready (\d)$/m.exec((await ask("/stats/prometheus")).body)?.[1];
    return [(await ask("/ready")).status, gauge];
  };
  assert.deepEqual(await ready(), [503, "0"]);
  await conf.write("rules/a.yaml", istioserver({ v1: upstream.port }, { v1: 100 }));
  await agent.line(/rules in force/);
  assert.equal((await askOnce(agent.http, proxyGet("istioserver:8084"))).status, 200);
  assert.deepEqual(await ready(), [200, "1"]);
});

Deno.test("run: a bad edit keeps the last good rules, and never touches its neighbours", async () => {
  await using v1 = startUpstream(echoing("v1"));
  await using v2 = startUpstream(echoing("v2"));
  await using conf = await makeConf({
    files: {
      "rules/a.yaml": istioserver({ v1: v1.port, v2: v2.port }, { v1: 100, v2: 0 }),
      "rules/b.yaml": serviceEntry("other.test", 80, { v1: v1.port }),
    },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const ask = async (host: string) => (await askOnce(agent.http, proxyGet(host))).header("x-instance");
  assert.equal(await ask("istioserver:8084"), "v1");
  await conf.write("rules/a.yaml", istioserver({ v1: v1.port, v2: v2.port }, { v1: -1, v2: 1 }));
  await agent.line(/\[R130\]/);
  assert.equal(await ask("istioserver:8084"), "v1");
  assert.equal(await ask("other.test"), "v1");
  await conf.write("rules/b.yaml", serviceEntry("other.test", 80, { v2: v2.port }));
  await agent.line(/revision=3/);
  assert.equal(await ask("other.test"), "v2", "a good edit beside the bad one is taken");
  assert.equal(await ask("istioserver:8084"), "v1");
  await conf.write("rules/a.yaml", istioserver({ v1: v1.port, v2: v2.port }, { v1: 0, v2: 1 }));
  await agent.line(/revision=4/);
  assert.equal(await ask("istioserver:8084"), "v2");
});

/** Without what the runtime itself says about permissions in the config file. */
function withoutNotes(text: string): string {
  return text.split("\n").filter((line) => !line.includes("experimental feature")).join("\n");
}

/** Without the log's lines. */
function withoutLog(text: string): string {
  return withoutNotes(text).split("\n").filter((line) => !/^\d{4}-\d\d-\d\dT/.test(line)).join("\n");
}
