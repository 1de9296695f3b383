# SPDX-License-Identifier: MIT
"""A client that is slixmpp, and the event loop that it lives in."""
import asyncio
import logging
import ssl

import pytest

import bed as bed_module
import tap
import wire

logging.getLogger("slixmpp.stringprep").setLevel(logging.ERROR)
slixmpp = pytest.importorskip("slixmpp", reason="python3-slixmpp is one of the packages of tools/setup")
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
PEOPLE = []  # of the running test


class Person(slixmpp.ClientXMPP):
    """mechanism None: what slixmpp chooses by itself. binding False: it is told that there is nothing to bind to.
    bed: a router, or another server that has its port, tls_port and authority; that one's stream is not tapped."""

    def __init__(self, bed, user, password="secret", version=None, mechanism=None, binding=True, resource="x",
                 domain="localhost"):
        super().__init__(f"{user}@{domain}/{resource}" if user else domain, password)
        self.ca_certs = str(bed.authority)
        self.bed = bed
        self.is_tapped = isinstance(bed, bed_module.Bed)
        PEOPLE.append(self)
        if version:
            self.ssl_context.minimum_version = self.ssl_context.maximum_version = version
        mechanisms = self["feature_mechanisms"]
        mechanisms.use_mech = mechanism or mechanisms.use_mech
        if not binding:
            credentials = mechanisms.sasl_callback
            mechanisms.sasl_callback = lambda *values: {**credentials(*values), "channel_binding": None}
        for plugin in ("xep_0030", "xep_0092", "xep_0199", "xep_0202"):
            self.register_plugin(plugin)
        self.inbox = asyncio.Queue()
        self.tried = []
        self.ready = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", lambda _: self.finish(None))
        self.add_event_handler("message", self.inbox.put_nowait)
        self.add_event_handler("failed_auth", lambda failure: self.tried.append(failure["condition"]))
        for event in ("failed_all_auth", "ssl_invalid_chain", "connection_failed", "disconnected"):
            self.add_event_handler(event, lambda reason, event=event: self.finish(event))

    def finish(self, failure):
        if not self.ready.done():
            self.ready.set_result(failure)

    def connection_made(self, transport):
        """Called for the connection and, on the same one, for what is behind STARTTLS."""
        if self.event_when_connected == "connected" and self.is_tapped:
            self.tap = tap.Connection(self.address[1], "slixmpp")
        super().connection_made(transport)

    def data_received(self, data):
        if self.is_tapped:
            self.tap.heard(data)
        super().data_received(data)

    async def log_in(self, direct=False):
        """None, or the event by which it failed."""
        self.connect(("127.0.0.1", self.bed.tls_port if direct else self.bed.port), use_ssl=direct)
        failure = await asyncio.wait_for(self.ready, wire.WAIT)
        if failure is None:
            self.send_presence()
            await self["xep_0199"].ping(self.boundjid.domain, timeout=wire.WAIT)
        return failure

    async def log_out(self):
        try:
            await asyncio.wait_for(self.disconnect(wait=0.5), wire.WAIT)
        except asyncio.TimeoutError:
            self.abort()

    def row(self):
        return next(row for row in self.bed.sessions() if row["jid"] == self.boundjid.full)


def run(steps):
    """One event loop a test, and nothing of slixmpp left in it."""
    async def bounded():
        try:
            await asyncio.wait_for(steps, 2 * wire.WAIT)
        finally:
            while PEOPLE:
                PEOPLE.pop().abort()
            await asyncio.sleep(0.05)
    asyncio.run(bounded())
