/**
 * The rights that an agent holds itself to, before the runtime does: so that what is denied is an error with a name and the setting that
 * would allow it.
 *
 * @example
 * ```ts ignore
 * const rights = createRights(scope, new Denials(log, clock));
 * const dialer = scopedDialer(createDialer(gate), rights);
 * const resolver = scopedResolver(systemResolver, rights);
 * ```
 */
import { diagnostic, formatDiagnostic } from "../core/diagnostics.ts";
import { MeshError } from "../core/errors.ts";
import type { Dialer, Resolver, StreamAddress } from "../core/ports.ts";
import type { Denials } from "../observe/denials.ts";
import { NetScope } from "./net_scope.ts";
import { ReadScope } from "./read_scope.ts";

export interface Rights {
  readonly net: NetScope;
  readonly read: ReadScope;
  readonly denials: Denials;
}

/** `net` and `read` as WorkerScope has them. */
export function createRights(
  scope: { readonly net: readonly string[]; readonly roots: readonly string[] },
  denials: Denials,
): Rights {
  return { net: new NetScope(scope.net), read: new ReadScope(scope.roots), denials };
}

/** No connection is tried that the rights do not cover; an address that only its name has a grant for is connected to by that. */
export function scopedDialer(dialer: Dialer, { net, denials }: Rights): Dialer {
  return {
    dial(address, timeoutMs) {
      const { hostname, port } = address;
      const target = net.target(hostname, port);
      if (target === hostname) {
        return dialer.dial(address, timeoutMs).catch((error) => refused(address, error, denials));
      }
      if (target === null) return Promise.reject(deniedConnection(address, denials));
      return dialer.dial({ hostname: target, port }, timeoutMs).catch((error) =>
        refused(address, error, denials)
      );
    },
  };
}

/** The runtime's list may be narrower than the agent's, never wider. */
function refused(address: StreamAddress, error: unknown, denials: Denials): never {
  if (error instanceof MeshError && error.cause instanceof Deno.errors.NotCapable) {
    throw deniedConnection(address, denials);
  }
  throw error;
}

function deniedConnection({ hostname, port }: StreamAddress, denials: Denials): MeshError {
  const text = hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
  const wanted = `want it in cse.mesh.permissions.net`;
  denials.note("P209", `connect ${text}`, wanted);
  return new MeshError("P209", `Cannot connect to "${text}": the agent has no right to; ${wanted}`, {
    side: "agent",
  });
}

/** Names that a grant covers are remembered with their addresses; a name server out of the scope is told as what it is. */
export function scopedResolver(resolver: Resolver, rights: Rights): Resolver {
  return { resolve: (hostname) => noted(hostname, () => resolver.resolve(hostname), rights) };
}

/** For control planes: the addresses of a name as they are to be connected to, the name itself where only that is granted. */
export function scopedResolve(
  resolve: (hostname: string, signal: AbortSignal) => Promise<readonly string[]>,
  rights: Rights,
): (hostname: string, signal: AbortSignal, port: number) => Promise<readonly string[]> {
  return async (hostname, signal, port) => {
    const addresses = await noted(hostname, () => resolve(hostname, signal), rights);
    // What is outside all the same is refused by the runtime, which tells it.
    return [...new Set(addresses.map((address) => rights.net.target(address, port) ?? address))];
  };
}

async function noted(
  hostname: string,
  resolve: () => Promise<readonly string[]>,
  { net, denials }: Rights,
): Promise<readonly string[]> {
  try {
    const addresses = await resolve();
    net.note(hostname, addresses);
    return addresses;
  } catch (cause) {
    const server = cause instanceof Deno.errors.NotCapable ? /"([^"]+)"/.exec(cause.message)?.[1] : undefined;
    if (server === undefined) throw cause;
    const wanted = "want a restart, resolv.conf was another one when the agent started";
    denials.note("P209", `ask name server ${server}`, wanted);
    throw new MeshError(
      "P209",
      `Cannot resolve "${hostname}": the agent has no right to ask name server ${server}; ${wanted}`,
      { cause },
    );
  }
}

/** At most so many rights in one line of the log. */
const MAX_TOLD = 20;

/** N113: rights of a running agent would be others after a restart. */
export function restartText(rights: readonly string[], file: string): string {
  const shown = rights.slice(0, MAX_TOLD).join(", ") + (rights.length > MAX_TOLD ? ", ..." : "");
  return formatDiagnostic(
    diagnostic("N113", `Cannot change the rights of a running agent: want a restart for ${shown}`, { file }),
  );
}
