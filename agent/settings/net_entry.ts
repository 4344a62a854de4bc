/**
 * One place that the agent may connect to: an entry of `cse.mesh.permissions.net`, and of every list that the supervisor makes.
 *
 * @example
 * ```ts
 * import { parseNetEntry, runtimeText } from "./net_entry.ts";
 * runtimeText(parseNetEntry("10.0.0.0/8:8080")!); // "10.0.0.0/8:8080"
 * parseNetEntry("*.example.com:443"); // { kind: "name", host: "*.example.com", port: 443 }
 * ```
 */
import { normalAddress } from "../core/ip.ts";

export interface NetEntry {
  /**
   * `any`: no bound. `private`: {@link PRIVATE_RANGES}. `address`: one, in normal spelling without brackets. `range`: of addresses.
   * `name`: a host, or all below one (`*.example.com`), connected to by that name.
   */
  readonly kind: "any" | "private" | "address" | "range" | "name";
  readonly host: string;
  /** Of the prefix of a range, bits. */
  readonly length?: number;
  /** Absent = all. */
  readonly port?: number;
}

/** What a mesh lives in: RFC 1918, RFC 6598 and loopback. IPv6 ranges are none of them: the runtime cannot hold one. */
export const PRIVATE_RANGES: readonly string[] = [
  "127.0.0.0/8",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "::1",
];

/** What is wanted, for messages. */
export const NET_ENTRY =
  "want private, any, or ADDRESS, RANGE or HOST with or without :PORT, such as 203.0.113.0/24:443";

const NAME = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/;

/** Undefined for what is no entry. */
export function parseNetEntry(text: string): NetEntry | undefined {
  const lower = text.toLowerCase();
  if (lower === "any" || lower === "private") return { kind: lower, host: lower };
  const match = /^(?:\[([^\]]*)\](\/\d{1,3})?|([^:[\]]*))(?::(\d{1,5}))?$/.exec(lower);
  // An IPv6 address without a port needs no brackets.
  const [, inner, length, plain, portText] = match ?? [, lower, undefined, undefined, undefined];
  const port = portText === undefined ? undefined : Number(portText);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  const rest = port === undefined ? {} : { port };
  const whole = plain ?? `${inner}${length ?? ""}`;
  const [host = "", bits] = whole.split("/", 2);
  const address = normalAddress(host);
  if (bits !== undefined) {
    const most = address?.includes(":") ? 128 : 32;
    if (address === undefined || !/^\d+$/.test(bits) || Number(bits) > most) return undefined;
    return { kind: "range", host: address, length: Number(bits), ...rest };
  }
  if (address !== undefined) return { kind: "address", host: address, ...rest };
  const name = host.replace(/\.$/, "");
  // What looks like a number is a slip in an address.
  return plain !== undefined && NAME.test(name) && !/^[\d.]+$/.test(name)
    ? { kind: "name", host: name, ...rest }
    : undefined;
}

/** Its normal spelling, which parses to the same again. */
export function formatNetEntry(entry: NetEntry | undefined): string | undefined {
  if (entry === undefined) return undefined;
  const { host, length, port } = entry;
  const v6 = host.includes(":");
  return `${v6 && (port !== undefined || length !== undefined) ? `[${host}]` : host}${
    length === undefined ? "" : `/${length}`
  }${port === undefined ? "" : `:${port}`}`;
}

/** As the runtime's list of permissions has it; undefined for `any`, `private` and ranges of IPv6, which it cannot hold. */
export function runtimeText(entry: NetEntry): string | undefined {
  const { kind, host, length, port } = entry;
  const v6 = host.includes(":");
  if (kind === "any" || kind === "private" || (kind === "range" && v6)) return undefined;
  return `${v6 ? `[${host}]` : host}${length === undefined ? "" : `/${length}`}${
    port === undefined ? "" : `:${port}`
  }`;
}
