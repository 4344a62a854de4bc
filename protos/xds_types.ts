// Made by scripts/protos.ts from xds.proto; do not edit.

/**
 * What decoding a message gives, by its name in xds.proto. Absent scalars have their proto3 default, absent messages and
 * members of a oneof are null, absent lists and maps are empty. 64-bit numbers are plain numbers; enums are numbers.
 */
export interface Messages {
  readonly "Any": {
    readonly type_url: string;
    readonly value: Uint8Array;
  };
  readonly "Struct": {
    readonly fields: Readonly<Record<string, Messages["Value"]>>;
  };
  readonly "Value": {
    /** Which of the fields is set. */
    readonly kind?:
      | "null_value"
      | "number_value"
      | "string_value"
      | "bool_value"
      | "struct_value"
      | "list_value";
    readonly null_value: number | null;
    readonly number_value: number | null;
    readonly string_value: string | null;
    readonly bool_value: boolean | null;
    readonly struct_value: Messages["Struct"] | null;
    readonly list_value: Messages["ListValue"] | null;
  };
  readonly "ListValue": {
    readonly values: readonly Messages["Value"][];
  };
  readonly "Duration": {
    readonly seconds: number;
    readonly nanos: number;
  };
  readonly "UInt32Value": {
    readonly value: number;
  };
  readonly "UInt64Value": {
    readonly value: number;
  };
  readonly "BoolValue": {
    readonly value: boolean;
  };
  readonly "DoubleValue": {
    readonly value: number;
  };
  readonly "Status": {
    readonly code: number;
    readonly message: string;
  };
  readonly "DiscoveryRequest": {
    readonly version_info: string;
    readonly node: Messages["Node"] | null;
    readonly resource_names: readonly string[];
    readonly type_url: string;
    readonly response_nonce: string;
    readonly error_detail: Messages["Status"] | null;
  };
  readonly "DiscoveryResponse": {
    readonly version_info: string;
    readonly resources: readonly Messages["Any"][];
    readonly type_url: string;
    readonly nonce: string;
  };
  readonly "DeltaDiscoveryRequest": {
    readonly node: Messages["Node"] | null;
    readonly type_url: string;
    readonly resource_names_subscribe: readonly string[];
    readonly resource_names_unsubscribe: readonly string[];
    readonly initial_resource_versions: Readonly<Record<string, string>>;
    readonly response_nonce: string;
    readonly error_detail: Messages["Status"] | null;
  };
  readonly "DeltaDiscoveryResponse": {
    readonly system_version_info: string;
    readonly resources: readonly Messages["Resource"][];
    readonly type_url: string;
    readonly nonce: string;
    readonly removed_resources: readonly string[];
  };
  readonly "Resource": {
    readonly version: string;
    readonly resource: Messages["Any"] | null;
    readonly name: string;
  };
  readonly "Node": {
    readonly id: string;
    readonly cluster: string;
    readonly metadata: Messages["Struct"] | null;
    readonly locality: Messages["Locality"] | null;
  };
  readonly "Locality": {
    readonly region: string;
    readonly zone: string;
    readonly sub_zone: string;
  };
  readonly "Metadata": {
    readonly filter_metadata: Readonly<Record<string, Messages["Struct"]>>;
  };
  readonly "HeaderValue": {
    readonly key: string;
    readonly value: string;
    readonly raw_value: Uint8Array;
  };
  readonly "HeaderValueOption": {
    readonly header: Messages["HeaderValue"] | null;
    readonly append: Messages["BoolValue"] | null;
    readonly append_action: number;
    readonly keep_empty_value: boolean;
  };
  readonly "DataSource": {
    /** Which of the fields is set. */
    readonly specifier?: "filename" | "inline_bytes" | "inline_string" | "environment_variable";
    readonly filename: string | null;
    readonly inline_bytes: Uint8Array | null;
    readonly inline_string: string | null;
    readonly environment_variable: string | null;
  };
  readonly "RuntimeFractionalPercent": {
    readonly default_value: Messages["FractionalPercent"] | null;
    readonly runtime_key: string;
  };
  readonly "RuntimeUInt32": {
    readonly default_value: number;
    readonly runtime_key: string;
  };
  readonly "RuntimeDouble": {
    readonly default_value: number;
    readonly runtime_key: string;
  };
  readonly "TransportSocket": {
    /** Which of the fields is set. */
    readonly config_type?: "config" | "typed_config";
    readonly name: string;
    readonly config: Messages["Struct"] | null;
    readonly typed_config: Messages["Any"] | null;
  };
  readonly "TypedExtensionConfig": {
    readonly name: string;
    readonly typed_config: Messages["Any"] | null;
  };
  readonly "ConfigSource": {
    /** Which of the fields is set. */
    readonly config_source_specifier?: "ads" | "self";
    readonly initial_fetch_timeout: Messages["Duration"] | null;
    readonly ads: Messages["AggregatedConfigSource"] | null;
    readonly self: Messages["SelfConfigSource"] | null;
  };
  readonly "AggregatedConfigSource": Record<never, never>;
  readonly "SelfConfigSource": Record<never, never>;
  readonly "Address": {
    /** Which of the fields is set. */
    readonly address?: "socket_address" | "pipe" | "envoy_internal_address";
    readonly socket_address: Messages["SocketAddress"] | null;
    readonly pipe: Messages["Pipe"] | null;
    readonly envoy_internal_address: Messages["EnvoyInternalAddress"] | null;
  };
  readonly "SocketAddress": {
    /** Which of the fields is set. */
    readonly port_specifier?: "port_value" | "named_port";
    readonly address: string;
    readonly port_value: number | null;
    readonly named_port: string | null;
  };
  readonly "Pipe": {
    readonly path: string;
  };
  readonly "EnvoyInternalAddress": {
    /** Which of the fields is set. */
    readonly address_name_specifier?: "server_listener_name";
    readonly endpoint_id: string;
    readonly server_listener_name: string | null;
  };
  readonly "CidrRange": {
    readonly address_prefix: string;
    readonly prefix_len: Messages["UInt32Value"] | null;
  };
  readonly "HttpProtocolOptions": {
    readonly idle_timeout: Messages["Duration"] | null;
    readonly max_connection_duration: Messages["Duration"] | null;
    readonly max_stream_duration: Messages["Duration"] | null;
    readonly max_requests_per_connection: Messages["UInt32Value"] | null;
  };
  readonly "Http1ProtocolOptions": {
    readonly allow_absolute_url: Messages["BoolValue"] | null;
  };
  readonly "Http2ProtocolOptions": {
    readonly max_concurrent_streams: Messages["UInt32Value"] | null;
    readonly connection_keepalive: Messages["KeepaliveSettings"] | null;
  };
  readonly "UpstreamHttpProtocolOptions": {
    readonly auto_sni: boolean;
    readonly auto_san_validation: boolean;
  };
  readonly "KeepaliveSettings": {
    readonly interval: Messages["Duration"] | null;
    readonly timeout: Messages["Duration"] | null;
  };
  readonly "TcpKeepalive": {
    readonly keepalive_probes: Messages["UInt32Value"] | null;
    readonly keepalive_time: Messages["UInt32Value"] | null;
    readonly keepalive_interval: Messages["UInt32Value"] | null;
  };
  readonly "Percent": {
    readonly value: number;
  };
  readonly "FractionalPercent": {
    readonly numerator: number;
    readonly denominator: number;
  };
  readonly "Int64Range": {
    readonly start: number;
    readonly end: number;
  };
  readonly "StringMatcher": {
    /** Which of the fields is set. */
    readonly match_pattern?: "exact" | "prefix" | "suffix" | "regex" | "safe_regex" | "contains" | "custom";
    readonly ignore_case: boolean;
    readonly exact: string | null;
    readonly prefix: string | null;
    readonly suffix: string | null;
    readonly regex: string | null;
    readonly safe_regex: Messages["RegexMatcher"] | null;
    readonly contains: string | null;
    readonly custom: Messages["TypedExtensionConfig"] | null;
  };
  readonly "RegexMatcher": {
    readonly regex: string;
  };
  readonly "RegexMatchAndSubstitute": {
    readonly pattern: Messages["RegexMatcher"] | null;
    readonly substitution: string;
  };
  readonly "MetadataMatcher": Record<never, never>;
  readonly "Cluster": {
    /** Which of the fields is set. */
    readonly cluster_discovery_type?: "type" | "cluster_type";
    /** Which of the fields is set. */
    readonly lb_config?:
      | "ring_hash_lb_config"
      | "original_dst_lb_config"
      | "least_request_lb_config"
      | "maglev_lb_config"
      | "round_robin_lb_config";
    readonly name: string;
    readonly eds_cluster_config: Messages["Cluster.EdsClusterConfig"] | null;
    readonly connect_timeout: Messages["Duration"] | null;
    readonly lb_policy: number;
    readonly hosts: readonly Messages["Address"][];
    readonly max_requests_per_connection: Messages["UInt32Value"] | null;
    readonly circuit_breakers: Messages["CircuitBreakers"] | null;
    readonly tls_context: Messages["UpstreamTlsContext"] | null;
    readonly http2_protocol_options: Messages["Http2ProtocolOptions"] | null;
    readonly dns_refresh_rate: Messages["Duration"] | null;
    readonly dns_lookup_family: number;
    readonly outlier_detection: Messages["OutlierDetection"] | null;
    readonly transport_socket: Messages["TransportSocket"] | null;
    readonly metadata: Messages["Metadata"] | null;
    readonly protocol_selection: number;
    readonly common_lb_config: Messages["Cluster.CommonLbConfig"] | null;
    readonly common_http_protocol_options: Messages["HttpProtocolOptions"] | null;
    readonly upstream_connection_options: Messages["UpstreamConnectionOptions"] | null;
    readonly load_assignment: Messages["ClusterLoadAssignment"] | null;
    readonly typed_extension_protocol_options: Readonly<Record<string, Messages["Any"]>>;
    readonly load_balancing_policy: Messages["LoadBalancingPolicy"] | null;
    readonly transport_socket_matches: readonly Messages["Cluster.TransportSocketMatch"][];
    readonly upstream_http_protocol_options: Messages["UpstreamHttpProtocolOptions"] | null;
    readonly type: number | null;
    readonly cluster_type: Messages["Cluster.CustomClusterType"] | null;
    readonly ring_hash_lb_config: Messages["Cluster.RingHashLbConfig"] | null;
    readonly original_dst_lb_config: Messages["Cluster.OriginalDstLbConfig"] | null;
    readonly least_request_lb_config: Messages["Cluster.LeastRequestLbConfig"] | null;
    readonly maglev_lb_config: Messages["Cluster.MaglevLbConfig"] | null;
    readonly round_robin_lb_config: Messages["Cluster.RoundRobinLbConfig"] | null;
  };
  readonly "Cluster.TransportSocketMatch": {
    readonly name: string;
    readonly match: Messages["Struct"] | null;
    readonly transport_socket: Messages["TransportSocket"] | null;
  };
  readonly "Cluster.CustomClusterType": {
    readonly name: string;
    readonly typed_config: Messages["Any"] | null;
  };
  readonly "Cluster.EdsClusterConfig": {
    readonly eds_config: Messages["ConfigSource"] | null;
    readonly service_name: string;
  };
  readonly "Cluster.SlowStartConfig": {
    readonly slow_start_window: Messages["Duration"] | null;
    readonly aggression: Messages["RuntimeDouble"] | null;
    readonly min_weight_percent: Messages["Percent"] | null;
  };
  readonly "Cluster.RoundRobinLbConfig": {
    readonly slow_start_config: Messages["Cluster.SlowStartConfig"] | null;
  };
  readonly "Cluster.LeastRequestLbConfig": {
    readonly choice_count: Messages["UInt32Value"] | null;
    readonly active_request_bias: Messages["RuntimeDouble"] | null;
    readonly slow_start_config: Messages["Cluster.SlowStartConfig"] | null;
  };
  readonly "Cluster.RingHashLbConfig": {
    readonly minimum_ring_size: Messages["UInt64Value"] | null;
    readonly maximum_ring_size: Messages["UInt64Value"] | null;
  };
  readonly "Cluster.MaglevLbConfig": {
    readonly table_size: Messages["UInt64Value"] | null;
  };
  readonly "Cluster.OriginalDstLbConfig": {
    readonly use_http_header: boolean;
    readonly http_header_name: string;
  };
  readonly "Cluster.CommonLbConfig": {
    readonly healthy_panic_threshold: Messages["Percent"] | null;
  };
  readonly "LoadBalancingPolicy": {
    readonly policies: readonly Messages["LoadBalancingPolicy.Policy"][];
  };
  readonly "LoadBalancingPolicy.Policy": {
    readonly typed_extension_config: Messages["TypedExtensionConfig"] | null;
  };
  readonly "UpstreamConnectionOptions": {
    readonly tcp_keepalive: Messages["TcpKeepalive"] | null;
  };
  readonly "CircuitBreakers": {
    readonly thresholds: readonly Messages["CircuitBreakers.Thresholds"][];
  };
  readonly "CircuitBreakers.Thresholds": {
    readonly priority: number;
    readonly max_connections: Messages["UInt32Value"] | null;
    readonly max_pending_requests: Messages["UInt32Value"] | null;
    readonly max_requests: Messages["UInt32Value"] | null;
    readonly max_retries: Messages["UInt32Value"] | null;
    readonly retry_budget: Messages["CircuitBreakers.Thresholds.RetryBudget"] | null;
  };
  readonly "CircuitBreakers.Thresholds.RetryBudget": {
    readonly budget_percent: Messages["Percent"] | null;
    readonly min_retry_concurrency: Messages["UInt32Value"] | null;
  };
  readonly "OutlierDetection": {
    readonly consecutive_5xx: Messages["UInt32Value"] | null;
    readonly interval: Messages["Duration"] | null;
    readonly base_ejection_time: Messages["Duration"] | null;
    readonly max_ejection_percent: Messages["UInt32Value"] | null;
    readonly enforcing_consecutive_5xx: Messages["UInt32Value"] | null;
    readonly enforcing_success_rate: Messages["UInt32Value"] | null;
    readonly consecutive_gateway_failure: Messages["UInt32Value"] | null;
    readonly enforcing_consecutive_gateway_failure: Messages["UInt32Value"] | null;
    readonly split_external_local_origin_errors: boolean;
    readonly consecutive_local_origin_failure: Messages["UInt32Value"] | null;
    readonly enforcing_consecutive_local_origin_failure: Messages["UInt32Value"] | null;
  };
  readonly "UpstreamHttpOptions": {
    /** Which of the fields is set. */
    readonly upstream_protocol_options?:
      | "explicit_http_config"
      | "use_downstream_protocol_config"
      | "auto_config";
    readonly common_http_protocol_options: Messages["HttpProtocolOptions"] | null;
    readonly upstream_http_protocol_options: Messages["UpstreamHttpProtocolOptions"] | null;
    readonly explicit_http_config: Messages["UpstreamHttpOptions.ExplicitHttpConfig"] | null;
    readonly use_downstream_protocol_config: Messages["UpstreamHttpOptions.UseDownstreamHttpConfig"] | null;
    readonly auto_config: Messages["UpstreamHttpOptions.AutoHttpConfig"] | null;
  };
  readonly "UpstreamHttpOptions.ExplicitHttpConfig": {
    /** Which of the fields is set. */
    readonly protocol_config?: "http_protocol_options" | "http2_protocol_options";
    readonly http_protocol_options: Messages["Http1ProtocolOptions"] | null;
    readonly http2_protocol_options: Messages["Http2ProtocolOptions"] | null;
  };
  readonly "UpstreamHttpOptions.UseDownstreamHttpConfig": {
    readonly http_protocol_options: Messages["Http1ProtocolOptions"] | null;
    readonly http2_protocol_options: Messages["Http2ProtocolOptions"] | null;
  };
  readonly "UpstreamHttpOptions.AutoHttpConfig": {
    readonly http_protocol_options: Messages["Http1ProtocolOptions"] | null;
    readonly http2_protocol_options: Messages["Http2ProtocolOptions"] | null;
  };
  readonly "UpstreamTlsContext": {
    readonly common_tls_context: Messages["CommonTlsContext"] | null;
    readonly sni: string;
  };
  readonly "CommonTlsContext": {
    /** Which of the fields is set. */
    readonly validation_context_type?:
      | "validation_context"
      | "validation_context_sds_secret_config"
      | "combined_validation_context";
    readonly tls_certificates: readonly Messages["TlsCertificate"][];
    readonly alpn_protocols: readonly string[];
    readonly tls_certificate_sds_secret_configs: readonly Messages["SdsSecretConfig"][];
    readonly validation_context: Messages["CertificateValidationContext"] | null;
    readonly validation_context_sds_secret_config: Messages["SdsSecretConfig"] | null;
    readonly combined_validation_context:
      | Messages["CommonTlsContext.CombinedCertificateValidationContext"]
      | null;
  };
  readonly "CommonTlsContext.CombinedCertificateValidationContext": {
    readonly default_validation_context: Messages["CertificateValidationContext"] | null;
    readonly validation_context_sds_secret_config: Messages["SdsSecretConfig"] | null;
  };
  readonly "TlsCertificate": {
    readonly certificate_chain: Messages["DataSource"] | null;
    readonly private_key: Messages["DataSource"] | null;
  };
  readonly "CertificateValidationContext": {
    readonly trusted_ca: Messages["DataSource"] | null;
    readonly verify_subject_alt_name: readonly string[];
    readonly match_subject_alt_names: readonly Messages["StringMatcher"][];
    readonly match_typed_subject_alt_names: readonly Messages["SubjectAltNameMatcher"][];
    readonly system_root_certs: Messages["SystemRootCerts"] | null;
  };
  readonly "SubjectAltNameMatcher": {
    readonly san_type: number;
    readonly matcher: Messages["StringMatcher"] | null;
  };
  readonly "SdsSecretConfig": {
    readonly name: string;
  };
  readonly "ClusterLoadAssignment": {
    readonly cluster_name: string;
    readonly endpoints: readonly Messages["LocalityLbEndpoints"][];
  };
  readonly "LocalityLbEndpoints": {
    readonly locality: Messages["Locality"] | null;
    readonly lb_endpoints: readonly Messages["LbEndpoint"][];
    readonly load_balancing_weight: Messages["UInt32Value"] | null;
    readonly priority: number;
  };
  readonly "LbEndpoint": {
    /** Which of the fields is set. */
    readonly host_identifier?: "endpoint";
    readonly health_status: number;
    readonly metadata: Messages["Metadata"] | null;
    readonly load_balancing_weight: Messages["UInt32Value"] | null;
    readonly endpoint: Messages["Endpoint"] | null;
  };
  readonly "Endpoint": {
    readonly address: Messages["Address"] | null;
    readonly hostname: string;
  };
  readonly "RouteConfiguration": {
    readonly name: string;
    readonly virtual_hosts: readonly Messages["VirtualHost"][];
    readonly response_headers_to_add: readonly Messages["HeaderValueOption"][];
    readonly response_headers_to_remove: readonly string[];
    readonly request_headers_to_add: readonly Messages["HeaderValueOption"][];
    readonly request_headers_to_remove: readonly string[];
    readonly vhds: Messages["Vhds"] | null;
    readonly most_specific_header_mutations_wins: boolean;
    readonly request_mirror_policies: readonly Messages["RouteAction.RequestMirrorPolicy"][];
    readonly ignore_port_in_host_matching: boolean;
    readonly ignore_path_parameters_in_path_matching: boolean;
    readonly typed_per_filter_config: Readonly<Record<string, Messages["Any"]>>;
    readonly vhost_header: string;
  };
  readonly "VirtualHost": {
    readonly name: string;
    readonly domains: readonly string[];
    readonly routes: readonly Messages["Route"][];
    readonly require_tls: number;
    readonly request_headers_to_add: readonly Messages["HeaderValueOption"][];
    readonly cors: Messages["CorsPolicy"] | null;
    readonly response_headers_to_add: readonly Messages["HeaderValueOption"][];
    readonly response_headers_to_remove: readonly string[];
    readonly per_filter_config: Readonly<Record<string, Messages["Struct"]>>;
    readonly request_headers_to_remove: readonly string[];
    readonly typed_per_filter_config: Readonly<Record<string, Messages["Any"]>>;
    readonly retry_policy: Messages["RetryPolicy"] | null;
    readonly matcher: Messages["Matcher"] | null;
    readonly request_mirror_policies: readonly Messages["RouteAction.RequestMirrorPolicy"][];
  };
  readonly "Route": {
    /** Which of the fields is set. */
    readonly action?: "route" | "redirect" | "direct_response" | "filter_action" | "non_forwarding_action";
    readonly match: Messages["RouteMatch"] | null;
    readonly metadata: Messages["Metadata"] | null;
    readonly decorator: Messages["Decorator"] | null;
    readonly per_filter_config: Readonly<Record<string, Messages["Struct"]>>;
    readonly request_headers_to_add: readonly Messages["HeaderValueOption"][];
    readonly response_headers_to_add: readonly Messages["HeaderValueOption"][];
    readonly response_headers_to_remove: readonly string[];
    readonly request_headers_to_remove: readonly string[];
    readonly typed_per_filter_config: Readonly<Record<string, Messages["Any"]>>;
    readonly name: string;
    readonly stat_prefix: string;
    readonly route: Messages["RouteAction"] | null;
    readonly redirect: Messages["RedirectAction"] | null;
    readonly direct_response: Messages["DirectResponseAction"] | null;
    readonly filter_action: Messages["FilterAction"] | null;
    readonly non_forwarding_action: Messages["NonForwardingAction"] | null;
  };
  readonly "RouteMatch": {
    /** Which of the fields is set. */
    readonly path_specifier?:
      | "prefix"
      | "path"
      | "regex"
      | "safe_regex"
      | "connect_matcher"
      | "path_separated_prefix"
      | "path_match_policy";
    readonly case_sensitive: Messages["BoolValue"] | null;
    readonly runtime: Messages["RuntimeUInt32"] | null;
    readonly headers: readonly Messages["HeaderMatcher"][];
    readonly query_parameters: readonly Messages["QueryParameterMatcher"][];
    readonly grpc: Messages["GrpcRouteMatchOptions"] | null;
    readonly runtime_fraction: Messages["RuntimeFractionalPercent"] | null;
    readonly tls_context: Messages["RouteMatch.TlsContextMatchOptions"] | null;
    readonly dynamic_metadata: readonly Messages["MetadataMatcher"][];
    readonly filter_state: readonly Messages["FilterStateMatcher"][];
    readonly cookies: readonly Messages["CookieMatcher"][];
    readonly prefix: string | null;
    readonly path: string | null;
    readonly regex: string | null;
    readonly safe_regex: Messages["RegexMatcher"] | null;
    readonly connect_matcher: Messages["ConnectMatcher"] | null;
    readonly path_separated_prefix: string | null;
    readonly path_match_policy: Messages["TypedExtensionConfig"] | null;
  };
  readonly "RouteMatch.TlsContextMatchOptions": Record<never, never>;
  readonly "HeaderMatcher": {
    /** Which of the fields is set. */
    readonly header_match_specifier?:
      | "exact_match"
      | "regex_match"
      | "range_match"
      | "present_match"
      | "prefix_match"
      | "suffix_match"
      | "safe_regex_match"
      | "contains_match"
      | "string_match";
    readonly name: string;
    readonly value: string;
    readonly regex: Messages["BoolValue"] | null;
    readonly invert_match: boolean;
    readonly treat_missing_header_as_empty: boolean;
    readonly exact_match: string | null;
    readonly regex_match: string | null;
    readonly range_match: Messages["Int64Range"] | null;
    readonly present_match: boolean | null;
    readonly prefix_match: string | null;
    readonly suffix_match: string | null;
    readonly safe_regex_match: Messages["RegexMatcher"] | null;
    readonly contains_match: string | null;
    readonly string_match: Messages["StringMatcher"] | null;
  };
  readonly "QueryParameterMatcher": {
    /** Which of the fields is set. */
    readonly query_parameter_match_specifier?: "string_match" | "present_match";
    readonly name: string;
    readonly value: string;
    readonly regex: Messages["BoolValue"] | null;
    readonly string_match: Messages["StringMatcher"] | null;
    readonly present_match: boolean | null;
  };
  readonly "CookieMatcher": {
    readonly name: string;
    readonly string_match: Messages["StringMatcher"] | null;
    readonly invert_match: boolean;
  };
  readonly "RouteAction": {
    /** Which of the fields is set. */
    readonly cluster_specifier?:
      | "cluster"
      | "cluster_header"
      | "weighted_clusters"
      | "cluster_specifier_plugin"
      | "inline_cluster_specifier_plugin";
    /** Which of the fields is set. */
    readonly host_rewrite_specifier?:
      | "host_rewrite_literal"
      | "auto_host_rewrite"
      | "host_rewrite_header"
      | "host_rewrite_path_regex"
      | "host_rewrite";
    readonly metadata_match: Messages["Metadata"] | null;
    readonly prefix_rewrite: string;
    readonly timeout: Messages["Duration"] | null;
    readonly retry_policy: Messages["RetryPolicy"] | null;
    readonly request_mirror_policy: Messages["RouteAction.RequestMirrorPolicy"] | null;
    readonly request_headers_to_add: readonly Messages["HeaderValueOption"][];
    readonly hash_policy: readonly Messages["RouteAction.HashPolicy"][];
    readonly use_websocket: Messages["BoolValue"] | null;
    readonly cors: Messages["CorsPolicy"] | null;
    readonly response_headers_to_add: readonly Messages["HeaderValueOption"][];
    readonly response_headers_to_remove: readonly string[];
    readonly cluster_not_found_response_code: number;
    readonly max_grpc_timeout: Messages["Duration"] | null;
    readonly idle_timeout: Messages["Duration"] | null;
    readonly upgrade_configs: readonly Messages["RouteAction.UpgradeConfig"][];
    readonly request_mirror_policies: readonly Messages["RouteAction.RequestMirrorPolicy"][];
    readonly regex_rewrite: Messages["RegexMatchAndSubstitute"] | null;
    readonly max_stream_duration: Messages["RouteAction.MaxStreamDuration"] | null;
    readonly path_rewrite_policy: Messages["TypedExtensionConfig"] | null;
    readonly path_rewrite: string;
    readonly cluster: string | null;
    readonly cluster_header: string | null;
    readonly weighted_clusters: Messages["WeightedCluster"] | null;
    readonly cluster_specifier_plugin: string | null;
    readonly inline_cluster_specifier_plugin: Messages["ClusterSpecifierPlugin"] | null;
    readonly host_rewrite_literal: string | null;
    readonly auto_host_rewrite: Messages["BoolValue"] | null;
    readonly host_rewrite_header: string | null;
    readonly host_rewrite_path_regex: Messages["RegexMatchAndSubstitute"] | null;
    readonly host_rewrite: string | null;
  };
  readonly "RouteAction.RequestMirrorPolicy": {
    readonly cluster: string;
    readonly runtime_key: string;
    readonly runtime_fraction: Messages["RuntimeFractionalPercent"] | null;
    readonly cluster_header: string;
    readonly disable_shadow_host_suffix_append: boolean;
  };
  readonly "RouteAction.HashPolicy": {
    /** Which of the fields is set. */
    readonly policy_specifier?:
      | "header"
      | "cookie"
      | "connection_properties"
      | "query_parameter"
      | "filter_state";
    readonly terminal: boolean;
    readonly header: Messages["RouteAction.HashPolicy.Header"] | null;
    readonly cookie: Messages["RouteAction.HashPolicy.Cookie"] | null;
    readonly connection_properties: Messages["RouteAction.HashPolicy.ConnectionProperties"] | null;
    readonly query_parameter: Messages["RouteAction.HashPolicy.QueryParameter"] | null;
    readonly filter_state: Messages["RouteAction.HashPolicy.FilterState"] | null;
  };
  readonly "RouteAction.HashPolicy.Header": {
    readonly header_name: string;
  };
  readonly "RouteAction.HashPolicy.Cookie": {
    readonly name: string;
    readonly ttl: Messages["Duration"] | null;
    readonly path: string;
    readonly attributes: readonly Messages["RouteAction.HashPolicy.CookieAttribute"][];
  };
  readonly "RouteAction.HashPolicy.CookieAttribute": {
    readonly name: string;
    readonly value: string;
  };
  readonly "RouteAction.HashPolicy.ConnectionProperties": {
    readonly source_ip: boolean;
  };
  readonly "RouteAction.HashPolicy.QueryParameter": {
    readonly name: string;
  };
  readonly "RouteAction.HashPolicy.FilterState": {
    readonly key: string;
  };
  readonly "RouteAction.MaxStreamDuration": {
    readonly max_stream_duration: Messages["Duration"] | null;
    readonly grpc_timeout_header_max: Messages["Duration"] | null;
  };
  readonly "RouteAction.UpgradeConfig": {
    readonly upgrade_type: string;
    readonly enabled: Messages["BoolValue"] | null;
  };
  readonly "WeightedCluster": {
    readonly clusters: readonly Messages["WeightedCluster.ClusterWeight"][];
    readonly total_weight: Messages["UInt32Value"] | null;
  };
  readonly "WeightedCluster.ClusterWeight": {
    /** Which of the fields is set. */
    readonly host_rewrite_specifier?: "host_rewrite_literal";
    readonly name: string;
    readonly weight: Messages["UInt32Value"] | null;
    readonly request_headers_to_add: readonly Messages["HeaderValueOption"][];
    readonly response_headers_to_add: readonly Messages["HeaderValueOption"][];
    readonly response_headers_to_remove: readonly string[];
    readonly per_filter_config: Readonly<Record<string, Messages["Struct"]>>;
    readonly request_headers_to_remove: readonly string[];
    readonly typed_per_filter_config: Readonly<Record<string, Messages["Any"]>>;
    readonly cluster_header: string;
    readonly host_rewrite_literal: string | null;
  };
  readonly "RedirectAction": {
    /** Which of the fields is set. */
    readonly path_rewrite_specifier?: "path_redirect" | "prefix_rewrite" | "regex_rewrite";
    /** Which of the fields is set. */
    readonly scheme_rewrite_specifier?: "https_redirect" | "scheme_redirect";
    readonly host_redirect: string;
    readonly response_code: number;
    readonly strip_query: boolean;
    readonly port_redirect: number;
    readonly path_redirect: string | null;
    readonly prefix_rewrite: string | null;
    readonly regex_rewrite: Messages["RegexMatchAndSubstitute"] | null;
    readonly https_redirect: boolean | null;
    readonly scheme_redirect: string | null;
  };
  readonly "DirectResponseAction": {
    readonly status: number;
    readonly body: Messages["DataSource"] | null;
  };
  readonly "RetryPolicy": {
    readonly retry_on: string;
    readonly num_retries: Messages["UInt32Value"] | null;
    readonly per_try_timeout: Messages["Duration"] | null;
    readonly retry_priority: Messages["RetryPolicy.RetryPriority"] | null;
    readonly retry_host_predicate: readonly Messages["RetryPolicy.RetryHostPredicate"][];
    readonly host_selection_retry_max_attempts: number;
    readonly retriable_status_codes: readonly number[];
    readonly retry_back_off: Messages["RetryPolicy.RetryBackOff"] | null;
    readonly retriable_headers: readonly Messages["HeaderMatcher"][];
    readonly retriable_request_headers: readonly Messages["HeaderMatcher"][];
  };
  readonly "RetryPolicy.RetryBackOff": {
    readonly base_interval: Messages["Duration"] | null;
    readonly max_interval: Messages["Duration"] | null;
  };
  readonly "RetryPolicy.RetryHostPredicate": {
    /** Which of the fields is set. */
    readonly config_type?: "config" | "typed_config";
    readonly name: string;
    readonly config: Messages["Struct"] | null;
    readonly typed_config: Messages["Any"] | null;
  };
  readonly "RetryPolicy.RetryPriority": {
    /** Which of the fields is set. */
    readonly config_type?: "config" | "typed_config";
    readonly name: string;
    readonly config: Messages["Struct"] | null;
    readonly typed_config: Messages["Any"] | null;
  };
  readonly "CorsPolicy": {
    /** Which of the fields is set. */
    readonly enabled_specifier?: "enabled" | "filter_enabled";
    readonly allow_origin: readonly string[];
    readonly allow_methods: string;
    readonly allow_headers: string;
    readonly expose_headers: string;
    readonly max_age: string;
    readonly allow_credentials: Messages["BoolValue"] | null;
    readonly allow_origin_regex: readonly string[];
    readonly allow_origin_string_match: readonly Messages["StringMatcher"][];
    readonly forward_not_matching_preflights: Messages["BoolValue"] | null;
    readonly enabled: Messages["BoolValue"] | null;
    readonly filter_enabled: Messages["RuntimeFractionalPercent"] | null;
  };
  readonly "Decorator": {
    readonly operation: string;
  };
  readonly "FilterConfig": {
    readonly config: Messages["Any"] | null;
    readonly is_optional: boolean;
    readonly disabled: boolean;
  };
  readonly "CorsFilterPolicy": {
    readonly allow_origin_string_match: readonly Messages["StringMatcher"][];
    readonly allow_methods: string;
    readonly allow_headers: string;
    readonly expose_headers: string;
    readonly max_age: string;
    readonly allow_credentials: Messages["BoolValue"] | null;
    readonly filter_enabled: Messages["RuntimeFractionalPercent"] | null;
    readonly forward_not_matching_preflights: Messages["BoolValue"] | null;
  };
  readonly "HTTPFault": {
    readonly delay: Messages["FaultDelay"] | null;
    readonly abort: Messages["FaultAbort"] | null;
    readonly upstream_cluster: string;
    readonly headers: readonly Messages["HeaderMatcher"][];
  };
  readonly "FaultAbort": {
    /** Which of the fields is set. */
    readonly error_type?: "http_status" | "header_abort" | "grpc_status";
    readonly percent: number;
    readonly percentage: Messages["FractionalPercent"] | null;
    readonly http_status: number | null;
    readonly header_abort: Messages["HeaderAbort"] | null;
    readonly grpc_status: number | null;
  };
  readonly "FaultDelay": {
    /** Which of the fields is set. */
    readonly fault_delay_secifier?: "fixed_delay" | "header_delay";
    readonly percent: number;
    readonly percentage: Messages["FractionalPercent"] | null;
    readonly fixed_delay: Messages["Duration"] | null;
    readonly header_delay: Messages["HeaderDelay"] | null;
  };
  readonly "Listener": {
    readonly name: string;
    readonly address: Messages["Address"] | null;
    readonly filter_chains: readonly Messages["FilterChain"][];
    readonly use_original_dst: Messages["BoolValue"] | null;
    readonly deprecated_v1: Messages["Listener.DeprecatedV1"] | null;
    readonly traffic_direction: number;
    readonly api_listener: Messages["ApiListener"] | null;
    readonly default_filter_chain: Messages["FilterChain"] | null;
    readonly bind_to_port: Messages["BoolValue"] | null;
    readonly filter_chain_matcher: Messages["Matcher"] | null;
    readonly additional_addresses: readonly Messages["AdditionalAddress"][];
  };
  readonly "Listener.DeprecatedV1": {
    readonly bind_to_port: Messages["BoolValue"] | null;
  };
  readonly "AdditionalAddress": {
    readonly address: Messages["Address"] | null;
  };
  readonly "ApiListener": {
    readonly api_listener: Messages["Any"] | null;
  };
  readonly "FilterChain": {
    readonly filter_chain_match: Messages["FilterChainMatch"] | null;
    readonly tls_context: Messages["DownstreamTlsContext"] | null;
    readonly filters: readonly Messages["Filter"][];
    readonly transport_socket: Messages["TransportSocket"] | null;
    readonly name: string;
  };
  readonly "FilterChainMatch": {
    readonly sni_domains: readonly string[];
    readonly prefix_ranges: readonly Messages["CidrRange"][];
    readonly address_suffix: string;
    readonly source_prefix_ranges: readonly Messages["CidrRange"][];
    readonly destination_port: Messages["UInt32Value"] | null;
    readonly transport_protocol: string;
    readonly application_protocols: readonly string[];
    readonly server_names: readonly string[];
    readonly source_type: number;
  };
  readonly "Filter": {
    /** Which of the fields is set. */
    readonly config_type?: "config" | "typed_config" | "config_discovery";
    readonly name: string;
    readonly config: Messages["Struct"] | null;
    readonly typed_config: Messages["Any"] | null;
    readonly config_discovery: Messages["ExtensionConfigSource"] | null;
  };
  readonly "HttpConnectionManager": {
    /** Which of the fields is set. */
    readonly route_specifier?: "rds" | "route_config" | "scoped_routes";
    readonly stat_prefix: string;
    readonly http_filters: readonly Messages["HttpFilter"][];
    readonly rds: Messages["Rds"] | null;
    readonly route_config: Messages["RouteConfiguration"] | null;
    readonly scoped_routes: Messages["ScopedRoutes"] | null;
  };
  readonly "Rds": {
    readonly route_config_name: string;
  };
  readonly "HttpFilter": {
    /** Which of the fields is set. */
    readonly config_type?: "config" | "typed_config" | "config_discovery";
    readonly name: string;
    readonly is_optional: boolean;
    readonly disabled: boolean;
    readonly config: Messages["Struct"] | null;
    readonly typed_config: Messages["Any"] | null;
    readonly config_discovery: Messages["ExtensionConfigSource"] | null;
  };
  readonly "TcpProxy": {
    /** Which of the fields is set. */
    readonly cluster_specifier?: "cluster" | "weighted_clusters";
    readonly stat_prefix: string;
    readonly max_connect_attempts: Messages["UInt32Value"] | null;
    readonly idle_timeout: Messages["Duration"] | null;
    readonly tunneling_config: Messages["TunnelingConfig"] | null;
    readonly max_downstream_connection_duration: Messages["Duration"] | null;
    readonly cluster: string | null;
    readonly weighted_clusters: Messages["TcpProxy.WeightedCluster"] | null;
  };
  readonly "TcpProxy.WeightedCluster": {
    readonly clusters: readonly Messages["TcpProxy.WeightedCluster.ClusterWeight"][];
  };
  readonly "TcpProxy.WeightedCluster.ClusterWeight": {
    readonly name: string;
    readonly weight: number;
  };
  readonly "ProxyProtocolUpstreamTransport": {
    readonly transport_socket: Messages["TransportSocket"] | null;
  };
  readonly "TypedStruct": {
    readonly type_url: string;
    readonly value: Messages["Struct"] | null;
  };
  readonly "RoundRobinLbPolicyConfig": {
    readonly slow_start_config: Messages["Cluster.SlowStartConfig"] | null;
  };
  readonly "LeastRequestLbPolicyConfig": {
    readonly slow_start_config: Messages["Cluster.SlowStartConfig"] | null;
  };
  readonly "RandomLbPolicyConfig": Record<never, never>;
  readonly "RingHashLbPolicyConfig": {
    readonly minimum_ring_size: Messages["UInt64Value"] | null;
    readonly maximum_ring_size: Messages["UInt64Value"] | null;
  };
  readonly "MaglevLbPolicyConfig": {
    readonly table_size: Messages["UInt64Value"] | null;
  };
  readonly "WrrLocalityLbPolicyConfig": {
    readonly endpoint_picking_policy: Messages["LoadBalancingPolicy"] | null;
  };
  readonly "ClusterSpecifierPlugin": Record<never, never>;
  readonly "ConnectMatcher": Record<never, never>;
  readonly "DownstreamTlsContext": Record<never, never>;
  readonly "ExtensionConfigSource": Record<never, never>;
  readonly "FilterAction": Record<never, never>;
  readonly "FilterStateMatcher": Record<never, never>;
  readonly "GrpcRouteMatchOptions": Record<never, never>;
  readonly "HeaderAbort": Record<never, never>;
  readonly "HeaderDelay": Record<never, never>;
  readonly "Matcher": Record<never, never>;
  readonly "NonForwardingAction": Record<never, never>;
  readonly "ScopedRoutes": Record<never, never>;
  readonly "Vhds": Record<never, never>;
  readonly "SystemRootCerts": Record<never, never>;
  readonly "TunnelingConfig": Record<never, never>;
}

