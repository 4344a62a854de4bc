/** GETs of the agent's own. */
import { MeshError } from "../core/errors.ts";
import type { HttpClient } from "../core/ports.ts";

export function createHttpClient(): HttpClient {
  return { get: () => Promise.reject(new MeshError("D106", "not there yet")), close() {} };
}
