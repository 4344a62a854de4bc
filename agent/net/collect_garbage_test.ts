import assert from "node:assert/strict";

/** MB of heap that a megabyte-wise made rubbish of 64 MB leaves after releaseGarbage. */
async function heapAfter(...flags: string[]): Promise<number> {
  const code = `
    const { releaseGarbage } = await import(${
    JSON.stringify(new URL("./collect_garbage.ts", import.meta.url).href)
  });
    let kept = Array.from({ length: 64 }, (_, i) => new Array(131072).fill(i));
    globalThis.sum = kept.reduce((sum, each) => sum + each.length, 0);
    kept = undefined;
    releaseGarbage();
    console.log(Deno.memoryUsage().heapUsed / 1e6);`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", ...flags, code] })
    .output();
  const text = new TextDecoder().decode(stdout);
  assert.notEqual(text, "", new TextDecoder().decode(stderr));
  return Number(text);
}

Deno.test("releaseGarbage: with V8's flag the rubbish is gone at once, without it nothing happens", async () => {
  const [released, left] = await Promise.all([heapAfter("--v8-flags=--expose-gc"), heapAfter()]);
  assert.ok(released < 20, `${released} MB`);
  assert.ok(left > 40, `${left} MB`);
});
