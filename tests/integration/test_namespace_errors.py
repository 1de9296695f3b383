# SPDX-License-Identifier: MIT
"""xml.namespace_errors (RFC 6120 s11.3, rule 4): the W3C suite's namespace cases, each inside a message, against the
running router. With "stanza" each has exactly one <not-acceptable/> for an answer and the next stanza is served; with the
default the stream ends. Nothing of one ever reaches the recipient, whose stream is read by expat with namespaces."""
import base64
import json
import os
import random
import time

import pytest

import bed as bed_module
import wire

SEED = int(os.environ.get("SL_SEED", "1"))
# The first holds processing instructions, which RFC 6120 s11.1 forbids. The second is the listed verdict's doubt whether
# " urn:xyzzy " is a URI; without a DTD it is another name than "urn:xyzzy" (Namespaces s2.3), so the message is right.
OTHER = {"x-ibm-1-0.5-valid-P05-ibm05v02.xml", "rmt-ns10-012"}


def load():
    with open(bed_module.ROOT / "tests" / "data" / "prologless.jsonl", encoding="utf-8") as file:
        cases = [json.loads(line) for line in file]
    return [case for case in cases if case["expected"] == "ns-not-wf" and case["id"] not in OTHER]


CASES = load()


def octets(case):
    return base64.b64decode(case["xml_b64"]) if "xml_b64" in case else case["xml"].encode()


@pytest.fixture
def sparing(start_bed):
    return start_bed(settings=("xml.namespace_errors=stanza",))


def pieces_of(data, dice):
    """Whole, in two, byte by byte."""
    at = dice.randrange(1, len(data))
    return [[data], [data[:at], data[at:]], [data[i:i + 1] for i in range(len(data))]]


def send(client, pieces):
    for piece in pieces:
        client.send(piece)
        if len(pieces) == 2:
            time.sleep(0.001)  # so that the router mostly sees two


# Holds 6120:11.3/4.
def test_w3c_cases__each_in_a_message__not_acceptable_and_the_next_is_served(sparing):
    assert len(CASES) == 23
    print(f"SL_SEED={SEED}")
    dice = random.Random(SEED)
    sender, recipient = sparing.pair()
    for number, case in enumerate(CASES):
        for way, pieces in enumerate(pieces_of(octets(case), dice)):
            name = f"{number}-{way}"
            head = f"<message to='{recipient.jid}' type='chat' id='{name}'><body>no</body>".encode()
            send(sender, [head, *pieces, b"</message>"] if way else [head + pieces[0] + b"</message>"])
            sender.message(recipient.jid, name)
            answer = sender.stanza()
            assert answer.tag == f"{{{wire.CLIENT}}}message", case["id"]
            assert (answer.get("type"), answer.get("id")) == ("error", name), case["id"]
            assert (answer.get("from"), answer.get("to")) == (recipient.jid, sender.jid)
            assert wire.condition(answer) == "not-acceptable", case["id"]
            assert len(answer) == 1 and answer[0].tag == f"{{{wire.CLIENT}}}error"  # nothing of it is sent back
            seen = recipient.stanza()
            assert seen.findtext(f"{{{wire.CLIENT}}}body") == name, case["id"]
    sender.ping()
    recipient.ping()
    sender.end()
    recipient.end()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_w3c_cases__by_default__end_the_stream(bed, case):
    recipient = bed.login("user1", "r")
    sender = bed.login("user0")
    sender.send(f"<message to='{recipient.jid}' type='chat' id='1'><body>no</body>".encode() + octets(case) + b"</message>")
    sender.expect_error("not-well-formed")
    recipient.ping()
    recipient.end()


def test_unauthenticated__with_the_option__ends_the_stream(sparing):
    for client in (sparing.connect().open(), sparing.secure()):
        client.send("<message id='1'><x:y/></message>")
        client.expect_error("not-well-formed")


def test_header_behind_sasl__with_the_option__ends_the_stream(sparing):
    client = sparing.secure()
    assert client.scram("user0", "secret") is None
    client.restart()
    client.send(wire.header(attributes=" x:y='1'"))
    client.expect_error("not-well-formed")


def test_results_and_errors__with_the_option__are_not_answered(sparing):
    sender, recipient = sparing.pair()
    for kind in ("result", "error"):
        sender.send(f"<iq to='{recipient.jid}' type='{kind}' id='1'><x:y/></iq>")
    sender.send(f"<message to='{recipient.jid}' type='error' id='1'><x:y/></message>")
    sender.ping()  # fails if anything else came first
    recipient.ping()
    assert not sender.events and not recipient.events
    sender.end()
    recipient.end()
