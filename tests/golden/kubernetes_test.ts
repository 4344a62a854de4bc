/**
 * The manifests of config/deploy/kubernetes against the agent itself: settings, commands, ports, rights, order of start and end.
 * Kubernetes' own schemas judge them in tests/interop/kubernetes_test.ts.
 */
import assert from "node:assert/strict";
import { formatDiagnostic } from "../../agent/core/diagnostics.ts";
import { parseDuration } from "../../agent/core/duration.ts";
import { VERSION } from "../../agent/core/version.ts";
import { ANYBODY, compileRules } from "../../agent/discovery/offline.ts";
import { MAX_CACHE_BYTES } from "../../agent/net/cache_file.ts";
import { explain } from "../../agent/route/explain.ts";
import { viewOf } from "../../agent/route/view.ts";
import { ENV_NAMES } from "../../agent/settings/read.ts";
import { scopeOf } from "../../agent/supervisor/scope.ts";
import {
  commandOf,
  environmentOf,
  type Handler,
  type Manifest,
  MANIFESTS,
  parseManifests,
  type Pod,
  readManifests,
  settingsOf,
  type Variant,
  VARIANTS,
} from "../harness/manifests.ts";

/** Where the program lies in the image. */
const PROGRAM = "/mesh-agent";
const NAMES = ["istioclient", "istioclient-job", "istioserver-v1", "istioserver-v2", "istioserver-v3"];

function eachPod(name: string, test: (pod: Pod, conf: ReadonlyMap<string, string>, variant: Variant) => void | Promise<void>) {
  for (const variant of VARIANTS) {
    Deno.test(`config/deploy/kubernetes/${variant}: ${name}`, async () => {
      const { pods, conf } = await readManifests(variant);
      assert.deepEqual(pods.map((pod) => pod.name).sort(), NAMES);
      for (const pod of pods) await test(pod, conf, variant);
    });
  }
}

const isServer = ({ labels }: Pod) => labels.app === "istioserver";

eachPod("the agent takes its settings, command and variables without a finding", (pod, conf, variant) => {
  const { agent } = pod;
  const config = settingsOf(pod, conf);
  for (const { name } of agent.env ?? []) assert.ok(ENV_NAMES.includes(name), `no setting reads ${name}`);
  assert.equal(agent.image, `mesh-agent:${VERSION}`);
  assert.deepEqual(config.workload, {
    ...config.workload,
    podName: "shop-7d4b9-x2x9c",
    namespace: "shop",
    instanceIp: "10.1.2.3",
  });
  assert.equal(config.workload.labels.app, pod.labels.app);
  assert.equal(config.workload.labels.version, pod.labels.version);
  assert.equal(config.isolation, true);
  const { type } = config.serviceDiscovery;
  const [address] = config.discovery.addresses;
  assert.deepEqual(
    [type, address?.scheme, address?.host, address?.port],
    variant === "pilotv2"
      ? ["pilotv2", "grpc", "istio-pilot.istio-system", 15010]
      : ["pilotv3", "grpcs", "istiod.istio-system.svc", 15012],
  );
});

eachPod("ports agree: agent, probes, application, service", async (pod, conf) => {
  const { agent, application } = pod;
  const { listen, inbound } = settingsOf(pod, conf);
  const portOf = (port: string | number) =>
    typeof port === "number" ? port : agent.ports?.find(({ name }) => name === port)?.containerPort;
  // Kubelet reaches the address of the pod only.
  assert.equal(listen.health?.hostname, "0.0.0.0");
  for (const { httpGet } of [agent.startupProbe, agent.readinessProbe, agent.livenessProbe].filter(isThere)) {
    assert.equal(portOf(httpGet!.port), listen.health?.port);
  }
  const environment = environmentOf(pod, application);
  if (!isServer(pod)) {
    assert.equal(inbound, undefined);
    assert.equal(environment.get("http_proxy"), `http://${listen.http.hostname}:${listen.http.port}`);
    const direct = environment.get("NO_PROXY")?.split(",") ?? [];
    assert.ok(direct.includes(listen.admin?.hostname ?? ""), "what asks the admin API must not ask the proxy");
    return;
  }
  const [{ protocol, port, localPort } = assert.fail("no service port")] = inbound?.servicePorts ?? [];
  assert.equal(protocol, "rest");
  assert.equal(portOf("http"), port);
  assert.ok(application.args?.[0]?.includes(`httpd -f -p 127.0.0.1:${localPort} `));
  assert.equal(application.readinessProbe?.httpGet?.port, port, "through the agent");
  const [service] = parseManifests(await Deno.readTextFile(new URL("istioserver.yaml", MANIFESTS)));
  const [named] = service?.spec.ports ?? [];
  assert.deepEqual([named.name, named.port, named.targetPort], ["http", port, port]);
  assert.deepEqual(service?.spec.selector, { app: pod.labels.app });
});

