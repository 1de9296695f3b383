# SPDX-License-Identifier: MIT
"""Everything that the router sends in recorded sessions, simulated and live, is what the grammars of docs/schema
say."""
import base64
import contextlib
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]
import bed as bed_module  # noqa: E402
import grammar  # noqa: E402
import live  # noqa: E402
import mutations  # noqa: E402
import scram  # noqa: E402
import tap  # noqa: E402
import validate  # noqa: E402
import wire  # noqa: E402

SEED = int(os.environ.get("SL_SEED", random.SystemRandom().randrange(1 << 31)))
STREAMS_A_MUTATION = 4


def build_folder():
    return pathlib.Path(bed_module.sluiced()).parents[1]


def simulate(folder, names=("routing", "limits", "silence", "s2s", "s2s_ack", "s2s_ack_called")):
    """Simulated tests of the build that the router under test is of."""
    build = build_folder()
    programs = [build / "tests" / "sim" / f"test_sim_{name}" for name in names]
    certificates = build / "tests" / "unit" / "tls" / "certs"
    wanted = [*programs, certificates.parent / "stamp"]
    if not all(path.exists() for path in wanted):
        subprocess.run(["ninja", "-C", build, *(str(path.relative_to(build)) for path in wanted)], check=True,
                       stdout=subprocess.DEVNULL)
    env = {**os.environ, "SL_TAP": str(folder), "SL_TEST_CERTS": str(certificates),
           "SL_TEST_DATA": str(bed_module.ROOT / "tests" / "data"),
           "SL_SEEDS": "6"}  # of those that dial at once: all of them sound alike here
    for program in programs:
        done = subprocess.run([program], env=env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def tapped(folder, is_ours=True):
    """What is heard meanwhile goes there, and at the end, if it is ours, to where the whole run's goes."""
    of_all = os.environ["SL_TAP"]
    os.environ["SL_TAP"] = str(folder)
    try:
        yield
    finally:
        os.environ["SL_TAP"] = of_all
        for path in pathlib.Path(folder).glob("*.xml") if is_ours else ():
            shutil.copy(path, tap.new_file(of_all, validate.suite_of(path)))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder)
    return folder


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    with tapped(folder):
        live.run(tmp_path_factory.mktemp("bed"))
    return folder


def roots_of(folder):
    found = []
    for path in sorted(folder.glob("*.xml")):
        for document in validate.split(path.read_bytes()):
            report = validate.Report()
            root, _ = validate.check_stream(document, report)
            if root is not None and not report.faults:
                found.append(root)
    return found


@pytest.fixture(scope="module")
def all_roots(simulated, lived):
    """The valid streams, shorter ones first: there a mutation says more."""
    return sorted(roots_of(simulated) + roots_of(lived), key=len)


@pytest.fixture(scope="module")
def roots(all_roots):
    return [root for root in all_roots if not mutations.is_between_servers(root)]


@pytest.fixture(scope="module")
def server_roots(all_roots):
    return [root for root in all_roots if mutations.is_between_servers(root)]


# ---- what was recorded ----

def assert_valid(folder, streams_min, stanzas_min):
    report = validate.check([folder])
    print(report)
    assert report.streams >= streams_min and report.stanzas >= stanzas_min, f"the tap saw too little: {report}"
    assert not report.faults, "\n".join(report.faults)


# Holds 6120:11.1/2 6120:11.3/1 6120:11.3/3 6120:4.7.1/1 6120:4.8.3/1.
def test_streams__of_simulations__are_valid(simulated):
    assert_valid(simulated, 200, 150)


# Holds 6120:8.2.3/8 6120:8.2.3/9 6120:8.3.1/5 6120:8.3.1/8 6120:8.3.2/1 6120:8.3.2/2 6120:8.3.2/6 6120:8.4/2.
# Holds 6120:11.1/2 6120:11.3/1 6120:11.3/3 6120:11.6/2 6120:feature/stanza-error-child 6120:feature/stanza-iq-child.
# Holds 6120:feature/xml-namespace-streams-declaration 6120:feature/xml-namespace-streams-prefix.
# Holds 6120:feature/xml-restriction-comment 6120:feature/xml-restriction-dtd 6120:feature/xml-restriction-pi.
# Holds 6120:feature/xml-restriction-ref 6120:feature/xml-wellformed-xml 6120:feature/xml-wellformed-ns.
# Holds 6120:4.3.3/1 6120:4.3.5/1 6120:4.8.1/1 6120:4.8.3/6 6120:4.8.5/2 6120:4.9.2/3 6120:4.9.2/4.
def test_streams__of_live_sessions__are_valid(lived):
    assert_valid(lived, 60, 60)


