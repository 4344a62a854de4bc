/** `mesh-agent doctor` before real sockets and TLS servers that fail: each trouble is one line that names it, with a next step. */
import assert from "node:assert/strict";
import type { Check } from "../../agent/cli/check_line.ts";
import { main } from "../../agent/cli/main.ts";
import { createPaint } from "../../agent/cli/terminal.ts";
import { runAgent, startAgentProcess } from "../harness/agent.ts";
import { makeCertificate } from "../harness/certificate.ts";
import { type ConfDirectory, istioserver, makeConf, serviceEntry } from "../harness/conf.ts";
import { startControlPlane } from "../harness/control_plane.ts";
import { GrpcPeer } from "../harness/grpc_peer.ts";
import { deadPort, startUpstream } from "../harness/upstream.ts";

const HOUR = 3_600_000;
const NAME = "istiod.test";
const authority = await makeCertificate("mesh root", { authority: true });
const server = await makeCertificate(NAME, { issuer: authority });
const client = await makeCertificate("a", {
  issuer: authority,
  names: ["URI:spiffe://cluster.local/ns/a/sa/b"],
});

/** A JWT that nobody signed; times in seconds from now. */
function jwt(claims: { exp?: number; iat?: number; aud?: unknown }): string {
  const part = (value: unknown) =>
    btoa(JSON.stringify(value)).replaceAll("=", "").replaceAll("+", "-").replaceAll("/", "_");
  const at = (s: number | undefined) => s === undefined ? undefined : Math.round(Date.now() / 1000 + s);
  const payload = { sub: "ünser", ...claims, exp: at(claims.exp), iat: at(claims.iat) };
  return `${part({ alg: "none" })}.${
    btoa(unescape(encodeURIComponent(JSON.stringify(payload)))).replaceAll("=", "")
  }.x`;
}
const GOOD_TOKEN = jwt({ exp: 3600, iat: -60, aud: ["istio-ca"] });

interface Findings {
  readonly code: number;
  readonly checks: readonly Check[];
  /** `state name: text` of all that are not ok. */
  readonly amiss: readonly string[];
  /** States of the checks of a name. */
  states(name: string): string;
}

/** In this process; `conf` may be a path. */
async function doctor(conf: ConfDirectory | string, ...more: readonly string[]): Promise<Findings> {
  let out = "";
  const path = typeof conf === "string" ? conf : conf.path;
  const code = await main(["doctor", "--config", path, "--json", ...more], {
    print: (text) => void (out += text),
    note: (text) => assert.fail(text),
    progress: () => {},
    interactive: false,
    paint: createPaint(false),
  });
  const { ok, checks } = JSON.parse(out) as { ok: boolean; checks: Check[] };
  assert.equal(ok, code === 0);
  for (const { state, text, next, name } of checks) {
    assert.equal(next === undefined, state === "ok", `${name}: ${text}`);
    assert.doesNotMatch(text, /\n/, "one line");
    assert.notEqual(next, "");
  }
  return {
    code,
    checks,
    amiss: checks.filter(({ state }) => state !== "ok").map(({ state, name, text }) =>
      `${state} ${name}: ${text}`
    ),
    states: (name) => checks.filter((check) => check.name === name).map(({ state }) => state).join(" "),
  };
}

interface PlaneOptions {
  readonly address: string;
  /** Files of the conf directory. */
  readonly files?: Readonly<Record<string, string>>;
  readonly mesh?: Readonly<Record<string, unknown>>;
  readonly discovery?: Readonly<Record<string, unknown>>;
  readonly type?: string;
}

function confOf({ address, files = {}, mesh = {}, discovery = {}, type = "pilotv3" }: PlaneOptions) {
  return makeConf({
    discovery: type,
    address,
    files,
    mesh,
    controlPlane: {
      certDirectory: "certs",
      tokenFile: "token",
      serverName: NAME,
      connectTimeout: "2s",
      ...discovery,
    },
  });
}

