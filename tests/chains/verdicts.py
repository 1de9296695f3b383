# SPDX-License-Identifier: MIT
"""The rows of matrix.txt and of demands.txt, and what a router that keeps to them does on the wire."""
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
ROLES = ("server", "client")  # of the one who presents the chain
FAULTS = {  # verdicts of matrix.txt in the words of the router (tls/credential.c)
    "valid": "not of this domain", "self-signed": "self-signed", "unknown-issuer": "unknown issuer",
    "bad-signature": "bad signature", "algorithm": "weak or unknown algorithm", "expired": "expired",
    "not-yet-valid": "not yet valid", "not-an-authority": "issuer is no authority", "is-authority": "leaf is an authority",
    "usage": "wrong usage", "path-length": "path too long for its authority",
    "name-constraints": "name outside of its authority's constraints", "critical": "unknown critical extension",
    "malformed": "malformed"}


class Row:
    """One chain. verdicts and may_end (the handshake) by role; openssl: the roles in which it disagrees, and why."""

    def __init__(self, line):
        self.name, server, client, self.domain, match, differs, *why = line.split(maxsplit=6)
        self.openssl = [role for role, letter in zip(ROLES, "SC") if letter in differs]
        self.why = "".join(why)
        words = dict(zip(ROLES, (server, client)))
        self.verdicts = {role: word.rstrip("!") for role, word in words.items()}
        self.may_end = {role: word.endswith("!") for role, word in words.items()}
        self.is_theirs = match == "yes"
        if self.domain == "-":
            self.domain = "peer.example"
        # An underscore is no part of a domain by IDNA2008, so no address has such a one (RFC 7622 s3.2).
        self.is_domain = "_" not in self.domain

    def is_name(self):
        """Rather than an address."""
        return not self.domain.replace(".", "").isdigit()

    def is_accepted(self, role):
        return self.verdicts[role] == "valid" and self.is_theirs

    def fault(self, role):
        """What the router says is wrong with it, or None."""
        verdict = self.verdicts[role].partition("@")[0]
        return None if self.is_accepted(role) else FAULTS[verdict]

    def outcomes(self, role, policy):
        """The words of envoy.py that are right, one but where the library may not parse the chain."""
        if not self.is_domain:
            return {{"server": "silence", "client": "invalid-from"}[role]}
        if self.verdicts[role] == "handshake":
            return {"tls"}
        if self.is_accepted(role):
            word = "external"
        elif policy == "pkix":
            word = {"server": "closed", "client": "not-authorized"}[role]
        else:
            word = "dialback"
        return {word, "tls"} if self.may_end[role] else {word}


def lines(name):
    text = (HERE / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


class Demand:
    """What the specifications demand for a chain, by role: "+", "-" or "~"."""

    def __init__(self, line):
        head, self.oddity, self.section, self.remark = (field.strip() for field in line.split("|"))
        self.name, signs = head.split()
        self.signs = dict(zip(ROLES, signs, strict=True))


def demands():
    """By chain: as many as there are rows."""
    made = {demand.name: demand for demand in map(Demand, lines("demands.txt"))}
    assert list(made) == [row.name for row in rows()], "matrix.txt and demands.txt have other chains, or another order"
    return made


def rows():
    return [Row(line) for line in lines("matrix.txt")]
