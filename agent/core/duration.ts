/** Durations: Go texts of Mesher and Istio (`1.5s`, `250ms`, `1m30s`) and proto-JSON texts (`1.5s`) <-> milliseconds. */

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "µs": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds (may be fractional), or undefined when the text is no duration. `0` alone is legal. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^[+-]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h)|\.\d+(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const m of text.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(m[1]) * (UNIT_MS[m[2] as string] as number);
  }
  return text.startsWith("-") ? -total : total;
}

/** Proto-JSON spelling, as istiod's answers have it: `0s`, `0.500s`, `15s`. */
export function formatDuration(ms: number): string {
  if (Number.isInteger(ms / 1000)) return `${ms / 1000}s`;
  const us = Math.round(ms * 1000);
  return us % 1000 === 0 ? `${(us / 1e6).toFixed(3)}s` : `${(us / 1e6).toFixed(6)}s`;
}
