# SPDX-License-Identifier: MIT
"""OCSP answers that a server shows in its handshake: what a router that has dialled it makes of each, whether it still asks
the issuer, and what of a certificate that must come with one (RFC 7633)."""
import ssl

import pytest

import bed as bed_module
import throwaway
import wire
from answers import DAY, domain
from cryptography import x509
from envoy import context_of
from neighbour import Keeper, Neighbour
from responder import REVOKED, Authority, Responder, write_certificate
from stapler import staple

HOME = "watcher.example"
MUST = (x509.TLSFeature([x509.TLSFeatureType.status_request]), False)
VERSIONS = {"12": ssl.TLSVersion.TLSv1_2, "13": ssl.TLSVersion.TLSv1_3}


class Stapler(Neighbour):
    """shown: by chain, a function that gives what it shows. versions: by chain."""

    def __init__(self, *given):
        self.shown, self.versions, self.kept = {}, {}, []
        super().__init__(*given)

    def server_context(self, chain):
        context = context_of(self.folder, chain, True, self.versions.get(chain))
        if chain in self.shown:
            self.kept.append(staple(context, self.shown[chain]))
        return context


class Stapling:
    def __init__(self, folder):
        self.responder, self.keeper = Responder(), Keeper()
        self.authority = Authority(self.responder)
        self.authority.write(folder / "ca")
        self.parties = {}
        self.folder = folder / "parties"
        self.folder.mkdir()
        self.peer = Stapler(self.folder, self.keeper)
        self.lay_out()
        (folder / "bed").mkdir()
        write_certificate(folder / "bed", HOME, self.authority.issue(HOME))
        routes = ",".join(f"{domain(name)}=127.0.0.1:{self.peer.port}" for name in self.parties)
        self.bed = bed_module.Bed(
            folder / "bed", domains=[HOME], users=1, s2s_port=throwaway.free_port(), authority=folder / "ca",
            settings=[f"s2s.routes={routes}", "s2s.policy=pkix", "timeouts.reset=0s", "certs.interval=1h",
                      "certs.fetch_timeout=1s", "certs.allow_private=true", "log.level=debug"])

    def lay_out(self):
        """A row: what is shown, what the responder says to who asks (None: nobody is there), and whether it must be shown."""
        good, revoked = {}, {"status": REVOKED}
        stale = {"this": -3 * DAY, "until": -2 * DAY}
        other = self.authority.issue("other.example")
        rows = {
            "none": (None, good), "good": (good, revoked), "revoked": (revoked, good), "stale": (stale, good),
            "garbage": (b"<html>503</html>", good), "foreign": (other, good), "foreign-alone": (other, None),
            "must-good": (good, None), "must-revoked": (revoked, good), "must-none": (None, good), "must-stale": (stale, good),
            "must-garbage": (b"\0", good), "must-foreign": (other, good), "later": (None, good), "again": (good, None),
        }
        for row, (shown, told) in rows.items():
            for version in VERSIONS:
                self.add(f"{row}-{version}", shown, told)

    def add(self, name, shown, told):
        extra = [MUST] if name.startswith("must") else []
        party = self.parties[name] = self.authority.issue(domain(name), ocsp=f"/{name}", extra=extra)
        write_certificate(self.folder, name, party)
        self.peer.versions[name] = VERSIONS[name[-2:]]
        self.responder.answers[f"/{name}"] = None if told is None else (lambda: self.authority.answer(party, **told))
        self.show(name, shown)

    def show(self, name, shown):
        if isinstance(shown, dict):
            answer = self.authority.answer(self.parties[name], **shown)
        else:
            answer = shown if shown is None or isinstance(shown, bytes) else self.authority.answer(shown)
        self.peer.shown[name] = lambda: answer

    def dial(self, name):
        """How the stream ended, None: it lives."""
        self.bed.ask(f"s2s close {domain(name)}")
        client = self.bed.login("user0")
        client.message(f"juliet@{domain(name)}", "but soft")
        stay = self.peer.await_stream(name)
        client.close()
        return stay

    def chain(self, name):
        rows = self.bed.json(f"show certs peers {domain(name)}")
        return rows[0] if rows else None

    def asked(self, name):
        return f"/{name}" in self.responder.asked

    def stop(self):
        self.bed.stop()
        self.peer.close()
        self.keeper.close()
        self.responder.close()


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    made = Stapling(tmp_path_factory.mktemp("stapling"))
    yield made
    made.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_good__needs_no_asking(field, version):
    name = f"good-{version}"
    assert field.dial(name).word is None
    row = field.chain(name)
    assert (row["standing"], row["stapled"], field.asked(name)) == ("good", True, False)


@pytest.mark.parametrize("version", VERSIONS)
def test_none__is_asked_for(field, version):
    name = f"none-{version}"
    assert field.dial(name).word is None
    row = field.chain(name)
    assert (row["standing"], row["stapled"], field.asked(name)) == ("good", False, True)


@pytest.mark.parametrize("version", VERSIONS)
def test_revoked__is_refused(field, version):
    name = f"revoked-{version}"
    assert field.dial(name).word == "closed"
    assert not field.asked(name)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("row", ["stale", "garbage", "foreign"])
def test_of_no_use__is_as_if_there_were_none(field, row, version):
    name = f"{row}-{version}"
    assert field.dial(name).word is None
    row = field.chain(name)
    assert (row["standing"], row["stapled"], field.asked(name)) == ("good", False, True)


def test_of_no_use__with_nobody_to_ask__is_unanswered(field):
    assert field.dial("foreign-alone-13").word is None
    assert field.chain("foreign-alone-13")["standing"] == "unanswered"


@pytest.mark.parametrize("version", VERSIONS)
def test_must_be_shown__and_is__is_let_in(field, version):
    assert field.dial(f"must-good-{version}").word is None
    assert field.dial(f"must-revoked-{version}").word == "closed"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("row", ["none", "stale", "garbage", "foreign"])
def test_must_be_shown__and_is_not__is_refused(field, row, version):
    """Under certs.revocation = soft, and though the issuer would say that it is good."""
    name = f"must-{row}-{version}"
    before = field.bed.stats()["certs_unstapled"]
    assert field.dial(name).word == "closed"
    assert bed_module.wait_until(lambda: field.bed.stats()["certs_unstapled"] == before + 1)
    assert bed_module.wait_until(lambda: any("certs.unstapled" in line for line in field.bed.log()))
    assert not field.asked(name)


def test_shown_by_a_later_stream__counts_for_all(field):
    """The first one had none; the next one's says that it was taken back."""
    name = "later-13"
    first = field.dial(name)
    assert (first.word, field.chain(name)["standing"]) == (None, "good")
    field.show(name, {"status": REVOKED})
    field.dial(name)
    assert bed_module.wait_until(lambda: field.bed.stats()["certs_revoked"] > 0 and field.chain(name) is None, wire.WAIT)
    assert field.dial(name).word == "closed"


def test_shown_again__stays_known(field):
    name = "again-12"
    assert field.dial(name).word is None
    assert field.dial(name).word is None
    assert (field.chain(name)["standing"], field.asked(name)) == ("good", False)
