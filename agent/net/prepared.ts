/**
 * Scripts that a compiled program carries together with what V8 made of them: one file of text, one of byte code. Two thirds of a start
 * are otherwise spent on reading the same text again and making the same byte code of it. Both files are part of the program; nothing
 * is kept on the machine. V8 tells a text from another by its length alone: both files are of one build.
 *
 * In: a name and the directory of `NAME.prepared.cjs` and `NAME.prepared.cache` (scripts/prepare.ts makes them). Out: what the script
 * exports; undefined where there is none, or where this V8 does not take the byte code (other version, other flags): the ordinary
 * modules are quicker then.
 *
 * @example
 * ```ts ignore
 * const { main } = loadPrepared<typeof import("./agent/cli/main.ts")>("supervisor", new URL("./", import.meta.url)) ??
 *   await import("./agent/cli/main.ts");
 * ```
 */

/** What a prepared script has in place of `import.meta`. */
export interface PreparedMeta {
  /** Of the directory. */
  readonly url: string;
  readonly prepared: true;
}

/** The text of a prepared script is such a function. */
type Wrapper = (
  require: (id: string) => unknown,
  module: { exports: unknown },
  exports: unknown,
  meta: PreparedMeta,
  load: (specifier: string) => Promise<unknown>,
) => void;

/** Below glibc's first threshold for blocks of their own: one freed block above it, and each arena keeps as much for ever (1 MB). */
const PIECE_BYTES = 64 * 1024;

export function loadPrepared<T>(name: string, directory: URL): T | undefined {
  const wrapper = compiled(name, directory);
  if (wrapper === undefined) return undefined;
  const module = { exports: {} };
  const url = new URL("./", directory).href;
  wrapper(
    (id) => process.getBuiltinModule(id),
    module,
    module.exports,
    { url, prepared: true },
    (specifier) => import(specifier.startsWith(".") ? new URL(specifier, url).href : specifier),
  );
  return module.exports as T;
}

function compiled(name: string, directory: URL): Wrapper | undefined {
  const cache = new URL(`./${name}.prepared.cache`, directory);
  let cachedData: Uint8Array<ArrayBuffer>;
  let source: string;
  try {
    cachedData = new Uint8Array(Deno.statSync(cache).size);
    fill(cachedData, cache);
    source = textOf(new URL(`./${name}.prepared.cjs`, directory));
  } catch {
    return undefined;
  }
  const { Script } = process.getBuiltinModule("node:vm");
  const script = new Script(source, { filename: `agent/${name}.js`, cachedData });
  return script.cachedDataRejected === false ? script.runInThisContext() as Wrapper : undefined;
}

function fill(into: Uint8Array, path: URL): void {
  using file = Deno.openSync(path);
  for (let at = 0; at < into.length;) {
    const n = file.readSync(into.subarray(at));
    if (n === null) return;
    at += n;
  }
}

function textOf(path: URL): string {
  using file = Deno.openSync(path);
  const decoder = new TextDecoder();
  const piece = new Uint8Array(PIECE_BYTES);
  let text = "";
  for (let n = file.readSync(piece); n !== null; n = file.readSync(piece)) {
    text += decoder.decode(piece.subarray(0, n), { stream: true });
  }
  return text + decoder.decode();
}
