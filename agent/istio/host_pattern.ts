/** Host names and wildcards as Istio compares them (istio-semantics 0.1): a name is a wildcard when it begins with `*`. */

export function isWildcard(host: string): boolean {
  return host.charCodeAt(0) === 42;
}

/** Whether some name fits both; symmetric. */
export function hostsOverlap(a: string, b: string): boolean {
  const [wildA, wildB] = [isWildcard(a), isWildcard(b)];
  if (!wildA && !wildB) return a === b;
  if (wildA && wildB) {
    const [longer, shorter] = a.length >= b.length ? [a, b] : [b, a];
    return longer.slice(1).endsWith(shorter.slice(1));
  }
  return wildA ? b.endsWith(a.slice(1)) : a.endsWith(b.slice(1));
}

/** Whether `outer` covers every name that `inner` covers. */
export function hostCovers(outer: string, inner: string): boolean {
  if (!isWildcard(outer)) return outer === inner;
  return (isWildcard(inner) ? inner.slice(1) : inner).endsWith(outer.slice(1));
}

/**
 * The full name of a host in a rule (istio-semantics 0.2): a short name `H` becomes `H.NAMESPACE.SUFFIX`; a name with a dot,
 * `*`, an IP address and the empty text stay. `suffix` may be empty.
 */
export function fullHost(host: string, namespace: string, suffix: string): string {
  if (host === "" || host === "*" || host.includes(".") || host.includes(":")) return host;
  return namespace === "" ? host : `${host}.${namespace}${suffix === "" ? "" : `.${suffix}`}`;
}
