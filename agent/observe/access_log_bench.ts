/** What one request costs the observer: metrics, and a formatted line in each format. */
import { recordOf } from "../../tests/harness/record.ts";
import { createAccessLog } from "./access_log.ts";
import { createObserver } from "./observer.ts";

const clock = { now: () => 0, monotonic: () => 0, after: () => () => {} };
const sink = () => Promise.resolve();
const record = recordOf();

for (const format of ["text", "json"] as const) {
  const observer = createObserver({ accessLog: createAccessLog({ format, sink, clock }) });
  Deno.bench(`metrics and ${format} line`, async () => {
    for (let i = 0; i < 1000; i++) observer.request(record);
    await Promise.resolve();
  });
}

const plain = createObserver();
Deno.bench("metrics", () => {
  for (let i = 0; i < 1000; i++) plain.request(record);
});
