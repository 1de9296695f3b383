# SPDX-License-Identifier: MIT
"""A throwaway router in a folder: configuration, certificates, accounts, start and stop. For tools/testbed,
tools/quickstart and tests. Standard library and the openssl command only."""
import base64
import hashlib
import hmac
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
START_SECONDS = 20
STOP_SECONDS = 30
# One salt for every account of a testbed: the keys of a password are computed once, not once an account.
SALT = b"sluice-testbed-0"
ITERATIONS = 10000
# Of our assertions and of the sanitizers.
SIGNS_OF_A_CRASH = ("check failed: ", "runtime error: ", "ERROR: AddressSanitizer", "WARNING: ThreadSanitizer",
                    "ERROR: LeakSanitizer")


class Trouble(Exception):
    """What a person has to know; the text is enough."""


def build(targets=("router/sluiced", "tools/sluicectl"), say=lambda text: print(text, file=sys.stderr)):
    """An optimised build in build/release; what is up to date is left alone."""
    if not (BUILD / "build.ninja").exists():
        say(f"testbed: setting up {BUILD}")
        run(["meson", "setup", "--buildtype=release", str(BUILD), str(ROOT)], "meson")
    run(["ninja", "-C", str(BUILD), *targets], "ninja")


def run(command, name, **options):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    except FileNotFoundError:
        raise Trouble(f"{command[0]}: no such program; tools/setup installs what is needed") from None
    if done.returncode != 0:
        raise Trouble(f"{name} failed:\n{done.stdout[-4000:]}")
    return done.stdout


def binary():
    """SLUICED from the environment, else that of build/release, built if it is missing."""
    path = os.environ.get("SLUICED")
    if path:
        if not os.access(path, os.X_OK):
            raise Trouble(f"SLUICED={path} is no program")
        return str(pathlib.Path(path).resolve())
    path = BUILD / "router" / "sluiced"
    if not path.exists():
        build()
    return str(path)


def free_port(host="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


# ---- certificates ----

def make_ca(folder, common_name="Sluice testbed CA"):
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", f"/CN={common_name}",
         "-addext", "keyUsage=critical,keyCertSign,cRLSign"], "openssl", cwd=folder)


def make_certificate(folder, domain):
    """<domain>.pem and <domain>.key, signed by the folder's CA."""
    folder = pathlib.Path(folder)
    name = domain.encode("idna").decode() if not domain.isascii() else domain
    extensions = folder / "extensions.cnf"
    extensions.write_text(f"subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n"
                          "extendedKeyUsage=serverAuth,clientAuth\n")
    run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", f"{domain}.key", "-out", "request.pem", "-subj", "/CN=Sluice testbed"], "openssl", cwd=folder)
    run(["openssl", "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
         "-days", "30", "-extfile", "extensions.cnf", "-out", f"{domain}.pem"], "openssl", cwd=folder)
    extensions.unlink()
    (folder / "request.pem").unlink()


# ---- accounts ----

def scram_keys(password, algorithm):
    salted = hashlib.pbkdf2_hmac(algorithm, unicodedata.normalize("NFC", password).encode(), SALT, ITERATIONS)
    client = hmac.digest(salted, b"Client Key", algorithm)
    return hashlib.new(algorithm, client).digest(), hmac.digest(salted, b"Server Key", algorithm)


def account_tail(password):
    """What follows the address in a line of `account import` (docs/ADMIN.md)."""
    fields = [SALT, *scram_keys(password, "sha1"), *scram_keys(password, "sha256")]
    return "\t".join([str(ITERATIONS), *(base64.b64encode(field).decode() for field in fields)])


