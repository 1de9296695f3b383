# SPDX-License-Identifier: MIT
"""The 113 cases of tests/data/xmpp-stream-cases.jsonl against the running router: whole, byte by byte, and cut in two at
seeded places. Each has one exact answer, whatever the pieces, and nothing of a refused stanza reaches anybody."""
import base64
import json
import os
import random
import time

import pytest

import bed as bed_module
import wire

DOMAIN = "example.com"
SPLITS = 10
SEED = int(os.environ.get("SL_SEED", "1"))
# Where the router takes another answer than the first of the list, and why. The data's order is "preferred first".
LATER = {
    # "<?" that is no declaration at the start is a processing instruction to us: RFC 6120 s11.1 forbids those.
    "open-space-first": "restricted-xml",
    # RFC 6120 s4.7.2: only one domain is served here, so the client can mean no other.
    "open-no-to": "accept",
}
# RFC 6120 s11.6, s4.9.3.22: what is not UTF-8 is another encoding.
LATER |= {f"utf8-{name}": "unsupported-encoding" for name in (
    "overlong-lt", "overlong-lt3", "overlong-nul", "surrogate", "surrogate-pair", "beyond", "five", "lone", "latin1",
    "cut-before-tag", "name-cut")}


def load():
    with open(bed_module.ROOT / "tests" / "data" / "xmpp-stream-cases.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


CASES = load()


def octets(case):
    return base64.b64decode(case["send_b64"]) if "send_b64" in case else case["send"].encode()


def expected(case):
    listed = case["expect"] if isinstance(case["expect"], list) else [case["expect"]]
    answer = LATER.get(case["id"], listed[0])
    assert answer in listed
    return answer


def send_pieces(client, pieces):
    """Pieces that the router sees one after the other, mostly: the pause is longer than its turn."""
    for i, piece in enumerate(pieces):
        if i:
            time.sleep(0.0002 if len(pieces) < 10 else 0)
        try:
            client.wire.send_raw(piece)
        except (BrokenPipeError, ConnectionResetError):
            return  # it has answered and closed already; the answer is there to be read


def stream_error(client, element):
    """The name of the stream error in element, and the orderly end behind it."""
    client.expect_end()
    return wire.condition(element)


def is_stream_error(element):
    return element.tag == f"{{{wire.STREAM}}}error"


def answer_to_open(client, data):
    kind, _ = client.event()
    assert kind == "header", "RFC 6120 s4.9.1.2: inside a stream"
    kind, element = client.event()
    if kind == "element" and is_stream_error(element):
        return stream_error(client, element)
    assert kind == "element" and element.tag == f"{{{wire.STREAM}}}features", kind
    if data.endswith(b"/>"):  # opened and closed at once
        client.expect_end()
        return "accept"
    return accept_or_late_error(client, b"</s:stream>" if b"<s:stream" in data else b"</stream:stream>")


def accept_or_late_error(client, footer):
    """Behind features: the end of the stream is answered in order, unless an error is on its way."""
    try:
        client.send(footer)
    except (BrokenPipeError, ConnectionResetError):
        pass
    kind, element = client.event()
    if kind == "element" and is_stream_error(element):
        return stream_error(client, element)
    assert kind == "footer", kind
    client.expect_end()
    return "accept"


def answer_to_unauthenticated(client):
    element = client.element()
    if is_stream_error(element):
        return stream_error(client, element)
    client.close()
    return f"<{element.tag.split('}')[1]}/>"


def answer_in_session(client, marker):
    """The last word of the router before it answers a ping: a stream error, a stanza error, or nothing: accept."""
    answer = "accept"
    try:
        client.send(f"<message to='b@{DOMAIN}' id='marker'><body>{marker}</body></message>"
                    "<iq type='get' id='probe'><ping xmlns='urn:xmpp:ping'/></iq>")
    except (BrokenPipeError, ConnectionResetError):
        pass
    while True:
        element = client.element()
        if is_stream_error(element):
            return stream_error(client, element)
        if element.get("id") == "probe":
            assert element.get("type") == "result"
            client.end()
            return answer
        if element.get("type") == "error":
            answer = f"stanza error {wire.condition(element)}"


def run(bed, case, pieces, marker):
    data = octets(case)
    assert b"".join(pieces) == data
    client = bed.connect(DOMAIN)
    if case["context"] == "open":
        if case["id"] == "open-version-missing":
            client.answered = None  # RFC 6120 s4.7.5: none is answered by none
        send_pieces(client, pieces)
        return answer_to_open(client, data)
    client.open()
    if case["context"] == "unauthenticated":
        send_pieces(client, pieces)
        return answer_to_unauthenticated(client)
    assert client.scram("a", "secret") is None
    client.open()
    assert client.bind() is None
    client.send("<presence/>")  # a message without 'to' comes back to its sender (RFC 6120 s10.3.1)
    send_pieces(client, pieces)
    return answer_in_session(client, marker)


def cuts(case):
    """The forms a case is sent in: whole, single bytes, and seeded cuts in two."""
    data = octets(case)
    dice = random.Random(f"{SEED} {case['id']}")
    yield [data]
    step = 1 if len(data) < 4000 or bed_module.IS_LONG else 7  # one case has 20,000 bytes
    yield [data[i:i + step] for i in range(0, len(data), step)]
    for at in dice.sample(range(1, len(data)), min(SPLITS, len(data) - 1)):
        yield [data[:at], data[at:]]


@pytest.fixture
def stream_bed(start_bed):
    return start_bed(plaintext=True, domains=(DOMAIN,), users=0)


@pytest.fixture
def recipient(stream_bed):
    """b@example.com, to whom most cases write, and a@example.com, who writes."""
    for name in "ab":
        if not stream_bed.ask(f"account list 10 {name}@"):
            stream_bed.ask(f"account add {name}@{DOMAIN}", "secret")
    return stream_bed.login("b", secure=False)


def test_data__holds__113_cases():
    assert len(CASES) == 113 and len({case["id"] for case in CASES}) == 113
    assert set(LATER) <= {case["id"] for case in CASES}


def collect(recipient, marker):
    """What b got before the marker; text of bodies."""
    got = []
    while True:
        element = recipient.stanza()
        if element.tag != f"{{{wire.CLIENT}}}message":
            continue
        body = element.findtext(f"{{{wire.CLIENT}}}body")
        if body == marker:
            return got
        got.append(element)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case__in_any_pieces__has_its_answer(stream_bed, recipient, case):
    print(f"seed {SEED}")
    wanted = expected(case)
    for number, pieces in enumerate(cuts(case)):
        marker = f"{case['id']} {number}"
        answer = run(stream_bed, case, pieces, marker)
        assert answer == wanted, f"cut at {[len(piece) for piece in pieces][:3]}"
        if case["context"] == "session":
            check_delivery(stream_bed, recipient, case, marker, answer)


def check_delivery(bed, recipient, case, marker, answer):
    """Accepted: b gets it as it was meant, escaped anew. Refused: b gets nothing of it."""
    if answer not in ("accept",):
        if "stanza error" not in answer:  # the sender is gone: nothing but the ping's answer may come
            recipient.ping()
            assert not recipient.events, case["id"]
            return
        assert not collect(recipient, marker)
        return
    got = collect(recipient, marker)
    data = octets(case)
    if f"to='b@{DOMAIN}'".encode() not in data:
        assert not got
        return
    assert len(got) == 1 and (got[0].get("id") == "1" or b"id='1'" not in data) and got[0].get("to") == f"b@{DOMAIN}"
    assert got[0].get("from").startswith(f"a@{DOMAIN}/")
    assert got[0].findtext(f"{{{wire.CLIENT}}}body") == BODIES.get(case["id"])


# What a reader sees of the accepted ones; the Client refuses what is not well-formed on the way out.
BODIES = {
    "session-cdata": "<a>&b;",
    "session-predefined": "<>&'\"",
    "session-charrefs": "<<\U0001F600",
    "utf8-bom": "\ufeff",
    "utf8-astral": "\U0001F600\U0010FFFF",
}
