# SPDX-License-Identifier: MIT
"""Certificates for as long as a stream lives (RFC 6120 s13.7.2.3): streams to a server of many domains, each with a
certificate whose issuer answers otherwise when it is asked; one that expires; one that is revoked while it is used."""
import contextlib
import datetime
import hashlib
import time

import pytest

import answers
import bed as bed_module
import responder as responder_module
import throwaway
import wire
from answers import domain
from nameserver import NameServer
from person import TLS13, Person, run
from responder import REVOKED, Authority, Responder, sha256, write_certificate

LIFE = 8  # seconds, of the certificate that expires
LATER = ("turncoat", "short-lived", "convert", "twin-a", "twin-b", "named")  # each has its own test


def cells(authority):
    made = answers.cells(authority)
    made["turncoat"] = (authority.issue("turncoat.peers.example", ocsp="/turncoat"), "good", "good")
    authority.responder.answers["/turncoat"] = lambda: authority.answer(made["turncoat"][0])
    made["short-lived"] = (authority.issue("short-lived.peers.example"), None, None)
    made["convert"] = (authority.issue("convert.peers.example", ocsp="/convert"), "good", "good")
    authority.responder.answers["/convert"] = (404, b"", {})
    twins = authority.issue("twin-a.peers.example", "twin-b.peers.example")
    made["twin-a"] = made["twin-b"] = (twins, "unchecked", None)
    made["named"] = (authority.issue("named.peers.example"), "unchecked", None)
    return made


class Field:
    """The watcher, whose streams lead to the peers: one router of many domains."""

    def __init__(self, folder):
        self.responder, self.names = Responder(), NameServer()
        self.authority = Authority(self.responder)
        self.authority.write(folder / "ca")
        self.cells = cells(self.authority)
        domains = [f"{name}.peers.example" for name in self.cells]
        self.names.add_address("host.example")
        self.peers = self.start(folder / "peers", domains, [cell[0] for cell in self.cells.values()], 1)
        self.watcher = self.start(folder / "watcher", ["watcher.example"], [self.authority.issue("watcher.example")], 2, [
            "certs.interval=1s", "certs.fetch_timeout=1s", "certs.allow_private=true", "log.level=debug"])

    def start(self, folder, domains, parties, shards, settings=()):
        folder.mkdir()
        port = throwaway.free_port()
        for domain, party in zip(domains, parties):
            write_certificate(folder, domain, party)
            self.names.add_service("xmpp-server", domain, "host.example", port)
        return bed_module.Bed(folder, shards=shards, domains=domains, users=1, s2s_port=port,
                              authority=folder.parent / "ca", settings=[
                                  f"s2s.nameservers=127.0.0.1@{self.names.port}", "s2s.policy=pkix",
                                  "timeouts.reset=0s", *settings])

    def streams(self):
        """Remote domains that the watcher has a stream with."""
        return {row["theirs"] for row in self.watcher.json("show s2s") if row["state"] == "ready"}

    def finding(self, name):
        """standing and answer, as show s2s tells them; None: there is no stream."""
        rows = [row for row in self.watcher.json("show s2s") if row["theirs"] == domain(name) and row["state"] == "ready"]
        return (rows[0]["standing"], rows[0].get("answer")) if rows else (None, None)

    def stop(self):
        self.watcher.stop()
        self.peers.stop()
        self.names.close()
        self.responder.close()


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    made = Field(tmp_path_factory.mktemp("certs"))
    yield made
    made.stop()


async def write_to(field, names):
    person = Person(field.watcher, "user0", version=TLS13, mechanism="PLAIN", domain="watcher.example")
    assert await person.log_in() is None
    await say(person, names)
    return person


async def say(person, names):
    for name in names:
        person.send_message(mto=domain(name), mbody="hello", mtype="chat")
    await person["xep_0199"].ping(person.boundjid.domain, timeout=wire.WAIT)  # they have left


