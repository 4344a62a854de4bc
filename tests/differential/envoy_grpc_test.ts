/**
 * gRPC calls against Envoy: upstreams answer attempt by attempt as the call asks (messages, statuses in trailers or in a head alone,
 * resets, silence), under retry policies, timeouts and answers of the proxy's own. Same status, grpc-status, messages, trailers,
 * and number of attempts.
 */
import assert from "node:assert/strict";
import { envoyBootstrap } from "../../agent/admin/envoy_bootstrap.ts";
import { compileRules } from "../../agent/discovery/offline.ts";
import { within } from "../harness/bytes.ts";
import { SEED } from "./compare.ts";
import { startEnvoy } from "./envoy.ts";
import { type Random, randomOf } from "./generate.ts";
import { startOwnProxy } from "./own_proxy.ts";
import { type RawResponse, Upstream } from "./raw_http.ts";
import { type Answering, Http2Client, servingHttp2 } from "./raw_http2.ts";

const CALLS = 260;
const REPLY = "\0\0\0\0\x05reply";

/** What an upstream does with one attempt. */
const ACTS: Readonly<Record<string, (answer: Answering) => void>> = {
  ok(answer) {
    answer.head(200, [["content-type", "application/grpc"], ["x-head", "up"]], false);
    answer.body(REPLY, false);
    answer.trailers([["grpc-status", "0"], ["x-trailer", "a"], ["x-trailer", "b"], ["data-bin", "AAE="]]);
  },
  "no message"(answer) {
    answer.head(200, [["content-type", "application/grpc"]], false);
    answer.trailers([["grpc-status", "0"]]);
  },
  "late 14"(answer) {
    answer.head(200, [["content-type", "application/grpc"]], false);
    answer.body(REPLY, false);
    answer.trailers([["grpc-status", "14"], ["grpc-message", "late%20one"]]);
  },
  ...Object.fromEntries(
    [0, 1, 4, 5, 8, 13, 14, 16].map((status) => [`only ${status}`, (answer: Answering) => {
      answer.head(200, [
        ["content-type", "application/grpc"],
        ["grpc-status", String(status)],
        ["grpc-message", `alone%20${status}`],
      ], true);
    }]),
  ),
  "http 503": (answer) => answer.head(503, [["content-length", "0"]], true),
  "http 429": (answer) => answer.head(429, [["content-length", "0"]], true),
  refused: (answer) => answer.reset(7),
  cancelled: (answer) => answer.reset(8),
  broken: (answer) => answer.reset(2),
  "half a reply"(answer) {
    answer.head(200, [["content-type", "application/grpc"]], false);
    answer.body(REPLY, false);
    answer.reset(2);
  },
  silent() {},
};

/** Hosts `NAME.test` by what their rule says. */
const RULES: Readonly<Record<string, Record<string, unknown>>> = {
  plain: {},
  none: { retries: { attempts: 0 } },
  status: { retries: { attempts: 2, retryOn: "unavailable,resource-exhausted" } },
  more: { retries: { attempts: 1, retryOn: "5xx,internal,deadline-exceeded,cancelled" } },
  reset: { retries: { attempts: 3, retryOn: "reset" } },
  gateway: { retries: { attempts: 1, retryOn: "gateway-error,retriable-status-codes,429" } },
  timed: { timeout: "0.15s", retries: { attempts: 0 } },
  tries: { retries: { attempts: 1, perTryTimeout: "0.1s", retryOn: "5xx" } },
  abort: { fault: { abort: { grpcStatus: "RESOURCE_EXHAUSTED", percentage: { value: 100 } } } },
  "abort-http": { fault: { abort: { httpStatus: 429, percentage: { value: 100 } } } },
};
const DIRECT = [200, 400, 401, 403, 404, 429, 500, 501, 502, 503, 504];

