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


def copied(ua, language, scheme, host, kind, form, referer):
    """The headers of one request as the developer tools of that browser would list them (without Host)."""
    mode, dest = DEST.get(kind, ("no-cors", "empty"))
    navigation = mode == "navigate" or form
    if form:
        mode, dest = "navigate", "document"
    firefox = "Firefox/" in ua
    chrome = "Chrome/" in ua
    site = "none" if not referer else "same-origin"
    accepts = FIREFOX_ACCEPT if firefox else CHROME_ACCEPT
    accept = accepts.get("document" if navigation else kind, "*/*")
    secure = scheme == "https"
    enc = "gzip, deflate, br, zstd" if secure else "gzip, deflate"
    out = []

    def add(name, value):
        out.append([name, value])

    if firefox:
        add("User-Agent", ua)
        add("Accept", accept)
        add("Accept-Language", language)
        add("Accept-Encoding", enc)
        if referer:
            add("Referer", referer)
        add("Connection", "keep-alive")
        if navigation:
            add("Upgrade-Insecure-Requests", "1")
        if secure:
            add("Sec-Fetch-Dest", dest)
            add("Sec-Fetch-Mode", mode)
            add("Sec-Fetch-Site", site)
            if navigation:
                add("Sec-Fetch-User", "?1")
            add("Priority", "u=0, i" if navigation else "u=4")
    elif chrome:
        major = ua.split("Chrome/")[1].split(".")[0]
        brand = "Microsoft Edge" if "Edg/" in ua else "Google Chrome"
        if not secure:
            add("Connection", "keep-alive")
        if secure:
            add("sec-ch-ua", '"Chromium";v="%s", "%s";v="%s", "Not-A.Brand";v="99"' % (major, brand, major))
            add("sec-ch-ua-mobile", "?1" if "Mobile" in ua else "?0")
            add("sec-ch-ua-platform", '"%s"' % ("Windows" if "Windows" in ua else "macOS" if "Mac OS" in ua else
                                                "Android" if "Android" in ua else "Linux"))
        if navigation:
            add("Upgrade-Insecure-Requests", "1")
        add("User-Agent", ua)
        add("Accept", accept)
        if secure:
            add("Sec-Fetch-Site", site)
            add("Sec-Fetch-Mode", mode)
            if navigation:
                add("Sec-Fetch-User", "?1")
            add("Sec-Fetch-Dest", dest)
        if referer:
            add("Referer", referer)
        add("Accept-Encoding", enc)
        add("Accept-Language", language)
        if secure:
            add("Priority", "u=0, i" if navigation else "u=1, i")
    else:
        if secure:
            add("Sec-Fetch-Dest", dest)
        add("User-Agent", ua)
        add("Accept", accept)
        if referer:
            add("Referer", referer)
        if secure:
            add("Sec-Fetch-Site", site)
            add("Sec-Fetch-Mode", mode)
        add("Accept-Language", language)
        add("Priority", "u=0, i")
        add("Accept-Encoding", "gzip, deflate, br" if secure else "gzip, deflate")
    return out


def plan(seed, variant, versions, scheme, count=12):
    """Requests of one run: (method, url, content type, body, headers). The kinds follow those of a browser's visit."""
    rng = random.Random(seed)
    host = rng.choice(shop.HOSTS)
    ua, language = agent(rng, versions), rng.choice(LANGUAGES)
    page = shop.page_paths(rng)
    out, referer = [], None
    while len(out) < count:
        roll = rng.random()
        method, ctype, body, form, on = "GET", "", "", False, host
        if roll < 0.36 or not out:
            path = page = shop.page_paths(rng)
            kind = "document"
        elif roll < 0.42:
            path, kind = "/static/app.css", "style"
        elif roll < 0.50:
            path, kind = rng.choice(["/static/app.js", "/static/widget.mjs"]), "script"
        elif roll < 0.61:
            path, kind = rng.choice(["/img/logo.svg", "/img/bg.png", "/img/p%d.jpg" % rng.randint(1, 240), "/img/p%d.webp" % rng.randint(1, 240)]), "image"
            if rng.random() < 0.15:
                path, on = "/img/banner%d.png" % rng.randint(0, 8), shop.CDN
        elif roll < 0.63:
            path, kind = "/static/font.woff2", "font"
        elif roll < 0.73:
            path, kind = rng.choice(["/api/items?p=%s" % page.split("?")[0].replace("/", "%2F"), "/api/suggest?q=la"]), "fetch"
        elif roll < 0.86:
            method, kind = "POST", "post"
            path, ctype, body = rng.choice([
                ("/api/track", "application/json", '{"v":1,"p":"/"}'), ("/api/track", "application/json", '{"v":1,"p":"%s"}' % page.split("?")[0]),
                ("/api/cart", "application/x-www-form-urlencoded", "id=7&n=1"), ("/login", "application/x-www-form-urlencoded", "email=ann%40example.test&password=secret1"),
                ("/contact", "application/x-www-form-urlencoded", "email=ann%40example.test&note=hello+there")])
            form = path in ("/login", "/contact")
        elif roll < 0.90:
            path, kind = rng.choice(["/media/clip%d.mp4" % rng.randint(1, 240), "/embed/%d" % rng.randint(1, 240)]), "embed"
        else:
            path, kind = rng.choice(["/favicon.ico", "/robots.txt", "/sitemap.xml", "/site.webmanifest", "/favicon.ico"]), "well-known"
        here = "%s://%s%s" % (scheme, on, path)
        if variant == "plain":
            headers = []
        elif variant == "browser-agent":
            headers = [["User-Agent", ua]]
        elif variant == "custom":
            headers = [["User-Agent", ua], ["Accept-Language", language],
                       ["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" if kind == "document" else "*/*"]]
            if referer and rng.random() < 0.6:
                headers.append(["Referer", referer])
        elif variant == "browser-headers":  # one set of document headers for every request, whatever the scheme
            headers = copied(ua, language, "https", on, "document", False, None)
        elif variant == "copied":  # the right set for each request
            headers = copied(ua, language, scheme, on, kind, form, referer if kind == "document" else "%s://%s%s" % (scheme, host, page))
        else:
            raise ValueError(variant)
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