const CERTS = {
  "certs/root-cert.pem": authority.cert,
  "certs/cert-chain.pem": client.cert,
  "certs/key.pem": client.key,
};
const TOKEN = { "certs/root-cert.pem": authority.cert, token: GOOD_TOKEN };

Deno.test("doctor: files, without an agent: what is in order is said, and only that none runs", async () => {
  await using conf = await makeConf({
    files: { "rules/a.yaml": istioserver({ v1: 1 }, { v1: 100 }) },
    admin: `127.0.0.1:${deadPort()}`,
  });
  const { code, amiss, states } = await doctor(conf);
  assert.equal(code, 0);
  assert.match(
    amiss.filter((line) => !line.includes("names:")).join("\n"),
    /^warn agent: none is running: nobody listens at 127\.0\.0\.1:\d+$/,
  );
  for (const name of ["settings", "runtime", "rights", "rules"]) assert.equal(states(name), "ok", name);
  assert.equal(states("ports"), "ok ok");
});

Deno.test("doctor: settings that cannot be read, and rules with errors", async () => {
  const nowhere = await doctor("/nowhere/conf");
  assert.equal(nowhere.code, 1);
  assert.match(nowhere.amiss[0]!, /^fail settings: \[N110\] Cannot start from "\/nowhere\/conf"/);
  await using conf = await makeConf({
    files: {
      "rules/a.yaml":
        "kind: VirtualService\napiVersion: networking.istio.io/v1\nmetadata: {name: a}\nspec: {}\n",
    },
  });
  const rules = await doctor(conf);
  assert.equal(rules.code, 1);
  assert.match(rules.amiss.join("\n"), /fail rules: 0 objects in 1 file of .*rules, \d errors?/);
  await conf.write("chassis.yaml", "cse: {mesh: {cachDir: x}}\n");
  const unknown = await doctor(conf);
  assert.equal(unknown.code, 1);
  assert.match(unknown.amiss.join("\n"), /fail settings: .*chassis\.yaml:1: \[S1\d\d\] .*cachDir/);
});

Deno.test("doctor: listen addresses that another program has, and that this machine does not have", async () => {
  using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = other.addr as Deno.NetAddr;
  await using conf = await makeConf({
    http: `127.0.0.1:${port}`,
    grpc: "192.0.2.1:15020",
    mesh: { healthListenAddress: "127.0.0.1:0" },
  });
  const { code, amiss } = await doctor(conf);
  assert.equal(code, 1);
  const ports = amiss.filter((line) => line.includes(" ports: "));
  assert.equal(ports.length, 2);
  assert.match(ports[0]!, new RegExp(`^fail ports: \\[N101\\] Cannot listen on "127.0.0.1:${port}"`));
  assert.match(ports[1]!, /^fail ports: \[N102\] Cannot listen on "192\.0\.2\.1:15020"/);
});

