import assert from "node:assert/strict";
import { configOf } from "../../tests/harness/world.ts";
import { nameserversOf, readFacts } from "./facts.ts";

Deno.test("facts: name servers of resolv.conf", () => {
  const text =
    "search a.b\n# nameserver 1.1.1.1\nnameserver 10.0.0.1\n\tnameserver fe80::1%eth0 # x\noptions ndots:5\n";
  assert.deepEqual(nameserversOf(text), ["10.0.0.1", "fe80::1"]);
});

Deno.test("facts: places of rule files, and of none that a link leads out to", async () => {
  const at = (address: string) =>
    `kind: ServiceEntry\nspec: {hosts: [a], resolution: STATIC, ports: [{number: 80}], endpoints: [{address: ${address}}]}\n`;
  const root = await Deno.realPath(await Deno.makeTempDir());
  try {
    await Deno.mkdir(`${root}/conf/rules`, { recursive: true });
    await Deno.symlink(`${root}/conf`, `${root}/link`);
    await Deno.writeTextFile(`${root}/conf/rules/a.yaml`, at("203.0.113.1"));
    await Deno.writeTextFile(`${root}/elsewhere.yaml`, at("203.0.113.2"));
    await Deno.symlink(`${root}/elsewhere.yaml`, `${root}/conf/rules/b.yaml`);
    const base = configOf();
    const config = {
      ...base,
      confDirectory: `${root}/link`,
      serviceDiscovery: { ...base.serviceDiscovery, address: `${root}/link/rules` },
    };
    const facts = await readFacts(config);
    assert.deepEqual(facts.places.map(({ place }) => place), ["203.0.113.1:80"]);
    assert.equal(facts.realPaths.get(`${root}/link`), `${root}/conf`);
    const wider = await readFacts({
      ...config,
      permissions: { net: ["203.0.113.0/24"], read: [`${root}/elsewhere.yaml`] },
    });
    assert.deepEqual(wider.places, []);
    const both = await readFacts({ ...config, permissions: { net: [], read: [`${root}/elsewhere.yaml`] } });
    assert.deepEqual(both.places.map(({ place }) => place).sort(), ["203.0.113.1:80", "203.0.113.2:80"]);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
