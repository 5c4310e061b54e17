"""Sends recorded requests through real proxies and writes what a host behind them sees.

Each complete request is sent to each proxy as the client sent it: HTTP/1.x byte for byte, HTTP/2
with the same fields in the same order over TLS.  The proxy's request to the host is written as a
row of the same label, with `hop`, `order` and `http` as the host knows them.  One request is under
way at a time.  Other fields of a row stay as they are.
"""

import argparse
import collections
import json
import os
import pathlib
import queue
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions

import files

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
FRONTS = ROOT / "tools" / "testkit" / "fronts"
BODY_MAX = 1 << 20
HEAD_MAX = 1 << 17
# How long a request may take from the client to the host.
PATIENCE = 4.0
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
# The client's address in the headers of proxies.
CLIENT = "203.0.113.9"
# Headers in which a proxy names its machine.
NAMES_ITSELF = ("via", "surrogate-capability", "x-forwarded-server")
Proxy = collections.namedtuple("Proxy", "name program arguments keeps_order forward")
PROXIES = [
    Proxy("nginx", "nginx", ["-p", "FOLDER", "-c", "FILE", "-e", "stderr"], True, False),
    Proxy("nginx-bare", "nginx", ["-p", "FOLDER", "-c", "FILE", "-e", "stderr"], True, False),
    Proxy("haproxy", "haproxy", ["-db", "-f", "FILE"], True, False),
    Proxy("envoy", "envoy", ["--disable-hot-restart", "--concurrency", "1", "--log-level", "error",
                             "-c", "FILE"], True, False),
    Proxy("caddy", "caddy", ["run", "--adapter", "caddyfile", "--config", "FILE"], False, False),
    Proxy("apache", "apache2", ["-DFOREGROUND", "-f", "FILE"], True, False),
    Proxy("varnish", "varnishd", ["-F", "-j", "none", "-n", "FOLDER/work", "-a", "127.0.0.1:PORT",
                                  "-p", "feature=+http2", "-f", "FILE"], True, False),
    Proxy("squid", "squid", ["-N", "-f", "FILE"], True, False),
    Proxy("squid-forward", "squid", ["-N", "-f", "FILE"], True, True),
]
# These get what was sent over TLS without it, as from a program that ends TLS in front of them.
BEHIND_TLS = {"varnish", "squid"}
# These speak HTTP/1.x only.
H1_ONLY = {"squid", "squid-forward"}


