/** The JWT that says who the workload is. Read on every connect: the kubelet rotates it. */
import type { Failure } from "./connect_error.ts";
import { LeadsOut, type ReadScope, readTextWithin } from "./read_scope.ts";

/** The token, or why there is none (D204); `scope` is what links may lead to. The token itself is in no message. */
export async function readToken(
  path: string,
  scope?: ReadScope,
): Promise<{ token: string } | { failure: Failure; missing: boolean }> {
  const refuse = (state: string, missing = false) => ({
    failure: { code: "D204" as const, state: `token file "${path}" ${state}`, wanted: "want one JWT in it" },
    missing,
  });
  let text: string;
  try {
    text = await readTextWithin(path, scope);
  } catch (cause) {
    if (cause instanceof LeadsOut) return refuse(cause.message);
    if (cause instanceof Deno.errors.NotFound) return refuse("does not exist", true);
    return refuse("cannot be read");
  }
  const token = text.trim();
  if (token === "") return refuse("is empty");
  // A header value: anything else would be cut off or refused by the HTTP/2 library with the token in its message.
  if (!/^[\x21-\x7e]+$/.test(token)) return refuse("has blanks or other characters that no token has");
  return { token };
}
