/**
 * Names to addresses by the system's settings (/etc/hosts, then name servers with search list and ndots), both families.
 *
 * In: a name. Out: its addresses, IPv4 first, within a bounded time: a name server that swallows questions for one family (some
 * do for AAAA) holds nothing up for long.
 *
 * @example
 * ```ts ignore
 * const addresses = await systemResolver.resolve("istio-pilot.istio-system"); // ["10.96.0.12"]
 * ```
 */
import { normalAddress } from "../core/ip.ts";
import { NoAnswer, type Resolver } from "../core/ports.ts";
import { HostsFile } from "./hosts_file.ts";

/** One question to the name server. Rejects when there is no such record. */
export type AskDns = (name: string, type: "A" | "AAAA", signal: AbortSignal) => Promise<readonly string[]>;

export interface LookupLimits {
  /** Whole lookup, ms. */
  readonly totalMs: number;
  /** Wait for the second family once the first has brought addresses, ms (RFC 8305, section 3, is content with 50). */
  readonly secondMs: number;
}

const LIMITS: LookupLimits = { totalMs: 10_000, secondMs: 200 };

/** Message of the error when nothing came in time (or the lookup was given up). */
export const SILENCE = "no answer from the name server";

/** The same when the question could not even be sent. */
const UNREACHABLE = "the name server cannot be reached";

const systemHosts = new HostsFile();
const askSystem: AskDns = (name, type, signal) => Deno.resolveDns(name, type, { signal });

/** As {@link Resolver.resolve}; `outer` gives the question up. */
export async function resolveName(
  hostname: string,
  outer?: AbortSignal,
  ask: AskDns = askSystem,
  limits: LookupLimits = LIMITS,
  hosts = systemHosts,
): Promise<readonly string[]> {
  if (normalAddress(hostname) !== undefined) return [hostname];
  // RFC 6761: these never leave the machine, whatever a name server says.
  if (hostname === "localhost" || hostname.endsWith(".localhost")) return ["127.0.0.1"];

  const pinned = await hosts.lookup(hostname);
  if (pinned.length > 0) return pinned;
  if (outer?.aborted === true) throw new NoAnswer(SILENCE);
  const controller = new AbortController();
  const stop = () => controller.abort();
  const timers = [setTimeout(stop, limits.totalMs)];
  outer?.addEventListener("abort", stop, { once: true });
  const question = (type: "A" | "AAAA") =>
    ask(hostname, type, controller.signal).then((addresses) => {
      if (addresses.length > 0) timers.push(setTimeout(stop, limits.secondMs));
      return addresses;
    });
  try {
    const [v4, v6] = await Promise.allSettled([question("A"), question("AAAA")]);
    const addresses = [v4, v6].flatMap((answer) => answer.status === "fulfilled" ? answer.value : []);
    if (addresses.length > 0) return addresses;
    if (controller.signal.aborted) throw new NoAnswer(SILENCE);
    throw v4.status === "rejected" ? told(v4.reason) : new Error(`no address for ${hostname}`);
  } finally {
    for (const timer of timers) clearTimeout(timer);
    outer?.removeEventListener("abort", stop);
  }
}

/** The runtime's own words for a server that is away say little and differ; that there is no such name, and what is denied, stay. */
function told(reason: unknown): unknown {
  if (reason instanceof Deno.errors.TimedOut) return new NoAnswer(SILENCE, { cause: reason });
  return reason instanceof Error && /\bio error\b|no connections available/.test(reason.message)
    ? new NoAnswer(UNREACHABLE, { cause: reason })
    : reason;
}

export const systemResolver: Resolver = { resolve: (hostname) => resolveName(hostname) };
