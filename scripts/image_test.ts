import assert from "node:assert/strict";
import { packImage, rootFileSystem, UID, writeImage, writeRootFileSystem } from "./image.ts";
import { readElf, sharedObjects } from "./image_elf.ts";
import { type Entry, tar } from "./image_tar.ts";

async function outputOf(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    env: { LC_ALL: "C", TZ: "UTC" },
  })
    .output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

async function inDirectory(test: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir({ prefix: "mesh-image-" });
  try {
    await test(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

/** A small program that links the C library. */
const PROGRAM = await Deno.readFile(await Deno.realPath("/bin/ls"));

Deno.test("image: the shared objects of a program are those that ldd finds", async () => {
  const ours = await sharedObjects(PROGRAM);
  const ldd = await outputOf("ldd", "/bin/ls");
  const theirs = [...ldd.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path]) => path as string);
  const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);
  assert.deepEqual([...ours.keys()].map(nameOf).sort(), theirs.map(nameOf).sort());
  for (const [path, bytes] of ours) assert.deepEqual(await Deno.readFile(path), bytes);
  const { interpreter } = readElf(PROGRAM);
  assert.ok(interpreter !== undefined && ours.has(interpreter), String(interpreter));
});

Deno.test("image: what is no program, or whose shared objects are not there, is told", async () => {
  assert.throws(() => readElf(new TextEncoder().encode("#!/bin/sh".padEnd(99))), /it does not begin as one/);
  const other = PROGRAM.slice();
  other[18] = 8;
  assert.throws(() => readElf(other), /it is for machine 8; want x86-64 or AArch64/);
  const small = PROGRAM.slice();
  small[4] = 1;
  assert.throws(() => readElf(small), /it is not of 64 bits/);
  await assert.rejects(
    sharedObjects(PROGRAM, "/nowhere"),
    /Cannot find shared object "\/lib[^"]*".*it is in none of \/nowhere\/.*--sysroot/,
  );
  // One of another machine is no answer.
  await inDirectory(async (sysroot) => {
    const { interpreter = "" } = readElf(PROGRAM);
    await Deno.mkdir(sysroot + interpreter.slice(0, interpreter.lastIndexOf("/")), { recursive: true });
    const foreign = PROGRAM.slice();
    foreign[18] = foreign[18] === 62 ? 183 : 62;
    await Deno.writeFile(sysroot + interpreter, foreign);
    await assert.rejects(sharedObjects(PROGRAM, sysroot), /Cannot find shared object/);
  });
});

const ENTRIES: readonly Entry[] = [
  { path: "b", mode: 0o755, bytes: new TextEncoder().encode("x".repeat(513)) },
  { path: "a/", mode: 0o1777, owner: UID },
  { path: "a/full", mode: 0o600, bytes: new TextEncoder().encode("y".repeat(512)) },
  { path: "empty", mode: 0o644, bytes: new Uint8Array() },
];

Deno.test("image: tar reads the archive, with modes, owners, times and contents", async () => {
  await inDirectory(async (directory) => {
    const file = `${directory}/a.tar`;
    await Deno.writeFile(file, new Blob(tar(ENTRIES)).stream());
    const lines =
      (await outputOf("tar", "--list", "--verbose", "--numeric-owner", "--full-time", "--file", file)).trim()
        .split("\n");
    assert.deepEqual(lines.map((line) => line.replaceAll(/\s+/g, " ")), [
      "drwxrwxrwt 65534/65534 0 1970-01-01 00:00:00 a/",
      "-rw------- 0/0 512 1970-01-01 00:00:00 a/full",
      "-rwxr-xr-x 0/0 513 1970-01-01 00:00:00 b",
      "-rw-r--r-- 0/0 0 1970-01-01 00:00:00 empty",
    ]);
    await outputOf("tar", "--extract", "--no-same-owner", "--directory", directory, "--file", file);
    assert.equal(await Deno.readTextFile(`${directory}/b`), "x".repeat(513));
    assert.equal(await Deno.readTextFile(`${directory}/a/full`), "y".repeat(512));
  });
  assert.throws(() => tar([{ path: "p".repeat(101), mode: 0o644 }]), /more than 100 bytes/);
});

Deno.test("image: the same files in another order have the same digest, one other bit has another", async () => {
  const entries = await rootFileSystem(PROGRAM);
  const first = await packImage(entries, "amd64");
  const second = await packImage([...entries].reverse(), "amd64");
  assert.equal(second.digest, first.digest);
  assert.deepEqual([...second.files.keys()], [...first.files.keys()]);
  const changed = PROGRAM.slice();
  changed[changed.length - 1]! ^= 1;
  assert.notEqual((await packImage(await rootFileSystem(changed), "amd64")).digest, first.digest);
});

