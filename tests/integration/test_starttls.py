# SPDX-License-Identifier: MIT
"""The border between plain text and TLS: bytes behind <starttls/> (RELIABILITY: the injection of 2011 and 2021), server
names, ALPN, versions, and what a failed handshake leaves."""
import ssl
import subprocess
import time

import pytest

import bed as bed_module
import tap
import wire
from wire import SASL, TLS

STARTTLS = f"<starttls xmlns='{TLS}'/>".encode()
PROCEED = f"<proceed xmlns='{TLS}'/>".encode()
HEADER = wire.header().removeprefix(b"<?xml version='1.0'?>")
AUTH = f"<auth xmlns='{SASL}' mechanism='PLAIN'>AHVzZXIwAHNlY3JldA==</auth>".encode()


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        wire.tls_context().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()


BEHIND = {
    "header and sasl": HEADER + AUTH,
    "half a record": client_hello()[:100],
    "client hello": client_hello(),
    "white space": b" \n\t",
    "stanza": b"<message to='user1@localhost'><body>x</body></message>",
    "end tag": b"</stream:stream>",
    "one byte": b"\x00",
}


def cuts(data):
    """Around the border, at both ends, and whole."""
    border = len(STARTTLS)
    return sorted({1, border - 1, border, border + 1, border + len(data) // 2, border + len(data) - 1, border + len(data)})


# Holds 6120:5.4.2.3/2.
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND.keys())
def test_starttls__with_bytes_behind_it__never_reads_them_as_protected(bed, behind):
    """In whatever pieces: what comes together with <starttls/> ends the stream; what comes later is taken for TLS."""
    data = STARTTLS + behind
    for at in cuts(behind):
        client = bed.connect().open()
        client.wire.send_raw(data[:at])
        if at < len(data):
            time.sleep(0.003)
            send_if_open(client, data[at:])
        try:
            check_ending(client, must_refuse=at > len(STARTTLS))
        except ConnectionResetError:
            pass
        client.close()
    assert bed.stats()["sessions"] == 0
    assert not [line for line in bed.log() if "c2s.login " in line and "tls=none" in line]


def send_if_open(client, data):
    try:
        client.wire.send_raw(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


def check_ending(client, must_refuse):
    """A failure and the end (RFC 6120 s5.4.2.2); or <proceed/>, and behind it nothing but TLS."""
    said, has_ended = b"", False
    while data := client.wire.receive_raw(time.monotonic() + wire.WAIT):
        said += data
        if PROCEED in said and not has_ended:
            has_ended = True
            client.wire.fin()
    if PROCEED not in said:
        assert said == f"<failure xmlns='{TLS}'/></stream:stream>".encode()
        return
    assert not must_refuse, "went on with bytes behind <starttls/>"
    plain, _, rest = said.partition(PROCEED)
    assert plain == b""
    for word in (b"<?xml", b"stream:", b"<success", b"<failure", b"<message"):
        assert word not in rest


# Holds 6120:5.4.3.1/6 6120:5.4.3.3/3.
def test_stream__after_starttls__starts_anew(bed):
    """RFC 6120 s5.4.3.3: nothing of the plain stream is known any more, not even half an element."""
    client = bed.connect().open()
    client.start_tls(bed.context())
    client.restart()
    client.send("<message>")
    client.expect_error("invalid-namespace")


# ---- handshakes that fail ----

# Holds 6120:5.4.3.1/2 6120:5.4.3.2/1 6120:5.4.3.2/2.
@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
def test_handshake__of_garbage__ends_without_a_word_of_xml(bed, direct):
    before = bed.stats()["tls_failed"]
    client = bed.connect(tls=direct)
    if not direct:
        client.open()
        client.send(STARTTLS)
        client.expect(f"{{{TLS}}}proceed")
    client.wire.send_raw(wire.header())
    said = b""
    try:
        while data := client.wire.receive_raw(time.monotonic() + wire.WAIT):
            said += data
    except ConnectionResetError:
        pass
    assert b"<" not in said
    assert bed_module.wait_until(lambda: bed.stats()["tls_failed"] == before + 1)


def test_plain_port__of_a_tls_client__answers_in_xml(bed):
    """A client hello on the port for plain text: no XML, one stream error inside a stream (s4.9.1.2)."""
    client = bed.connect()
    client.wire.send_raw(client_hello())
    client.expect_error("not-well-formed")


def test_tls_1_1__is_refused(bed):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    client = bed.connect(tls=True)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        client.direct_tls(context)


def test_tls_1_2__below_version_min__is_refused(start_bed):
    bed = start_bed(settings=["tls.version_min=1.3"])
    client = bed.connect(tls=True)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        client.direct_tls(bed.context(version=ssl.TLSVersion.TLSv1_2))
    assert bed.secure(direct=True).wire.tls.version() == "TLSv1.3"


# Holds 6120:5.3.5/2.
def test_renegotiation__asked_for_by_the_client__ends_without_a_word_of_xml(bed):
    """RFC 6120 s5.3.5: who does not support it closes the connection, without a stream error."""
    before = bed.stats()["tls_failed"]
    tapped = tap.Connection(bed.tls_port)
    with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{bed.tls_port}", "-tls1_2"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        client.stdin.write(wire.header())
        client.stdin.flush()
        said = b""
        while b"</stream:features>" not in said:
            said += client.stdout.read1(65536)
        tapped.heard(said[said.index(b"<?xml"):said.index(b"</stream:features>") + 18])
        client.stdin.write(b"R\n")
        client.stdin.flush()
        said = client.stdout.read()
    assert b"RENEGOTIATING" in said and b"<" not in said
    assert bed_module.wait_until(lambda: bed.stats()["tls_failed"] == before + 1)


# ---- ALPN (XEP-0368 s4) and server names ----

def test_alpn__xmpp_client__is_chosen(bed):
    client = bed.secure(direct=True, context=bed.context(alpn=["http/1.1", "xmpp-client"]))
    assert client.wire.tls.selected_alpn_protocol() == "xmpp-client"


@pytest.mark.parametrize("names", [["h2", "http/1.1"], ["xmpp-server"]], ids=["http", "xmpp-server"])
def test_alpn__of_another_protocol__is_refused(bed, names):
    """RFC 7301 s3.2: a fatal no_application_protocol; no confusion of protocols on one certificate."""
    client = bed.connect(tls=True)
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        client.direct_tls(bed.context(alpn=names))


def test_no_alpn__on_direct_tls__is_accepted(bed):
    assert bed.secure(direct=True).wire.tls.selected_alpn_protocol() is None


DOMAINS = ("example.com", "example.net", "chat.example.org")


def names_of(client):
    return [value for _, value in client.wire.tls.getpeercert()["subjectAltName"]]


# Holds 6120:5.4.3.1/3.
@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
@pytest.mark.parametrize("domain", DOMAINS)
def test_domain__with_its_server_name__shows_its_own_certificate(start_bed, domain, direct):
    bed = start_bed(domains=DOMAINS, users=1)
    client = bed.login("user0", direct=direct, domain=domain)  # verifies chain and name
    assert names_of(client) == [domain] and client.jid.startswith(f"user0@{domain}/")


# Holds 6120:5.4.3.1/3.
def test_starttls__without_server_name__shows_the_certificate_of_the_header(start_bed):
    bed = start_bed(domains=DOMAINS, users=1)
    for domain in DOMAINS:
        context = bed.context()
        context.check_hostname = False
        client = bed.connect(domain).open()
        client.send(STARTTLS)
        client.expect(f"{{{TLS}}}proceed")
        client.wire.start_tls(context, None)
        assert names_of(client) == [domain]


def test_direct_tls__without_server_name__shows_the_first_certificate(start_bed):
    bed = start_bed(domains=DOMAINS, users=1)
    context = bed.context()
    context.check_hostname = False
    client = bed.connect(tls=True)
    client.wire.start_tls(context, None)
    assert names_of(client) == [DOMAINS[0]]


def test_accounts__of_one_domain__are_none_of_another(start_bed):
    bed = start_bed(domains=DOMAINS, users=1)
    bed.ask("account add only@example.com", "secret")
    assert bed.secure(domain="example.com").scram("only", "secret") is None
    assert bed.secure(domain="example.net").scram("only", "secret") == "not-authorized"


def test_fin__in_the_handshake__frees_the_connection(bed):
    client = bed.connect(tls=True)
    client.wire.send_raw(client_hello())
    client.wire.fin()
    client.wire.wait_for_end()
    assert bed_module.wait_until(lambda: bed.stats()["connections"] == 0)
