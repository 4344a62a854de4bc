/**
 * Where the agent may read, judged by real paths: the runtime's own list is held against a path as it is written, so that a link in a
 * readable directory would lead out of it.
 */

export class ReadScope {
  /** `roots`: real paths of files and directories. */
  constructor(readonly roots: readonly string[]) {}

  /** `real` is a path without links. */
  admits(real: string): boolean {
    return this.roots.some((root) =>
      real === root || real.startsWith(root.endsWith("/") ? root : `${root}/`)
    );
  }

  /** Where `path` leads to when that is outside; undefined when it may be read. Rejects when it leads nowhere. */
  async outside(path: string): Promise<string | undefined> {
    const real = await Deno.realPath(path);
    return this.admits(real) ? undefined : real;
  }
}

/** What a path leads to lies outside of the scope. */
export class LeadsOut extends Error {
  constructor(real: string) {
    super(`leads to "${real}", which the agent has no right to read (cse.mesh.permissions.read)`);
  }
}

/** Times that a file may be replaced by another while it is opened: a rename now and then is how files are written. */
const MAX_OPENINGS = 5;

/**
 * The text of a file. Rejects with {@link LeadsOut} and what `Deno.open` rejects with. What was opened is judged, not only what the path
 * leads to before or after: who may write to the directory could put a link there in between.
 */
export async function readTextWithin(path: string, scope: ReadScope | undefined): Promise<string> {
  if (scope === undefined) return await Deno.readTextFile(path);
  for (let opening = 1; opening <= MAX_OPENINGS; opening++) {
    using file = await Deno.open(path);
    const real = await Deno.realPath(path);
    if (!scope.admits(real)) throw new LeadsOut(real);
    const [opened, there] = await Promise.all([file.stat(), Deno.lstat(real)]);
    if (opened.dev === there.dev && opened.ino === there.ino) return await textOf(file, opened.size);
  }
  throw new Error(`is replaced each time that it is opened (${MAX_OPENINGS} times)`);
}

/** As `Deno.readTextFile` gives it, with a byte order mark where there is one. */
async function textOf(file: Deno.FsFile, size: number): Promise<string> {
  let bytes = new Uint8Array(size + 1);
  let length = 0;
  for (let n; (n = await file.read(bytes.subarray(length))) !== null;) {
    length += n;
    if (length === bytes.length) {
      const more = new Uint8Array(2 * length);
      more.set(bytes);
      bytes = more;
    }
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, length));
}
