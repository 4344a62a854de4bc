/**
 * The virtual hosts of one port: sorted by name, no name and no domain twice (istio-semantics 1.3 and 1.6), a last one for all
 * other hosts.
 *
 * In: candidates as hosts are recompiled. Out: a RouteConfiguration that shares every virtual host that did not change. While
 * no domain is claimed twice, a change costs a copy of the list; else the whole table is sorted out again in Istio's order.
 */
import {
  PASSTHROUGH_CLUSTER,
  type Route,
  type RouteConfiguration,
  type VirtualHost,
} from "../model/model.ts";
import type { ProxyContext } from "./resources.ts";
import { share } from "./share.ts";
import { compareRules, type Rule } from "./virtual_services.ts";

export interface Candidate {
  readonly virtualHost: VirtualHost;
  /** Undefined for the default route of a service. */
  readonly rule: Rule | undefined;
  /** Position among the rule's hosts that are no services; -1 for a service. */
  readonly extra: number;
}

const ANY: Route["match"] = { prefix: "/" };

const ALLOW_ANY: VirtualHost = {
  name: "allow_any",
  domains: ["*"],
  routes: [{
    name: "allow_any",
    match: ANY,
    route: { cluster: PASSTHROUGH_CLUSTER, timeout: "0s", maxGrpcTimeout: "0s" },
  }],
};

const BLOCK_ALL: VirtualHost = {
  name: "block_all",
  domains: ["*"],
  routes: [{ name: "block_all", match: ANY, directResponse: { status: 502 } }],
};

/** More changes than this at once are sorted in together. */
const MANY = 64;

export class HostTable {
  readonly #name: string;
  readonly #last: VirtualHost;
  readonly #candidates = new Map<string, Candidate>();
  readonly #claims = new Map<string, number>();
  /** Domains with more than one claim. */
  #contested = 0;
  #wasContested = false;
  readonly #changes: { readonly before: VirtualHost | undefined; readonly after: VirtualHost | undefined }[] =
    [];
  #configuration: RouteConfiguration | undefined;

  constructor(port: number, policy: ProxyContext["outboundTrafficPolicy"]) {
    this.#name = String(port);
    this.#last = policy === "REGISTRY_ONLY" ? BLOCK_ALL : ALLOW_ANY;
  }

  get size(): number {
    return this.#candidates.size;
  }

  get(id: string): Candidate | undefined {
    return this.#candidates.get(id);
  }

  set(id: string, candidate: Candidate | undefined): void {
    const before = this.#candidates.get(id);
    if (before === undefined && candidate === undefined) return;
    if (candidate === undefined) this.#candidates.delete(id);
    else this.#candidates.set(id, candidate);
    if (before?.virtualHost === candidate?.virtualHost && before?.rule === candidate?.rule) return;
    if (this.#contested > 0) this.#wasContested = true;
    if (before?.virtualHost !== candidate?.virtualHost) {
      if (before !== undefined) this.#claim(before.virtualHost, -1);
      if (candidate !== undefined) this.#claim(candidate.virtualHost, 1);
    }
    if (this.#contested > 0) this.#wasContested = true;
    this.#changes.push({ before: before?.virtualHost, after: candidate?.virtualHost });
  }

  /** The table as it is now; the same object as last time when nothing changed. */
  configuration(): RouteConfiguration {
    if (this.#configuration === undefined || this.#changes.length > 0) {
      const hosts = this.#wasContested || this.#contested > 0 ? this.#sortOut() : this.#patch();
      this.#changes.length = 0;
      this.#wasContested = this.#contested > 0;
      const old = this.#configuration?.virtualHosts;
      if (old === undefined || old.length !== hosts.length || old.some((v, i) => v !== hosts[i])) {
        this.#configuration = { name: this.#name, virtualHosts: hosts, ignorePortInHostMatching: true };
      }
    }
    return this.#configuration as RouteConfiguration;
  }

  #claim(host: VirtualHost, step: 1 | -1): void {
    // A name stands for a claim too: the second of a name is dropped.
    this.#count(`\0${host.name}`, step);
    for (const domain of host.domains) this.#count(domain, step);
  }

  #count(key: string, step: 1 | -1): void {
    const now = (this.#claims.get(key) ?? 0) + step;
    if (now <= 0) this.#claims.delete(key);
    else this.#claims.set(key, now);
    if (step === 1 && now === 2) this.#contested++;
    if (step === -1 && now === 1) this.#contested--;
  }

  #patch(): readonly VirtualHost[] {
    const old = this.#configuration?.virtualHosts;
    if (old === undefined || this.#changes.length > MANY) {
      const hosts = Array.from(this.#candidates.values(), (c) => c.virtualHost).sort(byName);
      hosts.push(this.#last);
      return hosts;
    }
    const hosts = old.slice();
    for (const { before, after } of this.#changes) {
      if (before !== undefined) {
        const at = this.#position(hosts, before.name);
        if (hosts[at]?.name === before.name) {
          if (after?.name === before.name) {
            hosts[at] = after;
            continue;
          }
          hosts.splice(at, 1);
        }
      }
      if (after !== undefined) hosts.splice(this.#position(hosts, after.name), 0, after);
    }
    return hosts;
  }

  /** First index whose name is not less; the last host stays behind all. */
  #position(hosts: readonly VirtualHost[], name: string): number {
    let low = 0;
    let high = hosts.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((hosts[middle] as VirtualHost).name < name) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** All over again, as Istio goes: rules in order, their extra hosts first, then services without a rule. */
  #sortOut(): readonly VirtualHost[] {
    const names = new Set<string>();
    const domains = new Set<string>();
    const hosts: VirtualHost[] = [];
    for (const { virtualHost } of [...this.#candidates.values()].sort(inIstiosOrder)) {
      if (names.has(virtualHost.name)) continue;
      names.add(virtualHost.name);
      const kept = virtualHost.domains.filter((domain) => !domains.has(domain));
      if (kept.length === 0) continue;
      for (const domain of kept) domains.add(domain);
      hosts.push(
        this.#known(
          kept.length === virtualHost.domains.length ? virtualHost : { ...virtualHost, domains: kept },
        ),
      );
    }
    hosts.sort(byName).push(this.#last);
    return hosts;
  }

  /** The virtual host that stood under this name, when it was the same. */
  #known(host: VirtualHost): VirtualHost {
    const old = this.#configuration?.virtualHosts;
    const known = old?.[this.#position(old, host.name)];
    return share(known?.name === host.name ? known : undefined, host);
  }
}

function byName(a: VirtualHost, b: VirtualHost): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function inIstiosOrder(a: Candidate, b: Candidate): number {
  if (a.rule !== b.rule) {
    if (a.rule === undefined) return 1;
    if (b.rule === undefined) return -1;
    const order = compareRules(a.rule, b.rule);
    if (order !== 0) return order;
  }
  if (a.extra !== b.extra) {
    if (a.extra < 0) return 1;
    if (b.extra < 0) return -1;
    return a.extra - b.extra;
  }
  return byName(a.virtualHost, b.virtualHost);
}
