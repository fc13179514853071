#!/usr/bin/env python3
"""Kills the node again and again, at named points and at random moments, and counts every row after each restart.

A sender keeps sending numbered batches. What was acknowledged must be there exactly once; what was not is sent again, byte for
byte, as an SDK would, and must then be there exactly once too. Needs a binary built with the feature `failpoints`.

    TELELAKE_BIN=... crash_loop.py --kills 200 --seed 1
    AWS_...=... crash_loop.py --kills 100 --nodes 2 --store s3://bucket/lake     several writers on one bucket
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
import payload
from node import HttpError, Node, NodeDied, http

POINTS = [
    "wal::after_append", "wal::after_sync", "flush::after_encode", "flush::after_upload", "commit::before_put", "commit::after_put",
    "wal::before_trim", "wal::after_trim", "compact::after_write", "compact::after_commit", "gc::after_delete", "checkpoint::after_leaf",
]
RANDOM = "random moment"
SIGNALS = {"logs": payload.logs, "traces": payload.spans, "metrics": payload.samples}
BATCH = 40
CONFIG = """
[catalog]
checkpoint_entries = 4
time_travel = "0s"
delete_grace = "0s"

[ingest.wal]
segment_bytes = 1048576
"""


class Sender(threading.Thread):
    """Sends batches until the node dies; remembers what was acknowledged and what hung in the air."""

    def __init__(self, nodes, which, ledger, seed):
        super().__init__(daemon=True)
        self.node, self.which, self.ledger, self.random, self.stopping = nodes[which], which, ledger, random.Random(seed), False

    def run(self):
        while not self.stopping:
            batch = self.ledger.next(self.random, self.which)
            _, signal, first = batch
            try:
                http("POST", self.node.url("otlp-http", f"/v1/{signal}"), SIGNALS[signal](first, BATCH), payload.PROTOBUF, timeout=30)
                self.ledger.acknowledged(batch)
            except HttpError as refused:
                if refused.status not in (429, 503):
                    raise
                self.ledger.in_the_air(batch)
            except OSError:
                self.ledger.in_the_air(batch)
                if self.node.process.poll() is not None:
                    return


class Ledger:
    """Which batches were acknowledged and which must be sent again."""

    def __init__(self):
        self.lock, self.firsts = threading.Lock(), {signal: 0 for signal in SIGNALS}
        self.acked, self.pending = {signal: 0 for signal in SIGNALS}, []

    def next(self, dice, which):
        """A batch for node `which`: one to send again, or a new one. A retry goes where the request went."""
        with self.lock:
            for at, batch in enumerate(self.pending):
                if batch[0] == which:
                    return self.pending.pop(at)
            signal = dice.choice(list(SIGNALS))
            first = self.firsts[signal]
            self.firsts[signal] += BATCH
            return which, signal, first

    def acknowledged(self, batch):
        with self.lock:
            self.acked[batch[1]] += 1

    def in_the_air(self, batch):
        with self.lock:
            self.pending.append(batch)


def settle(nodes, ledger):
    """Sends again what hung in the air, as a sender's retry does."""
    while ledger.pending:
        which, signal, first = ledger.pending[0]
        url = nodes[which].url("otlp-http", f"/v1/{signal}")
        http("POST", url, SIGNALS[signal](first, BATCH), payload.PROTOBUF)
        ledger.acked[signal] += 1
        ledger.pending.pop(0)


def found_in(node):
    """Per signal, rows and distinct rows."""
    tables = {"logs": ("body", "logs"), "traces": ("span_id", "spans"), "metrics": ("ts", "metrics where metric = 'probe_value'")}
    return {signal: node.sql(f"select count(*) as n, count(distinct {distinct}) as d from {table}")[0]
            for signal, (distinct, table) in tables.items()}


def verify(nodes, ledger):
    """Returns (lost, doubled) over the three signals, as every node sees them."""
    expected = {signal: {"n": batches * BATCH, "d": batches * BATCH} for signal, batches in ledger.acked.items()}
    if len(nodes) > 1:
        for verb in ["flush", "refresh"]:  # a node sees neither the others' unflushed rows nor, at once, their commits
            for node in nodes:
                node.admin(verb)
    lost = doubled = 0
    for node in nodes:
        found = found_in(node)
        for signal in SIGNALS:
            lost += max(0, expected[signal]["d"] - found[signal]["d"])
            doubled += found[signal]["n"] - found[signal]["d"]
        if found != expected:
            print(f"MISMATCH: acknowledged {expected}, found {found}", flush=True)
    return lost, doubled


