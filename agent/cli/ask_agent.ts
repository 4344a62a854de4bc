/** Asking a running agent at its admin address. */
import type { SyncReport } from "../admin/sync.ts";
import { MeshError } from "../core/errors.ts";
import type { StreamAddress } from "../core/ports.ts";
import { parseAddress, type ParsedArgs } from "./args.ts";
import { type ClientResponse, connectClient } from "./http_client.ts";
import { loadSettings } from "./load_settings.ts";

const DEFAULT_ADMIN = "127.0.0.1:30102";

/** The address of `--admin`, or a sentence when it is none. */
export function adminAddress(text = DEFAULT_ADMIN): StreamAddress | string {
  return parseAddress(text.replace(/^http:\/\/|\/$/g, "")) ??
    `Cannot read --admin "${text}": want ADDR:PORT, such as ${DEFAULT_ADMIN}`;
}

/** Throws MeshError N108 when nobody listens there. A body makes it a POST. */
export async function askAgent(
  address: StreamAddress,
  target: string,
  body?: string,
): Promise<ClientResponse> {
  let connection;
  try {
    connection = await connectClient(address);
  } catch (error) {
    const { hostname, port } = address;
    const shown = hostname.includes(":") ? `[${hostname}]` : hostname;
    throw new MeshError("N108", `Cannot ask the agent at "${shown}:${port}": nobody listens there`, {
      cause: error,
    });
  }
  try {
    return await connection.send(
      body === undefined ? "GET" : "POST",
      target,
      [["connection", "close"]],
      body,
    );
  } finally {
    connection.close();
  }
}

/** Of --admin, else of the settings that --config names, else the default; or a sentence when it is none. */
export async function chosenAdmin(args: ParsedArgs): Promise<StreamAddress | string> {
  const directory = args.get("config");
  if (args.has("admin") || directory === undefined) return adminAddress(args.get("admin"));
  const { config } = await loadSettings(args);
  if (config === undefined) return `Cannot read the settings in "${directory}": mesh-agent doctor says why`;
  return config.listen.admin ?? `Cannot ask the agent of "${directory}": admin.enable is false`;
}

/** What the agent is at; or a sentence when something else answers, or nothing within `patienceMs`. Throws as {@link askAgent}. */
export async function readSync(address: StreamAddress, patienceMs: number): Promise<SyncReport | string> {
  const where = `${address.hostname}:${address.port}`;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => timer = setTimeout(resolve, patienceMs, null));
  const asking = askAgent(address, "/sync");
  // Whoever waits no longer does not hear of its end.
  asking.catch(() => {});
  try {
    const answer = await Promise.race([asking, late]);
    if (answer === null) return `${where} accepts connections and does not answer`;
    return syncOf(answer) ?? `something else than a mesh-agent answers at ${where} (status ${answer.status})`;
  } catch (error) {
    if (error instanceof MeshError) throw error;
    return `something else than a mesh-agent listens at ${where}`;
  } finally {
    clearTimeout(timer);
  }
}

/** Undefined when something else than an agent answered. */
export function syncOf({ status, body }: ClientResponse): SyncReport | undefined {
  if (status !== 200) return undefined;
  try {
    const report = JSON.parse(body);
    return typeof report?.world?.revision === "number" && Array.isArray(report.connections) &&
        report.permissions !== undefined
      ? report
      : undefined;
  } catch {
    return undefined;
  }
}
