"""A server that writes down every request exactly as it stood on the wire.

HTTP/1.x is parsed by hand, because every ready-made parser changes the case of
header names or joins repeated ones.  HTTP/2 goes through `h2` with its
normalising switched off, which keeps the order and the separate cookie fields.
"""

import asyncio
import ssl
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

import kinds
import shop

MAX_HEAD = 64 * 1024
MAX_ROWS = 400  # of one run: a load generator sends thousands of equal requests
REASONS = {200: "OK", 201: "Created", 204: "No Content", 206: "Partial Content", 301: "Moved Permanently",
           302: "Found", 303: "See Other", 304: "Not Modified", 400: "Bad Request", 404: "Not Found"}
PREFACE = b"PRI * HTTP/2.0\r\n\r\n"


class Recorder:
    """Takes the requests of the run under way; runs follow each other, so one is current at a time."""

    def __init__(self):
        self.run = None
        self.rows = []
        self.lock = threading.Lock()

    def begin(self, run, steps=None):
        with self.lock:
            self.run = run
            self.count = 0
            self.steps = list(steps or [])

    def end(self):
        with self.lock:
            self.run = None

    def next_step(self):
        with self.lock:
            return self.steps.pop(0) if self.run and self.steps else None

    def add(self, row):
        with self.lock:
            if self.run is not None and self.count < MAX_ROWS:
                self.count += 1
                row["run"] = self.run
                self.rows.append(row)