def test_every_answer__has_its_standing(field):
    async def scene():
        person = await write_to(field, [name for name in field.cells if name not in LATER])
        expected = {name: cell[1:] if cell[1] == "unanswered" else (None, None) if cell[1] == "revoked" else (cell[1], None)
                    for name, cell in field.cells.items() if name not in LATER}
        found = {}
        bed_module.wait_until(lambda: found.update({name: field.finding(name) for name in expected}) or found == expected, 30)
        assert found == expected
        revoked = [name for name, cell in field.cells.items() if cell[1] == "revoked"]
        stats = field.watcher.stats()
        assert stats["certs_revoked"] >= len(revoked) and stats["certs_refused"] >= len(revoked)
        for name in revoked:  # never let in: no stream was ready, and none had to be reset
            told = f'to="{domain(name)}" proof='
            assert not any(told in line for line in field.watcher.log()), name
            assert not any(f'to="{domain(name)}" ' in line and " s2s.in " in line for line in field.peers.log()), name
        assert bed_module.wait_until(lambda: any('to="good.peers.example" proof=' in line for line in field.watcher.log()))
        assert bed_module.wait_until(lambda: any('to="good.peers.example" ' in line and " s2s.in " in line for line in field.peers.log()))
        assert stats["streams_reset"] == 0
        await person.log_out()
    run(scene())


def test_expired__is_reset_at_that_moment_and_no_other_stream(field):
    async def scene():
        party = field.authority.issue(domain("short-lived"), seconds=LIFE)
        end = party.certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp()
        write_certificate(field.peers.folder, domain("short-lived"), party)
        field.peers.ask("reload")
        person = await write_to(field, ["short-lived"])
        assert bed_module.wait_until(lambda: domain("short-lived") in field.streams(), LIFE)
        others = field.streams() - {domain("short-lived")}
        gone = wait_for_end(field, "short-lived", end + wire.WAIT)
        assert end - 1 <= gone <= end + 1, gone - end
        assert others <= field.streams()
        assert field.watcher.stats()["certs_expired"] == 1
        assert logged(field, " certs.expired ", f'name="{domain("short-lived")}" streams=1')
        await person.log_out()
    run(scene())


def wait_for_end(field, name, until):
    while time.time() < until:
        if domain(name) not in field.streams():
            return time.time()
        time.sleep(0.05)
    raise AssertionError(f"{name} has a stream still")


def test_revoked_while_used__is_reset_within_one_asking(field):
    async def scene():
        person = await write_to(field, ["turncoat"])
        assert bed_module.wait_until(lambda: field.finding("turncoat")[0] == "good")
        assert domain("turncoat") in field.streams()
        others = field.streams() - {domain("turncoat")}
        certificate = field.cells["turncoat"][0]
        field.responder.answers["/turncoat"] = lambda: field.authority.answer(certificate, status=REVOKED)
        begin = time.time()
        gone = wait_for_end(field, "turncoat", begin + wire.WAIT)
        assert gone - begin < 5
        assert logged(field, " WARN ", " certs.standing ", f'name="{domain("turncoat")}" standing=revoked')
        assert others <= field.streams()
        await person.log_out()
    run(scene())


def logged(field, *words):
    return bed_module.wait_until(lambda: any(all(word in line for word in words) for line in field.watcher.log()))


def chain(field, name):
    """Its row of show certs peers; None: it is not in use."""
    rows = field.watcher.json(f"show certs peers 9 {domain(name)}")
    assert len(rows) <= 1
    return rows[0] if rows else None


def test_peers__are_listed_with_what_is_known_of_them(field):
    async def scene():
        def counts():
            streams = [row for row in field.watcher.json("show s2s") if row["theirs"] in (domain("twin-a"), domain("twin-b"))]
            row = chain(field, "twin-a")
            return len(streams) >= 2 and row and row["streams"] == len(streams) and row["standing"] == "unchecked"
        person = await write_to(field, ["twin-a", "twin-b", "good", "list-after-ocsp", "list-good"])
        assert bed_module.wait_until(counts)
        twins, row = field.cells["twin-a"][0], chain(field, "twin-a")
        assert row == chain(field, "twin-b")
        assert row["sha256"] == hashlib.sha256(twins.der).hexdigest() and row["certificate"] == sha256(twins)
        assert int(row["serial"], 16) == twins.certificate.serial_number
        assert row["names"] == f"{domain('twin-a')},{domain('twin-b')}"
        end = min(party.certificate.not_valid_after for party in (twins, field.authority.party))
        assert row["expires"] == f"{end:%Y-%m-%dT%H:%M:%SZ}"
        assert (row["source"], row["asking"]) == ("none", False)
        assert not {"url", "answer", "next"} & row.keys()
        assert bed_module.wait_until(lambda: [chain(field, name)["standing"] for name in (
            "good", "list-after-ocsp", "list-good")] == 3 * ["good"])
        good, both, listed = (chain(field, name) for name in ("good", "list-after-ocsp", "list-good"))
        assert (good["source"], good["url"], good["answer"]) == ("ocsp", field.responder.url + "/good", "good")
        assert good["checked"] and good["next"] >= good["checked"]
        assert (both["source"], both["url"]) == ("both", field.responder.url + "/list-after-ocsp")
        assert (listed["source"], listed["url"]) == ("crl", field.responder.url + "/list")
        everybody = field.watcher.json("show certs peers")
        assert len({row["sha256"] for row in everybody}) == len(everybody) >= 4
        assert len(field.watcher.json("show certs peers 2")) == 2
        assert field.watcher.ask(f"show certs peers {domain('good')}")[0].startswith(good["certificate"] + " sha256=")
        await person.log_out()
    run(scene())


