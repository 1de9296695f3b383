# SPDX-License-Identifier: MIT
"""Deadlines and limits: n is accepted, n + 1 is refused with the right stream error, and nobody can take his time."""
import time

import pytest

import bed as bed_module
import wire
from wire import CLIENT, SASL, TLS

HURRY = ("timeouts.header=400ms", "timeouts.tls=400ms", "timeouts.login=700ms")
LIMITS = ("limits.stanza_size=20000B", "limits.stanza_size_unauthenticated=10000B", "limits.depth=10",
          "limits.attributes=8", "limits.elements=32", "limits.elements_unauthenticated=16", "limits.name_size=64B",
          "limits.namespaces=16")


@pytest.fixture
def hasty(start_bed):
    return start_bed(settings=HURRY)


@pytest.fixture
def narrow(start_bed):
    return start_bed(settings=LIMITS)


def wait_for_end(client):
    """Seconds until the router ended the connection, whatever it said."""
    begin = time.monotonic()
    try:
        client.wire.wait_for_end()
    except (ConnectionResetError, BrokenPipeError):
        pass
    return time.monotonic() - begin


def drip(client, data, seconds=5):
    """One byte every 100 ms; how long the router bore it."""
    begin = time.monotonic()
    for i in range(len(data)):
        try:
            client.wire.send_raw(data[i:i + 1])
            client.event(0.1)
            break
        except (TimeoutError, BlockingIOError):
            pass
        except (ConnectionResetError, BrokenPipeError):
            break
        assert time.monotonic() - begin < seconds, "the router bears it for ever"
    return time.monotonic() - begin


# ---- deadlines ----

def test_silence__before_the_header__is_a_timeout(hasty):
    client = hasty.connect()
    begin = time.monotonic()
    client.expect_error("connection-timeout")
    assert 0.3 < time.monotonic() - begin < 3


def test_drip__of_a_header__does_not_buy_time(hasty):
    client = hasty.connect()
    assert drip(client, wire.header()) < 3


# Holds 6120:5.4.3.1/2.
def test_silence__after_starttls__ends_without_xml(hasty):
    client = hasty.connect().open()
    client.send(f"<starttls xmlns='{TLS}'/>")
    client.expect(f"{{{TLS}}}proceed")
    client.bytes.clear()
    assert 0.3 < wait_for_end(client) < 3


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01\x02\x00"], ids=["silence", "drip"])
def test_direct_tls__without_a_handshake__ends(hasty, data):
    client = hasty.connect(tls=True)
    for i in range(len(data)):
        client.wire.send_raw(data[i:i + 1])
        time.sleep(0.1)
    assert wait_for_end(client) < 3


def test_silence__behind_the_handshake__is_a_timeout(hasty):
    client = hasty.connect(tls=True)
    client.direct_tls(hasty.context())
    client.expect_error("connection-timeout")


# Holds stream:connection-timeout - a negotiation that does not end in its time.
def test_silence__instead_of_a_login__is_a_timeout(hasty):
    client = hasty.secure()
    begin = time.monotonic()
    client.expect_error("connection-timeout")
    assert 0.5 < time.monotonic() - begin < 3


def test_silence__in_the_sasl_exchange__is_a_timeout(hasty):
    client = hasty.secure()
    client.auth("SCRAM-SHA-256", b"n,,n=user0,r=abcdef")
    assert client.sasl_answer()[0] == "challenge"
    client.expect_error("connection-timeout")


def test_blanks_and_failed_logins__do_not_buy_time(hasty):
    client = hasty.secure()
    begin = time.monotonic()
    with pytest.raises((wire.Wrong, OSError)):
        while time.monotonic() - begin < 5:
            client.send(" ")
            client.is_silent(0.1)
    assert time.monotonic() - begin < 3


def test_silence__instead_of_a_resource__is_a_timeout(hasty):
    client = hasty.secure()
    assert client.scram("user0", "secret") is None
    begin = time.monotonic()
    client.restart()
    client.expect_error("connection-timeout")
    assert time.monotonic() - begin < 3


def test_session__has_no_deadline(hasty):
    client = hasty.login("user0")
    before = hasty.stats()["negotiation_timeouts"]
    client.is_silent(1.2)
    client.ping()
    assert hasty.stats()["negotiation_timeouts"] == before


def test_idle_session__gets_blanks(start_bed):
    """RFC 6120 s4.6.1: a blank now and then, so that a dead connection is found; the client need not answer."""
    bed = start_bed(settings=["timeouts.idle=300ms", "timeouts.answer=0"])
    client = bed.login("user0")
    client.bytes.clear()
    client.is_silent(1.0)
    assert 1 <= bytes(client.bytes).count(b" ") <= 5 and not bytes(client.bytes).strip()
    client.ping()


