# SPDX-License-Identifier: MIT
"""Reloads that change whom is trusted: the authorities by which other servers and users are judged, wherever the change
is, in the path of the file or in what is in it (RFC 6120 s13.7.2.3, s4.9.3.16). What has lost its ground ends with
<reset/> within a second; everything else goes on and carries stanzas."""
import ssl
import time

import pytest

import bed as bed_module
import throwaway
import wire
from envoy import Envoy, Over, Speech
from responder import generate, write_certificate

OURS = "sluice.example"
BY_FIRST, BY_SECOND = ("one.example", "uno.example", "eins.example"), ("two.example", "due.example")
BY_DIALBACK = "stranger.example"
AWAY = ("away-first.example", "away-second.example")  # served by another router, which ours dials


class Ground:
    """A router of several shards, two authorities, and servers below each of them that call it."""

    def __init__(self, folder):
        self.folder = folder
        self.first, self.second = (generate.authority(f"The {name} authority", None) for name in ("first", "second"))
        self.renewed = generate.authority("The first authority", None, key=self.first.key)
        self.parties = {}
        for authority, domains in ((self.first, BY_FIRST), (self.second, BY_SECOND), (None, (BY_DIALBACK,))):
            for domain in domains:
                self.parties[domain] = generate.leaf(authority, names=[generate.dns(domain)])
                write_certificate(folder, domain, self.parties[domain])
        self.trust(self.first, self.second)
        self.envoy = Envoy(folder, [], OURS)
        self.envoy.chains[OURS] = BY_DIALBACK  # what it shows when our router asks for a key
        self.envoy.has_dialback = True
        self.s2s, away = throwaway.free_port(), throwaway.free_port()
        throwaway.make_ca(folder)  # our own
        self.peers = self.start_peers(folder / "peers", away)
        routes = [f"{BY_DIALBACK}=127.0.0.1:{self.envoy.port}", *(f"{domain}=127.0.0.1:{away}" for domain in AWAY)]
        self.bed = bed_module.Bed(folder / "bed", shards=3, domains=[OURS], users=2, s2s_port=self.s2s, plaintext=True,
                                  authority=folder, settings=[f"s2s.routes={','.join(routes)}"])
        self.configure("timeouts.reset = 60s;", "s2s.policy = pkix-or-dialback;", f's2s.ca = "{folder}/roots.pem";')
        self.client = self.bed.login("user0", secure=False, domain=OURS)

    def start_peers(self, folder, port):
        folder.mkdir()
        for domain, authority in zip(AWAY, (self.first, self.second)):
            write_certificate(folder, domain, generate.leaf(authority, names=[generate.dns(domain)]))
        return bed_module.Bed(folder, shards=1, domains=AWAY, users=1, s2s_port=port, authority=self.folder, plaintext=True)

    def trust(self, *authorities, name="roots.pem"):
        (self.folder / name).write_text("".join(generate.pem(authority.der) for authority in authorities))

    def configure(self, *lines):
        """These lines instead of all of the same keys; taken at once."""
        path = self.bed.folder / "sluice.conf"
        keys = [line.split("=")[0].strip() for line in lines]
        kept = [line for line in path.read_text().splitlines() if line.split("=")[0].strip() not in keys]
        text = "\n".join([*kept, *lines, ""]).replace('enabled = true; ca = "ca.pem";', "enabled = true;")
        path.write_text(text)
        return self.reload()

    def reload(self):
        return self.bed.ask("reload")

    def call(self, domain):
        """A stream that was let in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self.folder / f"{domain}.pem", self.folder / f"{domain}.key")
        speech = Speech(wire.Wire(self.s2s), wire.WAIT)
        word = self.envoy.negotiate(speech, context, domain, OURS)
        assert word == ("dialback" if domain == BY_DIALBACK else "external")
        return speech

    def carries(self, domain, speech):
        text = f"{domain} {time.monotonic()}"
        speech.say(f"<message from='a@{domain}' to='{self.client.jid}' type='chat'><body>{text}</body></message>")
        return self.client.body() == text

    def stop(self):
        self.client.end()
        self.bed.stop()
        self.peers.stop()
        self.envoy.close()


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    made = Ground(tmp_path_factory.mktemp("trust"))
    yield made
    made.stop()


@pytest.fixture
def streams(ground):
    """Two of each server, so that a chain is on several shards' minds; trust is what it was at the beginning."""
    ground.trust(ground.first, ground.second)
    ground.configure(f's2s.ca = "{ground.folder}/roots.pem";')
    made = [(domain, ground.call(domain)) for domain in (*BY_FIRST, *BY_SECOND, BY_DIALBACK) for _ in range(2)]
    assert all(ground.carries(*stream) for stream in made)
    yield made
    for _, speech in made:
        speech.close()
    assert bed_module.wait_until(lambda: not ground.bed.json("show s2s"))


def end_of(speech):
    with pytest.raises(Over) as over:
        while True:
            speech.element()
    return str(over.value), over.value.text


def check(ground, streams, ended, began, count):
    """Exactly those of these domains end with <reset/>, within the second and not the minute of other reasons."""
    for domain, speech in streams:
        if domain in ended:
            assert end_of(speech) == ("reset", "the authority of this stream's certificate is no longer trusted"), domain
    assert time.monotonic() - began < 30
    for domain, speech in streams:
        if domain not in ended:
            assert ground.carries(domain, speech), domain
    assert ground.bed.stats()["certs_untrusted"] - count == 2 * len(ended)


