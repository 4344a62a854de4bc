import assert from "node:assert/strict";
import { configOf } from "../../tests/harness/world.ts";
import { giveUpWriting } from "./run.ts";

const rights = { read: "inherit", write: true, env: "inherit", net: "inherit" } as const;
const stateOf = () => Deno.permissions.querySync({ name: "write" }).state;

for (
  const [name, more, variables, left] of [
    ["neither cache nor file nor systemd", {}, {}, false],
    ["a cache", { cacheDir: "/c" }, {}, true],
    ["a readiness file", { readinessFile: "/r" }, {}, true],
    ["systemd", {}, { NOTIFY_SOCKET: "/run/systemd/notify" }, true],
  ] as const
) {
  Deno.test({
    name: `run: with ${name} the right to write ${left ? "stays" : "is given up"}`,
    permissions: { ...rights, run: false },
    fn() {
      assert.equal(stateOf(), "granted");
      giveUpWriting({ ...configOf(), ...more }, new Map(Object.entries(variables)));
      assert.equal(stateOf() === "granted", left);
    },
  });
}

Deno.test({
  name: "run: a process with all rights keeps them",
  permissions: { ...rights, run: true },
  fn() {
    giveUpWriting(configOf(), new Map());
    assert.equal(stateOf(), "granted");
  },
});