eachPod("what the agent may read and write is mounted, and nothing else is", (pod, conf, variant) => {
  const { agent, spec } = pod;
  const config = settingsOf(pod, conf);
  const facts = { nameservers: ["10.96.0.10"], realPaths: new Map(), program: [], places: [] };
  const scope = scopeOf(config, facts);
  assert.equal(scope.guard, "runtime");
  const mounts = agent.volumeMounts ?? [];
  const of = (path: string) =>
    mounts.find(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath}/`));
  const used = new Set<string>();
  for (const path of scope.runtime.read.filter((each) => !/^\/etc\/(hosts|resolv\.conf)$/.test(each))) {
    const mount = of(path);
    assert.ok(mount !== undefined, `${path} is in no volume`);
    used.add(mount.name);
  }
  const volume = (name: string) => spec.volumes.find((each) => each.name === name);
  for (const { name, readOnly } of mounts) {
    assert.equal(readOnly === true, volume(name)?.emptyDir === undefined, `${name} readOnly`);
  }
  assert.deepEqual(scope.runtime.write, [config.cacheDir]);
  const cache = volume(of(config.cacheDir)!.name)?.emptyDir?.sizeLimit ?? "";
  // The old file and the new one; whoever writes more is evicted.
  assert.ok(Number(/^(\d+)Mi$/.exec(cache)?.[1]) * 2 ** 20 > 2 * MAX_CACHE_BYTES, cache);

  const listening = scope.grants.filter(({ right }) => right === "listen").map(({ value }) => value).sort();
  const own = ["0.0.0.0:30103", "127.0.0.1:30101", "127.0.0.1:30102"];
  assert.deepEqual(listening, isServer(pod) ? [...own.slice(0, 1), "10.1.2.3:8084", ...own.slice(1)] : own);
  for (const need of ["10.96.0.10:53", "10.0.0.0/8", ...(isServer(pod) ? ["127.0.0.1:8084"] : [])]) {
    assert.ok((scope.runtime.net as string[]).includes(need), need);
  }
  const { certDirectory, tokenFile } = config.discovery;
  if (variant === "pilotv2") {
    // As Mesher has it: there for an address with grpcs://, and not read with grpc://.
    const certs = mounts.find(({ mountPath }) => mountPath === certDirectory)!;
    assert.deepEqual(volume(certs.name)?.secret, { secretName: "istio.default", optional: true });
    used.add(certs.name);
  } else {
    assert.equal(volume(of(certDirectory)!.name)?.configMap?.name, "istio-ca-root-cert");
    const { mountPath, name } = of(tokenFile)!;
    const [{ serviceAccountToken: { path, audience } }] = volume(name)!.projected!.sources as [
      { serviceAccountToken: { path: string; audience: string } },
    ];
    assert.deepEqual([`${mountPath}/${path}`, audience], [tokenFile, "istio-ca"]);
  }
  assert.deepEqual([...used].sort(), mounts.map(({ name }) => name).sort(), "volumes of the agent");
  const mounted = new Set([pod.agent, pod.application].flatMap((c) => c.volumeMounts ?? []).map((m) => m.name));
  assert.deepEqual([...mounted].sort(), spec.volumes.map(({ name }) => name).sort());
});

/** Seconds that a hook takes. */
function secondsOf(handler: Handler | undefined): number {
  if (handler === undefined) return 0;
  if (handler.sleep !== undefined) return handler.sleep.seconds;
  const command = handler.exec?.command ?? [];
  if (command[0] !== PROGRAM) {
    assert.deepEqual(command.slice(0, -1), ["sleep"]);
    return Number(command[1]);
  }
  const { name, args } = commandOf(command.slice(1));
  assert.equal(name, "sleep");
  return (parseDuration(args.words[0] ?? "") ?? NaN) / 1000;
}

/** For the application's own end, after its hook. */
const APPLICATION_SECONDS = 5;

eachPod("the agent starts before the application, and ends after it, in time", (pod, conf, variant) => {
  const { agent, application, spec, kind } = pod;
  const config = settingsOf(pod, conf);
  const drain = config.proxy.drainMs / 1000;
  const [before, after] = [application, agent].map(({ lifecycle }) => secondsOf(lifecycle?.preStop)) as [
    number,
    number,
  ];
  assert.equal(before > 0, isServer(pod), "servers wait until nobody sends them requests any more");
  if (variant === "native") {
    assert.deepEqual(spec.initContainers?.map(({ name, restartPolicy }) => [name, restartPolicy]), [
      ["mesh-agent", "Always"],
    ]);
    assert.equal(agent.startupProbe?.httpGet?.path, "/ready");
    // A sidecar is ended when the application is gone.
    assert.equal(after, 0);
    assert.ok(before + APPLICATION_SECONDS + drain <= spec.terminationGracePeriodSeconds);
  } else {
    assert.equal(spec.initContainers, undefined);
    assert.equal(spec.containers[0], agent, "its postStart holds up those after it");
    const [program, ...words] = agent.lifecycle?.postStart?.exec?.command ?? [];
    assert.equal(program, PROGRAM);
    assert.equal(commandOf(words).name, "wait");
    assert.ok(kind === "Job" || after >= before + APPLICATION_SECONDS);
    assert.ok(after + drain < spec.terminationGracePeriodSeconds);
  }
  const quits = application.args?.[0]?.includes(
    `-X POST http://${config.listen.admin?.hostname}:${config.listen.admin?.port}/quitquitquit' EXIT\n`,
  );
  assert.equal(quits, kind === "Job" && variant !== "native", "a sidecar ends by itself");
  assert.equal(spec.restartPolicy, kind === "Job" ? "Never" : undefined);
});

