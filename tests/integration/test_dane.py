# SPDX-License-Identifier: MIT
"""Streams to other servers by their TLSA records (RFC 7673) in a signed zone on loopback: with another Sluice, which has only
certificates that no authority vouches for, Debian's prosody, which judges our records too, and Debian's ejabberd."""
import hashlib
import itertools
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import bed as bed_module
import peers
import throwaway
import wire
from nameserver import NameServer
from person import run
from test_federation import log_in, talk

ZONE = "example"
OURS = "ours.example"            # everybody has to prove itself to it by DANE, but who is on POLICIES
VIA_LOCALHOST = "ours-too.example"  # for ejabberd, which takes our host from the C library
POLICIES = ("s2s.policies=lax.unsigned=dane-or-pkix",)
GOOD, WRONG, BROKEN, PLAIN, LAX = "good.example", "wrong.example", "broken.example", "plain.unsigned", "lax.unsigned"
FAILURES = ("resolve", "connect", "tls", "certificate", "dane", "refused", "timeout", "dialback_invalid")


def key_hash(folder, domain):
    """Of the public key, for "3 1 1"."""
    certificate = x509.load_pem_x509_certificate((folder / f"{domain}.pem").read_bytes())
    return hashlib.sha256(certificate.public_key().public_bytes(serialization.Encoding.DER,
                                                                serialization.PublicFormat.SubjectPublicKeyInfo)).digest()


class Zone:
    """This router, the servers beside it, and the name server that all of them ask; none knows the others' authority."""

    def __init__(self, folder):
        self.folder, self.peers = folder, {}
        self.names = NameServer(signed_zone=ZONE)
        self.anchor = folder / "anchor"
        self.anchor.write_text(self.names.key.anchor())
        peers.authorities(folder)
        self.ours = self.start_router("sluice", (OURS, VIA_LOCALHOST), "s2s.policy=dane", *POLICIES)
        self.add(VIA_LOCALHOST, "localhost", self.ours.s2s)
        self.add(OURS, "host.ours.example", self.ours.s2s, key_hash(folder / "sluice", OURS))

    def start_router(self, server, domains, *settings):
        folder, s2s = self.folder / server, throwaway.free_port()
        peers.certificates(folder, domains, lambda domain: self.folder / ("known" if domain == LAX else "unknown"))
        router = bed_module.Bed(folder, domains=domains, users=1, s2s_port=s2s, authority=self.folder / "known", settings=[
            f"s2s.nameservers=127.0.0.1@{self.names.port}", f"s2s.dnssec_anchor={self.anchor}", *settings])
        router.s2s = s2s
        return router

    def add(self, domain, host, port, key=None):
        """Where the domain is, and what it says of its key. The place of that."""
        self.names.add_service("xmpp-server", domain, host, port)
        if host != "localhost":
            self.names.add_address(host)
        return self.names.add_tlsa(host, port, 3, 1, 1, key) if key else None

    def peer(self, server):
        if server in self.peers:
            return self.peers[server]
        if server == "other":
            made = self.start_router("other", (GOOD, WRONG, BROKEN, PLAIN, LAX), "s2s.policy=dane")
            for domain in (GOOD, WRONG, BROKEN, PLAIN, LAX):
                key = key_hash(self.folder / "other", GOOD if domain == WRONG else domain)
                place = self.add(domain, f"host.{domain}", made.s2s, key)
                if domain == BROKEN:
                    self.names.spoilt.add(place)
        else:
            kind = {"prosody": peers.Prosody, "ejabberd": peers.Ejabberd}[server]
            if not kind.is_installed():
                pytest.skip(f"{server} is not installed; tools/setup installs it")
            domains, folder = (f"direct-out.{server}.example", f"out.{server}.example", f"in.{server}.example"), self.folder / server
            peers.certificates(folder, domains, lambda domain: self.folder / "unknown")
            made = kind(folder, domains, self.folder / "known" / "ca.pem", self.names.port, self.anchor)
            for domain in domains:
                self.add(domain, f"host.{domain}", made.s2s, key_hash(folder, domain))
        self.peers[server] = made
        return made

    def login(self, router, domain):
        return router.login("user0", domain=domain, context=ssl.create_default_context(cafile=self.folder / "clients.pem"))

    def stop(self):
        for router in (self.ours, *self.peers.values()):
            router.stop()
        self.names.close()


@pytest.fixture(scope="module")
def zone(tmp_path_factory):
    made = Zone(tmp_path_factory.mktemp("zone"))
    yield made
    made.stop()


