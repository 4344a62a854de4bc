import assert from "node:assert/strict";
import { parseWrk } from "./load.ts";
import { median } from "./process.ts";

Deno.test("bench: wrk's report is read, percentiles are not taken from the standard deviation", () => {
  const report = `Running 1s test @ http://127.0.0.1:1/
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   463.60us   61.25us   1.03ms   79.50%
    Req/Sec    17.71k   499.70    18.20k    90.99%
  Latency Distribution
     50%  451.00us
     75%  492.00us
     90%  535.00us
     99%    1.59ms
  19386 requests in 1.10s, 3.31MB read
  Socket errors: connect 0, read 1, write 0, timeout 2
  Non-2xx or 3xx responses: 4
Requests/sec:  17621.63
`;
  assert.deepEqual(parseWrk(report), {
    requests: 19386,
    seconds: 1.1,
    p50Us: 451,
    p99Us: 1590,
    maxUs: 1030,
    bad: 7,
  });
});

Deno.test("bench: the median of an even count is the mean of the middle two", () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([5, 1, 3]), 3);
});
