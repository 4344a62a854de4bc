/** Addresses that cannot be listened on, each in one plain sentence. */
import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import { listenTcp } from "./listen.ts";
import { listenError } from "./listen_error.ts";

function sentence(error: unknown, port = 8084, hostname = "10.0.0.5"): string {
  const told = listenError("service port", { hostname, port }, error);
  return told instanceof MeshError ? `${told.code} ${told.message}` : String(told);
}

Deno.test("what cannot be listened on is told in a sentence", () => {
  const what = 'Cannot listen on "10.0.0.5:8084" (service port)';
  const taken = listenTcp({ hostname: "127.0.0.1", port: 0 });
  try {
    assert.throws(
      () => listenTcp(taken.address),
      (error) => sentence(error) === `N101 ${what}: another program has the port; want a free one`,
    );
  } finally {
    taken.close();
  }
  assert.throws(
    () => listenTcp({ hostname: "203.0.113.77", port: 0 }),
    (error) => sentence(error) === `N102 ${what}: this machine has no such address; want one of its own`,
  );
  const denied = new Deno.errors.PermissionDenied("x");
  assert.equal(
    sentence(denied, 80, "fd00::5"),
    'N103 Cannot listen on "[fd00::5]:80" (service port): ports below 1024 are for root and CAP_NET_BIND_SERVICE; ' +
      "want that capability, or another port",
  );
  assert.equal(
    sentence(denied, 1024),
    `N103 ${what.replace("8084", "1024")}: permission denied; want a port that the agent may bind`,
  );
  assert.match(sentence(new Deno.errors.NotCapable("x"), 80), /^N103 .*: permission denied/);
});

Deno.test("the hint fits a service port", () => {
  const hint = (protocol: string): string => {
    const told = listenError(protocol, { hostname: "10.0.0.5", port: 1 }, new Deno.errors.AddrInUse("x"));
    return (told as MeshError).hint;
  };
  assert.match(hint("service port"), /^Let the application listen on 127\.0\.0\.1 only/);
  assert.match(hint("http"), /listenAddress/);
});
