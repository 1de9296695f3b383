# SPDX-License-Identifier: MIT
"""The stream header (RFC 6120 s4.7, s4.8): addresses, version, restarts for another domain, and the orderly end."""
import time

import pytest

import wire
from wire import TLS

DOMAINS = ("localhost", "other.example")


@pytest.fixture
def two(start_bed):
    return start_bed(domains=DOMAINS, users=2)


def refused(client, error, to=None, **more):
    client.restart()
    client.send(wire.header(to, **more))
    return client.expect_error(error)


def test_unknown_host__is_host_unknown(two):
    client = two.connect()
    refused(client, "host-unknown", "nobody.example")
    assert client.header["from"] == "localhost"


@pytest.mark.parametrize("to", ["", "a@localhost@", "user0@localhost", "localhost/x", "exa mple", "-.example", "a..b"],
                         ids=["empty", "two ats", "localpart", "resource", "blank", "hyphen", "dots"])
def test_to__that_is_no_domain__is_refused(two, to):
    client = two.connect()
    client.send(wire.header(to))
    element = client.until_element()
    assert wire.condition(element) in ("improper-addressing", "host-unknown")
    client.expect_end()


# Holds stream:improper-addressing - a header whose 'to' is no domain.
def test_to__that_is_no_address__is_improper_addressing(two):
    refused(two.connect(), "improper-addressing", "a..b")


# Holds stream:bad-namespace-prefix - a header that gives jabber:client a prefix and no default namespace.
def test_content_namespace__with_a_prefix__is_bad_namespace_prefix(two):
    """RFC 6120 s4.8.5: what comes from us has no prefix, so without a default namespace there is no content."""
    client = two.connect()
    client.send(wire.header().replace(b" xmlns='", b" xmlns:c='"))
    client.expect_error("bad-namespace-prefix")


def test_to__in_other_letters__is_the_same_domain(two):
    client = two.connect()
    client.send(wire.header("OTHER.example"))
    assert client.event()[1]["from"] == "other.example"


def test_no_to__with_several_domains__is_refused(two):
    refused(two.connect(), "host-unknown", None)


def test_no_to__with_one_domain__means_it(bed):
    client = bed.connect()
    client.send(wire.header(None))
    assert client.event()[1]["from"] == "localhost"


def test_no_to__under_tls__means_the_server_name(two):
    client = two.connect("other.example", tls=True)
    client.direct_tls(two.context())
    client.send(wire.header(None))
    assert client.event()[1]["from"] == "other.example"


# Holds 6120:4.7.5/7.
# Holds stream:unsupported-version - a header without version, or of one before 1.0.
@pytest.mark.parametrize("version, answer", [
    (None, None), ("", "1.0"), ("0.9", "0.9"), ("00.09", "0.9"), ("0.10", "0.10"), ("0.0", "0.0"), ("0.00", "0.0"),
    ("1", "1.0"), ("one", "1.0"), ("1.", "1.0"), (".0", "1.0"), ("-1.0", "1.0"), ("1.0 ", "1.0"), ("0.99999999999", "1.0")])
def test_version__missing_or_bad__is_unsupported(two, version, answer):
    """RFC 6120 s4.7.5: answered by the lower of the two versions, none by none."""
    client = two.connect()
    client.answered = answer
    refused(client, "unsupported-version", "localhost", version=version)


def test_version__missing_at_an_unknown_host__is_answered_by_none(two):
    client = two.connect()
    client.answered = None
    refused(client, "host-unknown", "nobody.example", version=None)


# Holds 6120:4.7.5/6.
@pytest.mark.parametrize("version", ["1.0", "1.1", "01.0", "2.0", "10.73"])
def test_version__at_least_ours__gets_ours(two, version):
    client = two.connect()
    client.send(wire.header("localhost", version=version))
    assert client.event()[1]["version"] == "1.0"


def test_from__in_the_header__comes_back_as_to(bed):
    client = bed.connect()
    client.send(wire.header("localhost", attributes=" from='Romeo@localhost/x'"))
    assert client.event()[1]["to"] == "romeo@localhost"


def test_from__that_is_no_address__is_invalid_from(bed):
    refused(bed.connect(), "invalid-from", "localhost", attributes=" from='@@'")


