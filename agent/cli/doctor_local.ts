/** `doctor`: what of this machine the agent needs: name servers, rights, listen addresses, cache, rule files. */
import { ageText } from "../admin/sync.ts";
import { directoryOf, joinPath } from "../core/path.ts";
import type { StreamAddress } from "../core/ports.ts";
import { proxyContextOf } from "../discovery/file.ts";
import { judgeRules } from "../discovery/offline.ts";
import { readWorldSteps, worldIdentity } from "../discovery/world_text.ts";
import { openCacheFile } from "../net/cache_file.ts";
import { listenError } from "../net/listen_error.ts";
import { createRuleFiles } from "../net/rule_files.ts";
import type { AgentConfig } from "../settings/types.ts";
import { readFacts } from "../supervisor/facts.ts";
import { type Scope, scopeOf } from "../supervisor/scope.ts";
import { finish } from "../xds/v1/json_steps.ts";
import { type Check, counted, fail, ofError, ok, warn } from "./check_line.ts";

/** `running`: an agent holds the listen addresses. Never rejects. */
export async function* checkLocal(config: AgentConfig, running: boolean): AsyncGenerator<Check> {
  const facts = await readFacts(config);
  const scope = scopeOf(config, facts);
  if (facts.nameservers.length > 0) {
    yield ok("names", `/etc/resolv.conf has ${facts.nameservers.join(", ")}`);
  } else {
    yield warn(
      "names",
      "there is no name server in /etc/resolv.conf",
      "Mount it, or use addresses in settings and rules.",
    );
  }
  yield* checkRights(config, scope);
  yield* checkPorts(config, running);
  const isFile = config.serviceDiscovery.type === "file";
  if (isFile) yield await checkRules(config);
  if (config.cacheDir !== "" && isFile) {
    yield warn("cache", "cse.mesh.cacheDir has no effect: rules of files are not kept", "Take it out.");
  } else if (config.cacheDir !== "") {
    yield* checkCache(config);
  }
  if (config.readinessFile !== "") yield await checkReadinessFile(config.readinessFile);
}

/** A worker may do no more than the process that starts it. */
function* checkRights({ isolation }: AgentConfig, { runtime, grants }: Scope): Generator<Check> {
  const missing = [
    ...runtime.read.map((path) => [`read ${path}`, { name: "read", path }] as const),
    ...runtime.write.map((path) => [`write ${path}`, { name: "write", path }] as const),
    ...runtime.env.map((variable) => [`env ${variable}`, { name: "env", variable }] as const),
    ...(runtime.net === true ? [undefined] : runtime.net.filter((host) => !host.includes("/"))).map((host) =>
      [`net ${host ?? "any"}`, { name: "net", ...(host === undefined ? {} : { host }) }] as const
    ),
  ].filter(([, descriptor]) =>
    Deno.permissions.querySync(descriptor as Deno.PermissionDescriptor).state !== "granted"
  );
  if (missing.length > 0) {
    const names = missing.map(([name]) => name);
    yield fail(
      "rights",
      `this process has no right to ${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}`,
      "Start it as deno run -P mod.ts, or compiled.",
    );
  } else if (isolation) {
    yield ok("rights", `${grants.length} of them, as mesh-agent permissions prints`);
  } else {
    yield warn(
      "rights",
      "cse.mesh.isolation is false: the agent has all those of its process",
      "Set it to true.",
    );
  }
}

