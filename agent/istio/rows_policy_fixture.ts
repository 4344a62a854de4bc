/** Examples for rows_test.ts. */
import type { Row } from "./rows_virtual_service_fixture.ts";

const dr = (fields: string) => `spec: {host: a, ${fields}}`;
const policy = (blocks: string) => dr(`trafficPolicy: {${blocks}}`);
const lb = (fields: string) => policy(`loadBalancer: {${fields}}`);
const locality = (fields: string) => lb(`localityLbSetting: {${fields}}`);
const http = (fields: string) => policy(`connectionPool: {http: {${fields}}}`);
const tcp = (fields: string) => policy(`connectionPool: {tcp: {${fields}}}`);
const outlier = (fields: string) => policy(`outlierDetection: {${fields}}`);
const tls = (fields: string) => policy(`tls: {${fields}}`);

export const destinationRuleRows: readonly Row[] = [
  {
    id: "DR-E1",
    rule: "host",
    bad: ["spec: {subsets: [{name: v1}]}", "spec: {host: ''}", "spec: {host: a_b}", "spec: {host: 10.0.0.1}"],
    good: ["spec: {host: '*'}", "spec: {host: a}", "spec: {host: '*.foo.com'}"],
  },
  {
    id: "DR-E2",
    rule: "empty policy",
    bad: [dr("trafficPolicy: {}"), dr("subsets: [{name: v1, trafficPolicy: {}}]")],
    good: [policy("tls: {mode: DISABLE}")],
  },
  {
    id: "DR-E3",
    rule: "tunnel with proxyProtocol",
    bad: [policy("tunnel: {targetHost: b, targetPort: 1}, proxyProtocol: {version: V1}")],
    good: [policy("proxyProtocol: {version: V2}")],
  },
  {
    id: "DR-E5",
    rule: "tunnel",
    bad: [
      policy("tunnel: {protocol: GET, targetHost: b, targetPort: 1}"),
      policy("tunnel: {targetHost: '*.b', targetPort: 1}"),
      policy("tunnel: {targetHost: b}"),
    ],
    good: [policy("tunnel: {protocol: POST, targetHost: 10.0.0.1, targetPort: 1}")],
  },
  {
    id: "DR-E6",
    rule: "outlier detection",
    bad: [
      outlier("baseEjectionTime: 0s"),
      outlier("interval: 1us"),
      outlier("maxEjectionPercent: 101"),
      outlier("minHealthPercent: -1"),
      outlier("consecutiveLocalOriginFailures: 1"),
    ],
    good: [
      outlier(""),
      outlier(
        "consecutiveLocalOriginFailures: 1, splitExternalLocalOriginErrors: true, baseEjectionTime: 15m",
      ),
    ],
  },
  { id: "DR-E7", rule: "empty pool", bad: [policy("connectionPool: {}")], good: [http("maxRetries: 1")] },
  {
    id: "DR-E8",
    rule: "pool http",
    bad: [
      http("http1MaxPendingRequests: -1"),
      http("http2MaxRequests: -1"),
      http("maxRequestsPerConnection: -1"),
      http("maxRetries: -1"),
      http("maxConcurrentStreams: -1"),
      http("idleTimeout: 0s"),
      http("h2UpgradePolicy: UPGRADE, useClientProtocol: true"),
      http("http2KeepAlive: {interval: 1s}"),
      http("http2KeepAlive: {interval: 1s, timeout: 0s}"),
    ],
    good: [http("maxRequestsPerConnection: 0, idleTimeout: 1h, http2KeepAlive: {interval: 1s, timeout: 1s}")],
  },
  {
    id: "DR-E9",
    rule: "pool tcp",
    bad: [
      tcp("maxConnections: -1"),
      tcp("connectTimeout: 0s"),
      tcp("maxConnectionDuration: 0s"),
      tcp("idleTimeout: 1us"),
      tcp("tcpKeepalive: {time: 0s}"),
      tcp("tcpKeepalive: {interval: 0s}"),
    ],
    good: [
      tcp("maxConnections: 1, connectTimeout: 10s, idleTimeout: 0s, tcpKeepalive: {probes: 3, time: 1h}"),
    ],
  },
  {
    id: "DR-E10",
    rule: "hash cookie",
    bad: [
      lb("consistentHash: {httpCookie: {ttl: 0s}}"),
      lb("consistentHash: {httpCookie: {name: c, attributes: [{name: '', value: x}]}}"),
      lb("consistentHash: {httpCookie: {name: c, attributes: [{name: a, value: x}, {name: a, value: y}]}}"),
    ],
    good: [
      lb("consistentHash: {httpCookie: {name: c, ttl: 0s, attributes: [{name: SameSite, value: Lax}]}}"),
    ],
  },
  {
    id: "DR-E11",
    rule: "minimumRingSize twice",
    bad: [
      lb("consistentHash: {useSourceIp: true, minimumRingSize: 1, ringHash: {}}"),
      lb("consistentHash: {useSourceIp: true, minimumRingSize: 1, maglev: {}}"),
    ],
    good: [lb("consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 1}}")],
  },
  {
    id: "DR-E12",
    rule: "maglev table",
    bad: ["0", "5000011", "65536"].map((n) =>
      lb(`consistentHash: {useSourceIp: true, maglev: {tableSize: ${n}}}`)
    ),
    good: [lb("consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}")],
  },
  {
    id: "DR-E13",
    rule: "locality and zone",
    bad: [lb("localityLbSetting: {enabled: true}, zoneAwareLbSetting: {enabled: true}")],
    good: [lb("zoneAwareLbSetting: {enabled: true, minClusterSize: 3}")],
  },
  {
    id: "DR-E14",
    rule: "locality",
    bad: [
      locality("distribute: [{from: a/*, to: {a/*: 100}}], failover: [{from: a, to: b}]"),
      locality("failover: [{from: a, to: b}], failoverPriority: [topology.kubernetes.io/region]"),
      locality("distribute: [{from: a/*, to: {a/*: 0, b/*: 100}}]"),
      locality("distribute: [{from: a/*, to: {a/*: 50, b/*: 49}}]"),
      locality("distribute: [{from: a/*, to: {a/*: 100}}, {from: a/b, to: {a/*: 100}}]"),
      locality("distribute: [{from: a/*, to: {a/*: 50, a/b/*: 50}}]"),
      locality("distribute: [{from: 'a//b', to: {b: 100}}]"),
      locality("distribute: [{from: '*/a', to: {b: 100}}]"),
      locality("failover: [{from: a, to: a}]"),
      locality("failover: [{from: a/b, to: c}]"),
      locality("failover: [{from: a, to: '*'}]"),
    ],
    good: [
      policy("outlierDetection: {}, loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}"),
      locality("distribute: [{from: a/b/*, to: {a/b/*: 80, c/*: 20}}, {from: c, to: {c: 100}}]"),
    ],
  },
  {
    id: "DR-E15",
    rule: "zone aware",
    bad: [
      lb("zoneAwareLbSetting: {failoverPriority: [topology.kubernetes.io/zone]}"),
      lb("zoneAwareLbSetting: {failover: [{from: a, to: a}]}"),
    ],
    good: [lb("zoneAwareLbSetting: {failoverPriority: [version=v1], failover: [{from: a, to: b}]}")],
  },
  {
    id: "DR-E16",
    rule: "warmup",
    bad: [
      lb("warmup: {aggression: 1}"),
      lb("warmup: {duration: 0s}"),
      lb("warmup: {duration: 1s, minimumPercent: 101}"),
      lb("warmup: {duration: 1s, aggression: 0}"),
    ],
    good: [lb("warmup: {duration: 1s, minimumPercent: 100, aggression: 0.5}")],
  },
  {
    id: "DR-E17",
    rule: "tls",
    bad: [
      tls("mode: SIMPLE, insecureSkipVerify: true, caCertificates: /a"),
      tls("mode: SIMPLE, insecureSkipVerify: true, credentialName: c"),
      tls(
        "mode: MUTUAL, clientCertificate: /c, privateKey: /k, insecureSkipVerify: true, subjectAltNames: [a]",
      ),
      tls("mode: SIMPLE, credentialName: c, caCertificates: /a"),
      tls("mode: MUTUAL, clientCertificate: /c"),
      tls("mode: SIMPLE, credentialName: configmap://other/c"),
    ],
    good: [
      tls("mode: SIMPLE, caCertificates: /a, subjectAltNames: [a], sni: a"),
      tls("mode: MUTUAL, credentialName: c, insecureSkipVerify: true"),
      tls("mode: ISTIO_MUTUAL"),
      tls("mode: SIMPLE, credentialName: configmap://default/c"),
    ],
  },
  {
    id: "DR-E18",
    rule: "port level",
    bad: [
      policy("portLevelSettings: [null]"),
      policy("portLevelSettings: [{tls: {mode: DISABLE}}]"),
      policy("portLevelSettings: [{port: {number: 0}, tls: {mode: DISABLE}}]"),
      policy("portLevelSettings: [{port: {number: 80}}]"),
    ],
    good: [policy("portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]")],
  },
  {
    id: "DR-E19",
    rule: "subsets",
    bad: [
      dr("subsets: [null]"),
      dr("subsets: [{labels: {a: b}}]"),
      dr("subsets: [{name: a.b}]"),
      dr("subsets: [{name: a}, {name: a}]"),
      dr("subsets: [{name: a, labels: {'-x': y}}]"),
    ],
    good: [dr("subsets: [{name: v1, labels: {version: v1}}, {name: V2}]")],
  },
  {
    id: "DR-E20",
    rule: "exportTo",
    bad: [
      dr("exportTo: ['~']"),
      dr("exportTo: [a, a]"),
      dr("exportTo: ['*'], workloadSelector: {matchLabels: {a: b}}"),
    ],
    good: [dr("exportTo: [a, b]"), dr("exportTo: [.], workloadSelector: {matchLabels: {a: b}}")],
  },
  {
    id: "DR-E21",
    rule: "workloadSelector",
    bad: [dr("workloadSelector: {matchLabels: {'': b}}"), dr("workloadSelector: {matchLabels: {a: '*'}}")],
    good: [dr("workloadSelector: {matchLabels: {a: b}}")],
  },
  {
    id: "DR-W1",
    rule: "consecutiveErrors",
    bad: [outlier("consecutiveErrors: 5")],
    good: [outlier("consecutive5xxErrors: 5")],
  },
  {
    id: "DR-W2",
    rule: "minimumRingSize",
    bad: [lb("consistentHash: {useSourceIp: true, minimumRingSize: 1}")],
    good: [lb("consistentHash: {useSourceIp: true}")],
  },
  {
    id: "DR-W3",
    rule: "failover without outlierDetection",
    bad: [locality("failover: [{from: a, to: b}]"), locality("failoverPriority: [version]")],
    good: [policy("outlierDetection: {}, loadBalancer: {localityLbSetting: {failoverPriority: [version]}}")],
  },
  {
    id: "DR-W4",
    rule: "selector without labels",
    bad: [dr("workloadSelector: {}")],
    good: [dr("workloadSelector: {matchLabels: {a: b}}")],
  },
];

