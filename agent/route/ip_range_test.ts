import assert from "node:assert/strict";
import { contains, holds, parseRange } from "./ip_range.ts";

Deno.test("subnets hold what shares their prefix", () => {
  const rows: [string, string, boolean][] = [
    ["10.0.0.0/8", "10.255.1.2", true],
    ["10.0.0.0/8", "11.0.0.0", false],
    ["10.96.9.1", "10.96.9.1", true],
    ["10.96.9.1/32", "10.96.9.2", false],
    ["10.96.8.128/25", "10.96.8.127", false],
    ["0.0.0.0/0", "1.2.3.4", true],
    ["0.0.0.0/0", "::1", false],
    ["2001:db8::/32", "2001:db8:1::5", true],
    ["2001:db8::/32", "2001:db9::", false],
    ["2001:DB8:0:0::1", "2001:db8::1", true],
  ];
  for (const [range, address, inside] of rows) {
    assert.equal(contains(parseRange(range), address), inside, `${address} in ${range}`);
  }
  for (const text of ["", "a.b", "10.0.0.0/33", "10.0.0.0/x", "10.0.0/8", "::/129"]) {
    assert.equal(parseRange(text), undefined, text);
  }
  assert.equal(contains(undefined, "1.2.3.4"), false);
});

Deno.test("subnets hold subnets that lie in them as a whole", () => {
  const rows: [string, string, boolean][] = [
    ["10.0.0.0/8", "10.8.0.0/16", true],
    ["10.8.0.0/16", "10.8.0.0/16", true],
    ["10.8.0.0/16", "10.0.0.0/8", false],
    ["10.9.0.0/16", "10.8.0.0/24", false],
    ["10.8.0.64/26", "10.8.0.65", true],
    ["0.0.0.0/0", "::1", false],
    ["2001:db8::/32", "2001:db8:1::/48", true],
  ];
  for (const [range, inner, inside] of rows) {
    assert.equal(holds(parseRange(range)!, parseRange(inner)!), inside, `${inner} in ${range}`);
  }
});
