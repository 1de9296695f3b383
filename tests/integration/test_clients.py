# SPDX-License-Identifier: MIT
"""A real client library, slixmpp, on two shards: logins by every way it knows, messages, XEPs; and what sessions do
with each other: conflicts, presence, keepalive."""
import asyncio
import re

import pytest

import wire
from person import TLS12, TLS13, Person, run


def as_slixmpp_can(version):
    """slixmpp 1.8 binds to tls-unique only, which TLS 1.3 has not (RFC 9266 s1)."""
    if version == TLS12:
        return {"version": TLS12, "mechanism": "SCRAM-SHA-256-PLUS"}
    return {"version": TLS13, "mechanism": "SCRAM-SHA-256", "binding": False}


@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
def test_two_people__on_two_shards__talk(bed, direct, version):
    async def steps():
        how = as_slixmpp_can(version)
        first = Person(bed, "user0", **how)
        assert await first.log_in(direct) is None
        for n in range(1, 24):
            other = Person(bed, f"user{n}", **how)
            assert await other.log_in(direct) is None
            if other.row()["shard"] != first.row()["shard"]:
                break
            await other.log_out()
        assert {first.row()["shard"], other.row()["shard"]} == {0, 1}
        assert first.row()["mechanism"] == other.row()["mechanism"] == how["mechanism"]
        assert first.row()["tls"] == ("TLSv1.2" if version == TLS12 else "TLSv1.3")
        for sender, receiver in ((first, other), (other, first)):
            for to in (receiver.boundjid.full, receiver.boundjid.bare):
                sender.send_message(mto=to, mbody=f"<to> & \"{to}\" \U0001F600", mtype="chat")
                message = await asyncio.wait_for(receiver.inbox.get(), wire.WAIT)
                assert message["body"] == f"<to> & \"{to}\" \U0001F600" and message["from"] == sender.boundjid
        await check_services(first, other)
        await first.log_out()
        await other.log_out()
    run(steps())


async def check_services(first, other):
    """XEP-0199, XEP-0030, XEP-0092, XEP-0202 of the router, and between clients."""
    assert await first["xep_0199"].ping("localhost", timeout=wire.WAIT) >= 0
    assert await first["xep_0199"].ping(other.boundjid.full, timeout=wire.WAIT) >= 0
    info = await first["xep_0030"].get_info("localhost", timeout=wire.WAIT)
    features = info["disco_info"]["features"]
    assert {"urn:xmpp:ping", "jabber:iq:version", "urn:xmpp:time", "http://jabber.org/protocol/disco#info"} <= features
    assert ("server", "im") in {identity[:2] for identity in info["disco_info"]["identities"]}
    items = await first["xep_0030"].get_items("localhost", timeout=wire.WAIT)
    assert not items["disco_items"]["items"]
    version = await first["xep_0092"].get_version("localhost", timeout=wire.WAIT)
    assert version["software_version"]["name"] == "Sluice"
    time = (await first["xep_0202"].get_entity_time("localhost", timeout=wire.WAIT))["entity_time"].xml
    # Read here: slixmpp's own reader adds a second Z. XEP-0082 s3.2.
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time.findtext("{urn:xmpp:time}utc"))
    assert time.findtext("{urn:xmpp:time}tzo") == "+00:00"


def test_defaults__on_tls_1_3__end_with_plain(bed):
    """It tries all that bind to tls-unique or claim that we cannot bind; each is refused (RFC 5802 s6); PLAIN is left."""
    async def steps():
        person = Person(bed, "user0", version=TLS13)
        assert await person.log_in() is None
        assert person.row()["mechanism"] == "PLAIN" and set(person.tried) == {"not-authorized"}
        assert len(person.tried) == 4
        await person.log_out()
    run(steps())


def test_defaults__on_tls_1_2__bind(bed):
    async def steps():
        person = Person(bed, "user0", version=TLS12)
        assert await person.log_in() is None
        assert person.row()["mechanism"] == "SCRAM-SHA-256-PLUS" and not person.tried
        await person.log_out()
    run(steps())