const P = "ports: [{number: 80, name: http, protocol: HTTP}]";
const se = (fields: string) => `spec: {hosts: [a.com], ${fields}}`;
const fixed = (endpoint: string) => se(`${P}, resolution: STATIC, endpoints: [${endpoint}]`);
const dns = (endpoint: string) => se(`${P}, resolution: DNS, endpoints: [${endpoint}]`);

export const serviceEntryRows: readonly Row[] = [
  {
    id: "SE-E1",
    rule: "selector labels",
    bad: [
      se(`${P}, resolution: STATIC, workloadSelector: {labels: {'': a}}`),
      se(`${P}, workloadSelector: {labels: {a: 'b*'}}`),
    ],
    good: [se(`${P}, resolution: STATIC, workloadSelector: {labels: {a: b}}`)],
  },
  {
    id: "SE-E2",
    rule: "selector and endpoints",
    bad: [
      se(`${P}, resolution: STATIC, workloadSelector: {labels: {a: b}}, endpoints: [{address: 1.2.3.4}]`),
    ],
    good: [fixed("{address: 1.2.3.4}")],
  },
  {
    id: "SE-E3",
    rule: "hosts",
    bad: [`spec: {${P}}`, `spec: {hosts: ['*'], ${P}}`, `spec: {hosts: [a_b], ${P}}`],
    good: [`spec: {hosts: ['*.a.com', b], ${P}}`],
  },
  {
    id: "SE-E4",
    rule: "addresses",
    bad: [se(`${P}, addresses: [a]`), se(`${P}, addresses: [10.0.0.0/8], resolution: DNS`)],
    good: [se(`${P}, addresses: [10.0.0.0/8, 1.2.3.4, '::1']`)],
  },
  {
    id: "SE-E5",
    rule: "ports",
    bad: [
      se("ports: [null]"),
      se("ports: [{number: 1, name: a, protocol: HTTP}, {number: 2, name: a, protocol: HTTP}]"),
      se("ports: [{number: 1, name: a, protocol: HTTP}, {number: 1, name: b, protocol: HTTP}]"),
      se("ports: [{number: 1, protocol: HTTP}]"),
      se("ports: [{number: 1, name: a.b, protocol: HTTP}]"),
      se("ports: [{number: 1, name: a, protocol: HTP}]"),
      se("ports: [{number: 65536, name: a, protocol: HTTP}]"),
      se("ports: [{number: 1, name: a, protocol: HTTP, targetPort: 65536}]"),
    ],
    good: [se("ports: [{number: 1, name: a, protocol: grpc-web, targetPort: 8080}, {number: 2, name: b}]")],
  },
  {
    id: "SE-E6",
    rule: "NONE with endpoints",
    bad: [se(`${P}, endpoints: [{address: 1.2.3.4}]`)],
    good: [se(P)],
  },
  {
    id: "SE-E7",
    rule: "STATIC endpoints",
    bad: [
      fixed("null"),
      fixed("{labels: {a: b}}"),
      fixed("{address: a.com}"),
      fixed("{address: 'unix://x'}"),
      fixed("{address: 'unix:///x/'}"),
      fixed("{address: 'unix:///x', ports: {http: 80}}"),
      se(
        "ports: [{number: 1, name: a, protocol: HTTP}, {number: 2, name: b, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 'unix:///x'}]",
      ),
      fixed("{address: 1.2.3.4, ports: {other: 80}}"),
      fixed("{address: 1.2.3.4, ports: {http: 0}}"),
      fixed("{address: 1.2.3.4, labels: {a: '-'}}"),
    ],
    good: [
      fixed("{address: 1.2.3.4, ports: {http: 8080}, labels: {a: b}}, {address: '::1'}"),
      fixed("{address: 'unix:///x'}"),
      fixed("{address: 'unix://@x'}"),
    ],
  },
  {
    id: "SE-E8",
    rule: "DNS without endpoints",
    bad: [
      `spec: {hosts: ['*.a.com'], ${P}, resolution: DNS}`,
      `spec: {hosts: ['*.a.com'], ${P}, resolution: DNS_ROUND_ROBIN}`,
    ],
    good: [
      se(`${P}, resolution: DNS`),
      `spec: {hosts: ['*.a.com'], ${P}, resolution: DNS, endpoints: [{address: b.com}]}`,
    ],
  },
  {
    id: "SE-E9",
    rule: "DNS_ROUND_ROBIN with endpoints",
    bad: [se(`${P}, resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.com}, {address: b.com}]`)],
    good: [se(`${P}, resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.com}]`)],
  },
  {
    id: "SE-E10",
    rule: "DNS endpoints",
    bad: [
      dns("null"),
      dns("{address: '*.a.com'}"),
      dns("{address: a.com, ports: {x: 1}}"),
      dns("{address: a.com, labels: {'': b}}"),
    ],
    good: [dns("{address: a.com, ports: {http: 1}}, {address: 1.2.3.4}")],
  },
  {
    id: "SE-E11",
    rule: "DYNAMIC_DNS",
    bad: [
      se(`${P}, resolution: DYNAMIC_DNS`),
      `spec: {hosts: ['*.a.com'], ${P}, resolution: DYNAMIC_DNS, addresses: [1.2.3.4]}`,
      `spec: {hosts: ['*.a.com'], ${P}, resolution: DYNAMIC_DNS, endpoints: [{address: 1.2.3.4}]}`,
      "spec: {hosts: ['*.a.com'], ports: [{number: 1, name: a, protocol: TCP}], resolution: DYNAMIC_DNS}",
    ],
    good: [`spec: {hosts: ['*.a.com'], ${P}, resolution: DYNAMIC_DNS}`],
  },
  {
    id: "SE-E13",
    rule: "several hosts on a TCP port",
    bad: [
      "spec: {hosts: [a, b], ports: [{number: 1, name: a, protocol: TCP}], resolution: DNS}",
      "spec: {hosts: [a, b], ports: [{number: 1, name: a}], resolution: STATIC}",
    ],
    good: [
      `spec: {hosts: [a, b], ${P}, resolution: DNS}`,
      "spec: {hosts: [a, b], ports: [{number: 1, name: a, protocol: TCP}]}",
    ],
  },
  {
    id: "SE-E14",
    rule: "exportTo",
    bad: [se(`${P}, exportTo: ['~', a]`), se(`${P}, exportTo: [a/b]`)],
    good: [se(`${P}, exportTo: ['~']`)],
  },
  {
    id: "SE-W1",
    rule: "selector without labels",
    bad: [se(`${P}, resolution: STATIC, workloadSelector: {}`)],
    good: [se(`${P}, resolution: STATIC, workloadSelector: {labels: {a: b}}`)],
  },
  {
    id: "SE-W2",
    rule: "partial wildcard",
    bad: [`spec: {hosts: ['*foo.com'], ${P}}`],
    good: [
      `spec: {hosts: ['*.foo.com'], ${P}}`,
      `spec: {hosts: ['*foo.com'], ${P}, resolution: DYNAMIC_DNS}`,
    ],
  },
  {
    id: "SE-W3",
    rule: "TCP port without addresses",
    bad: [se("ports: [{number: 1, name: a, protocol: TCP}]"), se("ports: [{number: 1, name: a}]")],
    good: [se("addresses: [1.2.3.4], ports: [{number: 1, name: a, protocol: TCP}]"), se(P)],
  },
  {
    id: "SE-W4",
    rule: "selector with NONE",
    bad: [se(`${P}, workloadSelector: {labels: {a: b}}`)],
    good: [se(`${P}, resolution: STATIC, workloadSelector: {labels: {a: b}}`)],
  },
  {
    id: "SE-W5",
    rule: "several hosts at one address",
    bad: [
      "spec: {hosts: [a, b], addresses: [1.2.3.4], ports: [{number: 1, name: a, protocol: TLS}], resolution: DNS}",
    ],
    good: [`spec: {hosts: [a, b], addresses: [1.2.3.4], ${P}, resolution: DNS}`],
  },
  {
    id: "SE-W6",
    rule: "endpoint by network",
    bad: [fixed("{network: net}")],
    good: [fixed("{address: 1.2.3.4, network: net}")],
  },
];

export const workloadEntryRows: readonly Row[] = [
  {
    id: "WE-E1",
    rule: "WorkloadEntry",
    bad: [
      "spec: {labels: {a: b}}",
      "spec: {address: 'unix:///x/'}",
      "spec: {address: 'unix:///x', ports: {a: 1}}",
      "spec: {address: a_b}",
      "spec: {address: 1.2.3.4, ports: {a.b: 1}}",
      "spec: {address: 1.2.3.4, ports: {a: 65536}}",
      "spec: {address: 1.2.3.4, labels: {a: 'b c'}}",
    ],
    good: [
      "spec: {address: a.com, ports: {http: 8080}, labels: {a: b}, weight: 2}",
      "spec: {address: 'unix:///x'}",
    ],
  },
  {
    id: "WE-W1",
    rule: "empty address with network",
    bad: ["spec: {network: net}"],
    good: ["spec: {address: 1.2.3.4}"],
  },
];