eachPod("probes ask what the health listener answers", ({ agent, kind }, _, variant) => {
  assert.equal(agent.livenessProbe?.httpGet?.path, "/live");
  // What never gets ready must not count as running; of a Job nobody asks.
  assert.equal(agent.readinessProbe?.httpGet?.path, kind === "Job" ? undefined : "/ready");
  assert.equal(agent.startupProbe === undefined, variant !== "native");
});

eachPod("no rights, no writing, bounded memory", ({ agent, application, spec }) => {
  assert.deepEqual(spec.securityContext, {
    runAsNonRoot: true,
    runAsUser: 65_534,
    runAsGroup: 65_534,
    seccompProfile: { type: "RuntimeDefault" },
  });
  assert.equal(spec.automountServiceAccountToken, false);
  for (const { name, securityContext, resources } of [agent, application]) {
    assert.deepEqual(securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    }, name);
    assert.deepEqual(Object.keys(resources.requests), ["cpu", "memory"], name);
    assert.deepEqual(Object.keys(resources.limits), ["memory"], name);
  }
});

for (const variant of VARIANTS) {
  Deno.test(`config/deploy/kubernetes/${variant}: the three versions differ by their version alone`, async () => {
    const { documents } = await readManifests(variant);
    const [v1, v2, v3] = ["v1", "v2", "v3"].map((version) => {
      const found = documents.find(({ metadata }) => metadata.name === `istioserver-${version}`) as Manifest;
      assert.equal(found.metadata.labels?.version, version);
      assert.deepEqual(found.spec.selector.matchLabels, { app: "istioserver", version });
      assert.equal(found.spec.template.metadata.labels.version, version);
      return JSON.stringify(found).replaceAll(new RegExp(`(?<=["-])${version}"`, "g"), 'VERSION"');
    });
    assert.equal(v1, v2);
    assert.equal(v2, v3);
  });

  Deno.test(`config/deploy/kubernetes/${variant}: pods stay without Envoy, and their selectors find them`, async () => {
    for (const { kind, metadata, spec } of (await readManifests(variant)).documents) {
      if (kind === "ConfigMap") continue;
      const { labels, annotations } = spec.template.metadata;
      // Istio before 1.10 looks at the annotation, later ones at the label.
      const marks = variant === "pilotv2" ? annotations : labels;
      assert.equal(marks["sidecar.istio.io/inject"], "false", metadata.name);
      for (const [key, value] of Object.entries(spec.selector?.matchLabels ?? {})) {
        assert.equal(labels[key], value, metadata.name);
      }
    }
  });
}

Deno.test("config/deploy/kubernetes: classic and pilotv2 differ by the control plane alone", async () => {
  const [classic, pilotv2] = await Promise.all([readManifests("classic"), readManifests("pilotv2")]);
  for (const [i, { agent, application, spec }] of classic.pods.entries()) {
    const other = pilotv2.pods[i]!;
    assert.deepEqual(other.application, application);
    const { volumeMounts: _, ...rest } = agent;
    const { volumeMounts: __, ...otherRest } = other.agent;
    assert.deepEqual(otherRest, rest);
    assert.equal(other.spec.terminationGracePeriodSeconds, spec.terminationGracePeriodSeconds);
  }
});

Deno.test("config/deploy/kubernetes: Istio's rules split the service by the labels of the Deployments", async () => {
  const rules = await Deno.readTextFile(new URL("istioserver.yaml", MANIFESTS));
  const [{ metadata, spec } = assert.fail("no service")] = parseManifests(rules);
  // What the control plane makes of the Service and its pods.
  const { pods } = await readManifests("native");
  const entry = JSON.stringify({
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata,
    spec: {
      hosts: [`${metadata.name}.default.svc.cluster.local`],
      ports: [{ number: spec.ports[0].port, name: spec.ports[0].name, protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: pods.filter(isServer).map(({ labels }, i) => ({ address: `10.0.0.${i + 1}`, labels })),
    },
  });
  const { program, tables, diagnostics } = compileRules(
    new Map([["istioserver.yaml", rules], ["service.json", entry]]),
    ANYBODY,
  );
  const found = diagnostics.filter(({ severity }) => severity !== "info");
  assert.deepEqual(found.map(formatDiagnostic), []);
  const view = viewOf({ method: "GET", url: "http://istioserver:8084/hello", headers: [] });
  const { destinations } = explain(program, tables, view);
  assert.deepEqual(
    destinations.map(({ share, endpoints }) => [share, endpoints.map((text) => text.split(":")[0])]),
    [[25, ["10.0.0.1"]], [25, ["10.0.0.2"]], [50, ["10.0.0.3"]]],
  );
});

function isThere<T>(value: T | undefined): value is T {
  return value !== undefined;
}
