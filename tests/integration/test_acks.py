# SPDX-License-Identifier: MIT
"""XEP-0198 between servers, over a wire that swallows what is sent and then breaks: each message arrives, or an error for
it comes back, with another Sluice and with Debian's prosody (mod_smacks)."""
import asyncio

import pytest

import bed as bed_module
import peers
import throwaway
import wire
from nameserver import NameServer
from person import TLS13, Person, run
from relay import Relay

ROUNDS = 3
DELAY = "{urn:xmpp:delay}delay"
NAMES = {"sluice": "direct-out.sluice.example", "peer": "direct-out.peer.example"}  # the name that peers.py wants


class Wired:
    """This router and another server, each of which finds the other behind a relay."""

    def __init__(self, folder, server):
        peers.authorities(folder)
        self.names, self.relays = NameServer(), []
        for name in NAMES:
            peers.certificates(folder / name, [NAMES[name]], lambda _: folder / "known")
        self.names.add_address("localhost")
        self.ours = self.router(folder, "sluice")
        self.peer = self.router(folder, "peer") if server == "other" else peers.Prosody(
            folder / "peer", [NAMES["peer"]], folder / "known" / "ca.pem", self.names.port)
        self.authority = folder / "clients.pem"
        for name, port in (("sluice", self.ours.s2s), ("peer", self.peer.s2s)):
            self.relays.append(Relay(port))
            self.names.add_service("xmpp-server", NAMES[name], "localhost", self.relays[-1].port)

    def router(self, folder, name):
        s2s = throwaway.free_port()
        router = bed_module.Bed(folder / name, domains=[NAMES[name]], users=1, s2s_port=s2s, authority=folder / "known",
                                settings=[f"s2s.nameservers=127.0.0.1@{self.names.port}", "s2s.rest_min=100ms"])
        router.s2s = s2s
        return router

    def hold(self):
        for relay in self.relays:
            relay.hold()

    def cut(self):
        return sum(relay.cut() for relay in self.relays)

    def stop(self):
        for one in (self.ours, self.peer, *self.relays):
            one.stop()
        self.names.close()


@pytest.fixture(params=["other", "prosody"])
def wired(request, tmp_path):
    if request.param == "prosody" and not peers.Prosody.is_installed():
        pytest.skip("prosody is not installed; tools/setup installs it")
    made = Wired(tmp_path, request.param)
    yield made
    made.stop()


class Talker:
    """Says numbers, and hears those of the other one."""

    def __init__(self, person):
        self.person, self.said = person, 0
        self.heard, self.again, self.returned = [], [], set()  # numbers; again: whether each later copy has a stamp
        person.add_event_handler("message", self.hear)
        person.add_event_handler("message_error", lambda message: self.returned.add(message["id"]))

    def hear(self, message):
        if message["type"] == "error" or not message["body"].isdigit():
            return
        number = int(message["body"])
        if number in self.heard:
            self.again.append(message.xml.find(DELAY) is not None)
        else:
            self.heard.append(number)

    def say(self, to, count):
        for _ in range(count):
            message = self.person.make_message(mto=to.person.boundjid.full, mbody=str(self.said), mtype="chat")
            message["id"] = f"n{self.said}"
            message.send()
            self.said += 1

    def missing(self, to):
        """What was said to that one, and neither arrived nor came back."""
        return {number for number in range(self.said) if number not in to.heard and f"n{number}" not in self.returned}


async def log_in(wired, server, name):
    person = Person(server, "user0", version=TLS13, mechanism="PLAIN", domain=NAMES[name])
    person.ca_certs = str(wired.authority)
    assert await person.log_in() is None
    return Talker(person)


async def until(is_true):
    """Whether it became true in time."""
    for _ in range(int(wire.WAIT / 0.05)):
        if is_true():
            return True
        await asyncio.sleep(0.05)
    return False


def test_wire__cut_in_the_middle__each_message_arrives_or_comes_back(wired):
    async def steps():
        us, them = await log_in(wired, wired.ours, "sluice"), await log_in(wired, wired.peer, "peer")
        us.say(them, 1)
        assert await until(lambda: them.heard)
        cuts = 0
        for _ in range(ROUNDS):
            for count in (5, 5):
                us.say(them, count)
                them.say(us, count)
                await asyncio.sleep(0.05)
            wired.hold()
            us.say(them, 5)
            them.say(us, 5)
            await asyncio.sleep(0.3)
            cuts += wired.cut()
            await asyncio.sleep(0.3)
        assert cuts >= ROUNDS
        us.say(them, 1)
        them.say(us, 1)
        if not await until(lambda: not us.missing(them) and not them.missing(us)):
            pytest.fail(f"lost: {sorted(us.missing(them))} and {sorted(them.missing(us))}")
        assert all(them.again), "a copy without a stamp"
        assert them.heard == sorted(them.heard)
        for talker in (us, them):
            await talker.person.log_out()
    run(steps())
    assert bed_module.wait_until(lambda: wired.ours.stats()["s2s_waiting"] == 0)
    stats = wired.ours.stats()
    assert stats["stanzas_routed"] > 0 and stats["s2s_resent"] + stats["stanzas_returned"] > 0
