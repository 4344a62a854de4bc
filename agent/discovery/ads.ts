/**
 * An xDS source: one ADS stream to a control plane, kept open for the life of the agent. What Pilot says becomes programs;
 * what it last said stays in force when it goes away.
 *
 * In: addresses and a generation. Out: a {@link DiscoverySource}. The loop: choose an address (address_order.ts), connect,
 * follow the stream to its end (ads_stream.ts), wait (backoff.ts), again. v3 asks for deltas; a control plane that does not
 * know them is asked for the state of the world for the rest of the process.
 *
 * @example
 * ```ts ignore
 * const source = startAds(input, { generation: "v3", name: "pilotv3", addresses: input.config.discovery.addresses });
 * await source.ready;
 * ```
 */
import { type Diagnostic, diagnostic } from "../core/diagnostics.ts";
import type { Code } from "../core/codes.ts";
import { MeshError } from "../core/errors.ts";
import type { MessageStream, StreamTarget, StreamTransport } from "../core/ports.ts";
import type { AgentConfig, ControlPlaneAddress } from "../settings/types.ts";
import { delta as deltaReducer } from "../xds/delta.ts";
import { nodeOf } from "../xds/node.ts";
import { sotw as sotwReducer } from "../xds/sotw.ts";
import { createXdsStore } from "../xds/store.ts";
import { type Generation, RESOURCE_TYPES, type XdsCodec } from "../xds/types.ts";
import { createAddressOrder, watchForReturn } from "./address_order.ts";
import { asMeshError, failureDiagnostic, failureReason, failureText, StatusBoard } from "./ads_status.ts";
import { createSession, followStream, type Session, SLOW_MS, type StreamEnd } from "./ads_stream.ts";
import { createBackoff, type Pace, PACES } from "./backoff.ts";
import { createIntake, type Intake } from "./intake.ts";
import { createRepeatFilter } from "./repeats.ts";
import { createSlices } from "./sliced.ts";
import type { DiscoveryInput, DiscoverySource } from "./types.ts";

/** Largest response taken in, bytes: 10,000 clusters are about 40 MB. */
export const MAX_MESSAGE_BYTES = 256 << 20;
/** HTTP/2 pings, ms. Pilot before 1.4 ends connections that ping more often than every 5 minutes (istio-semantics 5.4.8). */
export const KEEPALIVE_MS: Readonly<Record<Generation, number>> = { v2: 330_000, v3: 30_000 };
/** A control plane that is away for less than this is no finding once there are rules, ms. */
export const GRACE_MS = 10_000;
/** A stream that lived this long after its sync takes back the growth of the waits, and may be told of again, ms. */
export const STEADY_MS = 10_000;
/**
 * A stream that lived this long after its sync may break without an alarm, ms: Istio ends connections by their age (30
 * minutes) with GOAWAY and then closes them under the stream. That there is no new one is told by the next try.
 */
export const AGED_MS = 300_000;

/** Path of the method in front of its kind. */
export const SERVICES: Readonly<Record<Generation, string>> = {
  v2: "/envoy.service.discovery.v2.AggregatedDiscoveryService",
  v3: "/envoy.service.discovery.v3.AggregatedDiscoveryService",
};
/** The control plane refuses, or asks to be spared: no hurry to ask again. */
const SLOW_CODES: ReadonlySet<Code> = new Set<Code>(["D206", "D207", "D208", "D210", "D215"]);

export interface AdsOptions {
  readonly generation: Generation;
  /** As status shows it: `pilotv3`, `pilotv2 (rules)`. */
  readonly name: string;
  /** In the order of preference; at least one. */
  readonly addresses: readonly ControlPlaneAddress[];
  /** Default: the codec of xds/codec.ts, loaded when first needed. */
  readonly openCodec?: () => Promise<XdsCodec>;
}

