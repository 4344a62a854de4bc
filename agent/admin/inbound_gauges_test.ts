import assert from "node:assert/strict";
import { createObserver } from "../observe/observer.ts";
import type { InboundStatus } from "../proxy/inbound.ts";
import { inboundGauges } from "./inbound_gauges.ts";

const port = (application: string, check: InboundStatus["check"]): InboundStatus => ({
  address: "10.0.0.5:1",
  protocol: "rest",
  application,
  from: "settings",
  check,
});

Deno.test("gauges: one sample for each application that is checked", () => {
  const status = [
    port("127.0.0.1:1", "passing"),
    port("127.0.0.1:2", "failing"),
    port("127.0.0.1:2", "failing"),
    port("127.0.0.1:3", "pending"),
    port("127.0.0.1:4", "none"),
  ];
  const text = createObserver({ gauges: () => inboundGauges(status) }).expose();
  assert.deepEqual(text.split("\n").filter((line) => line.startsWith("mesh_agent_application")), [
    'mesh_agent_application_check_passing{application="127.0.0.1:1"} 1',
    'mesh_agent_application_check_passing{application="127.0.0.1:2"} 0',
    'mesh_agent_application_check_passing{application="127.0.0.1:3"} 1',
  ]);
  assert.deepEqual(inboundGauges([port("127.0.0.1:4", "none")]), []);
});
