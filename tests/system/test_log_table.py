# SPDX-License-Identifier: MIT
"""docs/ADMIN.md, "The log": its table has each event that the source writes, with its levels, and no other."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("core", "io", "tls", "router", "tools")
CALL = re.compile(r"\blog_event\(\s*((?:[^,()]|\([^()]*\))*),\s*([^,]*),")
# Where an event's name is no literal of the call: where the names stand in that file.
ELSEWHERE = {
    ("router/admin/command_account.c", "events[change]"): r'\[ACCOUNT_\w+\] = "(account\.\w+)"',
    ("router/stream/crowd.c", "event"): r'\btell\(stream, "([\w.]+)"',
}


def names_of(path, text, argument):
    if argument.startswith('"'):
        return [argument.strip('"')]
    return re.findall(ELSEWHERE.get((path, argument), r"(?!)"), text)


def events_of_source():
    """Of each event the levels; and the calls that nobody can tell the event of."""
    events, unclear = {}, []
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.[ch]")):
            path, text = str(file.relative_to(ROOT)), file.read_text()
            if path in ("core/base/log.h", "core/base/log.c"):
                continue
            calls = CALL.findall(text)
            if len(calls) != len(re.findall(r"\blog_event\(", text)):
                unclear.append(f"{path}: a call of log_event() that is not understood")
            for level, argument in calls:
                names = names_of(path, text, argument.strip())
                if not names or not re.search(r"LOG_[A-Z]+", level):
                    unclear.append(f"{path}: log_event({level}, {argument})")
                for name in names:
                    events.setdefault(name, set()).update(word.lower() for word in re.findall(r"LOG_([A-Z]+)", level))
    return events, unclear


def rows_of_manual():
    """(event, levels) of each row, in order."""
    section = re.search(r"^## The log\n(.*?)(?=^## |\Z)", (ROOT / "docs/ADMIN.md").read_text(), re.M | re.S)[1]
    return [(event, set(levels.split(", "))) for event, levels in re.findall(r"^\| `([\w.]+)` \| ([a-z, ]+) \|", section, re.M)]


class Table(unittest.TestCase):
    def test_source__each_call__names_its_event(self):
        events, unclear = events_of_source()
        self.assertEqual(unclear, [])
        self.assertGreater(len(events), 50)

    def test_table__events_and_levels__those_of_the_source(self):
        self.assertEqual(dict(rows_of_manual()), events_of_source()[0])

    def test_table__rows__in_order_and_once(self):
        events = [event for event, _ in rows_of_manual()]
        self.assertEqual(events, sorted(set(events)))


if __name__ == "__main__":
    unittest.main()