def test_silent_session__is_asked__and_closed_if_it_does_not_answer(start_bed):
    """RFC 6120 s4.6.2, XEP-0199 s4.2."""
    bed = start_bed(settings=["timeouts.idle=300ms", "timeouts.answer=1s"])
    client, mute = bed.login("user0"), bed.login("user1")
    for _ in range(5):
        ping = client.stanza()
        assert ping.tag == f"{{{CLIENT}}}iq" and ping.get("type") == "get" and ping.get("to") == client.jid
        assert ping[0].tag == "{urn:xmpp:ping}ping"
        client.send(f"<iq type='result' id='{ping.get('id')}' to='localhost'/>")
    assert mute.stanza()[0].tag == "{urn:xmpp:ping}ping"
    mute.expect_error("connection-timeout")
    client.ping()
    assert bed.stats()["sessions_silent"] == 1


def test_connection__stays_until_close_notify(start_bed):
    """RFC 6120 s4.4: who sends the end tag alone is waited for, up to timeouts.close."""
    bed = start_bed(name="close", settings=["timeouts.close=20s"])
    client = bed.login("user0")
    client.send("</stream:stream>")
    assert client.event()[0] == "footer"
    assert client.event()[0] == "end" and client.wire.was_notified
    assert bed.stats()["connections"] == 1
    client.wire.notify()
    assert bed_module.wait_until(lambda: bed.stats()["connections"] == 0)


# ---- limits of XML ----

def message(size=None, inside="", attributes=""):
    """A message to user1, of exactly size bytes if given."""
    text = f"<message to='user1@localhost'{attributes}>{inside}<body></body></message>"
    if size:
        text = text.replace("<body>", "<body>" + "x" * (size - len(text)))
        assert len(text) == size
    return text


def nested(depth):
    """So deep with the message itself."""
    return message(inside="<a>" * (depth - 1) + "</a>" * (depth - 1))


def with_attributes(count):
    return message(inside="<a " + " ".join(f"n{i}='x'" for i in range(count)) + "/>")


def with_elements(count):
    return message(inside="<a/>" * (count - 2))


def with_name(size):
    return message(inside=f"<{'n' * size}/>")


def with_namespaces(count):
    declared = [f"xmlns:p{i}='urn:{i}'" for i in range(count)]
    rows = [declared[i:i + 4] for i in range(0, count, 4)]
    return message(inside="".join(f"<a {' '.join(row)}>" for row in rows) + "</a>" * len(rows))


CASES = {
    "size": (message, 20000, 20001), "depth": (nested, 10, 11), "attributes": (with_attributes, 8, 9),
    "elements": (with_elements, 32, 33), "name": (with_name, 64, 65),
}


