import assert from "node:assert/strict";
import { COMMANDS } from "../agent/cli/commands.ts";
import { formatDiagnostic } from "../agent/core/diagnostics.ts";
import { START_CODES } from "../agent/core/start_codes.ts";
import { pairsTable, readSettings } from "../agent/settings/read.ts";
import { SETTINGS, variablesOf } from "../agent/settings/schema.ts";

const root = new URL("../", import.meta.url);

/** What users read: path from the root -> text. */
const pages = new Map<string, string>();
for (const path of ["README.md", "SECURITY.md", "agent/README.md"]) pages.set(path, await read(path));
for await (const { name } of Deno.readDir(new URL("docs/", root))) {
  pages.set(`docs/${name}`, await read(`docs/${name}`));
}
const page = (name: string): string => pages.get(`docs/${name}.md`)!;

function read(path: string): Promise<string> {
  return Deno.readTextFile(new URL(path, root));
}

Deno.test("settings: every one is told with its variables", () => {
  const settings = page("settings");
  for (const { key, fileless, ...setting } of SETTINGS) {
    const short = key.replace("cse.service.registry.", "cse.registry.");
    assert.ok(settings.includes(`\`${short}\``), `setting ${key} is not in docs/settings.md`);
    const named = variablesOf({ key, ...setting, ...(fileless ? { fileless } : {}) });
    for (const name of named.filter((n) => !n.startsWith("CSE_") || n === "CSE_SERVICE_CENTER")) {
      assert.ok(settings.includes(`\`${name}\``), `variable ${name} is not in docs/settings.md`);
    }
  }
});

Deno.test("commands: each is in the README, each flag in the table of the command line", () => {
  for (const { name } of COMMANDS) assert.match(pages.get("README.md")!, new RegExp(`\`${name}[ \`]`), name);
  const cells = (line: string) => line.split(" | ").map((cell) => cell.replace(/^\||\|$/g, "").trim());
  const told = page("commands").split("\n").filter((line) => /^\| `[a-z]+` +\| `.*--/.test(line)).map(cells);
  const wanted = COMMANDS.flatMap((command) =>
    command.flags.map(({ name, short, value, help }) => [
      `\`${command.name}\``,
      `\`${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}\``,
      help.replaceAll("|", "\\|"),
    ])
  );
  assert.deepEqual(told, wanted);
});

Deno.test("pages: every task and every file that they name exists", async () => {
  const { tasks } = JSON.parse(await read("deno.json"));
  for (const [path, text] of pages) {
    for (const [, name] of text.matchAll(/deno(?:@[\d.]+)? task ([a-z]+)/g)) {
      assert.ok(Object.hasOwn(tasks, name!), `${path}: task ${name} is not in deno.json`);
    }
    for (const [, target] of text.matchAll(/\]\(([\w./-]+)(?:#[^)]*)?\)/g)) {
      await Deno.stat(new URL(target!, new URL(path, root))).catch(() => assert.fail(`${path}: ${target}`));
    }
  }
});

Deno.test("pages: every section that they lead to exists", () => {
  const prose = (text: string) => text.replace(/^```[\s\S]*?^```/gm, "");
  const sections = (path: string) =>
    [...prose(pages.get(path) ?? "").matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title!.toLowerCase().replace(/[^a-z0-9 -]/g, "").replaceAll(" ", "-")
    );
  let links = 0;
  for (const [path, text] of pages) {
    for (const [, target, anchor] of prose(text).matchAll(/\]\(([\w./-]*)#([^)]+)\)/g)) {
      links++;
      const there = target === ""
        ? path
        : new URL(target!, new URL(path, root)).pathname.slice(root.pathname.length);
      assert.ok(sections(there).includes(anchor!), `${path}: ${there}#${anchor} is no section`);
    }
  }
  assert.ok(links > 10);
});

Deno.test("pages: each of docs is in the README's table", () => {
  for (const path of pages.keys()) {
    if (path.startsWith("docs/")) assert.ok(pages.get("README.md")!.includes(`](${path})`), path);
  }
});

/** Code blocks of a language, in order. */
function blocks(name: string, language: string): string[] {
  return [...page(name).matchAll(/^```(\w+)\n([\s\S]*?)^```/gm)].filter((m) => m[1] === language).map((m) =>
    m[2]!
  );
}

Deno.test("control planes: the configurations for Pilot are those of config/deploy, and are read without a finding", async () => {
  const shown = blocks("control-planes", "yaml").filter((text) => /^# (chassis|router)\.yaml/.test(text));
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
  assert.deepEqual(rows(pages.get("README.md")!), wanted);
});

Deno.test("control planes: every failure is in the table of what to look at", () => {
  for (const [code, { severity }] of Object.entries(START_CODES)) {
    if (!/^D2/.test(code) || severity === "info") continue;
    assert.match(
      page("control-planes"),
      new RegExp(`^\\| (S\\d+, |D\\d+, )*${code}\\b`, "m"),
      `${code} is not in docs/control-planes.md`,
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

Deno.test("pages: what they show of commands that need no running agent is what these print", async () => {
  const shown = ["README.md", "docs/commands.md", "docs/permissions.md"].flatMap((path) =>
    [...pages.get(path)!.matchAll(/^```\n\$ mesh-agent (.*)\n([\s\S]*?)^```/gm)].map((m) =>
      [m[1]!, m[2]!] as const
    )
  ).filter(([command]) => /config\b/.test(command));
  assert.deepEqual(shown.map(([command]) => command.split(" ")[0]), [
    "explain",
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

Deno.test("how to: the plugin that it shows type-checks", async () => {
  const [example] = blocks("development", "ts").filter((text) => text.includes("StartSource = ("));
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