@pytest.mark.parametrize("xpath", live.MUST_BE_SEEN)
def test_live_sessions__have_seen(roots, xpath):
    """A grammar that was never asked about something says nothing about it."""
    assert any(mutations.places(root, xpath) for root in roots)


@pytest.mark.parametrize("xpath", mutations.SERVER_MUST_BE_SEEN)
def test_sessions_between_servers__have_seen(server_roots, xpath):
    assert any(mutations.places(root, xpath) for root in server_roots)


# Holds 6120:4.3.6/7 6120:6.3.8/4.
def test_authorization_identity__between_servers__is_the_domain(server_roots):
    asked = [(root.get("from"), auth.text) for root in server_roots for auth in mutations.places(root, "/s:stream/sasl:auth")]
    assert asked and all(base64.b64decode(text).decode() == domain for domain, text in asked)


# ---- odd stanzas, and what becomes of them ----

@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    bed = bed_module.Bed(tmp_path_factory.mktemp("bed"), plaintext=True)
    yield bed
    bed.stop()


PING = "<iq type='get'{}><ping xmlns='urn:xmpp:ping'/></iq>"


# Holds 6120:4.8.5/2 6120:4.8.5/3.
@pytest.mark.parametrize("data", [
    pytest.param(PING.format(""), id="iq-without-id"),       # RFC 6120 s8.3.1, rule 3: the error's id is empty, not missing
    pytest.param(PING.format(" id=''"), id="iq-with-empty-id"),  # s8.1.3: the answer's id is the request's
    # s4.8.5: MUST NOT be delivered without correcting the prefix
    pytest.param("<c:message xmlns:c='jabber:client' to='user0@localhost'><c:body>x</c:body></c:message>",
                 id="prefixed-stanza"),
    pytest.param("<message to='user0@localhost'><c:body xmlns:c='jabber:client'>x</c:body></message>",
                 id="prefixed-child"),
])
def test_answer__to_odd_stanza__is_valid(bed, tmp_path, data):
    with tapped(tmp_path):
        client = bed.login("user0", secure=False)
        client.send(data)
        client.stanza()
        client.end()
    assert not validate.check([tmp_path]).faults


# ---- what a wrong emitter would send ----

# Holds 6120:4.8.3/6 6120:4.9.2/3 6120:6.4.5/1 6120:6.5/1.
@pytest.mark.parametrize("row", mutations.ROWS, ids=[row[0] for row in mutations.ROWS])
def test_mutated_stream__is_refused(roots, row):
    assert_refused(roots, row)


@pytest.mark.parametrize("row", mutations.SERVER_ROWS, ids=[row[0] for row in mutations.SERVER_ROWS])
def test_mutated_stream_between_servers__is_refused(server_roots, row):
    assert_refused(server_roots, row)


def assert_refused(roots, row):
    dice = random.Random(f"{SEED} {row[0]}")
    candidates = [root for root in roots if mutations.places(root, row[1])]
    assert candidates, f"no recorded stream has {row[1]}"
    for root in candidates[:1] + dice.sample(candidates, min(len(candidates), STREAMS_A_MUTATION)):
        mutated = mutations.mutate(root, row, dice)
        assert not validate.schema_of(root).validate(mutated), \
            f"SL_SEED={SEED}: accepted: {validate.etree.tostring(mutated).decode()[:2000]}"


def test_every_emitter__has_a_mutation(request):
    """Who adds a place to router/ that writes XML names in mutations.EMITTERS what it would do wrong."""
    rows = {row[0] for row in mutations.ROWS + mutations.SERVER_ROWS}
    cases = {mark.kwargs["ids"][n] for mark in test_bytes__that_no_grammar_sees__are_refused.pytestmark
             for n in range(len(mark.kwargs["ids"]))}
    assert mutations.emitters(bed_module.ROOT) == set(mutations.EMITTERS)
    for place, names in mutations.EMITTERS.items():
        assert names and set(names) <= rows | cases, place


