# SPDX-License-Identifier: MIT
"""Random kill: a client that is cut after n bytes, for every n of a whole session, by RST, by FIN and by silence. After
it the router holds nothing: no connection, no session, no descriptor, no memory, and the books balance."""
import os
import ssl
import time

import pytest

import bed as bed_module
import scram
import wire
from wire import CLIENT

SECONDS = 3.0  # for the offsets of one kind, unless SL_LONG
WAYS = ("rst", "fin", "silence")
SILENT_AT_ONCE = 600
SETTINGS = ("timeouts.header=1s", "timeouts.tls=1s", "timeouts.login=1s", "timeouts.close=300ms",
            "bind.sessions_max=1000")


def whole_session(bed, budget=None, secure=True, direct=False, version=None):
    """Header, STARTTLS, handshake, SCRAM, bind, presence, messages, end; cut when the budget is spent. The client."""
    client = bed.connect(budget=budget, tls=direct)
    bed.clients.remove(client)
    try:
        context = session_context(bed, version) if secure else None
        if direct:
            client.direct_tls(context)
        client.open()
        if secure and not direct:
            client.start_tls(context)
            client.open()
        assert client.scram("user0", "secret") is None
        client.open()
        assert client.bind() is None
        client.send("<presence/>")
        client.message("user0@localhost", "to myself")
        client.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "localhost")
        client.message("nobody@localhost", "to nobody")
        client.ping()
        client.end()
    except wire.Cut:
        pass
    return client


CONTEXTS = {}


def session_context(bed, version):
    """One context for all: reading the CA 10,000 times would be most of the run."""
    key = (bed.folder, version)
    if key not in CONTEXTS:
        CONTEXTS[key] = bed.context(version=version)
        CONTEXTS[key].options |= ssl.OP_NO_TICKET
    return CONTEXTS[key]


def cut(client, way):
    """True if the socket is still to be closed later."""
    try:
        if way == "rst":
            client.wire.reset()
        elif way == "fin":
            client.wire.fin()
            client.close()
        else:
            return True
    except OSError:
        pass
    return False


def offsets(total):
    """All of them in an order that is spread evenly at any point: a run that ends early has looked everywhere."""
    step = next(n for n in range(int(total * 0.618), total) if all(n % p for p in (2, 3, 5, 7, 11, 13)) and total % n)
    seen = set()
    at = 0
    for _ in range(total):
        if at not in seen:
            seen.add(at)
            yield at
        at = (at + step) % total
    yield from (n for n in range(total) if n not in seen)


def kill_everywhere(bed, way, **form):
    """How many offsets were tried, of how many."""
    whole = whole_session(bed, **form)
    total = whole.wire.sent
    until = time.monotonic() + (1e9 if bed_module.IS_LONG else SECONDS)
    silent, tried = [], 0
    for at in offsets(total):
        if time.monotonic() > until:
            break
        client = whole_session(bed, budget=at, **form)
        tried += 1
        if cut(client, way):
            silent.append(client)
        if len(silent) >= SILENT_AT_ONCE:
            close_silent(silent)
    close_silent(silent)
    return tried, total


def close_silent(clients):
    """They say nothing until the router's deadlines are over; bound ones have none and are closed by us."""
    time.sleep(1.4)
    for client in clients:
        client.close()
    clients.clear()


def descriptors(bed):
    return len(os.listdir(f"/proc/{bed.pid}/fd"))


FORMS = {
    "plain": ({"plaintext": True}, {"secure": False}),
    "starttls 1.3": ({}, {"version": ssl.TLSVersion.TLSv1_3}),
    "direct 1.2": ({}, {"direct": True, "version": ssl.TLSVersion.TLSv1_2}),
}


@pytest.mark.parametrize("made, form", FORMS.values(), ids=FORMS.keys())
def test_client__cut_at_any_byte__leaves_nothing_behind(start_bed, made, form):
    bed = start_bed(settings=SETTINGS, **made)
    scram.salted.cache_clear()
    for _ in range(30):  # pools and tables have their size after these
        whole_session(bed, **form)
    assert bed_module.wait_until(lambda: not bed.difference()), bed.difference()
    files, memory = descriptors(bed), wire.rss(bed.pid)
    for way in WAYS:
        tried, total = kill_everywhere(bed, way, **form)
        print(f"{way}: {tried} of {total} offsets")
        assert tried == total or (tried > 50 and not bed_module.IS_LONG)
        assert bed_module.wait_until(lambda: not bed.difference()), bed.difference()
    assert bed_module.wait_until(lambda: descriptors(bed) <= files), (descriptors(bed), files)
    grown = wire.rss(bed.pid) - memory
    print(f"resident memory grew by {grown >> 10} KiB")
    if not bed_module.is_sanitized():
        assert grown < 8 << 20
    client = bed.login("user1", secure=form.get("secure", True))
    client.message(client.jid, "alive")
    assert client.stanza().findtext(f"{{{CLIENT}}}body") == "alive"
    client.end()


def test_recipient__cut_while_it_is_written_to__loses_nothing_of_the_books(bed):
    """Messages cross shards while their recipient goes away and comes back; every one ends in one counter."""
    sender, other = bed.pair()
    user = other.jid.partition("@")[0]
    for n in range(60):
        for _ in range(20):
            sender.message(f"{user}@localhost/r", "x" * 300)
        if n % 3 == 0:
            other.wire.reset()
        elif n % 3 == 1:
            other.close()
        else:
            other.send("</stream:stream>")
        for _ in range(20):
            sender.message(f"{user}@localhost/r", "x" * 300)
        other = bed.login(user, "r", is_available=False)  # messages may come before it says anything
    sender.ping()
