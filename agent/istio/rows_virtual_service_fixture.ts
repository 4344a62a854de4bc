/** Examples for rows_test.ts. */

export interface Row {
  readonly id: string;
  readonly rule: string;
  /** YAML after the head; each breaks the row. */
  readonly bad: readonly string[];
  /** Each is without error. */
  readonly good: readonly string[];
}

const R = "route: [{destination: {host: a}}]";
const vs = (spec: string) => `spec:\n  hosts: [a.example.com]\n${spec.replace(/^/gm, "  ")}`;
/** One HTTP entry with a route. */
const http = (entry: string) => vs(`http:\n- ${R}\n${entry.replace(/^/gm, "  ")}`);
/** One HTTP entry without one. */
const bare = (entry: string) => vs(`http:\n- name: x\n${entry.replace(/^/gm, "  ")}`);
const match = (condition: string) => http(`match: [${condition}]`);
const tls = (entry: string) => vs(`tls: [${entry}]`);
const tcp = (entry: string) => vs(`tcp: [${entry}]`);
const SNI = "match: [{sniHosts: [a.example.com]}]";
const long = (n: number) => "x".repeat(n);

export const virtualServiceRows: readonly Row[] = [
  {
    id: "VS-E1",
    rule: "a delegate has http only",
    bad: [
      `spec: {gateways: [mesh], http: [{${R}}]}`,
      `spec: {http: [{${R}}], tls: [{${SNI}, ${R}}]}`,
      `spec: {http: [{${R}}], tcp: [{${R}}]}`,
    ],
    good: [`spec: {http: [{${R}}]}`],
  },
  {
    id: "VS-E2",
    rule: "gateway names",
    bad: [
      vs(`gateways: [a/b/c]\nhttp: [{${R}}]`),
      vs(`gateways: [a_b]\nhttp: [{${R}}]`),
      vs(`gateways: [/b]\nhttp: [{${R}}]`),
    ],
    good: [vs(`gateways: [mesh, ns/gw, gw]\nhttp: [{${R}}]`)],
  },
  {
    id: "VS-E3",
    rule: "JWT claims in the mesh",
    bad: [
      match(`{headers: {"@request.auth.claims.sub": {exact: a}}}`),
      match(`{withoutHeaders: {"@request.auth.claims[sub]": {exact: a}}}`),
    ],
    good: [
      vs(`gateways: [gw]\nhttp:\n- match: [{headers: {"@request.auth.claims.sub": {exact: a}}}]\n  ${R}`),
    ],
  },
  {
    id: "VS-E4",
    rule: "host is a wildcard domain or an IP",
    bad: ["a_b.com", "foo.*", "1.2.3.4.5", "a..b", "-a.com", "'a.com:80'"].map((h) =>
      `spec: {hosts: [${h}], http: [{${R}}]}`
    ),
    good: ["a", "'*.foo.com'", "'*-foo.com'", "10.0.0.1", "'::1'", "A.b."].map((h) =>
      `spec: {hosts: [${h}], http: [{${R}}]}`
    ),
  },
  {
    id: "VS-E5",
    rule: "host * in the mesh",
    bad: [
      `spec: {hosts: ['*'], http: [{${R}}]}`,
      `spec: {hosts: ['*'], gateways: [gw, mesh], http: [{${R}}]}`,
    ],
    good: [`spec: {hosts: ['*'], gateways: [gw], http: [{${R}}]}`],
  },
  {
    id: "VS-E6",
    rule: "hosts overlap",
    bad: [
      `spec: {hosts: ['*.foo.com', a.foo.com], http: [{${R}}]}`,
      `spec: {hosts: [a, b, a], http: [{${R}}]}`,
      `spec: {hosts: ['*.com', '*.foo.com'], http: [{${R}}]}`,
    ],
    good: [
      `spec: {hosts: ['*.foo.com', foo.com], http: [{${R}}]}`,
      `spec: {hosts: [a, a.default.svc.cluster.local], http: [{${R}}]}`,
    ],
  },
  {
    id: "VS-E7",
    rule: "no http, tls, tcp",
    bad: ["spec: {hosts: [a]}", "spec: {hosts: [a], http: []}"],
    good: [vs(`http: [{${R}}]`)],
  },
  { id: "VS-E8", rule: "null http entry", bad: [vs(`http: [{${R}}, null]`)], good: [vs(`http: [{${R}}]`)] },
  {
    id: "VS-E9",
    rule: "delegate with redirect or route",
    bad: [bare("delegate: {name: d}\nredirect: {uri: /x}"), http("delegate: {name: d}")],
    good: [bare("delegate: {name: d}"), bare("delegate: {name: d}\nmatch: [{uri: {prefix: /a}}]")],
  },
  {
    id: "VS-E10",
    rule: "delegate of a delegate",
    bad: ["spec: {http: [{delegate: {name: d}}]}"],
    good: [bare("delegate: {name: d}")],
  },
  {
    id: "VS-E11",
    rule: "redirect with another action",
    bad: [
      http("redirect: {uri: /x}"),
      bare("redirect: {uri: /x}\nfault: {abort: {httpStatus: 500, percentage: {value: 1}}}"),
      bare("redirect: {uri: /x}\nrewrite: {uri: /y}"),
      bare("redirect: {uri: /x}\ndirectResponse: {status: 200}"),
    ],
    good: [bare("redirect: {uri: /x}\nheaders: {response: {set: {a: b}}}")],
  },
  {
    id: "VS-E12",
    rule: "direct response with another action",
    bad: [
      http("directResponse: {status: 200}"),
      bare("directResponse: {status: 200}\nfault: {delay: {fixedDelay: 1s}}"),
      bare("directResponse: {status: 200}\nrewrite: {uri: /y}"),
      bare("directResponse: {status: 200}\nredirect: {uri: /x}"),
    ],
    good: [bare("directResponse: {status: 200, body: {string: hi}}")],
  },
  {
    id: "VS-E13",
    rule: "no action",
    bad: [bare("timeout: 1s"), bare("route: []")],
    good: [bare(R), bare("delegate: {name: d}")],
  },
  {
    id: "VS-E14",
    rule: "mirror and mirrors",
    bad: [http("mirror: {host: b}\nmirrors: [{destination: {host: c}}]")],
    good: [http("mirror: {host: b}"), http("mirrors: [{destination: {host: c}}]")],
  },
  {
    id: "VS-E15",
    rule: "match.headers",
    bad: [
      match("{headers: {x: null}}"),
      match("{headers: {'a b': {exact: x}}}"),
      match("{headers: {x: {prefix: ''}}}"),
      match("{headers: {x: {regex: '*'}}}"),
    ],
    good: [match("{headers: {x: {}}}"), match("{headers: {':method': {exact: GET}, x: {exact: ''}}}")],
  },
  {
    id: "VS-E16",
    rule: "match.withoutHeaders",
    bad: [match("{withoutHeaders: {'a b': {exact: x}}}"), match("{withoutHeaders: {x: {regex: '('}}}")],
    good: [match("{withoutHeaders: {x: null, y: {regex: '*'}, z: {}}}")],
  },
  {
    id: "VS-E17",
    rule: "uri, scheme, method, authority, queryParams",
    bad: [
      match("{uri: {regex: '(?=x)'}}"),
      match(`{uri: {regex: '${long(1025)}'}}`),
      match("{uri: {regex: ''}}"),
      match("{scheme: {prefix: ''}}"),
      match("{method: {regex: '['}}"),
      match("{authority: {prefix: ''}}"),
      match("{queryParams: {q: {regex: '*'}}}"),
    ],
    good: [
      match("{uri: {prefix: ''}}"),
      match("{uri: {regex: '/(a|b)+/.*'}, method: {exact: GET}, queryParams: {q: {}}}"),
    ],
  },
  {
    id: "VS-E18",
    rule: "match.port, sourceLabels, gateways, sourceNamespace",
    bad: [
      match("{port: 65536}"),
      match("{sourceLabels: {'a b': c}}"),
      match("{sourceLabels: {a: 'b c'}}"),
      match("{gateways: [a/b/c]}"),
      match("{sourceNamespace: a.b}"),
      match("null"),
    ],
    good: [match("{port: 0, sourceLabels: {app.kubernetes.io/name: x_y, b: ''}, sourceNamespace: ns}")],
  },
  {
    id: "VS-E19",
    rule: "header operations",
    bad: [
      http("headers: {request: {set: {'': x}}}"),
      http("headers: {request: {add: {':path': /x}}}"),
      http("headers: {request: {remove: [Host]}}"),
      http("headers: {response: {set: {host: x}}}"),
      http("headers: {response: {add: {':status': '200'}}}"),
      http("headers: {request: {set: {a: 'abc%123'}}}"),
      http("headers: {request: {set: {a: '%START_TIME%%'}}}"),
      http('headers: {request: {set: {a: "x\\u0001"}}}'),
      vs("http: [{route: [{destination: {host: a}, headers: {response: {remove: [':x']}}}]}]"),
    ],
    good: [
      http(
        "headers: {request: {set: {a: '%REQ(x):10%', b: '100%%', ':authority': z}}, response: {remove: [x]}}",
      ),
      http("headers: {request: {add: {host: z, a: '%START_TIME(%Y/%m)%'}}}"),
    ],
  },
  {
    id: "VS-E20",
    rule: "cors",
    bad: [
      http("corsPolicy: {allowOrigins: [{}]}"),
      http("corsPolicy: {allowOrigins: [{regex: '('}]}"),
      http("corsPolicy: {allowMethods: [get]}"),
      http("corsPolicy: {allowHeaders: ['a b']}"),
      http("corsPolicy: {exposeHeaders: ['']}"),
      http("corsPolicy: {maxAge: 1500ms}"),
      http("corsPolicy: {maxAge: 0s}"),
    ],
    good: [
      http(
        "corsPolicy: {allowOrigins: [{exact: '*'}, {prefix: ''}], allowMethods: [GET, '*'], allowHeaders: ['*'], maxAge: 24h}",
      ),
    ],
  },
  {
    id: "VS-E21",
    rule: "fault and abort",
    bad: [
      http("fault: {}"),
      http("fault: {abort: {httpStatus: 500, percentage: {value: 101}}}"),
      http("fault: {abort: {httpStatus: 500, percentage: {value: 0.00001}}}"),
      http("fault: {abort: {httpStatus: 199}}"),
      http("fault: {abort: {grpcStatus: unavailable}}"),
      http("fault: {abort: {http2Error: x}}"),
    ],
    good: [
      http("fault: {abort: {httpStatus: 600, percentage: {value: 0.0001}}}"),
      http("fault: {abort: {grpcStatus: UNAVAILABLE, percentage: {value: 0}}}"),
    ],
  },
  {
    id: "VS-E22",
    rule: "delay",
    bad: [
      http("fault: {delay: {fixedDelay: 1s, percentage: {value: -1}}}"),
      http("fault: {delay: {fixedDelay: 0s}}"),
      http("fault: {delay: {fixedDelay: 1500us}}"),
      http("fault: {delay: {exponentialDelay: 1s}}"),
    ],
    good: [
      http("fault: {delay: {fixedDelay: 1.5s, percentage: {value: 10}}}"),
      http("fault: {delay: {fixedDelay: 1ms, percent: 5}}"),
    ],
  },
  {
    id: "VS-E23",
    rule: "mirror percentages",
    bad: [
      http("mirror: {host: b}\nmirrorPercent: 101"),
      http("mirror: {host: b}\nmirrorPercentage: {value: 100.5}"),
      http("mirror: {host: b}\nmirrorPercentage: {value: -1}"),
    ],
    good: [http("mirror: {host: b}\nmirrorPercentage: {value: 12.5}")],
  },
  {
    id: "VS-E24",
    rule: "mirrors",
    bad: [
      http("mirror: {host: ''}"),
      http("mirrors: [null]"),
      http("mirrors: [{percentage: {value: 1}}]"),
      http("mirrors: [{destination: {host: '*'}}]"),
      http("mirrors: [{destination: {host: b}, percentage: {value: 101}}]"),
    ],
    good: [http("mirrors: [{destination: {host: b}, percentage: {value: 0}}]")],
  },
  {
    id: "VS-E25",
    rule: "redirect",
    bad: [
      bare("redirect: {uri: /a, prefixRewrite: /b}"),
      bare("match: [{uri: {exact: /a}}]\nredirect: {prefixRewrite: /b}"),
      bare("redirect: {}"),
      bare("redirect: {uri: /a, redirectCode: 200}"),
      bare("redirect: {scheme: ftp}"),
      bare("redirect: {port: 65536}"),
    ],
    good: [
      bare("match: [{uri: {prefix: /a}}]\nredirect: {prefixRewrite: /b, redirectCode: 308}"),
      bare("redirect: {derivePort: FROM_REQUEST_PORT}"),
      bare("redirect: {scheme: https, port: 443, redirectCode: 0}"),
    ],
  },
  {
    id: "VS-E26",
    rule: "direct response",
    bad: [
      bare("directResponse: {status: 601}"),
      bare("directResponse: {}"),
      bare(`directResponse: {status: 200, body: {string: '${long(1024 * 1024 + 1)}'}}`),
    ],
    good: [bare("directResponse: {status: 600}"), bare("directResponse: {status: 503, body: {bytes: aGk=}}")],
  },
  {
    id: "VS-E27",
    rule: "retries",
    bad: [
      http("retries: {attempts: -1}"),
      http("retries: {perTryTimeout: 1s}"),
      http("retries: {attempts: 0, retryOn: 5xx}"),
      http("retries: {retryRemoteLocalities: true}"),
      http("retries: {attempts: 1, perTryTimeout: 0s}"),
      http("retries: {attempts: 1, backoff: 0s}"),
      http("retries: {attempts: 1, retryOn: '5xx, reset'}"),
      http("retries: {attempts: 1, retryOn: 5xxx}"),
      http("retries: {attempts: 1, retryOn: '999'}"),
    ],
    good: [
      http("retries: {}"),
      http("retries: {attempts: 0}"),
      http("retries: {attempts: 3, perTryTimeout: 2s, retryOn: '5xx,reset,503,unavailable', backoff: 10ms}"),
    ],
  },
  {
    id: "VS-E28",
    rule: "rewrite",
    bad: [
      http("rewrite: {uri: /a, uriRegexRewrite: {match: a, rewrite: b}}"),
      http("rewrite: {}"),
      http("rewrite: {uriRegexRewrite: {match: a}}"),
      http("rewrite: {uriRegexRewrite: {match: '(', rewrite: b}}"),
    ],
    good: [
      http("rewrite: {uri: /a, authority: b}"),
      http("rewrite: {uriRegexRewrite: {match: '^/a(.*)', rewrite: '\\1'}}"),
    ],
  },
  {
    id: "VS-E29",
    rule: "authority set twice",
    bad: [
      http("rewrite: {authority: b}\nheaders: {request: {set: {host: c}}}"),
      http("headers: {request: {set: {host: c, ':authority': d}}}"),
      http("headers: {request: {set: {host: c}, add: {Host: d}}}"),
    ],
    good: [http("rewrite: {authority: b}\nheaders: {request: {set: {x-host: c}}}")],
  },
  {
    id: "VS-E30",
    rule: "route entries",
    bad: [
      vs("http: [{route: [null]}]"),
      vs("http: [{route: [{weight: 1}]}]"),
      vs("http: [{route: [{destination: {host: '*'}}]}]"),
      vs("http: [{route: [{destination: {host: ''}}]}]"),
      vs("http: [{route: [{destination: {host: a, subset: a_b}}]}]"),
      vs("http: [{route: [{destination: {host: a, port: {number: 0}}}]}]"),
      vs("http: [{route: [{destination: {host: a}, weight: -1}]}]"),
      vs("http: [{route: [{destination: {host: a}}, {destination: {host: b}, weight: 0}]}]"),
      tcp("{route: [{destination: {host: a}}, {destination: {host: b}}]}"),
    ],
    good: [
      vs("http: [{route: [{destination: {host: a}, weight: 0}]}]"),
      vs(
        "http: [{route: [{destination: {host: a}, weight: 1}, {destination: {host: b, port: {number: 80}}, weight: 2}]}]",
      ),
    ],
  },
  {
    id: "VS-E31",
    rule: "timeout",
    bad: [http("timeout: 0s"), http("timeout: 100us")],
    good: [http("timeout: 1ms"), http("timeout: 1m30s")],
  },
  {
    id: "VS-E32",
    rule: "tls",
    bad: [
      tls(`{${R}}`),
      tls(`{match: [null], ${R}}`),
      tls(`{match: [{port: 443}], ${R}}`),
      tls(`{match: [{sniHosts: ['a_b']}], ${R}}`),
      tls(`{match: [{sniHosts: [b.example.com]}], ${R}}`),
      tls(`{match: [{sniHosts: [a.example.com], destinationSubnets: [1.2.3]}], ${R}}`),
      tls(`{match: [{sniHosts: [a.example.com], port: 70000}], ${R}}`),
      tls(`{${SNI}}`),
    ],
    good: [tls(`{${SNI}, ${R}}`), `spec: {hosts: ['*.example.com'], tls: [{${SNI}, ${R}}]}`],
  },
  {
    id: "VS-E33",
    rule: "tcp",
    bad: [
      tcp(`{match: [null], ${R}}`),
      tcp(`{match: [{destinationSubnets: [1.2.3.4/33]}], ${R}}`),
      tcp("{match: [{port: 1}]}"),
    ],
    good: [tcp(`{match: [{destinationSubnets: [10.0.0.0/8, '2001:db8::/32', 1.2.3.4], port: 1}], ${R}}`)],
  },
  {
    id: "VS-E34",
    rule: "exportTo",
    bad: [
      vs(`exportTo: [., default]\nhttp: [{${R}}]`),
      vs(`exportTo: ['*', a]\nhttp: [{${R}}]`),
      vs(`exportTo: ['~']\nhttp: [{${R}}]`),
      vs(`exportTo: [a.b]\nhttp: [{${R}}]`),
    ],
    good: [vs(`exportTo: [., other]\nhttp: [{${R}}]`), vs(`exportTo: ['*']\nhttp: [{${R}}]`)],
  },
  {
    id: "VS-E35",
    rule: "refused annotations",
    bad: [`metadata: {name: x, annotations: {istio.io/dry-run: "true"}}\n${vs(`http: [{${R}}]`)}`],
    good: [`metadata: {name: x, annotations: {example.com/a: "true"}}\n${vs(`http: [{${R}}]`)}`],
  },
  {
    id: "VS-W1",
    rule: "mirrorPercent",
    bad: [http("mirror: {host: b}\nmirrorPercent: 1")],
    good: [http("mirror: {host: b}")],
  },
  {
    id: "VS-W2",
    rule: "abort without status",
    bad: [http("fault: {abort: {percentage: {value: 1}}}")],
    good: [http("fault: {abort: {httpStatus: 500, percentage: {value: 1}}}")],
  },
  {
    id: "VS-W3",
    rule: "large direct body",
    bad: [bare(`directResponse: {status: 200, body: {string: '${long(100 * 1024 + 1)}'}}`)],
    good: [bare(`directResponse: {status: 200, body: {string: '${long(100 * 1024)}'}}`)],
  },
  {
    id: "VS-W4",
    rule: "dotted gateway",
    bad: [vs(`gateways: [gw.ns.svc.cluster.local]\nhttp: [{${R}}]`)],
    good: [vs(`gateways: [ns/gw]\nhttp: [{${R}}]`)],
  },
  {
    id: "VS-W5",
    rule: "SNI host is an IP",
    bad: [`spec: {hosts: [1.2.3.4], tls: [{match: [{sniHosts: [1.2.3.4]}], ${R}}]}`],
    good: [tls(`{${SNI}, ${R}}`)],
  },
  {
    id: "VS-W6",
    rule: "second rule without match",
    bad: [vs(`http: [{${R}}, {${R}}]`), vs(`tcp: [{${R}}, {${R}}]`)],
    good: [vs(`http: [{match: [{uri: {prefix: /a}}], ${R}}, {${R}}]`)],
  },
  {
    id: "VS-W7",
    rule: "match after a rule without",
    bad: [vs(`http: [{${R}}, {match: [{uri: {prefix: /a}}], ${R}}]`)],
    good: [vs(`http: [{match: [{uri: {prefix: /a}}], ${R}}, {${R}}]`)],
  },
  {
    id: "VS-W8",
    rule: "same match again",
    bad: [
      vs(
        `http: [{match: [{uri: {exact: /a}}], ${R}}, {match: [{name: n, uri: {exact: /a}}, {uri: {exact: /b}}], ${R}}]`,
      ),
      vs(`tls: [{${SNI}, ${R}}, {${SNI}, ${R}}]`),
    ],
    good: [vs(`http: [{match: [{uri: {exact: /a}}], ${R}}, {match: [{uri: {exact: /b}}], ${R}}]`)],
  },
  {
    id: "VS-W9",
    rule: "prefix after a shorter one",
    bad: [
      vs(`http: [{match: [{uri: {prefix: /a}}], ${R}}, {match: [{uri: {prefix: /ab}}], ${R}}]`),
      vs(
        `http: [{match: [{uri: {prefix: /a}, headers: {x: {exact: z}}}], ${R}}, {match: [{uri: {prefix: /ab}, headers: {x: {exact: z}}}], ${R}}]`,
      ),
    ],
    good: [
      vs(`http: [{match: [{uri: {prefix: /ab}}], ${R}}, {match: [{uri: {prefix: /a}}], ${R}}]`),
      vs(
        `http: [{match: [{uri: {prefix: /a}, port: 80}], ${R}}, {match: [{uri: {prefix: /ab}, port: 81}], ${R}}]`,
      ),
      vs(
        `http: [{match: [{uri: {prefix: /a}, headers: {x: {exact: z}}}], ${R}}, {match: [{uri: {prefix: /ab}}], ${R}}]`,
      ),
    ],
  },
];
