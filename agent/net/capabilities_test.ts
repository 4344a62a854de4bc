import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import { readSettings } from "../settings/read.ts";
import type { AgentConfig } from "../settings/types.ts";
import { capabilities, type Probe, PROBES, requireCapabilities } from "./capabilities.ts";

function settings(registry: string, discovery = "{}"): AgentConfig {
  const text = `cse: {service: {registry: {serviceDiscovery: ${registry}}}}\ndiscovery: ${discovery}\n`;
  const { config, diagnostics } = readSettings({
    directory: "/conf",
    label: "conf",
    files: new Map([["chassis.yaml", text]]),
    env: new Map(),
    unreadable: new Set(),
    flags: {},
  });
  assert.ok(config !== undefined, JSON.stringify(diagnostics));
  return config;
}

const FILE = settings("{type: file, address: rules}");
const PILOT = "{type: pilotv3, address: 'grpc://pilot.example:15010'}";

/** The real table with every probe's answer replaced. */
function answering(answers: Readonly<Record<string, string | null>>): { probes: Probe[]; tried: string[] } {
  const tried: string[] = [];
  const probes = PROBES.map((probe) => ({
    ...probe,
    try: () => {
      tried.push(probe.name);
      return answers[probe.name] ?? null;
    },
  }));
  return { probes, tried };
}

Deno.test("capabilities: this runtime has all that the agent needs, and each probe says for what", async () => {
  const found = await capabilities();
  const missing = found.filter((each) => each.missing !== null && each.name !== "linear-regexp");
  assert.deepEqual(missing, []);
  assert.deepEqual(found.map(({ name }) => name), [
    "isolation",
    "http2-client",
    "tls-client",
    "inbound-mtls",
    "watch",
    "linear-regexp",
  ]);
  for (const { name, purpose } of found) assert.ok(purpose.length > 20, name);
});

Deno.test("capabilities: the flag that V8 is given makes its regular expressions linear, and its absence is seen", async () => {
  const code = `const { capabilities } = await import(${
    JSON.stringify(new URL("./capabilities.ts", import.meta.url).href)
  });
    console.log((await capabilities()).find((each) => each.name === "linear-regexp").missing === null)`;
  const linear = async (...flags: string[]) => {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--unstable-worker-options", ...flags, code],
    }).output();
    return new TextDecoder().decode(stdout).trim() || new TextDecoder().decode(stderr);
  };
  assert.equal(
    await linear("--v8-flags=--enable-experimental-regexp-engine-on-excessive-backtracks"),
    "true",
  );
  assert.equal(await linear(), "false");
});

Deno.test("capabilities: a probe that throws is a reason, in one sentence", async () => {
  const probe: Probe = {
    name: "x",
    purpose: "to be tried",
    try() {
      throw new Error("Not there. And more\n    at somewhere");
    },
  };
  assert.deepEqual(await capabilities([probe]), [{
    name: "x",
    purpose: "to be tried",
    missing: "Not there.",
  }]);
});

Deno.test("capabilities: only what the settings need is tried at a start", async () => {
  for (
    const [config, needs] of [
      [FILE, []],
      [settings(PILOT), []],
      [settings(PILOT, "{transport: grpc-js}"), ["http2-client"]],
      [settings(PILOT.replace("grpc:", "grpcs:")), ["tls-client"]],
      [settings(PILOT.replace("grpc:", "grpcs:"), "{transport: grpc-js}"), ["http2-client", "tls-client"]],
    ] as const
  ) {
    const { probes, tried } = answering({});
    await requireCapabilities(config, probes);
    assert.deepEqual(tried, needs);
  }
});

Deno.test("capabilities: settings that need what is missing are refused with the setting and the reason", async () => {
  const { probes } = answering({ "http2-client": "Not implemented: http2.getDefaultSettings" });
  await requireCapabilities(settings(PILOT), probes);
  await assert.rejects(
    requireCapabilities(settings(PILOT, "{transport: grpc-js}"), probes),
    (error: MeshError) => {
      assert.equal(error.code, "N118");
      assert.equal(
        error.message,
        `Cannot use discovery.transport grpc-js on Deno "${Deno.version.deno}": this runtime has no http2-client ` +
          "(Not implemented: http2.getDefaultSettings); want 2.9",
      );
      assert.match(error.hint, /version --capabilities/);
      return true;
    },
  );
});
