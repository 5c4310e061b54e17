"""ClickHouse's HTTP interface, as far as a list of features needs it, before chDB in this process.

    chdb_http.py PORT

chDB has no users and no HTTP of its own; what it answers is ClickHouse's own answer.
"""

import http.server
import sys
import urllib.parse

import chdb.session

FEATURES = 60


def main():
    session = chdb.session.Session()
    columns = ", ".join(f"f{index:02} Float32" for index in range(FEATURES))
    for database in ("r0", "default"):
        session.query(f"CREATE DATABASE IF NOT EXISTS {database} ENGINE = Atomic")
        session.query(
            f"CREATE TABLE {database}.http_requests_features ({columns})"
            " ENGINE = MergeTree ORDER BY f00"
        )

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            try:
                body = session.query(asked["query"][0], "JSON").bytes()
                status = 200
            except Exception as error:  # what the engine says goes to the client
                body, status = str(error).encode(), 500
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


main()