function rules(port: number): string {
  const object = (kind: string, name: string, spec: unknown) =>
    JSON.stringify({ apiVersion: "networking.istio.io/v1", kind, metadata: { name }, spec });
  const out: string[] = [];
  const service = (name: string, endpoint: number) =>
    out.push(object("ServiceEntry", name, {
      hosts: [`${name}.test`],
      ports: [{ number: 80, name: "grpc", protocol: "GRPC" }],
      resolution: "STATIC",
      endpoints: [{ address: "127.0.0.1", ports: { grpc: endpoint } }],
    }));
  const virtual = (name: string, http: unknown[]) =>
    out.push(object("VirtualService", name, { hosts: [`${name}.test`], http }));
  for (const [name, rule] of Object.entries(RULES)) {
    service(name, port);
    virtual(name, [{ route: [{ destination: { host: `${name}.test` } }], ...rule }]);
  }
  service("dead", 1);
  service("nothing", port);
  virtual("nothing", [{
    match: [{ uri: { exact: "/other" } }],
    route: [{ destination: { host: "dead.test" } }],
  }]);
  service("lost", port);
  virtual("lost", [{ route: [{ destination: { host: "lost.test", subset: "nowhere" } }] }]);
  for (const status of DIRECT) {
    service(`direct-${status}`, port);
    virtual(`direct-${status}`, [{ directResponse: { status } }]);
  }
  return out.join("\n---\n");
}

interface Call {
  readonly host: string;
  readonly acts: readonly string[];
  readonly timeout: string | undefined;
}

function callOf(random: Random): Call {
  const one = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const own = ["dead", "nothing", "lost", "unknown", ...DIRECT.map((s) => `direct-${s}`)];
  const host = random(6) === 0 ? one(own) : one(Object.keys(RULES));
  const bounded = host === "timed" || host === "tries";
  const asked = random(5) === 0 ? one(["120m", "1S", "x", "0m"]) : undefined;
  // The second try of "tries" begins 100 to 125 ms after the first, by chance.
  const timeout = host === "tries" && asked === "120m" ? undefined : asked;
  const names = Object.keys(ACTS).filter((name) => name !== "silent");
  const acts = Array.from({ length: 4 }, () => one(names));
  if (bounded && random(2) === 0) acts[0] = "silent";
  if (timeout === "120m" && !bounded) acts.fill("silent", 0, 1);
  return { host: `${host}.test`, acts, timeout };
}

interface GrpcOutcome {
  readonly status: number;
  readonly grpcStatus: string;
  readonly fields: string;
  readonly body: string;
  readonly trailers: string;
  readonly reset: string;
  readonly attempts: number;
}

function outcomeOf(response: RawResponse, attempts: number): GrpcOutcome {
  const own = !response.headers.some(([name]) => name === "x-head") && response.body === "";
  const plain = (fields: RawResponse["headers"]) =>
    fields.filter(([k]) => !/^(x-envoy-.*|date|server|proxy-status|content-length)$/.test(k))
      .filter(([k, v]) => k !== "grpc-message" || /^(late|alone)/.test(v))
      .map(([k, v]) => `${k}: ${v}`).join("\n");
  const both = [...response.headers, ...response.trailers ?? []];
  return {
    status: response.status,
    grpcStatus: both.find(([k]) => k === "grpc-status")?.[1] ?? "",
    fields: plain(response.headers).split("\n").sort().join("\n"),
    body: own ? "" : response.body,
    trailers: plain(response.trailers ?? []),
    reset: response.reset ?? "",
    attempts,
  };
}

/** Where the agent differs on purpose; each of them occurs. */
const DEVIATIONS: readonly {
  readonly name: string;
  explains(call: Call, theirs: GrpcOutcome, ours: GrpcOutcome): boolean;
}[] = [
  {
    // RFC 9113 section 8.7: nothing was done for such a request, so it goes out again without the rule's consent.
    name: "a refused stream is tried again at once and counts as no retry",
    explains: ({ acts }, theirs, ours) =>
      ours.attempts > theirs.attempts && acts.slice(0, theirs.attempts).includes("refused"),
  },
  {
    // RST_STREAM gives up what waits (RFC 9113 section 5.4.2), and a call cut off has failed whatever came of it.
    name: "an answer whose head and reset come together is reset without the head",
    explains: ({ acts }, theirs, ours) =>
      acts[theirs.attempts - 1] === "half a reply" && ours.status === 0 && ours.reset !== "" &&
      ours.reset === theirs.reset && ours.attempts === theirs.attempts,
  },
];

