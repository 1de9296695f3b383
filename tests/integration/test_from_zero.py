# SPDX-License-Identifier: MIT
"""Behind <reset/> a peer begins from zero (RFC 6120 s4.9.3.16): a full handshake, whatever session or ticket it has kept,
and authentication by what it presents then. One that comes back with another certificate is told of. OpenSSL is the
other side, which resumes wherever it is let."""
import hashlib
import socket
import ssl
import subprocess
import time

import pytest

import bare_tls
import bed as bed_module
import throwaway
import wire
from envoy import EXTERNAL, SERVER, Over, Speech
from person import TLS12, TLS13
from responder import Authority, Responder, key_of, generate, sha256

VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
PEER = "peer.example"
TICKET, PRE_SHARED_KEY = 35, 41  # extensions (RFC 5077 s3.2, RFC 8446 s4.2.11)


def logged(bed, *words):
    found = []
    assert bed_module.wait_until(lambda: found.extend(
        line for line in bed.log() if all(word in line for word in words)) or found), words
    return found[-1]


def full_and_resumed(bed):
    stats = bed.stats()
    return stats["tls_handshakes_full"], stats["tls_handshakes_resumed"]


# ---- another server ----

class Peer:
    """PEER, played by the test, beside a router that believes its authority; its certificates are told by their turn."""

    def __init__(self, folder):
        self.folder, self.responder = folder, Responder()
        self.authority, self.turn = Authority(self.responder), 0
        self.authority.write(folder / "ca")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(wire.WAIT)
        self.port = throwaway.free_port()
        self.bed = bed_module.Bed(folder / "bed", users=1, s2s_port=self.port, authority=folder / "ca", settings=[
            f"s2s.routes={PEER}=127.0.0.1:{self.listener.getsockname()[1]}", "s2s.policy=pkix", "timeouts.reset=0s",
            "s2s.rest_min=100ms"])

    def renew(self, context):
        """Another key, presented by the context from now on."""
        party = self.authority.issue(PEER)
        path, self.turn = self.folder / f"{self.turn}.pem", self.turn + 1
        path.write_bytes(generate.pem(party.der).encode() + key_of(party))
        context.load_cert_chain(path)
        return party

    def distrust(self, party):
        assert self.bed.json(f"certs distrust {hashlib.sha256(party.der).hexdigest()}")["chains"] == 1

    def row(self):
        """Of the one stream that there is."""
        rows = [row for row in self.bed.json("show s2s") if row["theirs"] == PEER and row["state"] == "ready"]
        return rows[0] if len(rows) == 1 else {}

    def expect_change(self, old, new):
        assert bed_module.wait_until(lambda: self.row().get("changed") == "key"), self.row()
        line = logged(self.bed, "certs.changed", f'peer="{PEER}"', f"old={sha256(old)}", f"new={sha256(new)}")
        assert "changed=key old=" in line and "old_standing=distrusted old_days_left=36" in line, line

    def stop(self):
        self.bed.stop()
        self.listener.close()
        self.responder.close()


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    made = Peer(tmp_path_factory.mktemp("zero"))
    yield made
    made.stop()


def context_of(version, side):
    context = ssl.SSLContext(side)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    return context


def call(peer, context, session=None):
    """Up to the features under TLS, of a stream of PEER's: EXTERNAL is offered, and nothing was resumed."""
    speech = Speech(wire.Wire(peer.port), wire.WAIT)
    speech.open(PEER, "localhost")
    speech.hear_features()
    speech.say(f"<starttls xmlns='{wire.TLS}'/>")
    speech.expect(f"{{{wire.TLS}}}proceed")
    speech.wire.start_tls(context, "localhost", session)
    speech.reader = wire.Reader()
    speech.open(PEER, "localhost")
    speech.hear_features()
    assert speech.offers_external()
    assert not speech.wire.tls.session_reused and not speech.wire.tls.session.has_ticket
    return speech


def authenticate(speech):
    speech.say(f"<auth xmlns='{wire.SASL}' mechanism='EXTERNAL'>=</auth>")
    speech.expect(f"{{{wire.SASL}}}success")
    speech.reader = wire.Reader()
    speech.open(PEER, "localhost")
    speech.hear_features()
    return speech


