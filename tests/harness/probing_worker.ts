/** A worker in place of the agent's that tries what it is told to try, and tells what came of each. */
interface Probe {
  readonly connect: readonly { readonly hostname: string; readonly port: number }[];
  readonly listen: readonly string[];
  readonly read: readonly string[];
  readonly env: readonly string[];
  readonly write: readonly string[];
}

const scope = globalThis as unknown as EventTarget & { postMessage(message: unknown): void };

async function tried(attempt: () => unknown): Promise<string> {
  try {
    const result = await attempt();
    if (typeof result === "object" && result !== null && "close" in result) {
      (result as { close(): void }).close();
    }
    return typeof result === "string" ? result : "done";
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
}

scope.addEventListener("message", async (event) => {
  const probe = (event as MessageEvent<{ config: { probe: Probe } }>).data.config.probe;
  const results: Record<string, string> = {};
  for (const address of probe.connect) {
    results[`connect ${address.hostname}:${address.port}`] = await tried(() => Deno.connect(address));
  }
  for (const hostname of probe.listen) {
    results[`listen ${hostname}`] = await tried(() => Deno.listen({ hostname, port: 0 }));
  }
  for (const path of probe.read) results[`read ${path}`] = await tried(() => Deno.stat(path));
  for (const name of probe.env) results[`env ${name}`] = await tried(() => Deno.env.get(name) ?? "unset");
  for (const path of probe.write) results[`write ${path}`] = await tried(() => Deno.writeTextFile(path, ""));
  results["run"] = await tried(() => new Deno.Command("true").output());
  results["sys"] = await tried(() => Deno.hostname());
  results["import"] = await tried(() => import(`http://127.0.0.1:${1}/a.js`));
  scope.postMessage(results);
});
