/** The blocks of a traffic policy: rows DR-E6 to DR-E17, DR-W1, DR-W2. */
import { parseDuration } from "../core/duration.ts";
import { type At, type Remarks } from "./remark.ts";
import type {
  ClientTLSSettings,
  ConnectionPoolSettings,
  LoadBalancerSettings,
  OutlierDetectionSettings,
} from "./resources.ts";
import { judgeDuration, percentIntProblem } from "./validate_primitives.ts";

/** DR-E6, DR-W1 */
export function judgeOutlierDetection(outlier: OutlierDetectionSettings, at: At, out: Remarks): void {
  for (const field of ["baseEjectionTime", "interval"] as const) {
    judgeDuration(outlier[field], at.to(field), out, "R206", field);
  }
  for (const field of ["maxEjectionPercent", "minHealthPercent"] as const) {
    const value = outlier[field];
    const problem = value === undefined ? undefined : percentIntProblem(value);
    if (problem !== undefined) out.refuse("R206", at.to(field), field, value, problem);
  }
  if ((outlier.consecutiveLocalOriginFailures ?? 0) > 0 && outlier.splitExternalLocalOriginErrors !== true) {
    out.refuse(
      "R206",
      at.to("consecutiveLocalOriginFailures"),
      "consecutiveLocalOriginFailures",
      outlier.consecutiveLocalOriginFailures,
      "local failures are not counted apart; set splitExternalLocalOriginErrors to true",
    );
  }
  if (outlier.consecutiveErrors !== undefined && outlier.consecutiveErrors !== 0) {
    out.add("R251", at.to("consecutiveErrors"), "consecutiveErrors is deprecated", { key: true });
  }
}

/** DR-E7 to DR-E9 */
export function judgeConnectionPool(pool: ConnectionPoolSettings, at: At, out: Remarks): void {
  const { http, tcp } = pool;
  if (http === undefined && tcp === undefined) {
    out.refuse("R207", at, "connectionPool", undefined, "it has neither http nor tcp; give one", {
      key: true,
    });
  }
  const notNegative = (value: number | undefined, place: At, field: string, code: "R208" | "R209") => {
    if (value !== undefined && value < 0) {
      out.refuse(code, place.to(field), field, value, "it is negative; want 0 or more");
    }
  };
  if (http !== undefined) {
    const place = at.to("http");
    for (
      const field of [
        "http1MaxPendingRequests",
        "http2MaxRequests",
        "maxRequestsPerConnection",
        "maxRetries",
        "maxConcurrentStreams",
      ] as const
    ) notNegative(http[field], place, field, "R208");
    judgeDuration(http.idleTimeout, place.to("idleTimeout"), out, "R208", "idleTimeout");
    if (http.h2UpgradePolicy === "UPGRADE" && http.useClientProtocol === true) {
      out.refuse(
        "R208",
        place.to("h2UpgradePolicy"),
        "h2UpgradePolicy",
        "UPGRADE",
        "useClientProtocol is true; give one of them",
      );
    }
    if (http.http2KeepAlive !== undefined) {
      const keepAlive = place.to("http2KeepAlive");
      for (const field of ["interval", "timeout"] as const) {
        const value = http.http2KeepAlive[field];
        if (value === undefined) {
          out.refuse(
            "R208",
            keepAlive,
            "http2KeepAlive",
            undefined,
            `it has no ${field}; give interval and timeout`,
          );
        } else judgeDuration(value, keepAlive.to(field), out, "R208", field);
      }
    }
  }
  if (tcp !== undefined) {
    const place = at.to("tcp");
    notNegative(tcp.maxConnections, place, "maxConnections", "R209");
    for (const field of ["connectTimeout", "maxConnectionDuration"] as const) {
      judgeDuration(tcp[field], place.to(field), out, "R209", field);
    }
    if (tcp.idleTimeout !== undefined && parseDuration(tcp.idleTimeout) !== 0) {
      judgeDuration(tcp.idleTimeout, place.to("idleTimeout"), out, "R209", "idleTimeout");
    }
    for (const field of ["time", "interval"] as const) {
      judgeDuration(tcp.tcpKeepalive?.[field], place.to("tcpKeepalive").to(field), out, "R209", field);
    }
  }
}

