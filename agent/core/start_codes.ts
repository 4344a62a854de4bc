/**
 * The codes around the traffic: D = discovery (where rules come from), N = network, start and the command line. Part of the
 * one table in codes.ts, apart only for length.
 */
export const START_CODES = {
  D101: {
    severity: "error",
    hint:
      "Create the directory, or name another one in service.registry.serviceDiscovery.address; it is watched for.",
  },
  D102: {
    severity: "warning",
    hint: "Put VirtualService, DestinationRule and ServiceEntry files (*.yaml, *.yml, *.json) there.",
  },
  D104: { severity: "warning", hint: "Mend the errors reported for it." },
  D105: { severity: "error", hint: "Let the agent's user read it." },
  // D106 was: a source that cannot be used yet.
  D107: { severity: "warning", hint: "The last good rules stay in force until it is back." },
  D108: { severity: "warning", hint: "Changes are still found by rereading every refreshInterval." },
  D201: {
    severity: "error",
    hint:
      "Correct the host in service.registry.serviceDiscovery.address (or router.address), or make it known to the name servers of this machine.",
  },
  D202: {
    severity: "error",
    hint:
      "Start the control plane, or correct host and port in service.registry.serviceDiscovery.address (or router.address).",
  },
  D203: {
    severity: "error",
    hint: "Check the files in discovery.certDirectory and the name in discovery.serverName.",
  },
  D204: {
    severity: "error",
    hint:
      "Mount a token of audience istio-ca at discovery.tokenFile, or client certificates in discovery.certDirectory.",
  },
  D205: {
    severity: "error",
    hint:
      "Correct scheme and port in service.registry.serviceDiscovery.address (or router.address): Pilot's v1 API is http:// at 8080, gRPC is grpc:// at 15010, with TLS grpcs:// at 15012.",
  },
  D206: {
    severity: "error",
    hint:
      "Token (discovery.tokenFile), certificate (discovery.certDirectory) and POD_NAMESPACE must belong to this workload.",
  },
  D207: {
    severity: "error",
    hint:
      "Choose the service.registry.serviceDiscovery.type that the control plane speaks: pilotv2 for Istio 0.8 to 1.10, pilotv3 from 1.8 on.",
  },
  D208: {
    severity: "warning",
    hint: "The last good rules stay in force; the agent asks again after a longer wait.",
  },
  D209: {
    severity: "warning",
    hint: "The last good rules stay in force; the agent connects again by itself.",
  },
  D210: {
    severity: "error",
    hint: "Check POD_NAME, POD_NAMESPACE and INSTANCE_IP, and read the log of the control plane.",
  },
  D211: {
    severity: "error",
    hint:
      "What was in force stays. Check that the address is a control plane's; if it is, please report this.",
  },
  D212: {
    severity: "warning",
    hint: "The resource keeps its last good value; mend the rule that it was made from.",
  },
  D213: { severity: "warning", hint: "The whole response is not used; what was in force stays." },
  D214: {
    severity: "warning",
    hint: "A busy control plane may need minutes; the agent goes on waiting and then tries again.",
  },
  D215: {
    severity: "error",
    hint:
      "Install the agent anew and start it again; run from its sources it needs its packages (deno install).",
  },
  D220: {
    severity: "error",
    hint:
      "Check that the address is Pilot's v1 API (Istio up to 1.0); for istiod use serviceDiscovery.type pilotv3.",
  },
  D221: { severity: "error", hint: "What was in force stays. Check that the address is Pilot's v1 API." },
  D222: {
    severity: "info",
    hint:
      "For VirtualService and DestinationRule give router.infra pilot an address of gRPC: grpc://HOST:15010.",
  },
  D223: { severity: "info", hint: "Nothing to do: the agent works without it." },
  D230: {
    severity: "warning",
    hint: "What was known stays in force until the control plane says the same three times in a row.",
  },
  D231: {
    severity: "warning",
    hint: "Give router.infra pilot an address of gRPC (grpc://HOST:15010): its routes carry the ports.",
  },
  D240: {
    severity: "warning",
    hint: "The agent starts without it, and replaces it once the control plane has answered.",
  },
  D241: {
    severity: "warning",
    hint:
      "The agent works on, and tries again. Make room, or give cse.mesh.cacheDir a directory that exists and that its user may write.",
  },
  D242: {
    severity: "warning",
    hint: "Nothing to do for the cache; mesh-agent status says what keeps the control plane away.",
  },

  N101: {
    severity: "error",
    hint: "Stop the other program, or choose another listenAddress (port 0 = any free one).",
  },
  N102: { severity: "error", hint: "Use an address of this machine, such as 127.0.0.1." },
  N103: { severity: "error", hint: "Choose a port above 1023, or give the agent the right to bind it." },
  N104: { severity: "error", hint: "Use Deno 2.9: npx -y deno@2.9.6 run -P mod.ts" },
  N105: { severity: "warning", hint: "Restart the agent to apply them." },
  N107: { severity: "error", hint: "Name a rules directory or a rule file." },
  N108: { severity: "error", hint: "Start the agent, or ask offline with --rules PATH." },
  N109: { severity: "error", hint: "Please report this together with the line above." },
  N110: { severity: "error", hint: "Give the conf directory with --config DIR." },
  N111: {
    severity: "error",
    hint: "Please report the reason; with cse.mesh.isolation false it ends at the first one.",
  },
  N112: {
    severity: "error",
    hint:
      "Start it as deno run -P mod.ts, or compiled; or with --no-isolation under the rights that there are.",
  },
  N114: {
    severity: "info",
    hint: "With its range in cse.mesh.permissions.net no restart is needed for such rules.",
  },
  N115: {
    severity: "warning",
    hint: "Mount resolv.conf and restart the agent, or use addresses in the rules.",
  },
  N130: { severity: "error", hint: "mesh-agent help vm shows what it reads and writes." },
  N119: {
    severity: "error",
    hint: "Seal it anew: deno task compile --sealed DIR; or use a program that is not sealed.",
  },
  N118: {
    severity: "error",
    hint:
      "mesh-agent version --capabilities shows what this runtime can do; start the agent on Deno 2.9, or change the setting.",
  },
  N120: {
    severity: "warning",
    hint:
      "The agent works on. In the unit use Type=simple, and mesh-agent wait where others wait for the agent.",
  },
  N121: {
    severity: "warning",
    hint: "Give cse.mesh.readinessFile a path in a directory that the agent's user may write.",
  },
  N113: { severity: "warning", hint: "Restart the agent; mesh-agent permissions prints its rights." },
} as const;
