/** curl as the application: proxy variables, https through CONNECT, large bodies, by a client that we did not write. */
import assert from "node:assert/strict";
import { startAgentProcess } from "../harness/agent.ts";
import { bytesOf, within } from "../harness/bytes.ts";
import { makeCertificate } from "../harness/certificate.ts";
import { istioserver, makeConf } from "../harness/conf.ts";
import { answering, echoing, startUpstream } from "../harness/upstream.ts";

async function curl(
  env: Readonly<Record<string, string>>,
  ...args: string[]
): Promise<{ code: number; text: string }> {
  const command = new Deno.Command("curl", {
    args: ["-sS", "--max-time", "20", ...args],
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH") ?? "", ...env },
  });
  const { code, stdout, stderr } = await within(command.output(), "the end of curl", 25_000);
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("curl", async (t) => {
  await using v1 = startUpstream(echoing("v1"));
  await using sink = startUpstream(
    answering((r) =>
      `HTTP/1.1 200 OK\r\nContent-Length: ${String(r.body.length).length}\r\n\r\n${r.body.length}`
    ),
  );
  await using conf = await makeConf({ files: { "rules/a.yaml": istioserver({ v1: v1.port }, { v1: 100 }) } });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const proxy = `http://127.0.0.1:${agent.http.port}`;

  await t.step("http_proxy", async () => {
    const { code, text } = await curl({ http_proxy: proxy }, "http://istioserver:8084/hello?a=b");
    assert.equal(code, 0, text);
    const seen = JSON.parse(text) as { instance: string; target: string };
    assert.deepEqual([seen.instance, seen.target], ["v1", "/hello?a=b"]);
  });

  await t.step("several requests on one connection, HEAD and HTTP/1.0 among them", async () => {
    const { code, text } = await curl(
      { http_proxy: proxy },
      ...["-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", "http://istioserver:8084/1"],
      ...[
        "--next",
        "-sS",
        "-I",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{num_connects}\n",
        "http://istioserver:8084/2",
      ],
      ...[
        "--next",
        "-sS",
        "-0",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{num_connects}\n",
        "http://istioserver:8084/3",
      ],
    );
    assert.equal(code, 0, text);
    assert.deepEqual(text.trim().split("\n"), ["200 1", "200 0", "200 0"]);
  });

  await t.step("an upload of 8 MB with Expect: 100-continue, counted and chunked", async () => {
    const file = await Deno.makeTempFile();
    try {
      await Deno.writeFile(file, new Uint8Array(8_000_000).fill(97));
      const host = `http://127.0.0.1:${sink.port}/up`;
      for (const more of [["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"]]) {
        const { code, text } = await curl({ http_proxy: proxy }, "-T", file, ...more, host);
        assert.equal(code, 0, text);
        assert.equal(text, "8000000");
      }
    } finally {
      await Deno.remove(file);
    }
  });

  await t.step("https through CONNECT", async () => {
    const { cert, key } = await makeCertificate("secure.test");
    const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
    const { port } = listener.addr as Deno.NetAddr;
    const serving = (async () => {
      const conn = await listener.accept();
      await conn.read(new Uint8Array(4096));
      await conn.write(bytesOf("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret"));
      conn.close();
    })();
    const ca = await Deno.makeTempFile({ suffix: ".pem" });
    try {
      await Deno.writeTextFile(ca, cert);
      const { code, text } = await curl(
        { https_proxy: proxy },
        ...["--cacert", ca, "--connect-to", `secure.test:443:127.0.0.1:${port}`, "https://secure.test/"],
      );
      assert.equal(code, 0, text);
      assert.equal(text, "secret");
      await serving;
    } finally {
      listener.close();
      await Deno.remove(ca);
    }
  });

  await t.step("a cut answer is an error for curl", async () => {
    await using cut = startUpstream(async (link) => {
      await link.request();
      await link.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    const { code } = await curl({ http_proxy: proxy }, "-o", "/dev/null", `http://127.0.0.1:${cut.port}/`);
    assert.equal(code, 18, "curl 18: transfer closed with outstanding read data remaining");
  });
});
