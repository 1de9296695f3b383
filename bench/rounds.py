# SPDX-License-Identifier: MIT
"""What comparisons share: keeping others off the cores, naming the machine, a part of docs/BENCH.md."""
import os
import pathlib
import statistics
import sys

DISTURBED = 0.10  # of the time somebody was ready and others had the CPU


def prefer(nice, pid):
    """Threads of one session share one weight against the rest where the kernel groups by session (autogroup)."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.setpriority(os.PRIO_PROCESS, int(thread), nice)
    group = pathlib.Path(f"/proc/{pid}/autogroup")
    if nice and group.exists():
        group.write_text(f"{nice}\n")


def hasten(pid, priority):
    """Whoever else wants the CPU waits. Not for who waits awake: the kernel's own work would wait as well."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(priority))


def relax(pid):
    """As before hasten()."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


def on_core(core, make, *more, **named):
    """What make starts runs on that core: affinity is inherited."""
    old = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        return make(*more, **named)
    finally:
        os.sched_setaffinity(0, old)


def spread(values):
    return {"least": min(values), "median": statistics.median(values), "most": max(values)}


def is_disturbed(result):
    """A run of sluice-load in which server or generator waited for a core that others had. Where the server's own threads share
    one (is_shared), they wait for each other."""
    server = 0 if result.get("is_shared") else result["server"]["wait_share"]
    return max(server, result["generator"]["wait_share"]) > DISTURBED


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} cores, Linux {os.uname().release}"


def write(path, name, text):
    """Replaces what stands between the marks of name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = path.read_text()
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        sys.exit(f"{name}: {path} has no marks {begin} and {end}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")