# Names in the program by others as long: what its emitters then send is well-formed, and wrong.
WRONG_NAMES = [
    (b"stream:features", b"stream:featured"), (b"mechanisms", b"mechanizms"), (b"invalid-mechanism", b"unvalid-mechanism"),
    (b"incorrect-encoding", b"incorrect-encodinG"), (b"max-bytes", b"max-bites"), (b"bad-format", b"bad-Format"),
    (b"urn:ietf:params:xml:ns:xmpp-stanzas", b"urn:ietf:params:xml:ns:xmpp-stanzaz"),
    (b"urn:ietf:params:xml:ns:xmpp-streams", b"urn:ietf:params:xml:ns:xmpp-streamz"),
    (b"remote-server-not-found", b"remote-server-not-there"),
]


def wrong_router(folder, wrong_name):
    """The router under test with another name in it."""
    name, other = wrong_name
    program = pathlib.Path(bed_module.sluiced()).read_bytes()
    assert len(name) == len(other) and program.count(name + b"\0"), name
    folder = folder / "router"
    folder.mkdir(parents=True)
    path = folder / "sluiced"
    path.write_bytes(program.replace(name + b"\0", other + b"\0"))
    path.chmod(0o755)
    return path


def hear_it_out(bed):
    """What shows each of WRONG_NAMES: features behind TLS, SASL and stanza errors, a stream error."""
    client = bed.connect()
    client.wire.send(wire.header())
    while b"</stream:" not in client.bytes:
        client.bytes += client.wire.receive()
    client.send(f"<starttls xmlns='{wire.TLS}'/>")
    while b"<proceed" not in client.bytes:
        client.bytes += client.wire.receive()
    client.restart()
    client.wire.start_tls(bed.context())
    steps = ((wire.header(), b"</stream:feature"), (f"<auth xmlns='{wire.SASL}' mechanism='GSSAPI'/>", b"</failure>"),
             (f"<auth xmlns='{wire.SASL}' mechanism='PLAIN'>====</auth>", b"</failure>"),
             (f"<auth xmlns='{wire.SASL}' mechanism='PLAIN'>{scram.b64(b'%cuser0%csecret' % (0, 0))}</auth>", b"<success"))
    for step, answer in steps:
        client.send(step)
        client.restart()
        while answer not in client.bytes:
            client.bytes += client.wire.receive()
    client.restart()
    live.say(client, wire.header().decode() + f"<iq type='set' id='1'><bind xmlns='{wire.BIND}'/></iq>"
             "<message to='a@elsewhere.example'/></stream:stream>")
    live.say(bed.connect(), wire.header().decode() + "<stream:stream/>")


def test_right_router__in_the_same_session__is_accepted(tmp_path):
    assert not faults_of(bed_module.sluiced(), tmp_path).faults


def faults_of(program, tmp_path):
    given = os.environ.get("SLUICED")
    os.environ["SLUICED"] = str(program)
    folder = tmp_path / "tap"
    folder.mkdir()
    try:
        bed = bed_module.Bed(tmp_path / "bed", users=1)
        with tapped(folder, is_ours=False):
            hear_it_out(bed)
        bed.stop()
    finally:
        if given is None:
            del os.environ["SLUICED"]
        else:
            os.environ["SLUICED"] = given
    return validate.check([folder])


@pytest.mark.parametrize("wrong_name", WRONG_NAMES, ids=[other.decode() for _, other in WRONG_NAMES])
def test_wrong_router__is_refused(tmp_path, wrong_name):
    report = faults_of(wrong_router(tmp_path, wrong_name), tmp_path)
    assert any(wrong_name[1].decode() in fault for fault in report.faults), report


