# SPDX-License-Identifier: MIT
"""What an operator allows: the weakest SASL mechanism for a domain, and accounts that are disabled."""
import pytest

import bed as bed_module
from wire import SASL

DOMAINS = ("localhost", "strict.localhost")
ALL = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN"]


def offered(client):
    return [element.text for element in client.features.iter(f"{{{SASL}}}mechanism")]


def refused(client, mechanism):
    client.auth(mechanism, b"\0user0\0secret")
    kind, value = client.sasl_answer()
    assert kind == "failure", kind
    return value


# ---- sasl.mechanism_min (RFC 6120 s6.5.9) ----

# Holds sasl:mechanism-too-weak - a mechanism weaker than mechanism_min of the router or of the domain.
@pytest.mark.parametrize("least", range(5))
def test_mechanism__weaker_than_the_policy__is_too_weak(start_bed, least):
    bed = start_bed(settings=[f"sasl.mechanism_min={ALL[least]}"])
    client = bed.secure()
    assert offered(client) == ALL[:least + 1]
    for name in ALL[least + 1:]:
        assert refused(bed.secure(), name) == "mechanism-too-weak"
    assert refused(bed.secure(), "CRAM-MD5") == "invalid-mechanism"
    assert refused(bed.secure(), "ANONYMOUS") == "invalid-mechanism"
    binding = "tls-server-end-point" if ALL[least].endswith("PLUS") else None
    if ALL[least] != "PLAIN":
        assert client.scram("user0", "secret", ALL[least], binding) is None


def test_mechanism__known_but_not_configured__is_invalid(start_bed):
    bed = start_bed(settings=["sasl.mechanisms=SCRAM-SHA-256, SCRAM-SHA-1", "sasl.mechanism_min=SCRAM-SHA-256"])
    assert offered(bed.secure()) == ["SCRAM-SHA-256"]
    assert refused(bed.secure(), "SCRAM-SHA-1") == "mechanism-too-weak"
    assert refused(bed.secure(), "SCRAM-SHA-256-PLUS") == "invalid-mechanism"


def test_domain__with_a_stricter_policy__has_its_own(start_bed):
    """A reload that tightens one domain ends its sessions that logged in with less, and no others."""
    bed = start_bed(name="strict", domains=DOMAINS)
    lax, weak = bed.login("user0"), bed.login("user0", domain="strict.localhost")
    strong = bed.secure(domain="strict.localhost")
    assert strong.scram("user1", "secret", "SCRAM-SHA-256-PLUS", "tls-server-end-point") is None
    strong.open()
    assert strong.bind() is None
    path = bed.folder / "sluice.conf"
    before = path.read_text()
    path.write_text(before.replace("strict.localhost.key\" }", "strict.localhost.key\"; mechanism_min = SCRAM-SHA-256-PLUS }"
                                   ).replace("strict.localhost.key\"; }",
                                             "strict.localhost.key\"; mechanism_min = SCRAM-SHA-256-PLUS; }"))
    assert path.read_text() != before
    bed.ask("reload")
    weak.expect_error("reset", 15)
    lax.ping()
    strong.ping()
    assert offered(bed.secure(domain="strict.localhost")) == ["SCRAM-SHA-256-PLUS"]
    assert refused(bed.secure(domain="strict.localhost"), "SCRAM-SHA-256") == "mechanism-too-weak"
    assert offered(bed.secure()) == ALL


# ---- accounts that are disabled (RFC 6120 s6.5.2) ----

def ctl(bed, *words, given=None):
    done = bed.ctl(*words, given=given)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def plain(bed, user, password):
    client = bed.secure()
    client.auth("PLAIN", f"\0{user}\0{password}".encode())
    kind, value = client.sasl_answer()
    return value if kind == "failure" else kind


# Holds sasl:account-disabled - the right password of an account that is disabled.
def test_account__disabled__tells_only_who_knows_the_password(bed):
    ctl(bed, "account", "add", "off@localhost", given="secret\n")
    ctl(bed, "account", "disable", "off@localhost")
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
        assert bed.secure().scram("off", "secret", mechanism) == "account-disabled"
        assert bed.secure().scram("off", "wrong", mechanism) == "not-authorized"
    assert plain(bed, "off", "secret") == "account-disabled"
    assert plain(bed, "off", "wrong") == "not-authorized"
    assert plain(bed, "never-there", "secret") == "not-authorized"
    assert "disabled=true" in ctl(bed, "account", "list", "off@")
    ctl(bed, "account", "passwd", "off@localhost", given="other\n")
    assert plain(bed, "off", "other") == "account-disabled"
    ctl(bed, "account", "enable", "off@localhost")
    assert plain(bed, "off", "other") == "success"
    assert plain(bed, "off", "secret") == "not-authorized"
    ctl(bed, "account", "del", "off@localhost")


def test_account__disabled__loses_its_sessions(bed):
    ctl(bed, "account", "add", "out@localhost", given="secret\n")
    session, other = bed.login("out", is_available=False), bed.login("user0")
    waiting = bed.secure()
    assert waiting.scram("out", "secret") is None
    waiting.open()
    ctl(bed, "account", "disable", "out@localhost")
    for client in (session, waiting):
        client.expect_error("not-authorized")
    other.ping()
    assert bed_module.wait_until(lambda: not any(row["jid"].startswith("out@") for row in bed.sessions()))
    ctl(bed, "account", "enable", "out@localhost")
    bed.login("out").end()
    ctl(bed, "account", "del", "out@localhost")
