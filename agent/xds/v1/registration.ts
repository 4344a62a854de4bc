/** GET /v1/registration and /v1/registration/KEY -> endpoints by service key. */
import type { Diagnostic, Origin } from "../../core/diagnostics.ts";
import { normalAddress } from "../../core/ip.ts";
import { isSame } from "../../istio/share.ts";
import type { ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints } from "../../model/model.ts";
import { finish, type Steps } from "./json_steps.ts";
import { join, type JsonObject, Reading } from "./reading.ts";
import { parseServiceKey, type ServiceKey } from "./service_key.ts";

/** One port of a service, all its endpoints. */
export interface RegisteredService {
  /** As Pilot spells it. */
  readonly text: string;
  readonly key: ServiceKey;
  /** `clusterName` is the key. */
  readonly assignment: ClusterLoadAssignment;
}

export type Registration = ReadonlyMap<string, RegisteredService>;

export interface DecodedRegistration {
  readonly services: Registration;
  readonly problems: readonly Diagnostic[];
}

/**
 * The list. An entry that cannot be used keeps its value of `previous` (by its key), or stays out; an equal one is that
 * object again. An entry without a readable key may have stood for any service: then nothing that is absent is deleted.
 * Undefined when the answer is no list at all.
 */
export function decodeRegistration(
  value: unknown,
  origin: Origin,
  previous?: Registration,
): DecodedRegistration | undefined {
  return finish(registrationSteps(value, origin, previous));
}

/** The same in steps, one for each entry. */
export function* registrationSteps(
  value: unknown,
  origin: Origin,
  previous: Registration = new Map(),
): Steps<DecodedRegistration | undefined> {
  if (!Array.isArray(value)) return undefined;
  const services = new Map<string, RegisteredService>();
  const problems: Diagnostic[] = [];
  let nameless = false;
  for (const [i, item] of value.entries()) {
    yield;
    const reading = new Reading(origin);
    const path = `[${i}]`;
    const entry = reading.object(item, path);
    const text = entry && reading.needText(entry, "service-key", path);
    const key = text === undefined ? undefined : parseServiceKey(text);
    if (text !== undefined && key === undefined) {
      reading.fail(join(path, "service-key"), `Cannot use service key "${text}": want host|port name`);
    }
    if (text !== undefined && services.has(text)) {
      reading.fail(path, `Cannot use service key "${text}" again: it is there already`, "D213");
      problems.push(...reading.problems);
      continue;
    }
    const assignment = entry && text !== undefined
      ? readHosts(entry, join(path, "hosts"), text, reading)
      : undefined;
    const known = text === undefined ? undefined : previous.get(text);
    if (key === undefined) nameless = true;
    problems.push(...reading.problems);
    if (text === undefined || key === undefined || assignment === undefined || reading.problems.length > 0) {
      if (known !== undefined) services.set(known.text, known);
      continue;
    }
    services.set(
      text,
      known !== undefined && isSame(known.assignment, assignment) ? known : { text, key, assignment },
    );
  }
  if (nameless) keepAbsent(services, previous);
  return { services, problems };
}

/** Adds what `now` lacks of `before`. */
export function keepAbsent<V>(now: Map<string, V>, before: ReadonlyMap<string, V>): void {
  for (const [name, value] of before) if (!now.has(name)) now.set(name, value);
}

/** The endpoints of one key; undefined when the answer has no such form (then `problems` says where). */
export function decodeHosts(
  value: unknown,
  key: string,
  origin: Origin,
): { readonly assignment: ClusterLoadAssignment | undefined; readonly problems: readonly Diagnostic[] } {
  const reading = new Reading(origin);
  const answer = reading.object(value, "");
  // Nothing but a list says how many endpoints there are: `{}` is no answer to this question.
  if (answer !== undefined && answer.hosts === undefined) {
    reading.fail("hosts", "Cannot use hosts: it is nothing; want a list");
  }
  const assignment = answer && readHosts(answer, "hosts", key, reading);
  return {
    assignment: reading.problems.length > 0 ? undefined : assignment,
    problems: reading.problems,
  };
}

function readHosts(from: JsonObject, path: string, name: string, reading: Reading): ClusterLoadAssignment {
  const groups = new Map<string, LbEndpoint[]>();
  for (const [i, item] of reading.list(from, "hosts", path.replace(/\.?hosts$/, "")).entries()) {
    const at = `${path}[${i}]`;
    const host = reading.object(item, at);
    if (host === undefined) continue;
    const address = reading.needText(host, "ip_address", at);
    const port = reading.count(host, "port", at, 1, 65_535);
    if (host.port === undefined) {
      reading.fail(join(at, "port"), `Cannot use ${at}.port: it is nothing; want a port`);
    }
    const tags = reading.part(host, "tags", at);
    const weight = tags && reading.count(tags, "load_balancing_weight", join(at, "tags"), 0, 1_000_000);
    const zone = (tags && reading.text(tags, "az", join(at, "tags"))) ?? "";
    if (address === undefined || port === undefined) continue;
    const endpoint: LbEndpoint = {
      address: normalAddress(address) ?? address.toLowerCase(),
      port,
      ...(weight === undefined || weight === 0 ? {} : { loadBalancingWeight: weight }),
    };
    const group = groups.get(zone);
    if (group === undefined) groups.set(zone, [endpoint]);
    else group.push(endpoint);
  }
  const endpoints: LocalityLbEndpoints[] = [];
  for (const [zone, lbEndpoints] of groups) endpoints.push({ ...localityOf(zone), lbEndpoints });
  return { clusterName: name, endpoints };
}

/** `region/zone`, as Kubernetes' platform adapters write it. */
function localityOf(az: string): Pick<LocalityLbEndpoints, "locality"> {
  if (az === "") return {};
  const [region = "", zone] = az.split("/");
  return { locality: zone === undefined ? { region } : { region, zone } };
}

/** Every endpoint of an assignment. */
export function* endpointsOf(assignment: ClusterLoadAssignment): Generator<LbEndpoint> {
  for (const { lbEndpoints } of assignment.endpoints) yield* lbEndpoints;
}