# Holds 6120:13.12/6.
# Holds stream:policy-violation - a stanza over a limit of the configuration.
@pytest.mark.parametrize("make, good, bad", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("piece", [0, 1000, 7], ids=["whole", "pieces of 1000", "pieces of 7"])
def test_limit__in_a_session__is_exact(narrow, make, good, bad, piece):
    client, other = narrow.login("user0"), narrow.login("user1")
    send(client, make(good), piece)
    assert other.stanza().tag == f"{{{CLIENT}}}message"
    client.ping()
    send(client, make(bad), piece)
    client.expect_error("policy-violation")
    other.ping()
    assert not other.events


def send(client, text, piece):
    data = text.encode()
    for at in range(0, len(data), piece or len(data)):
        try:
            client.send(data[at:at + (piece or len(data))])
        except (BrokenPipeError, ConnectionResetError):
            return


def test_limit__of_namespaces__is_refused_beyond(narrow):
    """How many the stream itself takes of them is the router's business: a few less than the limit pass."""
    client, other = narrow.login("user0"), narrow.login("user1")
    client.send(with_namespaces(12))
    other.stanza()
    client.send(with_namespaces(17))
    client.expect_error("policy-violation")


@pytest.mark.parametrize("piece", [0, 7], ids=["whole", "pieces"])
def test_size__before_login__is_exact(narrow, piece):
    """RFC 6120 s13.12: 10,000 bytes are the floor for anybody."""
    frame = f"<auth xmlns='{SASL}' mechanism='NONE'></auth>"
    for size, answer in ((10000, "failure"), (10001, "error")):
        client = narrow.secure()
        send(client, frame.replace("></", ">" + "A" * (size - len(frame)) + "</"), piece)
        if answer == "error":
            client.expect_error("policy-violation")
        else:
            assert client.sasl_answer() == ("failure", "invalid-mechanism")


def test_header__over_the_limit__is_refused(narrow):
    client = narrow.connect()
    client.send(wire.header(attributes=f" a='{'x' * 10000}'"))
    client.expect_error("policy-violation")


def test_elements__before_login__are_limited(narrow):
    for count, error in ((16, "not-authorized"), (17, "policy-violation")):
        client = narrow.secure()
        client.send(with_elements(count))
        client.expect_error(error)


@pytest.mark.parametrize("size", [10000, 256 * 1024])
def test_size__by_default__is_as_promised(bed, size):
    """RFC 6120 s13.12, and what the features told (XEP-0478)."""
    client, other = bed.login("user0"), bed.login("user1")
    client.send(message(size))
    assert len(other.body()) > size - 200
    client.send(message(256 * 1024 + 1))
    client.expect_error("policy-violation")


def test_endless_stanza__costs_no_more_than_the_limit(bed):
    client = bed.login("user0")
    before = wire.rss(bed.pid)
    client.send(b"<message>")
    for _ in range(200):  # what comes behind the error is read and thrown away, up to timeouts.close
        client.send(b"x" * 65536)
    client.expect_error("policy-violation")
    if not bed_module.is_sanitized():
        assert wire.rss(bed.pid) - before < 8 << 20


# ---- limits of counts ----

# Holds stanza:resource-constraint - one resource more than bind.sessions_max.
# Holds 6120:7.6.2.1/1 6120:13.12/4.
def test_sessions__one_too_many_of_an_account__are_refused(start_bed):
    bed = start_bed(settings=["bind.sessions_max=3"])
    held = [bed.login("user0", f"r{n}") for n in range(3)]
    client = bed.secure()
    assert client.scram("user0", "secret") is None
    client.open()
    assert client.bind("r3") == "resource-constraint"  # RFC 6120 s7.6.2.1
    held[0].end()
    assert client.bind("r3") is None  # the same stream may try again


# Holds 6120:13.12/2.
def test_connections__one_too_many_of_an_address__are_closed(start_bed):
    bed = start_bed(settings=["limits.connections_per_address=4"])
    assert bed_module.wait_until(lambda: bed.stats()["connections"] == 0)
    held = [bed.connect().open() for _ in range(4)]
    try:
        client = bed.connect()
        client.send(wire.header())
        assert client.event()[0] == "end"
    except (ConnectionResetError, BrokenPipeError):
        pass
    held[0].end()
    assert bed_module.wait_until(lambda: bed.stats()["connections"] == 3)

    def is_let_in():
        try:
            return bed.connect().open()
        except (ConnectionResetError, BrokenPipeError):
            return None
    assert bed_module.wait_until(is_let_in, 5)


# Holds sasl:temporary-auth-failure - more wrong passwords from an address than limits.failed_logins_per_address.
def test_failed_logins__of_an_address__hold_right_passwords_too(start_bed):
    """Whatever the shard; and who is in stays in."""
    bed = start_bed(settings=["limits.failed_logins_per_address=6"])
    session = bed.login("user0")
    for n in range(6):
        assert bed.secure().scram("nobody" if n % 2 else "user1", "wrong") == "not-authorized"
    for user, password in (("user1", "secret"), ("user1", "wrong"), ("nobody", "wrong")):
        assert bed.secure().scram(user, password) == "temporary-auth-failure"
    assert bed.stats()["logins_held"] == 3
    assert any("limits.failed_logins_per_address" in line and "prefix=127.0.0.1/32" in line for line in bed.log())
    session.ping()
    assert any("limits.failed_logins_per_address" in line for line in bed.ask("show limits"))


# Holds stream:policy-violation - more TLS handshakes from an address than limits.handshakes_per_address.
def test_handshakes__of_an_address__are_refused_beyond_its_share(start_bed):
    bed = start_bed(settings=["limits.handshakes_per_address=3", "limits.handshakes_time=24h"])
    session = bed.login("user0")
    for direct in (True, False):
        bed.secure(direct=direct)
    client = bed.connect().open()
    client.send(f"<starttls xmlns='{TLS}'/>")
    client.expect(f"{{{TLS}}}failure")  # RFC 6120 s5.4.2.1: an answer to the command, whatever follows
    client.expect_error("policy-violation")
    with pytest.raises((wire.Wrong, OSError)):
        bed.secure(direct=True)
    assert bed.stats()["handshakes_held"] == 2
    session.ping()
