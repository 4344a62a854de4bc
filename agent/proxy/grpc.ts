/** What tells a gRPC exchange from others: its content type, its status, its deadline. */
import { equalsIgnoreCase, LOWER } from "../wire/http1/bytes.ts";
import type { MessageHead } from "../wire/http1/head.ts";

const TYPE = "application/grpc";
const STATUS_NAME = "grpc-status";

/** `application/grpc`, alone or followed by `+` or `;` (so not gRPC-Web). */
export function isGrpc(head: MessageHead): boolean {
  if (head.grpc < 0) head.grpc = saysGrpc(head) ? 1 : 0;
  return head.grpc === 1;
}

function saysGrpc(head: MessageHead): boolean {
  const at = head.contentTypeIndex;
  if (at < 0) return false;
  // The text, because the bytes of an HTTP/1.1 head do not outlive `prepare`.
  const { text, spans } = head;
  const from = spans[4 * at + 2]! - head.start;
  const end = spans[4 * at + 3]! - head.start;
  if (end - from < TYPE.length) return false;
  for (let i = 0; i < TYPE.length; i++) {
    if (LOWER[text.charCodeAt(from + i)] !== TYPE.charCodeAt(i)) return false;
  }
  const next = end - from === TYPE.length ? "" : text.charAt(from + TYPE.length);
  return next === "" || next === "+" || next === ";";
}

const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a grpc-timeout header, at least 1; 0 when there is none or it is not well-formed (the number has to be positive). */
export function grpcTimeoutMs(head: MessageHead): number {
  const value = head.value("grpc-timeout");
  if (value === undefined) return 0;
  const match = /^(\d{1,8})([HMSmun])$/.exec(value);
  if (match === null) return 0;
  return Math.ceil(Number(match[1]) * UNITS[match[2]!]!);
}

/** The number in `grpc-status` of a head (a trailers-only answer); -1 when there is none. */
export function grpcStatusIn(head: MessageHead): number {
  return statusNumber(head.value("grpc-status"));
}

/** The number in trailer lines; -1 when there is none. */
export function grpcStatusOfTrailers(lines: Uint8Array | null): number {
  if (lines === null) return -1;
  for (let at = 0; at < lines.length; at = lines.indexOf(10, at) + 1 || lines.length) {
    const colon = at + STATUS_NAME.length;
    if (lines[colon] !== 58 || !equalsIgnoreCase(lines, at, colon, STATUS_NAME)) continue;
    let end = colon + 1;
    while (lines[end] === 32 || lines[end] === 9) end++;
    const start = end;
    let status = 0;
    for (; lines[end]! >= 48 && lines[end]! <= 57; end++) status = 10 * status + lines[end]! - 48;
    return end > start && end - start <= 9 ? status : -1;
  }
  return -1;
}

function statusNumber(value: string | undefined): number {
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : -1;
}

/** Names of `retry_on` (istio-semantics 1.9) by status. */
const RETRY_NAMES: Readonly<Record<number, string>> = {
  1: "cancelled",
  4: "deadline-exceeded",
  8: "resource-exhausted",
  13: "internal",
  14: "unavailable",
};

/** Does the policy ask for another attempt after that status? */
export function retriesGrpcStatus(on: ReadonlySet<string>, status: number): boolean {
  const name = RETRY_NAMES[status];
  return name !== undefined && on.has(name);
}
