import assert from "node:assert/strict";
import fc from "fast-check";
import { MeshError } from "../core/errors.ts";
import { openCacheFile } from "./cache_file.ts";

const textOf = (bytes: Uint8Array | null) => bytes === null ? null : new TextDecoder().decode(bytes);
const LINES = ["one\n", "two ü\n", "x".repeat(200_000) + "\n"];

async function inDirectory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function refusal(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
  } catch (error) {
    assert.ok(error instanceof MeshError, String(error));
    return `${error.code} ${error.message}`;
  }
  return "done";
}

Deno.test("cache file: what was written is read, by its owner only; the next replaces it", () =>
  inDirectory(async (directory) => {
    const cache = openCacheFile(directory);
    assert.equal(await cache.read(), null);
    await cache.write(LINES);
    assert.equal(textOf(await cache.read()), LINES.join(""));
    assert.equal((await Deno.stat(cache.path)).mode! & 0o777, 0o600);
    await cache.write([]);
    assert.equal(textOf(await cache.read()), "");
    assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name), ["world.cache"]);
  }));

Deno.test("cache file: lines are asked for as they are written, others run in between", () =>
  inDirectory(async (directory) => {
    let asked = 0;
    const writing = openCacheFile(directory).write((function* () {
      for (; asked < 1000; asked++) yield "y".repeat(1000) + "\n";
    })());
    await Promise.resolve();
    await new Promise((resolve) => setTimeout(resolve, 0));
    assert.ok(asked < 1000, `${asked}`);
    await writing;
    assert.equal(asked, 1000);
  }));

Deno.test("cache file: whatever is done to its bytes, it is whole or it is not used", () =>
  inDirectory(async (directory) => {
    const cache = openCacheFile(directory);
    await cache.write(["header\n", "body ".repeat(50), "\n"]);
    const whole = await Deno.readFile(cache.path);
    const payload = textOf(await cache.read());
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.record({ cut: fc.nat(whole.length) }),
            fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) }),
            fc.record({ insert: fc.nat(whole.length), bytes: fc.uint8Array({ maxLength: 100 }) }),
            fc.record({ drop: fc.nat(whole.length - 1), count: fc.nat(80) }),
          ),
          { minLength: 1, maxLength: 4 },
        ),
        async (damages) => {
          let bytes = [...whole];
          for (const damage of damages) {
            if ("cut" in damage) bytes = bytes.slice(0, damage.cut);
            else if ("byte" in damage) bytes[damage.at] = damage.byte;
            else if ("insert" in damage) bytes.splice(damage.insert, 0, ...damage.bytes);
            else bytes.splice(damage.drop, damage.count);
          }
          bytes = bytes.map((byte) => byte ?? 0);
          await Deno.writeFile(cache.path, Uint8Array.from(bytes));
          const read = await cache.read().then(textOf, (error) => {
            assert.match(
              error.message,
              /^Cannot use the cache ".*world\.cache": it .*; want one of this agent$/,
            );
            return "refused";
          });
          assert.ok(read === "refused" || read === payload, read ?? "null");
          if (read === payload) assert.deepEqual(Uint8Array.from(bytes), whole);
        },
      ),
      { numRuns: 300, seed: 7 },
    );
  }));

Deno.test("cache file: a truncated, an empty, a large one and one that is no file say so", () =>
  inDirectory(async (directory) => {
    const cache = openCacheFile(directory, 1000);
    await cache.write(["abc\n"]);
    const whole = await Deno.readFile(cache.path);
    const put = (bytes: Uint8Array) => Deno.writeFile(cache.path, bytes);
    const of = (state: string) =>
      `D240 Cannot use the cache "${cache.path}": ${state}; want one of this agent`;
    await put(whole.subarray(0, whole.length - 1));
    assert.equal(await refusal(cache.read()), of("it is damaged or was not written to its end"));
    await put(new Uint8Array());
    assert.equal(await refusal(cache.read()), of("it has 0 bytes and so was not written to its end"));
    await put(new Uint8Array(1001));
    assert.equal(await refusal(cache.read()), of("it has 1001 bytes, at most 1000 are read"));
    await Deno.remove(cache.path);
    await Deno.symlink("/etc/passwd", cache.path);
    assert.equal(await refusal(cache.read()), of("it is no file"));
  }));

