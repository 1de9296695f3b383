# SPDX-License-Identifier: MIT
"""The certificate matrix (tests/chains) on the wire: each chain is shown to a running router by another server, which
opens a stream to it, and to which it opens one because a client has something to say there. What has to become of each
is derived from matrix.txt; docs/CERTIFICATES.md has the same of other servers."""
import concurrent.futures
import re
import shutil
import ssl
import subprocess
import sys

import pytest

import bed as bed_module
import throwaway
import wire
from envoy import Envoy, local_domain

sys.path.insert(0, str(bed_module.ROOT / "tests" / "chains"))
import verdicts  # noqa: E402

SUFFIX = "sluice.example"
AT_ONCE = 8
POLICIES = ("pkix", "pkix-or-dialback")
# What the sender of a stanza is told (RFC 6120 s10.4.3), unless it arrived.
ANSWERS = {"closed": "remote-server-timeout", "tls": "remote-server-timeout", "silence": "jid-malformed"}
ROWS = verdicts.rows()
DOMAINS = sorted({row.domain for row in ROWS if row.is_domain})


def make_chains(folder):
    subprocess.run(["/usr/bin/python3", "-B", str(bed_module.ROOT / "tests" / "chains" / "generate.py"), str(folder)],
                   check=True, timeout=60)
    return folder


def certify(folder, names):
    """One certificate, of all names."""
    folder.mkdir()
    throwaway.make_ca(folder)
    throwaway.make_certificate(folder, f"*.{SUFFIX}")
    for name in names:
        for end in ("pem", "key"):
            shutil.copy(folder / f"*.{SUFFIX}.{end}", folder / f"{name}.{end}")


class Matrix:
    def __init__(self, folder):
        self.chains = make_chains(folder / "made" / "chains")
        self.envoy = Envoy(self.chains, [row.name for row in ROWS], SUFFIX)
        domains = [local_domain(row.name, SUFFIX) for row in ROWS]
        certify(folder / "bed", domains)
        shutil.copytree(folder / "bed", folder / "authority")
        routes = ",".join(f"{name}=127.0.0.1:{self.envoy.port}" for name in DOMAINS)
        self.s2s = throwaway.free_port()
        self.bed = bed_module.Bed(folder / "bed", domains=domains, users=1, s2s_port=self.s2s, plaintext=True,
                                  authority=folder / "authority",
                                  settings=[f"s2s.ca={self.chains}/roots.pem", f"s2s.routes={routes}"])
        self.clients = {}

    def set_policy(self, policy):
        """By a reload; and what is known of other servers is forgotten."""
        self.envoy.has_dialback = policy != "pkix"
        path = self.bed.folder / "sluice.conf"
        kept = [line for line in path.read_text().splitlines() if not line.startswith("s2s.policy")]
        path.write_text("\n".join([*kept, f"s2s.policy = {policy};", ""]))
        self.bed.ask("reload")
        for domain in DOMAINS:
            self.bed.ask(f"s2s close {domain}")

    def stop(self):
        self.bed.settle()
        self.bed.stop()
        self.envoy.close()

    def refusals(self):
        """What the log says was wrong with servers that were dialled; it keeps no more than some lines a second."""
        lines = (re.search(r' s2s.refused from="([^"]*)".* certificate="([^"]*)"', line) for line in self.bed.log())
        return dict(match.groups() for match in lines if match)

    # ---- a chain, in one role ----

    def call(self, index, row):
        version = ssl.TLSVersion.TLSv1_2 if index % 4 == 3 else ssl.TLSVersion.TLSv1_3
        return self.envoy.call(row.name, row.domain, self.s2s, version)

    def client(self, row):
        if row.name not in self.clients:
            self.clients[row.name] = self.bed.login("user0", secure=False, domain=local_domain(row.name, SUFFIX))
        return self.clients[row.name]

    def dial(self, _, row):
        """What the other server saw, and what the sender is told: None when the stanza arrived."""
        client = self.client(row)
        client.message(f"juliet@{row.domain}/balcony", "but soft")
        word = self.envoy.word_for(row.name) if row.is_domain else "silence"
        if word in ("external", "dialback"):
            return word, None
        return word, wire.condition(client.stanza())


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    made = Matrix(tmp_path_factory.mktemp("matrix"))
    yield made
    made.stop()


