import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import { decodeRouteConfiguration } from "./decode_route.ts";
import { decode, decodeBytes, good, origin, schema, type Table, toA } from "./decode_route_fixture.ts";

const wide = (n: number, change?: number): Table => ({
  virtual_hosts: Array.from({ length: n }, (_, i) => ({
    name: `h${i}`,
    domains: [`h${i}`],
    routes: [{ match: { prefix: "/" }, route: { cluster: i === change ? "changed" : "c" } }],
  })),
});

Deno.test("virtual hosts with the same bytes are the same objects again, and keep the version that brought them", () => {
  const before = good(wide(50), undefined, "1");
  const after = good(wide(50, 20), before, "2");
  after.virtualHosts.forEach((host, i) => {
    if (i !== 20) assert.equal(host, before.virtualHosts[i]);
  });
  assert.notEqual(after.virtualHosts[20], before.virtualHosts[20]);
  assert.equal(after.virtualHosts[20]?.origin?.version, "2");
  assert.equal(after.virtualHosts[21]?.origin?.version, "1");
  assert.equal(after.virtualHosts[21]?.origin?.field, 'virtual_hosts["h21"]');
});

Deno.test("kept virtual hosts are found after insertion, removal and shuffling", () => {
  const list = wide(30).virtual_hosts ?? [];
  const before = good({ virtual_hosts: list });
  const byName = new Map(before.virtualHosts.map((h) => [h.name, h]));
  const added = { name: "new", domains: ["new"], routes: [toA] };
  const orders = [
    [added, ...list],
    [...list.slice(0, 10), added, ...list.slice(10)],
    list.slice(1),
    list.filter((_, i) => i % 3 !== 0),
    list.toReversed(),
    [],
  ];
  for (const order of orders) {
    const after = good({ virtual_hosts: order }, before);
    assert.deepEqual(after.virtualHosts.map((h) => h.name), order.map((h) => h.name));
    for (const host of after.virtualHosts) if (host.name !== "new") assert.equal(host, byName.get(host.name));
  }
});

Deno.test("what the table says for all its virtual hosts makes them new", () => {
  const before = good(wide(3));
  const after = good({ ...wide(3), request_mirror_policies: [{ cluster: "m" }] }, before);
  assert.notEqual(after.virtualHosts[0], before.virtualHosts[0]);
  assert.equal(after.virtualHosts[0]?.routes[0]?.route?.requestMirrorPolicies?.length, 1);
});

Deno.test("a new virtual host may not take the domain of a kept one, nor be there twice", () => {
  const before = good(wide(3));
  const rival = { name: "rival", domains: ["h2"], routes: [toA] };
  for (const order of [[rival, ...wide(3).virtual_hosts ?? []], [...wide(3).virtual_hosts ?? [], rival]]) {
    const result = decode({ virtual_hosts: order }, before);
    assert.ok("problems" in result);
    assert.match(result.problems[0]?.message ?? "", /domain "h2" to virtual host "rival": "h2" has it/);
  }
  const twice = decode(
    { virtual_hosts: [...wide(3).virtual_hosts ?? [], ...wide(1).virtual_hosts ?? []] },
    before,
  );
  assert.ok("problems" in twice);
});

Deno.test("notes stay with kept virtual hosts; equal ones are told once", () => {
  const noted = (n: number): Table => ({
    virtual_hosts: Array.from({ length: n }, (_, i) => ({
      name: `h${i}`,
      domains: [`h${i}`],
      routes: [{ match: { prefix: "/" }, route: { cluster: "c", auto_host_rewrite: { value: true } } }],
    })),
  });
  const first = decode(noted(3));
  assert.ok("value" in first);
  const again = decode(noted(4), first.value);
  assert.ok("value" in again);
  assert.equal(again.notes.length, 1);
  assert.match(again.notes[0]?.message ?? "", /sent on as it came \(here and at 3 more places\)$/);
  assert.equal(again.notes[0]?.code, "D223");
  assert.equal(again.notes[0]?.severity, "warning");
});

Deno.test("one step decodes one virtual host; undecodable bytes throw D211", () => {
  const bytes = schema.encode("RouteConfiguration", { name: "80", ...wide(3) });
  const decoding = decodeRouteConfiguration(schema, { name: "80", version: "", typeUrl: "", bytes }, origin);
  let steps = 0;
  while (decoding.step()) steps++;
  assert.equal(steps, 3);
  const d211 = (e: unknown) => e instanceof MeshError && e.code === "D211";
  assert.throws(() => decodeBytes(bytes.subarray(0, bytes.length - 1)), d211);
  const inside = bytes.slice();
  // The length of the first domain: the virtual host now ends inside it.
  inside[inside.indexOf("h".charCodeAt(0)) + 3] = 0x7f;
  assert.throws(() => decodeBytes(inside), d211);
  assert.throws(() => decodeBytes(new Uint8Array([0x0b])), d211);
});

Deno.test("an empty table is a table", () => {
  const before = good({});
  assert.equal(good({}, before), before);
  assert.equal(good({ ignore_port_in_host_matching: true }, before).ignorePortInHostMatching, true);
  assert.deepEqual(good({}), { name: "80", virtualHosts: [] });
  assert.deepEqual(good({ ignore_port_in_host_matching: true }), {
    name: "80",
    ignorePortInHostMatching: true,
    virtualHosts: [],
  });
});
