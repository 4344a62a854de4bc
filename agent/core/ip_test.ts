import assert from "node:assert/strict";
import ipaddr from "ipaddr.js";
import { normalAddress } from "./ip.ts";

const CASES: readonly [string, string | undefined][] = [
  ["127.0.0.1", "127.0.0.1"],
  ["255.255.255.255", "255.255.255.255"],
  ["256.0.0.1", undefined],
  ["127.1", undefined],
  ["010.0.0.1", undefined],
  ["2130706433", undefined],
  ["1.2.3.4.", undefined],
  ["1.2.3.4.5", undefined],
  ["::1", "::1"],
  ["[::1]", "::1"],
  ["0:0:0:0:0:0:0:1", "::1"],
  ["::FFFF:127.0.0.1", "127.0.0.1"],
  ["::ffff:7f00:1", "127.0.0.1"],
  ["FE80::0001%eth0", "fe80::1"],
  ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["1::2::3", undefined],
  ["::1]@evil", undefined],
  ["reviews", undefined],
  ["", undefined],
];

for (const [text, wanted] of CASES) {
  Deno.test(`normalAddress: ${text || "(empty)"}`, () => assert.equal(normalAddress(text), wanted));
}

Deno.test("normalAddress: spells as the library that people trust", () => {
  for (
    const text of [
      "::",
      "1:0:0:2::3",
      "fe80:0:0:0:a:b:c:d",
      "64:ff9b::1.2.3.4",
      "ff02::1:2",
      "1:2:3:4:5:6:7:8",
    ]
  ) {
    assert.equal(normalAddress(text), ipaddr.process(text).toString());
  }
});