def of_all(judge):
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(zip(ROWS, pool.map(judge, range(len(ROWS)), ROWS)))


def check_counters(bed, before, words):
    """Each refusal is counted, as what it was."""
    wanted = {name: words.count(word) for name, word in (("s2s_failed_certificate", "certificate"), ("s2s_failed_tls", "tls"))}

    def grown():
        after = bed.stats()
        return {name: after[name] - before[name] for name in wanted}
    assert bed_module.wait_until(lambda: grown() == wanted), (grown(), wanted)


@pytest.mark.parametrize("policy", POLICIES)
def test_chain__of_who_opens__has_its_outcome(matrix, policy):
    matrix.set_policy(policy)
    before = matrix.bed.stats()
    found = of_all(matrix.call)
    wrong = [(row.name, word) for row, (word, _) in found if word not in row.outcomes("client", policy)]
    assert not wrong
    untold = [(row.name, text) for row, (word, text) in found
              if word == "not-authorized" and text != f"certificate: {row.fault('client')}"]
    assert not untold
    words = ["certificate" if word == "not-authorized" else word for _, (word, _) in found]
    check_counters(matrix.bed, before, words)
    assert words.count("external") > 60 and len(words) > 140
    matrix.bed.settle()


@pytest.mark.parametrize("policy", POLICIES)
def test_chain__of_who_is_dialled__has_its_outcome(matrix, policy):
    matrix.set_policy(policy)
    before = matrix.bed.stats()
    found = of_all(matrix.dial)
    wrong = [(row.name, word) for row, (word, _) in found if word not in row.outcomes("server", policy)]
    assert not wrong
    told = [(row.name, error) for row, (word, error) in found if error != ANSWERS.get(word)]
    assert not told
    words = ["certificate" if word == "closed" else word for _, (word, _) in found]
    check_counters(matrix.bed, before, words)
    if policy == "pkix":
        known = {local_domain(row.name, SUFFIX): row.fault("server") for row, (word, _) in found if word == "closed"}
        logged = matrix.refusals()
        assert logged and logged.items() <= known.items()
    assert words.count("external") > 60
    matrix.clients.clear()
    matrix.bed.settle()


def test_chain__presented_by_hand__is_taken_like_any(matrix):
    """What no library presents is presented by bare_tls.py: that has to be TLS, or its chains are refused for nothing."""
    matrix.set_policy("pkix")
    matrix.envoy.by_hand = ("good", "chain_of_10", "cn_only")
    for row in ROWS:
        if row.name in matrix.envoy.by_hand:
            assert {matrix.call(0, row)[0]} == row.outcomes("client", "pkix")
            assert {matrix.dial(0, row)[0]} == row.outcomes("server", "pkix")
    matrix.envoy.by_hand = ()
    matrix.clients.clear()
    matrix.bed.settle()


def test_page__of_the_field__says_of_sluice_what_is_so():
    """docs/CERTIFICATES.md is remade by hand: it may lack a new chain, but says nothing of Sluice that is not so."""
    assert set(verdicts.demands()) == {row.name for row in verdicts.rows()}
    text = (bed_module.ROOT / "docs" / "CERTIFICATES.md").read_text(encoding="utf-8").partition("## Sluice against")[0]
    said = dict(re.findall(r"^\| `(\w+)` \|(?:[^|]*\|){3} ([^|]*) \|", text, re.M))
    known = {row.name: row for row in ROWS if row.is_domain and row.is_name()}
    assert len(said) > 140
    for name, cell in said.items():
        if name in known:
            expected = " ".join("yes" if known[name].is_accepted(role) else "no" for role in verdicts.ROLES)
            assert cell.replace("*", "") == expected, name
