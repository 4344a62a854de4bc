/**
 * What belongs to a generation of Pilot, so that the reducers stay plain. Recorded from Pilot 0.8.0 and 1.0.9 and a 2026
 * istiod (istio-semantics 5.2, 5.3b).
 */
import type { NamedType } from "./session.ts";
import type { Generation } from "./types.ts";

/** Which v2 server is at the other end; v3 servers have one temper. `unknown` is treated as the touchiest, 0.8. */
export type Temper = "unknown" | "0.8" | "1.x";

const GO_TIME = / m=[+-]\d/;
const TIME_AND_COUNTER = /^\d{4}-\d\d-\d\dT\S+\/\d+$/;

/**
 * By the version_info of a response: 0.8 sends Go's time text, 1.0 and later RFC 3339 and a counter. Both change with the
 * server, so a stream learns it anew.
 */
export function temperOf(version: string): Temper {
  if (GO_TIME.test(version)) return "0.8";
  return TIME_AND_COUNTER.test(version) ? "1.x" : "unknown";
}

/** v2 servers up to 1.3 want the node in every request: 0.8 dies without it, 1.0 ignores the request. */
export function nodeInEveryRequest(generation: Generation): boolean {
  return generation === "v2";
}

/**
 * The names that may be asked for. Pilot 0.8 dies on an RDS name that is neither a number nor `http_proxy`, and has no
 * other tables; servers from 1.0 on leave unknown names out, and from 1.3 on really have `host:port` tables.
 */
export function safeNames(
  generation: Generation,
  temper: Temper,
  type: NamedType,
  names: readonly string[],
): readonly string[] {
  if (generation === "v3" || type === "EDS" || temper === "1.x") return names;
  return names.filter((name) => name === "http_proxy" || /^\d{1,5}$/.test(name));
}

/**
 * Whether the server takes a request with as many names as before for an ACK, whatever the names: RDS up to 1.0, EDS in 0.8.
 * Of later v2 servers it is not known when this ended, and the detour does no harm there.
 */
export function comparesNamesByCount(generation: Generation, temper: Temper, type: NamedType): boolean {
  return generation === "v2" && (type === "RDS" || temper !== "1.x");
}

/**
 * The list to ask for between two lists of one length, so that a server that counts sees two changes. Never empty (an
 * empty list loops), never a name twice (it comes twice). One name of the new list: the answer is short, and Pilot 0.8 needs
 * seconds for long ones. Between single names: both.
 */
export function detour(from: readonly string[], to: readonly string[]): readonly string[] {
  return to.length > 1 ? to.slice(0, 1) : [...new Set([...from, ...to])].sort();
}

/**
 * How long a cluster that CDS removed stays while tables in force name it and no newer ones came. istiod pushes all types in
 * one go; 0.8 sends the listeners with its tables only after EDS, for which it needs up to 7 s.
 */
export function lingerMs(generation: Generation): number {
  return generation === "v2" ? 10_000 : 1_000;
}

/** How long the first endpoints of a cluster are waited for when the cluster does not say. 0.8 needs 7 s for 500 services. */
export function initialFetchTimeoutMs(generation: Generation): number {
  return generation === "v2" ? 60_000 : 15_000;
}
