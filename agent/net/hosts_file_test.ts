import assert from "node:assert/strict";
import { resolveName } from "./dns.ts";
import { HostsFile, parseHosts } from "./hosts_file.ts";

Deno.test("hosts: names, aliases, comments, both families with IPv4 first", () => {
  const names = parseHosts(
    "# none 10.0.0.9\n127.0.0.1 localhost\n::1 dual\n10.0.0.1\tDual.example. dual # comment\n10.0.0.2 dual\n\nnot-an-address x\n10.0.0.3\n",
  );
  assert.deepEqual([...names], [
    ["localhost", ["127.0.0.1"]],
    ["dual", ["10.0.0.1", "10.0.0.2", "::1"]],
    ["dual.example", ["10.0.0.1"]],
  ]);
});

Deno.test("hosts: the file goes before the name servers, and a change of it counts at once", async () => {
  const path = await Deno.makeTempFile();
  const limits = { totalMs: 10_000, secondMs: 200 };
  const asked: string[] = [];
  const hosts = new HostsFile(path);
  const resolve = (name: string) =>
    resolveName(
      name,
      undefined,
      (name, type) => {
        asked.push(`${name} ${type}`);
        return Promise.resolve(type === "A" ? ["10.9.9.9"] : []);
      },
      limits,
      hosts,
    );
  try {
    await Deno.writeTextFile(path, "203.0.113.20 istiod.istio-system.svc\n");
    assert.deepEqual(await resolve("istiod.istio-system.svc"), ["203.0.113.20"]);
    assert.deepEqual(asked, []);
    assert.deepEqual(await resolve("other.example"), ["10.9.9.9"]);
    await Deno.writeTextFile(path, "203.0.113.21 istiod.istio-system.svc other.example\n");
    assert.deepEqual(await resolve("ISTIOD.istio-system.svc."), ["203.0.113.21"]);
    assert.deepEqual(await resolve("other.example"), ["203.0.113.21"]);
  } finally {
    await Deno.remove(path);
  }
  assert.deepEqual(await resolve("istiod.istio-system.svc"), ["10.9.9.9"]);
});
