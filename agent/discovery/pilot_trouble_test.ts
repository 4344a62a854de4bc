/** The v1 source in trouble: what was known stays, what is doubtful waits, and a good answer mends it. */
import assert from "node:assert/strict";
import { startRestPilot } from "../../tests/harness/rest_pilot.ts";
import { REST_MS } from "./pilot.ts";
import {
  CLUSTERS,
  codes,
  endpointsOf,
  INTERVAL_MS,
  ISTIOSERVER,
  LISTENERS,
  playing,
  REGISTRATION,
  start,
  table,
} from "./pilot_fixture_test.ts";

Deno.test("trouble of every kind keeps the last good world, is told, and ends with the next good poll", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([pilot]);
  const { program } = run.world.current;
  for (
    const [temper, code] of [
      [404, "D220"],
      [500, "D220"],
      [503, "D220"],
      ["close", "D202"],
      ["half", "D202"],
      ["garbage", "D205"],
    ] as const
  ) {
    pilot.temper = temper;
    await run.poll();
    assert.equal(run.world.current.program, program, String(temper));
    const [status] = run.source.status();
    assert.equal(status?.step, "waiting", String(temper));
    assert.match(status?.reason ?? "", new RegExp(code), String(temper));
    assert.ok(codes(run.source).includes(code), String(temper));
    pilot.temper = "serve";
    await run.poll();
    assert.equal(run.source.status()[0]?.step, "synced", String(temper));
    assert.equal(run.source.status()[0]?.reason, undefined);
    assert.deepEqual(codes(run.source), ["D222"], String(temper));
  }
});

Deno.test("nothing is published before the first good poll; then it goes on by itself", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/istioserver");
  pilot.temper = 503;
  await using run = await start([pilot]);
  assert.equal(run.world.current.revision, 0);
  assert.equal(run.source.problems()[0]?.severity, "error");
  pilot.temper = "serve";
  const published = Promise.withResolvers<void>();
  run.world.onPublish(() => published.resolve());
  run.clock.advance(INTERVAL_MS);
  await published.promise;
  assert.equal(run.decide("http://istioserver:8084/"), `out.${ISTIOSERVER}`);
});

Deno.test("rules that cannot be had at first hold back the first world; later they only stay as they were", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  pilot.set(table("8084"), "RDS trouble", 503);
  await using run = await start([pilot]);
  assert.equal(run.world.current.revision, 0, "default routes would go around the rules");
  assert.ok(codes(run.source).includes("D220"));
  await pilot.play("pilot-0.8.0/v1/routerule");
  await run.poll();
  assert.equal(run.decide("http://istioserver:8084/redirect"), "redirect");
  pilot.set(table("8084"), "RDS trouble", 503);
  await pilot.play("pilot-0.8.0/v1/updates", (name) => name.startsWith("05-"));
  await run.poll();
  assert.equal(run.decide("http://istioserver:8084/redirect"), "redirect");
  assert.equal(endpointsOf(run.world, ISTIOSERVER)?.length, 4, "endpoints go on");
});

Deno.test("an empty registration counts after three polls, and not before", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([pilot]);
  pilot.set(REGISTRATION, "[]");
  pilot.set(LISTENERS, '{"listeners":[]}');
  for (const _ of [1, 2]) {
    await run.poll();
    assert.equal(run.decide("http://other:8091/"), "out.other.default.svc.cluster.local|http");
    assert.ok(codes(run.source).includes("D230"));
  }
  await pilot.play("pilot-0.8.0/v1/routerule");
  await run.poll();
  assert.deepEqual(codes(run.source), ["D222"], "a good answer in between begins anew");
  pilot.set(REGISTRATION, "[]");
  pilot.set(LISTENERS, '{"listeners":[]}');
  await run.poll();
  await run.poll();
  assert.equal(run.decide("http://other:8091/"), "out.other.default.svc.cluster.local|http");
  await run.poll();
  assert.equal(run.decide("http://other:8091/"), "unknownHost");
  assert.deepEqual(codes(run.source), ["D222"]);
});

Deno.test("an empty mesh from the start is a world", async () => {
  await using pilot = startRestPilot();
  pilot.set(REGISTRATION, "[]");
  await using run = await start([pilot]);
  assert.equal(run.world.current.revision, 1);
});

Deno.test("Pilot 0.8 replaced by 1.0: default routes after three polls that serve no listeners", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([pilot]);
  pilot.registrationOnly = true;
  for (const _ of [1, 2]) {
    await run.poll();
    assert.equal(run.decide("http://istioserver:8084/redirect"), "redirect");
    assert.ok(codes(run.source).includes("D230"));
  }
  await run.poll();
  assert.equal(run.decide("http://istioserver:8084/redirect"), `out.${ISTIOSERVER}`);
  pilot.registrationOnly = false;
  await run.poll();
  assert.equal(run.decide("http://istioserver:8084/redirect"), "redirect", "and back at once");
});

