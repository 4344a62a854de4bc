/**
 * Clusters and their endpoints: a cluster is in force once its endpoints are known, and stays in force while routes still
 * lead there (istio-semantics 5.4.2, 5.4.3).
 *
 * CDS and EDS values in; clusters and assignments in force out.
 */
import { parseDuration } from "../core/duration.ts";
import type { Cluster, ClusterLoadAssignment } from "../model/model.ts";
import type { Generation } from "./types.ts";
import { initialFetchTimeoutMs, lingerMs } from "./quirks.ts";

/** A removed cluster that stays for now. */
export interface Removal {
  /** Revision of the routes at the removal: routes confirmed later know of it. */
  readonly revision: number;
  readonly untilMs: number;
}

export class WarmClusters {
  readonly #generation: Generation;
  /** What CDS said last. */
  readonly #said = new Map<string, Cluster>();
  /** By EDS name. Only of clusters in force or said: what else comes is dropped. */
  readonly #assignments = new Map<string, ClusterLoadAssignment>();
  /** EDS name -> clusters said and kept that have their endpoints from it. */
  #users = new Map<string, string[]>();
  readonly #inForce = new Map<string, Cluster>();
  /** Said, kept and without endpoints yet -> until when they are waited for. */
  readonly #cold = new Map<string, number>();
  readonly #removals = new Map<string, Removal>();
  #wanted: readonly string[] = [];
  #clusters: ReadonlyMap<string, Cluster> | undefined;
  #loadAssignments: ReadonlyMap<string, ClusterLoadAssignment> | undefined;
  spoken = false;

  constructor(generation: Generation) {
    this.#generation = generation;
  }

