/** Paths against the working directory. `node:path` does this too, but loads the whole of `node:process` to ask for it (7 ms, 8 MB). */
import { isAbsolute, join, normalize } from "node:path";

/** Absolute, without `.` and `..`. */
export function absolutePath(path: string): string {
  return isAbsolute(path) ? normalize(path) : join(Deno.cwd(), path);
}

/** An absolute path as people want to read it: relative when it lies in the working directory. */
export function shownPath(path: string): string {
  const here = Deno.cwd();
  return here !== "/" && path.startsWith(`${here}/`) ? path.slice(here.length + 1) : path;
}
