import assert from "node:assert/strict";
import { EndpointHandle, type Pooled } from "./endpoint.ts";

function connection(): Pooled {
  const c = { idle: true, closed: false, close: () => void (c.closed = true) };
  return c;
}

Deno.test("the pool gives the connection that came last, so that surplus ones grow old and go", () => {
  const endpoint = new EndpointHandle<Pooled>("10.0.0.1", 80, 1);
  const [first, second, third] = [connection(), connection(), connection()];
  endpoint.idle.push(first, second, third);
  assert.equal(endpoint.take(), third);
  assert.equal(third.idle, false);
  endpoint.drop(first);
  assert.equal(endpoint.take(), second);
  assert.equal(endpoint.take(), null);
});

Deno.test("an endpoint that left its cluster closes what is idle", () => {
  const endpoint = new EndpointHandle<Pooled>("::1", 80, 1);
  const kept = connection();
  endpoint.idle.push(kept);
  endpoint.retire();
  assert.deepEqual([endpoint.key, endpoint.gone, kept.closed, kept.idle], ["[::1]:80", true, true, false]);
});
