import assert from "node:assert/strict";
import { Script } from "node:vm";
import { loadPrepared, type PreparedMeta } from "./prepared.ts";

interface Exports {
  readonly meta: PreparedMeta;
  readonly word: string;
  readonly strict: boolean;
  load(specifier: string): Promise<Record<string, unknown>>;
  buffer(): unknown;
}

/** Longer than a piece, with letters of two bytes on its borders. */
const FILLING = "é".repeat(70_000);

const TEXT = `(function(require,module,exports,__meta,__load){"use strict";
const filling = "${FILLING}";
exports.meta = __meta;
exports.word = filling.slice(-2) + filling.length;
exports.strict = (function () { return this === undefined; })();
exports.load = __load;
exports.buffer = () => require("node:buffer").Buffer;
})`;

async function withFiles(
  text: string | undefined,
  cache: Uint8Array | undefined,
  test: (directory: URL) => Promise<void> | void,
): Promise<void> {
  const path = await Deno.makeTempDir();
  try {
    if (text !== undefined) await Deno.writeTextFile(`${path}/some.prepared.cjs`, text);
    if (cache !== undefined) await Deno.writeFile(`${path}/some.prepared.cache`, cache);
    await Deno.writeTextFile(`${path}/beside.js`, "export const beside = 1;\n");
    await test(new URL(`file://${path}/`));
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

const byteCode = (text: string): Uint8Array =>
  new Script(text, { filename: "agent/some.js" }).createCachedData();

Deno.test("prepared: the script runs with its byte code, and has what a module has", async () => {
  await withFiles(TEXT, byteCode(TEXT), async (directory) => {
    const script = loadPrepared<Exports>("some", directory);
    assert.ok(script !== undefined);
    assert.deepEqual(script.meta, { url: directory.href, prepared: true });
    assert.equal(script.word, "éé70000");
    assert.equal(script.strict, true);
    assert.equal(script.buffer(), (await import("node:buffer")).Buffer);
    assert.equal((await script.load("./beside.js"))["beside"], 1);
    assert.equal((await script.load("node:vm"))["Script"], Script);
  });
});

Deno.test("prepared: byte code of a text of another length, broken or missing, or without a text, and nothing is loaded", async () => {
  const caches = [byteCode(`${TEXT} `), new Uint8Array(5000), undefined];
  for (const [i, cache] of caches.entries()) {
    // A text that this V8 has compiled before is not compiled again, with whatever byte code.
    await withFiles(`${TEXT}//${i}`, cache, (directory) => {
      assert.equal(loadPrepared("some", directory), undefined);
    });
  }
  await withFiles(undefined, byteCode(TEXT), (directory) => {
    assert.equal(loadPrepared("some", directory), undefined);
  });
});
