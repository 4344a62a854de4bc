/**
 * Writes the files of vm_files.ts, so that doing it again changes nothing: what is there already stays, what was edited is kept.
 *
 * In: files, a directory that stands for `/`. Out: a {@link Step} for each file and directory. Writes beside and renames: a machine
 * that loses power has the old file or the new one.
 */
import { MeshError } from "../core/errors.ts";
import { joinPath } from "../core/path.ts";
import { lineDiff } from "./line_diff.ts";
import { bodyOf, DIRECTORIES, isUnedited, type MachineFile, NAME, TOKEN } from "./vm_files.ts";

export interface Step {
  readonly path: string;
  /** `mode`: only mode or owner were others. `kept`: it differs and stays. */
  readonly outcome: "made" | "replaced" | "mode" | "unchanged" | "kept";
  readonly note?: string;
  /** `-` and `+` lines, old and new; never of a token. */
  readonly diff?: readonly string[];
}

export interface ApplyOptions {
  /** Stands for `/`. */
  readonly root: string;
  /** Replaces what was edited. */
  readonly force: boolean;
  readonly dryRun: boolean;
}

/** Throws MeshError N130 for what cannot be read or written; what was written before it stays. */
export async function apply(files: readonly MachineFile[], options: ApplyOptions): Promise<Step[]> {
  const gid = await groupId(options.root);
  const steps: Step[] = [];
  for (const { path, mode, ours } of DIRECTORIES) {
    steps.push(await onDisk(path, () => directory(path, mode, ours === true ? gid : undefined, options)));
  }
  for (const file of files) steps.push(await onDisk(file.path, () => write(file, gid, options)));
  return steps;
}

/** Of the group mesh-agent; undefined when there is none yet. */
export async function groupId(root: string): Promise<number | undefined> {
  const groups = await readIfThere(joinPath(root, "/etc/group"));
  const [, gid] = new RegExp(`^${NAME}:[^:]*:(\\d+):`, "m").exec(groups ?? "") ?? [];
  return gid === undefined ? undefined : Number(gid);
}

async function directory(
  path: string,
  mode: number,
  gid: number | undefined,
  { root, dryRun }: ApplyOptions,
): Promise<Step> {
  const real = joinPath(root, path);
  const there = await statIfThere(real);
  if (there !== undefined && !there.isDirectory) {
    throw new Deno.errors.NotADirectory(`"${path}" is no directory`);
  }
  if (there !== undefined && hasRights(there, mode, gid)) return { path, outcome: "unchanged" };
  if (!dryRun) {
    await Deno.mkdir(real, { recursive: true });
    await setRights(real, mode, gid);
  }
  return { path, outcome: there === undefined ? "made" : "mode" };
}

async function write(file: MachineFile, gid: number | undefined, options: ApplyOptions): Promise<Step> {
  const { path, text, mode, kind } = file;
  const { root, force, dryRun } = options;
  const real = joinPath(root, path);
  const group = file.ours === true ? gid : undefined;
  const old = await readIfThere(real);
  if (old === text) {
    const rights = hasRights(await Deno.stat(real), mode, group);
    if (!rights && !dryRun) await setRights(real, mode, group);
    return { path, outcome: rights ? "unchanged" : "mode" };
  }
  const secret = path === TOKEN;
  const diff = old === undefined || secret ? {} : { diff: lineDiff(bodyOf(old), bodyOf(text)) };
  if (old !== undefined && !force) {
    const note = kind === "given"
      ? (secret && expiryOf(old) > expiryOf(text) ? "the one in place is good for longer" : undefined)
      : (await isUnedited(old) ? undefined : "it was edited");
    if (note !== undefined) return { path, outcome: "kept", note, ...diff };
  }
  if (!dryRun) await replace(real, text, mode, group);
  return { path, outcome: old === undefined ? "made" : "replaced", ...diff };
}

async function replace(real: string, text: string, mode: number, gid: number | undefined): Promise<void> {
  const beside = `${real}.new`;
  await Deno.mkdir(real.slice(0, real.lastIndexOf("/")), { recursive: true });
  // Never readable by others, not even for a moment; what a killed run left is replaced.
  await Deno.remove(beside).catch(() => {});
  const file = await Deno.open(beside, { write: true, createNew: true, mode: 0o600 });
  try {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.sync();
  } finally {
    file.close();
  }
  await setRights(beside, mode, gid);
  await Deno.rename(beside, real);
}

function hasRights(info: Deno.FileInfo, mode: number, gid: number | undefined): boolean {
  return ((info.mode ?? 0) & 0o7777) === mode && (gid === undefined || info.gid === gid);
}

async function setRights(real: string, mode: number, gid: number | undefined): Promise<void> {
  // Before the mode: a change of the owner takes the bit of the group away.
  if (gid !== undefined) await Deno.chown(real, null, gid);
  await Deno.chmod(real, mode);
}

/** Seconds since 1970 when a JWT ends; 0 when that cannot be read. */
export function expiryOf(token: string): number {
  try {
    const [, payload = ""] = token.trim().split(".");
    const { exp } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as { exp?: unknown };
    return typeof exp === "number" ? exp : 0;
  } catch {
    return 0;
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function statIfThere(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A sentence for what the system says. */
async function onDisk(path: string, work: () => Promise<Step>): Promise<Step> {
  try {
    return await work();
  } catch (cause) {
    const [state, wanted] = cause instanceof Deno.errors.NotCapable
      ? ["this run of the agent may not write", "want deno run -P=vm mod.ts vm init, or the compiled program"]
      : cause instanceof Deno.errors.PermissionDenied
      ? ["permission denied", "want root (sudo mesh-agent vm init ...)"]
      : /Read-only file system|EROFS|os error 30/.test(String(cause))
      ? ["the file system is read-only", "want one that can be written, or --root DIR of an image"]
      : /os error 28/.test(String(cause))
      ? ["no space is left", "want room for a few kilobytes"]
      : [cause instanceof Error ? cause.message : String(cause), "want a path that can be written"];
    throw new MeshError("N130", `Cannot write "${path}": ${state}; ${wanted}`, { cause });
  }
}
