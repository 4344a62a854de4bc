/**
 * Where the agent may connect to, judged before it tries: the same list as the runtime's, and what the runtime's cannot hold (ranges of
 * IPv6). An address that only a grant by name covers is connected to by that name, which the runtime resolves again.
 *
 * @example
 * ```ts
 * import { NetScope } from "./net_scope.ts";
 * const scope = new NetScope(["10.0.0.0/8", "api.example.com:443"]);
 * scope.target("10.1.2.3", 80); // "10.1.2.3"
 * scope.note("api.example.com", ["203.0.113.7"]);
 * scope.target("203.0.113.7", 443); // "api.example.com"
 * scope.target("203.0.113.7", 80); // null
 * ```
 */
import { normalAddress } from "../core/ip.ts";
import { contains, holds, type IpRange, parseRange } from "../route/ip_range.ts";
import { type NetEntry, parseNetEntry, PRIVATE_RANGES } from "../settings/net_entry.ts";

/** Addresses of granted names that are remembered. */
const MAX_NOTED = 4096;

export class NetScope {
  readonly #any: boolean;
  readonly #ranges: { readonly range: IpRange; readonly port: number | undefined }[] = [];
  /** Of IPv4, as numbers: rule files may name a hundred thousand addresses. */
  readonly #ranges4: { readonly base: number; readonly mask: number; readonly port: number | undefined }[] =
    [];
  readonly #names: { readonly name: string; readonly below: boolean; readonly port: number | undefined }[] =
    [];
  readonly #noted = new Map<string, string>();

  /** `entries` as net_entry.ts reads them; what it cannot read counts as nothing. */
  constructor(entries: readonly string[]) {
    let any = false;
    for (const text of entries) {
      const entry = parseNetEntry(text);
      if (entry === undefined) continue;
      const { kind, host, length, port } = entry;
      if (kind === "any") any = true;
      else if (kind === "name") {
        const below = host.startsWith("*.");
        this.#names.push({ name: below ? host.slice(2) : host, below, port });
      } else {
        const ranges = kind === "private"
          ? PRIVATE_RANGES
          : [length === undefined ? host : `${host}/${length}`];
        for (const each of ranges) {
          const range = parseRange(each);
          if (range === undefined) continue;
          if (range.v6) this.#ranges.push({ range, port });
          else {
            const mask = range.length === 0 ? 0 : (-1 << (32 - range.length)) >>> 0;
            this.#ranges4.push({ base: (Number(range.bits) & mask) >>> 0, mask, port });
          }
        }
      }
    }
    this.#any = any;
  }

  /** What to connect to for an address: itself, a granted name that it is an address of, or null when it is outside. */
  target(address: string, port: number): string | null {
    if (this.#any) return address;
    const normal = normalAddress(address);
    if (normal === undefined) return this.#grants(address, port) ? address : null;
    if (this.#inRange(normal, port)) return address;
    const name = this.#noted.get(normal);
    return name !== undefined && this.#grants(name, port) ? name : null;
  }

  #inRange(normal: string, port: number): boolean {
    if (normal.includes(":")) {
      return this.#ranges.some(({ range, port: only }) =>
        (only === undefined || only === port) && contains(range, normal)
      );
    }
    const bits = bitsOf(normal);
    for (const { base, mask, port: only } of this.#ranges4) {
      if ((only === undefined || only === port) && (bits & mask) >>> 0 === base) return true;
    }
    return false;
  }

  /** Remembers what a name resolved to, when something is granted to the name. */
  note(name: string, addresses: readonly string[]): void {
    if (this.#any || this.#names.length === 0 || !this.#grants(name, undefined)) return;
    for (const address of addresses) {
      const normal = normalAddress(address);
      if (normal === undefined || normal === name) continue;
      this.#noted.delete(normal);
      this.#noted.set(normal, name);
      if (this.#noted.size > MAX_NOTED) this.#noted.delete(this.#noted.keys().next().value as string);
    }
  }

  /** Is a place that rules name within the scope as a whole? */
  covers({ kind, host, length, port }: NetEntry): boolean {
    if (this.#any) return true;
    if (kind === "any" || kind === "private") return false;
    if (kind === "name") return this.#grants(host, port ?? -1);
    if (length === undefined) return this.target(host, port ?? -1) !== null;
    const inner = parseRange(`${host}/${length}`);
    if (inner === undefined) return false;
    const granted = [
      ...this.#ranges,
      ...this.#ranges4.map(({ base, mask, port }) => ({
        range: { v6: false, bits: BigInt(base), length: Math.clz32(~mask) },
        port,
      })),
    ];
    return granted.some(({ range, port: only }) =>
      (only === undefined || only === port) && holds(range, inner)
    );
  }

  #grants(name: string, port: number | undefined): boolean {
    const lower = name.toLowerCase();
    return this.#names.some((grant) =>
      (grant.port === undefined || port === undefined || grant.port === port) &&
      (grant.name === lower || (grant.below && lower.endsWith(`.${grant.name}`)))
    );
  }
}

/** Of an IPv4 address in normal spelling. */
function bitsOf(address: string): number {
  let bits = 0;
  let part = 0;
  for (let i = 0; i < address.length; i++) {
    const c = address.charCodeAt(i);
    if (c === DOT) {
      bits = bits * 256 + part;
      part = 0;
    } else part = part * 10 + c - ZERO;
  }
  return bits * 256 + part;
}

const DOT = 0x2e;
const ZERO = 0x30;
