import assert from "node:assert/strict";
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
});
