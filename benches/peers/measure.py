"""What a process uses, as /proc has it, and what everybody else uses meanwhile."""

import os
import time

TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count()


def cpu_seconds(pid):
    """User and system time of a process since it started, its ended threads included. Steps of 10 ms."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS  # utime and stime, fields 14 and 15 of proc(5)


def cpu_ns(pid):
    """Nanoseconds on a CPU by thread: exact, but without the threads that ended."""
    threads = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            threads[thread] = int(_read(f"/proc/{pid}/task/{thread}/schedstat").split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass  # it ended between the listing and the reading
    return threads


def cpu_ns_since(pid, before):
    """Nanoseconds on a CPU since `before` (of `cpu_ns`)."""
    return sum(ns - before.get(thread, 0) for thread, ns in cpu_ns(pid).items())


def memory_mib(pid):
    """Resident now, and the largest since the start or since `forget_peak`."""
    lines = dict(line.split(":", 1) for line in _read(f"/proc/{pid}/status").splitlines())
    return {name: int(lines[key].split()[0]) / 1024 for name, key in (("now", "VmRSS"), ("peak", "VmHWM"))}


def forget_peak(pid):
    """Lets VmHWM start again from what is resident now."""
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")


def written_bytes(pid):
    """Bytes that a process had written towards a disk."""
    return int(dict(line.split(": ") for line in _read(f"/proc/{pid}/io").splitlines())["write_bytes"])


def disk_bytes(folder, without=()):
    """Bytes that the files below `folder` take, except below folders whose name is in `without`. A file that was preallocated
    counts what is allocated, a sparse one what is not a hole."""
    total = 0
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in without]
        for name in files:
            try:
                status = os.lstat(os.path.join(path, name))
            except FileNotFoundError:
                continue  # merged away meanwhile
            total += min(status.st_size, status.st_blocks * 512)
    return total


class Others:
    """CPU that processes other than `ours` used, in cores, from now to `cores()`."""

    def __init__(self, *ours):
        self.ours = ours
        self.started = time.monotonic()
        self.before = self._foreign()

    def cores(self):
        return max(0.0, (self._foreign() - self.before) / max(time.monotonic() - self.started, 1e-3))

    def _foreign(self):
        busy = [int(n) for n in _read("/proc/stat").split("\n", 1)[0].split()[1:]]
        idle = busy[3] + busy[4]
        children = os.times()
        own = sum(cpu_seconds(pid) for pid in self.ours) + sum(children[:4])
        return (sum(busy[:8]) - idle) / TICKS - own


def wait_until_idle(pid, at_least_s, at_most_s, share=0.03):
    """Returns when the process used less than `share` of a core for three seconds in a row: it has settled. The seconds that took."""
    started, quiet, before = time.monotonic(), 0, cpu_seconds(pid)
    while (waited := time.monotonic() - started) < at_most_s and (quiet < 3 or waited < at_least_s):
        time.sleep(1)
        now = cpu_seconds(pid)
        quiet, before = (quiet + 1 if now - before <= share else 0), now
    return waited


def load_average():
    return os.getloadavg()[0]


def _read(path):
    with open(path) as file:
        return file.read()
