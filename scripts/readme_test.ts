import assert from "node:assert/strict";
import { COMMANDS } from "../agent/cli/commands.ts";
import { SETTINGS, variablesOf } from "../agent/settings/schema.ts";

const root = new URL("../", import.meta.url);
const readme = await Deno.readTextFile(new URL("README.md", root));

Deno.test("README: names every setting with its variables, and every command", () => {
  for (const { key, fileless, ...setting } of SETTINGS) {
    const short = key.replace("cse.service.registry.", "cse.registry.");
    assert.ok(readme.includes(`\`${short}\``), `setting ${key} is not in the README`);
    const named = variablesOf({ key, ...setting, ...(fileless ? { fileless } : {}) });
    for (const name of named.filter((n) => !n.startsWith("CSE_") || n === "CSE_SERVICE_CENTER")) {
      assert.ok(readme.includes(`\`${name}\``), `variable ${name} is not in the README`);
    }
  }
  for (const { name } of COMMANDS) assert.match(readme, new RegExp(`mesh-agent ${name}|${name}:`));
});

Deno.test("README: every task and every file that it names exists", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  for (const [, name] of readme.matchAll(/deno(?:@[\d.]+)? task ([a-z]+)/g)) {
    assert.ok(Object.hasOwn(tasks, name!), `task ${name} is not in deno.json`);
  }
  for (const [, path] of readme.matchAll(/\]\(([\w./]+)\)/g)) await Deno.stat(new URL(path!, root));
});
