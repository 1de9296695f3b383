#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks any XMPP server whether it keeps RFC 6120 (and 7622, 5802, 7677, 5929, 9266, XEP-0440, XEP-0478, XEP-0199).

  tests/conformance/probe.py --host H --port P [--tls-port P] --domain D --user U --password W
                             [--user2 U --password2 W] [--ca FILE | --insecure] [--only PATTERN] [--json FILE] [--list]

Python's standard library only. Each case has its own connections, sends bytes and names what came back by one word;
the case says which words are right (pass) and which are allowed but not preferred (weak). Exit status 1 on any fail."""
import argparse
import collections
import fnmatch
import json
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import ledger  # noqa: E402
import cases_header  # noqa: E402,F401
import cases_xml  # noqa: E402,F401
import cases_sasl  # noqa: E402,F401
import cases_stanza  # noqa: E402,F401
import cases_address  # noqa: E402,F401

VERDICTS = ("pass", "weak", "fail", "skip")


def arguments(given=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5222)
    parser.add_argument("--tls-port", type=int, default=0)
    parser.add_argument("--domain", default="localhost")
    parser.add_argument("--user", default="user0")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--user2")
    parser.add_argument("--password2")
    parser.add_argument("--ca", metavar="FILE")
    parser.add_argument("--insecure", action="store_true", help="do not check the certificate")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="ids, with * and ?")
    parser.add_argument("--json", metavar="FILE", help="one object: counts and rows")
    parser.add_argument("--list", action="store_true", help="the cases, without running them")
    parser.add_argument("--verbose", action="store_true", help="passes too")
    return parser.parse_args(given)


def chosen(pattern):
    return [one for one in ledger.CASES if fnmatch.fnmatchcase(one.id, pattern)]


def target_of(given):
    accounts = [(given.user, given.password)]
    if given.user2:
        accounts.append((given.user2, given.password2 or given.password))
    return ledger.Target(given.host, given.port, given.tls_port, given.domain, accounts, given.ca, given.insecure)


def counts(rows):
    """By chapter and in all ("")."""
    table = collections.defaultdict(collections.Counter)
    for row in rows:
        table[ledger.chapter(row["section"])][row["verdict"]] += 1
        table[""][row["verdict"]] += 1
    return table


def explain(row):
    saw = row["reason"] or f"saw {row['observed']}"
    accepted = " ".join(row["accepted"] + (["(" + " ".join(row["accepted_weakly"]) + ")"] if row["accepted_weakly"] else []))
    lines = [f"{row['verdict']:5} {row['id']}  [{row['section']}, {row['level']}]", f"      {row['requirement']}",
             f"      {saw}; accepted: {accepted}"]
    lines += [f"      sent: {text[:300]}" for text in row["sent"][:3]] if row["verdict"] == "fail" else []
    return "\n".join(lines)


def main():
    given = arguments()
    cases = chosen(given.only)
    if given.list:
        for one in cases:
            print(f"{one.id:36} {one.section:22} {one.level:6} {one.requirement}")
        print(f"{len(cases)} cases")
        return 0
    target, rows, begin = target_of(given), [], time.monotonic()
    for number, one in enumerate(cases):
        row = ledger.run(one, target, number)
        rows.append(row)
        if given.verbose or row["verdict"] != "pass":
            print(explain(row), flush=True)
    seconds = time.monotonic() - begin
    table = counts(rows)
    for name in [*sorted(key for key in table if key), ""]:
        print(f"{name or 'all':14} " + "  ".join(f"{verdict} {table[name][verdict]:3}" for verdict in VERDICTS))
    print(f"{len(rows)} cases in {seconds:.1f} s")
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump({"seconds": round(seconds, 1), "counts": {key or "all": table[key] for key in table}, "rows": rows},
                      file, indent=1)
    return 1 if table[""]["fail"] else 0


if __name__ == "__main__":
    sys.exit(main())
