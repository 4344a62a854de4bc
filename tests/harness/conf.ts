/** Temporary Mesher conf directories and the rules that tests put into them. */

export interface ConfDirectory extends AsyncDisposable {
  /** Absolute path. */
  readonly path: string;
  /** Absolute path of a file of it; `rules/x.yaml` is a rule file. */
  file(name: string): string;
  /** Replaces a file as editors do: written beside and renamed. */
  write(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
}

export interface ConfOptions {
  /** Name -> text, e.g. `rules/istioserver.yaml`. */
  readonly files?: Readonly<Record<string, string>>;
  /** Default `file`. */
  readonly discovery?: string;
  /** Of the service discovery; default `rules`. */
  readonly address?: string;
  /** `cse.discovery`: delta, hosts, … */
  readonly controlPlane?: Readonly<Record<string, unknown>>;
  /** Default 127.0.0.1:0. */
  readonly http?: string;
  /** Default: no second listener. */
  readonly grpc?: string;
  readonly admin?: string;
  /** `cse.mesh`: engine, accessLog, limits, timeouts, … */
  readonly mesh?: Readonly<Record<string, unknown>>;
  /** Default `true`; null leaves the key out. */
  readonly registratorDisabled?: string | null;
}

/** Makes a directory with chassis.yaml, an empty rules directory and the given files. */
export async function makeConf(options: ConfOptions = {}): Promise<ConfDirectory> {
  const path = await Deno.makeTempDir({ prefix: "mesh-agent-conf-" });
  await Deno.mkdir(`${path}/rules`);
  const conf: ConfDirectory = {
    path,
    file: (name) => `${path}/${name}`,
    async write(name, text) {
      const slash = name.lastIndexOf("/");
      if (slash > 0) await Deno.mkdir(`${path}/${name.slice(0, slash)}`, { recursive: true });
      await Deno.writeTextFile(`${path}/.${name.replaceAll("/", "_")}.new`, text);
      await Deno.rename(`${path}/.${name.replaceAll("/", "_")}.new`, `${path}/${name}`);
    },
    async remove(name) {
      await Deno.remove(`${path}/${name}`, { recursive: true });
    },
    async [Symbol.asyncDispose]() {
      await Deno.remove(path, { recursive: true }).catch(() => {});
    },
  };
  await conf.write("chassis.yaml", chassisText(options));
  for (const [name, text] of Object.entries(options.files ?? {})) await conf.write(name, text);
  return conf;
}

/** chassis.yaml with both listeners on free ports. */
export function chassisText(options: ConfOptions = {}): string {
  const disabled = options.registratorDisabled === undefined ? "true" : options.registratorDisabled;
  return `cse:
  protocols:
    http:
      listenAddress: ${options.http ?? "127.0.0.1:0"}
${options.grpc === undefined ? "" : `    grpc:\n      listenAddress: ${options.grpc}\n`}    rest-admin:
      listenAddress: ${options.admin ?? "127.0.0.1:0"}
  service:
    registry:
${disabled === null ? "" : `      registrator:\n        disabled: ${disabled}\n`}      serviceDiscovery:
        type: ${options.discovery ?? "file"}
        address: ${options.address ?? "rules"}
${options.controlPlane === undefined ? "" : `  discovery: ${JSON.stringify(options.controlPlane)}\n`}${
    options.mesh === undefined ? "" : `  mesh: ${JSON.stringify(options.mesh)}\n`
  }`;
}

/** One service with one endpoint per entry of `endpoints` (version label -> port of 127.0.0.1). */
export function serviceEntry(
  host: string,
  port: number,
  endpoints: Readonly<Record<string, number>>,
): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: ${host.replaceAll(".", "-")}
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: ${port}, name: http, protocol: HTTP}
  endpoints:
${
    Object.entries(endpoints).map(([version, p]) =>
      `  - {address: 127.0.0.1, ports: {http: ${p}}, labels: {app: ${host}, version: ${version}}}\n`
    ).join("")
  }`;
}

/** Subsets named after the versions. */
export function destinationRule(host: string, versions: readonly string[]): string {
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: ${host.replaceAll(".", "-")}
spec:
  host: ${host}
  subsets:
${versions.map((v) => `  - {name: ${v}, labels: {version: ${v}}}\n`).join("")}`;
}

/** Weights by subset. `more` are further lines of the http route, four spaces deep. */
export function splitRule(host: string, weights: Readonly<Record<string, number>>, more = ""): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ${host.replaceAll(".", "-")}
spec:
  hosts: [${host}]
  http:
  - route:
${
    Object.entries(weights).map(([subset, weight]) =>
      `    - destination: {host: ${host}, subset: ${subset}}\n      weight: ${weight}\n`
    ).join("")
  }${more}`;
}

/** What the short name means in namespace default; a ServiceEntry must declare it in full. */
export const ISTIOSERVER = "istioserver.default.svc.cluster.local";

/** The mission's own case: service, subsets and split in one file. */
export function istioserver(
  endpoints: Readonly<Record<string, number>>,
  weights: Readonly<Record<string, number>>,
  more = "",
): string {
  return [
    serviceEntry(ISTIOSERVER, 8084, endpoints),
    destinationRule("istioserver", Object.keys(endpoints)),
    splitRule("istioserver", weights, more),
  ].join("---\n");
}
