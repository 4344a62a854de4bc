import assert from "node:assert/strict";
import { main } from "./main.ts";
import { createPaint, type Terminal } from "./terminal.ts";

async function sleep(...words: string[]) {
  let said = "";
  const terminal: Terminal = {
    print: (text) => said += text,
    note: (text) => said += text,
    progress: () => {},
    interactive: false,
    paint: createPaint(false),
  };
  const from = performance.now();
  const code = await main(["sleep", ...words], terminal);
  return { code, said, ms: performance.now() - from };
}

Deno.test("sleep: takes as long as it says, and says nothing", async () => {
  const { code, said, ms } = await sleep("30ms");
  assert.deepEqual([code, said], [0, ""]);
  assert.ok(ms >= 29, `${ms}`);
});

Deno.test("sleep: what is no duration, or none that can be waited, is told at once", async () => {
  for (const words of [[], ["15"], ["soon"], ["--", "-1s"], ["1s", "2s"], ["600h"]]) {
    const { code, said } = await sleep(...words);
    const shown = words.filter((word) => word !== "--").join(" ");
    assert.equal(code, 2);
    assert.equal(
      said,
      `Cannot sleep "${shown}": it is no duration that can be waited; want one such as 15s\n    mesh-agent sleep 15s`,
    );
  }
});
