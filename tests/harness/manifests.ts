/**
 * The Kubernetes manifests of config/deploy/kubernetes as typed objects, and the agent's settings as a pod of theirs would have them.
 *
 * @example
 * ```ts
 * import { readManifests } from "./manifests.ts";
 * const { pods } = await readManifests("native");
 * pods.map(({ name }) => name); // ["istioclient", "istioserver-v1", ...]
 * ```
 */
import assert from "node:assert/strict";
import yaml from "js-yaml";
import { parseArgs, type ParsedArgs } from "../../agent/cli/args.ts";
import { COMMANDS } from "../../agent/cli/commands.ts";
import { formatDiagnostic } from "../../agent/core/diagnostics.ts";
import { readSettings } from "../../agent/settings/read.ts";
import type { AgentConfig } from "../../agent/settings/types.ts";

export const MANIFESTS: URL = new URL("../../config/deploy/kubernetes/", import.meta.url);

/** One directory for each way of running the agent. */
export const VARIANTS = ["classic", "native", "pilotv2"] as const;
export type Variant = typeof VARIANTS[number];

export interface Handler {
  readonly httpGet?: { readonly path: string; readonly port: string | number };
  readonly exec?: { readonly command: readonly string[] };
  readonly sleep?: { readonly seconds: number };
  readonly periodSeconds?: number;
  readonly failureThreshold?: number;
}

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly restartPolicy?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe?: Handler;
  readonly readinessProbe?: Handler;
  readonly livenessProbe?: Handler;
  readonly lifecycle?: { readonly postStart?: Handler; readonly preStop?: Handler };
  readonly resources: {
    readonly requests: Readonly<Record<string, string>>;
    readonly limits: Readonly<Record<string, string>>;
  };
  readonly securityContext: unknown;
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
}

export interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string };
  readonly secret?: { readonly secretName: string; readonly optional?: boolean };
  readonly emptyDir?: { readonly sizeLimit: string };
  readonly projected?: {
    readonly sources: readonly {
      readonly serviceAccountToken: { readonly path: string; readonly audience: string };
    }[];
  };
}

export interface PodSpec {
  readonly automountServiceAccountToken: boolean;
  readonly terminationGracePeriodSeconds: number;
  readonly restartPolicy?: string;
  readonly securityContext: unknown;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
}

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly data?: Readonly<Record<string, string>>;
  // Of any kind: whoever looks into it knows which.
  // deno-lint-ignore no-explicit-any
  readonly spec?: any;
}

export interface Pod {
  /** Of the Deployment or Job. */
  readonly name: string;
  readonly kind: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
  readonly agent: Container;
  /** The one container that is not the agent. */
  readonly application: Container;
}

/** All documents of a manifest file. */
export function parseManifests(text: string): Manifest[] {
  return yaml.loadAll(text) as Manifest[];
}

export async function readManifests(
  variant: Variant,
): Promise<{ conf: ReadonlyMap<string, string>; documents: readonly Manifest[]; pods: readonly Pod[] }> {
  const documents: Manifest[] = [];
  const directory = new URL(`${variant}/`, MANIFESTS);
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
  for (const name of names) {
    documents.push(...parseManifests(await Deno.readTextFile(new URL(name, directory))));
  }
  const conf = documents.find(({ kind }) => kind === "ConfigMap")?.data ?? {};
  return { conf: new Map(Object.entries(conf)), documents, pods: documents.flatMap(podOf) };
}

function podOf({ kind, metadata: { name }, spec }: Manifest): Pod[] {
  if (spec?.template === undefined) return [];
  const { metadata: { labels }, spec: pod } = spec.template as {
    metadata: { labels: Record<string, string> };
    spec: PodSpec;
  };
  const [agents, others] = [true, false].map((is) =>
    [...pod.initContainers ?? [], ...pod.containers].filter((each) => (each.name === "mesh-agent") === is)
  ) as [Container[], Container[]];
  assert.deepEqual([agents.length, others.length], [1, 1], name);
  return [{ name, kind, labels, spec: pod, agent: agents[0]!, application: others[0]! }];
}

/** A pod's fields by their paths in the downward API, as a cluster would fill them in. */
export function downward({ labels }: Pick<Pod, "labels">): ReadonlyMap<string, string> {
  return new Map([
    ["metadata.name", "shop-7d4b9-x2x9c"],
    ["metadata.namespace", "shop"],
    ["status.podIP", "10.1.2.3"],
    ...Object.entries(labels).map(([key, value]) => [`metadata.labels['${key}']`, value] as const),
  ]);
}

/** What a container finds in its environment. */
export function environmentOf(pod: Pod, { env = [] }: Container): ReadonlyMap<string, string> {
  const fields = downward(pod);
  return new Map(env.map(({ name, value, valueFrom }) => {
    const text = value ?? fields.get(valueFrom?.fieldRef.fieldPath ?? "");
    assert.ok(text !== undefined, `${name}: no such field ${valueFrom?.fieldRef.fieldPath}`);
    return [name, text];
  }));
}

/** The agent's command line, read by the agent's own reader. */
export function commandOf(words: readonly string[]): { readonly name: string; readonly args: ParsedArgs } {
  const [name = "", ...rest] = words;
  const command = COMMANDS.find((each) => each.name === name);
  assert.ok(command !== undefined, `mesh-agent has no command ${name}`);
  const args = parseArgs(rest, command.flags);
  assert.ok(!("errors" in args), JSON.stringify(args));
  return { name, args };
}

/** The settings of a pod's agent. Fails on any finding. */
export function settingsOf(pod: Pod, files: ReadonlyMap<string, string>): AgentConfig {
  const { name, args } = commandOf(pod.agent.args ?? []);
  assert.equal(name, "run");
  const { config, diagnostics } = readSettings({
    directory: args.get("config") ?? "",
    files,
    env: environmentOf(pod, pod.agent),
  });
  assert.deepEqual(diagnostics.map(formatDiagnostic), [], pod.name);
  return config as AgentConfig;
}
