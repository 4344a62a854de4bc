/**
 * The process environment as a map. Under the shipped permission set only named variables may be read and the whole cannot
 * be listed, so each is asked for by name; one that may not be read counts as unset.
 */
export function environment(): ReadonlyMap<string, string> {
  try {
    return new Map(Object.entries(Deno.env.toObject()));
  } catch {
    return new NamedEnvironment();
  }
}

class NamedEnvironment extends Map<string, string> {
  override get(name: string): string | undefined {
    try {
      return Deno.env.get(name);
    } catch {
      return undefined;
    }
  }

  override has(name: string): boolean {
    return this.get(name) !== undefined;
  }
}
