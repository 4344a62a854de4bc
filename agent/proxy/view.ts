/** Stage 2, view: what the request asks for, out of its head. Ends with 400, 414 or 501. */
import { MeshError } from "../core/errors.ts";
import { normalizePath } from "../route/path.ts";
import { splitAuthority } from "../route/view.ts";
import type { Exchange } from "./exchange.ts";
import { RequestHeadView } from "./request_view.ts";

interface Place {
  readonly host: string;
  readonly port: number;
}

/** Clients ask for few hosts over and over. */
const MAX_PLACES = 2048;
const places = new Map<string, Place>();

function placeOf(authority: string, what: string): Place {
  const known = places.get(authority);
  if (known !== undefined) return known;
  if (authority.includes("@")) {
    throw new MeshError("P103", `Cannot forward to "${printable(authority)}": it carries user information`);
  }
  const place = splitAuthority(authority, "http");
  if (place === undefined || place.host === "") {
    throw new MeshError(
      "P102",
      `Cannot read the ${what} "${printable(authority)}": it is not host or host:port`,
    );
  }
  if (places.size >= MAX_PLACES) places.clear();
  places.set(authority, place);
  return place;
}

/** For sentences: no control characters, not endless. */
export function printable(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]/g, "?");
  return clean.length > 200 ? clean.slice(0, 200) + "..." : clean;
}

export function view(ex: Exchange): RequestHeadView {
  const head = ex.head;
  const method = ex.method = head.method;
  const target = ex.target = head.target;
  if (head.hostCount > 1) {
    throw new MeshError(
      "P102",
      `Cannot choose a host: the request has ${head.hostCount} Host headers; wanted is one`,
    );
  }
  if (head.hostCount === 0 && head.minor === 1) {
    throw new MeshError("P102", "Cannot choose a host: the HTTP/1.1 request has no Host header");
  }
  const hostHeader = head.hostIndex < 0 ? "" : head.valueAt(head.hostIndex);
  ex.authority = hostHeader;
  if (method === "CONNECT") return ex.view = connectView(ex, target);

  let pathStart = head.targetStart;
  let authority = hostHeader;
  let pathAndQuery = target;
  if (target.charCodeAt(0) !== 47) {
    const absolute = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)/.exec(target);
    if (absolute !== null) {
      const scheme = absolute[1]!.toLowerCase();
      if (scheme === "https") {
        throw new MeshError(
          "P109",
          `Cannot fetch "${printable(target)}": the agent does not open TLS for a client`,
        );
      }
      if (scheme !== "http") {
        throw new MeshError("P101", `Cannot fetch "${printable(target)}": the scheme is not http`);
      }
      if (hostHeader !== "") placeOf(hostHeader, "Host header");
      authority = absolute[2]!;
      pathAndQuery = target.slice(absolute[0].length);
      pathStart += absolute[0].length;
      if (pathAndQuery.charCodeAt(0) !== 47) {
        // `http://host` and `http://host?query` ask for the root; OPTIONS without a path asks for the server itself.
        pathAndQuery = pathAndQuery === "" && method === "OPTIONS" ? "*" : "/" + pathAndQuery;
        pathStart = -1;
      }
    } else if (target !== "*" || method !== "OPTIONS") {
      throw new MeshError(
        "P101",
        `Cannot read the target "${printable(target)}": it is neither a path nor a URL`,
      );
    }
  }
  if (authority === "") {
    throw new MeshError("P102", "Cannot choose a host: neither the target nor a Host header names one");
  }
  const { host, port } = placeOf(authority, "host");
  ex.authority = authority;
  if (pathAndQuery.includes("#")) {
    throw new MeshError("P101", `Cannot read the target "${printable(target)}": a fragment is never sent`);
  }
  const mark = pathAndQuery.indexOf("?");
  const raw = mark < 0 ? pathAndQuery : pathAndQuery.substring(0, mark);
  const path = normalizePath(raw);
  const result = new RequestHeadView(
    head,
    method,
    "http",
    authority,
    host,
    port,
    path,
    mark < 0 ? undefined : pathAndQuery.substring(mark + 1),
    pathStart,
  );
  if (path !== raw) result.normalised = true;
  return ex.view = result;
}

/** CONNECT host:port: the port must be there (RFC 9112 section 3.2.3). */
function connectView(ex: Exchange, target: string): RequestHeadView {
  ex.authority = target;
  const { host, port } = placeOf(target, "CONNECT target");
  if (!/:\d+$/.test(target)) {
    throw new MeshError(
      "P102",
      `Cannot connect to "${printable(target)}": the port is missing; wanted is host:port`,
    );
  }
  return new RequestHeadView(ex.head, "CONNECT", "https", target, host, port, "", undefined, -1);
}
