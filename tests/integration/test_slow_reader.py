# SPDX-License-Identifier: MIT
"""A recipient that does not read: who writes to it is slowed, memory is bounded, nobody else notices, it is closed
after its time, and what it did not take comes back as errors (RELIABILITY 2.2, the fault matrix)."""
import socket
import threading
import time

import pytest

import bed as bed_module
import wire
from wire import CLIENT

# What is under way in the link when the sender is told to wait fits below the hard limit: see the last test.
SETTINGS = ("timeouts.slow_reader=2s", "timeouts.close=500ms", "limits.queue_soft=64KiB", "limits.queue_hard=8MiB",
            "limits.link_size=64KiB")
BODY = "x" * 4000
MEMORY = 24 << 20  # queues, links, receive buffers and pools, all touched for the first time


@pytest.fixture
def slow_bed(start_bed):
    return start_bed(settings=SETTINGS)


def deaf(bed, user):
    """A session whose kernel takes little, and which reads nothing."""
    client = bed.login(user)
    client.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return client


class Flood(threading.Thread):
    """Writes to one address until it is told to stop or its stream ends; counts what went out whole."""

    def __init__(self, client, to):
        super().__init__(daemon=True)
        self.client, self.to = client, to
        self.count = 0
        self.is_over = False
        self.ids = []
        self.start()

    def run(self):
        client = self.client
        try:
            while not self.is_over:
                client.wire.socket.settimeout(0.2)
                data = (f"<message to='{self.to}' type='chat' id='f{self.count}'><body>{BODY}</body></message>").encode()
                if client.wire.tls:
                    client.wire.tls.write(data)
                    data = client.wire.outgoing.read()
                while data and not self.is_over:
                    try:
                        data = data[client.wire.socket.send(data):]
                    except (TimeoutError, BlockingIOError):
                        continue
                if data:
                    self.rest = data
                    return
                self.count += 1
        except OSError:
            pass
        self.rest = b""

    def stop(self):
        self.is_over = True
        self.join(10)
        self.client.wire.socket.settimeout(wire.WAIT)
        if self.rest:
            self.client.wire.socket.sendall(self.rest)
            self.count += 1


def errors_of(client):
    """All error stanzas that come: until a ping is answered, and those that are still on their way from another shard."""
    client.send("<iq type='get' id='last'><ping xmlns='urn:xmpp:ping'/></iq>")
    ids, wait = [], wire.WAIT
    while True:
        try:
            element = client.stanza(wait)
        except TimeoutError:
            assert wait < 2, "no answer to the ping"
            return ids
        if element.get("id") == "last":
            wait = 1.0
        elif element.get("type") == "error":
            ids.append((element.get("id"), wire.condition(element)))


def flooded(bed, is_split, is_deaf=True):
    """(sender, recipient, flood) with the sender slowed."""
    sender, recipient = bed.pair(is_split)
    if is_deaf:
        recipient.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    before = bed.stats()["senders_throttled"]
    flood = Flood(sender, recipient.jid)
    assert bed_module.wait_until(lambda: bed.stats()["senders_throttled"] > before)
    return sender, recipient, flood


@pytest.mark.parametrize("is_split", [False, True], ids=["same shard", "across shards"])
def test_deaf_recipient__slows_its_sender_and_is_closed(slow_bed, is_split):
    """And every message is delivered to its socket or comes back, each exactly once and in order."""
    bed = slow_bed
    before = bed.stats()
    memory = wire.rss(bed.pid)
    sender, recipient, flood = flooded(bed, is_split)
    begin = time.monotonic()
    time.sleep(0.5)
    first = flood.count
    flood.is_over = True
    assert bed_module.wait_until(lambda: len(bed.sessions()) == 1, 10)  # resource-constraint after 2 s
    assert time.monotonic() - begin > 1.0
    if not bed_module.is_sanitized():
        assert wire.rss(bed.pid) - memory < MEMORY
    assert bed_module.wait_until(lambda: bed.stats()["connections"] == 1, 10)
    flood.stop()
    refused = errors_of(sender)
    assert first < 10000, "it was not slowed"
    numbers = sorted(int(identifier[1:]) for identifier, _ in refused)
    assert len(numbers) == len(set(numbers)), "answered twice"
    assert numbers == list(range(numbers[0], flood.count)), "a hole: lost, or refused while the sender was held"
    assert {condition for _, condition in refused} == {"service-unavailable"}  # as for whom was never there
    taken = received(recipient)
    assert taken == list(range(len(taken))) and len(taken) <= numbers[0]
    if is_split:  # on one shard the sender is held so early that nothing waits behind the send under way
        assert bed.stats()["stanzas_returned"] > before["stanzas_returned"]


