/**
 * `doctor`: each control plane, as far as it can be reached: DNS, TCP, TLS, token, stream, first answer, by the same way that the
 * agent takes; and what of certificates, token and clock ends soon or has ended.
 */
import { MeshError } from "../core/errors.ts";
import type { ConnectStep, MessageStream, StreamTarget } from "../core/ports.ts";
import { KEEPALIVE_MS, MAX_MESSAGE_BYTES, metadataOf, SERVICES, tlsOf } from "../discovery/ads.ts";
import { createDialer } from "../net/dial.ts";
import { resolveName, SILENCE, systemResolver } from "../net/dns.ts";
import type { AgentConfig, ControlPlaneAddress } from "../settings/types.ts";
import { createCodec } from "../xds/codec.ts";
import { nodeOf } from "../xds/node.ts";
import type { Generation } from "../xds/types.ts";
import { type Check, fail, fromNow, ofError, ok, warn } from "./check_line.ts";
import { checkIdentity, type Past } from "./doctor_identity.ts";
import { connectClient } from "./http_client.ts";

/** A first answer, ms: a Pilot that has just been started may take longer. */
const ANSWER_MS = 5_000;
/** A clock that is off by more breaks tokens and fresh certificates, ms. */
const SKEW_MS = 30_000;

/** Never rejects. */
export async function* checkPlanes(config: AgentConfig): AsyncGenerator<Check> {
  const { type } = config.serviceDiscovery;
  if (type === "file") return;
  const { addresses, routerAddresses } = config.discovery;
  const planes = [...addresses, ...routerAddresses]
    .filter(({ text }, i, all) => all.findIndex((other) => other.text === text) === i);
  const past: Past[] = [];
  for (const plane of planes) {
    yield* plane.scheme === "http"
      ? checkV1(config, plane, past)
      : checkStream(config, plane, type === "pilotv3" ? "v3" : "v2");
  }
  if (planes.some(({ scheme }) => scheme === "grpcs")) {
    yield* checkIdentity(config, planes.filter(({ scheme }) => scheme === "grpcs"), past, Date.now());
  }
  yield checkClock(past, Date.now());
}

/** What each step says when it is past. */
const DONE: Readonly<Partial<Record<ConnectStep, readonly [name: string, text: string]>>> = {
  TCP: ["tcp", "takes connections"],
  TLS: ["tls", "its certificate chains to the root and carries the name"],
};
const NAMES: Readonly<Record<ConnectStep, string>> = {
  DNS: "dns",
  TCP: "tcp",
  TLS: "tls",
  token: "token",
  stream: "stream",
};

async function* checkStream(
  config: AgentConfig,
  plane: ControlPlaneAddress,
  generation: Generation,
): AsyncGenerator<Check> {
  const names = await checkName(plane);
  yield names;
  if (names.state === "fail") return;
  const steps: ConnectStep[] = [];
  const target: StreamTarget = {
    host: plane.host,
    port: plane.port,
    path: `${SERVICES[generation]}/StreamAggregatedResources`,
    ...(plane.scheme === "grpcs" ? tlsOf(config) : {}),
    maxMessageBytes: MAX_MESSAGE_BYTES,
    keepaliveMs: KEEPALIVE_MS[generation],
    connectTimeoutMs: config.discovery.connectTimeoutMs,
    onStep: (step) => void (steps.at(-1) === step || steps.push(step)),
  };
  const { createHttp2Transport } = await import("../net/h2_transport.ts");
  let stream: MessageStream;
  try {
    stream = await createHttp2Transport().open(target, metadataOf(plane, config));
  } catch (error) {
    yield* past(plane, steps.slice(0, -1));
    yield ofError(NAMES[steps.at(-1) ?? "TCP"], error, "mesh-agent status of a running agent says more.");
    return;
  }
  yield* past(plane, steps);
  yield await firstAnswer(config, plane, generation, stream);
}

function* past({ text }: ControlPlaneAddress, steps: readonly ConnectStep[]): Generator<Check> {
  for (const step of steps) {
    const done = DONE[step];
    if (done !== undefined) yield ok(done[0], `${text} ${done[1]}`);
  }
}

async function checkName({ host }: ControlPlaneAddress): Promise<Check> {
  try {
    const addresses = await resolveName(host);
    return ok("dns", addresses[0] === host ? `${host} is an address` : `${host} is ${addresses.join(", ")}`);
  } catch (error) {
    // Else the runtime speaks of records and queries.
    const silent = error instanceof Error && error.message === SILENCE;
    const state = silent ? SILENCE : "neither /etc/hosts nor a name server has it";
    return fail(
      "dns",
      `${host} has no address (${state})`,
      "Correct the host in serviceDiscovery.address (or router.address), or make it known: /etc/hosts, name server.",
    );
  }
}

