/** What of the machine the scope of an agent depends on: name servers, where links lead to, what rule files name. */
import { namedPlaces } from "../discovery/rule_places.ts";
import { NetScope } from "../net/net_scope.ts";
import { ReadScope } from "../net/read_scope.ts";
import { createRuleFiles } from "../net/rule_files.ts";
import type { AgentConfig } from "../settings/types.ts";
import { rootsOf, type ScopeFacts } from "./scope.ts";
import { WORKER } from "./spawn.ts";

/** `worker`: the entry point. Never rejects: what cannot be read is not there. */
export async function readFacts(config: AgentConfig, worker = WORKER): Promise<ScopeFacts> {
  // In this thread: each reading beside it starts one of its own (1 ms, 0.1 MB), and there is no traffic here to wait for.
  const [nameservers, realPaths] = [readNameservers(), readRealPaths(rootsOf(config))];
  const { type, address } = config.serviceDiscovery;
  // As the agent will read them, so that this process follows no link out either.
  const roots = rootsOf(config).map((path) => realPaths.get(path) ?? path);
  const files = type === "file" ? await readRules(address, new ReadScope(roots)) : new Map<string, string>();
  const scope = new NetScope(config.permissions.net);
  return {
    nameservers,
    realPaths,
    program: programOf(worker),
    // Whatever the port: -1 is none that a grant with a port has.
    places: namedPlaces(files, (address) => scope.target(address, -1) !== null),
  };
}

/** The addresses in resolv.conf (resolv.conf(5)). */
export function nameserversOf(text: string): string[] {
  return [...text.matchAll(/^[ \t]*nameserver[ \t]+([^\s#;%]+)/gm)].map(([, address]) => address as string);
}

/** Where the program lies: its sources and packages, or the directory of its bundle (in a compiled program a virtual one). */
function programOf(worker: URL): string[] {
  const path = (relative: string) => new URL(relative, worker).pathname.replace(/\/$/, "");
  return worker.pathname.endsWith(".ts") ? [path("../"), path("../../node_modules")] : [path("../../")];
}

function readNameservers(): string[] {
  try {
    return nameserversOf(Deno.readTextFileSync("/etc/resolv.conf"));
  } catch {
    return [];
  }
}

function readRealPaths(paths: readonly string[]): Map<string, string> {
  const real = new Map<string, string>();
  for (const path of paths) {
    try {
      real.set(path, Deno.realPathSync(path));
    } catch {
      // It may be made later.
    }
  }
  return real;
}

async function readRules(path: string, scope: ReadScope): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  const reading = await createRuleFiles(path, undefined, scope).read();
  for (const [name, text] of reading?.files ?? []) if (text !== null) texts.set(name, text);
  return texts;
}
