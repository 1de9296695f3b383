# SPDX-License-Identifier: MIT
"""SASL from outside (RFC 6120 s6, RFC 5802, RFC 4616, RFC 5929, RFC 9266): every mechanism with every binding, every
failure that a client can provoke, and what a stranger can learn about accounts (nothing)."""
import ssl

import pytest

import exporter
import scram
import throwaway
import wire
from wire import SASL

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
FIRST = b"n,,n=user0,r=fyko+d2lbbFgONRv9qkxdawL"


def failure(client):
    kind, value = client.sasl_answer()
    assert kind == "failure", kind
    return value


# ---- success ----

@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
def test_scram__with_and_without_binding__logs_in(bed, mechanism, version):
    bindings = [None, "tls-server-end-point"] + (["tls-unique"] if version == TLS12 else [])
    for binding in bindings:
        client = bed.secure(context=bed.context(version=version))
        name = mechanism + ("-PLUS" if binding else "")
        assert client.scram("user0", "secret", name, binding) is None
        client.open()
        assert client.bind("x") is None
        row = next(row for row in bed.sessions() if row["jid"] == client.jid)
        assert row["mechanism"] == name
        client.end()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"])
def test_scram_plus__bound_to_tls_exporter__logs_in(start_bed, mechanism):
    bed = start_bed(settings=["tls.tickets=false"])
    client = exporter.client(bed.tls_port, bed.authority)
    bed.clients.append(client)
    client.open()
    assert client.bindings() == ["tls-exporter", "tls-server-end-point"]
    assert client.scram("user0", "secret", mechanism, "tls-exporter", client.wire.binding_data) is None
    client.open()
    assert client.bind() is None
    client.ping()


def test_scram_plus__bound_to_another_exporter__is_refused(start_bed):
    """What a man in the middle with a valid certificate would have: the keys of the wrong connection."""
    bed = start_bed(settings=["tls.tickets=false"])
    client, other = (exporter.client(bed.tls_port, bed.authority) for _ in range(2))
    bed.clients += [client, other]
    client.open()
    assert client.scram("user0", "secret", "SCRAM-SHA-256-PLUS", "tls-exporter", other.wire.binding_data) == \
        "not-authorized"


def test_plain__under_tls__logs_in(bed):
    client = bed.secure()
    assert client.plain("user0", "secret") is None
    client.open()
    assert client.bind() is None


# Holds 6120:4.3.6/3 6120:4.3.6/6.
def test_user_name__in_other_letters__is_the_same_account(bed):
    client = bed.secure()
    assert client.scram("USER0", "secret") is None
    client.open()
    assert client.bind("x") is None and client.jid == "user0@localhost/x"


@pytest.mark.parametrize("authzid", ["user0@localhost", "User0@LOCALHOST"])
def test_authzid__of_the_account_itself__is_accepted(bed, authzid):
    assert bed.secure().plain("user0", "secret", authzid) is None
    assert bed.secure().scram("user0", "secret", authzid=authzid) is None


def test_auth__without_initial_response__gets_an_empty_challenge(bed):
    client = bed.secure()
    client.auth("PLAIN")
    assert client.sasl_answer() == ("challenge", b"")
    client.send(f"<response xmlns='{SASL}'>{scram.b64(bytes(1) + b'user0' + bytes(1) + b'secret')}</response>")
    assert client.sasl_answer() == ("success", b"")


def test_login__after_failures__succeeds(bed):
    client = bed.secure()
    for _ in range(4):
        assert client.scram("user0", "wrong") == "not-authorized"
    assert client.scram("user0", "secret") is None


# ---- every failure ----

@pytest.mark.parametrize("name", ["EXTERNAL", "ANONYMOUS", "DIGEST-MD5", "CRAM-MD5", "GSSAPI", "SCRAM-SHA-512",
                                  "SCRAM-SHA-512-PLUS", "OAUTHBEARER", "plain", " PLAIN", "PLAIN ", "PLAIN&#10;", "",
                                  "SCRAM-SHA-256-PLU", "SCRAM-SHA-256-PLUSS", "P" * 2000])
