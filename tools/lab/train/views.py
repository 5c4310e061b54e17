"""The same request as others see it: behind proxies, without its order or version, as a log line."""

import json
import zlib

# What these proxies make of a request: the version that they speak to the host behind, the headers
# that they remove, that they write in front of the others, behind them and at the end, that they
# move there (`early`, `last`; `late` for cookies of HTTP/2), the case of names (`two` for HTTP/2),
# what they make of its pseudo-headers, and the names in front of sorted ones (`first`). `check.py` compares it with what the programs
# themselves passed on (tools/lab/record/data/kinds-behind.ndjson.gz).
ADDRESS, BACKEND = "192.0.2.7", "backend.test:8080"
PROXIES = {
    "nginx": dict(
        http="1.0", removed=["host", "connection", "keep-alive", "te", "upgrade"],
        early=["content-length"], late=["cookie"],
        front=[("Host", None), ("X-Real-IP", ADDRESS), ("X-Forwarded-For", ADDRESS),
               ("X-Forwarded-Proto", "https"), ("Connection", "close")]),
    "nginx-bare": dict(
        http="1.0", removed=["host", "connection", "keep-alive", "te", "upgrade"],
        early=["content-length"], late=["cookie"],
        front=[("Host", BACKEND), ("Connection", "close")]),
    "haproxy": dict(
        http="1.1", case=str.lower, removed=["connection", "keep-alive"], late=["cookie"],
        back=[("x-forwarded-proto", "https"), ("x-forwarded-for", ADDRESS)]),
    "envoy": dict(
        http="1.1", case=str.lower, removed=["connection", "keep-alive"], late=["cookie"],
        early=["host"],
        back=[("x-forwarded-for", ADDRESS), ("x-forwarded-proto", "https"),
              ("x-envoy-external-address", ADDRESS),
              ("x-request-id", "7e0e1c8a-30a8-4c26-b1ac-11b2d1f4b7a1"),
              ("x-envoy-expected-rq-timeout-ms", "15000")]),
    "caddy": dict(
        http="1.1", case=str.title, removed=["connection", "keep-alive"],
        first=["host", "user-agent", "content-length"],
        back=[("X-Forwarded-For", ADDRESS), ("X-Forwarded-Host", "www.shop.test"),
              ("X-Forwarded-Proto", "https")]),
    "apache": dict(
        http="1.1", removed=["host", "connection", "keep-alive", "te"], two=str.title,
        front=[("Host", BACKEND)],
        back=[("X-Forwarded-Proto", "https"), ("X-Forwarded-For", ADDRESS),
              ("X-Forwarded-Host", "www.shop.test"), ("X-Forwarded-Server", "192.0.2.1")],
        last=["content-length"], end=[("Connection", "Keep-Alive")]),
    "varnish": dict(
        http="1.1", removed=["connection", "keep-alive", "te"], pseudo=[("scheme", "https")],
        back=[("X-Forwarded-For", ADDRESS), ("X-Forwarded-Proto", "https"),
              ("X-Varnish", "32771")]),
    "squid": dict(
        http="1.1", removed=["host", "connection", "keep-alive", "cache-control"],
        back=[("Host", None), ("Via", "1.1 proxy.test (squid/5.7)"),
              ("Surrogate-Capability", 'proxy.test="Surrogate/1.0"'),
              ("X-Forwarded-For", ADDRESS), ("Cache-Control", "max-age=259200"),
              ("Connection", "close"), ("X-Forwarded-Proto", "https")]),
}
FORWARD = dict(
    http="1.1", removed=["host", "connection", "keep-alive", "cache-control"],
    back=[("Host", None), ("Via", "1.1 proxy.test (squid/5.7)"), ("X-Forwarded-For", ADDRESS),
          ("Cache-Control", "max-age=259200"), ("Connection", "close")])


def passed_on(request, made):
    """The headers of a complete request behind a proxy that does as `made` says."""
    host = next((v for n, v in request["headers"] if n.lower() == "host"), request.get("host"))
    host = host or "www.shop.test"
    two = request["http"] == "2"
    kept = [[n, v] for n, v in request["headers"] if n.lower() not in made["removed"]]
    if two:
        if "host" not in made["removed"]:
            kept = [["host", host], *made.get("pseudo", ()), *kept]
        # HTTP/2 splits cookies; a proxy joins them.
        cookies = [v for n, v in kept if n == "cookie"]
        at = len(kept) - len(cookies) if "cookie" in made.get("late", ()) else next(
            (at for at, (n, _) in enumerate(kept) if n == "cookie"), 0)
        kept = [pair for pair in kept if pair[0] != "cookie"]
        kept[at:at] = [["cookie", "; ".join(cookies)]] * bool(cookies)
    moved = {n: [p for p in kept if p[0].lower() in made.get(n, ())] for n in ("early", "last")}
    kept = [p for p in kept if p not in moved["early"] and p not in moved["last"]]
    parts = [*made.get("front", ()), *moved["early"], *kept, *made.get("back", ()), *moved["last"],
             *made.get("end", ())]
    case = made.get("two" if two and "two" in made else "case", str)
    parts = [[case(name), host if value is None else value] for name, value in parts]
    if "first" in made:
        parts.sort(key=lambda pair: pair[0])
        order = {name: at for at, name in enumerate(made["first"])}
        parts.sort(key=lambda pair: order.get(pair[0].lower(), len(order)))
    return parts


def behind(request, proxy, view="proxy"):
    """A complete request as a host that knows of the proxy in front sees it."""
    made = PROXIES[proxy]
    order = "kept" if view == "order kept" else "none"
    return dict(request, headers=passed_on(request, made), http=made["http"], hop="proxy",
                order=order, view=view, narrowed=True)


def forwarded(request, proxy):
    """A complete request behind a proxy that the host does not know of, or that a client uses."""
    made = PROXIES.get(proxy, FORWARD)
    return dict(request, headers=passed_on(request, made), http=made["http"], hop="client",
                order="wire", view="forwarded", narrowed=True)


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
    if request["order"] != "none":
        orderly = [name for name in names if "first" not in PROXIES[name]]
        yield behind(request, orderly[chosen(request, len(orderly))], "order kept")
    yield forwarded(request, [*names, "a forward proxy"][chosen(request, len(names) + 1)])
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
