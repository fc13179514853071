"""`tempopb.StreamingQuerier` for Python: messages described field by field, methods without a generated stub."""

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.common.v1 import common_pb2  # noqa: F401, puts its messages into the default pool

F = descriptor_pb2.FieldDescriptorProto
TYPES = {"string": F.TYPE_STRING, "u32": F.TYPE_UINT32, "u64": F.TYPE_UINT64, "i64": F.TYPE_INT64, "double": F.TYPE_DOUBLE}

# name: [(field, number, type, many)]
MESSAGES = {
    "SearchRequest": [("min_duration_ms", 2, "u32", 0), ("max_duration_ms", 3, "u32", 0), ("limit", 4, "u32", 0), ("start", 5, "u32", 0),
                      ("end", 6, "u32", 0), ("query", 8, "string", 0), ("spans_per_span_set", 9, "u32", 0)],
    "Span": [("span_id", 1, "string", 0), ("name", 2, "string", 0), ("start_time_unix_nano", 3, "u64", 0), ("duration_nanos", 4, "u64", 0),
             ("attributes", 5, ".opentelemetry.proto.common.v1.KeyValue", 1)],
    "SpanSet": [("spans", 1, "Span", 1), ("matched", 2, "u32", 0), ("attributes", 3, ".opentelemetry.proto.common.v1.KeyValue", 1)],
    "Trace": [("trace_id", 1, "string", 0), ("root_service_name", 2, "string", 0), ("root_trace_name", 3, "string", 0),
              ("start_time_unix_nano", 4, "u64", 0), ("duration_ms", 5, "u32", 0), ("span_sets", 7, "SpanSet", 1)],
    "SearchMetrics": [("inspected_traces", 1, "u32", 0), ("inspected_bytes", 2, "u64", 0), ("total_blocks", 3, "u32", 0),
                      ("completed_jobs", 4, "u32", 0), ("total_jobs", 5, "u32", 0)],
    "SearchResponse": [("traces", 1, "Trace", 1), ("metrics", 2, "SearchMetrics", 0)],
    "SearchTagsRequest": [("scope", 1, "string", 0), ("query", 2, "string", 0), ("start", 3, "u32", 0), ("end", 4, "u32", 0)],
    "SearchTagsResponse": [("tag_names", 1, "string", 1)],
    "Scope": [("name", 1, "string", 0), ("tags", 2, "string", 1)],
    "SearchTagsV2Response": [("scopes", 1, "Scope", 1)],
    "SearchTagValuesRequest": [("tag_name", 1, "string", 0), ("query", 2, "string", 0), ("start", 4, "u32", 0), ("end", 5, "u32", 0)],
    "SearchTagValuesResponse": [("tag_values", 1, "string", 1)],
    "TagValue": [("type", 1, "string", 0), ("value", 2, "string", 0)],
    "SearchTagValuesV2Response": [("tag_values", 1, "TagValue", 1)],
    "QueryRangeRequest": [("query", 1, "string", 0), ("start", 2, "u64", 0), ("end", 3, "u64", 0), ("step", 4, "u64", 0)],
    "Sample": [("value", 1, "double", 0), ("timestamp_ms", 2, "i64", 0)],
    "TimeSeries": [("labels", 1, ".opentelemetry.proto.common.v1.KeyValue", 1), ("samples", 2, "Sample", 1)],
    "QueryRangeResponse": [("series", 1, "TimeSeries", 1), ("metrics", 2, "SearchMetrics", 0)],
    "QueryInstantRequest": [("query", 1, "string", 0), ("start", 2, "u64", 0), ("end", 3, "u64", 0)],
    "InstantSeries": [("labels", 1, ".opentelemetry.proto.common.v1.KeyValue", 1), ("value", 2, "double", 0)],
    "QueryInstantResponse": [("series", 1, "InstantSeries", 1)],
}
METHODS = {
    "Search": ("SearchRequest", "SearchResponse"), "SearchTags": ("SearchTagsRequest", "SearchTagsResponse"),
    "SearchTagsV2": ("SearchTagsRequest", "SearchTagsV2Response"),
    "SearchTagValues": ("SearchTagValuesRequest", "SearchTagValuesResponse"),
    "SearchTagValuesV2": ("SearchTagValuesRequest", "SearchTagValuesV2Response"),
    "MetricsQueryRange": ("QueryRangeRequest", "QueryRangeResponse"),
    "MetricsQueryInstant": ("QueryInstantRequest", "QueryInstantResponse"),
}


def _classes():
    file = descriptor_pb2.FileDescriptorProto(name="e2e/tempo.proto", package="tempopb", syntax="proto3",
                                              dependency=["opentelemetry/proto/common/v1/common.proto"])
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, many in fields:
            label = F.LABEL_REPEATED if many else F.LABEL_OPTIONAL
            if kind in TYPES:
                message.field.add(name=field, number=number, type=TYPES[kind], label=label)
            else:
                message.field.add(name=field, number=number, type=F.TYPE_MESSAGE, label=label,
                                  type_name=kind if kind.startswith(".") else f".tempopb.{kind}")
    pool = descriptor_pool.Default()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tempopb.{name}")) for name in MESSAGES}


CLASSES = _classes()


def stream(address, method, metadata=(), **fields):
    """The messages that a method answers with, as they come."""
    request, response = (CLASSES[name] for name in METHODS[method])
    with grpc.insecure_channel(address) as channel:
        answer = channel.unary_stream(f"/tempopb.StreamingQuerier/{method}", request_serializer=request.SerializeToString,
                                      response_deserializer=response.FromString)
        yield from answer(request(**fields), timeout=60, metadata=metadata)


def call(address, method, metadata=(), **fields):
    """The messages that a method answers with."""
    return list(stream(address, method, metadata, **fields))
