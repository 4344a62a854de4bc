import assert from "node:assert/strict";
import type { DirectoryReading } from "../discovery/types.ts";
import { NetScope } from "./net_scope.ts";
import { scopedRules } from "./scoped_rules.ts";

const at = (address: string) =>
  `kind: ServiceEntry\nspec: {hosts: [a], resolution: STATIC, ports: [{number: 80}], endpoints: [{address: ${address}}]}\n`;

Deno.test("scoped rules: places outside are told when they come and go, those of the start are not", async () => {
  let next: DirectoryReading | null = null;
  const told: (readonly string[])[] = [];
  const directory = scopedRules(
    { label: "rules", watch: () => () => {}, read: () => Promise.resolve(next) },
    new NetScope(["10.0.0.0/8", "203.0.113.1:80", "api.example:443"]),
    (places) => void told.push(places),
  );
  const read = async (files: Record<string, string | null>, complete = true): Promise<void> => {
    next = { files: new Map(Object.entries(files)), complete, unreadable: new Map() };
    assert.equal(await directory.read(), next);
  };
  await read({ "a.yaml": at("10.0.0.1"), "b.yaml": at("203.0.113.1") });
  await read({
    "c.yaml": "kind: ServiceEntry\nspec: {hosts: [api.example], resolution: DNS, ports: [{number: 443}]}",
  });
  assert.deepEqual(told, []);
  await read({ "a.yaml": at("203.0.113.9"), "b.yaml": at("203.0.113.8") });
  await read({ "a.yaml": at("203.0.113.9"), "b.yaml": at("203.0.113.8") });
  await read({ "b.yaml": at("10.0.0.2") }, false);
  await read(
    { "d.yaml": "kind: ServiceEntry\nspec: {hosts: ['*.x.example'], ports: [{number: 80}]}" },
    false,
  );
  await read({ "a.yaml": null }, false);
  await read({});
  assert.deepEqual(told, [
    ["203.0.113.8:80", "203.0.113.9:80"],
    ["203.0.113.9:80"],
    ["*.x.example:80", "203.0.113.9:80"],
    ["*.x.example:80"],
    [],
  ]);
  next = null;
  assert.equal(await directory.read(), null);
  assert.equal(told.length, 5);
});
