import assert from "node:assert/strict";
import { istioserver } from "../../tests/harness/conf.ts";
import type { SyncReport } from "../admin/sync.ts";
import { VERSION } from "../core/version.ts";
import { parseAddress, parseArgs } from "./args.ts";
import { COMMANDS } from "./commands.ts";
import { main } from "./main.ts";
import { createPaint, type Terminal } from "./terminal.ts";

async function run(...args: string[]) {
  let out = "";
  let notes = "";
  const terminal: Terminal = {
    print: (text) => out += text + "\n",
    note: (text) => notes += text + "\n",
    progress: () => {},
    interactive: false,
    paint: createPaint(false),
  };
  const code = await main(args, terminal);
  assert.doesNotMatch(out + notes, /^\s+at .*:\d+:\d+\)?$/m, "no stack trace");
  return { code, out, notes };
}

async function withRules(text: string, test: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${path}/rules.yaml`, text);
    await test(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

const RULES = istioserver({ v1: 8081, v2: 8082 }, { v1: 25, v2: 75 });

Deno.test("cli: without a command, and for help: every command and where to start", async () => {
  for (const args of [[], ["help"], ["--help"], ["-h"]]) {
    const { code, out } = await run(...args);
    assert.equal(code, 0);
    for (const { name } of COMMANDS) assert.match(out, new RegExp(`^  ${name}`, "m"));
    assert.match(out, /mesh-agent demo/);
  }
});

Deno.test("cli: each command's help has its flags, examples and exit codes, two ways", async () => {
  for (const { name, flags, examples, exits } of COMMANDS) {
    const { code, out } = await run("help", name);
    assert.equal(code, 0);
    assert.equal((await run(name, "--help")).out, out);
    for (const flag of flags) assert.ok(out.includes(`--${flag.name}`), `${name} --${flag.name}`);
    assert.ok(examples.length > 0 && out.includes(examples[0]?.[0] ?? ""));
    assert.ok(exits.every(([exit]) => out.includes(`  ${exit}  `)));
  }
});

Deno.test("cli: an unknown command, with the nearest one", async () => {
  assert.deepEqual(await run("chekc"), {
    code: 2,
    out: "",
    notes: 'Cannot run "chekc": there is no such command; did you mean "check"?\n' +
      "want one of run, demo, check, explain, status, wait, doctor, permissions, program, vm, sleep, version; mesh-agent help shows them\n",
  });
});

Deno.test("cli: all wrong flags at once, with the usage", async () => {
  const { code, notes } = await run("check", "--jsno", "--strict=1", "x", "--namespace");
  assert.equal(code, 2);
  assert.equal(
    notes,
    'Cannot read flag "--jsno": this command has none of that name; did you mean "--json"?\n' +
      'Cannot read flag "--strict=1": --strict takes no value\n' +
      'Cannot read flag "--namespace": its NAME is missing\n' +
      "usage: mesh-agent check PATH...\n       mesh-agent help check says more\n",
  );
});

Deno.test("cli: version, as text and JSON, and the version of deno.json", async () => {
  assert.match(
    (await run("version")).out,
    new RegExp(`^mesh-agent ${VERSION.replaceAll(".", "\\.")} \\(deno `),
  );
  assert.equal(JSON.parse((await run("version", "--json")).out).version, VERSION);
  assert.equal((await run("--version")).code, 0);
  assert.equal((await run("version", "check")).code, 2);
  const config = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  assert.equal(config.version, VERSION);
});

Deno.test("cli check: clean rules are 0, an error is 1 with its line and a caret", async () => {
  await withRules(RULES, async (path) => {
    const { code, out } = await run("check", path);
    assert.deepEqual([code, out], [0, "1 file, 3 sound objects: 0 errors, 0 warnings\n"]);
  });
  await withRules(RULES.replace("weight: 25", "weight: -1"), async (path) => {
    const { code, out } = await run("check", `${path}/rules.yaml`);
    assert.equal(code, 1);
    assert.match(out, /rules\.yaml:\d+:15: error \[R1\d\d\] .*-1/);
    assert.match(out, /\d+ \| {7}weight: -1\n +\| {15}\^/);
    assert.match(out, /1 error, 0 warnings\n$/);
  });
});

Deno.test("cli check: --strict counts warnings, --json is for programs, --namespace moves the workload", async () => {
  const elsewhere = RULES.replaceAll("host: istioserver", "host: nobody");
  await withRules(elsewhere, async (path) => {
    const relaxed = await run("check", path);
    assert.equal(relaxed.code, /\b0 errors/.test(relaxed.out) ? 0 : 1);
    const strict = await run("check", path, "--strict");
    assert.equal(strict.code, 1);
    assert.match(strict.out, /\b[1-9]\d* warning/);
    const { errors, warnings, diagnostics, files, objects } = JSON.parse(
      (await run("check", path, "--json")).out,
    );
    assert.deepEqual([files, objects], [1, 3]);
    assert.equal(diagnostics.length >= errors + warnings && errors + warnings > 0, true);
  });
});

Deno.test("cli check: no path, a path that is not there, an empty directory", async () => {
  assert.equal((await run("check")).code, 2);
  const missing = await run("check", "/nowhere/rules");
  assert.equal(missing.code, 2);
  assert.match(
    missing.notes,
    /^\[N107\] Cannot read "\/nowhere\/rules": there is no such file or directory\n/,
  );
  const empty = await Deno.makeTempDir();
  try {
    const { code, out } = await run("check", empty);
    assert.equal(code, 0);
    assert.match(out, /^No rule files in .*: want \*\.yaml/);
  } finally {
    await Deno.remove(empty);
  }
});

Deno.test("cli explain: offline, as text and JSON; headers; a URL that is none", async () => {
  await withRules(RULES, async (path) => {
    const text = await run("explain", "GET", "http://istioserver:8084/x", "--rules", path, "-H", "a: b");
    assert.equal(text.code, 0);
    assert.match(text.out, /25 %.*v1/);
    assert.match(text.out, /rules\.yaml:\d+:\d+/);
    const json = await run("explain", "http://istioserver:8084/x", "--rules", path, "--json");
    assert.equal(JSON.parse(json.out).outcome, "route");
    for (
      const args of [["reviews:9080"], [], ["GET", "http://a/", "b"], ["http://a/", "-H", "x"], ["http://[/"]]
    ) {
      const { code, notes } = await run("explain", ...args, "--rules", path);
      assert.equal(code, 2, args.join(" "));
      assert.match(notes, /^Cannot /);
    }
  });
});

Deno.test("cli explain: a running agent that is not running", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const { code, notes } = await run("explain", "http://a/", "--admin", `127.0.0.1:${port}`);
  assert.equal(code, 1);
  assert.match(
    notes,
    /^\[N108\] Cannot ask the agent at "127\.0\.0\.1:\d+": nobody listens there\n {4}Start the agent/,
  );
  assert.equal((await run("explain", "http://a/", "--admin", "nonsense")).code, 2);
  assert.equal((await run("explain", "http://a/", "--admin", "127.0.0.1:1", "--rules", "x")).code, 2);
});

Deno.test("cli explain: an agent's answer, and what its refusals end with", async () => {
  for (const [status, wanted] of [[200, 0], [400, 2], [503, 1]] as const) {
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      async (request) => new Response(`${new URL(request.url).search} ${await request.text()}\n`, { status }),
    );
    try {
      const { code, out, notes } = await run(
        ...["explain", "PUT", "http://a/", "-H", "x: 1", "--admin", `http://127.0.0.1:${server.addr.port}/`],
      );
      assert.equal(code, wanted);
      const said = '?format=text {"method":"PUT","url":"http://a/","headers":[["x","1"]]}\n';
      assert.deepEqual([out, notes], status === 200 ? [said, ""] : ["", said]);
    } finally {
      await server.shutdown();
    }
  }
});

