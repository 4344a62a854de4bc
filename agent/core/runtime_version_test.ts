import assert from "node:assert/strict";
import { tooOld } from "./runtime_version.ts";

Deno.test("version preflight: below 2.6 a plain sentence, from there on nothing", () => {
  for (const version of ["2.6.0", "2.6.10", "2.9.6", "2.10.0", "3.0.0"]) {
    assert.equal(tooOld(version), undefined);
  }
  for (const version of ["1.46.3", "2.0.0", "2.5.6"]) {
    assert.equal(
      tooOld(version),
      `[N104] Cannot run on Deno "${version}": mesh-agent is made for 2.9; want 2.6 or newer\n` +
        "    npx -y deno@2.9.6 run -P mod.ts",
    );
  }
});
