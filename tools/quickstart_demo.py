# SPDX-License-Identifier: MIT
"""The demonstration of tools/quickstart: builds, starts a router, lets two clients talk, tells what happened."""
import argparse
import asyncio
import logging
import os
import pathlib
import secrets
import signal
import socket
import sys
import time

import throwaway

logging.getLogger("slixmpp.stringprep").setLevel(logging.ERROR)  # its advice to compile something is no news here
try:
    import slixmpp
except ImportError:
    sys.exit("quickstart: python3-slixmpp is missing: run tools/setup")

DOMAIN = "localhost"
FIRST = "romeo"
# Which shard owns an address is decided by a keyed hash, anew in each process: names are tried until two differ.
OTHERS = ("juliet", "benvolio", "mercutio", "tybalt", "paris", "rosaline", "lawrence", "escalus", "balthasar", "sampson",
          "gregory", "abram", "peter", "angelica", "montague", "capulet")
LINES = (
    "But soft, what light through yonder window breaks?",
    "O Romeo, Romeo, wherefore art thou Romeo?",
    "Call me but love, and I'll be new baptized.",
    "What man art thou that, thus bescreened in night, so stumblest on my counsel?",
)
WAIT_SECONDS = 20
SHOWN = ("connections_accepted", "connections", "handoffs_in", "bytes_in", "bytes_out")


def say(text=""):
    print(text, flush=True)


class Person(slixmpp.ClientXMPP):
    """A client with an inbox."""

    def __init__(self, name, password, authority):
        super().__init__(f"{name}@{DOMAIN}/balcony", password)
        self.ca_certs = str(authority)  # the certificate is verified against the demo's own CA
        self.without_channel_binding()
        self.inbox = asyncio.Queue()
        self.ready = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", self.session_started)
        self.add_event_handler("message", lambda message: self.inbox.put_nowait(message))
        for event in ("failed_auth", "failed_all_auth", "ssl_invalid_chain", "connection_failed"):
            self.add_event_handler(event, lambda reason, event=event: self.gave_up(event, reason))

    def without_channel_binding(self):
        """slixmpp 1.8 binds to tls-unique even where TLS 1.3 has no such thing (RFC 9266 s1), and is refused. Told that there
        is nothing to bind to, it says so, and SCRAM-SHA-256 goes through."""
        mechanisms = self["feature_mechanisms"]
        credentials = mechanisms.sasl_callback
        mechanisms.sasl_callback = lambda *values: {**credentials(*values), "channel_binding": None}
        mechanisms.use_mech = "SCRAM-SHA-256"

    def session_started(self, _):
        self.send_presence()
        if not self.ready.done():
            self.ready.set_result(None)

    def gave_up(self, event, reason):
        if not self.ready.done():
            self.ready.set_exception(throwaway.Trouble(f"{self.boundjid.bare}: {event}: {reason}"))

    async def log_in(self, port):
        self.connect(("127.0.0.1", port))
        await asyncio.wait_for(self.ready, WAIT_SECONDS)

    async def log_out(self):
        try:
            await asyncio.wait_for(self.disconnect(wait=1.0), WAIT_SECONDS)
        except asyncio.TimeoutError:
            self.abort()

    def tls(self):
        connection = self.transport.get_extra_info("ssl_object")
        return f"{connection.version()} {connection.cipher()[0]}"


def session_of(stats, person):
    """The router's own view: shard, mechanism and so on."""
    for line in stats.ask(f'show sessions 10 "{person.boundjid.full}"'):
        words = line.split(" ")
        return dict(word.split("=", 1) for word in words[1:] if "=" in word)
    raise throwaway.Trouble(f"the router does not list {person.boundjid.full}")


async def meet(stats, port, password, authority):
    """Two people on different shards; those who were tried in vain are deleted again."""
    stats.ask(f"account add {FIRST}@{DOMAIN}", password)
    romeo = Person(FIRST, password, authority)
    await romeo.log_in(port)
    shard = session_of(stats, romeo)["shard"]
    say(f"   {romeo.boundjid.full} is on shard {shard}")
    for name in OTHERS:
        stats.ask(f"account add {name}@{DOMAIN}", password)
        other = Person(name, password, authority)
        await other.log_in(port)
        theirs = session_of(stats, other)["shard"]
        say(f"   {other.boundjid.full} is on shard {theirs}" + ("" if theirs != shard else ": the same, so another one"))
        if theirs != shard:
            return romeo, other
        await other.log_out()
        stats.ask(f"account del {name}@{DOMAIN}")
    raise throwaway.Trouble("all names live on one shard")


