/**
 * What a control plane has said, and the Program that follows from it: decoded resources by type go in, a Program that never
 * points a route at a cluster without endpoints comes out (istio-semantics 5.4: warming, make before break). Pure: time is an
 * argument; nothing is decoded or sent here.
 *
 * decoded resources -> apply() -> wanted() for the session, program() for the world.
 *
 * @example
 * ```ts ignore
 * const store = createXdsStore({ generation: "v3", hosts: [], namespace: "default" });
 * const problems = store.apply("CDS", { resources, removed: [], complete: true }, clock.now());
 * session.watch("EDS", store.wanted("EDS"));
 * if (store.synced()) publish(store.program(clock.now()));
 * ```
 */
import type { Diagnostic } from "../core/diagnostics.ts";
import type { Program } from "../model/model.ts";
import type { NamedType } from "./session.ts";
import type { Decoded, Generation, ResourceType } from "./types.ts";

export interface XdsStoreOptions {
  readonly generation: Generation;
  /** `discovery.hosts`; empty = everything. */
  readonly hosts: readonly string[];
  /** Of this workload: completes short names in `hosts`. */
  readonly namespace: string;
}

/** One response, decoded. */
export interface Update<T extends ResourceType> {
  /**
   * By name, in the order of the response. A resource that did not change should be the object that {@link XdsStore.held}
   * gives: what is the same by identity is not touched.
   */
  readonly resources: ReadonlyMap<string, Decoded[T]>;
  readonly removed: readonly string[];
  /** What is absent is deleted (CDS and LDS in state-of-the-world). */
  readonly complete: boolean;
  /** Names that were in the response and could not be used: they keep their last good value also when `complete`. */
  readonly refused?: readonly string[];
}

export interface XdsStore {
  /** Takes in what is usable; the problems returned belong into the NACK (two listeners on one address). */
  apply<T extends ResourceType>(type: T, update: Update<T>, nowMs: number): readonly Diagnostic[];
  /** The names to subscribe to, sorted, without duplicates; the same array as long as nothing changed. */
  wanted(type: NamedType): readonly string[];
  /** The program in force; the same object when nothing changed, unchanged maps are shared with the one before. */
  program(nowMs: number): Program;
  /** Every type has spoken and everything was warm once; stays true. As of the last `apply` or `program`. */
  synced(): boolean;
  /** What `synced` (later: what is new) still waits for, in words: `CDS`, `endpoints of outbound|80||a`, `route table 8084`. */
  waitingFor(): readonly string[];
  /** When time alone changes the program (call `program` then), ms; undefined = never. */
  deadline(): number | undefined;
  /** The last good value of a resource, as it came. */
  held<T extends ResourceType>(type: T, name: string): Decoded[T] | undefined;
  /** Names of the resources held. */
  names(type: ResourceType): readonly string[];
}
