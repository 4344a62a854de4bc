/**
 * A runtime base for machines that reach Python's package index but not the place where `deno compile` gets its base.
 *
 * In: two wheels, by pip: `bids-validator-deno` (a program compiled with Deno 2.6.10, whose first bytes are exactly the
 * base) and `deno` 2.6.10 (the command line that fits it). Out: paths of both, cached under .venv/denort-2.6.10/, the
 * base checked against its sha256. For Linux on x86-64 and arm64, made on x86-64. 2.6.10 is the tested floor, not what users get: `deno compile` of
 * 2.9 fetches its own base for them.
 *
 * @example
 * ```ts ignore
 * const { deno, denort } = await denortFromWheel(new URL("../", import.meta.url), "linux-x64");
 * ```
 */

const VERSION = "2.6.10";
const CARRIER = "bids-validator-deno==2.4.1";
/** Of each target: the wheel's platform, length in bytes and digest of the base at the start of the carried program. */
const BASES = {
  "linux-x64": {
    platform: "manylinux_2_28_x86_64",
    bytes: 92_183_912,
    sha256: "1b136202dc147212ad0b129de0c10eb5f17060917c9754c7921cd68f764ad2e2",
  },
  "linux-arm64": {
    platform: "manylinux_2_28_aarch64",
    bytes: 86_015_072,
    sha256: "ee39b54b2f465eae3f1dd3d79495e1ef957fae69ff4f6ad118499986b714d494",
  },
} as const;

export type WheelTarget = keyof typeof BASES;

export interface RuntimeBase {
  /** The command line that compiles with this base. */
  readonly deno: string;
  /** For DENORT_BIN. */
  readonly denort: string;
}

async function run(command: string, args: string[], cwd: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, cwd, stdout: "null" }).output();
  if (!success) {
    throw new Error(`Cannot run "${command} ${args.join(" ")}": ${new TextDecoder().decode(stderr).trim()}`);
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Digest as lower-case hex. */
async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Unpacks one program out of a wheel: `*.data/scripts/NAME`. */
async function unpack(directory: string, wheelPrefix: string, program: string): Promise<string> {
  for await (const entry of Deno.readDir(directory)) {
    if (!entry.name.startsWith(wheelPrefix) || !entry.name.endsWith(".whl")) continue;
    await run("python3", ["-m", "zipfile", "-e", entry.name, "unpacked"], directory);
  }
  for await (const entry of Deno.readDir(`${directory}/unpacked`)) {
    const path = `${directory}/unpacked/${entry.name}/scripts/${program}`;
    if (entry.name.endsWith(".data") && await exists(path)) return path;
  }
  throw new Error(`Cannot find program "${program}" in the wheel ${wheelPrefix}: none unpacked it`);
}

/** Fetches one package without what it depends on; `more`: for another platform than this one. */
function download(directory: string, requirement: string, ...more: string[]): Promise<void> {
  const args = ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", ...more, requirement];
  return run("python3", args, directory);
}

/** Removes the wheels and what was unpacked of them. */
async function sweep(directory: string): Promise<void> {
  await Deno.remove(`${directory}/unpacked`, { recursive: true });
  for await (const { name } of Deno.readDir(directory)) {
    if (name.endsWith(".whl")) await Deno.remove(`${directory}/${name}`);
  }
}

/** Finds or makes the base; `root` is the repository. Takes about 10 s the first time. */
export async function denortFromWheel(root: URL, target: WheelTarget): Promise<RuntimeBase> {
  const directory = new URL(`.venv/denort-${VERSION}`, root).pathname;
  const { platform, bytes, sha256: wanted } = BASES[target];
  const base = { deno: `${directory}/deno`, denort: `${directory}/denort-${target}` };
  await Deno.mkdir(directory, { recursive: true });
  if (!await exists(base.deno)) {
    await download(directory, `deno==${VERSION}`);
    await Deno.rename(await unpack(directory, "deno-", "deno"), base.deno);
    await Deno.chmod(base.deno, 0o755);
    await sweep(directory);
  }
  if (!await exists(base.denort)) {
    await download(directory, CARRIER, "--only-binary=:all:", "--platform", platform);
    const carrier = await Deno.readFile(
      await unpack(directory, "bids_validator_deno", "bids-validator-deno"),
    );
    const cut = carrier.slice(0, bytes);
    const digest = await sha256(cut);
    if (digest !== wanted) {
      throw new Error(
        `Cannot use the base of ${CARRIER} for ${target}: its sha256 is ${digest}; wanted ${wanted}`,
      );
    }
    await Deno.writeFile(`${base.denort}.part`, cut, { mode: 0o755 });
    await Deno.rename(`${base.denort}.part`, base.denort);
    await sweep(directory);
  }
  return base;
}

if (import.meta.main) {
  const base = await denortFromWheel(new URL("../", import.meta.url), "linux-x64");
  console.log(`deno    ${base.deno}\ndenort  ${base.denort}`);
}
