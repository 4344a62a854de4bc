import assert from "node:assert/strict";
import { formatNetEntry, parseNetEntry, PRIVATE_RANGES, runtimeText } from "./net_entry.ts";

Deno.test("entries of the net scope: forms, normal spelling, and what the runtime can hold", () => {
  const rows: readonly (readonly [string, string | undefined, string | undefined])[] = [
    ["any", "any", undefined],
    ["Private", "private", undefined],
    ["10.1.2.3", "10.1.2.3", "10.1.2.3"],
    ["10.1.2.3:80", "10.1.2.3:80", "10.1.2.3:80"],
    ["10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8"],
    ["10.0.0.0/8:8080", "10.0.0.0/8:8080", "10.0.0.0/8:8080"],
    ["0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"],
    ["2001:DB8::0:1", "2001:db8::1", "[2001:db8::1]"],
    ["[2001:db8::1]:443", "[2001:db8::1]:443", "[2001:db8::1]:443"],
    ["fc00::/7", "[fc00::]/7", undefined],
    ["[fc00::]/7:80", "[fc00::]/7:80", undefined],
    ["::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1"],
    ["API.example.com.", "api.example.com", "api.example.com"],
    ["api.example.com:443", "api.example.com:443", "api.example.com:443"],
    ["*.example.com", "*.example.com", "*.example.com"],
    ["reviews", "reviews", "reviews"],
  ];
  for (const [text, normal, runtime] of rows) {
    const entry = parseNetEntry(text);
    assert.equal(formatNetEntry(entry), normal, text);
    assert.equal(runtimeText(entry!), runtime, text);
    assert.deepEqual(parseNetEntry(normal!), entry, text);
  }
});

Deno.test("entries of the net scope: what is none", () => {
  for (
    const text of [
      "",
      "*",
      "10.0.0.0/33",
      "fc00::/129",
      "10.0.0.256",
      "10.0.0",
      "api:0",
      "api:99999",
      "a b",
      "-a.example",
      "a..b",
      "http://api.example.com",
      "*.*.com",
      "api.example.com/8",
      ":80",
      "[::1",
    ]
  ) assert.equal(parseNetEntry(text), undefined, text);
});

Deno.test("the private ranges are entries, and all but the last are of IPv4", () => {
  const entries = PRIVATE_RANGES.map((text) => parseNetEntry(text));
  assert.ok(entries.every((entry) => entry !== undefined && runtimeText(entry) !== undefined));
});
