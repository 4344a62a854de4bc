/** Every configuration directory of config/deploy is read as it is, and says what docs/control-planes.md says of it. */
import assert from "node:assert/strict";
import { main } from "../../agent/cli/main.ts";
import { createPaint, type Terminal } from "../../agent/cli/terminal.ts";
import { formatDiagnostic } from "../../agent/core/diagnostics.ts";
import { readSettings } from "../../agent/settings/read.ts";
import type { AgentConfig } from "../../agent/settings/types.ts";

const DEPLOY = new URL("../../config/deploy/", import.meta.url);
const WORKLOAD = { POD_NAME: "shop-1", POD_NAMESPACE: "shop", INSTANCE_IP: "10.0.0.7" };

async function read(name: string): Promise<AgentConfig> {
  const files = new Map<string, string>();
  for await (const { name: file } of Deno.readDir(new URL(name, DEPLOY))) {
    files.set(file, await Deno.readTextFile(new URL(`${name}/${file}`, DEPLOY)));
  }
  const { config, diagnostics } = readSettings({
    directory: `/${name}`,
    files,
    env: new Map(Object.entries(WORKLOAD)),
  });
  assert.deepEqual(diagnostics.map(formatDiagnostic), []);
  return config as AgentConfig;
}

/** Type, its addresses, infra, its addresses. */
const WANTED: Readonly<Record<string, readonly [string, readonly string[], string, readonly string[]]>> = {
  "pilot": [
    "pilot",
    ["http istio-pilot.istio-system 8080"],
    "pilot",
    ["grpc istio-pilot.istio-system 15010"],
  ],
  "pilotv2": [
    "pilotv2",
    ["grpc istio-pilot.istio-system 15010"],
    "pilot",
    ["grpc istio-pilot.istio-system 15010"],
  ],
  "pilotv3": [
    "pilotv3",
    ["grpc istiod.istio-system.svc 15010"],
    "pilotv3",
    ["grpc istiod.istio-system.svc 15010"],
  ],
  "pilotv3-tls": [
    "pilotv3",
    ["grpcs 192.0.2.10 15012", "grpcs 192.0.2.11 15012"],
    "pilotv3",
    ["grpcs 192.0.2.10 15012", "grpcs 192.0.2.11 15012"],
  ],
};

Deno.test("the conf directories of config/deploy are those that are tested here", async () => {
  const names = [];
  for await (const { name } of Deno.readDir(DEPLOY)) {
    // The others hold more than a conf directory, and are tested by themselves.
    const isConf = await Deno.stat(new URL(`${name}/chassis.yaml`, DEPLOY)).then(() => true, () => false);
    if (isConf) names.push(name);
  }
  assert.deepEqual(names.sort(), Object.keys(WANTED).sort());
});

for (const [name, wanted] of Object.entries(WANTED)) {
  Deno.test(`config/deploy/${name}`, async () => {
    const { serviceDiscovery, router, discovery } = await read(name);
    const places = (list: typeof discovery.addresses) => list.map((a) => `${a.scheme} ${a.host} ${a.port}`);
    assert.deepEqual(
      [serviceDiscovery.type, places(discovery.addresses), router.infra, places(discovery.routerAddresses)],
      wanted,
    );
    assert.equal(serviceDiscovery.refreshIntervalMs, 30_000);
  });
}

Deno.test("config/deploy/pilotv3-tls: what TLS wants", async () => {
  const { hosts, serverName, certDirectory, tokenFile } = (await read("pilotv3-tls")).discovery;
  assert.deepEqual({ hosts, serverName, certDirectory, tokenFile }, {
    hosts: ["reviews.default.svc.cluster.local", "*.shop.svc.cluster.local"],
    serverName: "istiod.istio-system.svc",
    certDirectory: "/etc/certs",
    tokenFile: "/etc/mesh-agent/istio-token",
  });
});

for (const name of Object.keys(WANTED)) {
  Deno.test(`config/deploy/${name}: run --print-config shows what is in effect`, async () => {
    let out = "";
    const terminal: Terminal = {
      print: (text) => out += text,
      note: (text) => assert.match(text, /S116/, text),
      progress: () => {},
      interactive: false,
      paint: createPaint(false),
    };
    const path = new URL(name, DEPLOY).pathname;
    assert.equal(await main(["run", "--config", path, "--print-config"], terminal), 0);
    const [type] = WANTED[name]!;
    assert.match(out, new RegExp(`serviceDiscovery\\.type +${type} +config/deploy/${name}/chassis\\.yaml:\\d+:\\d+\n`));
    assert.match(out, /\ndiscovery\.hosts +\[/);
  });
}
