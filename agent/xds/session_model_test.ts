/**
 * Both sessions against small models of the recorded servers: whatever the order of names, pushes, verdicts and lost streams,
 * the server ends up with the names wanted, each response gets its verdict, and nobody dies or talks for ever.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { delta } from "./delta.ts";
import { safeNames } from "./quirks.ts";
import type { NamedType, SessionReducer } from "./session.ts";
import { sotw } from "./sotw.ts";
import {
  type Envelope,
  type Generation,
  type Request,
  type ResourceType,
  typeOfUrl,
  typeUrlOf,
} from "./types.ts";

type Sotw = Extract<Request, { kind: "sotw" }>;
type Delta = Extract<Request, { kind: "delta" }>;

/** One stream as the server sees it. */
interface Peer {
  take(request: Request): void;
  push(): void;
  /** Undefined = not watched. */
  watched(type: NamedType): readonly string[] | undefined;
  readonly out: Envelope[];
}

let nonces = 0;

abstract class SotwPeer implements Peer {
  readonly out: Envelope[] = [];
  protected readonly watches = new Map<ResourceType, readonly string[]>();
  protected abstract readonly generation: Generation;
  protected pushes = 0;

  abstract take(request: Request): void;
  abstract version(): string;

  watched(type: NamedType): readonly string[] | undefined {
    return this.watches.get(type);
  }

  push(): void {
    this.pushes++;
    for (const [type, names] of this.watches) this.answer(type, names);
  }

  protected answer(type: ResourceType, names: readonly string[]): string {
    const nonce = `n${++nonces}`;
    const typeUrl = typeUrlOf(this.generation, type);
    const resources = names.map((name) => ({ name, version: "", typeUrl, bytes: new Uint8Array(1) }));
    this.out.push({ version: this.version(), typeUrl, nonce, resources, removed: [] });
    return nonce;
  }
}

class Pilot08 extends SotwPeer {
  protected readonly generation = "v2";

  version(): string {
    return `2026-11-24 07:37:45.409818586 +0000 UTC m=+${this.pushes}.050812677`;
  }

  take(request: Request): void {
    const { type, names, withNode } = request as Sotw;
    assert(withNode, "dies of a request without node");
    const before = this.watches.get(type);
    if (type === "CDS" || type === "LDS") {
      if (before !== undefined) return;
    } else {
      if (type === "RDS") {
        for (const name of names) assert(/^(\d+|http_proxy)$/.test(name), `dies of RDS "${name}"`);
      }
      assert(names.length > 0, "answers an empty list for ever");
      if (before?.length === names.length) return;
    }
    this.watches.set(type, names);
    this.answer(type, names);
  }
}

class Pilot10 extends SotwPeer {
  protected readonly generation = "v2";

  version(): string {
    return `2026-11-24T07:38:12Z/${this.pushes + 1}`;
  }

  take(request: Request): void {
    const { type, names, withNode } = request as Sotw;
    assert(withNode, "passes a request without node over");
    const before = this.watches.get(type);
    if (type === "CDS" || type === "LDS") {
      if (before !== undefined) return;
    } else {
      assert(names.length > 0, "answers an empty list for ever");
      if (before?.length === names.length) {
        if (type === "RDS" || [...names].sort().join() === [...before].sort().join()) return;
      }
    }
    this.watches.set(type, names);
    this.answer(type, names);
  }
}

/** istiod; also the later servers of v2, which look at nonces, too. */
class Istiod extends SotwPeer {
  readonly #sent = new Map<ResourceType, string>();
  #node = false;

  constructor(protected readonly generation: Generation) {
    super();
  }

  version(): string {
    return `2026-11-24T07:38:12Z/${this.pushes + 1}`;
  }

