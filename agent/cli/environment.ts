/**
 * The process environment, by name: under the shipped permission set only named variables may be read and the whole cannot
 * be listed.
 */
export function environment(
  names: Iterable<string>,
): { variables: ReadonlyMap<string, string>; unreadable: ReadonlySet<string> } {
  const variables = new Map<string, string>();
  const unreadable = new Set<string>();
  for (const name of names) {
    try {
      const value = Deno.env.get(name);
      if (value !== undefined) variables.set(name, value);
    } catch {
      unreadable.add(name);
    }
  }
  return { variables, unreadable };
}
