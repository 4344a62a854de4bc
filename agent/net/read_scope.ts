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

/** The text of a file. Rejects with {@link LeadsOut} and what `Deno.readTextFile` rejects with. */
export async function readTextWithin(path: string, scope: ReadScope | undefined): Promise<string> {
  const real = await scope?.outside(path);
  if (real !== undefined) throw new LeadsOut(real);
  return await Deno.readTextFile(path);
}
