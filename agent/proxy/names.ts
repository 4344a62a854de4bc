/**
 * Names to addresses, remembered: an answer is used for its refresh time, then asked for again in the background while the last good
 * one goes on being used. A name without an address is remembered too, for some seconds. Concurrent questions for one name share one
 * lookup.
 */
import { MeshError } from "../core/errors.ts";
import { type Clock, NoAnswer, type Resolver } from "../core/ports.ts";
import { normalAddress } from "../core/ip.ts";

interface Entry {
  /** The last good answer. */
  addresses: readonly string[] | null;
  /** What the last lookup failed with; null after a good one. */
  failure: MeshError | null;
  /** Monotonic ms after which it is asked for again. */
  refreshAt: number;
  lookup: Promise<readonly string[]> | null;
}

const MAX_ENTRIES = 4096;
/** A failed lookup is repeated after this, ms; until then nobody waits for the name server again. */
const RETRY_MS = 5000;

export class Names {
  readonly #entries = new Map<string, Entry>();

  constructor(readonly resolver: Resolver, readonly clock: Clock) {}

  /** Addresses of a name, IPv4 first; waits only when the name is new. Rejects with MeshError P207. */
  resolve(hostname: string, refreshMs: number): Promise<readonly string[]> | readonly string[] {
    const literal = normalAddress(hostname);
    if (literal !== undefined) return [literal];
    let entry = this.#entries.get(hostname);
    if (entry === undefined) {
      if (this.#entries.size >= MAX_ENTRIES) this.#forgetOldest();
      entry = { addresses: null, failure: null, refreshAt: 0, lookup: null };
      this.#entries.set(hostname, entry);
    }
    const due = entry.lookup === null && this.clock.monotonic() >= entry.refreshAt;
    if (entry.addresses === null) {
      if (entry.failure !== null && !due && entry.lookup === null) return Promise.reject(entry.failure);
      return entry.lookup ?? this.#ask(hostname, entry, refreshMs);
    }
    if (due) {
      // The last good answer stands in until the new one is here; a failure leaves it standing.
      this.#ask(hostname, entry, refreshMs).catch(() => {});
    }
    return entry.addresses;
  }

  #ask(hostname: string, entry: Entry, refreshMs: number): Promise<readonly string[]> {
    const lookup = this.resolver.resolve(hostname).then((addresses) => {
      if (addresses.length === 0) throw new Error("no address");
      entry.addresses = addresses;
      entry.failure = null;
      entry.refreshAt = this.clock.monotonic() + refreshMs;
      entry.lookup = null;
      return addresses;
    }).catch((cause: unknown) => {
      entry.lookup = null;
      entry.refreshAt = this.clock.monotonic() + RETRY_MS;
      const state = cause instanceof NoAnswer ? cause.message : "the resolver knows no address of it";
      const text = `Cannot resolve "${hostname}": ${state}`;
      entry.failure = cause instanceof MeshError ? cause : new MeshError("P207", text, { cause });
      throw entry.failure;
    });
    entry.lookup = lookup;
    return lookup;
  }

  #forgetOldest(): void {
    for (const key of this.#entries.keys()) {
      this.#entries.delete(key);
      return;
    }
  }
}
