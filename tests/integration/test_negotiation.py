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

# Holds 6120:5.4.1/4 6120:6.3.4/1.
def test_features__before_tls__are_starttls_required_alone(bed):
    client = bed.connect().open()
    assert client.feature_names() == [f"{{{TLS}}}starttls"]
    starttls = client.features[0]
    assert [child.tag for child in starttls] == [f"{{{TLS}}}required"]
    assert not starttls.attrib and not starttls.text


# Holds 6120:6.3.3/1 6120:6.4.1/4.
@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
@pytest.mark.parametrize("version, bindings", [(TLS12, ["tls-exporter", "tls-unique", "tls-server-end-point"]),
                                               (TLS13, ["tls-exporter", "tls-server-end-point"])], ids=["1.2", "1.3"])
def test_features__under_tls__are_sasl_and_limits(bed, direct, version, bindings):
    client = bed.secure(direct, bed.context(version=version))
    assert client.feature_names() == [f"{{{SASL}}}mechanisms", f"{{{CB}}}sasl-channel-binding", f"{{{LIMITS}}}limits"]
    assert client.mechanisms() == [*SCRAMS, "PLAIN"]
    assert client.bindings() == bindings
    assert client.features.findtext(f"{{{LIMITS}}}limits/{{{LIMITS}}}max-bytes") == "16384"


# Holds 6120:6.4.6/4.
def test_features__after_login__are_bind_and_session(bed):
    client = bed.secure()
    assert client.scram("user0", "secret") is None
    client.open()
    assert client.feature_names() == [f"{{{BIND}}}bind", f"{{{SESSION}}}session", f"{{{LIMITS}}}limits"]
    assert client.features.findtext(f"{{{LIMITS}}}limits/{{{LIMITS}}}max-bytes") == str(256 * 1024)
    assert client.features.find(f"{{{SESSION}}}session/{{{SESSION}}}optional") is not None


# Holds 6120:6.3.4/1.
def test_features__where_tls_is_optional__offer_scram_without_binding(plain_bed):
    client = plain_bed.connect().open()
    assert client.feature_names() == [f"{{{TLS}}}starttls", f"{{{SASL}}}mechanisms"]
    assert client.features[0].find(f"{{{TLS}}}required") is None
    assert client.mechanisms() == ["SCRAM-SHA-256", "SCRAM-SHA-1"]  # PLAIN under TLS only


# Holds 6120:4.3.3/3.
def test_headers__of_each_restart__have_their_own_id(bed):
    client = bed.connect().open()
    ids = [client.header["id"]]
    client.start_tls(bed.context())
    ids.append(client.open().header["id"])
    assert client.scram("user0", "secret") is None
    ids.append(client.open().header["id"])
    assert len(set(ids)) == 3


# ---- what is reachable ----

# Holds 6120:5.3.1/1 6120:feature/tls-mtn.
@pytest.mark.parametrize("data, error", [
    (BIND_REQUEST, "not-authorized"), (MESSAGE, "not-authorized"),
    ("<presence/>", "not-authorized"), (RESUME, "not-authorized"), (COMPRESS, "not-authorized"),
    (AUTHENTICATE, "not-authorized"), (f"<proceed xmlns='{TLS}'/>", "not-authorized"),
    ("<starttls/>", "not-authorized"), (HEADER + "</stream:stream>", "bad-format"),
], ids=["bind", "message", "presence", "resume", "compress", "authenticate", "proceed",
        "starttls-of-no-namespace", "header"])
def test_before_tls__nothing_but_starttls__is_reachable(bed, data, error):
    client = bed.connect().open()
    client.send(data)
    client.expect_error(error)


# Holds 6120:6.3.1/1 6120:13.12/1.
# Holds stream:bad-format - a second header within a stream.
@pytest.mark.parametrize("data, error", [
    (BIND_REQUEST, "not-authorized"), (MESSAGE, "not-authorized"), ("<presence/>", "not-authorized"),
    (RESUME, "not-authorized"), (f"<success xmlns='{SASL}'/>", "not-authorized"),
    (HEADER + "</stream:stream>", "bad-format"),
], ids=["bind", "message", "presence", "resume", "success", "header"])
def test_before_authentication__nothing_but_auth__is_reachable(bed, data, error):
    client = bed.secure()
    client.send(data)
    client.expect_error(error)


