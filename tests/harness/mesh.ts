/**
 * A whole mesh for end-to-end tests: the scripted control plane, echoing upstreams, and the agent as a process that has its rules
 * from that control plane.
 *
 * @example
 * ```ts
 * import { startMesh } from "./mesh.ts";
 * await using mesh = await startMesh({ temper: "istiod", delta: true });
 * await mesh.instance(); // "v1"
 * await mesh.plane.serve(mesh.split({ v1: 0, v2: 100 }));
 * await mesh.answeredBy("v2");
 * ```
 */
import { type AgentProcess, startAgentProcess, type StartOptions } from "./agent.ts";
import { until } from "./bytes.ts";
import { type Address, askOnce, proxyGet } from "./client.ts";
import { istioserver, makeConf, serviceEntry } from "./conf.ts";
import { type ControlPlane, startControlPlane } from "./control_plane.ts";
import { type Load, runLoad } from "./load.ts";
import { echoing, type RecordingUpstream, startUpstream } from "./upstream.ts";
import type { WireResponse } from "./wire_reader.ts";
import type { Dialect, WireResources } from "./xds_resources.ts";

export interface Generation {
  readonly temper: Dialect;
  /** istiod: incremental or state-of-the-world. */
  readonly delta: boolean;
}

/** Every protocol that an agent may have to speak. */
export const GENERATIONS: readonly Generation[] = [
  { temper: "pilot-0.8.0", delta: false },
  { temper: "pilot-1.0.9", delta: false },
  { temper: "istiod", delta: false },
  { temper: "istiod", delta: true },
];

export function nameOf({ temper, delta }: Generation): string {
  return temper === "istiod" ? `istiod, ${delta ? "delta" : "state of the world"}` : temper;
}

export interface MeshOptions extends Generation {
  /** What it serves at first, Istio YAML or resources; default: istioserver, all requests to v1. */
  readonly rules?: (mesh: Pick<Mesh, "v1" | "v2">) => string | WireResources;
  /** False: the control plane refuses delta streams, whatever the agent asks for. */
  readonly planeDelta?: false;
  /** `discovery.transport`; default native. */
  readonly transport?: "grpc-js";
  /** Further control planes that the agent is told of. */
  readonly otherAddresses?: readonly string[];
  /** Of the proxy; default any free port of 127.0.0.1. */
  readonly http?: string;
  /** Default off. */
  readonly accessLog?: "json";
  readonly start?: StartOptions;
}

export interface Mesh extends AsyncDisposable {
  /** Replaced by {@link restartPlane}. */
  readonly plane: ControlPlane;
  readonly agent: AgentProcess;
  /** Two upstreams that tell their name in `x-instance`. */
  readonly v1: RecordingUpstream;
  readonly v2: RecordingUpstream;
  /** Istio YAML of istioserver on 8084, split between them. */
  split(weights: { readonly v1: number; readonly v2: number }): string;
  ask(authority?: string, path?: string): Promise<WireResponse>;
  /** Which upstream answers a request to this authority (default istioserver:8084); the status when it is not 200. */
  instance(authority?: string): Promise<string>;
  /** Resolves once that is the answer. */
  answeredBy(instance: string, authority?: string): Promise<void>;
  /** A control plane on the port of the old one, which must be gone. */
  restartPlane(yaml: string): Promise<void>;
  /** Requests that go on until it is stopped; then none may have failed. */
  load(): RunningLoad;
}

export interface RunningLoad {
  /** Answers so far. */
  readonly count: number;
  /** Resolves after so many further answers; `key`: of this instance. */
  answers(count: number, key?: string): Promise<void>;
  stop(): Promise<Load>;
}

export async function startMesh(options: MeshOptions): Promise<Mesh> {
  const { temper, delta, http, accessLog = "off", start = {} } = options;
  const disposables = new AsyncDisposableStack();
  try {
    const v1 = disposables.use(startUpstream(echoing("v1")));
    const v2 = disposables.use(startUpstream(echoing("v2")));
    const split: Mesh["split"] = (weights) => istioserver({ v1: v1.port, v2: v2.port }, { ...weights });
    let plane = await startControlPlane({
      temper,
      ...(options.planeDelta === undefined ? {} : { delta: options.planeDelta }),
    });
    disposables.defer(() => plane[Symbol.asyncDispose]());
    const rules = options.rules?.({ v1, v2 }) ?? split({ v1: 100, v2: 0 });
    await (typeof rules === "string" ? plane.serve(rules) : plane.set(rules));
    const directory = disposables.use(
      await makeConf({
        discovery: temper === "istiod" ? "pilotv3" : "pilotv2",
        address: [plane.address, ...options.otherAddresses ?? []].join(","),
        controlPlane: { delta, ...(options.transport === undefined ? {} : { transport: options.transport }) },
        mesh: { accessLog, outboundTrafficPolicy: "REGISTRY_ONLY" },
        ...(http === undefined ? {} : { http }),
      }),
    );
    const agent = disposables.use(await startAgentProcess(["run", "--config", directory.path], start));

    const ask: Mesh["ask"] = (authority = "istioserver:8084", path = "/") =>
      askOnce(agent.http, proxyGet(authority, path, "Connection: close\r\n"));
    const instance: Mesh["instance"] = async (authority) => {
      const response = await ask(authority);
      return response.status === 200 ? response.header("x-instance") ?? "(none)" : String(response.status);
    };
    return {
      get plane() {
        return plane;
      },
      agent,
      v1,
      v2,
      split,
      ask,
      instance,
      async answeredBy(wanted, authority) {
        let last = "";
        await until(async () => (last = await instance(authority)) === wanted, `an answer of ${wanted}`)
          .catch(
            (e: Error) => {
              throw new Error(`${e.message}; last: ${last}\n${agent.printed()}`);
            },
          );
      },
      async restartPlane(yaml) {
        // The agent may be there at once: one that knew of nothing yet would tell it so.
        plane = await startControlPlane({ temper, port: plane.port, servesFirst: true });
        await plane.serve(yaml);
      },
      load: () => startLoad(agent.http),
      [Symbol.asyncDispose]: () => disposables.disposeAsync(),
    };
  } catch (e) {
    await disposables.disposeAsync();
    throw e;
  }
}

function startLoad(address: Address): RunningLoad {
  let stopped = false;
  const seen: string[] = [];
  const running = runLoad({
    address,
    request: proxyGet("istioserver:8084"),
    connections: 8,
    stopped: () => stopped,
    key: (response) => response.header("x-instance") ?? "(none)",
    onAnswer: (key) => void seen.push(key),
  });
  return {
    get count() {
      return seen.length;
    },
    async answers(count, key) {
      const counted = () => key === undefined ? seen.length : seen.filter((k) => k === key).length;
      const wanted = counted() + count;
      await until(() => counted() >= wanted, `${count} more answers`);
    },
    stop() {
      stopped = true;
      return running;
    },
  };
}

/** A service of its own on a port, answered by one upstream. */
export function service(host: string, port: number, upstream: { readonly port: number }): string {
  return serviceEntry(`${host}.default.svc.cluster.local`, port, { v1: upstream.port });
}
