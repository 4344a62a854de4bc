/** Paths and Location values that routes write. Source: Envoy's RouteEntryImplBase (istio-semantics 1.7, 1.8). */
import type { RedirectAction, Route, RouteMatch } from "../model/model.ts";
import { toByteString } from "./byte_string.ts";
import { compileRegex } from "./regex.ts";
import type { RequestView } from "./types.ts";

const same = (path: string) => path;

/** Replaces the matched prefix, or the whole path for the exact and regex kinds. */
function prefixRewriter(match: RouteMatch, to: string): (path: string) => string {
  const text = toByteString(to);
  const prefix = match.prefix ?? match.pathSeparatedPrefix;
  if (prefix === undefined) return () => text;
  const length = toByteString(prefix).length;
  return (path) => text + path.slice(length);
}

/** How this route changes the path (query not included); undefined when it does not. */
export function compilePathRewrite(route: Route): ((path: string) => string) | undefined {
  const action = route.route;
  if (action?.regexRewrite !== undefined) {
    const { pattern, substitution } = action.regexRewrite;
    const regex = compileRegex(pattern.regex);
    if ("error" in regex) return undefined;
    // An empty result leaves the path as it was.
    return (path) => regex.replaceAll(path, substitution) || path;
  }
  const prefix = action?.prefixRewrite ?? route.redirect?.prefixRewrite ?? "";
  return prefix === "" ? undefined : prefixRewriter(route.match, prefix);
}

/** Status and Location for a redirect route. */
export function compileRedirect(
  route: Route,
  action: RedirectAction,
): (view: RequestView) => { readonly status: number; readonly location: string } {
  const { schemeRedirect, portRedirect } = action;
  const host = action.hostRedirect === undefined ? "" : toByteString(action.hostRedirect);
  const port = portRedirect === undefined || portRedirect === 0 ? "" : `:${portRedirect}`;
  const fixed = action.pathRedirect === undefined || action.pathRedirect === ""
    ? undefined
    : toByteString(action.pathRedirect.startsWith("/") ? action.pathRedirect : `/${action.pathRedirect}`);
  const rewrite = action.prefixRewrite === undefined || action.prefixRewrite === ""
    ? same
    : prefixRewriter(route.match, action.prefixRewrite);
  const keepsQuery = action.stripQuery !== true && (fixed === undefined || !fixed.includes("?"));
  return (view) => {
    const scheme = schemeRedirect ?? view.scheme;
    const authority = host !== "" ? host : keptHost(view, scheme, port !== "");
    const query = keepsQuery && view.query !== undefined ? `?${view.query}` : "";
    const path = fixed ?? rewrite(view.path);
    return { status: action.responseCode, location: `${scheme}://${authority}${port}${path}${query}` };
  };
}

/** The request's authority, without its port when a port is written or the port was the old scheme's default. */
function keptHost(view: RequestView, scheme: string, writesPort: boolean): string {
  const { authority } = view;
  const colon = authority.startsWith("[") ? authority.lastIndexOf("]:") + 1 : authority.lastIndexOf(":");
  if (colon <= 0) return authority;
  const oldDefault = view.scheme === "https" ? ":443" : ":80";
  const drop = writesPort || (scheme !== view.scheme && authority.slice(colon) === oldDefault);
  return drop ? authority.slice(0, colon) : authority;
}