Deno.test("cache file: too much, no directory, a file for a directory: a sentence each, the old one stays", () =>
  inDirectory(async (directory) => {
    const small = openCacheFile(directory, 1000);
    await small.write(["old\n"]);
    const of = (path: string, state: string) =>
      `D241 Cannot keep the rules in "${path}/world.cache": ${state}; want room in a directory of the agent`;
    assert.equal(await refusal(small.write(LINES)), of(directory, "they take more than 1000 bytes"));
    assert.equal(textOf(await small.read()), "old\n");
    assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name), ["world.cache"]);
    const nowhere = openCacheFile(`${directory}/none`);
    assert.equal(await nowhere.read(), null);
    assert.equal(await refusal(nowhere.write(LINES)), of(`${directory}/none`, "there is no such directory"));
    const file = `${directory}/world.cache`;
    assert.equal(await refusal(openCacheFile(file).write(LINES)), of(file, "its directory is a file"));
    await Deno.mkdir(`${directory}/busy/world.cache`, { recursive: true });
    assert.equal(
      await refusal(openCacheFile(`${directory}/busy`).write(LINES)),
      of(`${directory}/busy`, "it is a directory"),
    );
  }));

Deno.test("cache file: what lies where it writes is not written through", () =>
  inDirectory(async (directory) => {
    const cache = openCacheFile(directory);
    const victim = `${directory}/victim`;
    await Deno.writeTextFile(victim, "mine");
    await Deno.symlink(victim, `${cache.path}.part`);
    await Deno.symlink(victim, cache.path);
    await cache.write(["new\n"]);
    assert.equal(await Deno.readTextFile(victim), "mine");
    assert.equal(textOf(await cache.read()), "new\n");
  }));

/** Runs `code` with `cache` of `directory`, by a shell command around it; gives what it prints. */
async function elsewhere(directory: string, code: string, around: string): Promise<string> {
  const file = new URL("./cache_file.ts", import.meta.url);
  const script =
    `import { openCacheFile } from "${file}"; const cache = openCacheFile("${directory}"); ${code}`;
  const path = `${directory}.ts`;
  await Deno.writeTextFile(path, script);
  try {
    const { stdout, stderr } = await new Deno.Command("unshare", {
      args: ["-rm", "sh", "-c", `${around}; exec "$0" run -A --quiet "$1"`, Deno.execPath(), path],
      env: { NO_COLOR: "1" },
    }).output();
    return new TextDecoder().decode(stdout) || new TextDecoder().decode(stderr);
  } finally {
    await Deno.remove(path);
  }
}

const WRITE = `
  await cache.write(["old\\n"]).catch((e) => console.log(e.message));
  await cache.write(Array.from({ length: 100 }, () => "x".repeat(1000) + "\\n")).catch((e) => console.log(e.message));
  console.log([...Deno.readDirSync("DIR")].map(({ name }) => name).join(), String(new TextDecoder().decode(await cache.read() ?? new Uint8Array())).trim());
`;

Deno.test("cache file: a full disk and a read-only one are said, the old cache stays", () =>
  inDirectory(async (directory) => {
    const code = WRITE.replace("DIR", directory);
    const mount = `mount -t tmpfs -o size=64k none "${directory}"`;
    const path = `${directory}/world.cache`;
    assert.equal(
      await elsewhere(directory, code, mount),
      `Cannot keep the rules in "${path}": the disk is full; want room in a directory of the agent\nworld.cache old\n`,
    );
    const readOnly =
      `Cannot keep the rules in "${path}": the file system is read-only; want room in a directory of the agent\n`;
    assert.equal(
      await elsewhere(directory, code, `${mount} && mount -o remount,ro "${directory}"`),
      `${readOnly}${readOnly} \n`,
    );
  }));

Deno.test("cache file: a writer killed at any moment leaves the old one or the new one", () =>
  inDirectory(async (directory) => {
    const file = new URL("./cache_file.ts", import.meta.url);
    const script = `${directory}/writer.ts`;
    await Deno.writeTextFile(
      script,
      `import { openCacheFile } from "${file}";
       const cache = openCacheFile("${directory}");
       for (let i = 0;; i++) {
         await cache.write(Array.from({ length: 300 }, () => (i + " ").repeat(500) + "\\n"));
         if (i === 0) console.log("first");
       }`,
    );
    const cache = openCacheFile(directory);
    let parts = 0;
    for (let round = 0; round < 12; round++) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--quiet", script],
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const reader = child.stdout.getReader();
      await reader.read();
      // Another moment of a writing each time.
      const end = performance.now() + round * 1.7;
      while (performance.now() < end);
      child.kill("SIGKILL");
      await child.status;
      await reader.cancel();
      const words = textOf(await cache.read())!.trim().split(/\s+/);
      assert.equal(words.length, 150_000);
      assert.equal(new Set(words).size, 1, "one writing, whole");
      if ([...Deno.readDirSync(directory)].some(({ name }) => name === "world.cache.part")) parts++;
    }
    assert.ok(parts > 0, "none was killed in the middle of its writing");
  }));
