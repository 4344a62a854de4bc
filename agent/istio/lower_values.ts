/** Small values of rules in the spelling of the model. */
import { formatDuration, parseDuration } from "../core/duration.ts";
import type { FractionalPercent } from "../model/model.ts";
import type { Percent } from "./resources.ts";

/** Proto-JSON spelling of a duration as a rule has it; undefined when absent or no duration. */
export function normalDuration(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  const ms = parseDuration(text);
  return ms === undefined ? undefined : formatDuration(ms);
}

/** Istio keeps four decimals of a percentage and cuts the rest off. */
export function lowerPercent(percentage: Percent | null | undefined): FractionalPercent | undefined {
  if (percentage === undefined || percentage === null) return undefined;
  return { numerator: Math.trunc((percentage.value ?? 0) * 10_000), denominator: "MILLION" };
}