/** DR-E10 to DR-E16, DR-W2 */
export function judgeLoadBalancer(balancer: LoadBalancerSettings, at: At, out: Remarks): void {
  if (balancer.consistentHash !== undefined) {
    judgeConsistentHash(balancer.consistentHash, at.to("consistentHash"), out);
  }
  const zone = balancer.zoneAwareLbSetting as LocalityLbSetting | undefined;
  if (balancer.localityLbSetting !== undefined && zone !== undefined) {
    out.refuse(
      "R213",
      at.to("zoneAwareLbSetting"),
      "zoneAwareLbSetting",
      undefined,
      "localityLbSetting is given too; give one",
      {
        key: true,
      },
    );
  }
  if (balancer.localityLbSetting !== undefined) {
    judgeLocality(balancer.localityLbSetting, at.to("localityLbSetting"), out);
  }
  if (zone !== undefined) {
    const place = at.to("zoneAwareLbSetting");
    for (const [i, key] of (zone.failoverPriority ?? []).entries()) {
      if (isTopologyLabel(key)) {
        out.refuse(
          "R215",
          place.to("failoverPriority").to(i),
          "failoverPriority",
          key,
          "topology labels are implied; delete it",
        );
      }
    }
    judgeFailover(zone, place, out, "R215");
  }
  const { warmup } = balancer;
  if (warmup === undefined) return;
  const place = at.to("warmup");
  if (warmup.duration === undefined) {
    out.refuse("R216", place, "warmup", undefined, "it has no duration; give one of at least 1ms");
  } else judgeDuration(warmup.duration, place.to("duration"), out, "R216", "duration");
  if (warmup.minimumPercent !== undefined && !(warmup.minimumPercent <= 100)) {
    out.refuse(
      "R216",
      place.to("minimumPercent"),
      "minimumPercent",
      warmup.minimumPercent,
      "it is above 100; want 0 to 100",
    );
  }
  if (warmup.aggression !== undefined && !(warmup.aggression > 0)) {
    out.refuse(
      "R216",
      place.to("aggression"),
      "aggression",
      warmup.aggression,
      "it is not above 0; want e.g. 1.0",
    );
  }
}

type ConsistentHash = NonNullable<LoadBalancerSettings["consistentHash"]>;
type LocalityLbSetting = NonNullable<LoadBalancerSettings["localityLbSetting"]>;

function judgeConsistentHash(hash: ConsistentHash, at: At, out: Remarks): void {
  const cookie = hash.httpCookie;
  if (cookie !== undefined) {
    const place = at.to("httpCookie");
    if ((cookie.name ?? "") === "") {
      out.refuse("R210", place, "httpCookie", undefined, "it has no name; give one");
    }
    const names = new Set<string>();
    for (const [i, attribute] of (cookie.attributes ?? []).entries()) {
      const name = attribute?.name ?? "";
      const problem = name === ""
        ? "it has no name; give one"
        : names.has(name)
        ? "it is given twice; delete one"
        : undefined;
      if (problem !== undefined) {
        out.refuse("R210", place.to("attributes").to(i), "cookie attribute", name, problem);
      }
      names.add(name);
    }
  }
  if (hash.minimumRingSize !== undefined && hash.minimumRingSize !== 0) {
    if (hash.ringHash !== undefined || hash.maglev !== undefined) {
      out.refuse(
        "R211",
        at.to("minimumRingSize"),
        "minimumRingSize",
        hash.minimumRingSize,
        `${hash.maglev === undefined ? "ringHash" : "maglev"} is given too; give one of them`,
      );
    } else out.add("R252", at.to("minimumRingSize"), "minimumRingSize is deprecated", { key: true });
  }
  const size = hash.maglev?.tableSize;
  if (size === undefined) return;
  const problem = size === 0
    ? "it is 0; want a prime"
    : size >= 5_000_011
    ? "it is too large; want a prime below 5000011"
    : !isPrime(size)
    ? "it is no prime; want one, such as 65537"
    : undefined;
  if (problem !== undefined) out.refuse("R212", at.to("maglev").to("tableSize"), "tableSize", size, problem);
}

function isPrime(n: number): boolean {
  if (n < 2) return false;
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
  return true;
}

const TOPOLOGY_LABELS = [
  "topology.kubernetes.io/region",
  "topology.kubernetes.io/zone",
  "topology.istio.io/subzone",
];

const isTopologyLabel = (key: string) => TOPOLOGY_LABELS.includes(key.split("=")[0] as string);

/** DR-E14 */
function judgeLocality(setting: LocalityLbSetting, at: At, out: Remarks): void {
  const distribute = setting.distribute ?? [];
  if (distribute.length > 0 && (setting.failover?.length ?? 0) > 0) {
    out.refuse(
      "R214",
      at.to("failover"),
      "failover",
      undefined,
      "distribute is given too; give one of them",
      { key: true },
    );
  }
  if ((setting.failover?.length ?? 0) > 0) {
    for (const [i, key] of (setting.failoverPriority ?? []).entries()) {
      if (!isTopologyLabel(key)) continue;
      out.refuse(
        "R214",
        at.to("failoverPriority").to(i),
        "failoverPriority",
        key,
        "failover decides by topology already; delete it or failover",
      );
    }
  }
  const sources: string[] = [];
  for (const [i, rule] of distribute.entries()) {
    const place = at.to("distribute").to(i);
    const from = rule?.from ?? "";
    judgeLocalities([from], [place.to("from")], out);
    const overlap = sources.find((other) => localitiesOverlap(other, from));
    if (overlap !== undefined) {
      out.refuse(
        "R214",
        place.to("from"),
        "locality",
        from,
        `it overlaps with "${overlap}"; name each locality once`,
      );
    }
    sources.push(from);
    const to = rule?.to ?? {};
    const keys = Object.keys(to);
    judgeLocalities(keys, keys.map((key) => place.to("to").to(key)), out, true);
    let sum = 0;
    for (const key of keys) {
      const weight = to[key] as number;
      sum += weight;
      if (weight >= 1 && weight <= 100) continue;
      out.refuse(
        "R214",
        place.to("to").to(key),
        "locality weight",
        weight,
        "it is out of range; want 1 to 100",
      );
    }
    if (sum !== 100) {
      out.refuse("R214", place.to("to"), "locality weights", undefined, `their sum is ${sum}; want 100`, {
        key: true,
      });
    }
  }
  judgeFailover(setting, at, out, "R214");
}

