"""The questions: dashboards (D), request rates and latencies (R), alerts (A), costs (C), the pipeline's own alerts (P), many series
(S), the rest of the language (X), metadata (M).

A question is asked three seconds after the last scrape (`@`), and over ranges that end there, written `RANGE/STEP`. No window begins or
ends on a sample: Prometheus 2 counts a sample where a window begins, Prometheus 3 does not, and neither is wrong.
"""

import dataclasses

_M = 60
_H = 60 * _M


@dataclasses.dataclass(frozen=True)
class Question:
    """One question over one range."""

    name: str
    path: str
    parameters: tuple
    # Which rows are chosen among equals is nobody's promise: only the values are compared.
    ties: bool = False

    def query_string(self):
        from systems import encode

        return encode(self.parameters)


RATE = "sum by (service) (rate(http_requests_total[5m]))"
ERRORS = 'sum by (service) (rate(http_requests_total{status=~"5.."}[5m]))'


def quantile(q):
    return f"histogram_quantile({q}, sum by (le, service) (rate(http_request_duration_seconds_bucket[5m])))"


# Name, PromQL, ranges of the small corpus, more ranges of the large one.
PROMQL = [
    ("D1 count up by cloud", 'count(up{cloud_provider!=""}) by (cloud_provider)', "@", "1h/15s 10h/60s"),
    (
        "D2 cpu by cloud, irate",
        'avg by (cloud_provider) (100 - (avg by (instance, cloud_provider) (irate(node_cpu_seconds_total{mode="idle"}[5m])) * 100))',
        "@",
        "1h/15s 10h/60s",
    ),
    ("D3 net by cloud", "sum by (cloud_provider) (rate(node_network_transmit_bytes_total[5m]))", "@ 30m/15s", "1h/15s 10h/60s"),
    ("D4 cost increase 24h", "sum by (cloud_provider) (increase(cloud_cost_usd_total[24h]))", "@", ""),
    ("R1 request rate", RATE, "@ 30m/15s", "1h/15s 10h/60s"),
    ("R2 error ratio", f"{ERRORS} / {RATE}", "@", "1h/15s 10h/60s"),
    ("R3 p50", quantile("0.50"), "", "1h/15s"),
    ("R4 p95", quantile("0.95"), "", "1h/15s"),
    ("R5 p99", quantile("0.99"), "@ 30m/15s", "1h/15s 10h/60s"),
    ("R6 request rate by job", "sum by (job) (rate(http_requests_total[5m]))", "@", "1h/60s"),
    ("R7 p99 by job", "histogram_quantile(0.99, sum by (job, le) (rate(http_request_duration_seconds_bucket[5m])))", "@", "1h/60s"),
    (
        "A1 high cpu",
        '100 - (avg by (instance, cloud_provider) (irate(node_cpu_seconds_total{mode="idle"}[5m])) * 100) > 80',
        "@",
        "",
    ),
    ("A2 high memory", "(1 - (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)) * 100 > 90", "@", ""),
    (
        "A3 disk space",
        '(node_filesystem_avail_bytes{mountpoint="/"} / node_filesystem_size_bytes{mountpoint="/"}) * 100 < 10',
        "@",
        "",
    ),
    (
        "A4 error rate",
        '(sum(rate(http_requests_total{status=~"5.."}[5m])) by (service, cloud_provider)'
        " / sum(rate(http_requests_total[5m])) by (service, cloud_provider)) > 0.05",
        "@",
        "",
    ),
    (
        "A5 slow responses",
        "histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket[5m])) by (le, service)) > 1",
        "@",
        "",
    ),
    ("A6 llm tokens", "sum(rate(llm_tokens_total[5m])) by (model, service) > 1000", "@", ""),
    ("A7 llm cost", "sum(rate(llm_cost_usd_total[1h])) > 0.1", "@", ""),
    (
        "C1 cost of three clouds",
        "sum by (cloud_provider) (aws_cost_usd_total or azure_cost_usd_total or gcp_cost_usd_total)",
        "@",
        "1h/60s",
    ),
    ("P1 collector up", 'up{job="otel-collector"} == 1', "@", ""),
    ("P2 collector memory", "otelcol_process_memory_rss / 1024 / 1024 > 160", "@", ""),
    ("P3 collector queue", "otelcol_exporter_queue_size > 500", "@", ""),
    ("P4 spans dropped", "rate(otelcol_processor_dropped_spans[5m]) > 0", "@", ""),
    ("P5 spans not sent", "rate(otelcol_exporter_send_failed_spans[5m]) > 0", "@", ""),
    ("P6 memory of prometheus", 'process_resident_memory_bytes{job="prometheus"} / 1024 / 1024 / 1024 > 0.1', "@", ""),
    ("P7 loki refuses", "rate(loki_distributor_ingester_append_failures_total[5m]) > 0", "@", ""),
    ("P8 jaeger's store", "jaeger_badger_lsm_size_bytes / 1024 / 1024 / 1024 > 1", "@", ""),
    (
        "P9 disk used",
        "(node_filesystem_size_bytes - node_filesystem_free_bytes) / node_filesystem_size_bytes > 0.5",
        "@",
        "1h/60s",
    ),
    ("P10 kafka lag", "kafka_consumer_group_lag > 1000", "@", ""),
    ("P11 live traces", "tempo_ingester_live_traces == 0 or tempo_ingester_live_traces", "@", ""),
    ("P12 head series", "prometheus_tsdb_head_series > 100000", "@", ""),
    ("P13 growth of blocks", "rate(prometheus_tsdb_storage_blocks_bytes[24h]) * 86400 / 1e9", "@", ""),
    ("P14 spans accepted", "sum(rate(otelcol_receiver_accepted_spans[5m]))", "@", "1h/60s"),
    ("P15 span metrics", 'traces_spanmetrics_latency_bucket{service_name="api", http_method="GET", le="0.5"}', "@", ""),
    ("P16 service graph", 'traces_service_graph_request_total{client="frontend"}', "@", ""),
    ("P17 query durations", "prometheus_engine_query_duration_seconds", "@", ""),
    ("P18 up by job", "count by (job) (up)", "@", ""),
    ("S1 one series raw", 'node_load1{instance="node-007:9100"}', "@", "1h/15s 10h/15s"),
    ("S96 rate of 96 series", 'rate(node_cpu_seconds_total{instance=~"node-00[0-2]:9100"}[5m])', "@ 30m/15s", "1h/15s 10h/60s"),
    ("S10k count of all series", 'count({__name__=~".+"})', "@ 30m/15s", "1h/60s 10h/5m"),
    ("S10k last of all series", 'count by (__name__) (last_over_time({__name__=~".+"}[5m]))', "@", "1h/5m 10h/5m"),
    ("S10k largest metrics", 'topk(10, count by (__name__) ({__name__=~".+"}))', "@", ""),
    ("X1 topk", "topk(10, sum by (service, route) (rate(http_requests_total[5m])))", "@", "1h/60s"),
    ("X2 quantile_over_time", "quantile_over_time(0.9, node_load1[10m])", "@", "1h/60s"),
    ("X3 subquery", "max_over_time(sum by (service) (rate(http_requests_total[1m]))[10m:1m])", "@", ""),
    (
        "X4 group_left join",
        'rate(node_cpu_seconds_total{mode=~"idle|user"}[5m]) * on (instance) group_left (nodename) node_uname_info',
        "@ 30m/15s",
        "1h/60s",
    ),
]