def proofs(router, theirs, ours):
    """Of the streams between these two, by direction; those of dialback's checks carry nothing and come and go."""
    return {row["direction"]: row["proof"] for row in router.json("show s2s")
            if (row["theirs"], row["ours"], row["state"]) == (theirs, ours, "ready")}


def failures(router, *more):
    stats = router.stats()
    return {name: stats[f"s2s_{name}"] for name in (*(f"failed_{failure}" for failure in FAILURES), *more)}


def changes(before, after):
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


def test_two_routers__without_authorities__talk_by_dane(zone):
    other = zone.peer("other")
    before = failures(zone.ours)
    romeo, juliet = zone.login(zone.ours, OURS), zone.login(other, GOOD)
    romeo.message(juliet.jid, "but soft")
    assert juliet.body() == "but soft"
    juliet.message(romeo.jid, "ay me")
    assert romeo.body() == "ay me"
    assert proofs(zone.ours, GOOD, OURS) == {"out": "dane"}
    # A client's certificate has no TLSA record: our own server, which has one, told our key.
    assert proofs(other, OURS, GOOD) == {"in": "dane-dialback"}
    assert changes(before, failures(zone.ours)) == {}
    romeo.end()
    juliet.end()


def test_record__that_fits__is_told_by_the_test(zone):
    steps = zone.ours.json(f"s2s test {zone.peer('other') and GOOD}")
    told = {row["step"]: (row["ok"], row["text"]) for row in steps}
    digest = key_hash(zone.folder / "other", GOOD).hex()[:16]
    port = zone.peers["other"].s2s
    assert told["tlsa"] == (True, f"_{port}._tcp.host.{GOOD} 3 1 1 {digest}.., secure")
    assert told["dane"] == (True, f"matched: 3 1 1 {digest}..") and told["certificate"][0] is False
    assert told["ready"][0] is True


def refused(zone, domain):
    """How a message to somebody there has come back, and which counters have changed."""
    zone.peer("other")
    romeo = zone.login(zone.ours, OURS)
    before = failures(zone.ours, "dialled")
    romeo.message(f"user0@{domain}", "?")
    error = None
    while error is None:  # presence of others may come before
        error = romeo.stanza().find(f"{{{wire.CLIENT}}}error")
    after = failures(zone.ours, "dialled")
    romeo.end()
    return error[0].tag.partition("}")[2], changes(before, after)


def test_record__of_another_key__is_refused_and_counted(zone):
    assert refused(zone, WRONG) == ("remote-server-timeout", {"failed_dane": 1, "dialled": 1})
    line = next(line for line in zone.ours.log() if " s2s.dane " in line)
    assert f'to="{WRONG}" host="host.{WRONG}" records=1 reason="no record is of these certificates"' in line


def test_record__whose_signature_is_broken__is_not_dialled(zone):
    assert refused(zone, BROKEN) == ("remote-server-not-found", {"failed_resolve": 1})


def test_record__of_an_unsigned_zone__is_not_dialled_by_dane_and_says_nothing_by_another_word(zone):
    assert refused(zone, PLAIN) == ("remote-server-timeout", {"failed_dane": 1})
    before = failures(zone.ours)
    assert {row["step"]: row["ok"] for row in zone.ours.json(f"s2s test {LAX}")}["certificate"] is True
    assert changes(before, failures(zone.ours)).keys() <= {"failed_refused"}  # it wants us to prove ourselves by DANE too


@pytest.mark.parametrize("server, way", itertools.product(("prosody", "ejabberd"), ("out", "in")))
def test_two_people__of_two_servers__talk_by_dane(zone, server, way):
    peer = zone.peer(server)
    here, there = VIA_LOCALHOST if server == "ejabberd" else OURS, f"{way}.{server}.example"
    before = failures(zone.ours)

    async def steps():
        ours, theirs = await log_in(zone, zone.ours, here), await log_in(zone, peer, there)
        await talk(*((ours, theirs) if way == "out" else (theirs, ours)))
        for person in (ours, theirs):
            await person.log_out()
    run(steps())
    found = proofs(zone.ours, there, here)
    assert found and found.items() <= {"out": "dane", "in": "dane-dialback"}.items(), found
    assert changes(before, failures(zone.ours)) == {}
    if (server, way) == ("prosody", "in"):
        assert "Enabling DANE with 1 TLSA records" in (peer.folder / "prosody.log").read_text()
