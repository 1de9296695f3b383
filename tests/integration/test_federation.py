# SPDX-License-Identifier: MIT
"""Streams to other servers (RFC 6120; XEP-0220, XEP-0288, XEP-0368) with another Sluice, Debian's prosody and Debian's
ejabberd, on loopback, found by SRV records. Each pair of domains is opened by a client of one side:

  external   both certificates are the test CA's: SASL EXTERNAL after STARTTLS
  dialback   the certificates are those of a CA that nobody knows: dialback, under TLS all the same
  dialback-first   the same, and our name is the smaller one: of two streams ours is to stay (router/s2s/s2s.h)
  direct     as external, and only _xmpps-server leads there
  oneway     as external, and the other server has no XEP-0288: a connection for each direction

Debian's ejabberd has no XEP-0288, so all that is with it is one way. prosody checks the key of a stream on a stream of
its own, with <bidi/>: there are two at once, and which of them is left is up to the names."""
import asyncio
import itertools
import pathlib

import pytest

import bed as bed_module
import peers
import throwaway
import wire
from nameserver import NameServer
from person import TLS13, Person, run

METHODS = ("external", "dialback", "dialback-first", "direct", "oneway")
WAYS = ("out", "in")  # who opens: we, they
MESSAGES = 100
ESTABLISHED = "01"


def domain(server, method, way):
    first = "a." if method == "dialback-first" and server == "sluice" else ""
    return f"{first}{method}-{way}.{server}.example"


def domains(server):
    return [domain(server, *case) for case in itertools.product(METHODS, WAYS)]


def publish(names, server, s2s, s2s_tls):
    # ejabberd takes the names of SRV records to the C library: ours has to be one that every machine knows.
    host = "localhost" if server == "sluice" else f"host.{server}.example"
    names.add_address(host)
    for name in domains(server):
        if name.startswith("direct"):
            names.add_service("xmpps-server", name, host, s2s_tls)
            names.add_service("xmpp-server", name, ".", 0)
        else:
            names.add_service("xmpp-server", name, host, s2s)


class Field:
    """This router, the servers beside it, and the name server that all of them ask."""

    def __init__(self, folder):
        self.folder, self.peers = folder, {}
        self.names = NameServer()
        peers.authorities(folder)
        self.ours = self.start_router("sluice")

    def authority_of(self, name):
        return self.folder / ("unknown" if "dialback" in name else "known")

    def start_router(self, server):
        folder, s2s, s2s_tls = self.folder / server, throwaway.free_port(), throwaway.free_port()
        peers.certificates(folder, domains(server), self.authority_of)
        publish(self.names, server, s2s, s2s_tls)
        router = bed_module.Bed(folder, domains=domains(server), users=1, s2s_port=s2s, authority=self.folder / "known", settings=[
            f"listen.s2s_tls=127.0.0.1:{s2s_tls}", f"s2s.nameservers=127.0.0.1@{self.names.port}", "log.level=debug"])
        router.s2s, router.s2s_tls = s2s, s2s_tls
        return router

    def peer(self, server):
        if server not in self.peers:
            kinds = {"prosody": peers.Prosody, "ejabberd": peers.Ejabberd}
            if server in kinds and not kinds[server].is_installed():
                pytest.skip(f"{server} is not installed; tools/setup installs it")
            if server == "other":
                self.peers[server] = self.start_router(server)
            else:
                folder = self.folder / server
                peers.certificates(folder, domains(server), self.authority_of)
                self.peers[server] = peer = kinds[server](folder, domains(server), self.folder / "known" / "ca.pem",
                                                          self.names.port)
                publish(self.names, server, peer.s2s, peer.s2s_tls)
        return self.peers[server]

    def connections(self, peer):
        """Established ones between us and the peer, each by the end that accepted it."""
        ports = {f"{port:04X}" for port in (self.ours.s2s, self.ours.s2s_tls, peer.s2s, peer.s2s_tls)}
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return {(row[1], row[2]) for row in rows if row[3] == ESTABLISHED and row[1][-4:] in ports}

    def log_line(self, event, **words):
        wanted = [f'{key}="{value}"' for key, value in words.items()]
        return next((line for line in self.ours.log() if f" {event} " in line and all(word in line for word in wanted)), None)

    def stop(self):
        self.ours.stop()
        for peer in self.peers.values():
            peer.stop()
        self.names.close()


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    made = Field(tmp_path_factory.mktemp("field"))
    yield made
    made.stop()


async def log_in(field, server, name):
    person = Person(server, "user0", version=TLS13, mechanism="PLAIN", domain=name)
    person.ca_certs = str(field.folder / "clients.pem")
    person.seen, person.errors = asyncio.Queue(), asyncio.Queue()
    person.add_event_handler("message_error", person.errors.put_nowait)
    person.add_event_handler("presence", person.seen.put_nowait)
    assert await person.log_in() is None
    return person


