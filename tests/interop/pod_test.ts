/**
 * A pod of config/deploy/kubernetes in a network namespace of its own: the files of its ConfigMap, the variables of its manifest and the
 * application's, volumes with Kubernetes' links, and kubelet and istiod on the other side of the wire. Only where things lie differs. Wants
 * root and iproute2.
 */
import assert from "node:assert/strict";
import { runAgent, startAgentProcess } from "../harness/agent.ts";
import { within } from "../harness/bytes.ts";
import { makeCertificate } from "../harness/certificate.ts";
import { type PlaneEvent, startControlPlane } from "../harness/control_plane.ts";
import { environmentOf, MANIFESTS, readManifests, settingsOf, type Variant } from "../harness/manifests.ts";
import { mayMakeNamespaces, type Namespaces, twoNamespaces } from "../harness/namespaces.ts";
import { judged } from "./judges.ts";

const RELAY = new URL("../harness/tls_relay.mjs", import.meta.url).pathname;
const VERSIONS = { v1: 8081, v2: 8082, v3: 8083 };

/** Istio's rules of the manifests, and what the control plane makes of the service: here versions of the cluster. */
async function rules(address: string): Promise<string> {
  const [_service, ...documents] = (await Deno.readTextFile(new URL("istioserver.yaml", MANIFESTS)))
    .split("\n---\n");
  const endpoints = Object.entries(VERSIONS).map(([version, port]) =>
    `  - {address: ${address}, ports: {http: ${port}}, labels: {version: ${version}}}`
  );
  const entry = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: istioserver}
spec:
  hosts: [istioserver.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8084, name: http, protocol: HTTP}]
  endpoints:
