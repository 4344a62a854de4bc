/**
 * A {@link RequestView} from plain values, for `explain`, the admin interface and tests. The engines have their own,
 * over received bytes.
 *
 * @example
 * ```ts
 * import { viewOf } from "./view.ts";
 * const view = viewOf({ method: "GET", url: "http://reviews:9080/a/../b?x=1", headers: [["end-user", "jason"]] });
 * // view.host === "reviews", view.port === 9080, view.path === "/b", view.query === "x=1"
 * ```
 */
import { toByteString } from "./byte_string.ts";
import { normalizePath, splitTarget } from "./path.ts";
import type { RequestView } from "./types.ts";

export interface ViewInput {
  readonly method: string;
  /** `http://host[:port]/path?query`. `https` is taken for the default port and the scheme. */
  readonly url: string;
  readonly headers?: Iterable<readonly [string, string]>;
}

/** Splits `host[:port]`; the port defaults by scheme. Brackets and one trailing dot are taken off, case is folded. */
export function splitAuthority(
  authority: string,
  scheme: "http" | "https",
): { host: string; port: number } | undefined {
  const m = /^(?:\[([0-9a-fA-F:.]+)\]|([^:@/?#[\]\s]+))(?::(\d{1,5}))?$/.exec(authority);
  if (m === null) return undefined;
  const port = m[3] === undefined ? (scheme === "https" ? 443 : 80) : Number(m[3]);
  if (port < 1 || port > 65535) return undefined;
  const host = (m[1] ?? m[2] as string).toLowerCase();
  return { host: host.endsWith(".") ? host.slice(0, -1) : host, port };
}

/** Throws a RangeError with a plain sentence when the URL is none that a proxy could be asked for. */
export function viewOf(input: ViewInput): RequestView {
  const m = /^(https?):\/\/([^/?#]*)(.*)$/i.exec(input.url);
  const scheme = m?.[1]?.toLowerCase() as "http" | "https" | undefined;
  const authority = m?.[2] ?? "";
  const where = scheme === undefined ? undefined : splitAuthority(authority, scheme);
  if (m === null || scheme === undefined || where === undefined) {
    throw new RangeError(
      authority.includes("@")
        // Not shown: it may hold a password.
        ? "Cannot read the URL: it names a user; want http://host[:port]/path without one"
        : `Cannot read the URL "${input.url}": it names no host and port; want http://host[:port]/path`,
    );
  }
  const target = m[3] === "" ? "/" : m[3] as string;
  const { path, query } = splitTarget(target.startsWith("/") ? target : "/" + target);
  const headers = new Map<string, string>();
  for (const [name, value] of input.headers ?? []) {
    const key = name.toLowerCase();
    const text = toByteString(value.trim());
    const before = headers.get(key);
    headers.set(key, before === undefined ? text : `${before},${text}`);
  }
  // Absolute form beats Host (RFC 9112, 3.2.2).
  headers.set("host", authority);
  return {
    method: input.method,
    scheme,
    authority,
    host: where.host,
    port: where.port,
    path: normalizePath(toByteString(path)),
    query: query === undefined ? undefined : toByteString(query),
    header: (name) => headers.get(name),
  };
}
