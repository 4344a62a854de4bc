/** Conditions of an HTTP route: rows VS-E3, VS-E15 to VS-E18. */
import { type At, type Remarks } from "./remark.ts";
import type { HTTPMatchRequest, StringMatch } from "./resources.ts";
import {
  dnsLabelProblem,
  headerMatchNameProblem,
  isJwtClaim,
  judgeGateways,
  judgeLabels,
  portProblem,
  stringMatchProblem,
} from "./validate_primitives.ts";

export function judgeHttpMatch(match: HTTPMatchRequest | null, at: At, out: Remarks, inMesh: boolean): void {
  if (match === null) {
    out.refuse("R118", at, "match entry", undefined, "it is empty; give a condition or delete it");
    return;
  }
  if (match.headers !== undefined) {
    const headers = at.to("headers");
    for (const name of Object.keys(match.headers)) {
      const value = match.headers[name] as StringMatch | null;
      judgeHeaderName(name, headers, out, "R115", inMesh);
      if (value === null) {
        out.refuse(
          "R115",
          headers.to(name),
          "header",
          name,
          "its match is empty; write {} to test that it is there",
        );
        continue;
      }
      const problem = stringMatchProblem(value);
      if (problem !== undefined) {
        out.refuse("R115", valueAt(value, headers.to(name)), "match of header", name, problem);
      }
    }
  }
  if (match.withoutHeaders !== undefined) {
    const headers = at.to("withoutHeaders");
    for (const name of Object.keys(match.withoutHeaders)) {
      const value = match.withoutHeaders[name] as StringMatch | null;
      judgeHeaderName(name, headers, out, "R116", inMesh);
      const problem = value === null || value.regex === "*" ? undefined : stringMatchProblem(value);
      if (problem !== undefined && value !== null) {
        out.refuse("R116", valueAt(value, headers.to(name)), "match of header", name, problem);
      }
    }
  }
  for (const field of ["uri", "scheme", "method", "authority"] as const) {
    const value = match[field];
    const problem = value === undefined ? undefined : stringMatchProblem(value, field === "uri");
    if (problem !== undefined) {
      out.refuse("R117", valueAt(value as StringMatch, at.to(field)), "match of", field, problem);
    }
  }
  if (match.queryParams !== undefined) {
    for (const name of Object.keys(match.queryParams)) {
      const value = match.queryParams[name] as StringMatch | null;
      const problem = value === null ? undefined : stringMatchProblem(value);
      if (problem === undefined || value === null) continue;
      out.refuse(
        "R117",
        valueAt(value, at.to("queryParams").to(name)),
        "match of query parameter",
        name,
        problem,
      );
    }
  }
  if (match.port !== undefined && match.port !== 0) {
    const problem = portProblem(match.port);
    if (problem !== undefined) out.refuse("R118", at.to("port"), "port", match.port, problem);
  }
  if (match.sourceLabels !== undefined) judgeLabels(match.sourceLabels, at.to("sourceLabels"), out, "R118");
  judgeGateways(match.gateways ?? [], at.to("gateways"), out, { error: "R118", warning: "R154" });
  if (match.sourceNamespace !== undefined && match.sourceNamespace !== "") {
    const problem = dnsLabelProblem(match.sourceNamespace);
    if (problem !== undefined) {
      out.refuse("R118", at.to("sourceNamespace"), "sourceNamespace", match.sourceNamespace, problem);
    }
  }
}

function judgeHeaderName(name: string, at: At, out: Remarks, code: "R115" | "R116", inMesh: boolean): void {
  const problem = headerMatchNameProblem(name);
  if (problem !== undefined) out.refuse(code, at.to(name), "header name", name, problem, { key: true });
  if (inMesh && isJwtClaim(name)) {
    out.refuse(
      "R103",
      at.to(name),
      "header name",
      name,
      "the rule applies to the mesh, where no JWT is checked; test a real header",
      { key: true },
    );
  }
}

/** The bad part of a string match. */
function valueAt(match: StringMatch, at: At): At {
  return match.regex !== undefined ? at.to("regex") : match.prefix !== undefined ? at.to("prefix") : at;
}
