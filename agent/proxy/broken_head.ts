/** What a request is told whose head the HTTP/1.1 parser refused, whichever engine received it. */
import type { Code } from "../core/codes.ts";
import { MeshError } from "../core/errors.ts";
import { problemOf } from "../wire/http1/problems.ts";

/** By status; everything else is P101. */
const STATUS_CODE: Readonly<Record<number, Code>> = {
  408: "P106",
  414: "P105",
  431: "P104",
  501: "P110",
  505: "P108",
};

/** `problem`: a number of wire/http1/problems.ts. */
export function brokenHead(problem: number): MeshError {
  const { status, what, source } = problemOf(problem);
  return new MeshError(STATUS_CODE[status] ?? "P101", `Cannot read the request: ${what} (${source})`, {
    side: "downstream",
  });
}
