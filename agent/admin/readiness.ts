/**
 * Whether the agent is ready, in words: for /ready of the admin API and of the health listener, for systemd and the readiness file.
 *
 * Ready is an agent that listens, does not drain and has rules: those of its source, or those of its cache until that has spoken.
 * It never becomes unready by losing its control plane.
 *
 * @example
 * ```ts ignore
 * readinessOf({ world: world.current, state, status: [], problems: [], nowMs: clock.now() }).text; // "ready"
 * ```
 */
import type { Diagnostic } from "../core/diagnostics.ts";
import type { SourceStatus, World } from "../discovery/types.ts";
import { cachedText, describeStep } from "./sync.ts";

/** What the listener is doing. */
export interface ProxyState {
  readonly accepting: boolean;
  readonly draining: boolean;
}

export interface ReadinessInput {
  readonly world: Pick<World, "revision" | "cachedMs">;
  readonly state: ProxyState;
  readonly status: readonly SourceStatus[];
  readonly problems: readonly Diagnostic[];
  readonly nowMs: number;
}

export interface Readiness {
  readonly ready: boolean;
  /** `ready`, `ready: rules from cache, 42s old`, `not ready: the agent is draining`. */
  readonly text: string;
}

/** Why it is not; empty when it is. `brief`: without what the connections to control planes are at. */
export function unreadyReasons(
  { world, state, status, problems, nowMs }: ReadinessInput,
  brief = false,
): string[] {
  const list: string[] = [];
  if (!state.accepting && !state.draining) list.push("the proxy is not listening");
  if (state.draining) list.push("the agent is draining");
  if (world.revision === 0) {
    const late = status.filter(({ step }) => step !== "synced");
    const why = late.length === 0
      ? problems[0]?.message
      : brief
      ? undefined
      : late.map((each) => describeStep(each, nowMs)).join("; ");
    list.push(`no rules are in yet${why === undefined ? "" : `: ${why}`}`);
  }
  return list;
}

export function readinessOf(input: ReadinessInput, brief = false): Readiness {
  const reasons = unreadyReasons(input, brief);
  if (reasons.length > 0) return { ready: false, text: `not ready: ${reasons.join("; ")}` };
  const cached = cachedText(input.world, input.nowMs);
  return { ready: true, text: cached === undefined ? "ready" : `ready: rules ${cached}` };
}

/** The health listener: whoever may reach it learns whether the agent is ready, and no address or name. */
export function answerHealth({ method, url }: Request, input: ReadinessInput): Response {
  const { pathname } = new URL(url);
  const answer = (status: number, text: string) =>
    new Response(method === "HEAD" ? null : `${text}\n`, {
      status,
      headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" },
    });
  if (pathname !== "/ready" && pathname !== "/live") return answer(404, "want /ready or /live");
  if (method !== "GET" && method !== "HEAD") return answer(405, "want GET");
  if (pathname === "/live") return answer(200, "live");
  const { ready, text } = readinessOf({ ...input, problems: [] }, true);
  return answer(ready ? 200 : 503, text);
}