/** Starts at once; nothing is thrown. `input.publish` gets every program. */
export function startAds(input: DiscoveryInput, options: AdsOptions): DiscoverySource {
  const { config, clock, log } = input;
  const { generation, name } = options;
  const node = nodeOf(config, generation);
  const store = createXdsStore({
    generation,
    hosts: config.discovery.hosts,
    namespace: config.workload.namespace,
  });
  const board = new StatusBoard(name, options.addresses, node.id, clock);
  const order = createAddressOrder(options.addresses);
  const backoff = createBackoff(input.rng);
  const repeats = createRepeatFilter(clock);
  const slices = createSlices(clock, input.yieldTurn);
  const wantsDelta = generation === "v3" && config.discovery.delta;
  /** Addresses that refused delta. */
  const noDelta = new Set<ControlPlaneAddress>();

  let transport: StreamTransport | undefined;
  let codec: XdsCodec | undefined;
  let intake: Intake | undefined;
  let session: { readonly delta: boolean; readonly of: Session } | undefined;
  const publishListeners = new Set<() => void>();

  let closed = false;
  let failure: { readonly error: MeshError; readonly address: string } | undefined;
  /** Since when there is no synced stream, monotonic; undefined = there is one. */
  let downSinceMs: number | undefined = clock.monotonic();
  let slow = false;
  const ignored = new Map<string, string>();
  let slowRound = true;
  /** The end was wanted here (refresh, return to the first address). */
  let recalled = false;
  let quiet = false;
  let dial: AbortController | undefined;
  let stream: MessageStream | undefined;
  let wake: (() => void) | undefined;
  let settled: (() => void)[] = [];
  const { promise: ready, resolve: settleReady } = Promise.withResolvers<void>();

  const settle = (): void => {
    settleReady();
    const waiting = settled;
    settled = [];
    for (const resolve of waiting) resolve();
  };

  const slowText = (): string =>
    `Cannot sync with "${board.address.text}" yet: no answer for ${SLOW_MS / 1000} s; ` +
    `wanted: ${store.waitingFor().join(", ") || "its first answers"}`;

  const targetOf = (address: ControlPlaneAddress, delta: boolean, signal: AbortSignal): StreamTarget => ({
    host: address.host,
    port: address.port,
    path: `${SERVICES[generation]}/${delta ? "Delta" : "Stream"}AggregatedResources`,
    ...(address.scheme === "grpcs" ? tlsOf(config) : {}),
    maxMessageBytes: MAX_MESSAGE_BYTES,
    keepaliveMs: KEEPALIVE_MS[generation],
    connectTimeoutMs: config.discovery.connectTimeoutMs,
    onStep: (step) => board.at(step),
    signal,
  });

  const open = async (address: ControlPlaneAddress, delta: boolean): Promise<MessageStream> => {
    dial = new AbortController();
    transport ??= await loaded("the client of gRPC", input.openTransport);
    // What is loaded besides is loaded while the control plane answers.
    const opening = transport.open(targetOf(address, delta, dial.signal), metadataOf(address, config));
    opening.catch(() => {});
    try {
      codec ??= await loaded("the schema of xDS", options.openCodec ?? openCodec);
    } catch (error) {
      dial.abort();
      opening.then((stream) => stream.close(), () => {});
      throw error;
    }
    intake ??= createIntake({
      input,
      slices,
      codec,
      store,
      log,
      published: () => {
        for (const told of publishListeners) told();
      },
    });
    const opened = await opening;
    if (closed) opened.close();
    return opened;
  };

  const sessionFor = (delta: boolean): Session => {
    if (session?.delta !== delta) {
      const of = delta
        ? createSession(deltaReducer, { generation })
        : createSession(sotwReducer, { generation });
      session = { delta, of };
    }
    return session.of;
  };

  const attempt = async (address: ControlPlaneAddress): Promise<StreamEnd & { readonly delta: boolean }> => {
    const delta = wantsDelta && !noDelta.has(address);
    const began = clock.monotonic();
    board.address = address;
    board.mode = delta ? "delta" : "state-of-the-world";
    board.connects++;
    board.at("DNS");
    // Of an earlier stream.
    ignored.clear();
    let stopReturn: (() => void) | undefined;
    try {
      stream = await open(address, delta);
      log.log(quiet ? "debug" : "info", `connected to ${address.text}`, { source: name, mode: board.mode });
      const end = await followStream(stream, {
        generation,
        delta,
        address: address.text,
        session: sessionFor(delta),
        intake: intake as Intake,
        store,
        codec: codec as XdsCodec,
        slices,
        node,
        board,
        clock,
        onPublished(told) {
          publishListeners.add(told);
          return () => publishListeners.delete(told);
        },
        onSynced() {
          failure = undefined;
          board.reason = undefined;
          downSinceMs = undefined;
          backoff.synced();
          log.log(quiet ? "debug" : "info", `synced with ${address.text}`, {
            source: name,
            ms: Math.round(clock.monotonic() - began),
            ...Object.fromEntries(RESOURCE_TYPES.map((type) => [type, store.names(type).length])),
          });
          stopReturn = watchPreferred();
          settle();
        },
        onSlow(now) {
          slow = now;
          if (!now) return;
          if (repeats.fresh("slow", address.text)) log.log("warn", slowText());
          settle();
        },
        onRefused(type, version, text) {
          // Pilot 0.8 sends the same with another version each minute.
          const reason = version === "" ? text : text.replaceAll(version, "");
          if (!repeats.fresh(`NACK ${type}`, reason)) return;
          log.log("warn", `refused ${type} version ${version} of ${address.text}: ${text}`);
        },
        onIgnored(typeUrl, reason) {
          ignored.set(typeUrl, reason);
          if (repeats.fresh(`ignored ${typeUrl}`, reason)) {
            log.log("info", `ignored a response of ${address.text}: ${typeUrl}: ${reason}`);
          }
        },
      });
      return { ...end, delta };
    } catch (error) {
      return { synced: false, error, delta };
    } finally {
      stopReturn?.();
      stream = undefined;
      dial = undefined;
    }
  };

  /** While another than the preferred control plane is in use: goes back to it as address_order.ts says. */
  const watchPreferred = (): () => void => {
    const { preferred } = order;
    if (preferred === undefined) return () => {};
    return watchForReturn(clock, {
      async look(signal) {
        const target = { ...targetOf(preferred, false, signal), onStep: () => {} };
        (await (transport as StreamTransport).open(target, metadataOf(preferred, config))).close();
      },
      goBack() {
        log.log("info", `${preferred.text} can be reached again: going back to it`, { source: name });
        recall();
      },
    });
  };

  /** Ends the stream, or the wait for the next try, and begins again with the first address. */
  const recall = (): void => {
    recalled = true;
    backoff.reset();
    slowRound = true;
    if (stream !== undefined) stream.close();
    wake?.();
  };

  /** What follows from an end: the wait in ms before the next try. */
  const conclude = (
    address: ControlPlaneAddress,
    end: StreamEnd & { delta: boolean },
    steadyMs: number,
  ): number => {
    if (end.synced) {
      downSinceMs = clock.monotonic();
      if (steadyMs >= STEADY_MS) {
        backoff.reset();
        repeats.forget();
      }
    }
    if (recalled) {
      recalled = false;
      order.restart();
      return 0;
    }
    const error = asMeshError(
      end.error ?? new Error("it ended the stream before it had sent everything"),
      address.text,
    );
    quiet = end.synced && (end.error === undefined || (error.code === "D209" && steadyMs >= AGED_MS));
    if (quiet) {
      slowRound = true;
      order.restart();
      const reason = end.error === undefined ? {} : { reason: error.message };
      log.log("debug", `${address.text} ended the stream, as it does from time to time`, {
        source: name,
        ...reason,
      });
      return backoff.next("lost");
    }
    if (error.code === "D207" && end.delta) {
      noDelta.add(address);
      log.log("info", `${address.text} knows no delta: state-of-the-world from now on`, { source: name });
      return 0;
    }
    board.failures++;
    board.reason = failureReason(error);
    failure = { error, address: address.text };
    const waitMs = waitAfter(end.synced, error);
    const what = end.synced ? "lost" : "cannot use";
    const told = repeats.fresh(`${what} ${address.text}`, board.reason);
    // One that comes and goes all the time is not told each time.
    quiet = end.synced && !told;
    if (told) {
      log.log("warn", `${what} ${address.text}: ${failureText(error)}`, {
        source: name,
        nextTryMs: Math.round(waitMs),
      });
    }
    settle();
    return waitMs;
  };

  const waitAfter = (synced: boolean, error: MeshError): number => {
    if (synced) {
      slowRound = true;
      order.restart();
      return backoff.next("lost");
    }
    slowRound &&= SLOW_CODES.has(error.code);
    if (order.advance()) return input.rng() * PACES.quick.firstMs;
    const pace: Pace = slowRound ? "slow" : "quick";
    slowRound = true;
    return backoff.next(pace);
  };

  const pause = async (ms: number): Promise<void> => {
    if (ms <= 0) return;
    board.at("waiting");
    board.nextTryMs = clock.now() + ms;
    const { promise, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    const cancel = clock.after(ms, resolve);
    await promise;
    cancel();
    wake = undefined;
    if (recalled) {
      recalled = false;
      order.restart();
    }
  };

  const run = async (): Promise<void> => {
    while (!closed) {
      const address = order.current;
      const end = await attempt(address);
      if (closed) break;
      const steadyMs = board.step === "synced" ? board.atStepMs : 0;
      await pause(conclude(address, end, steadyMs));
    }
    board.at("closed");
  };
  const running = run();

  return {
    ready,
    problems(): readonly Diagnostic[] {
      const standing = intake?.problems() ?? [];
      const own = [...ignored].map(([typeUrl, reason]) =>
        diagnostic("D223", `Cannot use a response of type "${typeUrl}": ${reason}`, {
          kind: "xDS",
          resource: typeUrl,
        })
      );
      if (slow) {
        const where = { kind: "control plane", resource: board.address.text };
        own.push(diagnostic("D214", slowText(), where));
      }
      if (failure === undefined || downSinceMs === undefined) return [...own, ...standing];
      const awayMs = clock.monotonic() - downSinceMs;
      if (intake?.published !== true) {
        return [failureDiagnostic(failure.error, failure.address, "error"), ...own, ...standing];
      }
      if (awayMs < GRACE_MS) return [...own, ...standing];
      return [failureDiagnostic(failure.error, failure.address, "warning"), ...own, ...standing];
    },
    status: () => [
      board.status({
        resources: (type) => store.names(type).length,
        subscribed: (type) => type === "EDS" || type === "RDS" ? store.wanted(type).length : "*",
      }),
    ],
    refresh() {
      if (closed) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      settled.push(resolve);
      if (stream === undefined ? wake !== undefined : downSinceMs === undefined) recall();
      return promise;
    },
    async close() {
      closed = true;
      dial?.abort();
      stream?.close();
      intake?.close();
      wake?.();
      settle();
      await running;
    },
  };
}

async function openCodec(): Promise<XdsCodec> {
  return (await import("../xds/codec.ts")).createCodec();
}

/** Loading what is only there when it is needed; a part that is missing is no trouble of the control plane. */
async function loaded<T>(what: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (cause instanceof MeshError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MeshError("D215", `Cannot load ${what}: ${reason}; want every part of the agent`, { cause });
  }
}

/** Files of 15012, read by the transport on every connect. */
export function tlsOf(config: AgentConfig): Pick<StreamTarget, "tls" | "tokenFile"> {
  const { certDirectory, serverName, tokenFile } = config.discovery;
  return {
    tls: {
      rootCertificate: `${certDirectory}/root-cert.pem`,
      clientCertificate: `${certDirectory}/cert-chain.pem`,
      clientKey: `${certDirectory}/key.pem`,
      ...(serverName === "" ? {} : { serverName }),
    },
    ...(tokenFile === "" ? {} : { tokenFile }),
  };
}

/** istiod looks up who issued the token by the cluster. */
export function metadataOf(
  address: ControlPlaneAddress,
  config: AgentConfig,
): readonly (readonly [string, string])[] {
  return address.scheme === "grpcs" ? [["clusterid", config.discovery.clusterId]] : [];
}