def test_authority__gone_from_the_file__ends_exactly_its_streams(ground, streams):
    count, began = ground.bed.stats()["certs_untrusted"], time.monotonic()
    ground.trust(ground.second)
    ground.reload()
    check(ground, streams, BY_FIRST, began, count)
    with pytest.raises(AssertionError):
        ground.call(BY_FIRST[0])  # nor is it let in again by it


def test_authority__of_another_file__is_the_same_to_those_that_it_has(ground, streams):
    count, began = ground.bed.stats()["certs_untrusted"], time.monotonic()
    ground.trust(ground.first, name="others.pem")
    ground.configure(f's2s.ca = "{ground.folder}/others.pem";')
    check(ground, streams, BY_SECOND, began, count)


@pytest.mark.parametrize("change", ["more", "order", "renewed", "folder"])
def test_authority__still_there_in_another_form__ends_nothing(ground, streams, change):
    count, began = ground.bed.stats()["certs_untrusted"], time.monotonic()
    if change == "more":
        ground.trust(ground.first, generate.authority("A third authority", None), ground.second)
    elif change == "order":
        ground.trust(ground.second, ground.first)
    elif change == "renewed":  # with the same key: another path
        ground.trust(ground.second, ground.renewed)
    if change == "folder":
        (ground.folder / "store").mkdir()
        for number, authority in enumerate((ground.second, ground.first)):
            (ground.folder / "store" / f"{number}.pem").write_text(generate.pem(authority.der))
        ground.configure(f's2s.ca = "{ground.folder}/store";')
    else:
        ground.reload()
    check(ground, streams, (), began, count)


def test_authority__namesake_with_another_key__is_none(ground, streams):
    count, began = ground.bed.stats()["certs_untrusted"], time.monotonic()
    ground.trust(ground.second, generate.authority("The first authority", None))
    ground.reload()
    check(ground, streams, BY_FIRST, began, count)


def test_pinned__server__ends_without_its_pin_and_no_other(ground, streams):
    pinned = "pinned.example"
    party = generate.leaf(None, names=[generate.dns(pinned)])
    write_certificate(ground.folder, pinned, party)
    ground.trust(ground.first, ground.second, party)
    ground.reload()
    speech = ground.call(pinned)
    assert ground.carries(pinned, speech)
    ground.trust(ground.first, ground.second)
    ground.reload()
    assert end_of(speech)[0] == "reset"
    assert all(ground.carries(*stream) for stream in streams)


def test_policy__that_wants_certificates__ends_who_has_none(ground, streams):
    ground.configure("timeouts.reset = 0s;", f's2s.policies = ["{BY_DIALBACK}=pkix"];')
    try:
        for domain, speech in streams:
            if domain == BY_DIALBACK:
                assert end_of(speech)[0] == "reset"
        assert all(ground.carries(*stream) for stream in streams if stream[0] != BY_DIALBACK)
    finally:
        ground.configure("s2s.policies = [];", "timeouts.reset = 60s;")


def test_file__without_certificates__is_refused_and_all_goes_on(ground, streams):
    (ground.folder / "roots.pem").write_text("nothing\n")
    with pytest.raises(throwaway.Trouble, match="roots.pem.*no certificates"):
        ground.reload()
    assert all(ground.carries(*stream) for stream in streams)


def dialled(ground):
    return {row["theirs"] for row in ground.bed.json("show s2s") if row["state"] == "ready" and row["direction"] == "out"}


def test_authority__of_servers_that_we_dialled__ends_those_streams(ground):
    ground.trust(ground.first, ground.second)
    ground.configure(f's2s.ca = "{ground.folder}/roots.pem";', "s2s.policy = pkix;")
    readers = [ground.peers.login("user0", secure=False, domain=domain) for domain in AWAY]
    for domain, reader in zip(AWAY, readers):
        ground.client.message(reader.jid, "hello")
        assert reader.body() == "hello"
    assert dialled(ground) == set(AWAY)
    ages = {row["theirs"]: row["stanzas_out"] for row in ground.bed.json("show s2s")}
    ground.trust(ground.second)
    ground.reload()
    assert bed_module.wait_until(lambda: dialled(ground) == {AWAY[1]})
    ground.client.message(readers[1].jid, "still there")
    assert readers[1].body() == "still there"
    row = next(row for row in ground.bed.json("show s2s") if row["theirs"] == AWAY[1])
    assert row["stanzas_out"] == ages[AWAY[1]] + 1  # on the same stream
    for reader in readers:
        reader.end()
    ground.configure("s2s.policy = pkix-or-dialback;")


def user_of(ground, authority, user):
    """A session by certificate."""
    party = generate.leaf(authority, names=[generate.xmpp(f"{user}@{OURS}")])
    write_certificate(ground.folder, user, party)
    context = ground.bed.context()
    context.load_cert_chain(ground.folder / f"{user}.pem", ground.folder / f"{user}.key")
    client = ground.bed.secure(context=context, domain=OURS)
    client.auth("EXTERNAL", b"")
    assert client.logged_in(user, *client.sasl_answer()) is None
    client.open()
    assert client.bind("x") is None
    return client


def test_authority__of_users__ends_their_sessions_by_certificate(ground):
    ground.trust(ground.first, ground.second, name="users.pem")
    ground.configure("tls.client_certificates = optional;", f'tls.client_ca_file = "{ground.folder}/users.pem";')
    ended, other = user_of(ground, ground.first, "user0"), user_of(ground, ground.second, "user1")
    count = ground.bed.stats()["certs_untrusted"]
    ground.trust(ground.second, name="users.pem")
    ground.reload()
    ended.expect_error("reset")
    for client in (other, ground.client):  # the third has a password
        client.ping()
    assert ground.bed.stats()["certs_untrusted"] == count + 1
    other.end()
