# SPDX-License-Identifier: MIT
"""The tap of every run of pytest below tests/: all that clients hear from the router is kept, and validated at the end.
A stream that is refused fails the run, whatever the tests said."""
import os
import pathlib
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "schema"))
import tap  # noqa: E402
import validate  # noqa: E402


def pytest_configure(config):
    config.tap_is_kept = "SL_TAP" in os.environ
    if not config.tap_is_kept:
        os.environ["SL_TAP"] = tempfile.mkdtemp(prefix="sluice-tap-")
    config.tap_folder = pathlib.Path(os.environ["SL_TAP"])
    config.tap_lines, config.tap_failures = [], []


def failure(config, fault, names):
    """FAILED and the test first, as pytest says it."""
    path, _, text = fault.partition(": ")
    name = pathlib.Path(path).name
    test, _, _ = names.get(name, "").rpartition(" (")  # behind it: (setup), (call), (teardown)
    return f"FAILED {config.cwd_relative_nodeid(test) if test else name} - tap: {path}: {text}"


def pytest_sessionfinish(session, exitstatus):
    config, begin = session.config, time.monotonic()
    suites = validate.check_suites([config.tap_folder])
    names = tap.names(config.tap_folder)
    total = validate.Report()
    for suite, report in sorted(suites.items()):
        config.tap_failures += [failure(config, fault, names) for fault in report.faults]
        config.tap_lines.append(f"tap: {suite}: {report}")
        total.add(report)
    config.tap_lines.append(f"tap: {total}, {time.monotonic() - begin:.1f} s")
    if tap.opened and not total.streams:
        config.tap_failures.append(f"FAILED tap - {sum(tap.opened.values())} connections, and no stream was seen")
    if config.tap_failures:
        session.exitstatus = exitstatus or 1


def pytest_terminal_summary(terminalreporter, config):
    for line in config.tap_lines + config.tap_failures:
        terminalreporter.write_line(line)
    if config.tap_failures:
        terminalreporter.write_line(f"tap: what was heard is in {config.tap_folder}")


def pytest_unconfigure(config):
    if not config.tap_is_kept and not config.tap_failures:
        shutil.rmtree(config.tap_folder, ignore_errors=True)
