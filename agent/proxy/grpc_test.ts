import assert from "node:assert/strict";
import { grpcStatusOfTrailers } from "./grpc.ts";

Deno.test("grpc: the status among trailer lines", () => {
  const of = (text: string) => grpcStatusOfTrailers(new TextEncoder().encode(text));
  assert.equal(grpcStatusOfTrailers(null), -1);
  assert.equal(of(""), -1);
  assert.equal(of("grpc-status: 0\r\n"), 0);
  assert.equal(of("grpc-message: a\r\nGrpc-Status:14\r\nx: y\r\n"), 14);
  assert.equal(of("x-grpc-status: 3\r\ngrpc-status-details-bin: 5\r\n"), -1);
  assert.equal(of("grpc-message: grpc-status: 3\r\n"), -1);
  assert.equal(of("grpc-status: \t7\r\n"), 7);
  assert.equal(of("grpc-status: none\r\n"), -1);
  assert.equal(of("grpc-status: 1234567890\r\n"), -1);
  assert.equal(of("grpc-status: 16"), 16);
});
