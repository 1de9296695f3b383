# SPDX-License-Identifier: MIT
"""What is stapled to our own certificates (RFC 6066 s8): the answer of a responder on loopback, seen by OpenSSL's client,
which wants it, and by show certs; while the responder is down, after a renewal, a restart and a revocation."""
import datetime
import hashlib
import os
import re
import signal
import subprocess

import pytest
from cryptography import x509

import bed as bed_module
import tap
import wire
from responder import REVOKED, UNKNOWN, Authority, Responder, revocation, write_certificate

OWN, BRIEF, LONE, PLAIN = "own.example", "brief.example", "lone.example", "plain.example"
DEMANDS = [(x509.TLSFeature([x509.TLSFeatureType.status_request]), False)]  # RFC 7633
SETTINGS = ["certs.allow_private=true", "certs.fetch_timeout=2s"]


class Field:
    """A router of four domains: OWN's certificate names a responder that answers for twelve hours, BRIEF's demands a
    staple and is answered for seconds, LONE's file lacks the issuer, PLAIN's certificate names no responder."""

    def __init__(self, folder):
        self.responder = Responder()
        self.authority = Authority(self.responder)
        self.authority.write(folder / "ca")
        self.folder = folder / "bed"
        self.folder.mkdir()
        self.parties = {name: self.authority.issue(name, ocsp=None if name == PLAIN else f"/{name}",
                                                   extra=DEMANDS if name == BRIEF else ()) for name in (OWN, BRIEF, LONE, PLAIN)}
        for name, party in self.parties.items():
            write_certificate(self.folder, name, party, *([] if name == LONE else [self.authority.party]))
        self.says(OWN)
        self.responder.answers[f"/{BRIEF}"] = None
        self.bed = bed_module.Bed(self.folder, domains=list(self.parties), users=1, authority=folder / "ca", settings=[
            *SETTINGS, f"certs.cache_file={self.folder / 'certs.cache'}"])

    def says(self, name, **options):
        """The responder answers for that domain's certificate, made when it is asked."""
        party = self.parties[name]
        self.responder.answers[f"/{name}"] = lambda: self.authority.answer(party, **options)

    def row(self, name, depth=0):
        rows = [row for row in self.bed.json("show certs") if (row["domain"], row["depth"]) == (name, depth)]
        assert len(rows) == 1
        return rows[0]

    def becomes(self, name, **wanted):
        """Waits until show certs says so; its row."""
        found = {}

        def is_so():
            found.update(row=self.row(name))
            return all(found["row"].get(key) == value for key, value in wanted.items())
        assert bed_module.wait_until(is_so, step=0.05), (wanted, found)
        return found["row"]

    def stop(self):
        self.bed.stop()
        self.responder.close()


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    made = Field(tmp_path_factory.mktemp("own"))
    yield made
    made.stop()


def stapled(field, name, *more, starttls=False):
    """What OpenSSL's client got: None, or (status, nextUpdate as it prints it)."""
    port = field.bed.port if starttls else field.bed.tls_port
    tap.Connection(port)
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-status", "-servername", name,
               "-CAfile", str(field.bed.authority), "-verify_return_error", "-verify_hostname", name, *more]
    if starttls:
        command += ["-starttls", "xmpp", "-xmpphost", name]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=wire.WAIT, check=False)
    assert "Verify return code: 0 (ok)" in done.stdout, done.stdout + done.stderr
    if "OCSP response: no response sent" in done.stdout:
        return None
    assert "OCSP Response Status: successful (0x0)" in done.stdout
    return (re.search(r"Cert Status: (\w+)", done.stdout).group(1),
            re.search(r"Next Update: (.*)", done.stdout).group(1))


def becomes_stapled(field, name, expected):
    """A shard may shake hands by the certificates before a reload for a turn."""
    assert bed_module.wait_until(lambda: stapled(field, name) == expected)


def spelled(date):
    """A date of show certs as OpenSSL prints it."""
    return f"{datetime.datetime.strptime(date, '%Y-%m-%dT%H:%M:%SZ'):%b %e %H:%M:%S %Y GMT}"


def logged(field, *words):
    return bed_module.wait_until(lambda: any(all(word in line for word in words) for line in field.bed.log()))


def test_good__is_stapled_to_every_handshake_that_wants_it(field):
    row = field.becomes(OWN, staple="good")
    expected = ("good", spelled(row["staple_until"]))
    for version in ("-tls1_2", "-tls1_3"):
        assert stapled(field, OWN, version) == expected
        assert stapled(field, OWN, version, starttls=True) == expected
    assert stapled(field, PLAIN) is None
    assert field.responder.asked.count(f"/{OWN}") == 1
    assert field.bed.stats()["certs_staples"] == 1


def test_show_certs__tells_of_all_that_is_shown(field):
    row, above = field.becomes(OWN, staple="good"), field.row(OWN, 1)
    party, ca = field.parties[OWN], field.authority.party
    assert row["sha256"] == hashlib.sha256(party.der).hexdigest() and row["names"] == OWN
    assert row["issuer"] == above["subject"] == above["issuer"] == "Watched authority"
    assert above["sha256"] == hashlib.sha256(ca.der).hexdigest() and above["days_left"] > 0 and "staple" not in above
    assert row["url"] == f"{field.responder.url}/{OWN}"
    assert row["staple_made"] < row["checked"] < row["next"] < row["staple_until"]
    assert not {"use", "failing", "answer", "revoked", "must_staple"} & row.keys()
    assert field.row(PLAIN)["staple"] == "none"
    assert field.row(LONE)["staple"] == "no-issuer"
    assert field.bed.ask("show certs")[0].startswith(f"{OWN} depth=0 names={OWN} ")
    metrics = "\n".join(field.bed.ask("show metrics"))
    assert re.search(rf'sluice_certificate_staple_age_seconds{{domain="{OWN}"}} 3[67]\d\d$', metrics, re.M)  # an hour
    assert f'sluice_certificate_staple_expires_seconds{{domain="{PLAIN}"}} 0\n' in metrics


