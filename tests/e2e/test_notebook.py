"""The notebook of the examples runs from its first cell to its last against a node with generated data, and shows what it should."""

import io
import os
import pathlib
import re
import subprocess
import sys

import nbformat
import pandas
import pytest
from nbclient import NotebookClient

from node import BIN

NOTEBOOK = pathlib.Path(__file__).parent.parent.parent / "sql" / "examples" / "telemetry.ipynb"


@pytest.fixture
def ran(node, monkeypatch, tmp_path):
    """The notebook after it ran, and what was sent before."""
    subprocess.run([BIN, "generate", "--endpoint", node.url("otlp-grpc"), "--protocol", "grpc", "--count", "20000", "--rate", "0", "--instances", "2"],
                   check=True, capture_output=True)
    monkeypatch.setenv("TELELAKE_FLIGHT", f"grpc://127.0.0.1:{node.ports['flight']}")
    # A kernel of this very interpreter, whatever is installed for the user.
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    kernel.joinpath("kernel.json").write_text(
        f'{{"argv": ["{sys.executable}", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"], "display_name": "Python 3", "language": "python"}}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells), "the file in the repository has no outputs"
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": os.fspath(tmp_path)}}).execute()
    return notebook, node


def heading(cell):
    return "".join(cell.source).lstrip("# ").split("\n")[0] if cell.cell_type == "markdown" else None


def test_every_cell_shows_something(ran):
    notebook, node = ran
    shown, title = {}, None
    for cell in notebook.cells:
        title = heading(cell) or title
        if cell.cell_type == "code":
            assert not [out for out in cell.outputs if out.output_type == "error"], cell.outputs
            assert not [out for out in cell.outputs if out.get("name") == "stderr"], cell.outputs
            html = [out.data["text/html"] for out in cell.outputs if out.output_type == "execute_result"]
            assert len(html) == 1, f"{title}: a table is shown"
            shown[title] = html[0]

    def table(title):
        found = pandas.read_html(io.StringIO(shown[title]))[0]
        if found.columns.nlevels > 1:  # a pivot has the names of its columns above that of its index
            found.columns = found.columns.get_level_values(0)
        return found

    tables = table("Telemetry in a notebook")
    assert {"logs", "spans", "metrics"} <= set(tables["table_name"])
    slow = table("Spans: slow operations")
    assert len(slow) > 5 and (slow["p99_ms"] >= slow["p50_ms"]).all() and slow["p99_ms"].is_monotonic_decreasing and (slow["calls"] > 0).all()
    levels = table("Logs: how many of each level")
    assert {"info", "error"} <= {str(name).lower() for name in levels.columns} and len(levels) >= 1
    rates = table("Metrics: PromQL as a table")
    assert len(rates) >= 1 and rates.select_dtypes("number").to_numpy().max() > 0
    minutes = table("One answer from all three: what a service did in each minute")
    assert len(minutes) >= 4 and (minutes[["calls", "lines", "samples"]].dropna() > 0).all().all() and minutes["samples"].notna().any()
    assert node.sql("select count(*) n from spans where kind = 'server'")[0]["n"] == minutes["calls"].sum()
    slowest = table("Slow spans, and what was logged within their traces")
    assert len(slowest) == 50 and (slowest["ms"] > 5).all() and slowest["ms"].is_monotonic_decreasing
    polars = re.search(r"shape: \((\d+), 3\)", shown["In Polars, which takes Arrow as it is"])
    assert polars and int(polars[1]) > 3
