/**
 * One path of Pilot's v1 API: a GET, and what is known of the path from all GETs so far.
 *
 * Never by accident: an answer of another status, form or size leaves the last good one in force; so does one that holds
 * nothing where there was something, until {@link CONFIRMATIONS} answers running say so.
 */
import { type Diagnostic, diagnostic } from "../core/diagnostics.ts";
import { fingerprint } from "../core/fingerprint.ts";
import { oneLine } from "../core/one_line.ts";
import type { HttpAnswer, HttpClient } from "../core/ports.ts";
import type { ControlPlaneAddress } from "../settings/types.ts";
import { jsonSteps, type Steps } from "../xds/v1/json_steps.ts";
import type { V1Board, V1Kind } from "./pilot_status.ts";
import type { Slices } from "./sliced.ts";

/** One answer, from the connection to its last byte, ms. */
const ANSWER_MS = 30_000;
/** Largest answer taken in, bytes: 10,000 services with 10 endpoints are about 10 MB. */
const MAX_ANSWER_BYTES = 64 << 20;
/** Answers running that must say the same before something that was there is believed to be gone as a whole. */
export const CONFIRMATIONS = 3;

/** What is known of a path. */
export interface Known<T> {
  /** The last good answer. */
  value?: T;
  /** Of its body, and of what else it was decoded with. */
  digest?: string;
  version?: string;
  /** Why the last answer was not used. */
  failure?: Diagnostic;
  /** Doubtful answers running. */
  doubts?: number;
}

export interface Question<T> {
  readonly kind: V1Kind;
  readonly path: string;
  /** In steps: the value, or why it cannot be used, or nothing when the answer has another form. */
  readonly decode: (json: unknown, version: string) => Steps<T | Diagnostic | undefined>;
  /** How much an answer holds, when none after some is to be doubted. */
  readonly sizeOf?: (value: T) => number;
  /** What else the value depends on. */
  readonly salt?: string;
  /** Whether 404 says that this Pilot does not serve such paths; default: it is trouble. */
  readonly optional?: true;
}

/** `absent`: 404 of an optional path. */
export type Outcome = "new" | "same" | "absent" | "bad";

export interface AskOptions {
  readonly connectTimeoutMs: number;
  readonly board: V1Board;
  /** Decoding and putting together is done in these. */
  readonly slices: Slices;
}

export type Ask = <T extends object>(
  address: ControlPlaneAddress,
  known: Known<T>,
  question: Question<T>,
) => Promise<Outcome>;

/** The function rejects with the MeshError of the GET. */
export function createAsk(http: HttpClient, { connectTimeoutMs, board, slices }: AskOptions): Ask {
  return async (address, known, { kind, path, decode, sizeOf, salt = "", optional }) => {
    board.sent(kind);
    const answer = await http.get(address, path, {
      timeoutMs: Math.max(ANSWER_MS, connectTimeoutMs),
      connectTimeoutMs,
      maxBytes: MAX_ANSWER_BYTES,
      onStep: (step) => board.at(step),
    });
    board.received(kind, answer.body.length);
    const version = fingerprint(answer.body).toString(16).padStart(14, "0");
    const where = { kind: "Answer", resource: path, version };
    const refuse = (failure: Diagnostic): Outcome => {
      known.failure = failure;
      board.refused(kind, version, failure.message);
      return "bad";
    };
    // A path that is served answers 404 to a node that Pilot does not like: `LDS unexpected service-node`.
    if (answer.status === 404 && optional === true && !/^[A-Z]DS /.test(textOf(answer))) {
      delete known.failure;
      return "absent";
    }
    if (answer.status !== 200) {
      const state = `it answers ${answer.status}${said(answer)}`;
      return refuse(diagnostic("D220", `Cannot use ${path} of "${address.text}": ${state}; want 200`, where));
    }
    if (known.digest === version + salt) {
      delete known.failure;
      delete known.doubts;
      return "same";
    }
    slices.begin();
    const json = await inSlices(jsonSteps(answer.body), slices);
    const value = json && await inSlices(decode(json.value, version), slices);
    if (value === undefined) {
      const form = json === undefined ? "no JSON" : "JSON of another form";
      return refuse(diagnostic(
        "D221",
        `Cannot use ${path} of "${address.text}": its ${answer.body.length} bytes are ${form}; want what Pilot's v1 API answers`,
        where,
      ));
    }
    if (isDiagnostic(value)) return refuse(value);
    const before = known.value === undefined || sizeOf === undefined ? 0 : sizeOf(known.value);
    if (before > 0 && sizeOf?.(value) === 0 && (known.doubts = (known.doubts ?? 0) + 1) < CONFIRMATIONS) {
      return refuse(diagnostic(
        "D230",
        `Cannot believe yet that ${path} of "${address.text}" is empty: it had ${before} ${kind} before; ` +
          `want the same answer ${CONFIRMATIONS} times in a row`,
        where,
      ));
    }
    known.value = value;
    known.digest = version + salt;
    known.version = version;
    delete known.failure;
    delete known.doubts;
    board.accepted(kind, version);
    return "new";
  };
}

/** Runs steps to their end, and lets waiting I/O run in between. */
export async function inSlices<T>(steps: Steps<T>, slices: Slices): Promise<T> {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    if (slices.spent()) await slices.rest();
  }
}

function isDiagnostic(value: object): value is Diagnostic {
  return "code" in value && "severity" in value;
}

function textOf({ body }: HttpAnswer): string {
  return new TextDecoder().decode(body.subarray(0, 200));
}

/** The first line of an error's body, in brackets. */
function said(answer: HttpAnswer): string {
  const line = oneLine((textOf(answer).split(/[\r\n]/, 1)[0] as string).trim());
  return line === "" ? "" : ` (${line})`;
}
