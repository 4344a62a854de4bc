import assert from "node:assert/strict";
import { within } from "../../tests/harness/bytes.ts";
import type { RulesDirectory } from "../discovery/types.ts";
import { createLog } from "./log.ts";
import { createRuleFiles } from "./rule_files.ts";
import { openRulesDirectory } from "./watch.ts";

const QUIET_LOG = createLog({ level: "error" });

/** What the watch told, and a way to wait for more. */
class Told {
  events: (readonly string[] | undefined)[] = [];
  #wake = () => {};

  readonly hear = (files?: readonly string[]): void => {
    this.events.push(files);
    this.#wake();
  };

  /** The reading (after any event) that satisfies the condition. */
  async reads(
    directory: RulesDirectory,
    wanted: (files: ReadonlyMap<string, string | null> | null) => boolean,
    what: string,
  ) {
    const look = async () => {
      for (;;) {
        const heard = new Promise<void>((resolve) => this.#wake = resolve);
        const reading = await directory.read();
        if (wanted(reading?.files ?? null)) return;
        await heard;
      }
    };
    await within(look(), what, 5000);
  }

  async event(what: string): Promise<void> {
    if (this.events.length > 0) return;
    await within(new Promise<void>((resolve) => this.#wake = resolve), what, 5000);
  }
}

async function withDirectory(
  test: (parent: string, rules: string, directory: RulesDirectory, told: Told) => Promise<void>,
  made = true,
): Promise<void> {
  const parent = await Deno.realPath(await Deno.makeTempDir({ prefix: "mesh-agent-watch-" }));
  const rules = `${parent}/rules`;
  if (made) await Deno.mkdir(rules);
  const directory = openRulesDirectory(rules, QUIET_LOG, "rules");
  const told = new Told();
  const stop = directory.watch(told.hear);
  try {
    await test(parent, rules, directory, told);
  } finally {
    stop();
    await Deno.remove(parent, { recursive: true });
  }
}

Deno.test("watch: a file written in place names itself", () =>
  withDirectory(async (_, rules, directory, told) => {
    await Deno.writeTextFile(`${rules}/a.yaml`, "one");
    await told.event("a change of a.yaml");
    assert.deepEqual(told.events[0], ["rules/a.yaml"]);
    const only = await directory.read(new Set(["rules/a.yaml"]));
    assert.deepEqual([...only?.files ?? []], [["rules/a.yaml", "one"]]);
    assert.equal(only?.complete, false);
  }));

Deno.test("watch: an editor's swap file is nobody's rules, its rename over the file is a change", () =>
  withDirectory(async (_, rules, directory, told) => {
    await Deno.writeTextFile(`${rules}/.a.yaml.swp`, "half");
    await Deno.writeTextFile(`${rules}/.a.yaml.new`, "two");
    await Deno.rename(`${rules}/.a.yaml.new`, `${rules}/a.yaml`);
    await told.reads(directory, (files) => files?.get("rules/a.yaml") === "two", "a.yaml after the rename");
    const names = [...(await directory.read())?.files.keys() ?? []];
    assert.deepEqual(names, ["rules/a.yaml"]);
  }));

Deno.test("watch: a ConfigMap's ..data link is swapped", () =>
  withDirectory(async (_, rules, directory, told) => {
    await Deno.mkdir(`${rules}/..v1`);
    await Deno.writeTextFile(`${rules}/..v1/a.yaml`, "one");
    await Deno.symlink("..v1", `${rules}/..data`);
    await Deno.symlink("..data/a.yaml", `${rules}/a.yaml`);
    await told.reads(directory, (files) => files?.get("rules/a.yaml") === "one", "the first version");
    await Deno.mkdir(`${rules}/..v2`);
    await Deno.writeTextFile(`${rules}/..v2/a.yaml`, "two");
    await Deno.symlink("..v2", `${rules}/..data_tmp`);
    await Deno.rename(`${rules}/..data_tmp`, `${rules}/..data`);
    await Deno.remove(`${rules}/..v1`, { recursive: true });
    await told.reads(directory, (files) => files?.get("rules/a.yaml") === "two", "the second version");
    assert.equal((await directory.read())?.files.size, 1);
  }));

Deno.test("watch: the directory is deleted and made again, twice", () =>
  withDirectory(async (_, rules, directory, told) => {
    for (const version of ["one", "two"]) {
      await Deno.remove(rules, { recursive: true });
      await told.reads(directory, (files) => files === null, "the end of the directory");
      await Deno.mkdir(rules);
      await Deno.writeTextFile(`${rules}/a.yaml`, version);
      await told.reads(directory, (files) => files?.get("rules/a.yaml") === version, `version ${version}`);
    }
    // The new directory itself is watched, not only its coming.
    told.events.length = 0;
    await Deno.writeTextFile(`${rules}/b.yaml`, "b");
    await told.reads(directory, (files) => files?.get("rules/b.yaml") === "b", "b.yaml");
  }));

Deno.test("watch: the directory and its parents come later", () =>
  withDirectory(async (parent, _rules, _directory, told) => {
    const deep = openRulesDirectory(`${parent}/x/y/rules`, QUIET_LOG, "rules");
    const stop = deep.watch(told.hear);
    try {
      assert.equal(await deep.read(), null);
      await Deno.mkdir(`${parent}/x/y/rules`, { recursive: true });
      await Deno.writeTextFile(`${parent}/x/y/rules/a.yaml`, "one");
      await told.reads(deep, (files) => files?.get("rules/a.yaml") === "one", "the late directory");
    } finally {
      stop();
    }
  }, false));

Deno.test("watch: a rules directory that is a link moves with it", () =>
  withDirectory(async (parent, _rules, _directory, told) => {
    for (const version of ["v1", "v2"]) {
      await Deno.mkdir(`${parent}/${version}`);
      await Deno.writeTextFile(`${parent}/${version}/a.yaml`, version);
    }
    await Deno.symlink("v1", `${parent}/link`);
    const linked = openRulesDirectory(`${parent}/link`, QUIET_LOG, "rules");
    const stop = linked.watch(told.hear);
    try {
      await Deno.symlink("v2", `${parent}/link.new`);
      await Deno.rename(`${parent}/link.new`, `${parent}/link`);
      await told.reads(
        linked,
        (files) => files?.get("rules/a.yaml") === "v2",
        "the directory behind the link",
      );
    } finally {
      stop();
    }
  }));

Deno.test("watch: files in directories inside", () =>
  withDirectory(async (_, rules, directory, told) => {
    await Deno.mkdir(`${rules}/team/deep`, { recursive: true });
    await Deno.writeTextFile(`${rules}/team/deep/a.yml`, "a");
    await Deno.writeTextFile(`${rules}/team/notes.txt`, "no rules");
    await told.reads(directory, (files) => files?.get("rules/team/deep/a.yml") === "a", "team/deep/a.yml");
    assert.equal((await directory.read())?.files.size, 1);
    await Deno.remove(`${rules}/team`, { recursive: true });
    await told.reads(directory, (files) => files?.size === 0, "the end of team");
  }));

Deno.test("rule files: a file asked for by name that vanished takes along what vanished with its directory", async () => {
  const path = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${path}/team`);
    for (const name of ["a", "b", "team/c", "team/d"]) await Deno.writeTextFile(`${path}/${name}.yaml`, name);
    const files = createRuleFiles(path, "rules");
    assert.equal((await files.read())?.files.size, 4);
    await Deno.writeTextFile(`${path}/a.yaml`, "new");
    assert.deepEqual(await files.read(new Set(["rules/a.yaml"])), {
      files: new Map([["rules/a.yaml", "new"]]),
      complete: false,
      unreadable: new Map(),
    });
    await Deno.remove(`${path}/team`, { recursive: true });
    const reading = await files.read(new Set(["rules/team/c.yaml"]));
    assert.deepEqual([[...reading?.files.keys() ?? []].sort(), reading?.complete], [
      ["rules/a.yaml", "rules/b.yaml"],
      true,
    ]);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("rule files: a directory that goes, or goes and comes back, while it is read has not lost its files", async () => {
  const path = await Deno.makeTempDir();
  const { stat } = Deno;
  try {
    await Deno.mkdir(`${path}/rules`);
    await Deno.writeTextFile(`${path}/rules/a.yaml`, "a");
    const files = createRuleFiles(`${path}/rules`, "rules");
    for (const back of [true, false]) {
      let moved = false;
      Deno.stat = async (at) => {
        if (moved || !String(at).endsWith("/a.yaml")) return await stat(at);
        moved = true;
        await Deno.rename(`${path}/rules`, `${path}/away`);
        try {
          return await stat(at);
        } finally {
          if (back) await Deno.rename(`${path}/away`, `${path}/rules`);
        }
      };
      const reading = await files.read();
      assert.deepEqual(reading && [...reading.files], back ? [["rules/a.yaml", "a"]] : null);
      assert.ok(moved);
    }
  } finally {
    Deno.stat = stat;
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("rule files: a single file, as typed", async () => {
  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(path, "x");
    const reading = await createRuleFiles(path, "my.yaml").read();
    assert.deepEqual([...reading?.files ?? []], [["my.yaml", "x"]]);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("rule files: a link in a circle ends, a broken link is not there", async () => {
  const path = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${path}/a.yaml`, "a");
    await Deno.symlink(".", `${path}/self`);
    await Deno.symlink("nowhere.yaml", `${path}/b.yaml`);
    const reading = await createRuleFiles(path, "rules").read();
    assert.deepEqual([...reading?.files ?? []], [["rules/a.yaml", "a"]]);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});
