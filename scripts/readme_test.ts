import assert from "node:assert/strict";
import { COMMANDS } from "../agent/cli/commands.ts";
import { formatDiagnostic } from "../agent/core/diagnostics.ts";
import { START_CODES } from "../agent/core/start_codes.ts";
import { pairsTable, readSettings } from "../agent/settings/read.ts";
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

Deno.test("README: every section that it leads to exists", () => {
  const prose = readme.replace(/^```[\s\S]*?^```/gm, "");
  const sections = [...prose.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!.toLowerCase().replace(/[^a-z0-9 -]/g, "").replaceAll(" ", "-")
  );
  const links = [...prose.matchAll(/\]\(#([^)]+)\)/g)].map(([, link]) => link!);
  assert.ok(links.length > 10);
  for (const link of links) assert.ok(sections.includes(link), `#${link} is no section`);
});

/** Code blocks of a language, in order. */
function blocks(language: string): string[] {
  return [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```/gm)].filter((m) => m[1] === language).map((m) =>
    m[2]!
  );
}

Deno.test("README: the configurations for Pilot are those of config/deploy, and are read without a finding", async () => {
  const shown = blocks("yaml").filter((text) => /^# (chassis|router)\.yaml/.test(text));
  assert.deepEqual(shown.map((text) => /^# (\w+\.yaml)/.exec(text)![1]), [
    ...["chassis.yaml", "router.yaml"],
    ...["chassis.yaml", "router.yaml"],
  ]);
  const withoutNotes = (text: string) => text.replace(/^\s*#.*\n/gm, "");
  for (const [i, type] of ["pilot", "pilotv2"].entries()) {
    const files = new Map([["chassis.yaml", shown[2 * i]!], ["router.yaml", shown[2 * i + 1]!]]);
    for (const [name, text] of files) {
      const deployed = await Deno.readTextFile(new URL(`config/deploy/${type}/${name}`, root));
      assert.equal(withoutNotes(text), withoutNotes(deployed), `${type}/${name}`);
    }
    const env = new Map([["POD_NAME", "a"], ["POD_NAMESPACE", "b"], ["INSTANCE_IP", "10.0.0.1"]]);
    const { config, diagnostics } = readSettings({ directory: "/conf", files, env });
    assert.deepEqual(diagnostics.map(formatDiagnostic), []);
    assert.equal(config?.serviceDiscovery.type, type);
  }
});

Deno.test("README: what goes together is the table of the settings", () => {
  const rows = (table: string) =>
    table.split("\n").map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim())).filter((row) =>
      /^(file|pilot|pilotv2|pilotv3)$/.test(row[0] ?? "") && row.length === 6
    );
  const wanted = rows(pairsTable().replaceAll("| - ", "| error "));
  assert.deepEqual(rows(readme), wanted);
});

Deno.test("README: every failure of a control plane is in the table of what to look at", () => {
  for (const [code, { severity }] of Object.entries(START_CODES)) {
    if (!/^D2/.test(code) || severity === "info") continue;
    assert.match(
      readme,
      new RegExp(`^\\| (S\\d+, |D\\d+, )*${code}\\b`, "m"),
      `${code} is not in the README`,
    );
  }
});

/** Without what differs between machines and edits: where the clone lies, lines and columns, the name server. */
function comparable(text: string): string[] {
  return text.replaceAll(root.pathname, "/home/me/mesh-agent/")
    .replace(/:\d+:\d+\b/g, ":L:C")
    .replace(/\S+:53 /, "10.96.0.10:53 ")
    .split("\n").map((line) => line.replace(/ +/g, " ").trimEnd());
}

Deno.test("README: what it shows of commands that need no running agent is what they print", async () => {
  const shown = [...readme.matchAll(/^```\n\$ mesh-agent (.*)\n([\s\S]*?)^```/gm)].map((m) =>
    [m[1]!, m[2]!] as const
  )
    .filter(([command]) => /config\b/.test(command));
  assert.deepEqual(shown.map(([command]) => command.split(" ")[0]), [
    "check",
    "explain",
    "program",
    "run",
    "permissions",
  ]);
  for (const [command, text] of shown) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "mod.ts",
        ...command.match(/'[^']*'|\S+/g)!.map((word) => word.replaceAll("'", "")),
      ],
      cwd: root,
      env: { NO_COLOR: "1" },
    }).output();
    const printed = comparable(new TextDecoder().decode(stdout));
    let from = 0;
    let skip = false;
    for (const line of comparable(text.trimEnd())) {
      if (line === "...") {
        skip = true;
        continue;
      }
      const at = printed.indexOf(line, from);
      assert.ok(at >= from && (skip || at === from), `${command}: it does not print here: ${line}`);
      from = at + 1;
      skip = false;
    }
    assert.ok(skip || from === printed.length - 1, `${command}: it prints more: ${printed[from]}`);
  }
});

Deno.test("README: the plugin that it shows type-checks", async () => {
  const [example] = blocks("ts").filter((text) => text.includes("StartSource = ("));
  const discovery = new URL("agent/discovery/", root);
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const text = example!.replaceAll('from "./', `from "${discovery}`);
    await Deno.writeTextFile(path, text);
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", "--quiet", "--config", new URL("deno.json", root).pathname, path],
      env: { NO_COLOR: "1" },
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
  } finally {
    await Deno.remove(path);
  }
});