async function* checkPorts({ listen }: AgentConfig, running: boolean): AsyncGenerator<Check> {
  const wanted: (readonly [string, StreamAddress])[] = [["http", listen.http]];
  if (listen.grpc !== undefined) wanted.push(["grpc", listen.grpc]);
  if (listen.admin !== null) wanted.push(["rest-admin", listen.admin]);
  if (listen.health !== undefined) wanted.push(["health", listen.health]);
  for (const { listen: address } of listen.tcp ?? []) wanted.push(["tcp", address]);
  for (const [protocol, address] of wanted) {
    const { hostname, port } = address;
    const text = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port} (${protocol})`;
    if (port === 0) {
      yield ok("ports", `${text} is any free one`);
    } else if (running) {
      yield await checkHeld(text, address);
    } else {
      try {
        Deno.listen({ hostname, port }).close();
        yield ok("ports", `${text} can be listened on`);
      } catch (error) {
        yield ofError("ports", listenError(protocol, address, error), "Choose another listen address.");
      }
    }
  }
}

/** By the running agent, one hopes. */
async function checkHeld(text: string, { hostname, port }: StreamAddress): Promise<Check> {
  const reachable = hostname === "0.0.0.0" ? "127.0.0.1" : hostname === "::" ? "::1" : hostname;
  try {
    (await Deno.connect({ hostname: reachable, port })).close();
    return ok("ports", `${text} takes connections`);
  } catch {
    return fail(
      "ports",
      `${text} takes no connections, though an agent runs`,
      "Restart the agent: it runs with other settings than these.",
    );
  }
}

async function checkRules(config: AgentConfig): Promise<Check> {
  const { address } = config.serviceDiscovery;
  const reading = await createRuleFiles(address).read().catch((error: unknown) => error as Error);
  if (reading === null || reading instanceof Error) {
    const state = reading === null ? "does not exist" : reading.message;
    return fail(
      "rules",
      `${address} ${state}`,
      "Create it, or name another one in serviceDiscovery.address.",
    );
  }
  const files = new Map<string, string>();
  for (const [name, text] of reading.files) if (text !== null) files.set(name, text);
  const { valid, diagnostics } = judgeRules(files, proxyContextOf(config));
  const errors = diagnostics.filter(({ severity }) => severity === "error").length;
  const text = `${counted(valid.length, "object")} in ${counted(files.size, "file")} of ${address}`;
  if (errors > 0) {
    return fail("rules", `${text}, ${counted(errors, "error")}`, `mesh-agent check ${address} shows them.`);
  }
  if (valid.length === 0) return warn("rules", text, "Put rule files (*.yaml, *.yml, *.json) there.");
  return ok("rules", text);
}

async function* checkCache(config: AgentConfig): AsyncGenerator<Check> {
  const { cacheDir } = config;
  const probe = joinPath(cacheDir, `.doctor-${Deno.pid}`);
  try {
    await Deno.writeTextFile(probe, "");
    await Deno.remove(probe);
    yield ok("cache", `${cacheDir} can be written`);
  } catch (error) {
    const state = error instanceof Deno.errors.NotFound
      ? "does not exist"
      : error instanceof Error
      ? `cannot be written: ${error.message.replace(/:? ?\(os error.*$/, "")}`
      : String(error);
    yield fail("cache", `${cacheDir} ${state}`, "Create it for the agent's user, or mend cse.mesh.cacheDir.");
    return;
  }
  try {
    const bytes = await openCacheFile(cacheDir).read();
    if (bytes === null) return yield ok("cache", "nothing is kept yet");
    const world = finish(readWorldSteps(bytes, worldIdentity(config)));
    if (typeof world === "string") {
      return yield warn("cache", `what is kept is not used: ${world}`, "Nothing: the agent replaces it.");
    }
    const { clusters, routeConfigurations } = world.program;
    const age = ageText(Date.now() - world.savedMs);
    yield ok(
      "cache",
      `${counted(clusters.size, "cluster")} and ${
        counted(routeConfigurations.size, "table")
      }, ${age} old, are kept`,
    );
  } catch (error) {
    yield ofError("cache", error, "Nothing: the agent replaces it.", warn);
  }
}

async function checkReadinessFile(path: string): Promise<Check> {
  const directory = directoryOf(path);
  const isDirectory = await Deno.stat(directory).then((info) => info.isDirectory, () => false);
  return isDirectory
    ? ok("ready file", path)
    : fail("ready file", `${directory} is no directory`, "Create it, or mend cse.mesh.readinessFile.");
}