def expect_reset(speech):
    with pytest.raises(Over, match="^reset$"):
        speech.element()
    speech.close()


# Holds stream:reset - a certificate that a stream was authenticated by is no longer good.
@VERSIONS
def test_server_that_calls__reset__comes_back_from_zero(peer, version):
    context = context_of(version, ssl.PROTOCOL_TLS_CLIENT)
    full, resumed = full_and_resumed(peer.bed)
    changes = peer.bed.stats()["certs_changed_key"]
    old = peer.renew(context)
    speech = authenticate(call(peer, context))
    for turn in range(1, 3):
        assert bed_module.wait_until(lambda: peer.row().get("certificate") == "valid")
        changes = peer.bed.stats()["certs_changed_key"]
        session = speech.wire.tls.session
        peer.distrust(old)
        expect_reset(speech)
        new = peer.renew(context)
        speech = authenticate(call(peer, context, session))
        peer.expect_change(old, new)
        assert peer.bed.stats()["certs_changed_key"] == changes + 1
        assert full_and_resumed(peer.bed) == (full + turn + 1, resumed)
        old = new
    speech.close()
    assert bed_module.wait_until(lambda: not peer.row())


def test_server_that_calls__reset__is_heard_only_when_proven(peer):
    """Nothing of the stream before counts: neither its pair nor its certificate."""
    context = context_of(TLS13, ssl.PROTOCOL_TLS_CLIENT)
    old = peer.renew(context)
    first = authenticate(call(peer, context))
    peer.distrust(old)
    expect_reset(first)
    speech = call(peer, context, first.wire.tls.session)
    with pytest.raises(Over, match="^sasl:not-authorized$"):
        authenticate(speech)
    speech.say(f"<message from='juliet@{PEER}' to='user0@localhost'><body>again</body></message>")
    with pytest.raises(Over, match="^not-authorized$"):
        speech.element()
    speech.close()


class Recorded(wire.Wire):
    """Keeps what comes before it is opened."""
    raw = b""

    def receive_raw(self, until):
        data = super().receive_raw(until)
        self.raw += data
        return data


def hello_of(raw):
    """Session id and extensions of the ClientHello that the records begin with."""
    assert raw[0] == bare_tls.HANDSHAKE and raw[5] == bare_tls.CLIENT_HELLO
    hello = raw[9:]
    session = hello[35:35 + hello[34]]
    at = 35 + len(session)
    at += 2 + int.from_bytes(hello[at:at + 2], "big")
    return session, bare_tls.extensions_of(hello[at + 1 + hello[at]:])


def accept(peer, context):
    """A stream of the router's to PEER, over which its message has come; and its ClientHello."""
    speech = Speech(Recorded(None, connected=peer.listener.accept()[0]), wire.WAIT)
    speech.header()
    speech.open(PEER, "localhost", " id='s0'")
    speech.say(f"<stream:features><starttls xmlns='{wire.TLS}'><required/></starttls></stream:features>")
    speech.expect(f"{{{wire.TLS}}}starttls")
    speech.wire.raw = b""
    speech.say(f"<proceed xmlns='{wire.TLS}'/>")
    speech.start_tls(context, is_server=True)
    hello = hello_of(speech.wire.raw)
    speech.header()
    speech.open(PEER, "localhost", " id='s1'")
    speech.say(f"<stream:features>{EXTERNAL}</stream:features>")
    speech.expect(f"{{{wire.SASL}}}auth")
    speech.say(f"<success xmlns='{wire.SASL}'/>")
    speech.reader = wire.Reader()
    speech.header()
    speech.open(PEER, "localhost", " id='s2'")
    speech.say("<stream:features/>")
    speech.expect(f"{{{SERVER}}}message")
    return speech, hello


@VERSIONS
def test_server_that_is_called__reset__is_called_from_zero(peer, version):
    """The other side gives tickets, and in TLS 1.2 a session id: none of it is ever shown to it again."""
    context = context_of(version, ssl.PROTOCOL_TLS_SERVER)
    client, ids, old = peer.bed.login("user0"), set(), None
    for _ in range(3):
        new = peer.renew(context)
        client.message(f"juliet@{PEER}/balcony", "but soft")
        speech, (session, extensions) = accept(peer, context)
        assert PRE_SHARED_KEY not in extensions and not extensions.get(TICKET)
        assert session not in ids  # TLS 1.3 may have one for the looks of it (RFC 8446 D.4): another one each time
        assert not speech.wire.tls.session_reused
        ids |= {bytes(found) for found in (session, speech.wire.tls.session.id) if found}
        if old:
            peer.expect_change(old, new)
        peer.distrust(new)
        expect_reset(speech)
        old = new
    client.end()


