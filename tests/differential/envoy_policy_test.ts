/** Hosts and ports that no rule knows, and the shipped rule files, against Envoy. */
import assert from "node:assert/strict";
import { envoyBootstrap } from "../../agent/admin/envoy_bootstrap.ts";
import { compileRules } from "../../agent/discovery/offline.ts";
import { startEnvoy } from "./envoy.ts";
import { differences, outcomeOf } from "./outcome.ts";
import { startOwnProxy } from "./own_proxy.ts";
import { RawClient, type RawRequest, Upstream } from "./raw_http.ts";

const address = { hostname: "127.0.0.1", port: 0 };
const root = new URL("../../", import.meta.url);

const get = (url: string): RawRequest => ({ method: "GET", url, headers: [], body: "" });

function rules(port: number): string {
  return JSON.stringify({
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name: "known" },
    spec: {
      hosts: ["known.test", "*.wild.test"],
      ports: [{ number: 8080, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: [{ address: "127.0.0.1", ports: { http: port } }],
    },
  });
}

for (const policy of ["ALLOW_ANY", "REGISTRY_ONLY"] as const) {
  Deno.test(`envoy: unknown hosts and ports under ${policy}`, async () => {
    const known = new Upstream("known");
    const stranger = new Upstream("stranger");
    const { program } = compileRules(new Map([["known.yaml", rules(known.port)]]));
    const envoy = await startEnvoy(
      envoyBootstrap(program, { listen: address, admin: address, outbound: policy }),
    );
    const own = startOwnProxy(program, policy);
    const clients = [new RawClient(envoy.port), new RawClient(own.port)] as const;
    const unknown = policy === "ALLOW_ANY" ? "200 stranger" : "502 ";
    const expected: readonly (readonly [url: string, answer: string])[] = [
      ["http://known.test:8080/a", "200 known"],
      ["http://KNOWN.test.:8080/a", "200 known"],
      ["http://known.test/a", "404 "],
      ["http://known.test:8081/a", "404 "],
      ["http://x.wild.test:8080/a?b", "200 known"],
      ["http://x.wild.test/a", "404 "],
      ["http://x.wild.test:81/a", "404 "],
      [`http://127.0.0.1:${stranger.port}/a?b=c`, unknown],
    ];
    try {
      for (const [url, answer] of expected) {
        const [theirs, ours] = [await clients[0].send(get(url)), await clients[1].send(get(url))].map((r) =>
          outcomeOf(r, false)
        );
        assert.ok(theirs !== undefined && ours !== undefined);
        assert.deepEqual(differences(theirs, ours), [], url);
        assert.equal(`${ours.status} ${ours.upstream}`, answer, url);
      }
    } finally {
      for (const client of clients) client.close();
      await own.stop();
      await envoy.stop();
      await Promise.all([known.stop(), stranger.stop()]);
    }
  });
}

Deno.test("envoy: the shipped rules and examples are bootstraps that Envoy takes", async () => {
  for (const folder of ["config/rules", "config/examples"]) {
    for await (const { name } of Deno.readDir(new URL(folder, root))) {
      if (!name.endsWith(".yaml")) continue;
      const text = await Deno.readTextFile(new URL(`${folder}/${name}`, root));
      const { program } = compileRules(new Map([[name, text]]));
      const envoy = await startEnvoy(envoyBootstrap(program, { listen: address, admin: address }));
      await envoy.stop();
    }
  }
});
