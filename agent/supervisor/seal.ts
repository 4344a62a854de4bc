/**
 * A sealed program: compiled for one conf directory, with just the rights of its settings and no others (`deno task compile --sealed DIR`).
 * What these rights are lies in the program, so that settings that need more are refused before the runtime denies something.
 *
 * In: the seal inside of the program, and the scope of the settings at hand. Out: what of that scope goes beyond the seal.
 *
 * @example
 * ```ts ignore
 * const seal = await readSeal();
 * if (seal !== undefined) beyondSeal(seal, scope); // ["connect 203.0.113.5:443"]
 * ```
 */
import { NetScope } from "../net/net_scope.ts";
import { parseNetEntry } from "../settings/net_entry.ts";
import type { Grant, Scope } from "./scope.ts";

export interface Seal {
  /** The conf directory, an absolute path. */
  readonly conf: string;
  readonly grants: readonly Pick<Grant, "right" | "value">[];
  /** Permission flags of the program, besides the names of variables that settings may come from. */
  readonly runtime: Scope["runtime"];
}

/** Beside the chunks of the bundle. */
const SEAL = new URL("./seal.json", import.meta.url);

/** Undefined: not sealed. Run from sources, it never is. */
export async function readSeal(file = SEAL): Promise<Seal | undefined> {
  if (file === SEAL && import.meta.url.endsWith(".ts")) return undefined;
  try {
    return JSON.parse(await Deno.readTextFile(file)) as Seal;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

export function sealOf(conf: string, { grants, runtime }: Scope): Seal {
  return { conf, grants: grants.map(({ right, value }) => ({ right, value })), runtime };
}

/** Rights of `scope` that the seal does not cover, as `connect 203.0.113.5:443`; less than the seal is fine. */
export function beyondSeal(seal: Seal, { grants }: Pick<Scope, "grants">): string[] {
  const valuesOf = (right: Grant["right"]) =>
    seal.grants.filter((grant) => grant.right === right).map(({ value }) => value);
  const net = new NetScope(valuesOf("connect"));
  const covers = ({ right, value }: Grant): boolean => {
    const sealed = valuesOf(right);
    if (sealed.includes(value)) return true;
    if (right === "read" || right === "write") return sealed.some((path) => value.startsWith(`${path}/`));
    const entry = right === "connect" ? parseNetEntry(value) : undefined;
    return entry?.kind === "address" && net.target(entry.host, entry.port ?? -1) !== null;
  };
  return grants.filter((grant) => !covers(grant)).map(({ right, value }) => `${right} ${value}`);
}
