import assert from "node:assert/strict";
import { parseEnvironment, readBundle } from "./vm_bundle.ts";

/** In the words of Istio 1.20's istioctl x workload entry configure. */
const CLUSTER_ENV = `CANONICAL_REVISION='latest'
CANONICAL_SERVICE='web'
IDENTITY_PATH_PREFIX=''
ISTIO_INBOUND_PORTS='*'
ISTIO_LOCAL_EXCLUDE_PORTS='22,15090,15021,15020'
ISTIO_METAJSON_LABELS='{"app":"web","service.istio.io/canonical-name":"web"}'
ISTIO_META_AUTO_REGISTER_GROUP='web'
ISTIO_META_CLUSTER_ID='west'
ISTIO_META_DNS_CAPTURE='true'
ISTIO_META_MESH_ID=''
ISTIO_META_WORKLOAD_NAME='web'
ISTIO_NAMESPACE='shop'
ISTIO_SERVICE='web.shop'
ISTIO_SERVICE_CIDR='*'
ISTIO_SVC_IP='10.1.2.3'
POD_NAMESPACE='shop'
SERVICE_ACCOUNT='web-vm'
TRUST_DOMAIN='cluster.local'
`;

const MESH_YAML = `defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
  proxyMetadata:
    ISTIO_META_CLUSTER_ID: ignored, cluster.env has it
    ISTIO_META_NETWORK: vm-network
    POD_NAMESPACE: shop
    TRUST_DOMAIN: ""
  readinessProbe:
    httpGet: {port: 8080}
`;

const read = (files: Record<string, string>) => readBundle(new Map(Object.entries(files)));

Deno.test("bundle: everything that istioctl wrote", () => {
  const rootCert = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n";
  const { metadata, ...rest } = read({
    "cluster.env": CLUSTER_ENV,
    "mesh.yaml": MESH_YAML,
    "hosts": "203.0.113.20 istiod.istio-system.svc\n",
    "istio-token": "a.b.c\n",
    "root-cert.pem": rootCert,
  });
  assert.deepEqual(rest, {
    pilot: "grpcs://203.0.113.20:15012",
    serverName: "istiod.istio-system.svc",
    namespace: "shop",
    ip: "10.1.2.3",
    service: "web",
    ranges: [],
    token: "a.b.c",
    rootCert,
    left: [
      "ISTIO_INBOUND_PORTS: no port is captured: SERVICE_PORTS names those that the agent stands in front of",
      "ISTIO_LOCAL_EXCLUDE_PORTS: no port is captured",
      "ISTIO_META_DNS_CAPTURE: no DNS is captured",
    ],
    problems: [],
  });
  assert.deepEqual(Object.fromEntries(metadata), {
    ISTIO_METAJSON_LABELS: '{"app":"web","service.istio.io/canonical-name":"web"}',
    ISTIO_META_AUTO_REGISTER_GROUP: "web",
    ISTIO_META_CLUSTER_ID: "west",
    ISTIO_META_NETWORK: "vm-network",
    ISTIO_META_SERVICE_ACCOUNT: "web-vm",
    ISTIO_META_WORKLOAD_NAME: "web",
  });
});

for (
  const [name, files, pilot, serverName] of [
    [
      "no hosts: by its name",
      { "mesh.yaml": MESH_YAML },
      "grpcs://istiod.istio-system.svc:15012",
      undefined,
    ],
    [
      "an empty hosts",
      { "mesh.yaml": MESH_YAML, hosts: "" },
      "grpcs://istiod.istio-system.svc:15012",
      undefined,
    ],
    [
      "hosts without its name",
      { "mesh.yaml": MESH_YAML, hosts: "203.0.113.20 other" },
      "grpcs://istiod.istio-system.svc:15012",
      undefined,
    ],
    [
      "a revision, by CA_ADDR alone, IPv6",
      {
        "cluster.env": "CA_ADDR='istiod-rev-1.istio-system.svc:15012'\n",
        "mesh.yaml": "defaultConfig: {}\n",
        hosts: "fd00:10:96::2 istiod-rev-1.istio-system.svc",
      },
      "grpcs://[fd00:10:96::2]:15012",
      "istiod-rev-1.istio-system.svc",
    ],
    [
      "plaintext has no certificate to be named",
      {
        "mesh.yaml": "defaultConfig: {discoveryAddress: 'istiod.istio-system.svc:15010'}",
        hosts: "203.0.113.20 istiod.istio-system.svc # the load balancer",
      },
      "grpc://203.0.113.20:15010",
      undefined,
    ],
    [
      "nothing said: Istio's own default",
      { "cluster.env": "A=b\n" },
      "grpcs://istiod.istio-system.svc:15012",
      undefined,
    ],
  ] as const
) {
  Deno.test(`bundle: address of istiod, ${name}`, () => {
    const bundle = read(files);
    assert.deepEqual([bundle.pilot, bundle.serverName, bundle.problems], [pilot, serverName, []]);
  });
}

Deno.test("bundle: ranges of the mesh, and the namespace of old ones", () => {
  const { ranges, namespace } = read({
    "cluster.env": "ISTIO_SERVICE_CIDR=10.0.0.0/8,172.20.0.0/16\nISTIO_NAMESPACE=old\n",
  });
  assert.deepEqual([ranges, namespace], [["10.0.0.0/8", "172.20.0.0/16"], "old"]);
});

Deno.test("bundle: values quoted as a shell reads them", () => {
  const problems: string[] = [];
  const found = parseEnvironment(
    [
      "A='it'\"'\"'s'",
      'B="say \\"hi\\" for \\$5"',
      "export C=plain/x:1",
      "D=",
      "E='' # empty",
      "# F=1",
      "",
      "G=a\\ b",
      "H='a b' # c",
    ].join("\n"),
    problems,
  );
  assert.deepEqual(Object.fromEntries(found), {
    A: "it's",
    B: 'say "hi" for $5',
    C: "plain/x:1",
    D: "",
    E: "",
    G: "a b",
    H: "a b",
  });
  assert.deepEqual(problems, []);
});

Deno.test("bundle: what cannot be read is told with its place", () => {
  const { problems } = read({
    "cluster.env": "A='open\nno line\nB=c\n",
    "mesh.yaml": "a: [",
    "root-cert.pem": "not yet",
  });
  assert.deepEqual(problems.map((text) => text.replace(/(no YAML: ).*/s, "$1...")), [
    "cluster.env:1 is no NAME=VALUE as a shell reads it",
    "cluster.env:2 is no NAME=VALUE as a shell reads it",
    "mesh.yaml is no YAML: ...",
    "root-cert.pem has no certificate",
  ]);
});

Deno.test("bundle: a name that would be more than a name in the unit's environment file is a problem", () => {
  const { metadata, problems } = read({
    "mesh.yaml": `defaultConfig:
  proxyMetadata:
    "ISTIO_META_A=1\\nLD_PRELOAD": /tmp/evil.so
    "ISTIO_META_B; reboot; C": "1"
    ISTIO_META_GOOD: "1"
`,
  });
  assert.deepEqual([...metadata.keys()], ["ISTIO_META_GOOD"]);
  assert.deepEqual(problems, [
    'mesh.yaml: proxyMetadata has "ISTIO_META_A=1\\nLD_PRELOAD", which is no name of a variable',
    'mesh.yaml: proxyMetadata has "ISTIO_META_B; reboot; C", which is no name of a variable',
  ]);
});