Deno.test("doctor: an admin address where something else answers, or nothing", async () => {
  await using web = startUpstream(async (link) => {
    await link.request();
    await link.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  await using conf = await makeConf();
  const found = await doctor(conf, "--admin", `127.0.0.1:${web.port}`);
  assert.equal(found.code, 1);
  assert.match(
    found.amiss.at(-1)!,
    /^fail agent: something else than a mesh-agent answers at 127\.0\.0\.1:\d+ \(status 404\)$/,
  );
});

Deno.test("doctor: plaintext: name, port, protocol", async () => {
  await using closing = startUpstream(() => Promise.resolve());
  await using http = startUpstream(async (link) => {
    await link.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  });
  await using tls = await GrpcPeer.start({ cert: server.cert, key: server.key });
  const rows: [string, string, RegExp][] = [
    ["nobody", `grpc://127.0.0.1:${deadPort()}`, /^fail tcp: \[D202\] .*connection refused/],
    [
      "no name",
      "grpc://nowhere.invalid:15010",
      /^fail dns: nowhere\.invalid has no address \(neither \/etc\/hosts nor a name server has it\)$/,
    ],
    ["closes", `grpc://127.0.0.1:${closing.port}`, /^fail stream: \[D2\d\d\] /],
    ["HTTP/1.1", `grpc://127.0.0.1:${http.port}`, /^fail stream: \[D205\] .*it speaks HTTP\/1\.1/],
    ["TLS", `grpc://127.0.0.1:${tls.port}`, /^fail stream: \[D205\] .*it speaks TLS; want grpcs:\/\//],
  ];
  for (const [name, address, wanted] of rows) {
    await using conf = await confOf({ address });
    const { code, amiss, states } = await doctor(conf);
    assert.equal(code, 1, name);
    const failed = amiss.filter((line) => line.startsWith("fail "));
    assert.equal(failed.length, 1, `${name}: ${failed.join("\n")}`);
    assert.match(failed[0]!, wanted, name);
    if (name === "TLS") assert.equal(states("dns") + states("tcp"), "okok");
  }
});

Deno.test("doctor: a control plane that never says a word", async () => {
  await using silent = startUpstream((link) => link.peerGone());
  await using conf = await confOf({
    address: `grpc://127.0.0.1:${silent.port}`,
    discovery: { connectTimeout: "200ms" },
  });
  const { amiss } = await doctor(conf);
  assert.match(
    amiss.filter((line) => line.startsWith("fail")).join("\n"),
    /^fail stream: \[D209\] .*no sign of life after connecting within 200 ms/,
  );
});

Deno.test("doctor: TLS: root, name, dates, files, client certificates", async () => {
  const started = async (cert: { cert: string; key: string }, ca?: string) =>
    await GrpcPeer.start({ cert: cert.cert, key: cert.key, ...(ca === undefined ? {} : { ca }) });
  const now = Date.now();
  const expired = await makeCertificate(NAME, {
    issuer: authority,
    fromMs: now - 48 * HOUR,
    toMs: now - 3 * HOUR,
  });
  const early = await makeCertificate(NAME, {
    issuer: authority,
    fromMs: now + 2.5 * HOUR,
    toMs: now + 48 * HOUR,
  });
  const soon = await makeCertificate(NAME, {
    issuer: authority,
    fromMs: now - 48 * HOUR,
    toMs: now + HOUR + 60_000,
  });
  const foreign = await makeCertificate(NAME);
  const misnamed = await makeCertificate("other.test", { issuer: authority });
  await using good = await started(server);
  await using mutual = await started(server, authority.cert);
  await using ofExpired = await started(expired);
  await using ofEarly = await started(early);
  await using ofSoon = await started(soon);
  await using ofForeign = await started(foreign);
  await using ofMisnamed = await started(misnamed);
  await using plain = await GrpcPeer.start();
  const rows: [string, GrpcPeer, Record<string, string>, RegExp[]][] = [
    ["expired", ofExpired, CERTS, [
      /^fail tls: \[D203\] .*its certificate expired/,
      /^fail certificate: grpcs:.*: it ended at .* \(3 hours ago\), for DNS:istiod\.test$/,
    ]],
    ["not yet valid", ofEarly, CERTS, [
      /^fail tls: \[D203\] .*not valid before/,
      /^fail certificate: grpcs:.*: it begins only in 2 hours/,
      /^fail clock: this machine is behind: the start of certificate of grpcs:.* is in 2 hours$/,
    ]],
    ["soon", ofSoon, CERTS, [/^warn certificate: grpcs:.*: it ends soon, at .* \(in (?:60|59|58) minutes\)/]],
    ["foreign", ofForeign, CERTS, [/^fail tls: \[D203\] .*does not chain to the root certificate/]],
    ["misnamed", ofMisnamed, CERTS, [
      /^fail tls: \[D203\] .*made out for "other\.test"; want "istiod\.test"/,
    ]],
    ["plaintext", plain, CERTS, [/^fail tls: \[D205\] .*plaintext HTTP\/2, not TLS/]],
    ["no files", good, {}, [
      /^fail tls: \[D203\] .*root-cert\.pem" does not exist/,
      /^fail certificate: root certificate file .* does not exist$/,
      /^fail token: token file .* does not exist$/,
    ]],
    ["a key of another", good, { ...CERTS, "certs/key.pem": server.key }, [
      /^fail tls: .*does not belong to the certificate/,
      /^fail certificate: client key file .* does not belong/,
      /^fail token: /,
    ]],
    ["wants a client certificate", mutual, TOKEN, [
      /^fail (?:tls|stream): \[D203\] .*(?:client certificate|without)/,
    ]],
  ];
  for (const [name, peer, files, wanted] of rows) {
    await using conf = await confOf({ address: `grpcs://127.0.0.1:${peer.port}`, files });
    const { amiss, states } = await doctor(conf);
    // The peer is no Pilot: what it answers, and that no agent runs, is not the matter.
    const told = amiss.filter((line) => !/ (?:agent|answer|settings|names): /.test(line));
    assert.equal(told.length, wanted.length, `${name}: ${told.join("\n")}`);
    for (const [i, pattern] of wanted.entries()) assert.match(told[i]!, pattern, name);
    assert.ok(states("dns").startsWith("ok"), name);
  }
  await using conf = await confOf({ address: `grpcs://127.0.0.1:${good.port}`, files: CERTS });
  const { checks, states } = await doctor(conf);
  assert.equal(states("tls"), "ok");
  assert.equal(states("certificate"), "ok ok");
  assert.equal(states("root"), "ok");
  assert.equal(states("clock"), "ok");
  const of = checks.find(({ name }) => name === "certificate")!;
  assert.match(of.text, /^grpcs:.*: good until .* \(in 36\d\d days\), for DNS:istiod\.test$/);
});

Deno.test("doctor: tokens: their end, their audience, their form; a clock that is behind", async () => {
  await using peer = await GrpcPeer.start({ cert: server.cert, key: server.key });
  const rows: [string, string, RegExp[]][] = [
    ["good", GOOD_TOKEN, []],
    ["ended", jwt({ exp: -7_400, iat: -10_000, aud: "istio-ca" }), [
      /^fail token: it ended at .* \(2 hours ago\), of ünser$/,
    ]],
    ["ends soon", jwt({ exp: 230, iat: -3400, aud: "istio-ca" }), [
      /^warn token: it ends soon, at .* \(in 3 minutes\)/,
    ]],
    ["for others", jwt({ exp: 3600, iat: -1, aud: ["vault"] }), [
      /^warn token: its audience is vault; istiod wants istio-ca$/,
    ]],
    ["without end", jwt({ aud: "istio-ca" }), [/^warn token: it says no end/]],
    ["no JWT", "secret", [/^fail token: token file ".*token" holds no JWT$/]],
    ["of the future", jwt({ exp: 7200, iat: 600, aud: "istio-ca" }), [
      /^fail clock: this machine is behind: the issue of the token is in (?:9|10) minutes$/,
    ]],
  ];
  for (const [name, token, wanted] of rows) {
    await using conf = await confOf({
      address: `grpcs://127.0.0.1:${peer.port}`,
      files: { ...TOKEN, token },
    });
    const { amiss, checks } = await doctor(conf);
    const told = amiss.filter((line) => / (?:token|clock): /.test(line));
    assert.equal(told.length, wanted.length, `${name}: ${told.join("\n")}`);
    for (const [i, pattern] of wanted.entries()) assert.match(told[i]!, pattern, name);
    assert.ok(!JSON.stringify(checks).includes(token), "the token is told to nobody");
  }
});

Deno.test("doctor: Pilot's v1 API, and its clock", async () => {
  let date = "";
  let status = 200;
  await using pilot = startUpstream(async (link) => {
    for (let r = await link.request(); r !== undefined; r = await link.request()) {
      await link.write(`HTTP/1.1 ${status} X\r\nDate: ${date}\r\nContent-Length: 2\r\n\r\n[]`);
    }
  });
  const clockOf = async (ms: number) => {
    date = new Date(Date.now() + ms).toUTCString();
    await using conf = await confOf({ address: `http://127.0.0.1:${pilot.port}`, type: "pilot" });
    const { amiss, states } = await doctor(conf);
    assert.equal(states("answer"), status === 200 ? "ok" : "fail");
    return amiss.filter((line) => / (?:clock|answer): /.test(line)).join("\n");
  };
  assert.equal(await clockOf(0), "");
  assert.match(
    await clockOf(-HOUR),
    /^fail clock: this machine is ahead: the clock of http:.* is (?:59|60) minutes ago$/,
  );
  assert.match(
    await clockOf(HOUR),
    /^fail clock: this machine is behind: the clock of http:.* is in (?:59|60) minutes$/,
  );
  status = 404;
  assert.match(await clockOf(0), /^fail answer: http:.* answers 404 to \/v1\/registration$/);
  await using gone = await confOf({ address: `http://127.0.0.1:${deadPort()}`, type: "pilot" });
  assert.match((await doctor(gone)).amiss.join("\n"), /fail tcp: \[D202\] /);
});

Deno.test("doctor: the cache: its directory, what is kept in it, what cannot be used", async () => {
  await using conf = await confOf({
    address: `grpc://127.0.0.1:${deadPort()}`,
    mesh: { cacheDir: "cache", readinessFile: "none/ready" },
  });
  const cacheOf = async () =>
    (await doctor(conf)).checks.filter(({ name }) => name === "cache").map(({ state, text }) =>
      `${state} ${text}`
    );
  assert.match((await cacheOf()).join(), /^fail .*\/cache does not exist$/);
  await Deno.mkdir(conf.file("cache"));
  assert.match((await cacheOf()).join(), /^ok .*can be written,ok nothing is kept yet$/);
  await Deno.writeTextFile(conf.file("cache/world.cache"), "x".repeat(200));
  assert.match((await cacheOf())[1]!, /^warn \[D240\] .*it is damaged/);
  assert.deepEqual(
    [...Deno.readDirSync(conf.file("cache"))].map(({ name }) => name),
    ["world.cache"],
    "it leaves nothing",
  );
  assert.match((await doctor(conf)).amiss.join("\n"), /fail ready file: .*\/none is no directory/);
});

Deno.test("doctor: beside a running agent and its control plane, as a process", async () => {
  await using plane = await startControlPlane({ temper: "istiod" });
  await plane.serve(serviceEntry("a.default.svc.cluster.local", 80, { v1: 1 }));
  await using conf = await makeConf({
    discovery: "pilotv3",
    address: plane.address,
    http: `127.0.0.1:${deadPort()}`,
    mesh: { cacheDir: "cache" },
  });
  await Deno.mkdir(conf.file("cache"));
  {
    await using agent = await startAgentProcess(["run", "--config", conf.path]);
    const { code, stdout } = await runAgent([
      "doctor",
      "--config",
      conf.path,
      "--admin",
      `127.0.0.1:${agent.admin.port}`,
    ]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^ok {4}rights /m);
    assert.match(stdout, /^ok {4}ports .*\(http\) takes connections$/m);
    assert.match(stdout, /^ok {4}answer .*sends 4 clusters, version /m);
    assert.match(stdout, /^ok {4}agent .* is ready: revision \d+, published/m);
    assert.match(stdout, /^ok {4}nacks .*pilotv3 refused nothing$/m);
    assert.match(stdout, /\n\n\d+ checks, 0 failed, \d with a warning\n$/);
    await agent.stop();
  }
  await plane.kill();
  // Kept by the agent at its end; it starts from it now.
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const { code, stdout } = await runAgent([
    "doctor",
    "--config",
    conf.path,
    "--admin",
    `127.0.0.1:${agent.admin.port}`,
  ]);
  assert.equal(code, 1);
  assert.match(stdout, /^ok {4}cache .*4 clusters and \d tables?, \w+ old, are kept$/m);
  assert.match(stdout, /^fail {2}tcp .*connection refused.*\n {6}Start the control plane/m);
  assert.match(stdout, /^warn {2}agent .*is ready by its cache, \w+ old\n {6}\S/m);
});
