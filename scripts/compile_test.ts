import assert from "node:assert/strict";
import { runAgent } from "../tests/harness/agent.ts";
import { makeConf } from "../tests/harness/conf.ts";
import { sealFor } from "./seal.ts";
import { compileArguments, permissionFlags } from "./compile.ts";

Deno.test("compile: the permission set becomes flags, and what is false gives none", () => {
  assert.deepEqual(
    permissionFlags({ net: true, read: true, env: ["A", "B_*"], write: false, run: false, sys: [] }),
    ["--allow-net", "--allow-read", "--allow-env=A,B_*"],
  );
});

// Writing is for the supervisor and vm init; the worker gets its cache or nothing (agent/supervisor/scope.ts).
Deno.test("compile: the shipped set grants no subprocess and no native code", async () => {
  const config = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
  const args = compileArguments(config, "out");
  assert.deepEqual(
    args.filter((arg) => arg.startsWith("--allow-sys")),
    ["--allow-sys=osUptime"],
    "of the system only how long it is up",
  );
  for (const denied of ["--allow-run", "--allow-ffi", "--allow-all", "-A"]) {
    assert.ok(!args.some((arg) => arg === denied || arg.startsWith(`${denied}=`)), denied);
  }
  assert.ok(!args.includes("--allow-env"), "environment by name only");
  assert.ok(args.includes("--unstable-worker-options"));
  assert.deepEqual(args.slice(-3), ["--output", "out", "dist/agent/mod.js"]);
  assert.ok(!args.includes("--target"));
  const other = compileArguments(config, "out", { target: "linux-arm64" });
  assert.equal(other[other.indexOf("--target") + 1], "aarch64-unknown-linux-gnu");
});

Deno.test("compile: sealed, network, files and writing are what `mesh-agent permissions` prints, and nothing else", async () => {
  await using conf = await makeConf({
    mesh: { cacheDir: "/var/cache/mesh-agent", permissions: { net: ["203.0.113.0/24:443"] } },
    discovery: "pilotv3",
    address: "grpc://203.0.113.7:15010",
  });
  const { stdout } = await runAgent(["permissions", "--config", conf.path, "--json"]);
  const { runtime } = JSON.parse(stdout);
  const config = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
  const args = compileArguments(config, "out", { seal: await sealFor(conf.path, "mesh-agent") });
  const listOf = (right: string) =>
    args.find((arg) => arg.startsWith(`--allow-${right}=`))?.slice(`--allow-${right}=`.length).split(",");
  assert.deepEqual(listOf("net"), runtime.net);
  // The program itself lies elsewhere when it is compiled.
  const own = /\/(agent|node_modules|dist\/agent)$/;
  assert.deepEqual(
    listOf("read")?.filter((path) => !own.test(path)),
    runtime.read.filter((path: string) => !own.test(path)),
  );
  assert.ok(listOf("read")?.includes("/tmp/deno-compile-mesh-agent/dist/agent"));
  assert.deepEqual(listOf("write"), ["/var/cache/mesh-agent"]);
  assert.deepEqual(
    listOf("env"),
    [...new Set([...config.permissions.default.env, ...runtime.env])].sort(),
  );
  assert.deepEqual(
    args.filter((arg) => arg.startsWith("--allow-")).map((arg) => arg.split("=")[0]).sort(),
    ["--allow-env", "--allow-net", "--allow-read", "--allow-write"],
  );
});

Deno.test("compile: settings with errors, or of an agent that is not isolated, are not sealed", async () => {
  await using open = await makeConf({ mesh: { isolation: false } });
  await assert.rejects(sealFor(open.path, "mesh-agent"), /isolation is false/);
  await using faulty = await makeConf({ discovery: "nowhere" });
  await assert.rejects(sealFor(faulty.path, "mesh-agent"), /\[S\d+\]/);
});