function judgeFailover(setting: LocalityLbSetting, at: At, out: Remarks, code: "R214" | "R215"): void {
  for (const [i, rule] of (setting.failover ?? []).entries()) {
    const { from = "", to = "" } = rule ?? {};
    const place = at.to("failover").to(i);
    if (from === to) {
      out.refuse(code, place, "failover", `${from} to ${to}`, "it leads to itself; name another region");
    }
    for (const [field, region] of [["from", from], ["to", to]] as const) {
      if (!region.includes("/") && !region.includes("*")) continue;
      out.refuse(
        code,
        place.to(field),
        "region",
        region,
        "it is no plain region; want a region without / and *",
      );
    }
  }
}

function judgeLocalities(
  localities: readonly string[],
  places: readonly At[],
  out: Remarks,
  pairwise = false,
): void {
  const seen: string[] = [];
  for (const [i, locality] of localities.entries()) {
    const parts = locality.split("/");
    const star = locality.indexOf("*");
    const problem = parts.some((part) => part === "")
      ? "it has an empty part; want region/zone/subzone"
      : star >= 0 && star !== locality.length - 1
      ? "a * stands elsewhere than at the end; want at most one, at the end"
      : undefined;
    if (problem !== undefined) out.refuse("R214", places[i] as At, "locality", locality, problem);
    if (!pairwise) continue;
    const overlap = seen.find((other) => localitiesOverlap(other, locality));
    if (overlap !== undefined) {
      out.refuse(
        "R214",
        places[i] as At,
        "locality",
        locality,
        `it overlaps with "${overlap}"; name each locality once`,
      );
    }
    seen.push(locality);
  }
}

/** `a` and `a/b` overlap, as do `a/*` and `a/b`. */
function localitiesOverlap(a: string, b: string): boolean {
  const [left, right] = [a.replace(/\/?\*$/, ""), b.replace(/\/?\*$/, "")];
  const within = (inner: string, outer: string) =>
    outer === "" || inner === outer || inner.startsWith(outer + "/");
  return within(left, right) || within(right, left);
}

/** DR-E17 */
export function judgeTls(tls: ClientTLSSettings, at: At, out: Remarks, namespace: string): void {
  const mode = tls.mode ?? "DISABLE";
  const given = (field: keyof ClientTLSSettings) => {
    const value = tls[field];
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== "";
  };
  if (mode !== "SIMPLE" && mode !== "MUTUAL") return;
  if (tls.insecureSkipVerify === true) {
    const barred: (keyof ClientTLSSettings)[] = mode === "SIMPLE"
      ? ["caCertificates", "credentialName", "subjectAltNames"]
      : ["caCertificates", "subjectAltNames"];
    for (const field of barred.filter(given)) {
      out.refuse(
        "R217",
        at.to(field),
        field,
        undefined,
        "insecureSkipVerify is true, so nothing is verified; delete one of them",
        {
          key: true,
        },
      );
    }
  }
  if (given("credentialName")) {
    const files = ["clientCertificate", "privateKey", "caCertificates", "caCrl"] as const;
    for (const field of files.filter(given)) {
      out.refuse("R217", at.to(field), field, undefined, "credentialName is given too; give one of them", {
        key: true,
      });
    }
    const reference = /^configmap:\/\/(?:([^/]*)\/)?/.exec(tls.credentialName ?? "");
    if (reference?.[1] !== undefined && reference[1] !== namespace) {
      out.refuse(
        "R217",
        at.to("credentialName"),
        "credentialName",
        tls.credentialName,
        `it names another namespace; want "${namespace}" or none`,
      );
    }
  } else if (mode === "MUTUAL") {
    for (const field of ["clientCertificate", "privateKey"] as const) {
      if (given(field)) continue;
      out.refuse(
        "R217",
        at,
        "tls",
        mode,
        `it has no ${field}; give clientCertificate and privateKey, or credentialName`,
      );
    }
  }
}
