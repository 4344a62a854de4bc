/** What it means that a connection to an endpoint did not come about. */
import { MeshError } from "../core/errors.ts";

/** `key`: the endpoint. `limitMs`: how long was waited for it. */
export function connectFailure(key: string, limitMs: number, cause: unknown): MeshError {
  if (cause instanceof MeshError && cause.code === "P209") return cause;
  const late = cause instanceof MeshError && cause.code === "P304";
  const what = late ? `did not accept a connection within ${limitMs} ms` : "refused the connection";
  const reason = `upstream connect error or disconnect/reset before headers. reset reason: ${
    late ? "connection timeout" : "remote connection failure"
  }. `;
  return new MeshError(late ? "P304" : "P303", `${reason}The upstream ${key} ${what}`, {
    side: "upstream",
    retry: "connect-failure",
    cause,
  });
}