Deno.test("cli program: three formats, the addresses of the bootstrap, wrong values", async () => {
  await withRules(RULES, async (path) => {
    assert.match((await run("program", path)).out, /^Table 8084\n/);
    assert.ok(JSON.parse((await run("program", path, "--json")).out).routeConfigurations.length > 0);
    const envoy = await run("program", path, "-f", "envoy", "--listen", "127.0.0.1:1234", "--admin", ":5678");
    const { admin, staticResources } = JSON.parse(envoy.out);
    assert.equal(admin.address.socketAddress.portValue, 5678);
    assert.equal(staticResources.listeners[0].address.socketAddress.portValue, 1234);
    const wrong = await run("program", path, "--format", "xml", "--listen", "x", "--outbound", "NO");
    assert.equal(wrong.code, 2);
    assert.equal(wrong.notes.trim().split("\n").length, 3);
  });
  await withRules(RULES.replace("weight: 25", "weight: -1"), async (path) => {
    const { code, out, notes } = await run("program", path);
    assert.equal(code, 1);
    assert.match(out, /^Table 8084/);
    assert.match(notes, /error \[R1/);
  });
});

/** An agent's admin API of which only some paths answer. */
async function withAdmin(
  answers: Readonly<Record<string, string>>,
  test: (address: string) => Promise<void>,
): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { pathname, search } = new URL(request.url);
    const body = answers[pathname + search];
    return new Response(body ?? "nothing here", { status: body === undefined ? 404 : 200 });
  });
  try {
    await test(`127.0.0.1:${server.addr.port}`);
  } finally {
    await server.shutdown();
  }
}