/** Names of enum values. */
export interface Enums {
  "NullValue": "NULL_VALUE";
  "HeaderValueOption.HeaderAppendAction":
    | "APPEND_IF_EXISTS_OR_ADD"
    | "ADD_IF_ABSENT"
    | "OVERWRITE_IF_EXISTS_OR_ADD"
    | "OVERWRITE_IF_EXISTS";
  "FractionalPercent.DenominatorType": "HUNDRED" | "TEN_THOUSAND" | "MILLION";
  "Cluster.DiscoveryType": "STATIC" | "STRICT_DNS" | "LOGICAL_DNS" | "EDS" | "ORIGINAL_DST";
  "Cluster.LbPolicy":
    | "ROUND_ROBIN"
    | "LEAST_REQUEST"
    | "RING_HASH"
    | "RANDOM"
    | "ORIGINAL_DST_LB"
    | "MAGLEV"
    | "CLUSTER_PROVIDED"
    | "LOAD_BALANCING_POLICY_CONFIG";
  "Cluster.DnsLookupFamily": "AUTO" | "V4_ONLY" | "V6_ONLY" | "V4_PREFERRED" | "ALL";
  "Cluster.ClusterProtocolSelection": "USE_CONFIGURED_PROTOCOL" | "USE_DOWNSTREAM_PROTOCOL";
  "SubjectAltNameMatcher.SanType":
    | "SAN_TYPE_UNSPECIFIED"
    | "EMAIL"
    | "DNS"
    | "URI"
    | "IP_ADDRESS"
    | "OTHER_NAME";
  "VirtualHost.TlsRequirementType": "NONE" | "EXTERNAL_ONLY" | "ALL";
  "RouteAction.ClusterNotFoundResponseCode": "SERVICE_UNAVAILABLE" | "NOT_FOUND" | "INTERNAL_SERVER_ERROR";
  "RouteAction.InternalRedirectAction": "PASS_THROUGH_INTERNAL_REDIRECT" | "HANDLE_INTERNAL_REDIRECT";
  "RedirectAction.RedirectResponseCode":
    | "MOVED_PERMANENTLY"
    | "FOUND"
    | "SEE_OTHER"
    | "TEMPORARY_REDIRECT"
    | "PERMANENT_REDIRECT";
  "FilterChainMatch.ConnectionSourceType": "ANY" | "SAME_IP_OR_LOOPBACK" | "EXTERNAL";
  "HealthStatus": "UNKNOWN" | "HEALTHY" | "UNHEALTHY" | "DRAINING" | "TIMEOUT" | "DEGRADED";
  "RoutingPriority": "DEFAULT" | "HIGH";
  "TrafficDirection": "UNSPECIFIED" | "INBOUND" | "OUTBOUND";
}
