/** The commands and their help. Loading this loads no command. */
import type { Flag } from "./args.ts";
import type { CommandHelp } from "./command.ts";

const JSON_FLAG: Flag = { name: "json", help: "print JSON" };
const CONFIG: Flag = {
  name: "config",
  short: "c",
  value: "DIR",
  help: "conf directory, or a mesher.yaml in it (default: $CHASSIS_HOME/conf, then ./conf)",
};
const NAMESPACE: Flag = {
  name: "namespace",
  short: "n",
  value: "NAME",
  help: "namespace of the workload and of rules that name none (default: default)",
};
const RULES: Flag = { name: "rules", short: "r", value: "PATH", help: "rules directory or file" };

const ADMIN: Flag = {
  name: "admin",
  value: "ADDR:PORT",
  help: "admin address of a running agent (default 127.0.0.1:30102)",
};

export const COMMANDS: readonly CommandHelp[] = [
  {
    name: "run",
    usage: "run [--config DIR]",
    summary: "start the agent",
    about: [
      "Reads the conf directory, follows its rules and proxies HTTP on the listen address (127.0.0.1:30101).",
      "SIGTERM or SIGINT drains and ends with 0, a second one ends at once. SIGHUP rereads settings and rules,",
      "SIGUSR1 writes the status into the log. The agent runs in a worker that has only the rights it needs",
      "(mesh-agent permissions prints them); when that dies it is started again.",
      "The access log goes to standard output, everything else to standard error.",
    ],
    flags: [
      CONFIG,
      { ...RULES, help: "rules directory, instead of serviceDiscovery.address" },
      { name: "http", value: "ADDR:PORT", help: "proxy address, instead of the settings' (port 0 = any)" },
      { name: "admin", value: "ADDR:PORT", help: "admin address, instead of the settings'" },
      {
        name: "service-ports",
        value: "PORTS",
        help: "ports of INSTANCE_IP in front of the application, such as rest:8084,grpc:9000:9001",
      },
      {
        name: "no-isolation",
        help: "the agent in the process itself, with all its rights (cse.mesh.isolation: false)",
      },
      { name: "print-config", help: "print every effective value with its origin, and end" },
      { name: "log-json", help: "write the log as JSON lines" },
      JSON_FLAG,
    ],
    examples: [
      ["mesh-agent run --config config", "with the configuration that comes along"],
      ["http_proxy=http://127.0.0.1:30101 curl http://istioserver:8084/", "then, from an application"],
      ["mesh-agent run --config config --print-config", "what is in effect, and why"],
    ],
    exits: [[0, "ended by a signal"], [1, "it failed while running"], [
      2,
      "wrong usage, settings or address",
    ]],
    load: () => import("./run.ts"),
  },
  {
    name: "demo",
    usage: "demo [--once N]",
    summary: "the agent with three upstreams, to try it at once",
    about: [
      "Starts the agent with the rules in config/rules and one upstream for each loopback endpoint that they name.",
      "Prints what to try and keeps running; edit the weights and watch the shares follow.",
    ],
    flags: [
      { name: "once", value: "N", help: "send N requests, print the shares against the weights, and end" },
      CONFIG,
      { ...RULES, help: "rules directory, instead of the configuration's" },
      { name: "http", value: "ADDR:PORT", help: "proxy address (default 127.0.0.1:30101)" },
      { name: "admin", value: "ADDR:PORT", help: "admin address (default 127.0.0.1:30102)" },
      JSON_FLAG,
    ],
    examples: [
      ["mesh-agent demo", "keeps running"],
      ["mesh-agent demo --once 10000", "measures the split and ends"],
    ],
    exits: [
      [0, "ended by a signal, or every request was answered"],
      [1, "a request failed"],
      [2, "wrong usage, settings or address"],
    ],
    load: () => import("./demo.ts"),
  },
  {
    name: "check",
    usage: "check PATH...",
    summary: "judge rule files",
    about: [
      "Reads rules directories and files, and prints what is wrong with them: spelling, types, Istio's own",
      "validation, and what only shows across files (unknown hosts and subsets, routes that are never reached).",
    ],
    flags: [NAMESPACE, { name: "strict", help: "count warnings as errors" }, JSON_FLAG],
    examples: [
      ["mesh-agent check config/rules", "a directory"],
      ["mesh-agent check --json reviews.yaml", "one file, for a program to read"],
    ],
    exits: [[0, "no error"], [1, "errors (with --strict also warnings)"], [
      2,
      "wrong usage or unreadable path",
    ]],
    load: () => import("./check.ts"),
  },
  {
    name: "explain",
    usage: "explain [METHOD] URL [-H NAME:VALUE]...",
    summary: "why a request goes where it goes",
    about: [
      "Shows the virtual host, each route with the first condition that failed, and the destinations.",
      "Asks a running agent (--admin, default 127.0.0.1:30102), or offline with --rules or --config.",
    ],
    flags: [
      { name: "header", short: "H", value: "NAME:VALUE", many: true, help: "request header" },
      { name: "inbound", help: "as a request to a service port, which the URL's port names" },
      RULES,
      CONFIG,
      ADMIN,
      NAMESPACE,
      JSON_FLAG,
    ],
    examples: [
      ["mesh-agent explain GET http://istioserver:8084/hello --rules config/rules", "offline"],
      ["mesh-agent explain http://reviews:9080/ -H 'end-user: jason'", "by the running agent"],
    ],
    exits: [[0, "explained"], [1, "the agent did not answer"], [2, "wrong usage or unreadable path"]],
    load: () => import("./explain.ts"),
  },
  {
    name: "status",
    usage: "status [--admin ADDR:PORT]",
    summary: "where a running agent has its rules from, and how fresh they are",
    about: [
      "Shows the rules in force and, for a control plane, each connection: its step (DNS, TCP, TLS, token, stream,",
      "first sync, synced), address, mode and node, the last failure and the next try; and for each resource type",
      "version, nonce, age, resources, subscriptions, messages, and what was refused (NACK) and why.",
    ],
    flags: [ADMIN, JSON_FLAG],
    examples: [
      ["mesh-agent status", "of the agent at 127.0.0.1:30102"],
      ["mesh-agent status --admin 127.0.0.1:30112 --json", "of another one, for a program to read"],
    ],
    exits: [[0, "the agent is ready"], [1, "it is not ready, or did not answer"], [2, "wrong usage"]],
    load: () => import("./status.ts"),
  },
  {
    name: "wait",
    usage: "wait [--timeout 60s]",
    summary: "until outbound requests are routed by rules",
    about: [
      "Asks a running agent, or one that is just being started, until it is ready: its proxy listens and rules are in (also",
      "those of its cache). Prints nothing then; when the time is over, the step that is missing and what to do.",
    ],
    flags: [
      { name: "timeout", value: "DURATION", help: "at most so long (default 60s)" },
      ADMIN,
      { ...CONFIG, help: "conf directory whose admin address is asked, instead of --admin" },
    ],
    examples: [
      ["mesh-agent wait && exec ./application", "an application that starts with its mesh"],
      ["mesh-agent wait --timeout 2m --admin 127.0.0.1:30112", "another agent, a longer time"],
    ],
    exits: [[0, "outbound works"], [1, "it does not: the missing step is printed"], [2, "wrong usage"]],
    load: () => import("./wait.ts"),
  },
  {
    name: "doctor",
    usage: "doctor [--config DIR]",
    summary: "what keeps the agent from working, and what to do about it",
    about: [
      "Checks settings, runtime, rights, listen addresses, cache, rules, and of each control plane DNS, TCP, TLS, certificate,",
      "token, clock and the answer; of a running agent its readiness, what it refused (NACK) and what it was denied.",
      "One line each: ok, warn or fail, with the next step below. Works with and without a running agent; run it as the",
      "agent's user, whose files and ports they are.",
    ],
    flags: [CONFIG, ADMIN, JSON_FLAG],
    examples: [
      ["mesh-agent doctor --config /etc/mesh-agent/conf", "of a machine"],
      ["mesh-agent doctor --json", "for a program to read"],
    ],
    exits: [[0, "no check failed"], [1, "a check failed"], [2, "wrong usage"]],
    load: () => import("./doctor.ts"),
  },
  {
    name: "permissions",
    usage: "permissions [--config DIR]",
    summary: "what the agent may do, and which setting makes it so",
    about: [
      "Prints each right of an agent that run would start: addresses to listen on, places to connect to, files to read,",
      "variables; with the setting or file that caused it. What is not there is denied: to requests with 403 and P209.",
    ],
    flags: [
      CONFIG,
      { ...RULES, help: "rules directory, instead of serviceDiscovery.address" },
      { name: "http", value: "ADDR:PORT", help: "proxy address, instead of the settings'" },
      { name: "admin", value: "ADDR:PORT", help: "admin address, instead of the settings'" },
      {
        name: "service-ports",
        value: "PORTS",
        help: "ports of INSTANCE_IP in front of the application, such as rest:8084,grpc:9000:9001",
      },
      JSON_FLAG,
    ],
    examples: [
      ["mesh-agent permissions --config config", "to read"],
      ["mesh-agent permissions --json", "with the list as the runtime gets it"],
    ],
    exits: [[0, "printed"], [2, "wrong usage or settings"]],
    load: () => import("./permissions.ts"),
  },
  {
    name: "program",
    usage: "program [PATH] [--format text|json|envoy]",
    summary: "what the rules compile to",
    about: [
      "Prints route tables, listeners, clusters and endpoints: as text, as JSON in the words of Envoy's API, or as a",
      "complete Envoy bootstrap that decides the same way (envoy -c). Of rule files at PATH; without it of a running",
      "agent (--admin, default 127.0.0.1:30102): what its files or its control plane's answers became.",
    ],
    flags: [
      { name: "format", short: "f", value: "FORMAT", help: "text (default), json or envoy" },
      {
        name: "listen",
        value: "ADDR:PORT",
        help: "listener of the Envoy bootstrap (default 127.0.0.1:30101)",
      },
      {
        name: "admin",
        value: "ADDR:PORT",
        help: "without PATH: admin address of a running agent; with it: admin of the Envoy bootstrap",
      },
      { name: "outbound", value: "POLICY", help: "ALLOW_ANY (default) or REGISTRY_ONLY" },
      NAMESPACE,
      { name: "json", help: "the same as --format json" },
    ],
    examples: [
      ["mesh-agent program config/rules", "to read"],
      ["mesh-agent program config/rules --format envoy > envoy.json", "for envoy -c envoy.json"],
      ["mesh-agent program --admin 127.0.0.1:30102", "of a running agent"],
    ],
    exits: [
      [0, "printed"],
      [1, "printed, but rules with errors are left out; or the agent did not answer"],
      [2, "wrong usage"],
    ],
    load: () => import("./program.ts"),
  },
  {
    name: "vm",
    usage: "vm init --pilot ADDRESS [--from DIR]",
    summary: "make this machine run the agent: conf, certificates, systemd unit",
    about: [
      "Writes /etc/mesh-agent (conf, who the machine is, certificates and token), user, owners and unit for systemd,",
      "and prints what it did and what is next. Takes the bundle of istioctl x workload entry configure: cluster.env,",
      "mesh.yaml, hosts (an address of istiod there goes into the settings), istio-token, root-cert.pem.",
      "Doing it again changes nothing; what was edited is kept. It never touches resolv.conf, /etc/hosts or iptables.",
    ],
    flags: [
      {
        name: "pilot",
        value: "ADDRESS",
        help:
          "control plane, such as grpcs://203.0.113.20:15012; several with commas (default: the bundle's)",
      },
      { name: "type", value: "TYPE", help: "pilotv3 (default), pilotv2 or pilot" },
      { name: "from", value: "DIR", help: "bundle of istioctl x workload entry configure" },
      { name: "ip", value: "ADDRESS", help: "address of this machine (default: ISTIO_SVC_IP of the bundle)" },
      { name: "name", value: "NAME", help: "name of this workload (default: that of the machine)" },
      { ...NAMESPACE, help: "namespace of the workload (default: the bundle's, else default)" },
      {
        name: "service-account",
        value: "NAME",
        help: "service account of the token (default: the bundle's)",
      },
      { name: "token", value: "FILE", help: "JWT of audience istio-ca (default: the bundle's istio-token)" },
      { name: "root-cert", value: "FILE", help: "istiod's root certificate (default: the bundle's)" },
      {
        name: "server-name",
        value: "NAME",
        help:
          "name in istiod's certificate (default: the bundle's, else istiod.istio-system.svc for an address)",
      },
      {
        name: "service-ports",
        value: "PORTS",
        help: "ports of this machine's address in front of the application, such as rest:8084",
      },
      { name: "root", value: "DIR", help: "directory that stands for /, to fill an image" },
      { name: "force", help: "replace what was edited" },
      { name: "dry-run", help: "only say what would be done" },
    ],
    examples: [
      ["sudo mesh-agent vm init --from bundle", "all from the bundle"],
      [
        "sudo mesh-agent vm init --pilot grpc://10.0.0.5:15010 --ip 10.1.2.3 --namespace shop",
        "plaintext, without a bundle",
      ],
    ],
    exits: [[0, "done, or nothing to do"], [1, "a file cannot be read or written"], [2, "wrong usage"]],
    load: () => import("./vm.ts"),
  },
  {
    name: "sleep",
    usage: "sleep DURATION",
    summary: "wait, where no other program can (preStop in an image without a shell)",
    about: [
      "Ends after that time. The agent's image holds no other program; Kubernetes before 1.30 has no sleep action of",
      "its own. With it as preStop the agent serves the application that is ending beside it.",
    ],
    flags: [],
    examples: [["mesh-agent sleep 15s", "a quarter of a minute"]],
    exits: [[0, "the time is over"], [2, "wrong usage"]],
    load: () => import("./sleep.ts"),
  },
  {
    name: "version",
    usage: "version",
    summary: "print the version, and what this runtime can do",
    about: ["What is missing is told with the reason; settings that need it are refused (N118)."],
    flags: [
      { name: "capabilities", help: "try what differs between runtimes, and print it (about a second)" },
      JSON_FLAG,
    ],
    examples: [
      ["mesh-agent version --json", "for a program to read"],
      ["mesh-agent version --capabilities", "what of the runtime there is, and what it is for"],
    ],
    exits: [[0, "printed"], [2, "wrong usage"]],
    load: () => import("./version.ts"),
  },
];
