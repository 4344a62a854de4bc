/**
 * Header operations: reading Envoy's format strings (`%REQ(x)%`, `%%`), putting the levels in order, running them.
 *
 * In: HeaderValueOption lists of the model. Out: {@link HeaderOps}, steps in execution order, and {@link applyHeaderOps},
 * which runs them over any header collection.
 *
 * @example
 * ```ts
 * import { compileHeaderOps } from "./headers.ts";
 * const ops = compileHeaderOps([{ add: [{ header: { key: "x-a", value: "%REQ(:path)%" },
 *   appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" }], remove: ["x-b"] }]);
 * // ops.steps: remove x-b, then set x-a
 * ```
 */
import type { HeaderValueOption } from "../model/model.ts";
import { toByteString } from "./byte_string.ts";
import type { HeaderOps, HeaderStep, ValuePart } from "./types.ts";

/** Operators that a header value may hold, with what must stand in the brackets. Source: Envoy's substitution formatter. */
export const FORMAT_COMMANDS: Readonly<Record<string, "none" | "optional" | "required">> = {
  BYTES_RECEIVED: "none",
  BYTES_SENT: "none",
  CONNECTION_ID: "none",
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: "none",
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: "none",
  DOWNSTREAM_DIRECT_REMOTE_PORT: "none",
  DOWNSTREAM_LOCAL_ADDRESS: "none",
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: "none",
  DOWNSTREAM_LOCAL_PORT: "none",
  DOWNSTREAM_LOCAL_URI_SAN: "none",
  DOWNSTREAM_PEER_CERT: "none",
  DOWNSTREAM_PEER_CERT_V_END: "optional",
  DOWNSTREAM_PEER_CERT_V_START: "optional",
  DOWNSTREAM_PEER_FINGERPRINT_256: "none",
  DOWNSTREAM_PEER_ISSUER: "none",
  DOWNSTREAM_PEER_SERIAL: "none",
  DOWNSTREAM_PEER_SUBJECT: "none",
  DOWNSTREAM_PEER_URI_SAN: "none",
  DOWNSTREAM_REMOTE_ADDRESS: "none",
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: "none",
  DOWNSTREAM_REMOTE_PORT: "none",
  DOWNSTREAM_TLS_CIPHER: "none",
  DOWNSTREAM_TLS_SESSION_ID: "none",
  DOWNSTREAM_TLS_VERSION: "none",
  DURATION: "none",
  DYNAMIC_METADATA: "required",
  ENVIRONMENT: "required",
  FILTER_STATE: "required",
  HOSTNAME: "none",
  PER_REQUEST_STATE: "required",
  PROTOCOL: "none",
  REQ: "required",
  REQUESTED_SERVER_NAME: "none",
  REQUEST_DURATION: "none",
  RESP: "required",
  RESPONSE_CODE: "none",
  RESPONSE_CODE_DETAILS: "none",
  RESPONSE_FLAGS: "none",
  ROUTE_NAME: "none",
  START_TIME: "optional",
  STREAM_ID: "none",
  TRAILER: "required",
  UPSTREAM_CLUSTER: "none",
  UPSTREAM_HOST: "none",
  UPSTREAM_LOCAL_ADDRESS: "none",
  UPSTREAM_METADATA: "required",
  UPSTREAM_REMOTE_ADDRESS: "none",
  UPSTREAM_REMOTE_PORT: "none",
  UPSTREAM_TRANSPORT_FAILURE_REASON: "none",
  VIRTUAL_CLUSTER_NAME: "none",
};

/** Reads a format string into parts, or says in one clause what is wrong with it. Literals are byte strings. */
export function parseHeaderFormat(
  text: string,
): { readonly parts: readonly ValuePart[] } | { readonly error: string } {
  const parts: ValuePart[] = [];
  let literal = "";
  let i = 0;
  while (i < text.length) {
    const c = text[i] as string;
    if (c !== "%") {
      literal += c;
      i++;
      continue;
    }
    if (text[i + 1] === "%") {
      literal += "%";
      i += 2;
      continue;
    }
    const m = /^%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d+))?%/.exec(text.slice(i));
    if (m === null) {
      return { error: `a single % at character ${i + 1} begins no %COMMAND%; write %% for a percent sign` };
    }
    const command = m[1] as string;
    const wants = FORMAT_COMMANDS[command];
    if (wants === undefined) return { error: `%${command}% is no operator known here` };
    if (wants === "none" && m[2] !== undefined) return { error: `%${command}% takes nothing in brackets` };
    if (wants === "required" && (m[2] === undefined || m[2] === "")) {
      return { error: `%${command}(…)% wants a name in brackets` };
    }
    if (literal !== "") parts.push(toByteString(literal));
    literal = "";
    parts.push({ command, argument: m[2] ?? "", maxLength: m[3] === undefined ? Infinity : Number(m[3]) });
    i += m[0].length;
  }
  if (literal !== "") parts.push(toByteString(literal));
  return { parts };
}

