import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import { createDialer } from "./dial.ts";
import { Denials } from "../observe/denials.ts";
import { createRights, scopedDialer, scopedResolve, scopedResolver } from "./rights.ts";
import { ReadScope } from "./read_scope.ts";
import { createRuleFiles } from "./rule_files.ts";
import { readTlsFiles } from "./tls_files.ts";
import { readToken } from "./token_file.ts";

function rightsOf(net: readonly string[]) {
  const lines: string[] = [];
  const clock = { now: () => nowMs };
  let nowMs = 1_000;
  const denials = new Denials({ level: "info", log: (_, message) => void lines.push(message) }, clock);
  return {
    rights: createRights({ net, roots: [] }, denials),
    lines,
    later: (ms: number) => void (nowMs += ms),
  };
}

Deno.test("rights: no connection is tried that they do not cover, and the denial has a name", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const { port } = listener.addr as Deno.NetAddr;
    const { rights, lines, later } = rightsOf([`127.0.0.1:${port + 1}`, "10.0.0.0/8"]);
    const dialer = scopedDialer(createDialer(null), rights);
    for (let i = 0; i < 2; i++) {
      await assert.rejects(dialer.dial({ hostname: "127.0.0.1", port }, 1000), (error) => {
        assert.ok(error instanceof MeshError);
        assert.deepEqual([error.code, error.status, error.flag, error.retry], ["P209", 403, "UAEX", "never"]);
        assert.match(
          error.message,
          /^Cannot connect to "127\.0\.0\.1:\d+": the agent has no right to; want it in cse\./,
        );
        return true;
      });
      later(500);
    }
    assert.deepEqual(lines, [
      `[P209] denied: connect 127.0.0.1:${port}; want it in cse.mesh.permissions.net`,
    ]);
    const [denial] = rights.denials.list();
    assert.deepEqual([denial?.count, denial?.firstMs, denial?.lastMs], [2, 1_000, 1_500]);
  } finally {
    listener.close();
  }
});

Deno.test("rights: an address that only its name has a grant for is connected to by the name", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const { port } = listener.addr as Deno.NetAddr;
    const { rights } = rightsOf([`localhost:${port}`]);
    const dialer = scopedDialer(createDialer(null), rights);
    await assert.rejects(dialer.dial({ hostname: "127.0.0.1", port }, 1000));
    const resolver = scopedResolver({ resolve: () => Promise.resolve(["127.0.0.1"]) }, rights);
    await resolver.resolve("localhost");
    const [stream, accepted] = await Promise.all([
      dialer.dial({ hostname: "127.0.0.1", port }, 1000),
      listener.accept(),
    ]);
    stream.close();
    accepted.close();
    const ask = scopedResolve(() => Promise.resolve(["127.0.0.1", "127.0.0.2"]), rights);
    const { signal } = new AbortController();
    assert.deepEqual(await ask("localhost", signal, port), ["localhost"]);
    assert.deepEqual(await ask("localhost", signal, port + 1), ["127.0.0.1", "127.0.0.2"]);
  } finally {
    listener.close();
  }
});

Deno.test("rights: a name server that was not there at the start is named", async () => {
  const { rights } = rightsOf(["10.0.0.1:53"]);
  const denied = new Deno.errors.NotCapable(
    'Requires net access to "10.0.0.2:53", run again with the --allow-net flag',
  );
  const resolver = scopedResolver({ resolve: () => Promise.reject(denied) }, rights);
  await assert.rejects(resolver.resolve("a.example"), (error) => {
    assert.ok(error instanceof MeshError);
    assert.match(
      error.message,
      /^Cannot resolve "a\.example": .* name server 10\.0\.0\.2:53; want a restart/,
    );
    return error.code === "P209";
  });
  assert.equal(rights.denials.list()[0]?.what, "ask name server 10.0.0.2:53");
  const silent = scopedResolver({ resolve: () => Promise.reject(new Error("no such name")) }, rights);
  await assert.rejects(silent.resolve("a.example"), { message: "no such name" });
});