const REPORT: SyncReport = {
  inbound: [],
  version: VERSION,
  nowMs: 5_000,
  ready: true,
  reasons: [],
  services: { type: "file", address: "/rules" },
  rules: { infra: "file", address: "/rules" },
  world: {
    revision: 1,
    publishedMs: 1_000,
    tables: 1,
    virtualHosts: 2,
    clusters: 3,
    endpoints: 4,
    listeners: 0,
    stats: {},
  },
  findings: { error: 0, warning: 0, info: 0 },
  connections: [],
  permissions: { isolated: true, guard: "runtime", net: ["10.0.0.0/8"], read: [], restart: [], denied: [] },
};

Deno.test("cli status: text and JSON, 0 when ready, 1 when not, and for what is no agent", async () => {
  await withAdmin({ "/sync": JSON.stringify(REPORT) }, async (address) => {
    const text = await run("status", "--admin", address);
    assert.equal(text.code, 0);
    assert.match(text.out, /^agent {5}ready\nservices {2}file \/rules\n/);
    assert.deepEqual(JSON.parse((await run("status", "--admin", address, "--json")).out), REPORT);
  });
  const unready = { ...REPORT, ready: false, reasons: ["the agent is draining"] };
  await withAdmin({ "/sync": JSON.stringify(unready) }, async (address) => {
    const { code, out } = await run("status", "--admin", address);
    assert.equal(code, 1);
    assert.match(out, /^agent {5}not ready: the agent is draining\n/);
  });
  for (const answers of [{}, { "/sync": "<html>" }, { "/sync": "{}" }]) {
    await withAdmin(answers, async (address) => {
      const { code, out, notes } = await run("status", "--admin", address);
      assert.deepEqual([code, out], [1, ""]);
      assert.match(notes, /^Cannot read the answer of 127\.0\.0\.1:\d+: /);
    });
  }
  assert.equal((await run("status", "x")).code, 2);
  assert.equal((await run("status", "--admin", "x")).code, 2);
});

Deno.test("cli program: without PATH of a running agent", async () => {
  const answers = { "/program?format=text": "Table 80\n", "/program?format=json": "{}\n" };
  await withAdmin(answers, async (address) => {
    assert.deepEqual(await run("program", "--admin", address), { code: 0, out: "Table 80\n", notes: "" });
    assert.equal((await run("program", "--admin", address, "--json")).out, "{}\n");
    assert.equal((await run("program", "--admin", address, "-f", "envoy")).code, 1);
  });
  const wrong = await run("program", "--admin", "x", "--format", "xml", "--listen", ":1", "--outbound", "NO");
  assert.equal(wrong.code, 2);
  assert.equal(wrong.notes.trim().split("\n").length, 4);
});

