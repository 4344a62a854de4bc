/**
 * /etc/hosts (hosts(5)), which goes before the name servers: hostAliases of a pod and the `hosts` of a virtual machine stand there. The
 * runtime's own look-up knows it only for names that end in a dot.
 *
 * @example
 * ```ts ignore
 * await new HostsFile().lookup("istiod.istio-system.svc"); // ["203.0.113.20"]
 * ```
 */
import { normalAddress } from "../core/ip.ts";

export class HostsFile {
  #stamp = "";
  #names: ReadonlyMap<string, readonly string[]> = new Map();

  constructor(readonly path = "/etc/hosts") {}

  /** Addresses of a name, IPv4 first; none when the file does not have it, or cannot be read. Reads the file again when it changed. */
  async lookup(hostname: string): Promise<readonly string[]> {
    try {
      const { dev, ino, size, mtime } = await Deno.stat(this.path);
      const stamp = `${dev}:${ino}:${size}:${mtime?.getTime()}`;
      if (stamp !== this.#stamp) {
        this.#names = parseHosts(await Deno.readTextFile(this.path));
        this.#stamp = stamp;
      }
    } catch {
      this.#stamp = "";
      return [];
    }
    return this.#names.get(hostname.toLowerCase().replace(/\.$/, "")) ?? [];
  }
}

/** Name in lower case -> its addresses, IPv4 first. */
export function parseHosts(text: string): Map<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [first = "", ...aliases] = line.replace(/#.*/, "").trim().split(/\s+/);
    const address = normalAddress(first);
    if (address === undefined) continue;
    for (const alias of aliases) {
      const name = alias.toLowerCase().replace(/\.$/, "");
      const known = names.get(name);
      if (known === undefined) names.set(name, [address]);
      else if (!known.includes(address)) known.push(address);
    }
  }
  for (const known of names.values()) known.sort((a, b) => Number(a.includes(":")) - Number(b.includes(":")));
  return names;
}
