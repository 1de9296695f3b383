# SPDX-License-Identifier: MIT
"""Clients that log in by a certificate: SASL EXTERNAL (RFC 6120 s6.3.4, s13.7.2.2; XEP-0178 s2), with slixmpp and with a
client that does what others do not. What each certificate is worth: tests/sim/test_sim_external.c."""
import asyncio
import subprocess

import pytest

import bed as bed_module
import wire
from person import TLS12, TLS13, Person, run

SCRAMS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN"]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """The folder of certificates for accounts at localhost."""
    folder = tmp_path_factory.mktemp("people") / "made"
    subprocess.run(["/usr/bin/python3", "-B", str(bed_module.ROOT / "tests/chains/people.py"), str(folder), "localhost"],
                   check=True, timeout=60)
    return folder


def settings(people, policy="optional", *more):
    return [f"tls.client_certificates={policy}", f"tls.client_ca_file={people / 'people.pem'}", *more]


@pytest.fixture
def asking(start_bed, people):
    return start_bed(settings=settings(people))


def presenting(bed, people, name, version=None):
    context = bed.context(version=version)
    if name:
        context.load_cert_chain(people / f"{name}.pem", people / f"{name}.key")
    return context


def fingerprint(people, name):
    return (people / f"{name}.sha256").read_text().strip().replace(":", "").lower()[:16]


def is_logged(bed, *words):
    """In one line; the log is written by a thread of its own."""
    return bed_module.wait_until(lambda: any(all(word in line for word in words) for line in bed.log()))


def external(client, authzid=""):
    """None, or the condition of the failure."""
    client.auth("EXTERNAL", authzid.encode())
    kind, value = client.sasl_answer()
    assert kind != "challenge" and (kind != "success" or value == b"")  # RFC 4422 A.1
    return client.logged_in("user0", kind, value)


def bound(client, resource="x"):
    client.open()
    assert client.bind(resource) is None
    return client.jid


# ---- a client library ----

def somebody(bed, people, name, version=None, user="user0", **how):
    person = Person(bed, user, password="wrong", version=version, **how)
    person.certfile, person.keyfile = str(people / f"{name}.pem"), str(people / f"{name}.key")
    return person


# Holds 6120:13.8.4/1 6120:feature/security-mti-both-external.
@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
def test_slixmpp__with_a_certificate__needs_no_password(asking, people, direct, version):
    async def steps():
        person = somebody(asking, people, "valid", version)
        assert await person.log_in(direct) is None
        assert not person.tried
        row = person.row()
        assert (row["mechanism"], row["certificate"]) == ("EXTERNAL", fingerprint(people, "valid"))
        other = Person(asking, "user1", version=TLS12)
        assert await other.log_in() is None
        assert other.row()["mechanism"] == "SCRAM-SHA-256-PLUS" and "certificate" not in other.row()
        person.send_message(mto=other.boundjid.full, mbody="by certificate", mtype="chat")
        message = await asyncio.wait_for(other.inbox.get(), wire.WAIT)
        assert (message["body"], message["from"]) == ("by certificate", person.boundjid)
        await person.log_out()
        await other.log_out()
    before = asking.stats()["logins_external"]
    run(steps())
    assert asking.stats()["logins_external"] == before + 1
    assert is_logged(asking, "c2s.login", 'jid="user0@localhost"', "mechanism=EXTERNAL",
                     f"certificate={fingerprint(people, 'valid')}")


def test_slixmpp__with_several_addresses__says_which(asking, people):
    async def steps():
        for user in ("user0", "user1"):
            person = somebody(asking, people, "several", user=user)
            person.credentials["authzid"] = f"{user}@localhost"
            assert await person.log_in() is None
            assert person.row()["mechanism"] == "EXTERNAL"
            await person.log_out()
        person = somebody(asking, people, "several", mechanism="EXTERNAL")
        assert await person.log_in() in ("failed_all_auth", "disconnected")
        assert person.tried == ["invalid-authzid"]
        person.abort()
    run(steps())


def test_slixmpp__with_a_certificate_for_servers__uses_its_password(asking, people):
    async def steps():
        person = somebody(asking, people, "for_servers", TLS12)
        person.password = "secret"
        assert await person.log_in() is None
        assert person.row()["mechanism"] == "SCRAM-SHA-256-PLUS" and not person.tried
        await person.log_out()
    run(steps())


# ---- what is offered, and what is answered ----

# Holds 6120:13.7.2.2.1/1 6120:13.7.2.2.1/2 6120:13.7.2.2.2/1 6120:13.7.2.2.3/1 6120:6.3.8/5.
# Holds sasl:credentials-expired - EXTERNAL by a certificate that has expired.
@pytest.mark.parametrize("name, is_offered, failure", [
    (None, False, "invalid-mechanism"), ("valid", True, None), ("below", True, None), ("expired", False, "credentials-expired"),
    ("for_servers", False, "not-authorized"), ("elsewhere", False, "not-authorized"), ("nameless", False, "not-authorized"),
    ("of_others", False, "not-authorized"), ("self_signed", False, "not-authorized"), ("several", True, "invalid-authzid"),
    ("two_domains", True, None), ("unknown", True, "not-authorized")])
def test_certificate__each__gets_its_answer(asking, people, name, is_offered, failure):
    client = asking.secure(context=presenting(asking, people, name))
    assert client.mechanisms() == (["EXTERNAL"] if is_offered else []) + SCRAMS
    assert external(client) == failure
    if failure is None:
        assert bound(client) == "user0@localhost/x"
        client.end()
        return
    assert client.scram("user1", "secret") is None  # the stream goes on (s6.4.5)
    assert bound(client) == "user1@localhost/x"
    client.end()


def test_certificate__of_the_servers_authority__is_no_clients(asking, people):
    """Who may vouch for servers may not vouch for accounts."""
    context = asking.context()
    context.load_cert_chain(asking.folder / "localhost.pem", asking.folder / "localhost.key")
    client = asking.secure(context=context)
    assert client.mechanisms() == SCRAMS
    assert external(client) == "not-authorized"
    assert is_logged(asking, "c2s.certificate", "unknown issuer")


def test_authzid__of_another__is_invalid_and_the_right_one_goes(asking, people):
    client = asking.secure(context=presenting(asking, people, "valid"))
    for authzid in ("user1@localhost", "user0@localhost/x", "localhost", "user0@elsewhere.example"):
        assert external(client, authzid) == "invalid-authzid"
    assert external(client, "USER0@localhost") is None
    assert bound(client) == "user0@localhost/x"
    client.end()


def test_account__disabled_or_gone__is_told_to_its_owner(asking, people):
    """RFC 6120 s6.5.2; and its session by certificate ends as any other."""
    client = asking.secure(context=presenting(asking, people, "valid"))
    assert external(client) is None
    bound(client)
    assert asking.ctl("account", "disable", "user0@localhost").returncode == 0
    client.expect_error("not-authorized")
    again = asking.secure(context=presenting(asking, people, "valid"))
    assert again.mechanisms()[0] == "EXTERNAL"
    assert external(again) == "account-disabled"
    assert asking.ctl("account", "enable", "user0@localhost").returncode == 0
    assert external(again) is None
    bound(again)
    again.end()


# ---- tickets ----

def session_of(client):
    """A ping is answered behind the tickets, so they have come."""
    client.ping()
    return client.wire.tls.session


def test_ticket__of_a_client_without_a_certificate__brings_none_back(asking, people):
    """A resumed session shows no certificate: what it was resumed from is all that counts."""
    context = asking.context(version=TLS13)
    first = asking.login("user0", context=context)
    session = session_of(first)
    assert session.has_ticket
    first.end()
    context.load_cert_chain(people / "valid.pem", people / "valid.key")
    second = asking.connect().open()
    second.start_tls(context, session=session).open()
    assert second.wire.tls.session_reused
    assert second.mechanisms() == SCRAMS
    assert external(second) == "invalid-mechanism"
    assert second.scram("user0", "secret") is None
    second.open()
    second.end()


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("name", ["valid", "expired"])
def test_ticket__for_who_presented_one__is_not_there(asking, people, name, version):
    context = presenting(asking, people, name, version)
    for _ in range(2):
        client = asking.login("user1", context=context)
        assert not session_of(client).has_ticket
        assert not client.wire.tls.session_reused
        client.end()


# ---- what operators do ----

def test_map__reloaded__lets_in_and_locks_out(start_bed, people, tmp_path):
    path = tmp_path / "map"
    path.write_text("")
    bed = start_bed(name="map", settings=settings(people, "optional", f"tls.client_map={path}", "timeouts.reset=0s"))
    context = presenting(bed, people, "nameless")
    assert external(bed.secure(context=context)) == "not-authorized"
    assert is_logged(bed, "c2s.external", fingerprint(people, "nameless"))
    line = (people / "nameless.sha256").read_text().strip()
    path.write_text(f"# people\n{line} user0@localhost\n")
    bed.ask("reload")
    client = bed.secure(context=context)
    assert external(client) is None
    assert bound(client) == "user0@localhost/x"
    for text, reason in (("x user0@localhost", ":1: \"x\" is no SHA-256 fingerprint"),
                         (f"#\n#\n{line} user0@example.org", ":3: \"user0@example.org\" is of none of the domains"),
                         (f"{line}\n", ":1: an account is missing")):
        path.write_text(text)
        done = bed.ctl("reload")
        assert done.returncode == 1 and f"{path}{reason}" in done.stderr, done.stderr
        client.ping()  # nothing has changed
    path.write_text(f"{line} user1@localhost\n")
    bed.ask("reload")
    client.expect_error("reset")
    client = bed.secure(context=context)
    assert external(client, "user0@localhost") == "invalid-authzid"
    assert external(client) is None
    assert bound(client) == "user1@localhost/x"
    client.end()


# Holds 6120:13.7.2/3.
def test_certificate__required__is_a_second_proof(start_bed, people):
    bed = start_bed(settings=settings(people, "required", "sasl.mechanisms=SCRAM-SHA-256"))
    for name in (None, "expired", "of_others"):
        client = bed.connect().open()
        client.start_tls(presenting(bed, people, name))
        client.restart()
        client.send(wire.header("localhost"))
        assert client.expect_error("policy-violation") == "a valid client certificate is required"
    client = bed.secure(context=presenting(bed, people, "valid"))
    assert client.mechanisms() == ["SCRAM-SHA-256"]
    assert client.scram("user0", "wrong") == "not-authorized"
    assert client.scram("user0", "secret") is None
    bound(client)
    row = next(row for row in bed.sessions() if row["jid"] == client.jid)
    assert (row["mechanism"], row["certificate"]) == ("SCRAM-SHA-256", fingerprint(people, "valid"))
    client.end()


def test_authority__that_cannot_be_read__stops_a_start(people, tmp_path):
    path = tmp_path / "sluice.conf"
    text = (f"domain \"localhost\" {{ certificate = \"{people / 'domain.pem'}\"; key = \"{people / 'domain.key'}\"; }}\n"
            "tls {\n  client_certificates = optional;\n")
    for more, reason in (("}", "tls.client_ca_file: empty"),
                         ("client_ca_file = \"missing.pem\"; }", f"tls.client_ca_file: {tmp_path}/missing.pem: No such file"),
                         (f"client_ca_file = \"{people / 'valid.key'}\"; }}", "no certificates in PEM")):
        path.write_text(text + more)
        done = subprocess.run([bed_module.sluiced(), "--config", str(path), "--check"], capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 1 and reason in done.stderr, done.stderr