${endpoints.join("\n")}
`;
  return [...documents, entry].join("\n---\n");
}

/** A volume as kubelet makes it: each file a link by `..data` to a directory of that version. */
async function volume(path: string, files: ReadonlyMap<string, string>): Promise<string> {
  await Deno.mkdir(`${path}/..2026_11_24`, { recursive: true });
  await Deno.symlink("..2026_11_24", `${path}/..data`);
  for (const [name, text] of files) {
    await Deno.writeTextFile(`${path}/..2026_11_24/${name}`, text);
    await Deno.symlink(`..data/${name}`, `${path}/${name}`);
  }
  return path;
}

/** A process on one side of the wire that ends with its standard input, once it has said that it is ready. */
async function beside(words: readonly string[]): Promise<AsyncDisposable> {
  const child = new Deno.Command(words[0]!, {
    args: words.slice(1),
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.getReader();
  await within(lines.read(), `the start of ${words.join(" ").slice(0, 100)}`);
  return {
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await lines.cancel();
      await child.status;
    },
  };
}

const JWT =
  [{ alg: "none" }, { aud: ["istio-ca"], exp: 4102444800 }].map((part) => btoa(JSON.stringify(part)))
    .join(".").replaceAll("=", "") + ".x";

async function startIstiod(net: Namespaces, secured: boolean) {
  const host = net.cluster;
  const all = new AsyncDisposableStack();
  const plane = all.use(
    await startControlPlane({
      temper: secured ? "istiod" : "pilot-1.0.9",
      port: 15010,
      host,
      before: net.inCluster,
    }),
  );
  await plane.serve(await rules(host));
  const root = await makeCertificate("root", { authority: true });
  const { cert, key } = await makeCertificate("istiod", {
    issuer: root,
    names: ["DNS:istiod.istio-system.svc"],
  });
  const relay = JSON.stringify({ host, port: 15012, to: 15010, cert, key });
  all.use(await beside([...net.inCluster, "node", RELAY, relay]));
  await net.names({ "istiod.istio-system.svc": host, "istio-pilot.istio-system": host });
  return { plane, root: root.cert, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

async function play(variant: Variant): Promise<void> {
  const { pods, conf } = await readManifests(variant);
  const pod = pods.find(({ name }) => name === "istioserver-v1")!;
  const client = pods.find(({ name }) => name === "istioclient")!;
  const { listen, inbound } = settingsOf(pod, conf);
  const [{ port, localPort } = assert.fail("no service port")] = inbound!.servicePorts;

  await using net = await twoNamespaces({ applications: VERSIONS });
  await using istiod = await startIstiod(net, variant !== "pilotv2");
  const directory = await Deno.makeTempDir({ prefix: "mesh-agent-pod-" });
  try {
    const certificates = await volume(`${directory}/ca`, new Map([["root-cert.pem", istiod.root]]));
    const token = await volume(`${directory}/tokens`, new Map([["istio-token", JWT]]));
    await Deno.mkdir(`${directory}/cache`);
    const application =
      `require("http").createServer((q, a) => a.end("the application at " + q.url)).listen(${localPort}, "127.0.0.1", () => console.log("ready")); process.stdin.on("end", () => process.exit(0)).resume()`;
    await using _application = await beside([...net.inVm, "node", "-e", application]);
    const before = `set -- ${net.inVm.join(" ")} "$@"`;
    await using agent = await startAgentProcess(
      ["run", "--config", await volume(`${directory}/conf`, conf)],
      {
        env: {
          ...Object.fromEntries(environmentOf(pod, pod.agent)),
          INSTANCE_IP: net.vm,
          POD_NAMESPACE: "default",
          CSE_DISCOVERY_CERTDIRECTORY: certificates,
          CSE_DISCOVERY_TOKENFILE: `${token}/istio-token`,
          CSE_MESH_CACHEDIR: `${directory}/cache`,
        },
        before,
      },
    );

    const curl = async (...words: string[]): Promise<string> => {
      const { stdout } = await new Deno.Command(words[0]!, {
        args: [...words.slice(1), "-s", "-m", "5", "-w", " %{http_code}"],
      }).output();
      return new TextDecoder().decode(stdout);
    };
    const kubelet = (url: string) => curl(...net.inCluster, "curl", url);
    for (const { httpGet } of [pod.agent.readinessProbe!, pod.agent.livenessProbe!]) {
      assert.match(
        await kubelet(`http://${net.vm}:${listen.health!.port}${httpGet!.path}`),
        /^(ready|live)\n 200$/,
      );
    }
    assert.match(await kubelet(`http://${net.vm}:${listen.health!.port}/program`), / 404$/);
    for (const { port } of [listen.http, listen.admin!]) {
      assert.equal(await kubelet(`http://${net.vm}:${port}/`), " 000", "nobody outside of the pod is let in");
    }
    assert.equal(await kubelet(`http://${net.vm}:${port}/hello`), "the application at /hello 200");

    const variables = [...environmentOf(client, client.application)].map(([name, value]) =>
      `${name}=${value}`
    );
    const asked = ["curl", ...Array(60).fill("http://istioserver:8084/hello")];
    const answers = await curl(...net.inVm, "env", ...variables, ...asked);
    const answered = answers.match(/v\d asked by 10\.77\.0\.2\n 200/g) ?? [];
    assert.equal(answered.length, 60, answers);
    assert.deepEqual([...new Set(answered.map((text) => text.slice(0, 2)))].sort(), ["v1", "v2", "v3"]);

    const opened = istiod.plane.events.find((e): e is PlaneEvent & { kind: "open" } => e.kind === "open")!;
    assert.equal(opened.metadata.authorization, variant === "pilotv2" ? undefined : `Bearer ${JWT}`);
    const [{ node } = assert.fail("nothing asked")] = istiod.plane.requests("CDS");
    assert.equal(node?.id, `sidecar~${net.vm}~shop-7d4b9-x2x9c.default~default.svc.cluster.local`);

    if (variant !== "native") {
      const waited = await runAgent(pod.agent.lifecycle!.postStart!.exec!.command.slice(1), { before });
      assert.deepEqual([waited.code, waited.stderr], [0, ""]);
      const job = pods.find(({ kind }) => kind === "Job")!;
      const [, quit = ""] = /^trap '(.*)' EXIT$/m.exec(job.application.args![0]!) ?? [];
      const { code, text } = await net.run("env", ...variables, "sh", "-c", quit);
      assert.deepEqual([code, (await agent.ended).code], [0, 0], text);
    } else {
      assert.equal((await agent.stop()).code, 0);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

for (const variant of ["native", "classic", "pilotv2"] as const) {
  const name = `pod: ${variant}, with kubelet and control plane on the other side of a wire`;
  if (await mayMakeNamespaces()) judged(name, ["node", "curl"], () => play(variant));
  else Deno.test({ name: `${name} (not run: no root, or no iproute2)`, ignore: true, fn: () => {} });
}