class Server:
    def __init__(self, recorder, cert, key, addresses, http_port=80, https_port=443):
        self.recorder = recorder
        self.addresses, self.http_port, self.https_port = addresses, http_port, https_port
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(cert, key)
        self.tls.set_alpn_protocols(["h2", "http/1.1"])
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self._main, daemon=True)

    def start(self):
        self.thread.start()
        if not self.ready.wait(20):
            raise RuntimeError("the server did not start")
        if self.failure:
            raise self.failure

    def offer(self, h2):
        """What the next TLS connections may choose: many sites still speak HTTP/1.1 only, to people too."""
        self.tls.set_alpn_protocols(["h2", "http/1.1"] if h2 else ["http/1.1"])

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    def _main(self):
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(lambda loop, context: None)
        try:
            self.loop.run_until_complete(self._listen())
        except Exception as err:  # handed to the starter
            self.failure = err
            self.ready.set()
            return
        self.ready.set()
        self.loop.run_forever()

    async def _listen(self):
        for address in self.addresses:
            await asyncio.start_server(lambda r, w: self._client(r, w, "http"), address, self.http_port, limit=MAX_HEAD)
            await asyncio.start_server(lambda r, w: self._client(r, w, "https"), address, self.https_port, ssl=self.tls, limit=MAX_HEAD)

    async def _client(self, reader, writer, scheme):
        peer = writer.get_extra_info("peername")[0]
        obj = writer.get_extra_info("ssl_object")
        try:
            if obj is not None and obj.selected_alpn_protocol() == "h2":
                await self._h2(reader, writer, scheme, peer, b"")
            else:
                await self._h1(reader, writer, scheme, peer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.TimeoutError, asyncio.LimitOverrunError,
                h2.exceptions.ProtocolError, ssl.SSLError, OSError):
            pass
        finally:
            try:
                writer.close()
            except Exception:
                pass

    def _answer(self, scheme, peer, http, method, host, target, headers):
        ts = time.time()
        name = host.rsplit(":", 1)[0] if host else ""
        status, out, body = shop.respond(method, scheme, name, target, headers, self.recorder.next_step)
        if method == "HEAD" or status in (204, 304):
            sent = b""
        else:
            sent = body
        self.recorder.add({"ts": round(ts, 3), "ip": peer, "method": method, "scheme": scheme, "http": http, "host": name,
                           "path": target, "status": status, "bytes": len(sent), "headers": headers})
        return status, out, body, sent

    async def _h1(self, reader, writer, scheme, peer):
        while True:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            if head == PREFACE:
                return await self._h2(reader, writer, scheme, peer, PREFACE)
            lines = head[:-4].split(b"\r\n")
            while lines and not lines[0]:
                lines.pop(0)
            try:
                method, target, version = lines[0].decode("latin-1").split(" ")
            except (IndexError, ValueError):
                writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                await writer.drain()
                return
            headers = []
            for line in lines[1:]:
                name, _, value = line.decode("latin-1").partition(":")
                headers.append([name, value.strip(" \t")])
            low = {}
            for name, value in headers:
                low.setdefault(name.lower(), value)
            if low.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if "chunked" in low.get("transfer-encoding", "").lower():
                while True:
                    size = int((await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)).split(b";")[0], 16)
                    await asyncio.wait_for(reader.readexactly(size + 2), 10)
                    if size == 0:
                        break
            elif low.get("content-length", "0").isdigit() and int(low.get("content-length", "0")) <= 1 << 20:
                await asyncio.wait_for(reader.readexactly(int(low.get("content-length", "0"))), 10)
            if target.startswith(("http://", "https://")):
                target = "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"
            http = version.replace("HTTP/", "")
            status, out, body, sent = self._answer(scheme, peer, http, method, low.get("host", ""), target, headers)
            if low.get("upgrade", "").lower() == "websocket" and kinds.accept_key(headers):
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
                             b"sec-websocket-accept: " + kinds.accept_key(headers).encode() + b"\r\n\r\n\x88\x00")
                await writer.drain()
                return
            keep = low.get("connection", "").lower()
            alive = "close" not in keep and (http == "1.1" or "keep-alive" in keep)
            text = "HTTP/1.1 %d %s\r\n" % (status, REASONS.get(status, "OK"))
            for name, value in out:
                text += "%s: %s\r\n" % (name, value)
            if status not in (204, 304):
                text += "content-length: %d\r\n" % len(body)
            text += "connection: %s\r\n\r\n" % ("keep-alive" if alive else "close")
            writer.write(text.encode("latin-1") + sent)
            await writer.drain()
            if not alive:
                return

    async def _h2(self, reader, writer, scheme, peer, seen):
        conn = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding=None, validate_inbound_headers=False, normalize_inbound_headers=False))
        # Extended CONNECT (RFC 8441): browsers open WebSockets on the connection that is there.
        conn.local_settings = h2.settings.Settings(client=False, initial_values={
            h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1, h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100})
        conn.initiate_connection()
        writer.write(conn.data_to_send())
        streams, pending = {}, {}
        data = seen

        def flush():
            for sid in list(pending):
                while sid in pending:
                    body = pending[sid]
                    room = min(conn.local_flow_control_window(sid), conn.max_outbound_frame_size)
                    part, rest = body[:room], body[room:]
                    if not part and body:
                        break
                    conn.send_data(sid, part, end_stream=not rest)
                    if rest:
                        pending[sid] = rest
                    else:
                        del pending[sid]

        while True:
            if not data:
                data = await asyncio.wait_for(reader.read(65536), 60)
                if not data:
                    return
            for event in conn.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    streams[event.stream_id] = [(bytes(n).decode("latin-1"), bytes(v).decode("latin-1")) for n, v in event.headers]
                elif isinstance(event, h2.events.DataReceived):
                    conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamReset):
                    streams.pop(event.stream_id, None)
                    pending.pop(event.stream_id, None)
                elif isinstance(event, h2.events.ConnectionTerminated):
                    return
                fields = streams.get(getattr(event, "stream_id", None), ())
                # A CONNECT has no end: its stream is the WebSocket.
                if fields and (isinstance(event, h2.events.StreamEnded) or (":method", "CONNECT") in fields):
                    fields = streams.pop(event.stream_id)
                    pseudo = {n: v for n, v in fields if n.startswith(":")}
                    headers = [[n, v] for n, v in fields if not n.startswith(":")]
                    host = pseudo.get(":authority") or next((v for n, v in headers if n == "host"), "")
                    status, out, _, sent = self._answer(pseudo.get(":scheme", scheme), peer, "2", pseudo.get(":method", "GET"),
                                                        host, pseudo.get(":path", "/"), headers)
                    try:
                        conn.send_headers(event.stream_id, [(":status", str(status))] + out, end_stream=not sent)
                        if sent:
                            pending[event.stream_id] = sent
                    except h2.exceptions.ProtocolError:
                        pending.pop(event.stream_id, None)
            try:
                flush()
            except h2.exceptions.ProtocolError:
                pending.clear()
            writer.write(conn.data_to_send())
            await writer.drain()
            data = b""