def received(client):
    """Numbers of the whole messages that reached the deaf one's socket."""
    got = []
    try:
        while True:
            kind, element = client.event(5)
            if kind != "element":
                break
            if element.tag == f"{{{CLIENT}}}message":
                got.append(int(element.get("id")[1:]))
    except (OSError, wire.Wrong):
        pass
    return got


def test_deaf_recipient__does_not_touch_other_pairs(slow_bed):
    bed = slow_bed
    one, two = bed.login("user6", "a"), bed.login("user7", "b")

    def worst():
        longest = 0.0
        for n in range(200):
            begin = time.monotonic()
            one.message(two.jid, str(n))
            assert two.body() == str(n)
            longest = max(longest, time.monotonic() - begin)
        return longest

    calm = worst()
    sender, recipient = bed.login("user0"), deaf(bed, "user1")
    flood = Flood(sender, recipient.jid)
    assert bed_module.wait_until(lambda: bed.stats()["senders_throttled"] > 0)
    loaded = worst()
    flood.stop()
    print(f"longest of 200 round trips: {1000 * calm:.1f} ms calm, {1000 * loaded:.1f} ms beside a deaf recipient")
    assert loaded < max(20 * calm, 0.25)


def test_slow_recipient__that_reads_at_last__gets_everything(slow_bed):
    """It is slow, not deaf: nothing is lost, the sender goes on."""
    bed = slow_bed
    sender, recipient, flood = flooded(bed, True, is_deaf=False)
    time.sleep(0.3)
    flood.is_over = True
    reader = []
    thread = threading.Thread(target=lambda: reader.extend(received_until_idle(recipient)), daemon=True)
    thread.start()
    flood.stop()
    assert errors_of(sender) == []
    thread.join(20)
    assert reader == list(range(flood.count))
    recipient.ping()


def received_until_idle(client):
    got = []
    while True:
        try:
            kind, element = client.event(1.0)
        except TimeoutError:
            return got
        assert kind == "element"
        if element.tag == f"{{{CLIENT}}}message":
            got.append(int(element.get("id")[1:]))


def test_client_that_asks_and_does_not_read__is_not_read(slow_bed):
    """Its own answers are its own queue: it is slowed, then closed; memory stays."""
    bed = slow_bed
    client = deaf(bed, "user2")
    memory = wire.rss(bed.pid)
    ask = b"<iq type='get' id='x'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>" * 200
    ask = ask.replace(b"<iq ", b"<iq to='localhost' ")
    client.wire.socket.settimeout(0.3)
    begin = time.monotonic()
    is_slowed = False
    while time.monotonic() - begin < 10 and bed.sessions():
        try:
            client.send(ask)
        except TimeoutError:
            is_slowed = True
        except OSError:
            break
    assert is_slowed or not bed.sessions()
    assert bed_module.wait_until(lambda: not bed.sessions(), 10)
    if not bed_module.is_sanitized():
        assert wire.rss(bed.pid) - memory < MEMORY


def test_sender__is_held_before_anything_is_refused(bed):
    """The same with the limits as they are by default."""
    sender, recipient, flood = flooded(bed, True, is_deaf=False)
    time.sleep(0.3)
    flood.is_over = True
    thread = threading.Thread(target=lambda: received_until_idle(recipient), daemon=True)
    thread.start()
    flood.stop()
    assert errors_of(sender) == []
    thread.join(20)
