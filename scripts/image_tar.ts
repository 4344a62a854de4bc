/** Archives in the format ustar (POSIX.1-2001, pax, "ustar Interchange Format") whose bytes depend on nothing but what is in them. */

export interface Entry {
  /** Relative; a directory ends in "/". At most 100 bytes. */
  readonly path: string;
  readonly mode: number;
  /** Owner and group; default 0. */
  readonly owner?: number;
  /** Of a file. */
  readonly bytes?: Uint8Array;
}

const BLOCK = 512;

/** Sorted by path, so that a directory comes before what is in it; times are 0. Throws for a path that does not fit. */
export function tar(entries: readonly Entry[]): Uint8Array<ArrayBuffer>[] {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  const sorted = [...entries].sort((a, b) => a.path < b.path ? -1 : a.path > b.path ? 1 : 0);
  for (const entry of sorted) {
    pieces.push(header(entry));
    const { bytes = new Uint8Array() } = entry;
    pieces.push(new Uint8Array(bytes), new Uint8Array((BLOCK - bytes.length % BLOCK) % BLOCK));
  }
  pieces.push(new Uint8Array(2 * BLOCK));
  return pieces;
}

function header({ path, mode, owner = 0, bytes }: Entry): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string) => block.set(new TextEncoder().encode(text), at);
  const octal = (at: number, length: number, value: number) =>
    put(at, value.toString(8).padStart(length - 1, "0") + "\0");
  const name = new TextEncoder().encode(path);
  if (name.length > 100) throw new Error(`Cannot archive "${path}": its path has more than 100 bytes`);
  block.set(name, 0);
  octal(100, 8, mode);
  octal(108, 8, owner);
  octal(116, 8, owner);
  octal(124, 12, bytes?.length ?? 0);
  octal(136, 12, 0);
  put(156, path.endsWith("/") ? "5" : "0");
  put(257, "ustar\0" + "00");
  // The sum of all bytes, its own field taken as blanks.
  put(148, " ".repeat(8));
  put(148, block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0") + "\0 ");
  return block;
}
