/** Which kinds of services and rules go together, and since when. */
import { INFRAS, TYPES } from "./schema.ts";
import type { RouterInfra, SourceType } from "./types.ts";

/** `ready`: usable. `comesWith`: allowed, once the agent has that. */
export type PairState = { readonly ready: true } | { readonly comesWith: string };

const READY: PairState = { ready: true };
const later = (comesWith: string): PairState => ({ comesWith });
const CSE = "the rules of router.yaml";

/** serviceDiscovery.type -> router.infra -> state; a pair that is not here is an error. */
export const PAIRS: Readonly<Record<SourceType, Readonly<Partial<Record<RouterInfra, PairState>>>>> = {
  file: { file: READY, cse: later(CSE) },
  pilot: { cse: later(CSE), pilot: READY, pilotv2: READY },
  pilotv2: { cse: later(CSE), pilot: READY, pilotv2: READY },
  pilotv3: { cse: later(CSE), pilotv3: READY },
};

/** The table as Markdown, for the documentation. */
export function pairsTable(): string {
  const cell = (state: PairState | undefined) =>
    state === undefined ? "-" : "ready" in state ? "yes" : `comes with ${state.comesWith}`;
  return [
    `| serviceDiscovery.type \\ router.infra | ${INFRAS.join(" | ")} |`,
    `|---|${INFRAS.map(() => "---|").join("")}`,
    ...TYPES.map((type) => `| ${type} | ${INFRAS.map((infra) => cell(PAIRS[type][infra])).join(" | ")} |`),
  ].join("\n") + "\n";
}