  take(request: Request): void {
    const { type, names, withNode, nonce, error } = request as Sotw;
    this.#node ||= withNode;
    assert(this.#node, "ends a stream that begins without node");
    const before = this.watches.get(type);
    if (error !== undefined) return;
    const wildcard = type === "CDS" || type === "LDS";
    if (before === undefined || nonce === "") {
      if (!wildcard && names.length === 0) return;
      this.watches.set(type, names);
      this.answer(type, names);
      return;
    }
    if (nonce !== this.#sent.get(type)) return;
    this.watches.set(type, names);
    const added = names.filter((name) => !before.includes(name));
    if (added.length > 0) this.answer(type, added);
  }

  protected override answer(type: ResourceType, names: readonly string[]): string {
    const nonce = super.answer(type, names);
    this.#sent.set(type, nonce);
    return nonce;
  }
}

class IstiodDelta implements Peer {
  readonly out: Envelope[] = [];
  readonly #watches = new Map<ResourceType, Set<string>>();
  #node = false;
  #pushes = 0;

  watched(type: NamedType): readonly string[] | undefined {
    const names = this.#watches.get(type);
    return names === undefined ? undefined : [...names].sort();
  }

  push(): void {
    this.#pushes++;
    for (const [type, names] of this.#watches) this.#answer(type, [...names]);
  }

  take(request: Request): void {
    const { type, withNode, nonce, subscribe, unsubscribe, initialVersions } = request as Delta;
    this.#node ||= withNode;
    assert(this.#node, "ends a stream that begins without node");
    if (nonce !== "") {
      assert(subscribe.length + unsubscribe.length === 0, "drops names in an ACK that is late");
      return;
    }
    const before = this.#watches.get(type);
    if (before === undefined) {
      const names = new Set([...Object.keys(initialVersions), ...subscribe]);
      assert(
        type === "CDS" || type === "LDS" || subscribe.length > 0,
        "takes a first request without names for all",
      );
      this.#watches.set(type, names);
      this.#answer(type, [...names]);
      return;
    }
    for (const name of unsubscribe) before.delete(name);
    const added = subscribe.filter((name) => !before.has(name));
    for (const name of added) before.add(name);
    if (added.length > 0) this.#answer(type, added);
  }

  #answer(type: ResourceType, names: readonly string[]): void {
    const typeUrl = typeUrlOf("v3", type);
    const resources = names.map((name) => ({ name, version: "", typeUrl, bytes: new Uint8Array(1) }));
    this.out.push({ version: `v${this.#pushes}`, typeUrl, nonce: `n${++nonces}`, resources, removed: [] });
  }
}

type Act =
  | { readonly do: "watch"; readonly type: NamedType; readonly names: readonly string[] }
  | { readonly do: "server" | "client" | "accept" | "refuse" | "push" | "reopen" };

const NAMES: Readonly<Record<NamedType, readonly string[]>> = {
  EDS: ["a", "b", "c", "d"],
  RDS: ["80", "81", "a.b:82", "c.d:83", "http_proxy"],
};
const act: fc.Arbitrary<Act> = fc.oneof(
  ...(["EDS", "RDS"] as const).map((type) => ({
    weight: 2,
    arbitrary: fc.subarray([...NAMES[type]]).map((names): Act => ({ do: "watch", type, names })),
  })),
  ...([["server", 6], ["client", 6], ["accept", 5], ["refuse", 3], ["push", 2], ["reopen", 1]] as const).map(
    ([what, weight]) => ({ weight, arbitrary: fc.constant<Act>({ do: what }) }),
  ),
);

/** Plays acts, then lets everything come to rest. */
function play<S>(
  reducer: SessionReducer<S>,
  generation: Generation,
  connect: () => Peer,
  acts: readonly Act[],
): void {
  let state = reducer.begin({ generation });
  let peer = connect();
  let toServer: Request[] = [];
  let unjudged: { type: ResourceType; nonce: string; version: string }[] = [];
  const wanted: Record<NamedType, readonly string[]> = { EDS: [], RDS: [] };
  /** What was sent with each nonce on this stream. */
  let said = new Map<string, Request[]>();
  let verdicts = new Map<string, { ok: boolean; version: string }>();

  const take = (step: { state: S; send: readonly Request[] }): void => {
    state = step.state;
    toServer.push(...step.send);
    for (const request of step.send) {
      if (request.nonce !== "") said.set(request.nonce, [...(said.get(request.nonce) ?? []), request]);
    }
  };
  const judge = (ok: boolean): boolean => {
    const response = unjudged.shift();
    if (response === undefined) return false;
    verdicts.set(response.nonce, { ok, version: response.version });
    take(
      reducer.judge(
        state,
        response.type,
        response.nonce,
        ok ? { ok } : { ok, error: `no ${response.nonce}` },
      ),
    );
    return true;
  };
  const receive = (): boolean => {
    const envelope = peer.out.shift();
    if (envelope === undefined) return false;
    const step = reducer.receive(state, envelope);
    take(step);
    for (const event of step.events) {
      assert.equal(event.kind, "apply", JSON.stringify(event));
      unjudged.push({ type: typeOfUrl(envelope.typeUrl)!, nonce: envelope.nonce, version: envelope.version });
    }
    return true;
  };
  const serve = (): boolean => {
    const request = toServer.shift();
    if (request === undefined) return false;
    peer.take(request);
    return true;
  };
  const checkVerdicts = (): void => {
    for (const [nonce, { ok, version }] of verdicts) {
      const requests = said.get(nonce) ?? [];
      const refusals = requests.filter(({ error }) => error !== undefined);
      assert.equal(refusals.length, ok ? 0 : 1, `refusals of ${nonce}`);
      if (!ok) continue;
      // Names that change after it look like the ACK again in state-of-the-world.
      const acks = requests.filter((request) => request.kind === "delta" || request.version === version);
      assert(acks.length >= 1, `ACK of ${nonce}`);
      if (acks[0]?.kind === "delta") assert.equal(requests.length, 1);
    }
  };
  const open = (): void => {
    checkVerdicts();
    peer = connect();
    toServer = [];
    said = new Map();
    verdicts = new Map();
    unjudged = [];
    take(reducer.open(state, { CDS: { versions: { x: "" } }, EDS: { versions: { a: "", d: "" } } }));
  };
  const watch = (type: NamedType, names: readonly string[]): void => {
    wanted[type] = names;
    take(reducer.watch(state, type, names));
  };

  open();
  for (const act of acts) {
    if (act.do === "watch") watch(act.type, act.names);
    else if (act.do === "server") serve();
    else if (act.do === "client") receive();
    else if (act.do === "accept") judge(true);
    else if (act.do === "refuse") judge(false);
    else if (act.do === "push") peer.push();
    else open();
  }
  let rounds = 0;
  while (serve() || receive() || judge(true)) assert(rounds++ < 500, "talks for ever");
  checkVerdicts();
  for (const type of ["EDS", "RDS"] as const) {
    if (wanted[type].length === 0) continue;
    const temper = peer instanceof Pilot08 ? "0.8" : "1.x";
    const possible = safeNames(generation, temper, type, wanted[type]);
    if (possible.length === 0) continue;
    assert.deepEqual([...peer.watched(type) ?? []].sort(), [...possible].sort(), `${type} names`);
  }
}

const SERVERS: readonly (readonly [string, (acts: readonly Act[]) => void])[] = [
  ["Pilot 0.8.0", (acts) => play(sotw, "v2", () => new Pilot08(), acts)],
  ["Pilot 1.0.9", (acts) => play(sotw, "v2", () => new Pilot10(), acts)],
  ["a late v2 server", (acts) => play(sotw, "v2", () => new Istiod("v2"), acts)],
  ["istiod, state of the world", (acts) => play(sotw, "v3", () => new Istiod("v3"), acts)],
  ["istiod, delta", (acts) => play(delta, "v3", () => new IstiodDelta(), acts)],
];

for (const [name, check] of SERVERS) {
  Deno.test(`a session converges with ${name} (seeded)`, () => {
    fc.assert(fc.property(fc.array(act, { maxLength: 80, size: "max" }), check), {
      seed: 20_261_124,
      numRuns: 2_000,
    });
  });
}