class Stats:
    """A connection to the admin socket: ask() gives the body's lines or raises Trouble with the reason."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        folder = None
        try:
            if len(os.fsencode(path)) > 107:  # longer than an address may be: through the folder's descriptor
                folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
                path = f"/proc/self/fd/{folder}/{os.path.basename(path)}"
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        finally:
            if folder is not None:
                os.close(folder)
        self.socket.settimeout(30)
        self.file = self.socket.makefile("rwb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def answer(self):
        lines = []
        while True:
            line = self.file.readline()
            if not line:
                raise Trouble("the admin socket was closed")
            line = line.decode().rstrip("\n")
            if line == "" and lines:
                break
            lines.append(line)
        status = lines.pop()
        if status.startswith("ERROR "):
            raise Trouble("; ".join([*lines, status[6:]]))
        return lines

    def ask(self, command, *more):
        """more: lines for a command that answers MORE first, each an iterable of bytes-like or text lines."""
        self.file.write(command.encode() + b"\n")
        self.file.flush()
        lines = self.answer()
        if more:
            self.file.write("".join(line + "\n" for line in more).encode())
            self.file.flush()
            lines += self.answer()
        return lines

    def info(self):
        return dict(line.split(": ", 1) for line in self.ask("show info"))


def import_accounts(stats, addresses, password):
    tail = account_tail(password)
    if addresses:
        stats.ask("account import replace", *(f"{address}\t{tail}" for address in addresses), ".")


# ---- the process ----

def quoted(text):
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def s2s_lines(ports):
    return [f"listen.s2s = [{quoted(ports.get('host', '127.0.0.1') + ':' + str(ports['s2s']))}];",
            's2s { enabled = true; ca = "ca.pem"; allow_private = true; }']


def write_configuration(folder, domains, ports, shards, plaintext):
    hosts = [ports["host"]] if "host" in ports else ["127.0.0.1", "[::1]"] if has_ipv6() else ["127.0.0.1"]
    lines = ["# Made by tools/testbed."]
    for domain in domains:
        lines.append(f"domain {quoted(domain)} {{ certificate = {quoted(domain + '.pem')}; key = {quoted(domain + '.key')}; }}")
    for key in ("c2s", "tls"):
        name = {"c2s": "listen.c2s", "tls": "listen.c2s_tls"}[key]
        lines.append(f"{name} = [{', '.join(quoted(f'{host}:{ports[key]}') for host in hosts)}];")
    lines += [f"shards = {shards};", 'store.path = "store";', 'admin.socket = "stats.sock";',
              f"tls.required = {'false' if plaintext else 'true'};",
              # Everything comes from one address here.
              "limits { connections_per_address = 0; handshakes_per_address = 0; failed_logins_per_address = 0; }"]
    if ports["s2s"]:
        lines += s2s_lines(ports)
    (folder / "sluice.conf").write_text("\n".join(lines) + "\n")


def pid_of(folder):
    """The router of this folder, if it runs: the pid in the folder, and only if that process is it."""
    try:
        pid = int((folder / "sluiced.pid").read_text())
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError, IndexError):
        return None
    is_ours = os.fsencode(folder / "sluice.conf") in words and b"--config" in words
    return pid if is_ours and state != "Z" else None


def log_lines(folder):
    try:
        return (folder / "sluiced.log").read_text(errors="replace").splitlines()
    except OSError:
        return []


def log_tail(folder):
    return "\n".join(log_lines(folder)[-30:])


def wait_until_ready(folder, process, ports):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Trouble(f"sluiced ended with status {process.returncode}:\n{log_tail(folder)}")
        try:
            with Stats(str(folder / "stats.sock")) as stats:
                stats.info()
            with socket.create_connection((ports.get("host", "127.0.0.1"), ports["c2s"]), timeout=1):
                return
        except (OSError, Trouble):
            time.sleep(0.02)
    process.terminate()
    raise Trouble(f"sluiced does not answer after {START_SECONDS} s:\n{log_tail(folder)}")


def launch(folder, settings, ports):
    """sluiced in a session of its own, its log in the folder; returns when it answers and listens."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    command = [binary(), "--config", str(folder / "sluice.conf")]
    for setting in settings:
        command += ["--set", setting]
    with open(folder / "sluiced.log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                                   start_new_session=True)
    (folder / "sluiced.pid").write_text(f"{process.pid}\n")
    try:
        wait_until_ready(folder, process, ports)
    except BaseException:
        (folder / "sluiced.pid").unlink()
        raise
    return process


def start(folder, domains=(), shards=0, port=0, tls_port=0, users=2, password="secret", plaintext=False, settings=(),
          s2s_port=0, authority=None, host=None):
    """A router in folder with accounts user0.. in each domain. A dict: pid, c2s, tls, s2s (ports), stats, process.
    s2s_port: for other servers; 0: none are spoken to. authority: another testbed's folder, whose CA this one has too;
    certificates that are already in folder then stay. host: the only address it listens on; else all of loopback's."""
    folder = pathlib.Path(folder).resolve()
    domains = list(domains) or ["localhost"]
    folder.mkdir(parents=True, exist_ok=True)
    if pid_of(folder):
        raise Trouble(f"{folder}: a router runs here already, pid {pid_of(folder)}")
    if not authority:
        make_ca(folder)
    for name in ("ca.pem", "ca.key") if authority else ():
        shutil.copy(pathlib.Path(authority) / name, folder / name)
    for domain in domains:
        if not authority or not (folder / f"{domain}.pem").exists():
            make_certificate(folder, domain)
    for attempt in range(3):
        # Between finding a free port and taking it another program may be faster.
        ports = {"c2s": port or free_port(), "tls": tls_port or free_port(), "s2s": s2s_port}
        if host:
            ports["host"] = host
        write_configuration(folder, domains, ports, shards, plaintext)
        try:
            process = launch(folder, settings, ports)
            break
        except Trouble as trouble:
            if attempt == 2 or (port and tls_port) or "in use" not in str(trouble):
                raise
    stats_path = str(folder / "stats.sock")
    with Stats(stats_path) as stats:
        import_accounts(stats, [f"user{n}@{domain}" for domain in domains for n in range(users)], password)
    return {"pid": process.pid, **ports, "stats": stats_path, "process": process}


def stop(folder):
    """Ends the router of this folder in order. (pid, seconds); (None, 0) if none runs."""
    folder = pathlib.Path(folder).resolve()
    pid = pid_of(folder)
    if pid is None:
        return None, 0.0
    begin = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    while pid_of(folder) == pid:
        if time.monotonic() - begin > STOP_SECONDS:
            raise Trouble(f"pid {pid} does not end {STOP_SECONDS} s after SIGTERM")
        try:
            os.waitpid(pid, os.WNOHANG)  # when it is a child of this very process
        except ChildProcessError:
            pass
        time.sleep(0.02)
    (folder / "sluiced.pid").unlink(missing_ok=True)
    wrong = [line for line in log_lines(folder) if any(sign in line for sign in SIGNS_OF_A_CRASH)]
    if wrong:
        raise Trouble(f"pid {pid} ended, but its log {folder / 'sluiced.log'} says: {wrong[0]}")
    return pid, time.monotonic() - begin
