/** Checks of the application, one gauge with a sample for each application that has one. */
import type { Gauge } from "../observe/observer.ts";
import type { InboundStatus } from "../proxy/inbound.ts";

/** Empty when no service port has a check; a check that is not over yet counts as passing, as it does for requests. */
export function inboundGauges(status: readonly InboundStatus[]): Gauge[] {
  const checked = status.filter(({ check }) => check !== "none");
  if (checked.length === 0) return [];
  return [{
    name: "application_check_passing",
    help: "1 while the check of the application passes, 0 while it fails and its service ports answer 503.",
    value: new Map(
      checked.map(({ application, check }) =>
        [`application="${application}"`, check === "failing" ? 0 : 1] as const
      ),
    ),
  }];
}