def test_mechanism__that_was_not_offered__is_invalid(bed, name):
    client = bed.secure()
    client.auth(name, b"\0user0\0secret")
    assert failure(client) == "invalid-mechanism"


def test_mechanism__missing__is_invalid(bed):
    client = bed.secure()
    client.send(f"<auth xmlns='{SASL}'/>")
    assert failure(client) == "invalid-mechanism"


# Holds 6120:13.8.3/3.
# Holds sasl:encryption-required - PLAIN or channel binding where TLS is optional and not there.
@pytest.mark.parametrize("name", ["PLAIN", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"])
def test_mechanism__that_needs_tls__wants_encryption_without(plain_bed, name):
    """RFC 6120 s6.5.4."""
    client = plain_bed.connect().open()
    client.auth(name, b"\0user0\0secret")
    assert failure(client) == "encryption-required"


@pytest.mark.parametrize("name", ["PLAIN", "SCRAM-SHA-1"])
def test_mechanism__that_is_switched_off__is_invalid(start_bed, name):
    bed = start_bed(settings=['sasl.mechanisms=[SCRAM-SHA-256-PLUS, SCRAM-SHA-256]'])
    client = bed.secure()
    assert client.mechanisms() == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
    client.auth(name, b"\0user0\0secret")
    assert failure(client) == "invalid-mechanism"


# Holds 6120:6.3.5/2.
# Holds sasl:incorrect-encoding - content that is not base64.
@pytest.mark.parametrize("text", ["!!!!", "A", "AB", "ABC", "====", "A===", "AAAA=", "AA==AAAA", "AA\nAA", " AAAA", "AB==CD=="])
@pytest.mark.parametrize("step", ["auth", "response"])
def test_base64__that_is_none__is_incorrect_encoding(bed, text, step):
    """RFC 6120 s6.5.5; RFC 4648 s3.1, s3.3: no line feeds, no other characters."""
    client = bed.secure()
    if step == "response":
        client.auth("SCRAM-SHA-256", FIRST)
        assert client.sasl_answer()[0] == "challenge"
        client.send(f"<response xmlns='{SASL}'>{text}</response>")
    else:
        client.send(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{text}</auth>")
    assert failure(client) == "incorrect-encoding"


def test_equals_sign__in_a_response__is_no_base64(bed):
    """RFC 6120 s6.4.2: it stands for an empty initial response, and for nothing else."""
    client = bed.secure()
    client.auth("PLAIN")
    assert client.sasl_answer() == ("challenge", b"")
    client.send(f"<response xmlns='{SASL}'>=</response>")
    assert failure(client) == "incorrect-encoding"


@pytest.mark.parametrize("step", ["auth", "response"])
@pytest.mark.parametrize("content", ["<a/>", "<a xmlns='urn:x'>AHVzZXIwAHNlY3JldA==</a>", "AHVzZXIwAHNlY3JldA==<a/>",
                                     "=<a/>", "A" * 4000], ids=["alone", "around", "behind", "behind-empty", "too-much"])
def test_content__that_no_mechanism_has__is_malformed(bed, content, step):
    """RFC 6120 s6.5.8: the schema (A.4) has no element inside; a message of 3000 bytes is more than any takes."""
    client = bed.secure()
    start = f"<auth xmlns='{SASL}' mechanism='PLAIN'>"
    if step == "response":
        client.send(start + "</auth>")
        assert client.sasl_answer() == ("challenge", b"")
    client.send(f"<response xmlns='{SASL}'>{content}</response>" if step == "response" else f"{start}{content}</auth>")
    assert failure(client) == "malformed-request"
    assert client.plain("user0", "secret") is None


# Holds sasl:malformed-request - a message against the grammar of its mechanism.
@pytest.mark.parametrize("mechanism, message", [
    ("PLAIN", b"\0\0secret"), ("PLAIN", b"\0user0\0"), ("PLAIN", b"\0\0"), ("PLAIN", b"\0\xff\0secret"),
    ("PLAIN", b"\0user0\0\xc0\x80"), ("PLAIN", b"\xed\xa0\x80\0user0\0secret"),
    ("PLAIN", b""), ("PLAIN", b"user0"), ("PLAIN", b"\0user0"), ("PLAIN", b"\0user0\0secret\0"),
    ("SCRAM-SHA-256", b""), ("SCRAM-SHA-256", b"n"), ("SCRAM-SHA-256", b"x,,n=user0,r=abc"),
    ("SCRAM-SHA-256", b"n,,n=user0"), ("SCRAM-SHA-256", b"n,,r=abc,n=user0"), ("SCRAM-SHA-256", b"n,,n=user0,r="),
    ("SCRAM-SHA-256", b"n,,n=a=2Zb,r=abc"), ("SCRAM-SHA-256", b"n,,m=x,n=user0,r=abc"),
    ("SCRAM-SHA-256", b"n,,n=user0,r=a\xffc"), ("SCRAM-SHA-256", b"n,b=x,n=user0,r=abc"),
    ("SCRAM-SHA-256", b"p=tls-unique,,n=user0,r=abc"), ("SCRAM-SHA-256-PLUS", b"n,,n=user0,r=abc"),
    ("SCRAM-SHA-256-PLUS", b"p=,,n=user0,r=abc"),
])
def test_first_message__malformed__is_malformed_request(bed, mechanism, message):
    client = bed.secure()
    client.auth(mechanism, message)
    assert failure(client) == "malformed-request"


def test_final_message__malformed__is_malformed_request(bed):
    for message in (b"x", b"c=biws,r=", b"c=biws,r=abc", b"c=biws,r=abc,p=AAAA", b"c=!!,r=abc,p=AAAA"):
        client = bed.secure()
        client.auth("SCRAM-SHA-256", FIRST)
        assert client.sasl_answer()[0] == "challenge"
        client.send(f"<response xmlns='{SASL}'>{scram.b64(message)}</response>")
        assert failure(client) in ("malformed-request", "not-authorized"), message


# Holds 6120:6.4.4/1.
def test_abort__in_the_exchange__is_aborted_and_another_try_works(bed):
    client = bed.secure()
    client.auth("SCRAM-SHA-256", FIRST)
    assert client.sasl_answer()[0] == "challenge"
    client.send(f"<abort xmlns='{SASL}'/>")
    assert failure(client) == "aborted"
    assert client.scram("user0", "secret") is None


# Holds 6120:6.3.8/5.
@pytest.mark.parametrize("authzid", ["user1@localhost", "user0@other.example", "user0@localhost/resource", "user0", "@@"])
def test_authzid__of_another__is_invalid(bed, authzid):
    client = bed.secure()
    assert client.plain("user0", "secret", authzid) == "invalid-authzid"
    assert client.scram("user0", "secret", authzid=authzid) == "invalid-authzid"


@pytest.mark.parametrize("user, password", [("user0", "wrong"), ("user0", "secret "), ("user0", "Secret"),
                                            ("nobody", "secret"), ("user0@localhost", "secret"), ("user0", "a\u0085b"),
                                            ("a b", "secret"), ("user0", "s" * 1000), ("u" * 1024, "secret")])
def test_credentials__wrong__are_not_authorized(bed, user, password):
    client = bed.secure()
    assert client.plain(user, password) == "not-authorized"
    assert client.scram(user, password) in ("not-authorized", "malformed-request")


def test_proof__of_another_exchange__is_not_authorized(bed):
    """A replay: right for another nonce."""
    one, two = bed.secure(), bed.secure()
    exchange = scram.Exchange("SCRAM-SHA-256", "user0", "secret")
    for client in (one, two):
        client.auth("SCRAM-SHA-256", exchange.first())
    proof = exchange.final(one.sasl_answer()[1])
    two.sasl_answer()
    two.send(f"<response xmlns='{SASL}'>{scram.b64(proof)}</response>")
    assert failure(two) in ("not-authorized", "malformed-request")
    one.send(f"<response xmlns='{SASL}'>{scram.b64(proof)}</response>")
    assert one.sasl_answer()[0] == "success"


# ---- channel binding ----

def test_flag_y__where_plus_was_offered__is_a_downgrade(bed):
    """RFC 5802 s6: the client believes that we cannot bind, so somebody took it off the list."""
    assert bed.secure().scram("user0", "secret", gs2="y") == "not-authorized"
    assert bed.secure().scram("user0", "secret", "SCRAM-SHA-256-PLUS", gs2="y") == "not-authorized"


def test_flag_y__where_plus_is_not_offered__is_accepted(plain_bed):
    assert plain_bed.connect().open().scram("user0", "secret", gs2="y") is None


@pytest.mark.parametrize("binding", ["tls-server-end-point", "tls-unique"])
def test_binding__with_wrong_data__is_not_authorized(bed, binding):
    for data in (b"", b"x", bytes(12), bytes(32)):
        client = bed.secure(context=bed.context(version=TLS12))
        assert client.scram("user0", "secret", "SCRAM-SHA-256-PLUS", binding, data) == "not-authorized"


@pytest.mark.parametrize("binding", ["tls-foo", "tls-unique-for-telnet", "x" * 40])
def test_binding__of_an_unknown_type__is_not_authorized(bed, binding):
    assert bed.secure().scram("user0", "secret", "SCRAM-SHA-256-PLUS", binding, b"x") == "not-authorized"


def test_tls_unique__on_tls_1_3__is_not_authorized(bed):
    """RFC 9266 s1: it is not defined there; the library's Finished is none."""
    client = bed.secure(context=bed.context(version=TLS13))
    data = client.wire.tls.get_channel_binding("tls-unique") or b"x"
    assert client.scram("user0", "secret", "SCRAM-SHA-256-PLUS", "tls-unique", data) == "not-authorized"


# ---- attempts ----

# Holds 6120:6.4.5/2 6120:13.9.4/1.
@pytest.mark.parametrize("limit", [3, 6])
def test_attempts__one_too_many__end_the_stream(start_bed, limit):
    bed = start_bed(settings=[f"sasl.attempts_max={limit}"])
    client = bed.secure()
    kinds = [lambda: client.scram("user0", "wrong"), lambda: client.plain("nobody", "x"),
             lambda: client.plain("user0", "wrong")]
    for n in range(limit):
        assert kinds[n % len(kinds)]() == "not-authorized"
    client.expect_error("policy-violation")


# Holds 6120:6.4.5/2.
def test_attempts__counted__include_every_failure(bed):
    client = bed.secure()
    for _ in range(5):
        client.auth("NOTHING")
        assert failure(client) == "invalid-mechanism"
    client.expect_error("policy-violation")


# ---- 'from' of the header (RFC 6120 s6.4.6) ----

def said_to_be(bed, name, tls=True):
    client = bed.connect().open() if not tls else bed.secure()
    if tls:  # the same again, with 'from': a client may say it under TLS only (s4.7.1)
        client = bed.connect(tls=True)
        client.direct_tls(bed.context())
        client.restart()
        client.send(wire.header(attributes=f" from='{name}'"))
        client.event(), client.event()
    return client


# Holds 6120:feature/sasl-correlate.
@pytest.mark.parametrize("how", ["scram", "plain"])
@pytest.mark.parametrize("name", ["user1@localhost", "localhost", "user0@other.example", "nobody@localhost"])
def test_from__of_another_under_tls__ends_the_attempt(bed, name, how):
    before = bed.stats()["logins"]
    client = said_to_be(bed, name)
    assert getattr(client, how)("user0", "secret") == "not-authorized"
    client.expect_error("invalid-from")
    assert bed.stats()["logins"] == before


def test_from__of_another_with_a_wrong_password__tells_nothing(bed):
    client = said_to_be(bed, "user1@localhost")
    assert client.scram("user0", "wrong") == "not-authorized"
    assert client.scram("user1", "secret") is None


@pytest.mark.parametrize("name", ["user0@localhost", "User0@LOCALHOST", "user0@localhost/balcony"])
def test_from__of_the_account_itself__logs_in(bed, name):
    assert said_to_be(bed, name).scram("user0", "secret") is None


# Holds 6120:5.4.3.3/3.
def test_from__in_plain_text__proves_nothing_and_is_forgotten(bed):
    """RFC 6120 s5.4.3.3: what came before TLS is discarded, and so are the language and the domain."""
    client = bed.connect()
    client.restart()
    client.send(wire.header(attributes=" from='user1@localhost' xml:lang='de'"))
    assert client.event()[1]["to"] == "user1@localhost"
    client.event()
    client.start_tls(bed.context())
    client.open()
    assert "to" not in client.header
    assert client.scram("user0", "secret") is None


# ---- what a stranger learns ----

def challenge(bed, user, mechanism="SCRAM-SHA-256"):
    """(nonce, salt, iterations) of the server's first message."""
    client = bed.secure()
    exchange = scram.Exchange(mechanism, user, "wrong")
    client.auth(mechanism, exchange.first())
    kind, value = client.sasl_answer()
    assert kind == "challenge"
    exchange.final(value)
    client.close()
    return exchange.SYNTAX.fullmatch(value.decode()).group(1)[len(exchange.nonce):], exchange.salt, exchange.iterations


def test_unknown_user__is_answered_like_a_known_one(start_bed):
    """RFC 6120 s13.11: the same forms, sizes and numbers, also for iterations that are not the default."""
    bed = start_bed(name="strangers", settings=["sasl.iterations=5000"])
    if not bed.ask("account list 1 known@"):
        bed.ask("account add known@localhost", "secret")
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
        known, unknown = (challenge(bed, name, mechanism) for name in ("known", "unknown"))
        assert len(known[0]) == len(unknown[0])
        assert len(known[1]) == len(unknown[1])
        assert known[2] == unknown[2] == 5000


def test_failure__of_an_unknown_user__is_the_same_bytes(bed):
    said = []
    for user in ("user0", "nobody"):
        client = bed.secure()
        client.bytes.clear()
        assert client.plain(user, "wrong") == "not-authorized"
        plain = bytes(client.bytes)
        assert client.scram(user, "wrong") == "not-authorized"
        said.append((plain, len(client.bytes), client.bytes[-100:]))
    assert said[0] == said[1]


def test_salt__of_an_unknown_user__stays_across_attempts_and_a_restart(start_bed):
    bed = start_bed(name="strangers", settings=["sasl.iterations=5000"])
    before = {name: challenge(bed, name)[1:] for name in ("ghost", "spook", "user0")}
    assert {name: challenge(bed, name)[1:] for name in before} == before
    assert len({salt for salt, _ in before.values()}) == 3
    throwaway.stop(bed.folder)
    bed.relaunch()
    assert {name: challenge(bed, name)[1:] for name in before} == before


def test_nonce__is_never_the_same(bed):
    assert len({challenge(bed, "user0")[0] for _ in range(20)}) == 20


# ---- ANONYMOUS ----

def test_anonymous__when_enabled__gets_an_address_of_its_own(start_bed):
    bed = start_bed(settings=["sasl.anonymous=true"])
    jids = set()
    for _ in range(8):
        client = bed.secure()
        assert client.mechanisms()[-1] == "ANONYMOUS"
        client.auth("ANONYMOUS", b"trace@example.com")
        assert client.logged_in("", *client.sasl_answer()) is None
        client.open()
        assert client.bind() is None
        client.ping()
        jids.add(client.jid.partition("/")[0])
    assert len(jids) == 8 and not any("trace" in jid for jid in jids)
    assert {row["shard"] for row in bed.sessions()} <= {0, 1}


@pytest.mark.parametrize("trace, is_right", [
    (b"", True), (b"sirhc", True), ("\u00e9".encode() * 255, True), (b"a@b", True), (b"a" * 255, True),
    (b"a" * 256, False), ("\u00e9".encode() * 256, False), (b"a@", False), (b"@b", False), (b"\xff", False)])
def test_anonymous__with_a_trace__is_judged_by_its_grammar(start_bed, trace, is_right):
    """RFC 4505 s2; the example of RFC 6120 s6.5.8."""
    client = start_bed(settings=["sasl.anonymous=true"]).secure()
    client.auth("ANONYMOUS", trace)
    kind, value = client.sasl_answer()
    assert (kind, value) == ("success", b"") if is_right else (kind, value) == ("failure", "malformed-request")