# Holds 6120:7.1/3 6120:7.3.1/1 6120:feature/bind-mtn.
@pytest.mark.parametrize("data, error", [
    (MESSAGE, "not-authorized"), ("<presence/>", "not-authorized"), (AUTH, "not-authorized"),
    (HEADER + "</stream:stream>", "bad-format"),
    ("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", "not-authorized"),
    (f"<iq type='set' id='1'><session xmlns='{SESSION}'/></iq>", "not-authorized"),
    (f"<iq type='result' id='1'><bind xmlns='{BIND}'/></iq>", "not-authorized"),
    (f"<iq type='set' id='1' to='user1@localhost'><bind xmlns='{BIND}'/></iq>", "not-authorized"),
    (f"<iq type='set' id='1' to='user0@localhost/x'><bind xmlns='{BIND}'/></iq>", "not-authorized"),
    (f"<iq type='set' id='1' to='elsewhere.example'><bind xmlns='{BIND}'/></iq>", "not-authorized"),
    (f"<iq type='set' id='1' from='user1@localhost'><bind xmlns='{BIND}'/></iq>", "invalid-from"),
    (f"<iq type='set' id='1' from='@@'><bind xmlns='{BIND}'/></iq>", "invalid-from"),
    (f"<iq type='set' id='{'i' * 1025}'><bind xmlns='{BIND}'/></iq>", "policy-violation"),
], ids=["message", "presence", "auth", "header", "ping", "session", "result", "to-another", "to-a-session", "to-a-domain",
        "from-another", "from-nowhere", "long-id"])
def test_before_binding__nothing_but_bind__is_reachable(bed, data, error):
    """RFC 6120 s7.1."""
    client = authenticated(bed)
    client.send(data)
    client.expect_error(error)


@pytest.mark.parametrize("attributes", ["", " to='localhost'", " to='User0@localhost'", " from='user0@localhost'"],
                         ids=["bare", "to-server", "to-account", "from-account"])
def test_binding__asked_of_the_server_or_the_account__succeeds(bed, attributes):
    client = authenticated(bed)
    client.send(f"<iq type='set' id='1'{attributes}><bind xmlns='{BIND}'/></iq>")
    assert client.element().get("type") == "result"


@pytest.mark.parametrize("kind, payload, error", [
    ("get", f"<bind xmlns='{BIND}'/>", "bad-request"), ("query", f"<bind xmlns='{BIND}'/>", "bad-request"),
    ("set", f"<bind xmlns='{BIND}'/><bind xmlns='{BIND}'/>", "bad-request"),
    ("set", f"<bind xmlns='{BIND}'><resource><a/></resource></bind>", "bad-request"),
    ("set' to='@@", f"<bind xmlns='{BIND}'/>", "jid-malformed"),
], ids=["get", "undefined", "two", "xml", "to-malformed"])
def test_binding__that_is_no_request__may_be_tried_again(bed, kind, payload, error):
    """RFC 6120 s7.6.1, s7.7.3."""
    client = authenticated(bed)
    client.send(f"<iq type='{kind}' id='1'>{payload}</iq>")
    answer = client.element()
    assert answer.get("id") == "1" and wire.condition(answer) == error
    assert client.bind("x") is None and client.jid == "user0@localhost/x"


@pytest.mark.parametrize("resource", ["a\u0085b", "a\u200bb", "", "r" * 1024, "r" * 5000, "\u0378"])
def test_binding__of_what_is_no_resourcepart__gets_another(bed, resource):
    """RFC 6120 s7.7.2.1: it SHOULD be brought into conformance rather than refused."""
    client = authenticated(bed)
    client.send(f"<iq type='set' id='1'><bind xmlns='{BIND}'><resource>{resource}</resource></bind></iq>")
    jid = client.element().findtext(f"{{{BIND}}}bind/{{{BIND}}}jid")
    assert jid.startswith("user0@localhost/") and len(jid) == len("user0@localhost/") + 16


@pytest.mark.parametrize("limit", [6, 11])
def test_binding__refused_too_often__ends_the_stream(start_bed, limit):
    """RFC 6120 s7.7.3."""
    client = authenticated(start_bed(settings=[f"bind.attempts_max={limit}"]))
    for _ in range(limit):
        client.send(f"<iq type='get' id='1'><bind xmlns='{BIND}'/></iq>")
        assert wire.condition(client.element()) == "bad-request"
    client.expect_error("policy-violation")


# ---- what is answered although it has no place ----

STAGES = {
    "before-tls": lambda bed: bed.connect().open(),
    "before-authentication": lambda bed: bed.secure(),
    "before-authentication-direct": lambda bed: bed.secure(direct=True),
    "in-the-exchange": lambda bed: exchanging(bed),
    "before-binding": lambda bed: authenticated(bed),
    "in-a-session": lambda bed: bed.login("user0"),
}


