import assert from "node:assert/strict";
import { agreed, preparedText } from "./prepare.ts";

const CHUNKS = ["mod.js", "agent-AB12.js", "agent", "lifetime-CD34.js"];

Deno.test("prepare: a script gets its place, its modules and its packages from who loads it", () => {
  const text = `var import_meta, import_meta2;
import_meta = {};
    import_meta2 = {};
SEAL = new URL("./seal.json", import_meta.url);
WORKER = new URL("./worker.ts", import_meta2.url);
const [a, b] = await Promise.all([import("../agent.ts"), import("./lifetime.ts"), import("node:tls")]);
x ??= createRequire(import_meta2.url)("yaml");
`;
  assert.equal(
    preparedText(text, CHUNKS),
    `var import_meta, import_meta2;
import_meta = __meta;
    import_meta2 = __meta;
SEAL = new URL("./seal.json", import_meta.url);
WORKER = new URL("./agent/supervisor/worker.js", import_meta2.url);
const [a, b] = await Promise.all([__load("./agent-AB12.js"), __load("./lifetime-CD34.js"), __load("node:tls")]);
x ??= createRequire(import_meta2.url)("./yaml.cjs");
`,
  );
});

Deno.test("prepare: a module that the bundle does not have is a mistake", () => {
  assert.throws(() => preparedText('import("./nowhere.ts")', CHUNKS), /the bundle has no "nowhere"/);
});

Deno.test("prepare: byte code counts once two runs agree on it", async () => {
  const bytes = (n: number) => Uint8Array.of(n);
  const telling = (...runs: [number, number][]) => {
    let i = 0;
    return async () => {
      const [supervisor, worker] = runs[i++ % runs.length]!;
      return await Promise.resolve({ supervisor: bytes(supervisor), worker: bytes(worker) });
    };
  };
  const runs = telling([1, 1], [1, 2], [2, 1], [1, 2], [3, 3]);
  assert.deepEqual(await agreed(runs), { supervisor: bytes(1), worker: bytes(2) });
  let n = 0;
  const never = () => Promise.resolve({ supervisor: bytes(n++), worker: bytes(0) });
  await assert.rejects(agreed(never), /no two of 6 runs used the same functions/);
  assert.equal(n, 6);
});
