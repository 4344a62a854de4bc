/** What an ELF program asks of its loader (System V ABI, "Program Loading and Dynamic Linking"), read from its bytes: nothing is run. */

export interface Elf {
  /** As OCI names it. */
  readonly architecture: "amd64" | "arm64";
  /** Path of the loader, such as /lib64/ld-linux-x86-64.so.2; none in a shared object. */
  readonly interpreter?: string;
  /** Names of shared objects that it links, without their directories. */
  readonly needed: readonly string[];
}

const MACHINES: Readonly<Record<number, Elf["architecture"]>> = { 62: "amd64", 183: "arm64" };
const [PT_LOAD, PT_DYNAMIC, PT_INTERP] = [1, 2, 3];
const [DT_NULL, DT_NEEDED, DT_STRTAB] = [0, 1, 5];

/** Throws for what is no 64-bit little-endian ELF of x86-64 or AArch64. */
export function readElf(bytes: Uint8Array): Elf {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const state = bytes.length < 64 || view.getUint32(0) !== 0x7f454c46
    ? "it does not begin as one"
    : bytes[4] !== 2 || bytes[5] !== 1
    ? "it is not of 64 bits, little-endian"
    : MACHINES[view.getUint16(18, true)] === undefined
    ? `it is for machine ${view.getUint16(18, true)}`
    : undefined;
  if (state !== undefined) throw new Error(`Cannot read an ELF file: ${state}; want x86-64 or AArch64`);

  const long = (at: number) => Number(view.getBigUint64(at, true));
  const segments = Array.from({ length: view.getUint16(56, true) }, (_, i) => {
    const at = long(32) + i * view.getUint16(54, true);
    return {
      type: view.getUint32(at, true),
      offset: long(at + 8),
      address: long(at + 16),
      size: long(at + 32),
    };
  });
  const text = (at: number) => new TextDecoder().decode(bytes.subarray(at, bytes.indexOf(0, at)));
  const fileOffset = (address: number): number => {
    const within = segments.find((s) =>
      s.type === PT_LOAD && address >= s.address && address < s.address + s.size
    );
    if (within === undefined) throw new Error(`Cannot read an ELF file: nothing is loaded at ${address}`);
    return within.offset + address - within.address;
  };

  const names: number[] = [];
  let strings = 0;
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  for (let at = dynamic?.offset ?? Infinity; at < dynamic!.offset + dynamic!.size; at += 16) {
    const tag = long(at);
    if (tag === DT_NULL) break;
    if (tag === DT_NEEDED) names.push(long(at + 8));
    if (tag === DT_STRTAB) strings = fileOffset(long(at + 8));
  }
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  return {
    architecture: MACHINES[view.getUint16(18, true)]!,
    ...(interpreter === undefined ? {} : { interpreter: text(interpreter.offset) }),
    needed: names.map((offset) => text(strings + offset)),
  };
}

const TRIPLETS = { amd64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" } as const;

/**
 * The loader and every shared object that a program needs, those of the shared objects too: path -> bytes, each under the path where the
 * loader looks for it. They are taken from `sysroot` ("" = this machine). Throws when one is not there.
 */
export async function sharedObjects(
  program: Uint8Array,
  sysroot = "",
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const { architecture, interpreter, needed } = readElf(program);
  const found = new Map<string, Uint8Array<ArrayBuffer>>();
  const triplet = TRIPLETS[architecture];
  const directories = [`/lib/${triplet}`, `/usr/lib/${triplet}`, "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
  const take = async (paths: readonly string[], name: string): Promise<void> => {
    for (const path of paths) {
      const bytes = await Deno.readFile(sysroot + path).catch(() => null);
      if (bytes === null) continue;
      const elf = readElf(bytes);
      if (elf.architecture !== architecture) continue;
      found.set(path, bytes);
      for (const each of elf.needed) await takeNamed(each);
      return;
    }
    throw new Error(
      `Cannot find shared object "${name}" for ${architecture}: it is in none of ${
        paths.map((path) => sysroot + path).join(", ")
      }; want the C library of the target, in a --sysroot`,
    );
  };
  const takeNamed = async (name: string): Promise<void> => {
    if ([...found.keys()].some((path) => path.endsWith(`/${name}`))) return;
    await take(directories.map((directory) => `${directory}/${name}`), name);
  };
  if (interpreter !== undefined) await take([interpreter], interpreter);
  for (const name of needed) await takeNamed(name);
  return found;
}
