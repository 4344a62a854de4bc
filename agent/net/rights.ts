/**
 * The rights that an agent holds itself to, before the runtime does: so that what is denied is an error with a name and the setting that
 * would allow it.
 *
 * @example
 * ```ts ignore
 * const rights = createRights(scope, new Denials(log, clock));
 * const dialer = createDialer(gate, rights);
 * const resolver = rights.noting(systemResolver);
 * ```
 */
import { MeshError } from "../core/errors.ts";
import type { Resolver, StreamAddress } from "../core/ports.ts";
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

/** The error of a connection that the agent has no right to make. */
export function deniedConnection({ hostname, port }: StreamAddress, denials?: Denials): MeshError {
  const text = hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
  const wanted = `want it in cse.mesh.permissions.net`;
  denials?.note("P209", `connect ${text}`, wanted);
  return new MeshError("P209", `Cannot connect to "${text}": the agent has no right to; ${wanted}`, {
    side: "agent",
  });
}

/** Names that a grant covers are remembered with their addresses; a name server out of the scope is told as what it is. */
export function scopedResolver(resolver: Resolver, { net, denials }: Rights): Resolver {
  return {
    async resolve(hostname) {
      try {
        const addresses = await resolver.resolve(hostname);
        net.note(hostname, addresses);
        return addresses;
      } catch (cause) {
        const server = cause instanceof Deno.errors.NotCapable
          ? /"([^"]+)"/.exec(cause.message)?.[1]
          : undefined;
        if (server === undefined) throw cause;
        const wanted = "want a restart of the agent, resolv.conf has changed";
        denials.note("P209", `ask name server ${server}`, wanted);
        throw new MeshError(
          "P209",
          `Cannot resolve "${hostname}": the agent has no right to ask the name server ${server}; ${wanted}`,
          { cause },
        );
      }
    },
  };
}