def test_responder_down__the_last_answer_stays_until_its_end(field):
    before = field.becomes(OWN, staple="good")
    field.responder.answers[f"/{OWN}"] = None
    assert field.bed.json(f"certs check {OWN}") == {"chains": 1}
    row = field.becomes(OWN, answer="no answer")
    assert row["staple"] == "good" and row["failing"] and row["staple_until"] == before["staple_until"]
    assert stapled(field, OWN) == ("good", spelled(before["staple_until"]))
    assert logged(field, " WARN ", " certs.staple_failed ", f"domain={OWN}")
    # The other one: an answer that is good for seconds, and none after it.
    assert field.becomes(BRIEF, staple="unanswered")["must_staple"] == "unmet"
    assert logged(field, " WARN ", " certs.must_staple ", f"domain={BRIEF} staple=unanswered")
    field.says(BRIEF, until=datetime.timedelta(seconds=5))
    field.bed.ask(f"certs check {BRIEF}")
    assert field.becomes(BRIEF, staple="good")["must_staple"] == "met"
    field.says(BRIEF, status=UNKNOWN)
    row = field.becomes(BRIEF, staple="unanswered", answer="unknown to the responder")
    assert row["must_staple"] == "unmet" and "staple_until" not in row
    assert stapled(field, BRIEF) is None
    assert logged(field, " WARN ", " certs.staple_over ", f"domain={BRIEF}")


def test_renewal__has_an_answer_of_its_own_and_ends_no_session(field):
    field.becomes(OWN, staple="good")
    client = field.bed.login("user0", domain=OWN, direct=True)
    before = stapled(field, OWN)
    field.parties[OWN] = field.authority.issue(OWN, ocsp=f"/{OWN}")
    field.says(OWN, until=revocation.HOUR * 20)
    write_certificate(field.folder, OWN, field.parties[OWN], field.authority.party)
    field.bed.ask("reload")
    row = field.becomes(OWN, staple="good", sha256=hashlib.sha256(field.parties[OWN].der).hexdigest())
    after = ("good", spelled(row["staple_until"]))
    assert after != before
    becomes_stapled(field, OWN, after)
    client.ping()
    assert [session["jid"] for session in field.bed.sessions()] == [client.jid]
    client.end()


def test_restart__has_the_answer_from_the_first_handshake_on(field):
    """After a reload, too: the file's name outlives the configuration that it came from."""
    before = field.becomes(OWN, staple="good", failing=None)
    field.responder.answers[f"/{OWN}"] = None
    asked = field.responder.asked.count(f"/{OWN}")
    os.kill(field.bed.pid, signal.SIGTERM)
    assert bed_module.wait_until(lambda: bed_module.throwaway.pid_of(field.folder) is None)
    field.bed.relaunch()
    assert stapled(field, OWN) == ("good", spelled(before["staple_until"]))
    assert field.row(OWN)["staple_until"] == before["staple_until"]
    assert field.responder.asked.count(f"/{OWN}") == asked


def test_reload__of_the_same_certificate__staples_at_once(field):
    row = field.becomes(OWN, staple="good")
    asked = field.responder.asked.count(f"/{OWN}")
    path = field.folder / "sluice.conf"
    text = path.read_text()
    path.write_text(text + "certs.staple = false;\n")
    field.bed.ask("reload")
    assert field.row(OWN)["staple"] == field.row(PLAIN)["staple"] == "off"
    assert field.row(BRIEF)["must_staple"] == "unmet"
    becomes_stapled(field, OWN, None)
    path.write_text(text)
    field.bed.ask("reload")
    assert field.row(OWN)["staple_until"] == row["staple_until"]
    becomes_stapled(field, OWN, ("good", spelled(row["staple_until"])))
    assert field.responder.asked.count(f"/{OWN}") == asked


def test_revoked__is_told_loudly_and_stapled_no_more(field):
    field.becomes(OWN, staple="good")
    field.says(OWN, status=REVOKED)
    field.bed.ask(f"certs check {OWN}")
    row = field.becomes(OWN, staple="revoked")
    assert row["revoked"] and not {"staple_until", "next"} & row.keys()
    assert stapled(field, OWN) is None
    assert logged(field, " ERROR ", " certs.own_revoked ", f"domain={OWN}", f" since={row['revoked']}: ")
    assert field.bed.stats()["certs_own_revoked"] == 1


def test_end_of_an_authority__is_foretold_like_that_of_a_leaf(field):
    ending = Authority(field.responder)
    ending.party = revocation.generate.authority("Ending authority", None, end=6.5)
    write_certificate(field.folder, PLAIN, field.parties[PLAIN], ending.party)
    field.bed.ask("reload")
    assert field.row(PLAIN, 1)["days_left"] == 6
    assert logged(field, " WARN ", " certs.own_ends ", f'domain={PLAIN} days=6 authority="Ending authority"')
