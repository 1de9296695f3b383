# SPDX-License-Identifier: MIT
"""Many streams behind few certificates that are asked for at a responder: what bench/watched-streams and its small form in
tests/integration share. The certificate number K of an account of its own is ordinary; a shared one stands for many accounts,
by tls.client_map."""
import hashlib
import json
import os
import pathlib
import signal
import subprocess

import responder
import throwaway
from cryptography.x509.oid import ExtendedKeyUsageOID

DOMAIN = "localhost"
SESSIONS_OF_AN_ACCOUNT = 20  # bind.sessions_max


class People:
    """Certificates 0 to ordinary - 1 are of user0, user1...; the shared ones behind them of accounts behind those, each of as
    many as it takes for its streams. folder: K.pem, K.key, ca.pem, map."""

    def __init__(self, folder, ordinary, shared, streams_of_shared):
        self.folder, self.ordinary, self.shared = pathlib.Path(folder), ordinary, shared
        self.accounts_of_shared = -(-streams_of_shared // SESSIONS_OF_AN_ACCOUNT)
        self.responder = responder.Responder()
        self.authority = responder.Authority(self.responder)
        self.authority.write(self.folder)
        self.parties, lines = [], []
        for number in range(ordinary + shared):
            is_ordinary = number < ordinary
            names = [responder.generate.xmpp(f"user{number}@{DOMAIN}")] if is_ordinary else [responder.generate.dns(self.name(number))]
            party = self.issue(number, names)
            fingerprint = hashlib.sha256(party.der).hexdigest()
            for account in () if is_ordinary else self.accounts(number):
                lines.append(f"{fingerprint} user{account}@{DOMAIN}\n")
        (self.folder / "map").write_text("".join(lines))

    @staticmethod
    def name(number):
        """By which `certs check` finds it."""
        return f"shared{number}.example"

    def accounts(self, number):
        """Of a shared certificate."""
        first = self.ordinary + (number - self.ordinary) * self.accounts_of_shared
        return range(first, first + self.accounts_of_shared)

    @property
    def users(self):
        return self.ordinary + self.shared * self.accounts_of_shared

    def issue(self, number, names):
        party = responder.generate.leaf(self.authority.party, common=f"Certificate {number}", names=names,
                              purposes=[ExtendedKeyUsageOID.CLIENT_AUTH], extra=[self.source(number)])
        responder.write_certificate(self.folder, str(number), party)
        self.parties.append(party)
        self.responder.answers[f"/{number}"] = lambda: self.authority.answer(party)
        return party

    def source(self, number):
        return self.authority.source(f"/{number}")

    def settings(self, *more):
        return ("tls.client_certificates=optional", f"tls.client_ca_file={self.folder / 'ca.pem'}",
                f"tls.client_map={self.folder / 'map'}", "certs.allow_private=true", *more)

    def asked(self):
        return len(self.responder.asked)

    def revoke(self, number):
        party = self.parties[number]
        self.responder.answers[f"/{number}"] = lambda: self.authority.answer(party, status=responder.REVOKED)

    def words(self, number, count):
        """For sluice-load: log in by these certificates, each session as an account of its own certificate."""
        users = (number, count) if number < self.ordinary else (self.accounts(number)[0], self.accounts_of_shared)
        return ["--mechanism", "EXTERNAL", "--certificates", str(self.folder), "--first-certificate", str(number),
                "--certificate-count", str(count), "--first-user", str(users[0]), "--users", str(users[1])]

    def close(self):
        self.responder.close()


class Load:
    """A sluice-load that runs beside; end() gives its report."""

    def __init__(self, binary, mode, port, *words):
        self.command = [binary, mode, "--json", "--connect", f"127.0.0.1:{port}", *map(str, words)]
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        start_new_session=True)
        self.pid = self.process.pid

    def end(self, seconds, is_told=False):
        """is_told: it would hold its streams for longer."""
        if is_told:
            self.process.send_signal(signal.SIGTERM)
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise throwaway.Trouble(f"{' '.join(self.command)}: does not end within {seconds} s") from None
        try:
            return json.loads(out)
        except ValueError:
            raise throwaway.Trouble(f"{' '.join(self.command)}: {out}{err}") from None

    def is_over(self):
        return self.process.poll() is not None

    def kill(self):
        if not self.is_over():
            os.kill(self.pid, signal.SIGKILL)
        self.process.communicate()


def read_record(path):
    """{kind: [(when, value)]}, both in ns or a session's number, of --record; a line that is not whole yet is left out."""
    found = {"message": [], "reset": [], "bound": []}
    text = pathlib.Path(path).read_text(encoding="ascii")
    for line in text[:text.rfind("\n") + 1].splitlines():
        kind, when, value = line.split()
        found[kind].append((int(when), int(value)))
    return found


def peers(ask):
    """show certs peers: {names or certificate: row}; ask gives the JSON of a command."""
    return {row.get("names", row["certificate"]): row for row in ask("show certs peers 4000")}
