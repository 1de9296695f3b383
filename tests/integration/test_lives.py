# SPDX-License-Identifier: MIT
"""Certificates for as long as a stream lives (RFC 6120 s13.7.2.3), seen from the other end: streams that the router dialled,
streams that other servers opened to it, and clients by SASL EXTERNAL. test_certs.py has what the router says of itself."""
import concurrent.futures
import datetime
import hashlib
import re
import time

import pytest

import answers
import bed as bed_module
import throwaway
import wire
from answers import domain
from neighbour import Keeper, Neighbour
from responder import REVOKED, Authority, Responder, revocation, write_certificate

HOME = "watcher.example"
KINDS = ("dialled", "opened", "client")
LIFE = 10  # seconds, of certificates that expire; three streams have to be there before
FADING = 4  # seconds that the last answer of a responder is good, before it is down
AT_ONCE = 16
USERS = 24
REFUSED = {"dialled": "closed", "opened": "sasl:not-authorized", "client": "sasl:not-authorized"}


class Lives:
    def __init__(self, folder):
        self.responder, self.keeper = Responder(), Keeper()
        self.authority = Authority(self.responder)
        self.authority.write(folder / "ca")
        self.parties, self.cells = {}, answers.cells(self.authority)
        self.folder = folder / "parties"
        self.folder.mkdir()
        for name, cell in self.cells.items():
            self.add([name], cell[0])
        for name in ("brief", "turncoat", "missing", "fading"):
            for kind in KINDS:
                path = f"/{name}-{kind}"
                self.add([path[1:]], self.authority.issue(domain(path[1:]), ocsp=None if name == "brief" else path))
        for name, source in (("shared", {"ocsp": "/shared"}), ("listed", {"crl": "/listed"}), ("outcast", {})):
            names = [f"{name}-{kind}" for kind in KINDS]  # one for all kinds of streams
            self.add(names, self.authority.issue(*map(domain, names), **source))
        self.neighbour = Neighbour(self.folder, self.keeper)
        self.bed = self.start(folder)

    def add(self, names, party):
        for name in names:
            self.parties[name] = party
            write_certificate(self.folder, name, party)

    def say(self, name, **options):
        self.responder.answers[f"/{name}"] = lambda: self.authority.answer(self.parties[name], **options)

    def fade(self, names):
        """The responder gives one more answer, good until the moment that is returned, and then none."""
        for name in names:
            told = self.authority.answer(self.parties[name], until=datetime.timedelta(seconds=FADING))
            self.responder.answers[f"/{name}"] = told
        return revocation.NOW.replace(tzinfo=datetime.timezone.utc).timestamp() + FADING

    def say_all(self, **options):
        """Of each certificate that changes sides."""
        for kind in KINDS:
            self.say(f"turncoat-{kind}", **options)
        self.responder.answers["/shared"] = lambda: self.authority.answer(self.parties["shared-client"], **options)
        listed = [self.parties["listed-client"]] if options else []
        self.responder.answers["/listed"] = revocation.crl(by=self.authority.party, revoked=listed)

    def start(self, folder):
        (folder / "bed").mkdir()
        write_certificate(folder / "bed", HOME, self.authority.issue(HOME))
        self.map = folder / "map"
        self.write_map()
        self.s2s = throwaway.free_port()
        routes = ",".join(f"{domain(name)}=127.0.0.1:{self.neighbour.port}" for name in self.parties)
        return bed_module.Bed(folder / "bed", domains=[HOME], users=USERS, s2s_port=self.s2s, authority=folder / "ca", settings=[
            f"s2s.routes={routes}", "s2s.policy=pkix", "timeouts.reset=0s", "tls.client_certificates=optional",
            f"tls.client_ca_file={folder}/ca/ca.pem", f"tls.client_map={self.map}", "certs.interval=1s",
            "certs.fetch_timeout=1s", "certs.allow_private=true", "bind.sessions_max=100"])

    def write_map(self):
        """Whose certificate is whose, by its fingerprint: the names in them are those of servers."""
        prints = {name: hashlib.sha256(party.der).digest().hex(":") for name, party in self.parties.items()}
        users = {fingerprint: f"user{index % USERS}" for index, fingerprint in enumerate(sorted(set(prints.values())))}
        self.accounts = {name: users[fingerprint] for name, fingerprint in prints.items()}
        lines = [f"{fingerprint} {user}@{HOME}\n" for fingerprint, user in users.items()]
        self.map.write_text("".join(lines))

    def open(self, kind, name):
        """A Stay; one that was not let in has a word already."""
        stay = {"dialled": self.dial, "opened": self.visit, "client": self.log_in}[kind](name)
        stay.kind, stay.name = kind, name
        return stay

    def visit(self, name):
        return self.neighbour.visit(name, HOME, self.s2s)

    def dial(self, name):
        self.bed.ask(f"s2s close {domain(name)}")  # after a failure it is left alone for a while
        client = self.bed.login("user0")
        client.message(f"juliet@{domain(name)}", "but soft")
        stay = self.neighbour.await_stream(name)
        client.close()
        return stay

    def log_in(self, name):
        context = self.bed.context()
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        client = self.bed.secure(context=context, domain=HOME)
        self.bed.clients.remove(client)  # the keeper's, or at its end
        client.auth("EXTERNAL", b"")
        kind, value = client.sasl_answer()
        refusal = client.logged_in(self.accounts[name], kind, value)
        if refusal:
            stay = self.keeper.keep(client, "", HOME)
            stay.over(f"sasl:{refusal}")
            stay.say("</stream:stream>")
            return stay
        client.open()
        assert client.bind() is None
        return self.keeper.keep(client, client.jid, HOME)

    def open_all(self, wanted):
        """(kind, name): its stream."""
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(wanted, pool.map(lambda one: self.open(*one), wanted)))

    def refused(self, stays):
        """How they end who come back."""
        found = self.open_all([(stay.kind, stay.name) for stay in stays])
        return [stay.word for stay in found.values()]

    @staticmethod
    def ended(stays):
        return {(stay.kind, stay.name): stay.word for stay in stays if stay.word}

    def alive(self):
        return [stay for stay in self.keeper.stays if stay.word is None]

    def carries(self, stays):
        """Whether they still carry stanzas. What the router dialled is for stanzas from it alone."""
        client = self.bed.login("user0")  # settle() closes it
        body = f"t{time.monotonic()}"

        def is_well(stay):
            if stay.kind != "dialled":
                return stay.ping()
            return stay.wait_for(lambda: stay.word or any(body in "".join(stanza.itertext()) for stanza in stay.heard))
        for stay in stays:
            if stay.kind == "dialled":
                client.message(f"juliet@{domain(stay.name)}", body)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            return all(pool.map(is_well, stays))

    def chain(self, name):
        rows = self.bed.json(f"show certs peers 9 {domain(name)}")
        return rows[0] if rows else {}

    def set_revocation(self, word):
        path = self.bed.folder / "sluice.conf"
        kept = [line for line in path.read_text().splitlines() if not line.startswith("certs.revocation")]
        path.write_text("\n".join([*kept, f"certs.revocation = {word};", ""]))
        self.bed.ask("reload")

    def stop(self):
        self.keeper.close()
        self.neighbour.close()
        self.bed.settle()
        self.bed.stop()
        self.responder.close()


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    made = Lives(tmp_path_factory.mktemp("lives"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def brief(lives):
    """Streams of each kind whose certificate ends soon; they are opened before anything else and the wait is shared."""
    begin = time.time()
    for kind in KINDS:
        lives.add([f"brief-{kind}"], lives.authority.issue(domain(f"brief-{kind}"), seconds=LIFE))
    lives.write_map()
    lives.bed.ask("reload")
    made = {kind: lives.open(kind, f"brief-{kind}") for kind in KINDS}
    assert all(stay.word is None for stay in made.values()), begin
    return made


def test_every_answer__of_who_comes__has_its_standing(lives, brief):
    before = lives.bed.stats()
    wanted = [(kind, name) for name in lives.cells for kind in ("opened", "client")]
    stays = lives.open_all(wanted)
    refused = {one for one in wanted if lives.cells[one[1]][1] == "revoked"}
    assert len(lives.cells) >= 32 and len(refused) >= 6
    assert {one: stay.word for one, stay in stays.items() if stay.word} == {one: REFUSED[one[0]] for one in refused}
    expected = {name: (2, cell[1], cell[2] if cell[1] == "unanswered" else None)
                for name, cell in lives.cells.items() if cell[1] != "revoked"}
    found = {}

    def look():
        for name in expected:
            row = lives.chain(name)
            found[name] = row.get("streams"), row.get("standing"), row.get("answer") if row.get("standing") == "unanswered" else None
        return found == expected
    bed_module.wait_until(look)
    assert found == expected
    grown = {name: value - before[name] for name, value in lives.bed.stats().items()}
    assert grown["certs_refused"] == len(refused) and grown["s2s_failed_certificate"] == len(refused) / 2
    assert lives.carries([stay for stay in stays.values() if not stay.word])


def test_revoked_while_used__each_kind__is_reset_within_one_asking(lives, brief):
    lives.say_all()
    made = [lives.open(kind, f"{name}-{kind}") for name in ("turncoat", "shared", "listed") for kind in KINDS]
    assert [stay.word for stay in made] == len(made) * [None]
    others = [stay for stay in lives.alive() if stay not in made and stay not in brief.values()]
    begin = time.time()
    lives.say_all(status=REVOKED)
    assert [stay.wait_for_end() for stay in made] == len(made) * ["reset"]
    assert max(stay.at for stay in made) - begin < 5
    assert lives.ended(others) == {} and lives.carries(others)
    assert lives.refused(made) == [REFUSED[stay.kind] for stay in made]


def test_expired__each_kind__is_reset_at_that_moment(lives, brief):
    others = [stay for stay in lives.alive() if stay not in brief.values()]
    for kind, stay in brief.items():
        end = lives.parties[f"brief-{kind}"].certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp()
        assert stay.wait_for_end() == "reset"
        assert end - 1.1 <= stay.at <= end + 1, (kind, stay.at - end)
    assert lives.ended(others) == {} and lives.carries(others)
    for kind in KINDS:  # all of the last second is in (RFC 5280 s4.1.2.5)
        try:
            stay = lives.open(kind, f"brief-{kind}")
        except wire.Wrong as early:  # the second was over before the resource was bound
            assert "the certificate of this stream has expired" in str(early)
        else:
            assert stay.wait_for_end() and stay.at <= end + 2
    time.sleep(max(0, end + 1 - time.time()))
    again = {kind: lives.open(kind, f"brief-{kind}") for kind in KINDS}
    assert {kind: stay.word for kind, stay in again.items()} == {
        "dialled": "closed", "opened": "not-authorized", "client": "sasl:credentials-expired"}
    assert again["opened"].text == "certificate: expired"


def test_distrust__each_kind__is_reset_at_once(lives):
    made = [lives.open(kind, f"outcast-{kind}") for kind in KINDS]
    assert [stay.word for stay in made] == len(made) * [None]
    others = [stay for stay in lives.alive() if stay not in made]
    begin = time.time()
    name = hashlib.sha256(lives.parties["outcast-client"].der).hexdigest()
    assert lives.bed.json(f"certs distrust {name}")["chains"] == 1
    assert [stay.wait_for_end() for stay in made] == len(made) * ["reset"]
    assert max(stay.at for stay in made) - begin < 3
    assert lives.ended(others) == {} and lives.carries(others)
    assert lives.refused(made) == [REFUSED[stay.kind] for stay in made]


def test_hard__each_kind__lets_go_of_those_that_nobody_answers_for(lives):
    unanswered = {name for name, cell in lives.cells.items() if cell[1] == "unanswered"}
    leaving = [stay for stay in lives.alive() if stay.name in unanswered]
    staying = [stay for stay in lives.alive() if stay.name not in unanswered]
    assert len(leaving) == 2 * len(unanswered) and len(staying) >= 14
    down = [lives.open(kind, f"missing-{kind}") for kind in KINDS]
    assert [stay.word for stay in down] == 3 * [None] and lives.carries(down)
    moment = lives.fade([f"fading-{kind}" for kind in KINDS])
    fading = [lives.open(kind, f"fading-{kind}") for kind in KINDS]
    assert [stay.word for stay in fading] == 3 * [None]
    for kind in KINDS:
        lives.responder.answers[f"/fading-{kind}"] = (404, b"", {})
    lives.set_revocation("hard")
    assert {stay.wait_for_end() for stay in leaving + down} == {"reset"}
    assert lives.ended(staying) == {} and lives.carries(staying)
    assert lives.refused(leaving + down) == [REFUSED[stay.kind] for stay in leaving + down]
    assert {stay.wait_for_end() for stay in fading} == {"reset"}  # until then its last answer counts
    assert all(moment - 0.1 <= stay.at <= moment + 5 for stay in fading), [stay.at - moment for stay in fading]
    lives.set_revocation("soft")
    assert lives.refused(down) == 3 * [None]


def test_page__of_the_other_servers__says_of_sluice_what_is_so(lives):
    """docs/CERTIFICATES.md is remade by hand; tests/chains/lifetime.py"""
    text = (bed_module.ROOT / "docs" / "CERTIFICATES.md").read_text(encoding="utf-8").partition("# For the life of a stream")[2]
    said = {name: (soft, hard) for name, soft, hard in re.findall(r"^\| `([\w-]+)` \| \w+ \| ([^|]*) \| ([^|]*) \|", text, re.M)}
    assert said == {name: ("no no" if cell[1] == "revoked" else "yes yes", "yes yes" if cell[1] == "good" else "no no")
                    for name, cell in lives.cells.items()}
