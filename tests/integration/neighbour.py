# SPDX-License-Identifier: MIT
"""Another server and other clients whose streams stay: what becomes of each in the end, and when."""
import contextlib
import selectors
import ssl
import threading
import time

import wire
from answers import domain
from envoy import Envoy, Over, Speech, context_of

BIDI, BIDI_FEATURE = "urn:xmpp:bidi", "urn:xmpp:features:bidi"
PING = "<iq type='get' id='{}' from='{}' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>"


class Stay:
    """A stream that is in use: made has a wire and a reader. word: how it ended, as envoy.py has it; at: when that was
    heard; None while it lives."""

    def __init__(self, made, ours, theirs):
        self.made, self.ours, self.theirs = made, ours, theirs
        self.word = self.text = self.at = None
        self.heard = []
        self.lock = threading.RLock()  # of the wire: it is read by the keeper and written by a test
        self.count = 0

    def say(self, text):
        with self.lock, contextlib.suppress(OSError, ssl.SSLError):
            self.made.wire.send(text.encode())

    def over(self, word, text=None):
        if self.word is None:
            self.word, self.text, self.at = word, text, time.time()

    def take_event(self, kind, value):
        if kind == "footer":
            self.over("closed")
            self.say("</stream:stream>")
        elif kind == "element" and value.tag == f"{{{wire.STREAM}}}error":
            self.over(wire.condition(value), value.findtext(f"{{{wire.ERRORS}}}text"))
        elif kind == "element":
            self.heard.append(value)

    def read(self):
        """All that is there, by the keeper, who knows that there is something; False: the connection has ended."""
        until = time.monotonic() + 0.2
        with self.lock:
            try:
                while data := self.made.wire.receive(until):
                    self.made.reader.feed(data)
                    until = time.monotonic() + 0.001
                is_open = False
            except TimeoutError:
                is_open = True
            except OSError:
                is_open = False
            while self.made.reader.events:
                self.take_event(*self.made.reader.events.pop(0))
            if not is_open:
                self.over("ended")
        return is_open

    def ping(self):
        """Whether it carries a stanza there and another one back."""
        self.count += 1
        name = f"p{self.count}"
        self.say(PING.format(name, self.ours, self.theirs))
        return self.wait_for(lambda: self.word or any(stanza.get("id") == name for stanza in self.heard)) and not self.word

    @staticmethod
    def wait_for(is_true, seconds=wire.WAIT):
        until = time.monotonic() + seconds
        while not is_true():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def leave(self):
        """In order, if they will."""
        self.say("</stream:stream>")
        self.wait_for_end(3)

    def wait_for_end(self, seconds=wire.WAIT):
        self.wait_for(lambda: self.word, seconds)
        return self.word


class Keeper:
    """Reads all streams that stay, in one thread."""

    def __init__(self):
        self.selector, self.stays, self.is_closed = selectors.DefaultSelector(), [], False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def keep(self, made, ours, theirs):
        stay = Stay(made, ours, theirs)
        stay.made.wire.socket.settimeout(0)
        self.stays.append(stay)
        while made.reader.events:  # what came along with the last that was awaited
            stay.take_event(*made.reader.events.pop(0))
        stay.read()  # TLS may hold what the socket does not tell of any more
        self.selector.register(made.wire.socket, selectors.EVENT_READ, stay)
        return stay

    def run(self):
        while not self.is_closed:
            for key, _ in self.selector.select(0.02) if self.selector.get_map() else []:
                if not key.data.read():
                    self.selector.unregister(key.fileobj)
            time.sleep(0 if self.selector.get_map() else 0.02)

    def close(self):
        self.is_closed = True
        self.thread.join()
        for stay in self.stays:
            stay.say("</stream:stream>")
            stay.made.wire.close()


class Neighbour(Envoy):
    """A server of all domains that answers.py names: each has the certificate NAME.pem of the folder."""

    def __init__(self, folder, keeper, wait=wire.WAIT):
        self.keeper, self.dialled = keeper, {}  # the last stream to each of our domains, by its name
        super().__init__(folder, [], "", wait)

    def chain_for(self, ours, _):
        return ours.partition(".")[0]

    def visit(self, name, theirs, port, context=None, session=None):
        """A stream that we open: it stays, or has ended with a word at once. session: of an earlier one with that context."""
        speech = Speech(wire.Wire(port), self.wait)
        speech.session = session
        stay = Stay(speech, domain(name), theirs)
        try:
            word = self.negotiate(speech, context or context_of(self.folder, name, False), domain(name), theirs)
        except Over as over:
            stay.over(str(over), over.text)
        else:
            if word == "external":
                return self.keeper.keep(speech, domain(name), theirs)
            stay.over(word)
        speech.close()
        return stay

    def authenticate(self, speech, domain, ours):
        if speech.features.find(f"{{{BIDI_FEATURE}}}bidi") is not None:
            speech.say(f"<bidi xmlns='{BIDI}'/>")  # so that answers come on the same stream
        return super().authenticate(speech, domain, ours)

    def answer(self, connected):
        """A stream that they open."""
        speech, ours, theirs, word, text = Speech(wire.Wire(None, connected=connected), self.wait), "", None, None, None
        try:
            header = speech.header()
            ours, theirs = header.get("to"), header.get("from")
            word = self.receive(speech, ours, theirs)
        except Over as over:
            word, text = str(over), over.text
        except wire.Wrong as wrong:
            word = f"wrong: {wrong}"
        if word == "external":
            stay = self.keeper.keep(speech, ours, theirs)
        else:
            stay = Stay(speech, ours, theirs)
            stay.over(word, text)
            with contextlib.suppress(OSError, ssl.SSLError):
                speech.close()
        with self.news:
            self.dialled[self.chain_for(ours, theirs)] = stay
            self.news.notify_all()

    def await_stream(self, name, wait=None):
        """The stream that was opened to that domain of ours; each once. None: there was none."""
        with self.news:
            self.news.wait_for(lambda: name in self.dialled, wait or self.wait)
            return self.dialled.pop(name, None)