def test_check__asks_now(field):
    async def scene():
        person = await write_to(field, ["convert"])
        assert bed_module.wait_until(lambda: field.finding("convert") == ("unanswered", "no answer"))
        certificate = field.cells["convert"][0]
        field.responder.answers["/convert"] = lambda: field.authority.answer(certificate)
        assert logged(field, " certs.fetch_failed ", f'url="{field.responder.url}/convert" status=404 reason="')
        assert field.watcher.json(f"certs check {domain('convert')}") == {"chains": 1}  # by itself: after 27 seconds or more
        assert bed_module.wait_until(lambda: field.finding("convert")[0] == "good")
        assert field.watcher.json("certs check nobody.example") == {"chains": 0}
        await person.log_out()
    run(scene())


def test_distrust__ends_exactly_those_streams_until_it_is_taken_back(field):
    async def scene():
        def streams_of(*names):
            return field.streams() & {domain(name) for name in names}

        def distrust(name, chains):
            told = field.watcher.json(f"certs distrust {name}")
            assert told == {"chains": chains, "lasts": "until the process ends, for certs.cache_file is not set"}
        person = await write_to(field, ["twin-a", "twin-b", "named"])
        assert bed_module.wait_until(lambda: len(streams_of("twin-a", "twin-b", "named")) == 3)
        others = field.streams() - {domain("twin-a"), domain("twin-b")}
        count = field.watcher.stats()["certs_distrusted"]
        assert field.watcher.json("show certs distrusted") == []
        twins, named = (hashlib.sha256(field.cells["twin-a"][0].der).hexdigest(), chain(field, "named")["serial"])
        distrust(twins, 1)
        assert bed_module.wait_until(lambda: not streams_of("twin-a", "twin-b"))
        assert others <= field.streams()
        assert logged(field, " certs.standing ", f'name="{domain("twin-a")}" standing=distrusted', 'answer="none: by certs distrust"')
        distrust(named, 1)
        assert bed_module.wait_until(lambda: not streams_of("named"))
        assert others - {domain("named")} <= field.streams()
        distrust(named, 0)  # none is in use
        listed = sorted((row["kind"], row["name"]) for row in field.watcher.json("show certs distrusted"))
        assert listed == [("serial", named), ("sha256", twins)]
        assert field.watcher.stats()["certs_distrusted"] >= count + 2
        await person.log_out()
        person = await write_to(field, ["named"])  # a new stream ends as well
        assert logged(field, " s2s.failed ", f'to="{domain("named")}"')
        assert not streams_of("named")
        for name in (twins, named):
            assert field.watcher.json(f"certs trust {name}") == {"was_distrusted": True}
            assert field.watcher.json(f"certs trust {name}") == {"was_distrusted": False}
        assert field.watcher.json("show certs distrusted") == []
        for name in ("twin-a", "twin-b", "named"):  # no rest after the failures
            field.watcher.ask(f"s2s close {domain(name)}")
        await person.log_out()
        person = await write_to(field, ["twin-a", "twin-b", "named"])
        assert bed_module.wait_until(lambda: len(streams_of("twin-a", "twin-b", "named")) == 3)
        assert field.finding("named") == ("unchecked", None)
        await person.log_out()
    run(scene())


