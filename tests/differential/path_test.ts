/** Path normalisation against Envoy: random paths of the characters that matter. */
import assert from "node:assert/strict";
import { envoyBootstrap } from "../../agent/admin/envoy_bootstrap.ts";
import type { Program } from "../../agent/model/model.ts";
import { normalizePath } from "../../agent/route/path.ts";
import { startEnvoy } from "./envoy.ts";
import { randomOf } from "./generate.ts";
import { RawClient } from "./raw_http.ts";

const PIECES = [
  ..."/////..;a~-_%\\|",
  ...[
    "/..",
    "/.",
    "/../",
    "/./",
    "..;",
    ".;",
    "%2e",
    "%2E",
    "%2f",
    "%5c",
    "%7E",
    "%41",
    "%",
    "%%",
    "%zz",
    "'",
    '"',
    "<",
    "^",
    "`",
    "{",
  ],
];
const PATHS = 3000;

Deno.test("envoy: paths are normalised as Envoy does it", async () => {
  const program: Program = {
    routeConfigurations: new Map([["80", {
      name: "80",
      ignorePortInHostMatching: true,
      virtualHosts: [{
        name: "a",
        domains: ["a.test"],
        routes: [{
          match: { prefix: "" },
          directResponse: { status: 200 },
          responseHeadersToAdd: [{
            header: { key: "x-path", value: "%REQ(:path)%" },
            appendAction: "OVERWRITE_IF_EXISTS_OR_ADD",
          }],
        }],
      }],
    }]]),
    clusters: new Map(),
    loadAssignments: new Map(),
  };
  const r = randomOf(Number(Deno.env.get("MESH_ORACLE_SEED") ?? 1));
  const address = { hostname: "127.0.0.1", port: 0 };
  const envoy = await startEnvoy(envoyBootstrap(program, { listen: address, admin: address }));
  const client = new RawClient(envoy.port);
  const wrong: string[] = [];
  try {
    for (let i = 0; i < PATHS; i++) {
      const path = "/" + Array.from({ length: r(9) }, () => PIECES[r(PIECES.length)]).join("");
      const response = await client.send({
        method: "GET",
        url: `http://a.test${path}`,
        headers: [],
        body: "",
      });
      const theirs = response.headers.find(([k]) => k === "x-path")?.[1] ?? `status ${response.status}`;
      const ours = normalizePath(path);
      if (theirs !== ours) wrong.push(`${path}\n  Envoy ${theirs}\n  here  ${ours}`);
    }
  } finally {
    client.close();
    await envoy.stop();
  }
  assert.equal(wrong.length, 0, `${wrong.length} of ${PATHS} differ:\n${wrong.slice(0, 20).join("\n")}`);
});
