/**
 * A rules directory that also tells which places its rules name that the agent may not connect to: rights are fixed at the start, so a
 * rule that comes later with a place of its own wants a restart.
 */
import { namedPlaces } from "../discovery/rule_places.ts";
import type { RulesDirectory } from "../discovery/types.ts";
import { parseNetEntry } from "../settings/net_entry.ts";
import type { NetScope } from "./net_scope.ts";

/** `tell` gets all such places, sorted, whenever they are others than before. */
export function scopedRules(
  directory: RulesDirectory,
  scope: NetScope,
  tell: (places: readonly string[]) => void,
): RulesDirectory {
  const texts = new Map<string, string>();
  const placesOf = new Map<string, readonly string[]>();
  let told = "";
  const inside = (address: string) => scope.target(address, -1) !== null;
  const outside = (place: string): boolean => {
    const entry = parseNetEntry(place);
    return entry !== undefined && !scope.covers(entry);
  };
  return {
    label: directory.label,
    watch: directory.watch,
    async read(only) {
      const reading = await directory.read(only);
      if (reading === null) return null;
      for (const [name, text] of reading.files) {
        if (text === null) texts.delete(name);
        else if (texts.get(name) === text) continue;
        else {
          texts.set(name, text);
          const places = namedPlaces(new Map([[name, text]]), inside).map(({ place }) => place);
          placesOf.set(name, places.filter(outside));
        }
      }
      for (const name of texts.keys()) if (reading.complete && !reading.files.has(name)) texts.delete(name);
      for (const name of placesOf.keys()) if (!texts.has(name)) placesOf.delete(name);
      const all = [...new Set([...placesOf.values()].flat())].sort();
      const now = all.join(" ");
      if (now !== told) tell(all);
      told = now;
      return reading;
    },
  };
}