async def talk(romeo, other):
    people = (romeo, other)
    for index, line in enumerate(LINES):
        sender, receiver = people[index % 2], people[1 - index % 2]
        begin = time.monotonic()
        sender.send_message(mto=receiver.boundjid.full, mbody=line, mtype="chat")
        message = await asyncio.wait_for(receiver.inbox.get(), WAIT_SECONDS)
        spent = time.monotonic() - begin
        if message["body"] != line or message["from"].full != sender.boundjid.full:
            raise throwaway.Trouble(f"sent {line!r}, received {message}")
        say(f"   {sender.boundjid.user:>9} -> {receiver.boundjid.user:<9} {1000 * spent:5.1f} ms  {line}")


async def demonstrate(stats, port, password, authority):
    say("5. Two clients log in, each with the certificate verified")
    romeo, other = await meet(stats, port, password, authority)
    for person in (romeo, other):
        seen = session_of(stats, person)
        say(f"   {person.boundjid.user:>9}: {person.tls()}, SASL {seen.get('mechanism', '?')}, shard {seen['shard']}")
    say("6. They talk, across shards")
    await talk(romeo, other)
    say("7. What the router says (sluicectl show sessions, show stats)")
    for line in stats.ask("show sessions 10"):
        say(f"   {line}")
    show_statistics(stats)
    await asyncio.gather(romeo.log_out(), other.log_out())
    return romeo.boundjid.bare, other.boundjid.bare


def show_statistics(stats):
    say(f"   {'counter':<24} {'total':>10}   each shard")
    for line in stats.ask("show stats"):
        name, total, shards = line.split(" ")
        if name in SHOWN or name.startswith("stanzas") or name.startswith("mail"):
            say(f"   {name:<24} {total.removeprefix('total='):>10}   {shards.removeprefix('shards=')}")


def port_or_free(wanted):
    """The port wanted, if nobody has it; 0: any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
            return wanted
        except OSError:
            return throwaway.free_port()


def explain(made, folder, people, password):
    control = throwaway.BUILD / "tools" / "sluicectl"
    say()
    say("The router keeps running; Ctrl-C ends it. Your own client:")
    say(f"   address   {people[0]} or {people[1]}, password {password}")
    say(f"   server    127.0.0.1 or ::1, port {made['c2s']} (STARTTLS) or {made['tls']} (TLS at once)")
    say(f"   trust     {folder / 'ca.pem'}")
    say("Look at it, and add accounts, from another terminal:")
    say(f"   export SLUICE_SOCKET={made['stats']}")
    say(f"   {control} top")
    say(f"   {control} account add me@{DOMAIN}")
    say(f"Its configuration is {folder / 'sluice.conf'}, its log {folder / 'sluiced.log'}.")


def stay(process):
    """Until Ctrl-C, SIGTERM or the router's own end. True if it still runs."""
    def leave(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, leave)
    try:
        process.wait()
        return False
    except KeyboardInterrupt:
        say()
        return True
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def run(given):
    folder = pathlib.Path(given.folder).resolve()
    if os.environ.get("SLUICED"):
        say(f"2. No build: SLUICED={os.environ['SLUICED']}")
    else:
        say(f"2. Optimised build in {throwaway.BUILD}")
        throwaway.build(say=lambda text: say("   " + text))
    say(f"3. Demo folder {folder}: configuration, CA, certificate for {DOMAIN}")
    if throwaway.stop(folder)[0]:
        say("   the router of an earlier run was stopped")
    password = secrets.token_hex(6)
    shards = max(2, len(os.sched_getaffinity(0)))
    made = throwaway.start(folder, [DOMAIN], shards, port_or_free(given.port), users=0)
    say(f"4. Router started: pid {made['pid']}, {shards} shards, port {made['c2s']}")
    try:
        with throwaway.Stats(made["stats"]) as stats:
            for name in (FIRST, *OTHERS):
                delete_if_there(stats, f"{name}@{DOMAIN}")
            people = asyncio.run(demonstrate(stats, made["c2s"], password, folder / "ca.pem"))
        if not given.once:
            explain(made, folder, people, password)
            if not stay(made["process"]):
                raise throwaway.Trouble(f"the router has ended: see {folder / 'sluiced.log'}")
    finally:
        pid, seconds = throwaway.stop(folder)
        if pid:
            say(f"Router stopped in order in {seconds:.2f} s.")


def delete_if_there(stats, address):
    if any(line.split(" ")[0] == address for line in stats.ask(f"account list 1 {address}")):
        stats.ask(f"account del {address}")


def main():
    parser = argparse.ArgumentParser(prog="tools/quickstart")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--folder", default=str(throwaway.ROOT / "build" / "quickstart"))
    parser.add_argument("--port", type=int, default=5222)
    try:
        run(parser.parse_args())
    except (throwaway.Trouble, asyncio.TimeoutError, OSError) as trouble:
        print(f"quickstart: {trouble or type(trouble).__name__}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