Deno.test("cli explain: a configuration whose rules come from a control plane is not explained offline", async () => {
  const path = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${path}/chassis.yaml`,
      "cse: {registry: {serviceDiscovery: {type: pilotv3}}}\n",
    );
    const { code, notes } = await run("explain", "http://a/", "--config", path);
    assert.equal(code, 2);
    assert.match(
      notes,
      /the rules come from pilotv3 grpc:\/\/istiod\.istio-system\.svc:15010; want --rules PATH/,
    );
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("cli run: no conf directory is one screen that says what to do", async () => {
  const { code, notes } = await run("run", "--config", "/nowhere/conf");
  assert.equal(code, 2);
  assert.match(notes, /^\[N110\] Cannot start from "\/nowhere\/conf": there is no such conf directory/);
  assert.match(notes, /mesh-agent demo/);
  assert.match(notes, /mesh-agent run --config config/);
  assert.equal((await run("run", "conf")).code, 2);
});

Deno.test("cli run: --print-config shows values and origins and starts nothing", async () => {
  const { code, out } = await run("run", "--config", "config", "--http", "127.0.0.1:1", "--print-config");
  assert.equal(code, 0);
  assert.match(out, /listenAddress +127\.0\.0\.1:1 +flag --http/);
  const json = JSON.parse((await run("run", "--config", "config", "--print-config", "--json")).out);
  assert.ok(Object.keys(json).length > 20);
});

Deno.test("cli run: without --config the conf directory of CHASSIS_HOME; --rules is from the working directory", async () => {
  const home = await Deno.makeTempDir();
  const before = Deno.env.get("CHASSIS_HOME");
  try {
    await Deno.mkdir(`${home}/conf`);
    await Deno.writeTextFile(`${home}/conf/microservice.yaml`, "service_description: {name: at-home}\n");
    Deno.env.set("CHASSIS_HOME", home);
    const { code, out } = await run("run", "--print-config", "--rules", "some/rules");
    assert.equal(code, 0);
    assert.match(out, /cse\.service\.name +at-home /);
    assert.ok(out.includes(` ${Deno.cwd()}/some/rules `), out);
  } finally {
    if (before === undefined) Deno.env.delete("CHASSIS_HOME");
    else Deno.env.set("CHASSIS_HOME", before);
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("cli run: an address that this machine does not have is wrong usage", async () => {
  const { code, notes } = await run("run", "--config", "config", "--admin", "192.0.2.1:1");
  assert.equal(code, 2);
  assert.match(notes, /^\[N102\] Cannot listen on "192\.0\.2\.1:1" \(rest-admin\)/m);
});

Deno.test("cli run: what is no file in a conf directory is passed over, a link that leads nowhere is told", async () => {
  const path = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${path}/old`);
    await Deno.symlink("old", `${path}/old.yaml`);
    assert.equal((await run("run", "--config", path, "--print-config")).code, 0);
    await Deno.symlink("gone", `${path}/chassis.yaml`);
    const { code, notes } = await run("run", "--config", path);
    assert.equal(code, 2);
    assert.match(
      notes,
      /^\[N107\] Cannot read ".*chassis\.yaml": it is a link that leads nowhere; want a readable file\n/,
    );
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("cli run: every mistake in the settings at once", async () => {
  const path = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${path}/chassis.yaml`,
      "cse:\n  protocol: {}\n  service:\n    registry:\n      registrator:\n        disabled: false\n",
    );
    const { code, notes } = await run("run", "--config", path);
    assert.equal(code, 2);
    assert.match(notes, /chassis\.yaml:2:3: error \[S102\].*did you mean "protocols"/);
    assert.match(notes, /error \[S110\]/);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("cli demo: what it cannot send", async () => {
  assert.match(
    (await run("demo", "--once", "0")).notes,
    /^Cannot send "0" requests: want a whole number from 1\n/,
  );
  assert.equal((await run("demo", "x")).code, 2);
});

Deno.test("args: values, switches, many, the end of flags", () => {
  const flags = [
    { name: "header", short: "H", value: "X", many: true, help: "" },
    { name: "json", help: "" },
  ];
  const parsed = parseArgs(["a", "-H", "x: 1", "--header=y: 2", "--json", "--", "--json", "-"], flags);
  assert.ok(!("errors" in parsed));
  assert.deepEqual([parsed.words, parsed.all("header"), parsed.has("json")], [["a", "--json", "-"], [
    "x: 1",
    "y: 2",
  ], true]);
  const twice = parseArgs(["--json", "--json"], flags);
  assert.deepEqual(twice, { errors: ['Cannot read flag "--json": it is given twice'] });
});

for (
  const [text, wanted] of [
    ["127.0.0.1:80", { hostname: "127.0.0.1", port: 80 }],
    [":80", { hostname: "127.0.0.1", port: 80 }],
    ["[::1]:80", { hostname: "::1", port: 80 }],
    ["localhost:0", { hostname: "localhost", port: 0 }],
    ["::1:80", undefined],
    ["a:70000", undefined],
    ["a", undefined],
  ] as const
) {
  Deno.test(`args: address ${text}`, () => assert.deepEqual(parseAddress(text), wanted));
}
