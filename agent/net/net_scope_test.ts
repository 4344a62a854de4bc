import assert from "node:assert/strict";
import { NetScope } from "./net_scope.ts";

Deno.test("net scope: addresses, ranges and ports", () => {
  const scope = new NetScope(["10.0.0.0/8", "203.0.113.5:443", "[fd00::]/8:80", "[::1]:9"]);
  const rows: readonly (readonly [string, number, boolean])[] = [
    ["10.255.0.1", 1, true],
    ["11.0.0.1", 1, false],
    ["::ffff:10.0.0.1", 1, true],
    ["203.0.113.5", 443, true],
    ["203.0.113.5", 80, false],
    ["203.0.113.6", 443, false],
    ["fd12::5", 80, true],
    ["fd12::5", 81, false],
    ["fe80::1", 80, false],
    ["::1", 9, true],
    ["::1", 10, false],
    ["127.0.0.1", 80, false],
    ["localhost", 80, false],
  ];
  for (const [address, port, inside] of rows) {
    assert.equal(scope.target(address, port), inside ? address : null, `${address}:${port}`);
  }
});

Deno.test("net scope: private is what a mesh lives in, any is everything", () => {
  const mesh = new NetScope(["private"]);
  for (const address of ["127.8.8.8", "10.1.1.1", "172.31.0.1", "192.168.3.4", "100.100.0.1", "::1"]) {
    assert.equal(mesh.target(address, 80), address);
  }
  for (const address of ["172.32.0.1", "8.8.8.8", "169.254.169.254", "100.128.0.1", "fd00::1", "0.0.0.0"]) {
    assert.equal(mesh.target(address, 80), null, address);
  }
  const all = new NetScope(["private", "any"]);
  assert.equal(all.target("8.8.8.8", 80), "8.8.8.8");
});

Deno.test("net scope: an address of a granted name is reached by the name, on its port", () => {
  const scope = new NetScope(["api.example.com:443", "*.shop.example", "10.0.0.0/8"]);
  assert.equal(scope.target("203.0.113.7", 443), null);
  scope.note("API.example.com", ["203.0.113.7", "10.0.0.7"]);
  scope.note("web.shop.example", ["203.0.113.8"]);
  scope.note("other.example", ["203.0.113.9"]);
  assert.equal(scope.target("203.0.113.7", 443), "API.example.com");
  assert.equal(scope.target("203.0.113.7", 80), null);
  assert.equal(scope.target("10.0.0.7", 80), "10.0.0.7");
  assert.equal(scope.target("203.0.113.8", 1), "web.shop.example");
  assert.equal(scope.target("203.0.113.9", 443), null);
  assert.equal(scope.target("api.example.com", 443), "api.example.com");
  assert.equal(scope.target("notshop.example", 443), null);
});
