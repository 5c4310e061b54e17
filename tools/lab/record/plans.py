"""What the scripted clients ask for, and the browser headers that some of them copy."""

import random

import shop

# Agents as scrapers copy them: several browsers, systems and ages.
AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{chrome}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{chrome}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{chrome}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{firefox}.0) Gecko/20100101 Firefox/{firefox}.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{firefox}.0) Gecko/20100101 Firefox/{firefox}.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{webkit} Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/87.0.4280.88 Safari/537.36",
]
LANGUAGES = ["en-US,en;q=0.9", "en-US,en;q=0.5", "en-GB,en;q=0.9", "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "fr-FR,fr;q=0.9",
             "nl-NL,nl;q=0.9,en;q=0.8", "es-ES,es;q=0.9", "pl-PL,pl;q=0.9", "ja-JP,ja;q=0.9", "pt-BR,pt;q=0.9,en;q=0.7"]

CHROME_ACCEPT = {
    "document": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    "image": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    "style": "text/css,*/*;q=0.1",
}
FIREFOX_ACCEPT = {
    "document": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "image": "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
    "style": "text/css,*/*;q=0.1",
    "font": "application/font-woff2;q=1.0,application/font-woff;q=0.9,*/*;q=0.8",
}
DEST = {"document": ("navigate", "document"), "style": ("no-cors", "style"), "script": ("no-cors", "script"),
        "image": ("no-cors", "image"), "font": ("cors", "font"), "fetch": ("cors", "empty"), "post": ("cors", "empty"),
        "embed": ("navigate", "iframe"), "well-known": ("no-cors", "image")}


def agent(rng, versions):
    return rng.choice(AGENTS).format(**versions)


def copied(ua, language, scheme, kind, form, referer, cookie, fresh):
    """The headers of one request as the developer tools of that browser list them (without Host).

    `fresh` adds what the tools' own "disable cache" adds, which many copies carry along.
    """
    mode, dest = DEST.get(kind, ("no-cors", "empty"))
    navigation = mode == "navigate" or form
    if form:
        mode, dest = "navigate", "document"
    firefox, chrome = "Firefox/" in ua, "Chrome/" in ua
    site = "none" if not referer else "same-origin"
    accept = (FIREFOX_ACCEPT if firefox else CHROME_ACCEPT).get("document" if navigation else kind, "*/*")
    secure = scheme == "https"
    enc = "gzip, deflate, br, zstd" if secure else "gzip, deflate"
    out = []

    def add(name, value, when=True):
        if when and value:
            out.append([name, value])

    if firefox:
        add("User-Agent", ua)
        add("Accept", accept)
        add("Accept-Language", language)
        add("Accept-Encoding", enc)
        add("Connection", "keep-alive")
        add("Referer", referer)
        add("Cookie", cookie)
        add("Upgrade-Insecure-Requests", "1", navigation)
        add("Sec-Fetch-Dest", dest, secure)
        add("Sec-Fetch-Mode", mode, secure)
        add("Sec-Fetch-Site", site, secure)
        add("Sec-Fetch-User", "?1", secure and navigation)
        add("Priority", "u=0, i" if navigation else "u=4")
        add("Pragma", "no-cache", fresh)
        add("Cache-Control", "no-cache", fresh)
        add("TE", "trailers", secure)
    elif chrome:
        major = ua.split("Chrome/")[1].split(".")[0]
        brand = "Microsoft Edge" if "Edg/" in ua else "Google Chrome"
        hints = [["sec-ch-ua", '"Not:A-Brand";v="8", "Chromium";v="%s", "%s";v="%s"' % (major, brand, major)],
                 ["sec-ch-ua-mobile", "?1" if "Mobile" in ua else "?0"],
                 ["sec-ch-ua-platform", '"%s"' % ("Windows" if "Windows" in ua else "macOS" if "Mac OS" in ua else
                                                  "Android" if "Android" in ua else "Linux")]]
        if kind == "image" and int(major) > 150:
            accept = "image/jxl," + accept
        add("Connection", "keep-alive", not secure)
        add("Pragma", "no-cache", fresh)
        add("Cache-Control", "no-cache", fresh)
        if navigation:
            out.extend(hints if secure else [])
            add("Upgrade-Insecure-Requests", "1")
            add("User-Agent", ua)
        else:  # recent versions put the hints around the agent
            add(*hints[2], secure)
            add("User-Agent", ua)
            out.extend(hints[:2] if secure else [])
        add("Accept", accept)
        add("Sec-Fetch-Site", site, secure)
        add("Sec-Fetch-Mode", mode, secure)
        add("Sec-Fetch-User", "?1", secure and navigation)
        add("Sec-Fetch-Dest", dest, secure)
        add("Referer", referer)
        add("Accept-Encoding", enc)
        add("Accept-Language", language)
        add("Cookie", cookie)
        add("Priority", {"image": "i", "style": "u=0", "script": ""}.get(kind, "u=0, i" if navigation else "u=1, i"), secure)
    else:
        add("Sec-Fetch-Dest", dest, secure)
        add("User-Agent", ua)
        add("Accept", accept)
        add("Referer", referer)
        add("Sec-Fetch-Site", site, secure)
        add("Sec-Fetch-Mode", mode, secure)
        add("Accept-Language", language)
        add("Priority", "u=0, i")
        add("Accept-Encoding", "gzip, deflate, br" if secure else "gzip, deflate")
        add("Cookie", cookie)
    return out


