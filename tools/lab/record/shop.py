"""The small site that every recorded client visits.

Several host names share one set of pages, so that neither host nor path tells
which client came by.  Everything is generated; nothing is read from disk.
"""

import html
import json
import random
import struct
import urllib.parse
import zlib

import kinds

HOSTS = ["www.shop.test", "blog.example.test", "news.garden.test", "store.lamp.test"]
CDN = "cdn.static.test"
ALL_HOSTS = HOSTS + [CDN]

WORDS = ("lamp cable chair garden teapot kettle blanket bicycle ladder radio mirror basket "
         "notebook candle window pillow hammer bottle carpet jacket").split()
SLUGS = ["how-to-prune-a-hedge", "ten-lamps-for-small-rooms", "winter-tyres", "bread-at-home",
         "the-quiet-kettle", "paint-that-lasts", "a-week-in-the-hills", "old-radios"]
SECTIONS = ["home", "garden", "kitchen", "sale", "new", "books"]


def page_paths(rng):
    """One path of a document, drawn from what visitors of such a site open."""
    kind = rng.random()
    if kind < 0.14:
        return "/"
    if kind < 0.40:
        return "/products/%d" % rng.randint(1, 240)
    if kind < 0.54:
        return "/blog/" + rng.choice(SLUGS)
    if kind < 0.66:
        path = "/category/" + rng.choice(SECTIONS)
        return path + ("?page=%d" % rng.randint(2, 9) if rng.random() < 0.4 else "")
    if kind < 0.78:
        return "/search?q=" + rng.choice(WORDS)
    if kind < 0.83:
        return "/cart"
    if kind < 0.88:
        return "/login"
    if kind < 0.93:
        return rng.choice(["/about", "/contact", "/terms", "/shipping"])
    if kind < 0.97:
        return rng.choice(["/old/lamps.html", "/go?id=%d" % rng.randint(1, 99)])
    return rng.choice(["/category/gone", "/products/sold-out", "/blog/draft"])


def png(seed):
    rng = random.Random(seed)
    w = h = 16
    rows = b"".join(b"\0" + bytes(rng.randrange(256) for _ in range(3)) * w for _ in range(h))

    def chunk(tag, data):
        body = tag + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


CSS = """@font-face{font-family:Hedge;src:url(/static/font.woff2) format("woff2")}
body{font-family:Hedge,sans-serif;margin:0;background:url(/img/bg.png)}
nav a{padding:.5em}main{max-width:60em;margin:auto}
#next{position:fixed;left:4%;right:4%;top:30%;bottom:4%;background:#e8f3e8;display:none;text-align:center;
font-size:200%;padding-top:8%;border:0;width:92%}#next.on{display:block}
"""

# The page shows one large link or button some time after it loaded.  A person (or the driver of
# the mouse) presses it; if nobody does, the page goes on by itself, so that no visit gets stuck.
APP_JS = """(function(){
var d=document,n=d.getElementById('next'),t0=Date.now(),moves=0;
d.addEventListener('mousemove',function(){moves++});
fetch('/api/items?p='+encodeURIComponent(location.pathname)).then(function(r){return r.json()}).catch(function(){});
var x=new XMLHttpRequest();x.open('POST','/api/track');x.setRequestHeader('Content-Type','application/json');
x.send(JSON.stringify({v:1,p:location.pathname}));
var k=(location.pathname.length+location.host.length)%6;
if(k==0)fetch('//CDN/api/stock?id='+k,{headers:{'X-Client':'shop'}}).catch(function(){});
if(k==1&&navigator.sendBeacon)navigator.sendBeacon('/api/beacon',JSON.stringify({t:1}));
if(k==2){var y=new XMLHttpRequest();y.open('GET','/api/suggest?q=la');
y.setRequestHeader('X-Requested-With','XMLHttpRequest');y.send()}
if(k==3)fetch('/api/cart',{method:'POST',credentials:'include',body:new URLSearchParams({id:'7',n:'1'})}).catch(function(){});
if(k==4&&window.EventSource){var es=new EventSource('/api/events');es.onerror=function(){es.close()}}
if(!n)return;
function go(){var a=n.getAttribute('data-do');
if(a=='reload')location.reload();else if(a=='back'&&history.length>2)history.back();else n.click()}
addEventListener('load',function(){
setTimeout(function(){n.className='on'},+n.getAttribute('data-show'));
setTimeout(go,+n.getAttribute('data-auto'))});
})();
""".replace("CDN", CDN)


