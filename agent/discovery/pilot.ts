/**
 * The pilot source: services (and RouteRules) from Pilot's v1 REST API, Istio up to 1.0.
 *
 * In: GETs of /v1/registration and, where they are served, of listeners, clusters, routes and the endpoints of subsets, every
 * refreshInterval (+-20 % at random, so that agents do not ask in step). Out: a publication whenever the answers changed.
 * One poll is pilot_poll.ts; here is when, of whom, and what when it fails.
 *
 * **Where the rules come from** (`router.infra: pilot` or `pilotv2`, router.yaml):
 *
 * - no router.address, or the host and port that the services come from: v1 itself. It knows RouteRules only (D222).
 * - any other address, written http:// or grpc:// (as Mesher has it: discovery on 8080, routes on 15010): xDS v2 over gRPC from
 *   the same control plane, grpcs:// with TLS. Then v1 is asked for the registration only; see compose.ts for who decides.
 *
 * Several addresses stand in the order of preference. One that fails rests (30 s, doubled with each failure up to 5 minutes) and
 * the next is asked in the same poll; when it has rested it is asked first again. When none answers, what was known stays
 * in force, and the next try follows after a growing wait with jitter.
 *
 * @example
 * ```ts ignore
 * const source = start(input); // config: serviceDiscovery.type pilot
 * await source.ready;
 * source.status()[0].types; // registration, endpoints, listeners, clusters, routes
 * ```
 */
import { type Diagnostic, formatDiagnostic } from "../core/diagnostics.ts";
import { MeshError } from "../core/errors.ts";
import type { HttpClient } from "../core/ports.ts";
import type { ControlPlaneAddress } from "../settings/types.ts";
import { nodeOf } from "../xds/node.ts";
import { startAds } from "./ads.ts";
import { asMeshError, failureDiagnostic, failureReason, failureText } from "./ads_status.ts";
import { createBackoff } from "./backoff.ts";
import { composed } from "./compose.ts";
import { proxyContextOf } from "./file.ts";
import { V1Poller } from "./pilot_poll.ts";
import { V1Board } from "./pilot_status.ts";
import { createRepeatFilter } from "./repeats.ts";
import { createSlices } from "./sliced.ts";
import type { DiscoveryInput, DiscoverySource, StartSource } from "./types.ts";

/** A poll is this much earlier or later than refreshInterval at most, as a share of it. */
const JITTER = 0.2;
/** An address that failed rests this long, then twice as long, up to the second, ms. */
export const REST_MS = { first: 30_000, max: 300_000 } as const;
/** So many good polls running make an address as good as new. */
const GOOD_POLLS = 3;

export const start: StartSource = (input) => {
  const { routerAddresses } = input.config.discovery;
  return rulesComeByV1(routerAddresses) ? startPilot(input, { name: "pilot", rules: true }) : composed(
    input,
    (own) => startPilot(own, { name: "pilot (services)", rules: false }),
    (own) => startAds(own, { generation: "v2", name: "pilotv2 (rules)", addresses: routerAddresses }),
  );
};

/** Of router.address: v1 shares the address (and its scheme http) with the services; all others are gRPC. */
export function rulesComeByV1(routerAddresses: readonly ControlPlaneAddress[]): boolean {
  return routerAddresses.every((address) => address.scheme === "http");
}

interface PilotOptions {
  /** As status shows it. */
  readonly name: string;
  /** False: only the registration. */
  readonly rules: boolean;
}

