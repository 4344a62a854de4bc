import assert from "node:assert/strict";
import { makeCertificate } from "../../tests/harness/certificate.ts";
import { formatDiagnostic } from "../core/diagnostics.ts";
import { readSettings } from "../settings/read.ts";
import { main } from "./main.ts";
import { createPaint, type Terminal } from "./terminal.ts";
import { parseEnvironment } from "./vm_bundle.ts";

interface Machine extends AsyncDisposable {
  readonly root: string;
  init(...args: string[]): Promise<{ code: number; out: string; notes: string }>;
  read(path: string): Promise<string>;
  write(path: string, text: string): Promise<void>;
  /** Path -> octal mode and group, of all that is there. */
  rights(): Promise<Record<string, string>>;
}

/** A directory in place of /. */
async function machine(): Promise<Machine> {
  const root = await Deno.makeTempDir({ prefix: "mesh-agent-vm-" });
  const write = async (path: string, text: string) => {
    await Deno.mkdir(`${root}${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
    await Deno.writeTextFile(root + path, text);
  };
  await write("/etc/hostname", "Web-1\n");
  return {
    root,
    write,
    read: (path) => Deno.readTextFile(root + path),
    async init(...args) {
      let out = "";
      let notes = "";
      const terminal: Terminal = {
        print: (text) => out += text + "\n",
        note: (text) => notes += text + "\n",
        progress: () => {},
        interactive: false,
        paint: createPaint(false),
      };
      const code = await main(["vm", "init", "--root", root, ...args], terminal);
      assert.doesNotMatch(out + notes, /^\s+at .*:\d+:\d+\)?$/m, "no stack trace");
      return { code, out: out.replaceAll(root, "ROOT"), notes: notes.replaceAll(root, "ROOT") };
    },
    async rights() {
      const found: Record<string, string> = {};
      const visit = async (path: string) => {
        for await (const { name, isDirectory } of Deno.readDir(root + path)) {
          const { mode, gid } = await Deno.stat(`${root}${path}/${name}`);
          found[`${path}/${name}`] = `${(mode! & 0o7777).toString(8)} ${gid}`;
          if (isDirectory) await visit(`${path}/${name}`);
        }
      };
      await visit("");
      return found;
    },
    [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }),
  };
}

const PLAIN = ["--pilot", "grpc://10.0.0.5:15010", "--ip", "10.1.2.3", "--namespace", "shop"];
const CHASSIS = "/etc/mesh-agent/conf/chassis.yaml";
const ENV = "/etc/mesh-agent/mesh-agent.env";
const TOKEN = "/etc/mesh-agent/certs/istio-token";
const UNIT = "/etc/systemd/system/mesh-agent.service";

const settingsOf = async (vm: Machine) => {
  const env = parseEnvironment(await vm.read(ENV), []);
  const { config, diagnostics } = readSettings({
    directory: "/etc/mesh-agent/conf",
    files: new Map([["chassis.yaml", await vm.read(CHASSIS)]]),
    env,
  });
  assert.deepEqual(diagnostics.map(formatDiagnostic), []);
  return config!;
};

/** A JWT that ends then. */
const tokenUntil = (exp: number) => `e30.${btoa(JSON.stringify({ exp })).replace(/=+$/, "")}.c2ln`;

Deno.test("vm init: makes a machine from an address, and says what is next", async () => {
  await using vm = await machine();
  const { code, out, notes } = await vm.init(...PLAIN);
  assert.deepEqual([code, notes], [0, ""]);
  assert.equal(
    out,
    `web-1 in namespace shop at 10.1.2.3; rules from pilotv3 grpc://10.0.0.5:15010
  made        /etc/mesh-agent
  made        /etc/mesh-agent/conf
  made        /etc/mesh-agent/certs
  made        ${CHASSIS}
  made        ${ENV}
  made        /etc/sysusers.d/mesh-agent.conf
  made        /etc/tmpfiles.d/mesh-agent.conf
  made        ${UNIT}
Nothing else was touched: not resolv.conf, not /etc/hosts, no packet filter.
next:
  install -m 0755 mesh-agent /usr/local/bin/mesh-agent
  systemd-sysusers && systemd-tmpfiles --create /etc/tmpfiles.d/mesh-agent.conf
  systemctl daemon-reload
  systemctl enable --now mesh-agent    # now, and at each boot
  mesh-agent wait && mesh-agent status
  (set -a; . /etc/mesh-agent/mesh-agent.env; mesh-agent doctor --config /etc/mesh-agent/conf)    # where it does not work
`,
  );
  const { workload, serviceDiscovery, discovery, cacheDir } = await settingsOf(vm);
  assert.deepEqual([workload.podName, workload.namespace, workload.instanceIp], [
    "web-1",
    "shop",
    "10.1.2.3",
  ]);
  assert.deepEqual([serviceDiscovery.type, serviceDiscovery.address], ["pilotv3", "grpc://10.0.0.5:15010"]);
  assert.equal(discovery.addresses[0]!.scheme, "grpc");
  assert.equal(cacheDir, "/var/cache/mesh-agent");
  const rights = await vm.rights();
  const modes = Object.entries(rights).map(([path, each]) => `${path} ${each.split(" ")[0]}`);
  for (
    const wanted of [
      "/etc/mesh-agent 755",
      "/etc/mesh-agent/certs 2750",
      `${CHASSIS} 644`,
      `${ENV} 644`,
      `${UNIT} 644`,
    ]
  ) assert.ok(modes.includes(wanted), `${wanted} in ${modes}`);
  assert.equal(modes.length, 14, "nothing else, and nothing left beside");
});

Deno.test("vm init: a second time changes nothing and says so", async () => {
  await using vm = await machine();
  await vm.init(...PLAIN);
  const before = await vm.rights();
  const times = async () =>
    await Promise.all(
      Object.keys(before).map(async (path) => (await Deno.stat(vm.root + path)).mtime!.getTime()),
    );
  const old = await times();
  const { code, out } = await vm.init(...PLAIN);
  assert.equal(code, 0);
  assert.match(out, /^Nothing changed: everything is as it would be made\.$/m);
  assert.doesNotMatch(out, /made |replaced|daemon-reload/);
  assert.deepEqual(await times(), old);
});

Deno.test("vm init: other arguments replace what was not edited, an edited file is kept with its difference", async () => {
  await using vm = await machine();
  await vm.init(...PLAIN);
  const edited = (await vm.read(CHASSIS)) + "tls: {}\n";
  await vm.write(CHASSIS, edited);
  // Of a run that was killed in the middle.
  await vm.write(`${ENV}.new`, "half a fi");
  const other = ["--pilot", "grpc://10.0.0.9:15010", "--ip", "10.1.2.4", "--namespace", "shop"];
  const { code, out } = await vm.init(...other);
  assert.equal(code, 0);
  assert.ok(
    out.includes(
      `  kept        ${CHASSIS}: it was edited; --force replaces it
      -         address: "grpc://10.0.0.5:15010"
      +         address: "grpc://10.0.0.9:15010"
      - tls: {}
  replaced    ${ENV}
      - INSTANCE_IP=10.1.2.3
      + INSTANCE_IP=10.1.2.4
  unchanged `,
    ),
    out,
  );
  assert.equal(await vm.read(CHASSIS), edited);
  assert.ok(!Object.keys(await vm.rights()).some((path) => path.endsWith(".new")));
  assert.doesNotMatch(out, /Nothing changed/);

  const dry = await vm.init(...other, "--force", "--dry-run");
  assert.match(dry.out, /^ {2}would replace .*chassis\.yaml$/m);
  assert.match(dry.out, /^Nothing was written \(--dry-run\)\.$/m);
  assert.equal(await vm.read(CHASSIS), edited);

  await vm.init(...other, "--force");
  assert.equal((await settingsOf(vm)).serviceDiscovery.address, "grpc://10.0.0.9:15010");
});

Deno.test("vm init: on an enabled machine a change asks for a restart, and rights are set again", async () => {
  await using vm = await machine();
  await vm.init(...PLAIN);
  await vm.write("/usr/local/bin/mesh-agent", "");
  await vm.write("/etc/systemd/system/multi-user.target.wants/mesh-agent.service", "");
  await Deno.chmod(`${vm.root}${ENV}`, 0o600);
  const { out } = await vm.init(
    "--pilot",
    "grpc://10.0.0.6:15010",
    "--ip",
    "10.1.2.3",
    "--namespace",
    "shop",
  );
  assert.match(out, /^ {2}rights set {2}\/etc\/mesh-agent\/mesh-agent\.env$/m);
  assert.match(out, /^ {2}systemctl restart mesh-agent$/m);
  assert.doesNotMatch(out, /enable --now|install -m|daemon-reload/);
  assert.equal((await vm.rights())[ENV]!.split(" ")[0], "644");
});

Deno.test("vm init: from a bundle, with certificates for the group and an istiod that only its hosts file knows", async () => {
  await using vm = await machine();
  await vm.write("/etc/hosts", "127.0.0.1 localhost\n");
  await vm.write("/etc/resolv.conf", "nameserver 10.0.0.1\n");
  // As systemd-sysusers makes it; one that this process may give away, and as root another than its own.
  const gid = Deno.uid() === 0 ? 12_345 : Deno.gid()!;
  await vm.write("/etc/group", `root:x:0:\nmesh-agent:x:${gid}:\n`);
  const { cert: rootCert } = await makeCertificate("istiod", { authority: true });
  const later = Math.floor(Date.now() / 1000) + 86_400;
  const bundle = async (token: string) => {
    for (
      const [name, text] of Object.entries({
        "cluster.env":
          "ISTIO_META_NETWORK='it'\"'\"'s'\nISTIO_METAJSON_LABELS='{\"app\":\"web\"}'\nISTIO_SERVICE='web.shop'\n" +
          "ISTIO_SERVICE_CIDR='10.96.0.0/12'\nISTIO_SVC_IP='10.1.2.3'\nPOD_NAMESPACE='shop'\nSERVICE_ACCOUNT='web-vm'\n",
        "mesh.yaml": "defaultConfig:\n  discoveryAddress: istiod.istio-system.svc:15012\n",
        "hosts": "203.0.113.20 istiod.istio-system.svc\n",
        "istio-token": token,
        "root-cert.pem": rootCert,
      })
    ) await vm.write(`/bundle/${name}`, text);
  };
  await bundle(tokenUntil(later));
  const from = ["--from", `${vm.root}/bundle`];
  const { code, out, notes } = await vm.init(...from);
  assert.deepEqual([code, notes], [0, ""]);
  assert.match(out, new RegExp(`# before ${new Date(later * 1000).toISOString().slice(0, 19)}Z`));
  assert.doesNotMatch(out, /systemd-sysusers/);
  const { workload, discovery, permissions, service } = await settingsOf(vm);
  const { addresses, serverName, certDirectory, tokenFile } = discovery;
  assert.deepEqual(addresses.map(({ scheme, host, port }) => `${scheme} ${host} ${port}`), [
    "grpcs 203.0.113.20 15012",
  ]);
  assert.deepEqual([serverName, certDirectory, tokenFile], [
    "istiod.istio-system.svc",
    "/etc/mesh-agent/certs",
    TOKEN,
  ]);
  assert.deepEqual([workload.instanceIp, workload.namespace, service.name], ["10.1.2.3", "shop", "web"]);
  assert.deepEqual([workload.metadata["NETWORK"], workload.metadata["SERVICE_ACCOUNT"]], ["it's", "web-vm"]);
  const { stdout } = await new Deno.Command("sh", {
    args: [
      "-c",
      `. "$1"; printf '%s\\n' "$ISTIO_META_NETWORK" "$ISTIO_METAJSON_LABELS"`,
      "sh",
      vm.root + ENV,
    ],
  }).output();
  assert.equal(new TextDecoder().decode(stdout), 'it\'s\n{"app":"web"}\n', "a shell reads it the same");
  assert.deepEqual(permissions.net, ["private", "10.96.0.0/12"]);
  const rights = await vm.rights();
  assert.deepEqual([rights[TOKEN], rights["/etc/mesh-agent/certs"]], [`640 ${gid}`, `2750 ${gid}`]);
  assert.equal(await vm.read("/etc/mesh-agent/certs/root-cert.pem"), rootCert.trim() + "\n");
  assert.equal(await vm.read("/etc/hosts"), "127.0.0.1 localhost\n");
  assert.equal(await vm.read("/etc/resolv.conf"), "nameserver 10.0.0.1\n");

  // Made before there was the group, or by somebody else.
  if (gid !== Deno.gid()) {
    for (const path of [TOKEN, "/etc/mesh-agent/certs"]) await Deno.chown(vm.root + path, null, 0);
    const { out } = await vm.init(...from);
    assert.match(out, /^ {2}rights set {2}\/etc\/mesh-agent\/certs$/m);
    assert.match(out, /^ {2}rights set {2}.*istio-token$/m);
    assert.deepEqual(await vm.rights(), rights);
  }

  // A bundle that is older than the token in place.
  await bundle(tokenUntil(later - 3600));
  const again = await vm.init(...from);
  assert.match(again.out, /kept {8}.*istio-token: the one in place is good for longer; --force/);
  assert.doesNotMatch(again.out, /c2ln/, "no token is printed");
  assert.equal(await vm.read(TOKEN), tokenUntil(later) + "\n");
  await bundle(tokenUntil(later + 3600));
  const newer = await vm.init(...from);
  assert.match(newer.out, /^ {2}replaced {4}.*istio-token$/m);
  assert.equal(await vm.read(TOKEN), tokenUntil(later + 3600) + "\n");
});

Deno.test("vm init: TLS without files says how to get them, and by an address names istiod's certificate", async () => {
  await using vm = await machine();
  const { out } = await vm.init(
    ...["--pilot", "192.0.2.10:15012", "--ip", "10.1.2.3", "-n", "shop", "--service-account", "web"],
  );
  assert.match(
    out,
    /^ {2}kubectl get configmap istio-ca-root-cert -n shop .* > \/etc\/mesh-agent\/certs\/root-cert\.pem$/m,
  );
  assert.match(
    out,
    /^ {2}kubectl create token web -n shop --audience istio-ca .* > \/etc\/mesh-agent\/certs\/istio-token$/m,
  );
  const { discovery, workload } = await settingsOf(vm);
  assert.equal(discovery.serverName, "istiod.istio-system.svc");
  assert.equal(workload.metadata["SERVICE_ACCOUNT"], "web");
});

Deno.test("vm init: several control planes, one of them with TLS, and ports in front of the application", async () => {
  await using vm = await machine();
  const { out } = await vm.init(
    ...["--pilot", "grpc://10.0.0.5:15010,grpcs://10.0.0.6:15012", "--ip", "10.1.2.3", "-n", "shop"],
    ...["--service-ports", "rest:8084,grpc:9000:9001"],
  );
  assert.match(out, /^ {2}kubectl create token ACCOUNT /m);
  const { discovery, inbound } = await settingsOf(vm);
  assert.deepEqual(discovery.addresses.map(({ scheme }) => scheme), ["grpc", "grpcs"]);
  assert.equal(discovery.tokenFile, TOKEN);
  assert.deepEqual(inbound!.servicePorts.map(({ port, localPort }) => [port, localPort]), [[8084, 8084], [
    9000,
    9001,
  ]]);
});

Deno.test("vm init: wrong usage, all of it at once and nothing written", async () => {
  await using vm = await machine();
  const { code, notes } = await vm.init("--pilot", "http://a:1", "--namespace", "Shop", "--name", "a b");
  assert.equal(code, 2);
  assert.equal(
    notes,
    'Cannot use the control plane "http://a:1": pilotv3 speaks gRPC; want grpc://a:1, or serviceDiscovery.type pilot for ' +
      "Pilot's v1 API\n" +
      'Cannot name this workload "a b": want --name with small letters, digits, - and ., such as shop-vm-1\n' +
      'Cannot use namespace "Shop": want small letters, digits and -\n' +
      "Cannot set this machine up: its address is not said; want --ip ADDRESS (hostname -I prints them)\n",
  );
  assert.match(
    (await vm.init("--ip", "10.1.2.3")).notes,
    /^Cannot set this machine up: where the control plane is/,
  );
  assert.match(
    (await vm.init(...PLAIN, "--type", "pilotv4")).notes,
    /--type "pilotv4": want pilot, pilotv2, pilotv3/,
  );
  assert.match((await vm.init("--pilot", "grpc://a", "--ip", "1.2.3")).notes, /Cannot use --ip "1\.2\.3"/);
  // It is printed as part of a command.
  assert.match(
    (await vm.init(...PLAIN, "--service-account", "a; reboot")).notes,
    /^Cannot use service account "a; reboot": want small letters, digits, - and \.$/m,
  );
  assert.match(
    (await vm.init(...PLAIN, "--service-ports", "rest:x")).notes,
    /^Cannot use --service-ports "rest:x": /,
  );
  assert.deepEqual(Object.keys(await vm.rights()), ["/etc", "/etc/hostname"]);
});

for (
  const [what, files, sentence] of [
    ["that is none", { "x": "" }, /neither cluster\.env nor mesh\.yaml is there/],
    [
      "with a broken file",
      { "cluster.env": "A='\n" },
      /Cannot read the bundle .*: cluster\.env:1 is no NAME=VALUE/,
    ],
    [
      "with a range that is none",
      { "cluster.env": "ISTIO_SVC_IP=10.1.2.3\nISTIO_SERVICE_CIDR=10/8\n" },
      /Cannot use ISTIO_SERVICE_CIDR "10\/8"/,
    ],
  ] as const
) {
  Deno.test(`vm init: a bundle ${what}`, async () => {
    await using vm = await machine();
    for (const [name, text] of Object.entries(files)) await vm.write(`/bundle/${name}`, text as string);
    const { code, notes } = await vm.init("--from", `${vm.root}/bundle`);
    assert.notEqual(code, 0);
    assert.match(notes, sentence);
  });
}

Deno.test("vm init: what cannot be written or read is one sentence", async () => {
  await using vm = await machine();
  await vm.write("/etc/mesh-agent", "a file");
  const { code, notes } = await vm.init(...PLAIN);
  assert.equal(code, 1);
  assert.match(
    notes,
    /^\[N130\] Cannot write "\/etc\/mesh-agent": "\/etc\/mesh-agent" is no directory; want/,
  );
  assert.match(
    (await vm.init(...PLAIN, "--token", "/nowhere")).notes,
    /^\[N130\] Cannot read "\/nowhere": it does not exist; want a readable file/,
  );
  await vm.write("/cert", "x");
  assert.match(
    (await vm.init(...PLAIN, "--root-cert", `${vm.root}/cert`)).notes,
    /it has no certificate; want PEM/,
  );
});

Deno.test("vm: there is init and nothing else", async () => {
  await using vm = await machine();
  const { code, notes } = await vm.init("again");
  assert.equal(code, 2);
  assert.match(notes, /^Cannot run vm "init again": want vm init/);
});
