/** Paths against the working directory. */
import { isAbsolutePath, joinPath } from "../core/path.ts";

/** Absolute, without `.` and `..`. */
export function absolutePath(path: string): string {
  return isAbsolutePath(path) ? joinPath(path) : joinPath(Deno.cwd(), path);
}

/** An absolute path as people want to read it: relative when it lies in the working directory. */
export function shownPath(path: string): string {
  const here = Deno.cwd();
  return here !== "/" && path.startsWith(`${here}/`) ? path.slice(here.length + 1) : path;
}
