"""`telelake generate` says exactly what it sent; SQL finds exactly that, at every stage of a row's life."""

import json
import subprocess

import pytest

from node import BIN
from test_delivery import STAGES, reach


def generate(node, protocol, *more):
    endpoint = node.url("otlp-grpc" if protocol == "grpc" else "otlp-http")
    command = [BIN, "generate", "--endpoint", endpoint, "--protocol", protocol, "--count", "3000", "--rate", "0", "--format", "json"]
    done = subprocess.run([*command, *more], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_counts_are_what_was_sent(make_node, protocol):
    node = make_node().start()
    sent = generate(node, protocol, "--seed", "3", "--gzip")
    assert sent["rejected"] == 0
    samples = sent["gauge_points"] + sent["sum_points"] + sent["histogram_buckets"] + 2 * sent["histogram_points"]
    for stage in STAGES:
        reach(node, stage)
        assert node.count("logs") == sent["log_records"], stage
        assert node.count("spans") == sent["spans"], stage
        assert node.count("span_events") == sent["span_events"], stage
        assert node.sql("select count(distinct trace_id) as n from spans")[0]["n"] == sent["traces"], stage
        assert node.count("metrics where metric <> 'target_info' and metric not like 'traces_%'") == samples, stage
        assert node.count("histograms") == sent["exponential_histogram_points"], stage
        assert node.count("exemplars where metric not like 'traces_%'") == sent["exemplars"], stage
