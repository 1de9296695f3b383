#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the probe against this router, Debian's prosody and Debian's ejabberd, and writes docs/PROBE.md.

  tests/conformance/rivals.py [--folder DIR] [--server NAME]... [--output FILE]

Each server runs in a folder of its own below DIR (default: a temporary one), on free ports of loopback, with a
certificate of a throwaway CA, two accounts, and the configuration below: the distribution's defaults with TLS required
on clients' ports, without limits of rate. A server whose package is not installed is left out. The router is that of
$SLUICED, else build/release. What is started here is ended here, by its own process id."""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(HERE)]
import ledger  # noqa: E402
import throwaway  # noqa: E402

START_SECONDS = 40
PASSWORD = "secret"
PROSODY = """
run_as_root = true
daemonize = false
data_path = "{folder}/data"
pidfile = "{folder}/prosody.pid"
log = {{ info = "{folder}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ {tls} }}
s2s_ports = {{ {s2s} }}
modules_enabled = {{ "disco"; "roster"; "saslauth"; "tls"; "blocklist"; "bookmarks"; "carbons"; "dialback"; "pep";
  "private"; "smacks"; "vcard4"; "vcard_legacy"; "csi_simple"; "ping"; "register"; "time"; "uptime"; "version"; "posix" }}
c2s_require_encryption = true
s2s_secure_auth = true
authentication = "internal_hashed"
ssl = {{ certificate = "{folder}/localhost.pem"; key = "{folder}/localhost.key" }}
VirtualHost "localhost"
"""
EJABBERD = """
loglevel: info
hosts: [localhost]
certfiles: ["{folder}/both.pem"]
define_macro:
  'TLS_CIPHERS': "HIGH:!aNULL:!eNULL:!3DES:@STRENGTH"
  'TLS_OPTIONS': ["no_sslv3", "no_tlsv1", "no_tlsv1_1", "cipher_server_preference", "no_compression"]
c2s_ciphers: 'TLS_CIPHERS'
c2s_protocol_options: 'TLS_OPTIONS'
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 262144
    access: all
    starttls_required: true
    protocol_options: 'TLS_OPTIONS'
  - port: {tls}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 262144
    access: all
    tls: true
    protocol_options: 'TLS_OPTIONS'
disable_sasl_mechanisms: ["digest-md5", "X-OAUTH2"]
s2s_use_starttls: required
auth_password_format: scram
modules:
  mod_adhoc: {{}}
  mod_blocking: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_client_state: {{}}
  mod_disco: {{}}
  mod_last: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_pres_counter: {{count: 5, interval: 60}}
  mod_privacy: {{}}
  mod_private: {{}}
  mod_roster: {{versioning: true}}
  mod_s2s_dialback: {{}}
  mod_stream_mgmt: {{}}
  mod_vcard: {{}}
  mod_version: {{}}
"""


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def package_version(name):
    return output("dpkg-query", "-W", "-f", "${Version}", name) or "?"


def wait_for(port, process, log, host="127.0.0.1"):
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise throwaway.Trouble(f"it ended with status {process.returncode}; see {log}")
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    end(process)
    raise throwaway.Trouble(f"it does not listen after {START_SECONDS} s; see {log}")


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def prepare(folder):
    folder.mkdir(parents=True, exist_ok=True)
    throwaway.make_ca(folder)
    throwaway.make_certificate(folder, "localhost")
    return {"folder": folder, "port": throwaway.free_port(), "tls": throwaway.free_port(), "s2s": throwaway.free_port()}


def launch(folder, name, command, environment=None):
    with open(folder / f"{name}.out", "wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                                env={**os.environ, **(environment or {})})


def run_prosody(folder, text, port, host="127.0.0.1"):
    """Its process, listening; text is its configuration."""
    (folder / "data").mkdir(exist_ok=True)
    config = folder / "prosody.cfg.lua"
    config.write_text(text)
    process = launch(folder, "prosody", ["prosody", "--root", "-F", "--config", str(config)])
    wait_for(port, process, folder / "prosody.out", host)
    return process


def run_ejabberd(folder, text, accounts, port, flags=(), host="127.0.0.1"):
    """Its process, listening, with its accounts (user, domain); text is its configuration, flags are Erlang's."""
    (folder / "ejabberd.yml").write_text(text)
    (folder / "accounts").write_text("".join(f'{{<<"{user}">>, <<"{domain}">>}}.\n' for user, domain in accounts))
    made = (f'{{ok, Accounts}} = file:consult("{folder}/accounts"), '
            f'[ejabberd_auth:try_register(User, Domain, <<"{PASSWORD}">>) || {{User, Domain}} <- Accounts],')
    environment = {"EJABBERD_CONFIG_PATH": str(folder / "ejabberd.yml"), "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
                   "ERL_LIBS": f"/usr/lib/{output('dpkg-architecture', '-qDEB_HOST_MULTIARCH')}", "HOME": str(folder),
                   "ERL_CRASH_DUMP": str(folder / "crash")}
    # One node without distribution: no epmd, no other process that would stay behind.
    process = launch(folder, "ejabberd", [
        "erl", "-noinput", *flags, "-mnesia", "dir", f'"{folder}/mnesia"', "-eval",
        f'{{ok, _}} = application:ensure_all_started(ejabberd), {made} io:format("ready~n").'], environment)
    wait_for(port, process, folder / "ejabberd.out", host)
    until = time.monotonic() + START_SECONDS
    while b"ready" not in (folder / "ejabberd.out").read_bytes():
        if time.monotonic() > until:
            end(process)
            raise throwaway.Trouble("the accounts were not made")
        time.sleep(0.1)
    return process


class Sluice:
    name = "sluice"

    @staticmethod
    def is_installed():
        return True

    @staticmethod
    def version():
        commit = output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
        changed = output("git", "-C", str(ROOT), "status", "--porcelain", "--", "core", "io", "tls", "router")
        release = output(throwaway.binary(), "--version").split("\n")[0].removeprefix("sluiced ")
        return f"{release}, {commit}{' and changes' if changed else ''}"

    def start(self, folder):
        self.folder = folder
        made = throwaway.start(folder)
        return made["c2s"], made["tls"]

    def stop(self):
        throwaway.stop(self.folder)


class Prosody:
    name = "prosody"

    @staticmethod
    def is_installed():
        return shutil.which("prosody") is not None

    @staticmethod
    def version():
        return package_version("prosody")

    def start(self, folder):
        made = prepare(folder)
        (folder / "data").mkdir(exist_ok=True)
        config = folder / "prosody.cfg.lua"
        config.write_text(PROSODY.format(**made))
        for user in ("user0", "user1"):
            throwaway.run(["prosodyctl", "--root", "--config", str(config), "register", user, "localhost", PASSWORD],
                          "prosodyctl")
        self.process = run_prosody(folder, config.read_text(), made["port"])
        return made["port"], made["tls"]

    def stop(self):
        end(self.process)


class Ejabberd:
    name = "ejabberd"

    @staticmethod
    def is_installed():
        return shutil.which("ejabberdctl") is not None and shutil.which("erl") is not None

    @staticmethod
    def version():
        return package_version("ejabberd")

    def start(self, folder):
        made = prepare(folder)
        (folder / "both.pem").write_text((folder / "localhost.pem").read_text() + (folder / "localhost.key").read_text())
        accounts = [(user, "localhost") for user in ("user0", "user1")]
        self.process = run_ejabberd(folder, EJABBERD.format(**made), accounts, made["port"])
        return made["port"], made["tls"]

    def stop(self):
        end(self.process)


def probe(server, folder):
    """The report of one server."""
    port, tls = server.start(folder)
    report = folder / "probe.json"
    try:
        with open(folder / "probe.txt", "wb") as log:
            subprocess.run([sys.executable, str(HERE / "probe.py"), "--port", str(port), "--tls-port", str(tls), "--domain",
            "localhost",
                            "--user", "user0", "--user2", "user1", "--password", PASSWORD, "--ca", str(folder / "ca.pem"),
                            "--json", str(report)], stdout=log, stderr=log, check=False, timeout=900)
    finally:
        server.stop()
    made = json.loads(report.read_text())
    made["version"] = server.version()
    return made


def cell(counts):
    return " / ".join(str(counts.get(verdict, 0)) for verdict in ("pass", "weak", "fail", "skip"))


def chapter_key(name):
    head, _, tail = name.rpartition(" s")
    return (0, head, int(tail)) if head else (1, name, 0)


def page(reports):
    names = list(reports)
    chapters = sorted({ledger.chapter(row["section"]) for made in reports.values() for row in made["rows"]}, key=chapter_key)
    lines = ["# The probe's scores", "",
             "*Made by `tests/conformance/rivals.py`; what the probe is stands in `tests/conformance/README.md`.*", "",
             f"{datetime.date.today()}. {len(next(iter(reports.values()))['rows'])} cases; cells: pass / weak / fail / skip.",
             "Weak: an outcome that the specification allows but does not prefer. Every case is written from the cited",
             "section; which outcomes it accepts can be read with `probe.py --json`. The configurations, TLS required and",
             "no limits of rate, are in `rivals.py`. prosody and ejabberd of these versions prepare addresses by RFC 6122.", "",
             "| section | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for chapter in chapters:
        lines.append(f"| {chapter} | " + " | ".join(cell(made["counts"].get(chapter, {})) for made in reports.values()) + " |")
    lines.append("| **all** | " + " | ".join(f"**{cell(made['counts']['all'])}**" for made in reports.values()) + " |")
    lines.append("| version | " + " | ".join(made["version"] for made in reports.values()) + " |")
    lines.append("| seconds | " + " | ".join(str(made["seconds"]) for made in reports.values()) + " |")
    for name, made in reports.items():
        for verdict in ("fail", "weak", "skip"):
            rows = [row for row in made["rows"] if row["verdict"] == verdict]
            if rows:
                lines += ["", f"## {name}: {verdict}", "", "| case | section | requirement | saw |", "|---|---|---|---|"]
                lines += [row_line(row) for row in rows]
    return "\n".join(lines) + "\n"


def row_line(row):
    saw = row["observed"] or row["reason"]
    clean = [text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")[:160] for text in (row["requirement"], saw)]
    return f"| `{row['id']}` | {row['section']} {row['level']} | {clean[0]} | {clean[1]} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="kept; default: a temporary one, thrown away")
    parser.add_argument("--server", action="append", choices=[kind.name for kind in (Sluice, Prosody, Ejabberd)])
    parser.add_argument("--output", default=str(ROOT / "docs" / "PROBE.md"))
    given = parser.parse_args()
    folder = pathlib.Path(given.folder or tempfile.mkdtemp(prefix="probe-")).resolve()
    reports = {}
    try:
        for kind in (Sluice, Prosody, Ejabberd):
            if given.server and kind.name not in given.server:
                continue
            if not kind.is_installed():
                print(f"{kind.name}: not installed, left out")
                continue
            reports[kind.name] = made = probe(kind(), folder / kind.name)
            print(f"{kind.name:9} {made['version']:24} pass / weak / fail / skip: {cell(made['counts']['all'])}  "
                  f"{made['seconds']} s", flush=True)
    except throwaway.Trouble as trouble:
        print(f"rivals: {trouble}", file=sys.stderr)
        return 1
    finally:
        if not given.folder:
            shutil.rmtree(folder, ignore_errors=True)
    pathlib.Path(given.output).write_text(page(reports))
    return 0


if __name__ == "__main__":
    sys.exit(main())
