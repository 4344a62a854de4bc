/**
 * A program as lines of text, and back: what a cache of the last good world holds. One line is one resource, so that neither way
 * works on more than a virtual host or a cluster at once.
 *
 * In: whose world it is, and a {@link Program}. Out: lines of JSON: the identity, then `["table", NAME, ...]` and its `["host", TABLE, ...]`
 * lines; `["cluster", NAME, ...]`, `["endpoints", ...]`, `["listener", ...]`, `["inbound", ...]`, of each kind a first one with null; and `["end", LINES]`.
 *
 * @example
 * ```ts ignore
 * const text = [...worldLines({ ...identity, savedMs: clock.now() }, program)].join("");
 * const read = await inSlices(readWorldSteps(new TextEncoder().encode(text), identity), slices);
 * ```
 */
import { oneLine } from "../core/one_line.ts";
import { VERSION } from "../core/version.ts";
import type {
  ApplicationPort,
  Cluster,
  ClusterLoadAssignment,
  Listener,
  Program,
  RouteConfiguration,
  VirtualHost,
} from "../model/model.ts";
import type { AgentConfig } from "../settings/types.ts";
import { nodeOf } from "../xds/node.ts";
import type { Steps } from "../xds/v1/json_steps.ts";

/** Of the lines. The model inside is that of the agent's own version, which is held against it, too. */
export const FORMAT = 1;

/** Whose world it is. Another agent, workload or kind of control plane must not serve it. */
export interface WorldIdentity {
  readonly format: number;
  readonly agent: string;
  /** serviceDiscovery.type. */
  readonly type: string;
  /** router.infra. */
  readonly infra: string;
  readonly node: string;
  readonly clusterId: string;
}

export interface SavedWorld {
  readonly program: Program;
  /** Wall clock when it was kept, ms. */
  readonly savedMs: number;
}

export function worldIdentity(config: AgentConfig): WorldIdentity {
  const { serviceDiscovery: { type }, router: { infra }, discovery: { clusterId } } = config;
  const node = nodeOf(config, type === "pilotv3" ? "v3" : "v2").id;
  return { format: FORMAT, agent: VERSION, type, infra, node, clusterId };
}

/** Each with its newline. */
export function* worldLines(identity: WorldIdentity, { program, savedMs }: SavedWorld): Generator<string> {
  const line = (value: unknown) => `${JSON.stringify(value)}\n`;
  let count = 0;
  yield line({ ...identity, savedMs });
  for (const [name, { virtualHosts, ...table }] of program.routeConfigurations) {
    yield line(["table", name, table]);
    for (const host of virtualHosts) yield line(["host", name, host]);
    count += 1 + virtualHosts.length;
  }
  const rest = [
    ["cluster", program.clusters],
    ["endpoints", program.loadAssignments],
    ["listener", program.listeners],
    ["inbound", program.inbound],
  ] as const;
  for (const [kind, resources] of rest) {
    if (resources === undefined) continue;
    yield line([kind, "", null]);
    for (const [name, resource] of resources) yield line([kind, name, resource]);
    count += 1 + resources.size;
  }
  yield line(["end", count]);
}

/** Of {@link SavedWorld}, or why it is not to be used: as the state in a sentence. Throws nothing, whatever the bytes are. */
export function* readWorldSteps(bytes: Uint8Array, mine: WorldIdentity): Steps<SavedWorld | string> {
  try {
    return yield* reading(bytes, mine);
  } catch (error) {
    return `it has a line that is none of a world (${oneLine(String(error), 100)})`;
  }
}

function* reading(bytes: Uint8Array, mine: WorldIdentity): Steps<SavedWorld | string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let at = 0;
  const next = (): unknown => {
    const end = bytes.indexOf(0x0a, at);
    if (end < 0) throw new Error("the last one has no end");
    const text = decoder.decode(bytes.subarray(at, end));
    at = end + 1;
    return JSON.parse(text);
  };
  const { savedMs, ...theirs } = next() as WorldIdentity & { readonly savedMs: number };
  const other = difference(theirs, mine);
  if (other !== undefined) return other;
  const tables = new Map<string, RouteConfiguration & { virtualHosts: VirtualHost[] }>();
  const clusters = new Map<string, Cluster>();
  const loadAssignments = new Map<string, ClusterLoadAssignment>();
  let listeners: Map<string, Listener> | undefined;
  let inbound: Map<string, ApplicationPort> | undefined;
  let count = 0;
  for (;; count++) {
    yield;
    const [kind, name, resource] = next() as [string, string | number, unknown];
    if (kind === "end" && name === count) break;
    if (kind === "listener") listeners ??= new Map();
    if (kind === "inbound") inbound ??= new Map();
    const book: Map<string, unknown> | undefined = kind === "cluster"
      ? clusters
      : kind === "endpoints"
      ? loadAssignments
      : kind === "listener"
      ? listeners
      : kind === "inbound"
      ? inbound
      : undefined;
    const table = kind === "host" ? tables.get(name as string) : undefined;
    if (book !== undefined) {
      if (resource !== null) book.set(name as string, resource);
    } else if (table !== undefined) {
      table.virtualHosts.push(resource as VirtualHost);
    } else if (kind === "table") {
      tables.set(name as string, { ...resource as RouteConfiguration, virtualHosts: [] });
    } else throw new Error(`line ${count + 2}`);
  }
  return {
    program: {
      routeConfigurations: tables,
      clusters,
      loadAssignments,
      ...(listeners === undefined ? {} : { listeners }),
      ...(inbound === undefined ? {} : { inbound }),
    },
    savedMs,
  };
}

function difference(theirs: Partial<WorldIdentity>, mine: WorldIdentity): string | undefined {
  const said = (value: unknown) => oneLine(String(value), 100);
  if (theirs.format !== mine.format) {
    return `it is of format ${said(theirs.format)}, this agent has ${FORMAT}`;
  }
  if (theirs.agent !== mine.agent) {
    return `version ${said(theirs.agent)} of the agent kept it, this is ${mine.agent}`;
  }
  for (const key of ["type", "infra", "node", "clusterId"] as const) {
    if (theirs[key] === mine[key]) continue;
    return `it is of ${NAMES[key]} "${said(theirs[key])}", this agent has "${mine[key]}"`;
  }
  return undefined;
}

const NAMES = {
  type: "serviceDiscovery.type",
  infra: "router.infra",
  node: "node",
  clusterId: "discovery.clusterId",
} as const;