Deno.test("denials: what is kept and told has a bound", () => {
  const { rights: { denials }, lines, later } = rightsOf([]);
  for (let i = 0; i < 500; i++) denials.note("P209", `connect 203.0.113.5:${i}`, "want it");
  assert.equal(denials.list().length, 50);
  assert.equal(denials.list().at(-1)?.what, "connect 203.0.113.5:499");
  assert.equal(lines.length, 50);
  later(1000);
  denials.note("P209", "connect 203.0.113.6:1", "want it");
  assert.equal(lines.length, 51);
});

Deno.test("read scope: links may lead around inside, and not out of it", async () => {
  const root = await Deno.realPath(await Deno.makeTempDir());
  try {
    // As Kubernetes mounts a ConfigMap, and links that lead out.
    await Deno.mkdir(`${root}/rules/..2026_1`, { recursive: true });
    await Deno.mkdir(`${root}/elsewhere`);
    await Deno.writeTextFile(`${root}/rules/..2026_1/a.yaml`, "a: 1\n");
    await Deno.writeTextFile(`${root}/elsewhere/b.yaml`, "b: 1\n");
    await Deno.symlink("..2026_1", `${root}/rules/..data`);
    await Deno.symlink("..data/a.yaml", `${root}/rules/a.yaml`);
    await Deno.symlink(`${root}/elsewhere/b.yaml`, `${root}/rules/b.yaml`);
    await Deno.symlink(`${root}/elsewhere`, `${root}/rules/more`);
    const scope = new ReadScope([`${root}/rules`]);
    const reading = await createRuleFiles(`${root}/rules`, "rules", scope).read();
    assert.deepEqual([...reading!.files], [["rules/a.yaml", "a: 1\n"]]);
    assert.deepEqual([...reading!.unreadable.keys()].sort(), ["rules/b.yaml", "rules/more"]);
    assert.match(
      reading!.unreadable.get("rules/b.yaml")!,
      /leads to ".*elsewhere\/b\.yaml".*cse\.mesh\.permissions\.read/,
    );

    const wider = new ReadScope([`${root}/rules`, `${root}/elsewhere`]);
    const all = await createRuleFiles(`${root}/rules`, "rules", wider).read();
    assert.deepEqual([...all!.files.keys()].sort(), ["rules/a.yaml", "rules/b.yaml", "rules/more/b.yaml"]);
    assert.equal(new ReadScope([`${root}/rules`]).admits(`${root}/rules2`), false);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("read scope: token and certificates may be links to beside them, and not to elsewhere", async () => {
  const root = await Deno.realPath(await Deno.makeTempDir());
  try {
    await Deno.mkdir(`${root}/secrets/..2026_1`, { recursive: true });
    await Deno.writeTextFile(`${root}/secrets/..2026_1/token`, "a.b.c\n");
    await Deno.writeTextFile(`${root}/other`, "d.e.f\n");
    await Deno.symlink("..2026_1/token", `${root}/secrets/token`);
    await Deno.symlink("../other", `${root}/secrets/out`);
    const scope = new ReadScope([`${root}/secrets`]);
    assert.deepEqual(await readToken(`${root}/secrets/token`, scope), { token: "a.b.c" });
    const refused = await readToken(`${root}/secrets/out`, scope);
    assert.ok("failure" in refused && !refused.missing);
    assert.match(refused.failure.state, /out" leads to ".*\/other", which the agent has no right to read/);
    assert.deepEqual(await readToken(`${root}/secrets/out`), { token: "d.e.f" });
    const missing = await readToken(`${root}/secrets/none`, scope);
    assert.ok("failure" in missing && missing.missing);

    const pem = await readTlsFiles({ rootCertificate: `${root}/secrets/out` }, scope);
    assert.ok("code" in pem && pem.code === "D203");
    assert.match(pem.state, /leads to/);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