def plan(seed, variant, versions, scheme, count=12):
    """Requests of one run: (method, url, content type, body, headers). The kinds follow those of a browser's visit."""
    rng = random.Random(seed)
    host = rng.choice(shop.HOSTS)
    ua, language = agent(rng, versions), rng.choice(LANGUAGES)
    page = shop.page_paths(rng)
    # Habits of the run: a pasted cookie, a pasted "no cache", the wish not to be tracked, a fixed referrer.
    pasted = "sid=%012x" % rng.getrandbits(48) if rng.random() < 0.6 else ""
    fresh = rng.random() < 0.3
    private = rng.random()
    fixed = "%s://%s/" % (scheme, host) if rng.random() < 0.5 else None
    out, referer = [], None
    while len(out) < count:
        roll = rng.random()
        method, ctype, body, form, on = "GET", "", "", False, host
        if roll < 0.28 or not out:
            path = page = shop.page_paths(rng)
            kind = "document"
        elif roll < 0.35:
            path, kind = "/static/app.css", "style"
        elif roll < 0.43:
            path, kind = rng.choice(["/static/app.js", "/static/widget.mjs"]), "script"
        elif roll < 0.53:
            path, kind = rng.choice(["/img/logo.svg", "/img/bg.png", "/img/p%d.jpg" % rng.randint(1, 240), "/img/p%d.webp" % rng.randint(1, 240)]), "image"
        elif roll < 0.58:
            path, kind = "/static/font.woff2", "font"
        elif roll < 0.67:
            path, kind = rng.choice(["/api/items?p=%s" % page.split("?")[0].replace("/", "%2F"), "/api/suggest?q=la", "/api/events"]), "fetch"
        elif roll < 0.77:
            method, kind = "POST", "post"
            path, ctype, body = rng.choice([
                ("/api/track", "application/json", '{"v":1,"p":"/"}'), ("/api/track", "application/json", '{"v":1,"p":"%s"}' % page.split("?")[0]),
                ("/api/cart", "application/x-www-form-urlencoded", "id=7&n=1"), ("/login", "application/x-www-form-urlencoded", "email=ann%40example.test&password=secret1"),
                ("/contact", "application/x-www-form-urlencoded", "email=ann%40example.test&note=hello+there")])
            form = path in ("/login", "/contact")
        elif roll < 0.84:
            path, kind = rng.choice(["/media/clip%d.mp4" % rng.randint(1, 240), "/media/jingle%d.mp3" % rng.randint(0, 8), "/embed/%d" % rng.randint(1, 240)]), "embed"
        elif roll < 0.93:
            on = shop.CDN
            path, kind = rng.choice([("/img/banner%d.png" % rng.randint(0, 8), "image"), ("/static/stats.js", "script"),
                                     ("/embed/ad%d" % rng.randint(0, 8), "embed"), ("/api/stock?id=0", "fetch")])
        else:
            path, kind = rng.choice(["/favicon.ico", "/robots.txt", "/sitemap.xml", "/site.webmanifest", "/favicon.ico"]), "well-known"
        here = "%s://%s%s" % (scheme, on, path)
        inside = "%s://%s%s" % (scheme, host, page)
        if variant == "plain":
            headers = []
        elif variant == "browser-agent":
            headers = [["User-Agent", ua]]
        elif variant == "custom":
            headers = [["User-Agent", ua], ["Accept-Language", language],
                       ["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" if kind == "document" else "*/*"]]
            if referer and rng.random() < 0.6:
                headers.append(["Referer", referer])
            if pasted and private < 0.4:
                headers.append(["Cookie", pasted])
        elif variant == "browser-headers":  # one set of document headers for every request, whatever the scheme
            headers = copied(ua, language, "https", "document", False, fixed, pasted, fresh)
        elif variant == "copied":  # the right set for each request
            headers = copied(ua, language, scheme, kind, form, referer if kind == "document" else inside, pasted, fresh)
        else:
            raise ValueError(variant)
        if variant in ("custom", "browser-headers", "copied"):
            if private < 0.2:
                headers.append(["DNT", "1"])
            elif private < 0.3:
                headers.append(["Sec-GPC", "1"])
        out.append((method, here, ctype, body, headers))
        if kind == "document":
            referer = here
    return out


def write_plan(path, requests):
    """One line a request and one a header, tab-separated: every language reads that without a library."""
    with open(path, "w") as f:
        for method, url, ctype, body, headers in requests:
            f.write("REQ\t%s\t%s\t%s\t%s\n" % (method, url, ctype, body))
            for name, value in headers:
                f.write("HDR\t%s\t%s\n" % (name, value))