Deno.test("a table waits for clusters and endpoints that it names", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([pilot]);
  const changed = JSON.stringify({
    virtual_hosts: [{
      name: ISTIOSERVER,
      domains: ["istioserver:8084"],
      routes: [{ prefix: "/", cluster: `out.${ISTIOSERVER}|version=v9` }],
    }],
  });
  pilot.set(table("8084"), changed);
  await run.poll();
  assert.equal(run.decide("http://istioserver:8084/redirect"), "redirect");
  assert.ok(codes(run.source).includes("D212"));
  const cluster = {
    name: `out.${ISTIOSERVER}|version=v9`,
    type: "sds",
    service_name: `${ISTIOSERVER}|version=v9`,
  };
  pilot.set(CLUSTERS, JSON.stringify({ clusters: [cluster] }));
  pilot.set(`/v1/registration/${ISTIOSERVER}|version=v9`, "SDS trouble", 500);
  await run.poll();
  assert.equal(run.decide("http://istioserver:8084/redirect"), "redirect");
  pilot.forget(`/v1/registration/${ISTIOSERVER}|version=v9`);
  await run.poll();
  assert.equal(run.decide("http://istioserver:8084/redirect"), `out.${ISTIOSERVER}|version=v9`);
});

Deno.test("an empty table or list of clusters between good ones is not believed; what routes name stays", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([pilot]);
  const { program } = run.world.current;
  pilot.set(table("8091"), "null");
  pilot.set(CLUSTERS, '{"clusters":[]}');
  await run.poll();
  assert.equal(run.world.current.program, program);
  assert.deepEqual(codes(run.source).filter((c) => c === "D230").length, 2);
  // Three times say it: the table goes, the clusters stay that the others name.
  await run.poll();
  await run.poll();
  assert.equal(run.decide("http://other:8091/"), "unknownHost");
  const cluster = run.decide("http://istioserver:8084/", 0.9);
  assert.ok(run.world.current.program.clusters.has(cluster));
  assert.equal(run.world.current.program.clusters.get("out.other.default.svc.cluster.local|http"), undefined);
});

Deno.test("several addresses: failover within the poll, return when the first has rested", async () => {
  await using first = await playing("pilot-0.8.0/v1/istioserver");
  await using second = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([first, second]);
  const inUse = () => run.source.status()[0]?.addresses.findIndex((a) => a.inUse);
  assert.equal(inUse(), 0);
  first.temper = "close";
  await run.poll();
  assert.equal(inUse(), 1);
  assert.equal(run.source.status()[0]?.step, "synced");
  assert.equal(run.decide("http://istioserver:8084/redirect"), "redirect");
  first.temper = "serve";
  first.asked();
  await run.poll();
  assert.equal(inUse(), 1, "it rests");
  assert.deepEqual(first.asked(), []);
  const back = Promise.withResolvers<void>();
  run.world.onPublish(() => back.resolve());
  run.clock.advance(REST_MS.first + INTERVAL_MS);
  await back.promise;
  assert.equal(inUse(), 0);
  assert.equal(run.decide("http://istioserver:8084/redirect"), `out.${ISTIOSERVER}`);
});

Deno.test("a bad object keeps its last good value and says where; its neighbours go on", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([pilot]);
  pilot.set(
    REGISTRATION,
    JSON.stringify([
      { "service-key": ISTIOSERVER, hosts: [{ ip_address: "127.0.0.1", port: 99_999 }] },
      {
        "service-key": "other.default.svc.cluster.local|http",
        hosts: [{ ip_address: "127.0.0.1", port: 1 }],
      },
      { "service-key": 7 },
      null,
    ]),
  );
  pilot.set(
    table("8084"),
    JSON.stringify({
      virtual_hosts: [
        { name: ISTIOSERVER, domains: ["istioserver"], routes: [{ regex: "(?=x)", cluster: "x" }] },
        { name: "new|http", domains: ["new"], routes: [{ prefix: "/", cluster: `out.${ISTIOSERVER}` }] },
      ],
    }),
  );
  await run.poll();
  assert.equal(endpointsOf(run.world, ISTIOSERVER)?.length, 3);
  assert.deepEqual(endpointsOf(run.world, "other.default.svc.cluster.local|http"), ["127.0.0.1:1"]);
  assert.equal(run.decide("http://istioserver:8084/redirect"), "redirect");
  assert.equal(run.decide("http://new:8084/"), `out.${ISTIOSERVER}`);
  const told = run.source.problems().map((p) => `${p.where.resource} ${p.where.field}`);
  for (
    const where of [
      "/v1/registration [0].hosts[0].port",
      "/v1/registration [2].service-key",
      "/v1/registration [3]",
      "8084 virtual_hosts[0].routes[0].regex",
    ]
  ) assert.ok(told.includes(where), `${where} in ${told.join("; ")}`);
});

