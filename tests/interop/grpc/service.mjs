/**
 * The service of gRPC's interoperability tests (package grpc.testing), as far as the cases played here need it, for
 * grpc-js: https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md.
 */
import protobuf from "protobufjs";

const { root } = protobuf.parse(
  `syntax = "proto3";
package grpc.testing;

message Empty {}

message Payload {
  int32 type = 1;
  bytes body = 2;
}

message EchoStatus {
  int32 code = 1;
  string message = 2;
}

message SimpleRequest {
  int32 response_size = 2;
  Payload payload = 3;
  EchoStatus response_status = 7;
}

message SimpleResponse {
  Payload payload = 1;
}

message StreamingInputCallRequest {
  Payload payload = 1;
}

message StreamingInputCallResponse {
  int32 aggregated_payload_size = 1;
}

message ResponseParameters {
  int32 size = 1;
  int32 interval_us = 2;
}

message StreamingOutputCallRequest {
  repeated ResponseParameters response_parameters = 2;
  Payload payload = 3;
  EchoStatus response_status = 7;
}

message StreamingOutputCallResponse {
  Payload payload = 1;
}

service TestService {
  rpc EmptyCall(Empty) returns (Empty);
  rpc UnaryCall(SimpleRequest) returns (SimpleResponse);
  rpc StreamingOutputCall(StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse);
  rpc StreamingInputCall(stream StreamingInputCallRequest) returns (StreamingInputCallResponse);
  rpc FullDuplexCall(stream StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse);
  rpc UnimplementedCall(Empty) returns (Empty);
}

service UnimplementedService {
  rpc UnimplementedCall(Empty) returns (Empty);
}
`,
  { keepCase: false },
);

/** Name of a service of the package -> grpc-js' definition of it. */
export function definitionOf(name) {
  const service = root.lookupService(`grpc.testing.${name}`);
  return Object.fromEntries(service.methodsArray.map((method) => {
    const request = root.lookupType(`grpc.testing.${method.requestType}`);
    const response = root.lookupType(`grpc.testing.${method.responseType}`);
    return [method.name, {
      path: `/grpc.testing.${name}/${method.name}`,
      requestStream: method.requestStream === true,
      responseStream: method.responseStream === true,
      requestSerialize: (message) => Buffer.from(request.encode(message).finish()),
      requestDeserialize: (bytes) => request.decode(bytes),
      responseSerialize: (message) => Buffer.from(response.encode(message).finish()),
      responseDeserialize: (bytes) => response.decode(bytes),
    }];
  }));
}

export const INITIAL = "x-grpc-test-echo-initial";
export const TRAILING = "x-grpc-test-echo-trailing-bin";