# ---- clients ----

def session_of(client):
    """A ping is answered behind the tickets, so they have come."""
    client.ping()
    return client.wire.tls.session


def back(bed, context, session, mechanism="SCRAM-SHA-256"):
    client = bed.connect().open()
    client.start_tls(context, session=session).open()
    assert client.scram("user0", "secret", mechanism) is None
    client.open()
    assert client.bind() is None
    return client


def other_certificate(bed):
    """By another issuer: no renewal."""
    folder = bed.folder / "other"
    folder.mkdir(exist_ok=True)
    throwaway.make_ca(folder, f"Another CA {time.time_ns()}")
    throwaway.make_certificate(folder, "localhost")
    for end in ("pem", "key"):
        (folder / f"localhost.{end}").replace(bed.folder / f"localhost.{end}")


def fewer_mechanisms(bed):
    path = bed.folder / "sluice.conf"
    path.write_text(path.read_text() + "sasl.mechanisms = SCRAM-SHA-1;\n")


@VERSIONS
@pytest.mark.parametrize("change", [other_certificate, fewer_mechanisms], ids=["certificate", "mechanism"])
def test_client_without_a_certificate__reset__its_ticket_is_refused(start_bed, version, change):
    bed = start_bed(name="ticket", settings=["timeouts.reset=0s"])
    kept = (bed.folder / "sluice.conf").read_text()
    context = wire.tls_context(version=version)
    client = back(bed, context, None)
    session = session_of(client)
    assert session.has_ticket
    client.end()
    client = back(bed, context, session)
    assert client.wire.tls.session_reused  # where nothing has changed it is good
    last = session_of(client)
    change(bed)
    bed.ask("reload")
    client.expect_error("reset")
    _, resumed = full_and_resumed(bed)
    mechanism = "SCRAM-SHA-1" if change is fewer_mechanisms else "SCRAM-SHA-256"
    for ticket in (session, last):
        client = back(bed, context, ticket, mechanism)
        assert not client.wire.tls.session_reused
        client.end()
    assert full_and_resumed(bed)[1] == resumed
    context = wire.tls_context(version=version)
    client = back(bed, context, None, mechanism)
    session = session_of(client)
    client.end()
    client = back(bed, context, session, mechanism)
    assert client.wire.tls.session_reused  # what was given since is good
    client.end()
    (bed.folder / "sluice.conf").write_text(kept)
    bed.ask("reload")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people") / "made"
    subprocess.run(["/usr/bin/python3", "-B", str(bed_module.ROOT / "tests/chains/people.py"), str(folder), "localhost"],
                   check=True, timeout=60)
    return folder


@VERSIONS
def test_client_with_a_certificate__reset__comes_back_from_zero(start_bed, people, version):
    bed = start_bed(name=f"person {version}", settings=[
        "tls.client_certificates=optional", f"tls.client_ca_file={people / 'people.pem'}", "timeouts.reset=0s"])
    context, session = wire.tls_context(version=version), None
    for turn, name in enumerate(("valid", "renewed")):
        context.load_cert_chain(people / f"{name}.pem", people / f"{name}.key")
        client = bed.connect().open()
        client.start_tls(context, session=session).open()
        assert not client.wire.tls.session_reused
        client.auth("EXTERNAL", b"")
        assert client.logged_in("user0", *client.sasl_answer()) is None
        client.open()
        assert client.bind() is None
        session = session_of(client)
        assert not session.has_ticket
        assert bed.stats()["certs_changed_key"] == turn
        fingerprint = (people / f"{name}.sha256").read_text().strip()
        assert bed.json(f"certs distrust {fingerprint}")["chains"] == 1
        client.expect_error("reset")
    line = logged(bed, "certs.changed", 'peer="user0@localhost"', "changed=key old=")
    assert "old_standing=distrusted" in line
