/** The HTTP/1.1 tables on both engines inside the test process; process_test.ts plays them against the agent as a process. */
import assert from "node:assert/strict";
import { ENGINES, startRig } from "../harness/rig.ts";
import { play, rowOnServe, titleOf } from "./play.ts";
import { ROWS } from "./rows.ts";

for (const engine of ENGINES) {
  for (const written of ROWS) {
    const row = engine === "serve" ? rowOnServe(written) : written;
    if (row === undefined) continue;
    Deno.test(titleOf(engine, row), async () => {
      await using rig = startRig(engine);
      await play(row, rig);
      assert.deepEqual(rig.errors, [], "the proxy must not log errors");
    });
  }
}