def test_own__are_listed_and_their_end_is_foretold(field):
    def warnings():
        return [line for line in field.watcher.log() if "certs.own_ends" in line]
    row = field.watcher.json("show certs")[0]
    assert (row["domain"], row["names"], row["issuer"]) == ("watcher.example", "watcher.example", "Watched authority")
    assert row["days_left"] >= 3648 and not warnings()
    for seconds, days in ((31 * 86400 + 600, None), (14 * 86400 - 600, 13)):
        party = field.authority.issue("watcher.example", seconds=seconds)
        write_certificate(field.watcher.folder, "watcher.example", party)
        field.watcher.ask("reload")
        row = field.watcher.json("show certs")[0]
        assert row["sha256"] == hashlib.sha256(party.der).hexdigest()
        assert int(row["serial"], 16) == party.certificate.serial_number
        assert row["expires"] == f"{party.certificate.not_valid_after:%Y-%m-%dT%H:%M:%SZ}"
        assert row["days_left"] == (seconds - 60) // 86400
        assert bed_module.wait_until(lambda: len(warnings()) == (days is not None))
        assert days is None or f"domain=watcher.example days={days}" in warnings()[0]


@contextlib.contextmanager
def setting(field, line):
    """In force as long as it lasts."""
    path = field.watcher.folder / "sluice.conf"
    text = path.read_text()
    path.write_text(text + line + "\n")
    field.watcher.ask("reload")
    try:
        yield
    finally:
        path.write_text(text)
        field.watcher.ask("reload")


def test_unchecked__refused_where_that_is_not_enough(field):
    async def scene():
        person = await write_to(field, ["unchecked", "good"])
        assert bed_module.wait_until(lambda: field.finding("unchecked")[0] == "unchecked")
        assert bed_module.wait_until(lambda: field.finding("good")[0] == "good")
        with setting(field, "certs.unchecked = refuse;"):
            assert bed_module.wait_until(lambda: domain("unchecked") not in field.streams())  # who was in
            assert domain("good") in field.streams()
            field.watcher.ask(f"s2s close {domain('unchecked')}")  # no rest after a failure
            refused, told = field.watcher.stats()["certs_refused"], len(proofs(field, "unchecked"))
            await say(person, ["unchecked"])  # who comes
            assert bed_module.wait_until(lambda: field.watcher.stats()["certs_refused"] > refused)
            assert domain("unchecked") not in field.streams() and len(proofs(field, "unchecked")) == told
            assert domain("good") in field.streams()
        field.watcher.ask(f"s2s close {domain('unchecked')}")
        await say(person, ["unchecked"])
        assert bed_module.wait_until(lambda: field.finding("unchecked")[0] == "unchecked")
        await person.log_out()
    run(scene())


def proofs(field, name):
    """Lines of the log that say that the domain was proven."""
    return [line for line in field.watcher.log() if f'to="{domain(name)}" proof=' in line]


def test_hard__lets_go_of_those_that_nobody_answers_for(field):
    names = {cell: [name for name, row in field.cells.items() if row[1] == cell and name not in LATER]
             for cell in ("unanswered", "good")}
    unanswered, good = ({domain(name) for name in names[cell]} for cell in ("unanswered", "good"))

    async def scene():
        person = await write_to(field, names["unanswered"] + names["good"])
        assert bed_module.wait_until(lambda: unanswered | good <= field.streams(), 30)
        assert bed_module.wait_until(lambda: {field.finding(name)[0] for name in names["unanswered"]} == {"unanswered"}, 30)
        with setting(field, "certs.revocation = hard;"):
            assert bed_module.wait_until(lambda: not unanswered & field.streams())
            assert good <= field.streams()
        await person.log_out()
    run(scene())


def test_distrust__with_a_file__outlives_the_process(tmp_path):
    cache, settings = tmp_path / "cache", ["s2s.enabled=true"]
    one = bed_module.Bed(tmp_path / "bed", shards=1, users=1, settings=[*settings, f"certs.cache_file={cache}"])

    def again():
        one.kill()
        one.relaunch()
        return [(row["kind"], row["name"]) for row in one.json("show certs distrusted")]
    try:
        assert one.json("certs distrust 0f:f0") == {"chains": 0, "lasts": "over restarts"}
        assert one.json("certs distrust " + "ab" * 32) == {"chains": 0, "lasts": "over restarts"}
        assert bed_module.wait_until(lambda: cache.exists() and b"\xab" * 32 in cache.read_bytes())
        assert sorted(again()) == [("serial", "0ff0"), ("sha256", "ab" * 32)]
        assert one.json("certs trust 0ff0") == {"was_distrusted": True}
        assert bed_module.wait_until(lambda: b"\x0f\xf0" not in cache.read_bytes())
        assert again() == [("sha256", "ab" * 32)]
    finally:
        one.stop()
