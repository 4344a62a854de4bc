import assert from "node:assert/strict";
import { parseH2load } from "./h2load.ts";

const REPORT = `finished in 2.00s, 1000.50 req/s, 70.10KB/s
requests: 2001 total, 2010 started, 2001 done, 1990 succeeded, 11 failed, 3 errored, 2 timeout
status codes: 1990 2xx, 4 3xx, 2 4xx, 5 5xx
traffic: 2.94MB (3081112) total, 469.14KB (480400) headers (space savings 93.99%), 1.41MB (1480000) data
                     min         max         mean         sd        +/- sd
time for request:       45us      3.75ms        97us        28us    70.81%
time for connect:      131us       430us       261us       124us    50.00%
`;

Deno.test("h2load's report gives calls, times and everything that went wrong", () => {
  const result = parseH2load(REPORT, 2);
  assert.deepEqual(result, { requests: 2001, seconds: 2, meanUs: 97, maxUs: 3750, bad: 15 });
});

Deno.test("a report that is none is an error with its text", () => {
  assert.throws(() => parseH2load("no such host", 2), /Cannot read h2load's report: no such host/);
});
