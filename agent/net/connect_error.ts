/**
 * What went wrong on the way to a control plane, in words that name the step, the setting and what to do.
 * In: the errors of sockets and the end of a call. Out: {@link Failure}, and the MeshError made of it.
 */
import { type Code, CODES } from "../core/codes.ts";
import { MeshError } from "../core/errors.ts";
import { oneLine } from "../core/one_line.ts";

/** How a call ended. `details` is what the server said, or what was seen. */
export type CallEnd =
  /** With a gRPC status of the server's (grpc.io/docs/guides/status-codes). */
  | { readonly kind: "status"; readonly code: number; readonly details: string }
  /**
   * Without one. `no grpc`: it answers HTTP that is no gRPC. `too large`: a message above the limit. `calm`: it wants fewer pings.
   * `silent`: it does not answer pings. `lost`: connection or stream broke.
   */
  | { readonly kind: "no grpc" | "too large" | "calm" | "silent" | "lost"; readonly details: string };

/** One reason why a control plane cannot be used. */
export interface Failure {
  readonly code: Code;
  /** How it is now: `connection refused`. */
  readonly state: string;
  /** How it must be; empty when the state says it. */
  readonly wanted?: string;
  /** Instead of the code's own hint. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** `grpcs://istiod.istio-system:15012`: as the setting has it. */
export function addressText(
  target: { readonly host: string; readonly port: number; readonly tls?: unknown },
): string {
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  return `${target.tls === undefined ? "grpc" : "grpcs"}://${host}:${target.port}`;
}

/** `verb` is `connect to`, `resolve`, … */
export function failureError(verb: string, text: string, failure: Failure): MeshError {
  const wanted = failure.wanted === undefined || failure.wanted === "" ? "" : `; ${failure.wanted}`;
  return new MeshError(failure.code, `Cannot ${verb} "${text}": ${failure.state}${wanted}`, {
    side: "upstream",
    retry: "connect-failure",
    hint: failure.hint ?? CODES[failure.code].hint,
    ...(failure.cause === undefined ? {} : { cause: failure.cause }),
  });
}

/** A TCP connection that was not made. `text` is what the socket said, with the code of its error. */
export function tcpFailure(text: string): Failure {
  const wanted = "want a control plane listening there";
  if (text.includes("ECONNREFUSED")) return { code: "D202", state: "connection refused", wanted };
  if (text.includes("EHOSTUNREACH")) return { code: "D202", state: "no route to the host", wanted };
  if (text.includes("ENETUNREACH")) return { code: "D202", state: "no route to its network", wanted };
  if (text.includes("ETIMEDOUT")) return { code: "D202", state: "no answer", wanted };
  if (text.includes("NotCapable") || text.includes("--allow-net")) {
    return {
      code: "D202",
      state: "the agent was started without permission for it",
      wanted: "want net access",
    };
  }
  return { code: "D202", state: quoted(text), wanted };
}

/** The end of a call on a connection that stood; status 0 is none. */
export function callFailure(end: CallEnd): Failure {
  const said = end.details === "" ? "" : ` (${quoted(end.details)})`;
  switch (end.kind) {
    case "no grpc":
      return {
        code: "D205",
        state: `it answers HTTP without gRPC${said}`,
        wanted: "want a gRPC control plane",
      };
    case "too large":
      return {
        code: "D208",
        state: `its answer is too large${said}`,
        hint: "Subscribe to less: name the hosts that the workload calls in discovery.hosts.",
      };
    case "calm":
      return {
        code: "D209",
        state: "it ended the connection because of too many pings (ENHANCE_YOUR_CALM)",
      };
    case "silent":
      return { code: "D209", state: "no sign of life, it does not answer pings" };
    case "lost":
      return { code: "D209", state: `the stream was lost${said}` };
  }
  switch (end.code) {
    case 16:
      return { code: "D206", state: `it does not accept who the agent is: Unauthenticated${said}` };
    case 7:
      return { code: "D206", state: `it refuses this workload: PermissionDenied${said}` };
    case 12:
      return { code: "D207", state: `it does not know the method: Unimplemented${said}` };
    case 8:
      return { code: "D208", state: `it is overloaded: ResourceExhausted${said}` };
    case 14:
      return { code: "D209", state: `the stream was lost: Unavailable${said}` };
    case 1:
    case 4:
    case 10:
    case 15:
      return { code: "D209", state: `the stream was ended: ${STATUS_NAMES[end.code]}${said}` };
  }
  const name = STATUS_NAMES[end.code] ?? `status ${end.code}`;
  return { code: "D210", state: `it refuses the request: ${name}${said}` };
}

const STATUS_NAMES: readonly string[] = [
  ...["OK", "Cancelled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists"],
  ...[
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
  ],
  ...["Internal", "Unavailable", "DataLoss", "Unauthenticated"],
];

/** What a server said, as part of a sentence: one line, at most 300 characters. */
export function quoted(text: string): string {
  return oneLine(text.trim(), 300);
}
