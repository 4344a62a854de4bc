/** What both kinds of session ask of a response. */
import type { RawResource } from "./types.ts";

/** Pilot 0.8 puts a nil resource into the list for an unknown RDS name; in delta a wrapper without resource means unchanged. */
export function present(resources: readonly RawResource[]): readonly RawResource[] {
  const absent = (resource: RawResource) => resource.typeUrl === "" && resource.bytes.length === 0;
  return resources.some(absent) ? resources.filter((resource) => !absent(resource)) : resources;
}

/** Refusals of one version for one reason, in a row. */
export interface Refusals {
  readonly version: string;
  readonly error: string;
  readonly count: number;
  /** Do not send this one. */
  readonly silent: boolean;
  readonly reason: string;
}

/**
 * How many NACKs of one version for one reason are sent. istiod sends again only what changed; a server that answers a NACK
 * with the same again would keep both sides busy for ever.
 */
const MOST_REFUSALS = 10;

export function refuseAgain(before: Refusals | undefined, version: string, error: string): Refusals {
  const same = before !== undefined && before.version === version && before.error === error;
  const count = same ? before.count + 1 : 1;
  return {
    version,
    error,
    count,
    silent: count > MOST_REFUSALS,
    reason: `version "${version}" was refused ${MOST_REFUSALS} times for the same reason and keeps coming`,
  };
}