def document(host, scheme, path, status, step):
    rng = random.Random(host + path)
    title = "%s %s" % (rng.choice(WORDS).title(), rng.choice(SECTIONS))
    ids = [rng.randint(1, 240) for _ in range(3)]
    links = "".join('<a href="%s">%s</a> ' % (html.escape(page_paths(rng)), rng.choice(WORDS)) for _ in range(5))
    extra = ""
    k = rng.randrange(8)
    if k == 0:
        extra += '<iframe src="/embed/%d" width=200 height=60></iframe>' % ids[0]
    elif k == 1:
        extra += '<video src="/media/clip%d.mp4" preload=metadata muted></video>' % ids[0]
    elif k == 2:
        extra += '<script type=module src="/static/widget.mjs"></script>'
    elif k == 3:
        extra += '<img src="//%s/img/banner%d.png" alt="">' % (CDN, ids[0] % 9)
    elif k == 4:
        extra += '<iframe src="//%s/embed/ad%d" width=200 height=60></iframe>' % (CDN, ids[0] % 9)
    elif k == 5:
        extra += '<script async src="//%s/static/stats.js"></script>' % CDN
    elif k == 6:
        extra += '<audio src="/media/jingle%d.mp3" preload=auto></audio>' % (ids[0] % 9)
    go = ""
    if step:
        data = 'data-do="%s" data-show="%d" data-auto="%d"' % (step["do"], step["show"], step["auto"])
        if step["do"] == "post":
            go = ('<form method=post action="%s"><input type=hidden name=email value="ann@example.test">'
                  '<input type=hidden name=note value="hello there"><button id=next %s>Send</button></form>'
                  % (html.escape(step["url"]), data))
        else:
            target = " target=_blank" if step["do"] == "blank" else ""
            go = '<a id=next %s href="%s"%s>Next</a>' % (data, html.escape(step["url"]), target)
    prefetch = '<link rel=prefetch href="/static/next.css">' if ids[1] % 3 == 0 else ""
    return """<!doctype html><html lang=en><head><meta charset=utf-8><title>%s</title>
<meta name=viewport content="width=device-width,initial-scale=1">
<link rel=stylesheet href="/static/app.css"><link rel=icon href="/favicon.ico">
<link rel=manifest href="/site.webmanifest">%s</head><body>
<nav><a href="/">Home</a> %s</nav><main><h1>%s</h1><img src="/img/logo.svg" alt="" width=60>
<img src="/img/p%d.jpg" alt=""><img src="/img/p%d.webp" alt=""><p>%s</p>%s
<form action="/search"><input name=q><button>Search</button></form>
<form method=post action="/contact"><input name=email><button>Write</button></form></main>%s
<script src="/static/app.js"></script></body></html>
""" % (title, prefetch, links, title if status == 200 else "Not found", ids[1], ids[2],
       " ".join(rng.choice(WORDS) for _ in range(40)), extra, go)


