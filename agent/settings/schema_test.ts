import assert from "node:assert/strict";
import { BOUND_VARIABLE } from "../core/variables.ts";
import { formatConfig, jsonConfig, pairsTable, readSettings, settingsTable } from "./read.ts";
import { ENV_NAMES, ENV_PERMISSIONS, SETTINGS, variableOf, variablesOf } from "./schema.ts";
import { readValue } from "./value.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("the shipped permission set names exactly the variables of the settings", async () => {
  const { permissions } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  assert.deepEqual(permissions.default.env, ENV_PERMISSIONS);
  // Without it the agent cannot see that the runtime is fair already, and takes its own gate on top.
  assert.ok(ENV_PERMISSIONS.includes(BOUND_VARIABLE));
});

Deno.test("keys and variables are named once", () => {
  const keys = SETTINGS.map((s) => s.key);
  assert.equal(new Set(keys).size, keys.length);
  const variables = SETTINGS.flatMap(variablesOf);
  assert.equal(new Set(variables).size, variables.length);
  for (const name of variables) assert.ok(ENV_NAMES.includes(name), name);
});

Deno.test("the variable of a key", () => {
  assert.equal(
    variableOf("cse.protocols.rest-admin.listenAddress"),
    "CSE_PROTOCOLS_REST_ADMIN_LISTENADDRESS",
  );
  assert.equal(variableOf("router.infra"), "CSE_ROUTER_INFRA");
});

Deno.test("every key has a variable that sets it", () => {
  const written: Readonly<Record<string, string>> = {
    text: "other",
    texts: '{"a":"b"}',
    boolean: "false",
    count: "77",
    duration: "77ms",
    address: "127.0.0.1:77",
    hosts: "reviews,*.shop",
    forwards: "3306=mysql:3306",
    places: "10.0.0.0/8,api.example.com:443",
    paths: "/etc/ssl",
    servicePorts: "rest:8084",
    healthChecks: '[{"port":8084}]',
  };
  for (const setting of SETTINGS) {
    const text = setting.form.kind === "word" ? setting.form.words.at(-1)! : written[setting.form.kind]!;
    const name = variablesOf(setting)[0]!;
    const { diagnostics, config } = readSettings({
      directory: "/c",
      files: new Map(),
      env: new Map([["INSTANCE_IP", "10.0.0.5"], [name, text]]),
    });
    const { from, where } = config?.origins.get(setting.key) ?? {};
    const refused = diagnostics.some((d) => d.where.field === name && d.severity === "error");
    // Values that are read and then refused (registrator.disabled false, types that come later) were taken, too.
    assert.ok(refused || (from === "environment" && where?.field === name), `${name}=${text}`);
  }
});

Deno.test("every default is a value of its own form", () => {
  for (const { key, form, fallback } of SETTINGS) {
    if (fallback === undefined || typeof fallback === "object") continue;
    const value = form.kind === "duration" ? `${fallback}ms` : fallback as string | number | boolean;
    const reading = readValue(form, { value, source: () => undefined, isBare: () => false });
    assert.ok("value" in reading, key);
  }
});

Deno.test("the shipped configuration has no findings and says the defaults", async () => {
  const files = new Map<string, string>();
  for await (const { name, isFile } of Deno.readDir(new URL("config/", ROOT))) {
    if (isFile) files.set(name, await Deno.readTextFile(new URL(`config/${name}`, ROOT)));
  }
  const { config, diagnostics } = readSettings({ directory: "/config", files, env: new Map() });
  assert.deepEqual(diagnostics, []);
  const plain = readSettings({ directory: "/config", files: new Map(), env: new Map() }).config!;
  const settingsOf = (c: typeof plain) => {
    const { origins: _, service: __, workload: ___, ...rest } = c;
    return rest;
  };
  assert.deepEqual(settingsOf(config!), settingsOf(plain));
  // Whatever can be set is set there, except what follows from the environment or from others.
  const unset = SETTINGS.filter(({ key, fileless }) =>
    !fileless && config!.origins.get(key)?.from !== "file"
  );
  assert.deepEqual(unset.map((s) => s.key), [
    "cse.protocols.grpc.listenAddress",
    "router.address",
    "cse.service.app",
    "cse.service.properties",
    "cse.mesh.healthListenAddress",
  ]);
});

Deno.test("settings are printed with their origins", () => {
  const { config } = readSettings({
    directory: "/c",
    label: "conf",
    files: new Map([["chassis.yaml", "cse:\n  mesh:\n    drainTimeout: 1m30s\n"]]),
    env: new Map([["POD_NAMESPACE", "prod"], ["SERVICE_NAME", "shop"]]),
    flags: { http: "127.0.0.1:1" },
  });
  const lines = formatConfig(config!).trimEnd().split("\n");
  assert.equal(lines.length, SETTINGS.length + 1);
  const line = (key: string) => lines.find((l) => l.startsWith(`${key} `))?.split(/ {2,}/);
  assert.deepEqual(line("cse.mesh.drainTimeout"), ["cse.mesh.drainTimeout", "90s", "conf/chassis.yaml:3:19"]);
  assert.deepEqual(line("workload.namespace"), ["workload.namespace", "prod", "variable POD_NAMESPACE"]);
  assert.deepEqual(line("router.infra"), ["router.infra", "file", "default"]);
  assert.deepEqual(line("workload.labels")?.slice(0, 2), ["workload.labels", '{"app":"shop"}']);
  const json = JSON.parse(JSON.stringify(jsonConfig(config!)));
  assert.deepEqual(json["cse.protocols.http.listenAddress"], { value: "127.0.0.1:1", origin: "flag --http" });
  assert.equal(Object.keys(json).length, SETTINGS.length + 2);
});

Deno.test("the table of sources", () => {
  assert.equal(
    pairsTable(),
    `| serviceDiscovery.type \\ router.infra | file | cse | pilot | pilotv2 | pilotv3 |
|---|---|---|---|---|---|
| file | yes | comes with the rules of router.yaml | - | - | - |
| pilot | - | comes with the rules of router.yaml | yes | yes | - |
| pilotv2 | - | comes with the rules of router.yaml | yes | yes | - |
| pilotv3 | - | comes with the rules of router.yaml | - | - | yes |
`,
  );
});

Deno.test("the table of settings has a row for each, with its variable", () => {
  const rows = settingsTable().trimEnd().split("\n").slice(2);
  assert.equal(rows.length, SETTINGS.length);
  assert.ok(rows.includes(
    "| `cse.mesh.timeouts.head` | `10s` | the whole request head: 408 | `CSE_MESH_TIMEOUTS_HEAD` |",
  ));
  assert.ok(rows.includes(
    "| `cse.protocols.http.listenAddress` | `127.0.0.1:30101` | address of the proxy; port 0 = any free one | " +
      "`CSE_PROTOCOLS_HTTP_LISTENADDRESS`, `--http` |",
  ));
});