/** Asks for clusters as the agent would; who is not let in is told only now. */
async function firstAnswer(
  config: AgentConfig,
  { text }: ControlPlaneAddress,
  generation: Generation,
  stream: MessageStream,
): Promise<Check> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const codec = await createCodec();
    const question = {
      kind: "sotw",
      type: "CDS",
      withNode: true,
      version: "",
      nonce: "",
      names: [],
    } as const;
    stream.send(codec.encodeRequest(generation, question, nodeOf(config, generation)));
    const late = new Promise<null>((resolve) => timer = setTimeout(resolve, ANSWER_MS, null));
    const first = stream.messages[Symbol.asyncIterator]().next();
    first.catch(() => {});
    const answer = await Promise.race([first, late]);
    if (answer === null) {
      return warn(
        "answer",
        `${text} has not answered for ${ANSWER_MS / 1000} s`,
        "Wait: a Pilot that starts is slow; then read its log.",
      );
    }
    if (answer.done === true) {
      return fail(
        "answer",
        `${text} ended the stream without an answer`,
        "Read the log of the control plane.",
      );
    }
    const { resources, version } = codec.decodeResponse(answer.value, false);
    return ok("answer", `${text} sends ${resources.length} clusters, version ${version || "-"}`);
  } catch (error) {
    return ofError("answer", error, "Read the log of the control plane.");
  } finally {
    clearTimeout(timer);
    stream.close();
  }
}

async function* checkV1(
  config: AgentConfig,
  plane: ControlPlaneAddress,
  past_: Past[],
): AsyncGenerator<Check> {
  const names = await checkName(plane);
  yield names;
  if (names.state === "fail") return;
  const { createHttpClient } = await import("../net/http_client.ts");
  const { connectTimeoutMs } = config.discovery;
  const client = createHttpClient({ dialer: createDialer(null), resolver: systemResolver });
  let step: ConnectStep = "TCP";
  try {
    const { status, body } = await client.get(plane, "/v1/registration", {
      timeoutMs: Math.max(ANSWER_MS, connectTimeoutMs),
      connectTimeoutMs,
      maxBytes: MAX_MESSAGE_BYTES,
      onStep: (at) => step = at,
    });
    yield ok("tcp", `${plane.text} takes connections`);
    yield status === 200 ? ok("answer", `${plane.text} sends ${body.length} bytes of services`) : fail(
      "answer",
      `${plane.text} answers ${status} to /v1/registration`,
      "Give the address of Pilot's v1 API (Istio up to 1.0).",
    );
  } catch (error) {
    const refused = error instanceof MeshError && error.code === "D202" && step === "TCP";
    if (!refused) yield ok("tcp", `${plane.text} takes connections`);
    yield ofError(refused ? "tcp" : "answer", error, "Correct serviceDiscovery.address.");
    return;
  } finally {
    client.close();
  }
  await noteDate(plane, past_);
}

/** The clock of a server that tells it. */
async function noteDate({ host, port, text }: ControlPlaneAddress, past: Past[]): Promise<void> {
  try {
    const [hostname] = await resolveName(host);
    const connection = await connectClient({ hostname: hostname as string, port });
    try {
      const { date } = await connection.send("GET", "/v1/registration", [["connection", "close"]]);
      const ms = Date.parse(date ?? "");
      if (!Number.isNaN(ms)) past.push({ what: `the clock of ${text}`, ms, now: true });
    } finally {
      connection.close();
    }
  } catch {
    // It was reached a moment ago; its clock is a mere addition.
  }
}

function checkClock(past: readonly Past[], nowMs: number): Check {
  const next = "Set the clock of this machine (or the other): chronyc makestep, timedatectl set-ntp true.";
  const ahead = past.filter(({ ms }) => ms > nowMs + SKEW_MS).sort((a, b) => b.ms - a.ms)[0];
  if (ahead !== undefined) {
    return fail("clock", `this machine is behind: ${ahead.what} is ${fromNow(ahead.ms, nowMs)}`, next);
  }
  const behind = past.find(({ ms, now }) => now === true && ms < nowMs - SKEW_MS);
  if (behind !== undefined) {
    return fail("clock", `this machine is ahead: ${behind.what} is ${fromNow(behind.ms, nowMs)}`, next);
  }
  const seen = past.length === 0
    ? "nothing tells otherwise"
    : `${past.map(({ what }) => what).join(", ")} agree`;
  return ok("clock", `${new Date(nowMs).toISOString()}; ${seen}`);
}