def program(name):
    """The path of a proxy's program; none if it is not installed."""
    if name == "envoy":
        found = sorted((ROOT / "target" / "envoy").glob("lib/**/envoy/_bin/envoy"))
        return str(found[0]) if found else None
    return shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Host:
    """What is behind the proxies: writes down the head of each request, and answers it."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.seen = queue.Queue()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection:
                connection.settimeout(PATIENCE)
                data = b""
                while b"\r\n\r\n" not in data and len(data) < HEAD_MAX:
                    part = connection.recv(65536)
                    if not part:
                        return
                    data += part
                head, _, body = data.partition(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                method, target, version = lines[0].split(" ")
                headers = []
                for text in lines[1:]:
                    name, _, value = text.partition(":")
                    headers.append([name, value.strip(" \t")])
                low = {n.lower(): v for n, v in headers}
                if low.get("expect", "").lower() == "100-continue":
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                self.seen.put((method, target, version.partition("/")[2], headers))
                if "chunked" in low.get("transfer-encoding", "").lower():
                    while not body.endswith(b"0\r\n\r\n"):
                        part = connection.recv(65536)
                        if not part:
                            return
                        body += part
                wanted = int(low.get("content-length") or 0)
                while len(body) < wanted:
                    part = connection.recv(65536)
                    if not part:
                        return
                    body += part
                connection.sendall(ANSWER)
        except (OSError, ValueError):
            return


class Front:
    """A running proxy, in plain text or with TLS."""

    def __init__(self, proxy, host, tls, folder, certificates):
        self.proxy, self.tls, self.port = proxy, tls, free_port()
        self.folder = folder / (proxy.name + ("-tls" if tls else ""))
        self.folder.mkdir()
        os.chmod(self.folder, 0o755)
        file = self.folder / "conf.yaml"

        def filled(text):
            for name, value in (("FOLDER", self.folder), ("FILE", file), ("PORT", self.port),
                                ("BEHIND", host.port), ("TLS/", str(certificates) + "/")):
                text = text.replace(name, str(value))
            return text
        taken, left = ("#tls ", "#plain ") if tls else ("#plain ", "#tls ")
        lines = (FRONTS / (proxy.name + ".conf")).read_text().splitlines()
        lines = [text.replace(taken, "", 1) for text in lines if not text.lstrip().startswith(left)]
        file.write_text(filled("\n".join(lines) + "\n"))
        self.errors = self.folder / "stderr"
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                [program(proxy.program)] + [filled(a) for a in proxy.arguments], cwd=self.folder,
                env=dict(os.environ, HOME=str(self.folder)), stdin=subprocess.DEVNULL,
                stdout=errors, stderr=errors, start_new_session=True)
        self.client = None
        end = time.time() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.time() > end:
                    text = self.errors.read_text(errors="replace")[-600:]
                    self.stop()
                    raise SystemExit("%s does not start: %s" % (proxy.name, text)) from None
                time.sleep(0.05)

    def stop(self):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sig)
            except ProcessLookupError:
                pass
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                continue

    def connect(self, protocol):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        connection.settimeout(PATIENCE)
        if not self.tls or self.proxy.name in BEHIND_TLS:
            return connection
        # The proxy has a certificate of this run, made for an address.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols([protocol])
        connection = context.wrap_socket(connection)
        if connection.selected_alpn_protocol() != protocol and protocol == "h2":
            raise OSError("no HTTP/2")
        return connection

    def send(self, row, host):
        """What the host saw of a request; none if the proxy did not pass it on."""
        while not host.seen.empty():
            host.seen.get()
        try:
            if row["http"] == "2":
                self._h2(row)
            else:
                self._h1(row)
        except (OSError, h2.exceptions.ProtocolError):
            pass
        try:
            return host.seen.get(timeout=0.3)
        except queue.Empty:
            return None

    def _h1(self, row):
        target = row["path"]
        if self.proxy.forward:
            target = "%s://%s%s" % (row["scheme"], row["host"], target)
        low = {n.lower(): v for n, v in row["headers"]}
        text = "%s %s HTTP/%s\r\n" % (row["method"], target, row["http"])
        text += "".join("%s: %s\r\n" % (n, v) for n, v in row["headers"]) + "\r\n"
        size = low.get("content-length", "0")
        body = bytes(min(int(size), BODY_MAX)) if size.isdigit() else b""
        if "chunked" in low.get("transfer-encoding", "").lower():
            body = b"0\r\n\r\n"
        with self.connect("http/1.1") as connection:
            connection.sendall(text.encode("latin-1") + body)
            answer = b""
            # An upgrade has no end, and no host here agrees to one.
            while b"\r\n\r\n" not in answer or answer.startswith(b"HTTP/1.1 100"):
                part = connection.recv(65536)
                if not part:
                    return
                answer = part if answer.startswith(b"HTTP/1.1 100") else answer + part

    def _h2(self, row):
        with self.connect("h2") as connection:
            h2c = h2.connection.H2Connection(h2.config.H2Configuration(
                header_encoding=None, validate_outbound_headers=False,
                normalize_outbound_headers=False, validate_inbound_headers=False))
            h2c.initiate_connection()
            fields = [(":method", row["method"]), (":authority", row["host"]),
                      (":scheme", row["scheme"]), (":path", row["path"])]
            if row["method"] == "CONNECT":
                fields.insert(1, (":protocol", "websocket"))
            fields += [(n, v) for n, v in row["headers"]]
            size = dict(row["headers"]).get("content-length", "0")
            body = bytes(min(int(size), 1 << 15)) if size.isdigit() else b""
            connect = row["method"] == "CONNECT"
            stream = h2c.get_next_available_stream_id()
            fields = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in fields]
            h2c.send_headers(stream, fields, end_stream=not body and not connect)
            if body:
                while body:
                    part, body = body[:16384], body[16384:]
                    h2c.send_data(stream, part, end_stream=not body)
            connection.sendall(h2c.data_to_send())
            end = time.time() + PATIENCE
            while time.time() < end:
                data = connection.recv(65536)
                if not data:
                    return
                for event in h2c.receive_data(data):
                    if isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset,
                                          h2.events.ConnectionTerminated)):
                        return
                connection.sendall(h2c.data_to_send())


def as_seen(row, front, seen, host):
    """The row of what the host saw, without traces of the machine."""
    method, target, version, headers = seen
    machine = {"127.0.0.1:%d" % host.port: "backend.test:8080",
               "127.0.0.1:%d" % front.port: "backend.test:8080", "127.0.0.1": CLIENT}
    sent = {value for _, value in row["headers"]}
    cleaned = []
    for name, value in headers:
        if value not in sent:
            for trace, word in machine.items():
                value = value.replace(trace, word)
            if name.lower() in NAMES_ITSELF:
                value = value.replace(socket.gethostname(), "proxy.test")
            if name.lower() in ("x-forwarded-for", "x-real-ip"):
                # Some proxies take the machine's own address for one of loopback.
                value = ", ".join(value.split(", ")[:-1] + [CLIENT])
        cleaned.append([name, value])
    low = {n.lower(): v for n, v in cleaned}
    proxy = front.proxy
    out = dict(row, id="%s@%s" % (row["id"], proxy.name), method=method, path=target, http=version,
               host=low.get("host", ""), headers=cleaned, through=proxy.name)
    out["client_http"] = None
    if proxy.forward:
        # The host takes it for a client's own connection.
        return dict(out, hop="client", order="wire")
    out["scheme"] = low.get("x-forwarded-proto")
    return dict(out, hop="proxy", order="kept" if proxy.keeps_order else "none")


def chosen(rows, per_group, seed):
    """Complete requests, at most `per_group` of each client and version, by chance; 0 for all."""
    groups = collections.defaultdict(list)
    for row in rows:
        if row.get("complete") and row.get("order") in (None, "wire") and row.get("host"):
            groups[(row.get("client"), row["http"], row["scheme"])].append(row)
    rng = random.Random(seed)
    picked = []
    for key in sorted(groups, key=str):
        group = groups[key]
        picked += rng.sample(group, min(per_group, len(group))) if per_group else group
    return picked


def passes(proxy, row):
    """Whether a request of this kind can reach the proxy."""
    if row["http"] not in ("1.0", "1.1", "2"):
        return False
    if row["http"] == "2" and proxy.name in H1_ONLY:
        return False
    # A forward proxy sees nothing of TLS but addresses.
    return not (proxy.forward and row["scheme"] != "http")


def tls_of(proxy, row):
    """Whether the proxy is set up for a site with TLS."""
    return row["scheme"] == "https" and not proxy.forward


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("requests", nargs="*", type=pathlib.Path, help="NDJSON with complete requests")
    ap.add_argument("--out", type=pathlib.Path, default=pathlib.Path("/dev/stdout"))
    ap.add_argument("--proxy", action="append", metavar="NAME",
                    help="one of --list; may be repeated")
    ap.add_argument("--per-group", type=int, default=0, metavar="N",
                    help="requests of each client, version and scheme; 0 for all")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--list", action="store_true", help="list the proxies and leave")
    a = ap.parse_args()
    names = [p.name for p in PROXIES]
    if a.list:
        print("\n".join(names))
        return 0
    unknown = sorted(set(a.proxy or []) - set(names))
    if unknown or not a.requests:
        wrong = "expected a proxy of --list, got " + ", ".join(unknown)
        print("proxies.py: " + (wrong if unknown else "expected a file of requests, got none"),
              file=sys.stderr)
        return 2
    rows = []
    for path in a.requests:
        rows += [json.loads(text) for _, text in files.lines(path)]
    rows = chosen(rows, a.per_group, a.seed)
    host = Host()
    # The proxies end with this program.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Some of the proxies run as another user.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="proxies-"))
    os.chmod(folder, 0o755)
    certificates = folder / "certificates"
    certificates.mkdir()
    subprocess.run(["bash", str(FRONTS / "certificates.sh"), str(certificates)], check=True,
                   capture_output=True)
    try:
        with open(a.out, "w", encoding="utf-8") as out:
            for proxy in PROXIES:
                if a.proxy and proxy.name not in a.proxy:
                    continue
                if not program(proxy.program):
                    print("SKIPPED %s: not installed" % proxy.name, file=sys.stderr)
                    continue
                through(proxy, [r for r in rows if passes(proxy, r)], host, folder,
                        certificates, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def through(proxy, rows, host, folder, certificates, out):
    """Sends the rows through one proxy, and names what did not arrive."""
    lost = collections.Counter()
    count = 0
    for tls in (False, True):
        mine = [r for r in rows if tls_of(proxy, r) == tls]
        if not mine:
            continue
        front = Front(proxy, host, tls, folder, certificates)
        try:
            for row in mine:
                seen = front.send(row, host)
                if seen is None:
                    lost["%s HTTP/%s" % (row["method"], row["http"])] += 1
                    continue
                count += 1
                text = json.dumps(as_seen(row, front, seen, host), separators=(",", ":"),
                                  ensure_ascii=False)
                out.write(text + "\n")
        finally:
            front.stop()
    not_passed = ", not passed on: %s" % dict(lost) if lost else ""
    print("%-14s %d requests%s" % (proxy.name, count, not_passed), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