def test_wrong_router__fails_a_run_whose_tests_pass(tmp_path):
    """The gate itself: a test that does not look at what is wrong passes, and the run fails and says where."""
    env = {**os.environ, "SLUICED": str(wrong_router(tmp_path, (b"max-bytes", b"max-bites")))}
    del env["SL_TAP"]
    test = "tests/integration/test_clients.py::test_blanks__between_stanzas__keep_the_session"
    done = subprocess.run([sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", test], env=env,
                          cwd=bed_module.ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1 and "1 passed" in done.stdout, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("FAILED "))
    assert test in line and "stream 2" in line and "<max-bites>" in line and "stream-limits.rnc:" in line, line


HEADER = ("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.com' "
          "id='0123456789abcdef0123456789abcdef' version='1.0' xml:lang='en'>")
FEATURES = ("<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism>"
            "</mechanisms></stream:features>")
SUCCESS = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
BIND = ("<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features><iq id='1' type='result'>"
        "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>a@example.com/r</jid></bind></iq>")
OTHER_HEADER = HEADER.replace("0123", "3210")
END = "</stream:stream>"


@pytest.mark.parametrize("text", [
    HEADER + FEATURES + " " + SUCCESS + END,                                # s6.3.5: a blank
    HEADER + "<!-- x -->" + END,                                            # s11.1
    HEADER + "<?x y?>" + END,
    "<!DOCTYPE x>" + HEADER + END,
    "<?xml version='1.1'?>" + HEADER + END,                                 # s11.8
    "<?xml version='1.0' encoding='ISO-8859-1'?>" + HEADER + END,           # s11.6
    HEADER + BIND + "<c:message xmlns:c='jabber:client'/>" + END,           # s4.8.5
    HEADER + BIND + "<message><c:body xmlns:c='jabber:client'/></message>" + END,
    HEADER.replace("stream:stream", "x:stream").replace("xmlns:stream", "xmlns:x") + "</x:stream>",
    HEADER + FEATURES + SUCCESS + HEADER + END,                             # s4.7.3: the same id
    HEADER + FEATURES + OTHER_HEADER + END,                                 # s4.3.3: nothing allows a restart
    HEADER + FEATURES + SUCCESS + END + OTHER_HEADER + END,                 # s4.4: the stream is over
    HEADER + BIND + "<message></presence>" + END,
    HEADER + END + "x",
    HEADER + BIND + "<x:message/>" + END,                                   # no such prefix
], ids=["blank", "comment", "instruction", "doctype", "xml-1.1", "latin-1", "prefixed-stanza", "prefixed-body",
        "other-stream-prefix", "same-id", "restart", "restart-after-end", "wrong-end-tag", "junk-behind-end",
        "unbound-prefix"])
def test_bytes__that_no_grammar_sees__are_refused(text):
    assert validate.check_connection(text.encode()).faults


@pytest.mark.parametrize("stanza, by_another, by_router", [
    ("<message {}><x xmlns=''/><body>x</body></message>", True, False),
    ("<message {}><x xmlns=''><body/></x></message>", True, False),
    ("<message {} type='chat'><no-such-child/></message>", True, False),
    ("<message {} xmlns:c='jabber:client' c:id='1'/>", True, False),
    ("<presence {}><x/><show>away</show></presence>", True, False),
    ("<message {}><x xmlns='urn:example:x'/></message>", True, True),
    ("<presence {} type='unavailable'><x/></presence>", False, False),
    ("<message {} type='error'><x/></message>", False, False),
    ("<message {}><body><x/></body></message>", False, False),
    ("<message {}><error type='cancel'/></message>", False, False),
    ("<message {}><x xmlns='jabber:server'/></message>", False, False),
    ("<message {} priority='1'/>", True, False),
    ("<message {}>x</message>", False, False),
    ("<message {} type='sms'/>", False, False),
    ("<presence {}><show>away</show><show>xa</show></presence>", False, False),
    ("<iq {} id='1' type='get'><x xmlns=''/></iq>", False, False),
    ("<iq {} id='1' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", True, False),
    ("<iq {} id='1' type='set'><auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></iq>", False, False),
])
def test_relayed_content__is_the_senders_own(stanza, by_another, by_router):
    """RFC 6120 s11.4, and only so far: docs/schema/client.rnc, client.relayed."""
    for origin, is_valid in (("from='a@example.com/r'", by_another), ("from='a@example.com'", by_router),
                             ("from='example.com'", by_router), ("", by_router)):
        faults = validate.check_connection((HEADER + BIND + stanza.format(origin) + END).encode()).faults
        assert (not faults) == is_valid, (origin, faults)


@pytest.mark.parametrize("at", [0, 1, 50, 98, 99])
@pytest.mark.parametrize("wrong", ["<message type='sms'/>", "<message><body>x</body>y</message>",
                                   "<c:message xmlns:c='jabber:client'><c:body>x</c:body></c:message>",
                                   "<stream:features/>", "<stream:error><conflict xmlns='u'/></stream:error>"])
def test_one_wrong_stanza__among_many__is_found(wrong, at):
    """Stanzas of one shape are looked at once: validate.without_repeats."""
    stanzas = [f"<message id='{n}' from='a@example.com/r'><body>x</body></message>" for n in range(100)]
    assert not validate.check_connection((HEADER + BIND + "".join(stanzas) + END).encode()).faults
    stanzas[at] = wrong
    report = validate.check_connection((HEADER + BIND + "".join(stanzas) + END).encode())
    assert report.faults and report.elements == 102


def test_records_of_tls__that_nobody_read__are_no_stream():
    proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    tls = HEADER + STARTTLS + proceed
    for data in (b"\x15\x03\x01\0\x02\2\x32", tls.encode() + b"\x15\x03\x03\0\x02\2\x28"):
        assert not validate.check_connection(data).faults
    assert validate.check_connection(HEADER.encode() + b"\x15\x03\x03\0").faults


@pytest.mark.parametrize("text, cut", [
    (HEADER + FEATURES + SUCCESS + OTHER_HEADER + BIND + " \n" + END, 0),
    ("<?xml version='1.0'?>" + HEADER + FEATURES + SUCCESS + "<?xml version='1.0' encoding='utf-8'?>" + OTHER_HEADER, 1),
    (HEADER + BIND + "<message><body>a &gt; b</body></message><message a='>'><body>cut he", 1),
    (HEADER + BIND + "<message><x xmlns='u|v'><message xmlns='jabber:client'/></x></message>" + END, 0),
    (HEADER[:-1], None),
], ids=["whole", "cut-behind-header", "cut-in-stanza", "odd-namespace", "cut-in-header"])
def test_bytes__of_whole_and_cut_connections__are_taken(text, cut):
    report = validate.check_connection(text.encode())
    if cut is None:
        assert report.faults and not report.streams
    else:
        assert not report.faults and report.cut == cut


def test_connection__past_the_tap__is_detected(tmp_path):
    bed = bed_module.Bed(tmp_path / "bed", users=1, plaintext=True)
    bed.connect().open()
    assert bed_module.wait_until(lambda: bed.stats()["connections_accepted"] == 2) and not bed.untapped()
    with socket.create_connection(("127.0.0.1", bed.port)):
        assert bed_module.wait_until(bed.untapped)
    with pytest.raises(AssertionError, match="1 connections past the tap"):
        bed.stop()
    bed.stop()  # told once


def test_tap__that_saw_nothing__fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["validate.py", str(tmp_path)])
    assert validate.main() == 1
    (tmp_path / "one.xml").write_text(HEADER + FEATURES + END)
    assert validate.main() == 0
    (tmp_path / "two.xml").write_text(HEADER + FEATURES + FEATURES + END)
    assert validate.main() == 1
    assert "2 connections, 2 streams (0 cut)" in capsys.readouterr().out