def respond(method, scheme, host, target, headers, step_source):
    """Status, header list and body for one request. `step_source()` gives the next step of a scripted visit."""
    path, _, _query = target.partition("?")
    low = {n.lower(): v for n, v in headers}
    out = [("date", "Mon, 01 Jan 2024 00:00:00 GMT"), ("server", "site")]

    def reply(status, ctype, body, *more):
        if isinstance(body, str):
            body = body.encode()
        return status, out + [("content-type", ctype)] + list(more), body

    if path.startswith(kinds.ROOT):
        return kinds.respond(method, host, target, headers, out, CDN, png)
    if method == "OPTIONS" or host == CDN:
        out += [("access-control-allow-origin", low.get("origin", "*")),
                ("access-control-allow-headers", "x-client,content-type"),
                ("access-control-allow-methods", "GET,POST,OPTIONS"),
                ("access-control-max-age", "1")]
    if method == "OPTIONS":
        return 204, out, b""
    if path == "/robots.txt":
        return reply(200, "text/plain", "User-agent: *\nAllow: /\nDisallow: /admin\nSitemap: %s://%s/sitemap.xml\n" % (scheme, host))
    if path == "/sitemap.xml":
        rng = random.Random(host)
        urls = "".join("<url><loc>%s://%s%s</loc></url>" % (scheme, host, html.escape(page_paths(rng))) for _ in range(12))
        return reply(200, "application/xml", '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">%s</urlset>' % urls)
    if path == "/favicon.ico":
        return reply(200, "image/png", png("icon" + host), ("cache-control", "max-age=60"))
    if path == "/site.webmanifest":
        return reply(200, "application/manifest+json", json.dumps({"name": host, "icons": [{"src": "/favicon.ico", "sizes": "16x16"}]}))
    if path.startswith("/static/"):
        etag = '"%08x"' % zlib.crc32((host + path).encode())
        cache = [("etag", etag), ("last-modified", "Tue, 02 Jan 2024 10:00:00 GMT"), ("cache-control", "no-cache" if "app" in path else "max-age=3")]
        if low.get("if-none-match") == etag or ("if-modified-since" in low and "if-none-match" not in low):
            return 304, out + cache, b""
        if path.endswith(".css"):
            return reply(200, "text/css", CSS, *cache)
        if path.endswith((".js", ".mjs")):
            return reply(200, "text/javascript", APP_JS if path.endswith("app.js") else "/* %s */\n" % path, *cache)
        if path.endswith(".woff2"):
            return reply(200, "font/woff2", b"wOF2" + bytes(200), *cache)
        return reply(404, "text/plain", "no such file\n")
    if path.startswith("/img/"):
        if path.endswith(".svg"):
            return reply(200, "image/svg+xml", '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="20"><rect width="60" height="20" fill="green"/></svg>', ("cache-control", "max-age=3"))
        return reply(200, "image/png", png(path), ("cache-control", "max-age=3"))
    if path.startswith("/media/"):
        return 206, out + [("content-type", "video/mp4" if path.endswith("mp4") else "audio/mpeg"), ("accept-ranges", "bytes"),
                           ("content-range", "bytes 0-255/256")], bytes(256)
    if path == "/api/events":
        return reply(200, "text/event-stream", "data: hello\n\n")
    if path.startswith("/api/"):
        if method == "POST":
            return reply(201 if path == "/api/cart" else 200, "application/json", '{"ok":true}')
        return reply(200, "application/json", json.dumps({"items": [{"id": n, "name": w} for n, w in enumerate(WORDS[:6])]}))
    if path.startswith("/old/"):
        return 301, out + [("location", "/category/home"), ("content-type", "text/html")], b"<a href=/category/home>moved</a>"
    if path == "/go":
        return 302, out + [("location", "/products/12"), ("content-type", "text/html")], b"<a href=/products/12>found</a>"
    if path.startswith("/embed/"):
        return reply(200, "text/html; charset=utf-8", "<!doctype html><link rel=stylesheet href=/static/app.css><p>%s</p><img src=/img/logo.svg>" % html.escape(path))
    known = (path in ("/", "/cart", "/login", "/about", "/contact", "/terms", "/shipping", "/search", "/account")
             or (path.startswith("/products/") and path[10:].isdigit())
             or (path.startswith("/blog/") and path[6:] in SLUGS)
             or (path.startswith("/category/") and path[10:] in SECTIONS))
    if not known and "." in path.rsplit("/", 1)[-1]:
        return reply(404, "text/html", "<h1>Not found</h1>")
    status = 200 if known else 404
    more = []
    if "sid=" not in low.get("cookie", ""):
        more.append(("set-cookie", "sid=%012x; Path=/" % random.Random(host + str(low.get("user-agent"))).getrandbits(48)))
    if method == "POST" and path in ("/login", "/contact", "/cart") and random.random() < 0.4:
        return 303, out + more + [("location", "/account"), ("content-type", "text/html")], b""
    # A document asked for by a script or a prefetch is no step of the visit.
    step = step_source() if method in ("GET", "POST") else None
    return reply(status, "text/html; charset=utf-8", document(host, scheme, path, status, step), ("cache-control", "no-store" if path in ("/cart", "/login") else "max-age=0"), *more)


def kind_of(method, path, host=None):
    """A coarse kind of request, used to spread the selection."""
    if host == CDN and method == "GET":
        return "cdn"
    p = urllib.parse.urlsplit(path).path
    if method != "GET":
        return method.lower() if method in ("POST", "OPTIONS", "HEAD") else "post"
    if p.startswith("/static/") and p.endswith(".woff2"):
        return "font"
    if p.startswith("/static/") and p.endswith(".css"):
        return "style"
    if p.startswith("/static/"):
        return "script"
    if p.startswith("/img/"):
        return "image"
    if p.startswith("/api/"):
        return "fetch"
    if p.startswith(("/media/", "/embed/")):
        return "embed"
    if p in ("/favicon.ico", "/site.webmanifest", "/robots.txt", "/sitemap.xml"):
        return "well-known"
    return "document"