Deno.test("an address that fails again soon after it came back rests twice as long", async () => {
  await using first = await playing("pilot-0.8.0/v1/istioserver");
  await using second = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([first, second]);
  const pollAfter = async (ms: number) => {
    const polled = run.source.status()[0]!.connects;
    run.clock.advance(ms);
    await run.poll();
    assert.ok(run.source.status()[0]!.connects > polled);
    return run.source.status()[0]?.addresses.findIndex((a) => a.inUse);
  };
  first.temper = "close";
  assert.equal(await pollAfter(0), 1);
  first.temper = "serve";
  assert.equal(await pollAfter(REST_MS.first), 0);
  first.temper = "close";
  assert.equal(await pollAfter(0), 1);
  first.temper = "serve";
  assert.equal(await pollAfter(REST_MS.first), 1, "still at rest");
  assert.equal(await pollAfter(REST_MS.first), 0);
});

Deno.test("another address is asked for rules at once, whatever the one before it served", async () => {
  await using first = await playing("pilot-0.8.0/v1/routerule");
  first.registrationOnly = true;
  await using second = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([first, second]);
  assert.equal(run.decide("http://istioserver:8084/redirect"), `out.${ISTIOSERVER}`);
  first.temper = "close";
  const published = Promise.withResolvers<void>();
  run.world.onPublish(() => published.resolve());
  // Not by a refresh, which asks for everything.
  run.clock.advance(2 * INTERVAL_MS);
  await published.promise;
  assert.equal(run.decide("http://istioserver:8084/redirect"), "redirect");
});

Deno.test("404 of a path that is served is trouble, not a Pilot without routes", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  await using run = await start([pilot]);
  pilot.set(LISTENERS, "LDS unexpected service-node", 404);
  for (let i = 0; i < 5; i++) await run.poll();
  assert.equal(run.decide("http://istioserver:8084/redirect"), "redirect");
  assert.ok(codes(run.source).includes("D220"));
});

Deno.test("a Pilot that serves listeners and no clusters is told of while it is waited for", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/routerule");
  pilot.forget(CLUSTERS);
  await using run = await start([pilot]);
  assert.equal(run.world.current.revision, 0);
  assert.match(
    run.source.problems().find((p) => p.code === "D220")?.message ?? "",
    /\/v1\/clusters\/.* answers 404/,
  );
  await pilot.play("pilot-0.8.0/v1/routerule");
  await run.poll();
  assert.equal(run.decide("http://istioserver:8084/redirect"), "redirect");
});

Deno.test("a fault that changes in the listener alone reaches its routes", async () => {
  await using pilot = startRestPilot();
  const key = "a|http";
  const listenersWith = (abort?: number) =>
    JSON.stringify({
      listeners: [{
        name: "l",
        address: "tcp://0.0.0.0:80",
        filters: [{
          name: "http_connection_manager",
          config: {
            rds: { route_config_name: "80" },
            filters: abort === undefined
              ? []
              : [{ name: "fault", config: { abort: { http_status: abort, abort_percent: 100 } } }],
          },
        }],
      }],
    });
  pilot.set(
    REGISTRATION,
    JSON.stringify([{ "service-key": key, hosts: [{ ip_address: "10.0.0.1", port: 1 }] }]),
  );
  pilot.set(CLUSTERS, JSON.stringify({ clusters: [{ name: "out.a", type: "sds", service_name: key }] }));
  pilot.set(
    table("80"),
    JSON.stringify({
      virtual_hosts: [{ name: key, domains: ["a"], routes: [{ prefix: "/", cluster: "out.a" }] }],
    }),
  );
  pilot.set(LISTENERS, listenersWith());
  await using run = await start([pilot]);
  const status = () =>
    run.world.current.program.routeConfigurations.get("80")?.virtualHosts[0]?.routes[0]
      ?.typedPerFilterConfig?.["envoy.filters.http.fault"]?.abort?.httpStatus;
  assert.equal(status(), undefined);
  for (const abort of [503, 418, undefined]) {
    pilot.set(LISTENERS, listenersWith(abort));
    await run.poll();
    assert.equal(status(), abort);
  }
});

Deno.test("closing in the middle of a poll ends at once", async () => {
  await using pilot = await playing("pilot-0.8.0/v1/istioserver");
  pilot.temper = "silent";
  const asked = Promise.withResolvers<void>();
  pilot.onRequest = () => asked.resolve();
  const starting = start([pilot]);
  await asked.promise;
  pilot.temper = "close";
  const run = await starting;
  pilot.temper = "silent";
  const again = Promise.withResolvers<void>();
  pilot.onRequest = () => again.resolve();
  const polling = run.poll();
  await again.promise;
  await run.source.close();
  await polling;
  assert.equal(run.source.status()[0]?.step, "closed");
});
