/**
 * `${NAME||default}` in texts of the files, as go-chassis has it: the variable when it is set and not empty, else the default,
 * else nothing.
 */
const REFERENCE = /\$\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:\|\|([^}]*))?\}/g;

export interface Expanded {
  readonly text: string;
  /** Variables that gave a part of it. */
  readonly used: readonly string[];
  /** Variables that it names. */
  readonly named: readonly string[];
}

export function expand(text: string, env: ReadonlyMap<string, string>): Expanded {
  if (!text.includes("${")) return { text, used: [], named: [] };
  const used: string[] = [];
  const named: string[] = [];
  const result = text.replace(REFERENCE, (_, name: string, fallback: string | undefined) => {
    named.push(name);
    const value = env.get(name);
    if (value === undefined || value === "") return fallback ?? "";
    used.push(name);
    return value;
  });
  return { text: result, used, named };
}

/** Names of all variables that the files refer to, for whoever reads the environment by name. */
export function referencedVariables(files: ReadonlyMap<string, string>): Set<string> {
  const names = new Set<string>();
  for (const text of files.values()) {
    for (const match of text.matchAll(REFERENCE)) names.add(match[1] as string);
  }
  return names;
}