@pytest.mark.parametrize("user, password", [("user0", "wrong"), ("nobody", "secret")])
def test_wrong_credentials__fail(bed, user, password):
    async def steps():
        person = Person(bed, user, password, version=TLS13, mechanism="SCRAM-SHA-256", binding=False)
        assert await person.log_in() in ("failed_all_auth", "disconnected")
        assert person.tried == ["not-authorized"]
        person.abort()
    run(steps())
    assert not bed.sessions()


def test_anonymous__by_slixmpp__works_when_enabled(start_bed):
    bed = start_bed(settings=["sasl.anonymous=true"])

    async def steps():
        person = Person(bed, "", version=TLS13)
        assert await person.log_in() is None
        assert person.row()["mechanism"] == "ANONYMOUS" and person.boundjid.user
        await person.log_out()
    run(steps())


# ---- sessions of one account ----

def second_login(bed):
    """(first, second, what bind said) with the same resource asked for."""
    first, second = bed.login("user0", "desk"), bed.secure()
    assert second.scram("user0", "secret") is None
    second.open()
    return first, second, second.bind("desk")


# Holds 6120:7.7.2.2/1.
def test_conflict__replace__closes_the_older(start_bed):
    """RFC 6120 s7.7.2.2."""
    bed = start_bed(settings=["bind.conflict=replace"])
    first, second, failure = second_login(bed)
    assert failure is None and second.jid == "user0@localhost/desk"
    first.expect_error("conflict")
    second.ping()
    assert len(bed.sessions()) == 1


# Holds stanza:conflict - binding a resource that is taken, with bind.conflict=refuse.
# Holds 6120:7.7.2.2/1.
def test_conflict__refuse__answers_the_newer_with_conflict(start_bed):
    bed = start_bed(settings=["bind.conflict=refuse"])
    first, second, failure = second_login(bed)
    assert failure == "conflict"
    first.ping()
    assert second.bind("sofa") is None and second.jid == "user0@localhost/sofa"


# Holds 6120:7.7.2.2/1.
def test_conflict__rename__gives_the_newer_another(start_bed):
    bed = start_bed(settings=["bind.conflict=rename"])
    first, second, failure = second_login(bed)
    assert failure is None and second.jid.startswith("user0@localhost/") and second.jid != first.jid
    first.ping()
    second.ping()


# Holds 6120:7.6/1 6120:7.6/2.
def test_bind__without_resource__gives_one_hard_to_guess(bed):
    jids = {bed.login("user0").jid for _ in range(5)}
    assert len(jids) == 5 and all(len(jid.partition("/")[2]) >= 16 for jid in jids)


def test_legacy_session__is_answered(bed):
    """RFC 3921 s3, kept by old clients; optional in our features."""
    client = bed.login("user0")
    assert client.iq("set", f"<session xmlns='{wire.SESSION}'/>").get("type") == "result"


def test_blanks__between_stanzas__keep_the_session(bed):
    client = bed.login("user0")
    for blanks in (" ", "\n", " \t\r\n" * 100):
        client.send(blanks)
    client.ping()
    client.send(" <iq type='get' id='k'><ping xmlns='urn:xmpp:ping'/></iq> ")
    assert client.stanza().get("id") == "k"


def test_presence__of_two_resources__is_seen_by_both(bed):
    first = bed.login("user0", "a")
    second = bed.login("user0", "b", is_available=False)
    second.send("<presence><priority>5</priority></presence>")
    assert first.stanza().get("from") == "user0@localhost/b"
    assert {second.stanza().get("from"), second.stanza().get("from")} == {"user0@localhost/a", "user0@localhost/b"}
    other = bed.login("user1")
    other.message("user0@localhost", "to the one of higher priority")
    assert second.body() == "to the one of higher priority"
    second.end()
    gone = first.stanza()
    assert gone.get("type") == "unavailable" and gone.get("from") == "user0@localhost/b"
    other.message("user0@localhost", "to the one that is left")
    assert first.body() == "to the one that is left"


# Holds 6120:10.1/2.
def test_order__of_one_pair_across_shards__is_kept(bed):
    """RFC 6120 s10.1, bare and full JID alike."""
    one, two = bed.pair()
    bare = two.jid.partition("/")[0]
    for n in range(500):
        one.message(two.jid if n % 3 else bare, str(n))
    assert [two.body() for _ in range(500)] == [str(n) for n in range(500)]