/** What the operators are asked of. */
export interface FormatContext {
  /** A request header by lower-case name (`:path`, `:method`, `:authority`, `:scheme` included). */
  request(name: string): string | undefined;
  /** A response header, once there is a response. */
  response?(name: string): string | undefined;
  /** Every other operator, by its name. */
  command(name: string, argument: string): string | undefined;
}

/** The text of a value; an operator without a value counts as empty, and an empty text means: skip the step. */
export function formatHeaderValue(parts: readonly ValuePart[], context: FormatContext): string {
  if (parts.length === 1 && typeof parts[0] === "string") return parts[0];
  let out = "";
  for (const part of parts) {
    if (typeof part === "string") {
      out += part;
      continue;
    }
    let value: string | undefined;
    if (part.command === "REQ") value = headerOrAlternative(part.argument, (n) => context.request(n));
    else if (part.command === "RESP") {
      value = headerOrAlternative(part.argument, (n) => context.response?.(n));
    } else value = context.command(part.command, part.argument);
    if (value !== undefined) out += value.length > part.maxLength ? value.slice(0, part.maxLength) : value;
  }
  return out;
}

/** `X?Y`: header X, else header Y. */
function headerOrAlternative(
  argument: string,
  get: (name: string) => string | undefined,
): string | undefined {
  const mark = argument.indexOf("?");
  if (mark < 0) return get(argument.toLowerCase());
  return get(argument.slice(0, mark).toLowerCase()) ?? get(argument.slice(mark + 1).toLowerCase());
}

/** One level (cluster weight, route, virtual host, table): removes run before additions of the same level. */
export interface HeaderLevel {
  readonly add?: readonly HeaderValueOption[] | undefined;
  readonly remove?: readonly string[] | undefined;
}

/**
 * Steps of all levels, first level first; null when there is nothing to do. Inside a level Envoy removes, then
 * overwrites, then appends. A value that cannot be read is sent as it stands (the validator has reported it).
 */
export function compileHeaderOps(levels: readonly HeaderLevel[]): HeaderOps | null {
  const steps: HeaderStep[] = [];
  let level = 0;
  for (const { add, remove } of levels) {
    for (const key of remove ?? []) {
      steps.push({ action: "remove", name: key.toLowerCase(), key, value: null, level });
    }
    const options = add ?? [];
    for (const actions of [OVERWRITES, ADDITIONS]) {
      for (const { header, appendAction } of options) {
        const action = actions[appendAction];
        if (action === undefined) continue;
        const parsed = parseHeaderFormat(header.value);
        const value = "parts" in parsed ? parsed.parts : [toByteString(header.value)];
        steps.push({ action, name: header.key.toLowerCase(), key: header.key, value, level });
      }
    }
    level++;
  }
  return steps.length === 0 ? null : { steps };
}

type Actions = Readonly<Partial<Record<HeaderValueOption["appendAction"], HeaderStep["action"]>>>;
const OVERWRITES: Actions = { OVERWRITE_IF_EXISTS_OR_ADD: "set", OVERWRITE_IF_EXISTS: "setPresent" };
const ADDITIONS: Actions = { APPEND_IF_EXISTS_OR_ADD: "add", ADD_IF_ABSENT: "addAbsent" };

/** What {@link applyHeaderOps} changes. Names are lower-case, keys as the rule wrote them. */
export interface HeaderTarget {
  has(name: string): boolean;
  remove(name: string): void;
  /** Replaces every line of that name by one, or adds it. */
  set(name: string, key: string, value: string): void;
  add(name: string, key: string, value: string): void;
}

/** Runs the operations. The values of one level are all formatted before that level's first addition, as in Envoy. */
export function applyHeaderOps(ops: HeaderOps, target: HeaderTarget, context: FormatContext): void {
  const { steps } = ops;
  let i = 0;
  while (i < steps.length) {
    const level = (steps[i] as HeaderStep).level ?? 0;
    let end = i;
    while (end < steps.length && ((steps[end] as HeaderStep).level ?? 0) === level) end++;
    while (i < end && (steps[i] as HeaderStep).action === "remove") {
      target.remove((steps[i++] as HeaderStep).name);
    }
    const values: string[] = [];
    for (let k = i; k < end; k++) {
      const { action, name, value } = steps[k] as HeaderStep;
      const skipped = (action === "addAbsent" && target.has(name)) ||
        (action === "setPresent" && !target.has(name));
      values.push(skipped ? "" : formatHeaderValue(value ?? [], context));
    }
    for (let k = 0; i < end; i++, k++) {
      const step = steps[i] as HeaderStep;
      const value = values[k] as string;
      if (value === "") continue;
      if (step.action === "set" || step.action === "setPresent") target.set(step.name, step.key, value);
      else target.add(step.name, step.key, value);
    }
  }
}
