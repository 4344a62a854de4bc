/** Header operations of a rule -> Envoy's lists (istio-semantics 1.7, Headers). */
import type { HeaderValueOption } from "../model/model.ts";
import type { HeaderOperations, Headers } from "./resources.ts";

export interface HeaderEdits {
  readonly requestAdd: readonly HeaderValueOption[];
  readonly requestRemove: readonly string[];
  readonly responseAdd: readonly HeaderValueOption[];
  readonly responseRemove: readonly string[];
  /** Setting `host` or `:authority` of the request is a host rewrite. */
  readonly host: string | undefined;
  readonly empty: boolean;
}

const NONE: HeaderEdits = {
  requestAdd: [],
  requestRemove: [],
  responseAdd: [],
  responseRemove: [],
  host: undefined,
  empty: true,
};

export function lowerHeaders(headers: Headers | null | undefined): HeaderEdits {
  if (headers === undefined || headers === null) return NONE;
  return {
    requestAdd: lowerAdditions(headers.request),
    requestRemove: lowerRemovals(headers.request),
    responseAdd: lowerAdditions(headers.response),
    responseRemove: lowerRemovals(headers.response),
    host: hostOf(headers.request?.set) ?? hostOf(headers.request?.add),
    empty: false,
  };
}

/** Pseudo headers and Host are Envoy's own business. */
function isInternal(key: string): boolean {
  return key.startsWith(":") || key.toLowerCase() === "host";
}

function lowerAdditions(operations: HeaderOperations | null | undefined): HeaderValueOption[] {
  const list: HeaderValueOption[] = [];
  for (const action of ["set", "add"] as const) {
    const entries = operations?.[action] ?? {};
    for (const key of Object.keys(entries).sort()) {
      if (isInternal(key)) continue;
      list.push({
        header: { key, value: entries[key] ?? "" },
        appendAction: action === "set" ? "OVERWRITE_IF_EXISTS_OR_ADD" : "APPEND_IF_EXISTS_OR_ADD",
      });
    }
  }
  return list;
}

function lowerRemovals(operations: HeaderOperations | null | undefined): string[] {
  return (operations?.remove ?? []).filter((key) => !isInternal(key));
}

function hostOf(entries: Readonly<Record<string, string>> | null | undefined): string | undefined {
  let host: string | undefined;
  for (const key of Object.keys(entries ?? {}).sort()) {
    const lower = key.toLowerCase();
    if (lower === ":authority" || lower === "host") host ??= entries?.[key];
  }
  return host;
}
