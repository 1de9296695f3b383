# SPDX-License-Identifier: MIT
"""Reloads that change whom is trusted: the authorities by which other servers and users are judged, wherever the change
is, in the path of the file or in what is in it (RFC 6120 s13.7.2.3, s4.9.3.16). What has lost its ground ends with
<reset/> within a second; everything else goes on and carries stanzas."""
import datetime
import ssl
import time

import pytest

import bed as bed_module
import throwaway
import wire
from envoy import Envoy, Over, Speech
from responder import generate, revocation, write_certificate

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

    def connect(self, domain):
        """A stream, and how it has authenticated or why not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self.folder / f"{domain}.pem", self.folder / f"{domain}.key")
        speech = Speech(wire.Wire(self.s2s), wire.WAIT)
        try:
            return speech, self.envoy.negotiate(speech, context, domain, OURS)
        except Over as over:
            return speech, str(over)

    def call(self, domain):
        """A stream that was let in."""
        speech, word = self.connect(domain)
        assert word == ("dialback" if domain == BY_DIALBACK else "external")
        return speech

    def word_for(self, domain):
        speech, word = self.connect(domain)
        speech.close()
        return word

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
    assert bed_module.wait_until(lambda: not [row for row in ground.bed.json("show s2s") if row.get("direction") == "in"])


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
    ground.envoy.has_dialback = False
    assert ground.word_for(BY_FIRST[0]) == "nothing"  # nor is it let in again by it
    ground.envoy.has_dialback = True


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


# ---- lists of revoked certificates -------------------------------------------------------------------------------------


def write_list(ground, authority, *revoked, name="first.crl", **options):
    """PEM, as openssl writes it; name.der: the same in DER."""
    revocation.NOW = datetime.datetime.utcnow().replace(microsecond=0)
    der = revocation.crl(by=authority, revoked=[ground.parties[domain] for domain in revoked], **options)
    path = ground.folder / name
    path.write_text(revocation.pem_crl(der)) if name.endswith(".crl") else path.write_bytes(der)
    return path


def use_lists(ground, *paths):
    return ground.configure(f"certs.crl_files = [{', '.join(chr(34) + str(path) + chr(34) for path in paths)}];")


def chain(ground, domain):
    return ground.bed.json(f"show certs peers 9 {domain}")[0]


def is_finding(ground, domain, standing, source):
    return bed_module.wait_until(lambda: (chain(ground, domain)["standing"], chain(ground, domain)["source"]) == (standing, source))


@pytest.fixture
def no_lists(ground):
    yield
    ground.configure("certs.crl_files = [];", "certs.unchecked = allow;", "certs.revocation = soft;")


def ends_as_bad(streams, domain):
    for name, speech in streams:
        if name == domain:
            assert end_of(speech) == ("reset", "the certificate of this stream is no longer good")


def test_list__that_a_reload_adds__ends_who_is_on_it_and_nobody_else(ground, streams, no_lists):
    listed, other = BY_FIRST[:2]
    assert is_finding(ground, other, "unchecked", "none")
    count, began = ground.bed.stats(), time.monotonic()
    path = write_list(ground, ground.first, listed)
    use_lists(ground, path)
    ends_as_bad(streams, listed)
    assert time.monotonic() - began < 30
    assert all(ground.carries(*stream) for stream in streams if stream[0] != listed)
    assert is_finding(ground, other, "good", "file") and chain(ground, other)["file"] == str(path)
    assert is_finding(ground, BY_SECOND[0], "unchecked", "none") and "file" not in chain(ground, BY_SECOND[0])
    stats = ground.bed.stats()
    assert stats["certs_by_file"] > count["certs_by_file"] and stats["streams_reset"] - count["streams_reset"] == 2
    assert bed_module.wait_until(lambda: any("certs.listed" in line and str(path) in line for line in ground.bed.log()))
    ground.envoy.has_dialback = False
    assert ground.word_for(listed) == "sasl:not-authorized"
    write_list(ground, ground.first)  # it is taken off again
    ground.reload()
    assert ground.word_for(listed) == "external"
    ground.envoy.has_dialback = True
    use_lists(ground)
    assert is_finding(ground, other, "unchecked", "none")
    assert all(ground.carries(*stream) for stream in streams if stream[0] != listed)


def test_list__of_an_issuer__is_what_there_is_to_be_checked(ground, streams, no_lists):
    ground.configure("certs.unchecked = refuse;", f'certs.crl_files = ["{write_list(ground, ground.first, name="first.der")}"];')
    for domain in BY_SECOND:
        ends_as_bad(streams, domain)
    assert all(ground.carries(*stream) for stream in streams if stream[0] not in BY_SECOND)


@pytest.mark.parametrize("kind", ["stale", "forged"])
def test_list__that_is_no_answer__changes_nothing_and_is_told(ground, streams, no_lists, kind):
    if kind == "stale":
        path = write_list(ground, ground.first, name="stale.crl", this=-3 * revocation.DAY, until=-2 * revocation.DAY)
    else:
        path = write_list(ground, ground.first, BY_FIRST[0], name="forged.crl", signer=ground.second)
    use_lists(ground, path)
    told = "certs.crl_stale" if kind == "stale" else "certs.crl_unusable"
    assert bed_module.wait_until(lambda: any(told in line and str(path) in line for line in ground.bed.log()))
    assert chain(ground, BY_FIRST[1])["standing"] == "unchecked" and chain(ground, BY_FIRST[1])["file"] == str(path)
    assert all(ground.carries(*stream) for stream in streams)


@pytest.mark.parametrize("content, reason", [
    (None, "No such file"), (b"", "has no list"), (b"hello\n", "has no list"), (b"0\x03abc", "list 1 breaks the syntax"),
    (b"-----BEGIN X509 CRL-----\nAAAA\n", "list 1 is broken PEM"),
    (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "list 1 breaks the syntax")])
def test_list__that_is_none__refuses_the_reload_and_the_old_ones_count(ground, no_lists, content, reason):
    ground.trust(ground.first, ground.second)
    good, bad = write_list(ground, ground.first, BY_FIRST[0]), ground.folder / "bad.crl"
    use_lists(ground, good)
    ground.envoy.has_dialback = False
    bad.unlink(missing_ok=True)
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(throwaway.Trouble, match=f"certs.crl_files: {bad}: {reason}"):
        ground.configure("certs.unchecked = refuse;", f'certs.crl_files = ["{good}", "{bad}"];')
    try:
        assert ground.word_for(BY_FIRST[0]) == "sasl:not-authorized"
        assert ground.word_for(BY_SECOND[0]) == "external"  # the old policy altogether
    finally:
        ground.envoy.has_dialback = True