/** Starts at once; nothing is thrown. */
function startPilot(input: DiscoveryInput, { name, rules }: PilotOptions): DiscoverySource {
  const { config, clock, log } = input;
  const { addresses, hosts, connectTimeoutMs } = config.discovery;
  const { refreshIntervalMs } = config.serviceDiscovery;
  const { namespace, domainSuffix } = proxyContextOf(config);
  const node = nodeOf(config, "v2");
  const board = new V1Board(name, addresses, node.id, clock);
  const backoff = createBackoff(input.rng);
  const repeats = createRepeatFilter(clock);
  const rests = new Map<ControlPlaneAddress, { untilMs: number; ms: number; good: number }>();

  let http: HttpClient | undefined;
  let poller: V1Poller | undefined;
  let closed = false;
  let again = false;
  let wake: (() => void) | undefined;
  let failure: { readonly error: MeshError; readonly address: string } | undefined;
  let published: { readonly program: unknown; readonly problems: string } | undefined;
  let settled: (() => void)[] = [];
  const { promise: ready, resolve: settleReady } = Promise.withResolvers<void>();

  const open = async (): Promise<V1Poller> => {
    http ??= await input.openHttpClient();
    if (closed) http.close();
    return poller ??= new V1Poller(http, {
      node,
      rules,
      hosts,
      namespace,
      domainSuffix,
      connectTimeoutMs,
      board,
      slices: createSlices(clock, input.yieldTurn),
    });
  };

  /** Rested addresses in the order of preference, then the others. */
  const inOrder = (): readonly ControlPlaneAddress[] => {
    const now = clock.monotonic();
    const resting = (address: ControlPlaneAddress) => (rests.get(address)?.untilMs ?? 0) > now;
    return [...addresses.filter((a) => !resting(a)), ...addresses.filter(resting)];
  };

  const noteFailure = (address: ControlPlaneAddress): void => {
    const ms = Math.min(REST_MS.max, (rests.get(address)?.ms ?? REST_MS.first / 2) * 2);
    rests.set(address, { untilMs: clock.monotonic() + ms, ms, good: 0 });
  };

  const noteSuccess = (address: ControlPlaneAddress): void => {
    const rest = rests.get(address);
    if (rest === undefined) return;
    rest.untilMs = 0;
    if (++rest.good >= GOOD_POLLS) rests.delete(address);
  };

  const give = async (): Promise<void> => {
    if (poller?.synced !== true) return;
    const program = await poller.program();
    if (closed) return;
    const diagnostics = poller.problems();
    const problems = diagnostics.map(formatDiagnostic).join("\n");
    if (published?.program === program && published.problems === problems) return;
    published = { program, problems };
    input.publish({ program, diagnostics, stats: poller.counts() });
  };

  /** True when an address answered. */
  const round = async (): Promise<boolean> => {
    board.connects++;
    let first: { readonly error: MeshError; readonly address: string } | undefined;
    for (const address of inOrder()) {
      const before = board.address;
      board.address = address;
      if (published === undefined) board.at("first sync");
      try {
        await (await open()).poll(address);
        if (closed) return false;
        await give();
        noteSuccess(address);
        if (failure !== undefined || before !== address) {
          log.log("info", `asking ${address.text}`, { source: name });
        }
        failure = undefined;
        board.reason = undefined;
        repeats.forget();
        board.at(published === undefined ? "first sync" : "synced");
        return true;
      } catch (error) {
        if (closed) return false;
        const known = error instanceof MeshError ? error : asMeshError(error, address.text);
        noteFailure(address);
        first ??= { error: known, address: address.text };
        const text = failureText(known);
        if (repeats.fresh(address.text, text)) {
          log.log("warn", `cannot use ${address.text}: ${text}`, { source: name });
        }
        // What it had answered before it failed is good.
        await give();
      }
    }
    board.failures++;
    failure = first;
    board.reason = first === undefined ? undefined : failureReason(first.error);
    return false;
  };

  const waitAfter = (answered: boolean): number => {
    if (answered) {
      backoff.reset();
      return refreshIntervalMs * (1 - JITTER + 2 * JITTER * input.rng());
    }
    return Math.min(refreshIntervalMs, backoff.next(failure?.error.code === "D220" ? "slow" : "quick"));
  };

  const pause = async (ms: number): Promise<void> => {
    board.nextTryMs = clock.now() + ms;
    const { promise, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    const cancel = clock.after(ms, resolve);
    await promise;
    cancel();
    wake = undefined;
    board.nextTryMs = undefined;
  };

  const run = async (): Promise<void> => {
    while (!closed) {
      again = false;
      const waiting = settled;
      settled = [];
      let answered = false;
      try {
        answered = await round();
      } catch (error) {
        // A bug in a decoder must not end the polls: the last world stays.
        log.log("error", `Cannot take up what Pilot answered: ${String(error)}`);
      }
      if (closed) {
        settled.push(...waiting);
        break;
      }
      if (!answered) board.at("waiting");
      settleReady();
      for (const resolve of waiting) resolve();
      if (!again) await pause(waitAfter(answered));
    }
    board.at("closed");
    settleReady();
    for (const resolve of settled) resolve();
  };
  const running = run();

  return {
    ready,
    problems(): readonly Diagnostic[] {
      const standing = poller?.problems() ?? [];
      if (failure === undefined) return standing;
      const severity = published === undefined ? "error" : "warning";
      return [failureDiagnostic(failure.error, failure.address, severity), ...standing];
    },
    status: () => [board.status()],
    refresh() {
      if (closed) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      settled.push(resolve);
      again = true;
      poller?.probe();
      wake?.();
      return promise;
    },
    async close() {
      closed = true;
      http?.close();
      wake?.();
      await running;
    },
  };
}