Deno.test("image: digests, sizes and diff_ids are what sha256sum says, and both forms hold the same", async () => {
  await inDirectory(async (directory) => {
    const image = await packImage(await rootFileSystem(PROGRAM), "amd64");
    await writeImage(image, directory);
    const layout = `${directory}/image`;
    const read = async (path: string) => JSON.parse(await Deno.readTextFile(`${layout}/${path}`));
    const blobOf = ({ digest }: { digest: string }) => `blobs/${digest.replace(":", "/")}`;
    const sha = async (path: string) => (await outputOf("sha256sum", path)).split(" ")[0];

    assert.deepEqual(await read("oci-layout"), { imageLayoutVersion: "1.0.0" });
    const index = await read("index.json");
    assert.equal(index.schemaVersion, 2);
    assert.equal(index.manifests.length, 1);
    const manifest = await read(blobOf(index.manifests[0]));
    assert.equal(index.manifests[0].digest, image.digest);
    for (const descriptor of [index.manifests[0], manifest.config, ...manifest.layers]) {
      const path = `${layout}/${blobOf(descriptor)}`;
      assert.equal(`sha256:${await sha(path)}`, descriptor.digest);
      assert.equal((await Deno.stat(path)).size, descriptor.size);
    }
    const config = await read(blobOf(manifest.config));
    await Deno.copyFile(`${layout}/${blobOf(manifest.layers[0])}`, `${directory}/layer.tar.gz`);
    await outputOf("gzip", "--decompress", `${directory}/layer.tar.gz`);
    assert.deepEqual(config.rootfs, {
      type: "layers",
      diff_ids: [`sha256:${await sha(`${directory}/layer.tar`)}`],
    });
    assert.equal(config.config.User, "65534:65534");
    assert.equal((await Deno.stat(`${directory}/layer.tar`)).size, image.unpackedBytes);

    const loaded = `${directory}/loaded`;
    await Deno.mkdir(loaded);
    await outputOf("tar", "--extract", "--directory", loaded, "--file", `${directory}/mesh-agent-image.tar`);
    const [{ Config, RepoTags, Layers }] = JSON.parse(await Deno.readTextFile(`${loaded}/manifest.json`));
    assert.deepEqual([Config, Layers], [blobOf(manifest.config), manifest.layers.map(blobOf)]);
    assert.match(RepoTags[0], /^mesh-agent:\d+\.\d+\.\d+$/);
    for (const path of [Config, ...Layers]) await outputOf("cmp", `${loaded}/${path}`, `${layout}/${path}`);
    const names = (await outputOf("tar", "--list", "--file", `${directory}/mesh-agent-image.tar`)).trim()
      .split("\n");
    assert.deepEqual(
      names.filter((name) => !name.endsWith("/")).sort(),
      [Config, ...Layers, "manifest.json"].sort(),
    );
  });
});

Deno.test("image: as plain files it is what the layer unpacks to, with modes and, for root, owners", async () => {
  await inDirectory(async (directory) => {
    const entries = await rootFileSystem(PROGRAM);
    const [plain, unpacked] = [`${directory}/plain`, `${directory}/unpacked`];
    await writeRootFileSystem(entries, plain);
    await Deno.mkdir(unpacked);
    await Deno.writeFile(`${directory}/a.tar`, new Blob(tar(entries)).stream());
    const own = Deno.uid() === 0 ? "--same-owner" : "--no-same-owner";
    await outputOf(
      "tar",
      "--extract",
      "--preserve-permissions",
      own,
      "--directory",
      unpacked,
      "--file",
      `${directory}/a.tar`,
    );
    await outputOf("diff", "--recursive", plain, unpacked);
    const listing = (at: string) =>
      outputOf(
        "sh",
        "-c",
        'cd "$0" && find . -mindepth 1 -printf "%p %m %U:%G\\n" | sort',
        at,
      );
    assert.equal(await listing(plain), await listing(unpacked));
    assert.equal((await Deno.stat(`${plain}/tmp`)).mode! & 0o7777, 0o1777);
    assert.equal((await Deno.stat(`${plain}/var/cache/mesh-agent`)).mode! & 0o7777, 0o700);
    await assert.rejects(writeRootFileSystem(entries, plain), Deno.errors.AlreadyExists);
  });
});

Deno.test("image: the Dockerfile makes the same of the same files", async () => {
  const text = await Deno.readTextFile(new URL("../config/deploy/Dockerfile", import.meta.url));
  const { files } = await packImage([], "amd64");
  const config = [...files.values()].map((bytes) => JSON.parse(textOf(bytes) ?? "{}"))
    .find(({ rootfs }) => rootfs !== undefined).config;
  const last = text.slice(text.lastIndexOf("FROM "));
  const said = (word: string) => new RegExp(`^${word} (.*)$`, "m").exec(last)?.[1];
  assert.equal(said("FROM"), "scratch");
  assert.equal(said("USER"), config.User);
  assert.equal(said("WORKDIR"), config.WorkingDir);
  assert.deepEqual([said("ENV")], config.Env);
  assert.equal(said("STOPSIGNAL"), config.StopSignal);
  assert.deepEqual(JSON.parse(said("ENTRYPOINT")!), config.Entrypoint);
  assert.deepEqual(JSON.parse(said("CMD")!), config.Cmd);
  assert.match(text, /scripts\/image\.ts .*--rootfs \/rootfs/);
  assert.equal(said("COPY"), "--from=build /rootfs/ /");
});

/** Undefined for what is no JSON. */
function textOf(bytes: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(bytes);
  return text.startsWith("{") ? text : undefined;
}