def stir(node, dice, armed, stop_at):
    """Provokes flushes, compactions and gc until the armed node dies or the time is up."""
    while time.monotonic() < stop_at and armed.process.poll() is None:
        time.sleep(dice.uniform(0.02, 0.15))
        try:
            node.admin(dice.choice(["flush", "flush", "compact", "gc", "checkpoint"]))
        except (OSError, HttpError):
            pass


def cycle(nodes, ledger, point, dice):
    """One life: one node with the point armed; send and stir until it dies, then kill all. Returns where it died."""
    armed = dice.randrange(len(nodes))
    started = []
    for which, node in enumerate(nodes):
        node.env.pop("TELELAKE_CRASH_AT", None)
        if point != RANDOM and which == armed:
            node.env["TELELAKE_CRASH_AT"] = f"{point}:{dice.randint(1, 3)}"
        try:
            started.append((which, node.start()))
        except NodeDied:
            pass  # in its recovery
        node.env.pop("TELELAKE_CRASH_AT", None)
    senders = [Sender(nodes, which, ledger, dice.random()) for which, _ in started for _ in range(2)]
    for sender in senders:
        sender.start()
    life = dice.uniform(0.2, 0.8) if point == RANDOM else 6
    end = time.monotonic() + life
    stirrers = [threading.Thread(target=stir, args=(node, random.Random(dice.random()), nodes[armed], end)) for _, node in started]
    for stirrer in stirrers:
        stirrer.start()
    while time.monotonic() < end and nodes[armed].process.poll() is None:
        time.sleep(0.02)
    died = nodes[armed].process.poll() is not None
    for sender in senders:
        sender.stopping = True
    for node in nodes:
        node.kill()  # whatever pass it is in the middle of
    for stirrer in stirrers:
        stirrer.join()
    for sender in senders:
        sender.join(40)
    if len(started) < len(nodes):
        return f"{point} (during recovery)"
    return point if died or point == RANDOM else f"{point} (not reached)"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=26)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=1, help="writers on one store, each with a log of its own")
    parser.add_argument("--store", help="s3:// URL instead of a folder (credentials in the environment)")
    options = parser.parse_args()
    dice, ledger, died_at = random.Random(options.seed), Ledger(), {}
    folder = tempfile.mkdtemp(prefix="telelake-crash-")
    config = os.path.join(folder, "crash.toml")
    with open(config, "w") as out:
        out.write(CONFIG)
    nodes = [Node(os.path.join(folder, f"data{n}"), store=options.store, args=["--config", config]) for n in range(options.nodes)]
    lost = doubled = 0
    points = POINTS + [RANDOM, RANDOM]
    for kill in range(options.kills):
        where = cycle(nodes, ledger, points[kill % len(points)], dice)
        died_at[where] = died_at.get(where, 0) + 1
        for node in nodes:
            node.start()
        settle(nodes, ledger)
        missing, twice = verify(nodes, ledger)
        for node in nodes:
            node.kill()  # the check's own nodes die hard as well
        lost, doubled = lost + missing, doubled + twice
        if missing or twice:
            print(f"kill {kill} at {where}: {missing} lost, {twice} doubled (seed {options.seed})", flush=True)
            break
    for where, times in sorted(died_at.items()):
        print(f"{times:5} kills at {where}")
    rows = sum(ledger.acked.values()) * BATCH
    print(f"{sum(died_at.values())} kills (and as many of the checking node), {rows} rows acknowledged, {lost} lost, {doubled} doubled")
    if not lost and not doubled:
        shutil.rmtree(folder)
    else:
        print(f"kept for inspection: {folder}")
    unreached = [point for point in POINTS if not any(where in (point, f"{point} (during recovery)") for where in died_at)]
    if unreached and options.kills >= 2 * len(points):
        print(f"points never hit: {unreached}")
    return 1 if lost or doubled else 0


if __name__ == "__main__":
    sys.exit(main())