# Holds 6120:feature/sasl-correlate.
# Holds stream:invalid-from - a header in the name of another than who has authenticated.
def test_from__of_another__after_login_is_invalid_from(bed):
    client = bed.secure()
    assert client.scram("user0", "secret") is None
    refused(client, "invalid-from", "localhost", attributes=" from='user1@localhost'")


# Holds 6120:4.7.3/1 6120:feature/stream-attribute-response-id-unique.
def test_id__is_never_the_same(bed):
    ids = {bed.connect().open().header["id"] for _ in range(50)}
    assert len(ids) == 50


# ---- restarts for another domain (Prosody's CVE-2018-10847) ----

def test_restart__for_another_domain_after_tls__means_that_one(two):
    """RFC 6120 s5.4.3.3: what came before TLS is discarded; whoever changed it there changed nothing. There is no trust
    yet that could be carried over, and a client that verifies has seen whose certificate it was."""
    client = two.connect("localhost").open()
    client.start_tls(two.context())
    client.open("other.example")
    assert client.header["from"] == "other.example"
    assert client.scram("user0", "secret") is None
    client.open("other.example")
    assert client.bind() is None and client.jid.startswith("user0@other.example/")


def test_restart__for_another_domain_after_login__is_refused(two):
    client = two.secure()
    assert client.scram("user0", "secret") is None
    refused(client, "not-authorized", "other.example")


def test_server_name__of_another_domain_than_the_header__gives_no_identity_of_it(two):
    """The certificate is of one domain, the header of another: the header decides, and a client that verifies will see."""
    client = two.connect("other.example", tls=True)
    client.direct_tls(two.context(), "localhost")
    client.open("other.example")
    assert client.header["from"] == "other.example"
    assert client.scram("user0", "secret") is None
    client.open("other.example")
    assert client.bind() is None and client.jid.startswith("user0@other.example/")


# ---- the end ----

# Holds 6120:4.4/2.
@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
def test_end_tag__is_answered_with_end_tag_and_close_notify(bed, direct):
    client = bed.login("user0", direct=direct)
    client.end()


def test_end_tag__before_tls__is_answered(bed):
    bed.connect().open().end()


# Holds 6120:4.4/1.
def test_end_tag__with_stanzas_before_it__comes_after_their_answers(bed):
    client = bed.login("user0")
    client.send("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq></stream:stream>")
    assert client.stanza().get("id") == "1"
    client.expect_end()


def test_stanzas__behind_the_end_tag__are_thrown_away(bed):
    client, other = bed.login("user0"), bed.login("user1")
    client.send(f"</stream:stream>")
    client.send(f"<message to='{other.jid}'><body>too late</body></message>")
    client.expect_end()
    other.ping()
    assert not other.events


def test_close_notify__without_end_tag__ends_the_stream_in_order(bed):
    client = bed.login("user0")
    client.wire.notify()
    client.wire.wait_for_end()
    client.close()
    assert not bed.sessions()


def test_fin__without_end_tag__still_gets_ours(bed):
    client = bed.login("user0")
    client.wire.fin()
    client.expect_end()


def test_peer_that_does_not_close__is_closed_after_the_deadline(start_bed):
    """RFC 6120 s4.4: after our end tag the peer has some time, and then none."""
    bed = start_bed(settings=["timeouts.close=300ms"])
    client = bed.connect().open()
    client.send("<message/>")
    begin = time.monotonic()
    client.expect_error("not-authorized")  # ends with our FIN; the socket is still open on this side of it
    other = bed.connect().open()
    other.send("<message/>")
    element = other.element()
    assert wire.condition(element) == "not-authorized"
    time.sleep(0.8)
    assert bed.stats()["connections"] == 0
    assert time.monotonic() - begin < 5


# Holds 6120:4.9.1.1/2.
def test_stream_error__from_the_client__ends_the_stream_without_an_error(bed):
    """RFC 6120 s4.9.1.1."""
    client = bed.login("user0")
    client.send(f"<stream:error><reset xmlns='{wire.ERRORS}'/></stream:error></stream:stream>")
    client.expect_end()


def test_starttls_namespace__wrong__is_no_starttls(bed):
    client = bed.connect().open()
    client.send(f"<starttls xmlns='{TLS}x'/>")
    client.expect_error("not-authorized")