# Only every series at once: what many active series cost.
CARDINALITY = ["D1", "D2", "D3", "S1", "S96", "S10k count", "S10k largest", "M1", "M2"]


def questions(about, size, only=()):
    """All questions of a corpus, or those whose name begins with one of `only`."""
    end_s = about["last_ms"] / 1000 + 3
    asked = []
    if size.startswith("c"):
        only = only or CARDINALITY
    for name, promql, small, large in PROMQL:
        ranges = small.split() + (large.split() if size == "m" else [])
        if size.startswith("c"):
            ranges = [r for r in ranges if r == "@"]
        ties = name == "S10k largest metrics"
        for shape in ranges:
            if shape == "@":
                asked.append(Question(f"{name} @", "/api/v1/query", (("query", promql), ("time", f"{end_s:.3f}")), ties))
            else:
                span, step = (seconds(text) for text in shape.split("/"))
                times = (("start", f"{end_s - span:.3f}"), ("end", f"{end_s:.3f}"), ("step", str(step)))
                asked.append(Question(f"{name} {shape}", "/api/v1/query_range", (("query", promql), *times), ties))
    window = (("start", f"{about['first_ms'] / 1000:.3f}"), ("end", f"{end_s:.3f}"))
    asked.append(Question("M1 label values", "/api/v1/label/instance/values", window))
    asked.append(Question("M2 series of up", "/api/v1/series", (("match[]", "up"), *window)))
    return [question for question in asked if not only or any(question.name.startswith(prefix) for prefix in only)]


def seconds(text):
    return int(text[:-1]) * {"s": 1, "m": _M, "h": _H}[text[-1]]
