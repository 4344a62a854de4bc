/** Header operations of one level (table, virtual host, route, weighted cluster) -> the model's lists. */
import type { HeaderFields, HeaderValueOption } from "../model/model.ts";
import { parseHeaderFormat } from "../route/headers.ts";
import type { Messages } from "../../protos/schema.ts";
import { type Findings, isLine } from "./values.ts";

interface HeaderLevel {
  readonly request_headers_to_add: readonly Messages["HeaderValueOption"][];
  readonly request_headers_to_remove: readonly string[];
  readonly response_headers_to_add: readonly Messages["HeaderValueOption"][];
  readonly response_headers_to_remove: readonly string[];
}

const NONE: HeaderFields = {};

export function decodeHeaders(level: HeaderLevel, at: string, found: Findings): HeaderFields {
  if (
    level.request_headers_to_add.length === 0 && level.request_headers_to_remove.length === 0 &&
    level.response_headers_to_add.length === 0 && level.response_headers_to_remove.length === 0
  ) return NONE;
  const prefix = at === "" ? "" : `${at}.`;
  const requestAdd = additions(level.request_headers_to_add, `${prefix}request_headers_to_add`, found);
  const requestRemove = removals(
    level.request_headers_to_remove,
    `${prefix}request_headers_to_remove`,
    found,
  );
  const responseAdd = additions(level.response_headers_to_add, `${prefix}response_headers_to_add`, found);
  const responseRemove = removals(
    level.response_headers_to_remove,
    `${prefix}response_headers_to_remove`,
    found,
  );
  return {
    ...(requestAdd.length === 0 ? {} : { requestHeadersToAdd: requestAdd }),
    ...(requestRemove.length === 0 ? {} : { requestHeadersToRemove: requestRemove }),
    ...(responseAdd.length === 0 ? {} : { responseHeadersToAdd: responseAdd }),
    ...(responseRemove.length === 0 ? {} : { responseHeadersToRemove: responseRemove }),
  };
}

const ACTIONS = [
  "APPEND_IF_EXISTS_OR_ADD",
  "ADD_IF_ABSENT",
  "OVERWRITE_IF_EXISTS_OR_ADD",
  "OVERWRITE_IF_EXISTS",
] as const;

function additions(
  options: readonly Messages["HeaderValueOption"][],
  at: string,
  found: Findings,
): HeaderValueOption[] {
  const list: HeaderValueOption[] = [];
  options.forEach((option, i) => {
    const place = `${at}[${i}]`;
    const key = option.header?.key ?? "";
    if (!isUsableName(key, `${place}.header.key`, found)) return;
    const value = valueOf(option.header);
    if (!isLine(value, `${place}.header.value`, found)) return;
    const format = parseHeaderFormat(value);
    if ("error" in format) {
      found.note(
        `${place}.header.value`,
        `Cannot format header "${key}": ${format.error}; it is sent as it stands`,
      );
    }
    // The wrapper is older than the enum, and wins where both are set; its default is true.
    const appendAction = option.append !== null
      ? ACTIONS[option.append.value ? 0 : 2]
      : ACTIONS[option.append_action];
    if (appendAction === undefined) {
      found.problem(
        `${place}.append_action`,
        `Cannot write header "${key}": append_action ${option.append_action} is not known; 0 to 3 are wanted`,
      );
      return;
    }
    list.push({ header: { key, value }, appendAction });
  });
  return list;
}

function valueOf(header: Messages["HeaderValue"] | null): string {
  if (header === null) return "";
  return header.value === "" && header.raw_value.length > 0
    ? new TextDecoder().decode(header.raw_value)
    : header.value;
}

function removals(names: readonly string[], at: string, found: Findings): readonly string[] {
  return names.filter((name, i) => isUsableName(name, `${at}[${i}]`, found));
}

/** Whether operations may touch a header of this name; one that is no name at all is a problem. */
export function isUsableName(name: string, at: string, found: Pick<Findings, "problem" | "note">): boolean {
  // Envoy lets nobody touch these either.
  if (name.startsWith(":") || name.toLowerCase() === "host") {
    found.note(
      at,
      `Cannot change "${name}" as a header: it frames the request; wanted is host_rewrite_literal`,
    );
    return false;
  }
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) return true;
  found.problem(at, `Cannot change header "${name}": it is no header name; letters, digits and - are wanted`);
  return false;
}
