# SPDX-License-Identifier: MIT
"""Every case of the probe passes on this router ($SLUICED, else build/release). What does not is listed here with the
outcome that was weighed and the reason; any other outcome that is no pass fails the test."""
import pathlib
import json
import sys

import pytest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tools")]
import probe  # noqa: E402
import ledger  # noqa: E402
import speaker  # noqa: E402
import tap  # noqa: E402
import throwaway  # noqa: E402

speaker.Wire.connected = staticmethod(lambda port: tap.Connection(port, "probe").heard)

# By id: (verdict, what is seen, reason).
EXCEPTIONS = {
    "content.prefix": ("weak", "delivered", "s4.8.5: corrected before it is delivered; tests/data/xmpp-stream-cases.jsonl wants "
                       "it accepted"),
    "binding.y-without": ("skip", None, "channel binding is supported"),
    "binding.exporter": ("skip", None, "Python has no exporter; tests/integration/exporter.py covers it"),
}


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    made = throwaway.start(folder)
    accounts = [("user0", "secret"), ("user1", "secret")]
    yield ledger.Target("127.0.0.1", made["c2s"], made["tls"], "localhost", accounts, str(folder / "ca.pem"))
    with throwaway.Stats(made["stats"]) as stats:
        accepted = next(row["total"] for row in json.loads("".join(stats.ask("json show stats")))
                        if row["name"] == "connections_accepted")
    # One more looked whether it listens.
    assert accepted <= tap.opened[made["c2s"]] + tap.opened[made["tls"]] + 1, "connections past the tap"
    throwaway.stop(folder)  # raises on a failed check or a sanitizer's report in the log


@pytest.mark.parametrize("number", range(len(ledger.CASES)), ids=[one.id for one in ledger.CASES])
def test_case(target, number):
    row = ledger.run(ledger.CASES[number], target, number)
    if row["id"] in EXCEPTIONS:
        verdict, seen, _ = EXCEPTIONS[row["id"]]
        assert row["verdict"] == "pass" or (row["verdict"], row["observed"]) == (verdict, seen), "\n" + probe.explain(row)
    else:
        assert row["verdict"] == "pass", "\n" + probe.explain(row)


def test_exceptions_are_cases():
    assert set(EXCEPTIONS) <= {one.id for one in ledger.CASES}