  /** False when it is what was said before: istiod's deltas always repeat three clusters. */
  take(
    resources: ReadonlyMap<string, Cluster>,
    removed: readonly string[],
    absentGo: ((name: string) => boolean) | undefined,
  ): boolean {
    let changed = !this.spoken;
    this.spoken = true;
    if (absentGo !== undefined) {
      for (const name of this.#said.keys()) if (absentGo(name)) changed = this.#said.delete(name);
    }
    for (const name of removed) if (!resources.has(name)) changed = this.#said.delete(name) || changed;
    for (const [name, cluster] of resources) {
      if (this.#said.get(name) === cluster) continue;
      this.#said.set(name, cluster);
      changed = true;
    }
    return changed;
  }

  /** Brings what is in force in line with what was said. `keeps`: which clusters count; `revision`: of the routes. */
  settle(keeps: ((cluster: Cluster) => boolean) | undefined, revision: number, nowMs: number): void {
    const users = new Map<string, string[]>();
    for (const [name, cluster] of this.#said) {
      if (keeps !== undefined && !keeps(cluster)) continue;
      this.#removals.delete(name);
      if (cluster.type === "EDS") {
        const edsName = cluster.edsServiceName ?? name;
        const others = users.get(edsName);
        if (others === undefined) users.set(edsName, [name]);
        else others.push(name);
      }
      const before = this.#inForce.get(name);
      if (before === cluster) this.#cold.delete(name);
      else if (cluster.type !== "EDS" || this.#assignments.has(cluster.edsServiceName ?? name)) {
        this.#admit(name, cluster);
      } else if (!this.#cold.has(name)) this.#cold.set(name, nowMs + this.#timeoutMs(cluster));
    }
    const kept = (name: string): boolean => {
      const cluster = this.#said.get(name);
      return cluster !== undefined && (keeps === undefined || keeps(cluster));
    };
    for (const name of this.#cold.keys()) if (!kept(name)) this.#cold.delete(name);
    for (const name of this.#inForce.keys()) {
      if (kept(name) || this.#removals.has(name)) continue;
      this.#removals.set(name, { revision, untilMs: nowMs + lingerMs(this.#generation) });
    }
    this.#users = users;
    const wanted = this.#wanted;
    if (users.size !== wanted.length || wanted.some((name) => !users.has(name))) {
      this.#wanted = [...users.keys()].sort();
    }
    this.#dropAssignments();
  }

  /** Takes endpoints in; true when a cluster became warm by them. A name of no cluster said is passed over. */
  takeAssignments(
    resources: ReadonlyMap<string, ClusterLoadAssignment>,
    unusable: readonly string[],
  ): boolean {
    let warmed = false;
    for (const [edsName, assignment] of resources) {
      const users = this.#users.get(edsName);
      if (users === undefined || this.#assignments.get(edsName) === assignment) continue;
      this.#assignments.set(edsName, assignment);
      this.#loadAssignments = undefined;
      for (const name of users) if (this.#cold.has(name)) warmed = this.#warm(name);
    }
    for (const edsName of unusable) {
      for (const name of this.#users.get(edsName) ?? []) if (this.#cold.has(name)) warmed = this.#warm(name);
    }
    return warmed;
  }

  /** Ends the waiting of those whose time is over; true when there was one. */
  expire(nowMs: number): boolean {
    let warmed = false;
    for (const [name, deadlineMs] of this.#cold) if (deadlineMs <= nowMs) warmed = this.#warm(name);
    return warmed;
  }

  /** Whether CDS has the cluster and nothing of that name can serve yet. */
  isCold(name: string): boolean {
    return this.#cold.size > 0 && this.#cold.has(name) && !this.#inForce.has(name);
  }

  get cold(): ReadonlyMap<string, number> {
    return this.#cold;
  }

  get removals(): ReadonlyMap<string, Removal> {
    return this.#removals;
  }

  /** Lets removed clusters go, but for those named. */
  sweep(stay: ReadonlySet<string>): void {
    let gone = false;
    for (const name of this.#removals.keys()) {
      if (stay.has(name)) continue;
      this.#removals.delete(name);
      gone = this.#inForce.delete(name) || gone;
    }
    if (!gone) return;
    this.#clusters = undefined;
    this.#dropAssignments();
  }

  get wanted(): readonly string[] {
    return this.#wanted;
  }

  get said(): ReadonlyMap<string, Cluster> {
    return this.#said;
  }

  get assignments(): ReadonlyMap<string, ClusterLoadAssignment> {
    return this.#assignments;
  }

  /** In the order in which CDS first named them; removed ones last. The same map until something changes. */
  get clusters(): ReadonlyMap<string, Cluster> {
    if (this.#clusters !== undefined) return this.#clusters;
    const clusters = new Map<string, Cluster>();
    for (const name of this.#said.keys()) {
      const cluster = this.#inForce.get(name);
      if (cluster !== undefined) clusters.set(name, cluster);
    }
    for (const name of this.#removals.keys()) {
      const cluster = this.#inForce.get(name);
      if (cluster !== undefined) clusters.set(name, cluster);
    }
    return this.#clusters = clusters;
  }

  /** The same map until something changes. */
  get loadAssignments(): ReadonlyMap<string, ClusterLoadAssignment> {
    return this.#loadAssignments ??= new Map(this.#assignments);
  }

  #warm(name: string): true {
    const replaces = this.#inForce.has(name);
    this.#admit(name, this.#said.get(name) as Cluster);
    if (replaces) this.#dropAssignments();
    return true;
  }

  #admit(name: string, cluster: Cluster): void {
    this.#cold.delete(name);
    this.#inForce.set(name, cluster);
    this.#clusters = undefined;
  }

  #timeoutMs({ edsInitialFetchTimeout }: Cluster): number {
    const ms = edsInitialFetchTimeout === undefined ? undefined : parseDuration(edsInitialFetchTimeout);
    return ms === undefined ? initialFetchTimeoutMs(this.#generation) : ms <= 0 ? Infinity : ms;
  }

  #dropAssignments(): void {
    let used: Set<string> | undefined;
    for (const edsName of this.#assignments.keys()) {
      if (this.#users.has(edsName)) continue;
      used ??= this.#edsNamesInForce();
      if (used.has(edsName)) continue;
      this.#assignments.delete(edsName);
      this.#loadAssignments = undefined;
    }
  }

  #edsNamesInForce(): Set<string> {
    const names = new Set<string>();
    for (const [name, { type, edsServiceName }] of this.#inForce) {
      if (type === "EDS") names.add(edsServiceName ?? name);
    }
    return names;
  }
}
