# SPDX-License-Identifier: MIT
"""Stream negotiation from outside (RFC 6120 s4 to s7): what is offered in each state, and what is reachable in it."""
import ssl

import pytest

import wire
from wire import BIND, CB, LIMITS, SASL, SESSION, TLS

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
SCRAMS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"]
BIND_REQUEST = f"<iq type='set' id='b'><bind xmlns='{BIND}'/></iq>"
AUTH = f"<auth xmlns='{SASL}' mechanism='PLAIN'>AHVzZXIwAHNlY3JldA==</auth>"
MESSAGE = "<message to='user1@localhost'><body>x</body></message>"
RESUME = "<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>"
COMPRESS = "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>"
AUTHENTICATE = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>"
HEADER = wire.header().decode().removeprefix("<?xml version='1.0'?>")


# ---- what is offered ----

def test_features__before_tls__are_starttls_required_alone(bed):
    client = bed.connect().open()
    assert client.feature_names() == [f"{{{TLS}}}starttls"]
    starttls = client.features[0]
    assert [child.tag for child in starttls] == [f"{{{TLS}}}required"]
    assert not starttls.attrib and not starttls.text


@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
@pytest.mark.parametrize("version, bindings", [(TLS12, ["tls-exporter", "tls-unique", "tls-server-end-point"]),
                                               (TLS13, ["tls-exporter", "tls-server-end-point"])], ids=["1.2", "1.3"])
def test_features__under_tls__are_sasl_and_limits(bed, direct, version, bindings):
    client = bed.secure(direct, bed.context(version=version))
    assert client.feature_names() == [f"{{{SASL}}}mechanisms", f"{{{CB}}}sasl-channel-binding", f"{{{LIMITS}}}limits"]
    assert client.mechanisms() == [*SCRAMS, "PLAIN"]
    assert client.bindings() == bindings
    assert client.features.findtext(f"{{{LIMITS}}}limits/{{{LIMITS}}}max-bytes") == "16384"


def test_features__after_login__are_bind_and_session(bed):
    client = bed.secure()
    assert client.scram("user0", "secret") is None
    client.open()
    assert client.feature_names() == [f"{{{BIND}}}bind", f"{{{SESSION}}}session", f"{{{LIMITS}}}limits"]
    assert client.features.findtext(f"{{{LIMITS}}}limits/{{{LIMITS}}}max-bytes") == str(256 * 1024)
    assert client.features.find(f"{{{SESSION}}}session/{{{SESSION}}}optional") is not None


def test_features__where_tls_is_optional__offer_scram_without_binding(plain_bed):
    client = plain_bed.connect().open()
    assert client.feature_names() == [f"{{{TLS}}}starttls", f"{{{SASL}}}mechanisms"]
    assert client.features[0].find(f"{{{TLS}}}required") is None
    assert client.mechanisms() == ["SCRAM-SHA-256", "SCRAM-SHA-1"]  # PLAIN under TLS only


def test_headers__of_each_restart__have_their_own_id(bed):
    client = bed.connect().open()
    ids = [client.header["id"]]
    client.start_tls(bed.context())
    ids.append(client.open().header["id"])
    assert client.scram("user0", "secret") is None
    ids.append(client.open().header["id"])
    assert len(set(ids)) == 3


# ---- what is reachable ----

@pytest.mark.parametrize("data, error", [
    (AUTH, "not-authorized"), (BIND_REQUEST, "not-authorized"), (MESSAGE, "not-authorized"),
    ("<presence/>", "not-authorized"), (RESUME, "not-authorized"), (COMPRESS, "not-authorized"),
    (AUTHENTICATE, "not-authorized"), (f"<response xmlns='{SASL}'/>", "not-authorized"),
    (f"<abort xmlns='{SASL}'/>", "not-authorized"), (f"<proceed xmlns='{TLS}'/>", "not-authorized"),
    ("<starttls/>", "not-authorized"), (HEADER + "</stream:stream>", "bad-format"),
], ids=["auth", "bind", "message", "presence", "resume", "compress", "authenticate", "response", "abort", "proceed",
        "starttls-of-no-namespace", "header"])
def test_before_tls__nothing_but_starttls__is_reachable(bed, data, error):
    client = bed.connect().open()
    client.send(data)
    client.expect_error(error)


@pytest.mark.parametrize("data, error", [
    (BIND_REQUEST, "not-authorized"), (MESSAGE, "not-authorized"), ("<presence/>", "not-authorized"),
    (RESUME, "not-authorized"), (f"<response xmlns='{SASL}'>eA==</response>", "not-authorized"),
    (f"<abort xmlns='{SASL}'/>", "not-authorized"), (f"<starttls xmlns='{TLS}'/>", "not-authorized"),
    (f"<success xmlns='{SASL}'/>", "not-authorized"), (HEADER + "</stream:stream>", "bad-format"),
], ids=["bind", "message", "presence", "resume", "response", "abort", "starttls", "success", "header"])
def test_before_authentication__nothing_but_auth__is_reachable(bed, data, error):
    client = bed.secure()
    client.send(data)
    client.expect_error(error)


@pytest.mark.parametrize("data, error", [
    (MESSAGE, "not-authorized"), ("<presence/>", "not-authorized"), (AUTH, "not-authorized"),
    (f"<starttls xmlns='{TLS}'/>", "not-authorized"), (HEADER + "</stream:stream>", "bad-format"),
    ("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", "not-authorized"),
    (f"<iq type='set' id='1'><session xmlns='{SESSION}'/></iq>", "not-authorized"),
], ids=["message", "presence", "auth", "starttls", "header", "ping", "session"])
def test_before_binding__nothing_but_bind__is_reachable(bed, data, error):
    """RFC 6120 s7.1."""
    client = bed.secure()
    assert client.scram("user0", "secret") is None
    client.open()
    client.send(data)
    client.expect_error(error)


@pytest.mark.parametrize("data", [AUTH, f"<starttls xmlns='{TLS}'/>", RESUME, COMPRESS], ids=["auth", "tls", "sm", "zip"])
def test_in_a_session__negotiation__is_over(bed, data):
    client = bed.login("user0")
    client.send(data)
    client.expect_error("unsupported-stanza-type")


def test_in_a_session__another_bind__is_refused(bed):
    """RFC 6120 s7.1: one resource a stream."""
    client = bed.login("user0", "first")
    assert client.bind("second") == "not-allowed"  # s7.6.2.2
    client.ping()
    assert [row["jid"] for row in bed.sessions()] == ["user0@localhost/first"]
