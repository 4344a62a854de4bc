/**
 * The agent as one compiled program does its main job. Makes dist/mesh-agent first; where the runtime's base cannot be
 * fetched, scripts/compile.ts takes the older one out of a wheel, so this also shows that the oldest supported runtime
 * carries the demo.
 */
import assert from "node:assert/strict";
import { compile } from "../../scripts/compile.ts";

const root = new URL("../../", import.meta.url);
const program = new URL("dist/mesh-agent", root).pathname;

async function run(args: string[]): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args,
    // Somewhere else: the program may not lean on the files of the repository.
    cwd: "/",
    clearEnv: true,
    env: { NO_COLOR: "1" },
  }).output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("compiled program: compiles, tells its version, and the demo splits traffic by the rules", async (t) => {
  await Deno.mkdir(new URL("dist", root), { recursive: true });
  const base = await compile(program);
  await t.step(`version (${base})`, async () => {
    const { code, text } = await run(["version"]);
    assert.equal(code, 0, text);
    assert.match(text, /mesh-agent \d+\.\d+\.\d+/);
  });
  await t.step("demo --once 200", async () => {
    const { code, text } = await run(["demo", "--once", "200"]);
    assert.equal(code, 0, text);
    for (const version of ["v1", "v2", "v3"]) assert.match(text, new RegExp(`\\b${version}\\b.*\\d`), text);
  });
});
