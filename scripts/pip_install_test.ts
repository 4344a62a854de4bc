import assert from "node:assert/strict";
import { pipInstall } from "./pip_install.ts";

/** With these programs on the PATH and no others but the shell. */
async function withPrograms<T>(
  programs: Readonly<Record<string, string>>,
  test: () => Promise<T>,
): Promise<T> {
  const directory = await Deno.makeTempDir();
  const path = Deno.env.get("PATH") ?? "";
  try {
    for (const [name, text] of Object.entries(programs)) {
      await Deno.writeTextFile(`${directory}/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    }
    Deno.env.set("PATH", directory);
    return await test();
  } finally {
    Deno.env.set("PATH", path);
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("pip: the first that can is asked for the package, into a directory of its own", async () => {
  const target = await Deno.makeTempFile();
  try {
    const problem = await withPrograms(
      { python3: "echo no module named pip >&2; exit 1", pip: `echo "$@" > ${target}` },
      () => pipInstall("a==1", "/somewhere"),
    );
    assert.equal(problem, undefined);
    assert.equal(
      await Deno.readTextFile(target),
      "install --quiet --disable-pip-version-check --target /somewhere a==1\n",
    );
  } finally {
    await Deno.remove(target);
  }
});

Deno.test("pip: what each said when none can, in a word", async () => {
  const programs = { python3: "echo first >&2; echo no module named pip >&2; exit 1", pip3: "exit 1" };
  assert.equal(
    await withPrograms(programs, () => pipInstall("a==1", "/somewhere")),
    "python3 -m pip: no module named pip; pip3: failed; pip: not found",
  );
});
