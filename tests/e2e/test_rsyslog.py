"""Debian's rsyslog, unchanged, follows a file into the bulk API, also while nobody is there to take it."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from conftest import free_port
from node import Node

LINES = 4_000
CONFIG = """
global(workDirectory="{folder}")
module(load="{modules}/imfile.so")
module(load="{modules}/omelasticsearch.so")
input(type="imfile" File="{folder}/app.log" Tag="app:" Severity="warning" Facility="local3")
template(name="document" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="severity" name="syslogseverity-text" format="jsonf")
  property(outname="service.name" name="programname" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}}
action(type="omelasticsearch" server="127.0.0.1" serverport="{port}" template="document" searchIndex="syslog" bulkmode="on"
       action.resumeRetryCount="-1" action.resumeInterval="1" queue.type="linkedlist" queue.dequeuebatchsize="500"
       queue.timeoutshutdown="5000" errorfile="{folder}/refused")
"""


@pytest.fixture
def rsyslog(tmp_path):
    """Starts the daemon of a folder and a port."""
    root = os.environ.get("TELELAKE_RSYSLOG_DIR")
    if not root:
        pytest.fail("no rsyslog: set TELELAKE_RSYSLOG_DIR to the folder `usr` of the unpacked packages (tests/run unpacks them)")
    libraries = pathlib.Path(root).absolute() / "lib" / f"{os.uname().machine}-linux-gnu"
    started = []

    def start(port):
        (tmp_path / "config").write_text(CONFIG.format(folder=tmp_path, modules=libraries / "rsyslog", port=port))
        command = [f"{root}/sbin/rsyslogd", "-n", "-f", tmp_path / "config", "-i", tmp_path / "pid", "-M", libraries / "rsyslog"]
        started.append(subprocess.Popen(command, env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
                                        stdout=open(tmp_path / "out", "wb"), stderr=subprocess.STDOUT))

    yield start
    for daemon in started:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)


def missing(node):
    """Numbers of the lines that did not arrive."""
    return sorted(set(range(LINES)) - {int(row["body"].split()[1]) for row in node.sql("select body from logs")})


def test_lines_of_a_file_arrive_once(tmp_path, rsyslog):
    port = free_port()
    with Node(tmp_path / "node", args=["--elastic-addr", f"127.0.0.1:{port}"]) as node:
        followed = tmp_path / "app.log"
        followed.touch()
        rsyslog(port)
        with open(followed, "a") as lines:
            for n in range(LINES):
                lines.write(f"order {n} \"shipped\" \u00fc\n")
                if n == LINES // 2:
                    lines.flush()
                    node.kill()
                    node.restart()
        deadline = time.monotonic() + 20
        while (lost := missing(node)) and time.monotonic() < deadline:
            time.sleep(0.1)
        # This rsyslog forgets the first line of the batch with which it finds that nobody listens, one in thirty times; whoever answers it.
        assert len(lost) <= 1, (lost, (tmp_path / "out").read_text())
        # A batch whose answer was cut off is sent again, and known by its bytes.
        found = node.sql("select count(*) as n, count(distinct body) as bodies, min(service) as service, min(level) as level, "
                         "min(labels['index']) as index from logs")
        arrived = LINES - len(lost)
        assert found == [{"n": arrived, "bodies": arrived, "service": "app", "level": "warn", "index": "syslog"}]
        assert node.count("logs where body like 'order 7 \"shipped\" \u00fc'") == 1
        assert not (tmp_path / "refused").exists()