async def next_of(queue, sender):
    """The next one of this bare JID."""
    while True:
        stanza = await asyncio.wait_for(queue.get(), wire.WAIT)
        if stanza["from"].bare == sender:
            return stanza


async def talk(first, second):
    """All that passes between two people of two servers; first has opened the way."""
    for one, other in ((first, second), (second, first)):
        assert await one["xep_0199"].ping(other.boundjid.domain, timeout=wire.WAIT) >= 0
        one.send_presence(pto=other.boundjid.full)
        assert (await next_of(other.seen, one.boundjid.bare))["from"] == one.boundjid
    for n in range(MESSAGES):
        for one, other in ((first, second), (second, first)):
            one.send_message(mto=other.boundjid.full, mbody=f"{n} <&>\U0001F600", mtype="chat")
    for one, other in ((first, second), (second, first)):
        bodies = [(await next_of(one.inbox, other.boundjid.bare))["body"] for _ in range(MESSAGES)]
        assert bodies == [f"{n} <&>\U0001F600" for n in range(MESSAGES)]
    for one, other in ((first, second), (second, first)):
        one.send_message(mto=f"nobody@{other.boundjid.domain}/x", mbody="?", mtype="chat")
        refused = await next_of(one.errors, f"nobody@{other.boundjid.domain}")
        assert refused["error"]["condition"] == "service-unavailable"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("server", ["other", "prosody", "ejabberd"])
def test_two_people__of_two_servers__talk(field, server, method, way):
    if method == "oneway" and server != "prosody":
        pytest.skip("ejabberd has no XEP-0288: every method of its is one way" if server == "ejabberd"
                    else "s2s.bidi is for all domains of a router")
    peer = field.peer(server)
    here, there = domain("sluice", method, way), domain(server, method, way)
    before = field.connections(peer)

    async def steps():
        ours, theirs = await log_in(field, field.ours, here), await log_in(field, peer, there)
        await talk(*((ours, theirs) if way == "out" else (theirs, ours)))
        for person in (ours, theirs):
            await person.log_out()
    run(steps())
    streams = expected(server, method, way)
    check_log(field, method, here, there, streams)
    count = len(streams)  # those of dialback's checks close
    assert bed_module.wait_until(lambda: len(field.connections(peer) - before) == count), field.connections(peer) - before


@pytest.mark.parametrize("server", ["prosody", "ejabberd"])
def test_two_domains_of_one_server__speak_to_one_of_ours__on_however_many_streams(field, server):
    """XEP-0220 s2.6: whether the other side multiplexes or not, by certificate or by dialback, each of its domains is
    heard and answered. The pairs are those of no other test."""
    peer = field.peer(server)
    here, there = domain("sluice", "external", "out"), [domain(server, method, "in") for method in ("external", "dialback")]
    before = field.connections(peer)

    async def steps():
        ours = await log_in(field, field.ours, here)
        theirs = [await log_in(field, peer, name) for name in there]
        for person in theirs:
            person.send_message(mto=ours.boundjid.full, mbody=f"from {person.boundjid.domain}", mtype="chat")
            assert (await next_of(ours.inbox, person.boundjid.bare))["body"] == f"from {person.boundjid.domain}"
            ours.send_message(mto=person.boundjid.full, mbody=f"to {person.boundjid.domain}", mtype="chat")
            assert (await next_of(person.inbox, ours.boundjid.bare))["body"] == f"to {person.boundjid.domain}"
        for person in (ours, *theirs):
            await person.log_out()
    run(steps())
    print(f"{server}: {len(field.connections(peer) - before)} connections for two pairs")
    for name in there:
        assert field.log_line("s2s.in", **{"from": name, "to": here})


def expected(server, method, way):
    """The streams that are left, as the router's log calls them, and whether <bidi/> was asked for on each."""
    if server == "ejabberd" or method == "oneway":
        return {"s2s.out": "no", "s2s.in": "no"}
    if (server, way) == ("prosody", "out") and "dialback" in method:
        return {"s2s.out": "yes", "s2s.in": "yes"} if method == "dialback-first" else {"s2s.in": "yes"}
    return {f"s2s.{way}": "yes"}


def check_log(field, method, here, there, streams):
    """How each stream was authenticated, and that none was opened that is not needed."""
    proof = "dialback" if "dialback" in method else "pkix"
    lines = {"s2s.out": field.log_line("s2s.out", **{"from": here, "to": there}),
             "s2s.in": field.log_line("s2s.in", **{"from": there, "to": here})}
    assert {event for event, line in lines.items() if line} == set(streams)
    for event, bidi in streams.items():
        assert f" proof={proof} " in lines[event] and f" bidi={bidi}" in lines[event], lines[event]
