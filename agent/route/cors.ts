/** CORS policy of a route as the request path reads it (istio-semantics 1.10, Envoy's cors filter). */
import type { CorsPolicy } from "../model/model.ts";
import { compileString } from "./match.ts";
import type { CompiledCors } from "./types.ts";

export function compileCors(policy: CorsPolicy): CompiledCors {
  const tests = policy.allowOriginStringMatch.map(compileString);
  // Envoy: a matcher that accepts the text `*` accepts every origin.
  const any = tests.some((t) => t.test("*"));
  return {
    originAllowed: (origin) => any || tests.some((t) => t.test(origin)),
    allowMethods: policy.allowMethods ?? "",
    allowHeaders: policy.allowHeaders ?? "",
    exposeHeaders: policy.exposeHeaders ?? "",
    maxAge: policy.maxAge ?? "",
    allowCredentials: policy.allowCredentials === true,
    forwardNotMatchingPreflights: policy.forwardNotMatchingPreflights !== false,
  };
}