Deno.test("envoy: gRPC calls end as Envoy ends them", async () => {
  /** By call number and proxy. */
  const attempts = new Map<string, number>();
  const upstream = new Upstream(
    "grpc",
    [],
    servingHttp2((answer, seen) => {
      const get = (name: string) => seen.headers.find(([k]) => k === name)?.[1] ?? "";
      const n = attempts.get(get("x-call")) ?? 0;
      attempts.set(get("x-call"), n + 1);
      ACTS[get("x-acts").split(",")[n] ?? "ok"]!(answer);
    }),
  );
  const { program, diagnostics } = compileRules(new Map([["grpc.yaml", rules(upstream.port)]]));
  assert.deepEqual(diagnostics.filter((d) => d.severity === "error"), []);
  const address = { hostname: "127.0.0.1", port: 0 };
  const envoy = await startEnvoy(
    envoyBootstrap(program, { listen: address, admin: address, outbound: "REGISTRY_ONLY" }),
  );
  const own = startOwnProxy(program);
  const clients = [new Http2Client(envoy.port), new Http2Client(own.port)];
  const random = randomOf(SEED + 9_000);
  const wrong: string[] = [];
  const occurred = new Set<string>();
  const statuses = new Map<string, number>();
  const tries = new Map<number, number>();
  try {
    for (let n = -1; n < CALLS; n++) {
      // The first: its connections and code are made, which may take longer than a try of "tries".
      const call = n < 0 ? { host: "plain.test", acts: ["ok"], timeout: undefined } : callOf(random);
      const outcomes: GrpcOutcome[] = [];
      for (const [i, client] of clients.entries()) {
        const id = `${n}-${i}`;
        const what = `${i === 0 ? "Envoy" : "the agent"} on call ${n}: ${JSON.stringify(call)}`;
        const response = await within(
          client.send({
            method: "POST",
            url: `http://${call.host}/s.Service/Call`,
            headers: [
              ["content-type", "application/grpc"],
              ["te", "trailers"],
              ["x-acts", call.acts.join(",")],
              ["x-call", id],
              ...(call.timeout === undefined ? [] : [["grpc-timeout", call.timeout]] as [string, string][]),
            ],
            body: "\0\0\0\0\x03ask",
          }),
          what,
        );
        outcomes.push(outcomeOf(response, attempts.get(id) ?? 0));
      }
      const [theirs, ours] = outcomes as [GrpcOutcome, GrpcOutcome];
      statuses.set(theirs.grpcStatus, (statuses.get(theirs.grpcStatus) ?? 0) + 1);
      tries.set(theirs.attempts, (tries.get(theirs.attempts) ?? 0) + 1);
      const differing = (Object.keys(theirs) as (keyof GrpcOutcome)[]).filter((k) => theirs[k] !== ours[k]);
      if (differing.length === 0) continue;
      const kept = DEVIATIONS.find((d) => d.explains(call, theirs, ours));
      if (kept !== undefined) occurred.add(kept.name);
      else {
        wrong.push(
          `call ${n} ${JSON.stringify(call)}\n${
            differing.map((k) =>
              `  ${k}:\n    Envoy ${JSON.stringify(theirs[k])}\n    agent ${JSON.stringify(ours[k])}`
            ).join("\n")
          }`,
        );
      }
    }
  } finally {
    for (const client of clients) client.close();
    await own.stop();
    await envoy.stop();
    await upstream.stop();
  }
  assert.equal(wrong.length, 0, `seed ${SEED}: ${wrong.length} of ${CALLS} differ\n\n${wrong.join("\n\n")}`);
  assert.deepEqual(DEVIATIONS.map((d) => d.name).filter((name) => !occurred.has(name)), []);
  for (const status of ["0", "2", "7", "8", "12", "13", "14", "16"]) {
    assert.ok((statuses.get(status) ?? 0) > 0, `no call ended with grpc-status ${status}`);
  }
  // A call with three is rare: of other seeds it is not asked.
  for (const n of SEED === 1 ? [0, 1, 2, 3] : [0, 1, 2]) {
    assert.ok((tries.get(n) ?? 0) > 0, `no call took ${n} attempts`);
  }
});