def authenticated(bed):
    client = bed.secure()
    assert client.scram("user0", "secret") is None
    return client.open()


def exchanging(bed):
    client = bed.secure()
    client.auth("SCRAM-SHA-256", b"n,,n=user0,r=fyko+d2lbbFgONRv9qkxdawL")
    assert client.sasl_answer()[0] == "challenge"
    return client


# Holds 6120:5.4.2.1/1 6120:5.4.2.2/1.
@pytest.mark.parametrize("stage", [name for name in STAGES if name != "before-tls"])
def test_starttls__where_it_is_not_offered__fails_and_ends_the_stream(bed, stage):
    """RFC 6120 s5.4.2.1, s5.4.2.2."""
    client = STAGES[stage](bed)
    client.send(f"<starttls xmlns='{TLS}'/>")
    client.expect(f"{{{TLS}}}failure")
    client.expect_end()


@pytest.mark.parametrize("command", ["<a/>", "text", " ", "<required/><required/>", "<required>x</required>", "<required/>x",
                                     "<required xmlns='x'/>"])
def test_starttls__malformed__fails_and_ends_the_stream(bed, command):
    """RFC 6120 s5.4.2.2; the schema in A.3 has <required/> or nothing."""
    client = bed.connect().open()
    client.send(f"<starttls xmlns='{TLS}'>{command}</starttls>")
    client.expect(f"{{{TLS}}}failure")
    client.expect_end()


@pytest.mark.parametrize("command", ["<starttls xmlns='{}'/>", "<starttls xmlns='{}'></starttls>",
                                     "<starttls xmlns='{}'><required/></starttls>", "<t:starttls xmlns:t='{}'/>"])
def test_starttls__in_every_spelling__proceeds(bed, command):
    client = bed.connect().open()
    client.send(command.format(TLS))
    client.expect(f"{{{TLS}}}proceed")


def sasl_failure(client, data):
    client.send(data)
    kind, value = client.sasl_answer()
    assert kind == "failure"
    return value


@pytest.mark.parametrize("stage", ["before-tls", "before-authentication"])
@pytest.mark.parametrize("data, error", [
    (f"<abort xmlns='{SASL}'/>", "aborted"), (f"<response xmlns='{SASL}'/>", "malformed-request"),
    (f"<response xmlns='{SASL}'>eA==</response>", "malformed-request"),
    (f"<response xmlns='{SASL}'>*</response>", "malformed-request"),
], ids=["abort", "response", "response-with-data", "response-no-base64"])
def test_sasl__without_a_handshake__fails_and_counts(bed, stage, data, error):
    """RFC 6120 s6.4.4, s6.5.8, s6.4.5."""
    client = STAGES[stage](bed)
    for _ in range(5):
        assert sasl_failure(client, data) == error
    client.expect_error("policy-violation")


# Holds sasl:encryption-required - <auth/> before a TLS that is required.
@pytest.mark.parametrize("mechanism, error", [
    *((name, "encryption-required") for name in (*SCRAMS, "PLAIN")), ("EXTERNAL", "invalid-mechanism"),
    ("ANONYMOUS", "invalid-mechanism"), ("", "invalid-mechanism")])
def test_auth__where_tls_is_required__wants_encryption_and_may_follow_it(bed, mechanism, error):
    """RFC 6120 s6.5.4, s6.5.7: the stream goes on (s6.4.5), and so does TLS."""
    client = bed.connect().open()
    assert sasl_failure(client, f"<auth xmlns='{SASL}' mechanism='{mechanism}'>AHVzZXIwAHNlY3JldA==</auth>") == error
    client.start_tls(bed.context())
    assert client.open().scram("user0", "secret") is None


# Holds stream:unsupported-stanza-type - an element that is no stanza, in a bound stream.
@pytest.mark.parametrize("data", [AUTH, RESUME, COMPRESS], ids=["auth", "sm", "zip"])
def test_in_a_session__negotiation__is_over(bed, data):
    client = bed.login("user0")
    client.send(data)
    client.expect_error("unsupported-stanza-type")


# Holds 6120:7.6.2.2/1.
def test_in_a_session__another_bind__is_refused(bed):
    """RFC 6120 s7.1: one resource a stream; s7.6.2.2."""
    client = bed.login("user0", "first")
    assert client.bind("second") == "not-allowed"
    client.ping()
    assert [row["jid"] for row in bed.sessions()] == ["user0@localhost/first"]
