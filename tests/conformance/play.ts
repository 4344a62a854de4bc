/** Plays a row against a proxy and compares. Shared by every engine and by the agent as a process. */
import assert from "node:assert/strict";
import type { RequestRecord } from "../../agent/observe/types.ts";
import { until, within } from "../harness/bytes.ts";
import { type Address, RawClient } from "../harness/client.ts";
import {
  answering,
  OK_ANSWER,
  type RecordingUpstream,
  type Script,
  startUpstream,
} from "../harness/upstream.ts";
import type { WireMessage } from "../harness/wire_reader.ts";
import type { ExpectedAnswer, ExpectedForward, Row } from "./row.ts";

/** A proxy under test. */
export interface Rig {
  readonly address: Address;
  /** Points the service at an upstream on this port; gives the authority by which it is asked. */
  serve(port: number): string;
  /** What was recorded so far; undefined where the runner cannot see it. */
  readonly records?: readonly RequestRecord[];
}

/** Rejects with what differs. */
export async function play(row: Row, rig: Rig): Promise<void> {
  await using upstream = startUpstream(row.script ?? scriptOf(row));
  const host = rig.serve(upstream.port);
  const fill = (text: string): string =>
    text.replaceAll("{host}", host).replaceAll("{HOST}", /^\d/.test(host) ? host : `${host.toUpperCase()}.`);
  using client = await RawClient.connect(rig.address);
  await client.send(fill(row.send));
  if (row.end === true) await client.end();
  if (row.play !== undefined) {
    await within(row.play(client, upstream, host), `the dialogue "${row.name}"`, 15_000);
  } else {
    for (const expected of row.answers ?? []) {
      const method = /^\s*([A-Za-z]+)/.exec(row.send)?.[1] ?? "GET";
      compareAnswer(await client.response(method), expected);
    }
  }
  if (row.closes === true) {
    assert.equal(await client.toEnd(), "", "the agent must close after the answers");
  }
  if (row.forwarded === "nothing") {
    assert.equal(upstream.received(), "", "nothing may reach the upstream");
  } else if (row.forwarded !== undefined && row.forwarded !== "anything") {
    for (const [i, expected] of row.forwarded.entries()) {
      compareForward(await within(upstream.nth(i), `request ${i} at the upstream`), expected, fill);
    }
    assert.equal(upstream.requests.length, row.forwarded.length, "requests at the upstream");
  }
  if (row.flags !== undefined && rig.records !== undefined) {
    const { records } = rig;
    await until(() => records.length > 0, "the access-log record");
    assert.equal(records[0]?.flags, row.flags, "flags of the record");
  }
}

function scriptOf(row: Row): Script {
  return answering(row.answer ?? OK_ANSWER, row.answerCloses === true ? "close" : "keep");
}

function compareAnswer(
  seen: Awaited<ReturnType<RawClient["response"]>>,
  expected: ExpectedAnswer,
): void {
  const allowed = typeof expected.status === "number" ? [expected.status] : expected.status;
  assert.ok(
    allowed.includes(seen.status),
    `status ${seen.status}, wanted ${allowed}: ${seen.raw.slice(0, 500)}`,
  );
  if (expected.body instanceof RegExp) assert.match(seen.body, expected.body);
  else if (expected.body !== undefined) assert.equal(seen.body, expected.body);
  for (const [name, value] of Object.entries(expected.headers ?? {})) {
    const actual = seen.header(name);
    if (value === null) assert.equal(actual, undefined, `header ${name}`);
    else if (value instanceof RegExp) assert.match(actual ?? "(missing)", value, `header ${name}`);
    else assert.equal(actual, value, `header ${name}`);
  }
  if (expected.trailers !== undefined) assert.deepEqual(seen.trailers, expected.trailers, "trailers");
  if (expected.interim !== undefined) {
    assert.deepEqual(seen.informational.map((m) => Number(m.startLine.split(" ")[1])), expected.interim);
  }
  // Where the agent may also refuse as a whole, a complete error answer is as clear as a cut one.
  if (expected.cut === true) assert.ok(!seen.complete || seen.status >= 500, "the client must see the cut");
  else assert.ok(seen.complete, `the answer must be whole: ${seen.raw.slice(-200)}`);
}

function compareForward(seen: WireMessage, expected: ExpectedForward, fill: (text: string) => string): void {
  assert.ok(seen.complete, `the request must be whole: ${seen.raw.slice(0, 500)}`);
  const lines = seen.headers.map(([name, value]) => `${name}: ${value}`);
  if (expected.line !== undefined) assert.equal(seen.startLine, fill(expected.line));
  const wanted = (expected.has ?? []).map(fill);
  let at = -1;
  for (const line of wanted) {
    const found = lines.findIndex((l, i) => i > at && sameLine(l, line));
    assert.ok(found > at, `header line "${line}" in order among ${JSON.stringify(lines)}`);
    at = found;
  }
  for (const name of expected.without ?? []) {
    assert.equal(seen.header(name), undefined, `header ${name} must not be forwarded`);
  }
  if (expected.body !== undefined) assert.equal(seen.body, expected.body, "body at the upstream");
  if (expected.trailers !== undefined) assert.deepEqual(seen.trailers, expected.trailers, "trailers");
}

/** Byte for byte, except that the name of Host may be written anew. */
function sameLine(seen: string, wanted: string): boolean {
  if (/^host:/i.test(wanted)) return seen.toLowerCase() === wanted.toLowerCase();
  return seen === wanted;
}

/** What a row says for the serve engine; undefined when it does not hold there. */
export function rowOnServe(row: Row): Row | undefined {
  if (row.onServe !== undefined) return { ...row, ...row.onServe };
  return row.limit === undefined ? row : undefined;
}

/** Names the test. */
export function titleOf(engine: string, row: Row): string {
  return `${engine}, ${row.section}: ${row.name}`;
}

export type { RecordingUpstream };
