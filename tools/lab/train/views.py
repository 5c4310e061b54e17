"""The same request as others see it: behind proxies, without its order or version, as a log line."""

import json
import zlib

# Headers that belong to one connection: a proxy makes its own.
CONNECTION = ("connection", "keep-alive", "te", "upgrade", "proxy-connection", "transfer-encoding")

# What the usual proxies make of a request: the version that they speak to the server behind, how
# they write names, whether they sort them, what they set, and whether they name the host behind.
# Measured with the programs themselves: tools/lab/record/proxies.sh.
PROXIES = {
    "nginx-default": dict(http="1.0", set=[("Connection", "close")], own_host=True),
    "nginx-usual": dict(
        http="1.1", set=[("X-Real-IP", "192.0.2.7"), ("X-Forwarded-For", "192.0.2.7"),
                         ("X-Forwarded-Proto", "https")]),
    "haproxy": dict(http="1.1", case="lower", set=[("x-forwarded-for", "192.0.2.7")]),
    "caddy": dict(
        http="1.1", case="title", sort=True,
        set=[("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Host", "www.shop.test"),
             ("X-Forwarded-Proto", "https")]),
    "apache": dict(
        http="1.1", set=[("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Host", "www.shop.test"),
                         ("X-Forwarded-Server", "edge.test"), ("Connection", "Keep-Alive")],
        own_host=True),
    "varnish": dict(
        http="1.1", set=[("X-Forwarded-For", "192.0.2.7"), ("Via", "1.1 edge (Varnish/7.1)"),
                         ("Accept-Encoding", "gzip"), ("X-Varnish", "32770")]),
    "envoy": dict(
        http="1.1", case="lower",
        set=[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https"),
             ("x-request-id", "7e0e1c8a-30a8-4c26-b1ac-11b2d1f4b7a1"),
             ("x-envoy-expected-rq-timeout-ms", "15000")]),
    "squid": dict(
        http="1.1", set=[("Via", "1.1 office (squid/5.7)"), ("X-Forwarded-For", "192.168.1.20"),
                         ("Cache-Control", "max-age=259200"), ("Connection", "keep-alive")]),
}


def cased(name, case):
    return {"lower": name.lower(), "title": name.title()}.get(case, name)


def behind(request, proxy, hop="proxy"):
    """A complete request as the server behind a proxy sees it."""
    made = PROXIES[proxy]
    case, added = made.get("case"), made["set"]
    replaced = {name.lower() for name, _ in added}
    headers = [[cased(name, case), value] for name, value in request["headers"]
               if name.lower() not in CONNECTION and name.lower() not in replaced]
    host = next((v for n, v in headers if n.lower() == "host"), request.get("host") or "www.shop.test")
    headers = [pair for pair in headers if pair[0].lower() != "host"]
    if made.get("sort"):
        headers.sort()
    first = "127.0.0.1:9000" if made.get("own_host") else host
    headers = [[cased("Host", case), first], *map(list, added), *headers]
    return dict(request, headers=headers, http=made["http"], hop=hop, order="wire", view="proxy",
                narrowed=True)


def chosen(request, number):
    """A number below `number` that depends on the request alone."""
    text = json.dumps([request["headers"], request.get("path")])
    return zlib.crc32(text.encode()) % number


def views(request):
    """The request with its view, and each other way in which it is seen."""
    yield dict(request, view=request["slice"])
    if not request["complete"]:
        return
    names = sorted(PROXIES)
    at = chosen(request, len(names))
    yield behind(request, names[at])
    # A host that does not know of the proxy in front, or a proxy that nobody trusts.
    yield dict(behind(request, names[(at + 3) % len(names)], "client"), view="forwarded")
    yield dict(request, order="none", view="unordered", narrowed=True)
    yield dict(request, http=None, view="no version", narrowed=True)
    yield narrowed(request, "log")
    yield narrowed(request, "ua")


def narrowed(request, known):
    """The same request as an access log or an agent list would know it.

    Without these, how much is known would give the label away.
    """
    names = {"log": ("user-agent", "referer"), "ua": ("user-agent",)}[known]
    narrow = dict(request, complete=False, slice=known, view=known, scheme=None, narrowed=True)
    narrow["headers"] = [h for h in request["headers"] if h[0].lower() in names]
    if known == "ua":
        narrow.update(method=None, http=None, path=None, host=None)
    return narrow