# ---- between servers ----

SERVER_HEADER = HEADER.replace("jabber:client", "jabber:server")
EXTERNAL = FEATURES.replace("SCRAM-SHA-256", "EXTERNAL")
STARTTLS = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
READY = "<stream:features/>"
MESSAGE = "<message from='a@example.com/r' to='b@example.org'><body>x</body></message>"


@pytest.mark.parametrize("content, is_valid", [
    (STARTTLS + "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", True),
    (EXTERNAL + SUCCESS, True),
    (READY + MESSAGE + MESSAGE.replace("message", "presence").replace("body", "status"), True),
    (READY + MESSAGE.replace("from=", "id="), False),                       # RFC 6120 s8.1.2.2
    (READY + MESSAGE.replace("to=", "id="), False),                         # s8.1.1.2
    (READY + MESSAGE.replace("<message ", "<message xmlns='jabber:client' "), False),  # s4.8.3
    (STARTTLS + MESSAGE, False),
    (EXTERNAL + MESSAGE, False),
    (READY + READY, False),
], ids=["tls", "sasl", "stanzas", "without-from", "without-to", "client-stanza", "stanza-before-tls",
        "stanza-before-sasl", "features-twice"])
def test_stream__between_servers__follows_its_grammar(content, is_valid):
    root = validate.parse((SERVER_HEADER + content + END).encode())
    assert grammar.compiled("server-stream").validate(root) == is_valid


