/**
 * HTTP/2 load by node's own client: `node load.mjs PORT AUTHORITY SECONDS` keeps 40 streams going on 4 connections and prints
 * `OK answers, FAILED failed` and the first failure.
 */
import http2 from "node:http2";

const [, , port, authority, seconds] = process.argv;
const end = Date.now() + Number(seconds) * 1000;
let ok = 0;
let failed = 0;
let first = "";

const ask = (session) =>
  new Promise((resolve) => {
    const stream = session.request({ ":authority": authority, ":path": "/" });
    let status = 0;
    let text = "";
    stream.on("response", (headers) => status = headers[":status"]);
    stream.setEncoding("utf8").on("data", (piece) => text += piece);
    stream.on("error", (error) => text = String(error));
    stream.on("close", () => resolve(`${status} ${text}`));
  });

await Promise.all(Array.from({ length: 4 }, async () => {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  await Promise.all(Array.from({ length: 10 }, async () => {
    while (Date.now() < end) {
      const answer = await ask(session);
      if (answer === "200 done") ok++;
      else {
        failed++;
        first ||= answer;
      }
    }
  }));
  session.close();
}));
console.log(`${ok} answers, ${failed} failed ${first}`);
