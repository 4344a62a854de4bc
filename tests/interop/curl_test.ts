/** curl with HTTP/2: by prior knowledge, offering h2c in HTTP/1.1, and inside TLS through CONNECT, split by server name. */
import assert from "node:assert/strict";
import { startAgentProcess } from "../harness/agent.ts";
import { makeCertificate } from "../harness/certificate.ts";
import { destinationRule, makeConf, serviceEntry } from "../harness/conf.ts";
import { answering, echoing, startUpstream } from "../harness/upstream.ts";
import { judge, judged } from "./judges.ts";
import { runToEnd, startServer } from "./process.ts";

const curl = (...args: string[]): Promise<string> => runToEnd(judge("curl"), ["-sS", "-m", "30", ...args]);

judged("curl: HTTP/2 without TLS", ["curl"], async (t) => {
  await using echo = startUpstream(echoing("v1"));
  await using sink = startUpstream(answering(({ body }) => {
    const text = String(body.length);
    return `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
  }));
  await using conf = await makeConf({
    files: {
      "rules/echo.yaml": serviceEntry("echo.test", 80, { v1: echo.port }),
      "rules/sink.yaml": serviceEntry("sink.test", 80, { v1: sink.port }),
    },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const url = `http://127.0.0.1:${agent.http.port}`;
  const to = (host: string): string[] => ["-H", `Host: ${host}`];

  // One request a connection: curl 7.88 cannot use such a connection again, whatever the server.
  await t.step("prior knowledge: GET", async () => {
    const said = await curl(
      "--http2-prior-knowledge",
      ...to("echo.test"),
      ...["-w", "\n%{http_code} %{http_version}"],
      `${url}/get?a=b`,
    );
    const [body, outcome] = said.split("\n");
    assert.equal(outcome, "200 2");
    const { instance, target } = JSON.parse(body!);
    assert.deepEqual([instance, target], ["v1", "/get?a=b"]);
  });

  await t.step("prior knowledge: HEAD, and an upload of 8 MB", async () => {
    const head = await curl("--http2-prior-knowledge", ...to("echo.test"), "-I", `${url}/head`);
    assert.match(head, /^HTTP\/2 200 \r\n/);
    assert.match(head, /^x-instance: v1\r$/m);
    const file = await Deno.makeTempFile();
    try {
      await Deno.writeFile(file, new Uint8Array(8_000_000).fill(97));
      assert.equal(
        await curl("--http2-prior-knowledge", ...to("sink.test"), "-T", file, `${url}/up`),
        "8000000",
      );
    } finally {
      await Deno.remove(file);
    }
  });

  // RFC 9113 section 3.1: the upgrade to h2c is gone. A server that does not take it answers in HTTP/1.1.
  await t.step("an offer of h2c in HTTP/1.1 is declined, and not passed on", async () => {
    const said = await curl(
      "--http2",
      ...to("echo.test"),
      "-w",
      "\n%{http_code} %{http_version}",
      `${url}/offer`,
    );
    const [body, outcome] = said.split("\n");
    assert.equal(outcome, "200 1.1");
    const names = (JSON.parse(body!).headers as [string, string][]).map(([name]) => name.toLowerCase());
    assert.ok(names.includes("user-agent"), names.join());
    for (const name of ["upgrade", "http2-settings"]) assert.equal(names.includes(name), false, name);
  });
});

const HOST = "secure.example.com";

judged("curl: CONNECT and TLS, split by server name and weight", ["curl", "node"], async (t) => {
  const authority = await makeCertificate("test authority", { authority: true });
  const leaf = await makeCertificate(HOST, { issuer: authority });
  await using conf = await makeConf({ mesh: { accessLog: "json" } });
  for (const [name, text] of [["ca", authority.cert], ["cert", leaf.cert], ["key", leaf.key]] as const) {
    await conf.write(`${name}.pem`, text);
  }
  const secure = (name: string) =>
    startServer(judge("node"), [
      new URL("./http/secure.mjs", import.meta.url).pathname,
      name,
      conf.file("cert.pem"),
      conf.file("key.pem"),
    ]);
  await using v1 = await secure("v1");
  await using v2 = await secure("v2");
  await conf.write(
    "rules/secure.yaml",
    [
      serviceEntry(HOST, 443, { v1: v1.port, v2: v2.port }).replace("protocol: HTTP}", "protocol: TLS}"),
      destinationRule(HOST, ["v1", "v2"]),
      `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: secure}
spec:
  hosts: [${HOST}]
  tls:
  - match: [{port: 443, sniHosts: [${HOST}]}]
    route:
    - {destination: {host: ${HOST}, subset: v1}, weight: 75}
    - {destination: {host: ${HOST}, subset: v2}, weight: 25}
`,
    ].join("---\n"),
  );
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const through = ["--proxy", `http://127.0.0.1:${agent.http.port}`, "--cacert", conf.file("ca.pem")];

  await t.step("HTTP/2 by ALPN, the certificate checked by curl", async () => {
    const said = await curl(
      ...through,
      "--http2",
      "-w",
      "%{http_version} %{http_connect}",
      `https://${HOST}/`,
    );
    assert.match(said, new RegExp(`^v[12] 2\\.0 ${HOST.replaceAll(".", "\\.")}\n2 200$`));
  });

  await t.step("200 connections, 75 to 25", async () => {
    const said = await curl(...through, "--http1.1", "-H", "Connection: close", `https://${HOST}/[1-200]`);
    const lines = said.trim().split("\n");
    assert.equal(lines.length, 200);
    const first = lines.filter((line) => line === `v1 1.1 ${HOST}`).length;
    assert.equal(lines.filter((line) => line === `v2 1.1 ${HOST}`).length, 200 - first);
    // Six standard deviations around 150.
    assert.ok(first > 113 && first < 187, `v1 got ${first} of 200`);
  });
});
