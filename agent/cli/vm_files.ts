/**
 * The files that make a machine run the agent, as texts. Pure: vm_apply.ts writes them.
 *
 * In: who the machine is and where its control plane is. Out: every file with its mode, in the order of writing.
 *
 * - conf/chassis.yaml: settings; mesh-agent.env: who it is, and node metadata
 * - certs/: root-cert.pem and istio-token; its group is the agent's and goes over to files made in it, so that a token renewed by
 *   root stays readable
 * - sysusers.d, tmpfiles.d: user and owners, made anew by systemd at each boot
 * - the unit
 *
 * Text files carry a checksum of their own text: one that still fits was not edited and may be replaced.
 */
export interface Setup {
  readonly type: "pilot" | "pilotv2" | "pilotv3";
  /** As serviceDiscovery.address takes it. */
  readonly pilot: string;
  /** Any of its addresses is grpcs://. */
  readonly secured: boolean;
  readonly serverName?: string;
  readonly name: string;
  readonly namespace: string;
  readonly ip: string;
  readonly service?: string;
  readonly serviceAccount?: string;
  /** As --service-ports takes it. */
  readonly servicePorts?: string;
  readonly ranges: readonly string[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly token?: string;
  readonly rootCert?: string;
}

/** Name of user, group, unit and directories. */
export const NAME = "mesh-agent";
export const DIRECTORY = `/etc/${NAME}`;
export const CONF = `${DIRECTORY}/conf`;
export const ENVIRONMENT = `${DIRECTORY}/${NAME}.env`;
export const CERTS = `${DIRECTORY}/certs`;
export const PROGRAM = `/usr/local/bin/${NAME}`;
export const UNIT = `/etc/systemd/system/${NAME}.service`;
const CACHE = `/var/cache/${NAME}`;

export interface MachineFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
  /** Group mesh-agent instead of root. */
  readonly ours?: true;
  /** `text`: made by us, may be edited. `given`: a copy of what the user gave. */
  readonly kind: "text" | "given";
}

export interface MachineDirectory {
  readonly path: string;
  readonly mode: number;
  readonly ours?: true;
}

export const DIRECTORIES: readonly MachineDirectory[] = [
  { path: DIRECTORY, mode: 0o755 },
  { path: CONF, mode: 0o755 },
  { path: CERTS, mode: 0o2750, ours: true },
];

export const TOKEN = `${CERTS}/istio-token`;

export async function machineFiles(setup: Setup): Promise<MachineFile[]> {
  const text = async (path: string, body: string): Promise<MachineFile> => ({
    path,
    text: await signed(body),
    mode: 0o644,
    kind: "text",
  });
  const given = (path: string, body: string | undefined): MachineFile[] =>
    body === undefined ? [] : [{ path, text: `${body.trim()}\n`, mode: 0o640, ours: true, kind: "given" }];
  return [
    await text(`${CONF}/chassis.yaml`, chassis(setup)),
    await text(ENVIRONMENT, environment(setup)),
    ...given(`${CERTS}/root-cert.pem`, setup.rootCert),
    ...given(TOKEN, setup.token),
    await text(`/etc/sysusers.d/${NAME}.conf`, `u ${NAME} - "mesh-agent" / -\n`),
    await text(
      `/etc/tmpfiles.d/${NAME}.conf`,
      `d ${CERTS} 2750 root ${NAME} -\nz ${CERTS}/* 0640 root ${NAME} -\n`,
    ),
    await text(UNIT, unit()),
  ];
}

const HEAD = "# Made by mesh-agent vm init, which keeps it once it is edited. Checksum: ";

/** With the line that tells later whether it was edited. */
export async function signed(body: string): Promise<string> {
  return `${HEAD}${await checksum(body)}\n${body}`;
}

/** True when the text is as it was made. */
export async function isUnedited(text: string): Promise<boolean> {
  const end = text.indexOf("\n");
  return end >= 0 && text.slice(0, end) === `${HEAD}${await checksum(text.slice(end + 1))}`;
}

/** Without that line. */
export function bodyOf(text: string): string {
  return text.startsWith(HEAD) ? text.slice(text.indexOf("\n") + 1) : text;
}

async function checksum(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return [...digest.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function chassis({ type, pilot, secured, serverName, ranges }: Setup): string {
  const quoted = (text: string) => JSON.stringify(text);
  return [
    "cse:",
    "  service:",
    "    registry:",
    "      registrator:",
    "        disabled: true",
    "      serviceDiscovery:",
    `        type: ${type}`,
    `        address: ${quoted(pilot)}`,
    "  mesh:",
    `    cacheDir: ${CACHE} # the last good rules: a boot without the control plane serves by them`,
    ...(ranges.length === 0
      ? []
      : ["    permissions:", `      net: [private, ${ranges.map((range) => quoted(range)).join(", ")}]`]),
    ...(secured
      ? [
        "discovery:",
        ...(serverName === undefined
          ? []
          : [`  serverName: ${quoted(serverName)} # the name in istiod's certificate`]),
        `  certDirectory: ${CERTS}`,
        `  tokenFile: ${TOKEN} # read at each connection: renewing the file is enough`,
      ]
      : []),
    "",
  ].join("\n");
}

function environment(setup: Setup): string {
  const { name, namespace, ip, service, serviceAccount, servicePorts, metadata } = setup;
  const variables = new Map([
    ["POD_NAME", name],
    ["POD_NAMESPACE", namespace],
    ["INSTANCE_IP", ip],
    ...(service === undefined ? [] : [["SERVICE_NAME", service] as const]),
    ...(servicePorts === undefined ? [] : [["SERVICE_PORTS", servicePorts] as const]),
    ...metadata,
    ...(serviceAccount === undefined ? [] : [["ISTIO_META_SERVICE_ACCOUNT", serviceAccount] as const]),
  ]);
  return [...variables].map(([key, value]) => `${key}=${quotedForSystemd(value)}\n`).join("");
}

/** systemd.exec(5), EnvironmentFile=; a shell reads it the same. */
function quotedForSystemd(value: string): string {
  if (/^[A-Za-z0-9._:/,*-]+$/.test(value)) return value;
  return value.includes("'") ? `"${value.replace(/["\\$`]/g, "\\$&")}"` : `'${value}'`;
}

/** Depends on nothing of the machine, so that it can be shipped as it is. */
export function unit(): string {
  return `[Unit]
Description=mesh-agent: routes this machine's requests by Istio rules
Wants=network-online.target
After=network-online.target nss-lookup.target
# The control plane may be away for hours.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User=${NAME}
Group=${NAME}
EnvironmentFile=${ENVIRONMENT}
Environment=DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
ExecStart=${PROGRAM} run --config ${CONF}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=2s
WatchdogSec=30s
TimeoutStartSec=60s
TimeoutStopSec=30s
LimitNOFILE=65536
RuntimeDirectory=${NAME}
CacheDirectory=${NAME}
CacheDirectoryMode=0700
UMask=0077

# Nothing but what it needs: sockets, its conf, its cache.
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateMounts=yes
PrivateDevices=yes
PrivateUsers=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
# V8 compiles to machine code: MemoryDenyWriteExecute would end the agent at its start.
MemoryDenyWriteExecute=no

[Install]
WantedBy=multi-user.target
`;
}
