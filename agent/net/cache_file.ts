/**
 * The file of a cached world: `world.cache` in a directory that is there already. Written beside it as `world.cache.part`,
 * forced to the disk and renamed, so that a process that dies at any byte leaves the old one; its last line is the SHA-256 of all
 * before it, so that a damaged one is known. Readable for its owner only.
 *
 * @example
 * ```ts ignore
 * const cache = openCacheFile("/var/lib/mesh-agent/cache");
 * await cache.write(["one line\n"]);
 * await cache.read(); // its bytes
 * ```
 */
import { createHash } from "node:crypto";
import { MeshError } from "../core/errors.ts";
import { joinPath } from "../core/path.ts";
import { writeAll } from "../core/write_all.ts";
import type { WorldCache } from "../discovery/remember.ts";

const NAME = "world.cache";
/** 10,000 services with all their rules are about 30 MB. */
export const MAX_CACHE_BYTES = 256 << 20;
/** Written, and hashed, at one go: a fraction of a millisecond. */
const CHUNK_CHARACTERS = 64 << 10;
const READ_BYTES = 1 << 20;

const SEAL = /^sha256 ([0-9a-f]{64})\n$/;
const SEAL_BYTES = "sha256 \n".length + 64;

export function openCacheFile(directory: string, maxBytes = MAX_CACHE_BYTES): WorldCache {
  const path = joinPath(directory, NAME);
  const part = `${path}.part`;
  return {
    path,
    async read() {
      try {
        return await readSealed(path, maxBytes);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return null;
        const state = error instanceof Unusable ? error.message : stateOf(error, "read");
        throw new MeshError("D240", `Cannot use the cache "${path}": ${state}; want one of this agent`, {
          cause: error,
        });
      }
    },
    async write(lines) {
      try {
        await writeSealed(part, lines, maxBytes);
        await Deno.rename(part, path);
        await syncDirectory(directory);
      } catch (error) {
        await Deno.remove(part).catch(() => {});
        const state = error instanceof Unusable ? error.message : stateOf(error, "write");
        throw new MeshError(
          "D241",
          `Cannot keep the rules in "${path}": ${state}; want room in a directory of the agent`,
          {
            cause: error,
          },
        );
      }
    },
  };
}

/** With a state as its message. */
class Unusable extends Error {}

async function readSealed(path: string, maxBytes: number): Promise<Uint8Array> {
  const { isFile, size } = await Deno.lstat(path);
  if (!isFile) throw new Unusable("it is no file");
  if (size > maxBytes) throw new Unusable(`it has ${size} bytes, at most ${maxBytes} are read`);
  if (size < SEAL_BYTES) throw new Unusable(`it has ${size} bytes and so was not written to its end`);
  using file = await Deno.open(path);
  const bytes = new Uint8Array(size);
  const end = size - SEAL_BYTES;
  const hash = createHash("sha256");
  for (let at = 0; at < size;) {
    const n = await file.read(bytes.subarray(at, at + READ_BYTES));
    if (n === null) throw new Unusable("it became shorter while it was read");
    if (at < end) hash.update(bytes.subarray(at, Math.min(at + n, end)));
    at += n;
  }
  const seal = SEAL.exec(new TextDecoder("latin1").decode(bytes.subarray(end)))?.[1];
  if (seal !== hash.digest("hex")) throw new Unusable("it is damaged or was not written to its end");
  return bytes.subarray(0, end);
}

async function writeSealed(part: string, lines: Iterable<string>, maxBytes: number): Promise<void> {
  // Of a writer that died; whatever it is (a link, too), it is not written through.
  await Deno.remove(part).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  using file = await Deno.open(part, { write: true, createNew: true, mode: 0o600 });
  const hash = createHash("sha256");
  const encoder = new TextEncoder();
  let size = SEAL_BYTES;
  let chunk = "";
  const flush = async (): Promise<void> => {
    const bytes = encoder.encode(chunk);
    chunk = "";
    size += bytes.length;
    if (size > maxBytes) throw new Unusable(`they take more than ${maxBytes} bytes`);
    hash.update(bytes);
    await writeAll(file, bytes);
  };
  for (const line of lines) {
    chunk += line;
    if (chunk.length >= CHUNK_CHARACTERS) await flush();
  }
  await flush();
  await writeAll(file, encoder.encode(`sha256 ${hash.digest("hex")}\n`));
  await file.sync();
}

/** So that the rename outlives a loss of power. Some file systems cannot. */
async function syncDirectory(directory: string): Promise<void> {
  try {
    using file = await Deno.open(directory);
    await file.sync();
  } catch {
    // It is in force all the same.
  }
}

const STATES: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  ENOENT: "there is no such directory",
  ENOTDIR: "its directory is a file",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EISDIR: "it is a directory",
  EIO: "the disk fails",
};

function stateOf(error: unknown, right: "read" | "write"): string {
  if (error instanceof Deno.errors.NotCapable) {
    return `the agent was started without the right to ${right} there`;
  }
  const { code } = error as { readonly code?: string };
  return STATES[code ?? ""] ?? (error instanceof Error ? error.message : String(error));
}