OPENED = ("<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' from='example.com' "
          "to='example.org' xmlns:stream='http://etherx.jabber.org/streams' xml:lang='en'>")
ASKS_TLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>ZXhhbXBsZS5jb20=</auth>"
KEY = f"<db:result from='example.com' to='example.org'>{'0' * 64}</db:result>"


@pytest.mark.parametrize("text, is_valid", [
    (OPENED + ASKS_TLS + OPENED + AUTH + OPENED + MESSAGE + END, True),
    (OPENED + KEY + MESSAGE + END, True),
    (OPENED + AUTH + KEY + MESSAGE + END, True),                            # XEP-0178 s3: EXTERNAL has failed
    (OPENED + END, True),
    (OPENED + MESSAGE + END, False),                                        # RFC 6120 s4.3.5: nobody has let it in
    (OPENED + ASKS_TLS + OPENED + MESSAGE + END, False),
    (OPENED + MESSAGE + KEY + END, False),
    (OPENED + KEY + OPENED + MESSAGE + END, False),                         # nothing allows a restart
    (OPENED.replace(" xmlns:db='jabber:server:dialback'", "") + END, False),  # XEP-0220 s2
    (OPENED + KEY.replace("db:result", "result").replace("<result", "<result xmlns='jabber:server:dialback'") + END, False),
    (OPENED.replace("xmlns:db", "xmlns:x") + KEY.replace("db:", "x:") + END, False),
], ids=["external", "dialback", "dialback-behind-external", "nothing", "nobody-let-in", "nobody-let-in-under-tls", "key-behind",
        "restart", "header-without-db", "default-namespace", "another-prefix"])
def test_bytes__of_who_opens_a_stream_between_servers(text, is_valid):
    assert (not validate.check_connection(text.encode()).faults) == is_valid


# ---- the grammars themselves ----

def conditions(path):
    rows = (bed_module.ROOT / path).read_text()
    return [line.split('"')[1::2] for line in rows.splitlines() if re.match(r"[A-Z]+_ERROR\(", line)]


STREAM_ERROR = "<stream:error><{0} xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{text}</{0}></stream:error>"
SASL_ERROR = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{0}/></failure>"
STANZA_ERROR = ("<message type='error'><error type='{1}'><{0} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
                "</message>")


# Holds 6120:8.3.2/3.
# Holds 6120:4.9.2/1 6120:6.5/1.
@pytest.mark.parametrize("path, form", [
    ("router/stream/stream_errors.def", HEADER + STREAM_ERROR),
    ("router/stream/sasl_errors.def", HEADER + FEATURES + SASL_ERROR),
    ("router/route/stanza_errors.def", HEADER + BIND + STANZA_ERROR),
], ids=["stream", "sasl", "stanza"])
def test_every_condition_of_the_router__is_defined(path, form):
    rows = conditions(path)
    assert len(rows) >= 11
    for row in rows:
        text = form.format(*row, text="example.org" if row[0] == "see-other-host" else "")
        assert grammar.compiled().validate(validate.parse((text + END).encode())), row


def jing(files):
    """The files that it refuses."""
    command = ["jing", "-c", str(grammar.FOLDER / "client-stream.rnc"), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return {line.partition(".xml:")[0] + ".xml" for line in done.stdout.splitlines()}


@pytest.mark.skipif(not pathlib.Path("/usr/bin/jing").exists(), reason="a second opinion, where there is one")
def test_jing__another_validator__agrees(roots, tmp_path):
    dice = random.Random(SEED)
    valid, mutated = [], []
    for number, root in enumerate(dice.sample(roots, min(len(roots), 60))):
        valid.append(tmp_path / f"valid-{number}.xml")
        valid[-1].write_bytes(validate.etree.tostring(root))
    for number, row in enumerate(mutations.ROWS):
        root = dice.choice([root for root in roots if mutations.places(root, row[1])])
        mutated.append(tmp_path / f"mutated-{number}.xml")
        mutated[-1].write_bytes(validate.etree.tostring(mutations.mutate(root, row, dice)))
    assert jing(valid + mutated) == set(map(str, mutated)), f"SL_SEED={SEED}"
