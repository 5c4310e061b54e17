"""Runs real HTTP clients against a local server and writes what they sent.

The parent makes the list of runs and starts a few lanes.  A lane lives in its
own network, mount and process namespace: it can listen on ports 80 and 443
without disturbing anything (so that no random port shows in a Host header),
nothing in it reaches another machine, its host table and its certificate
authorities are private, and whatever a client leaves behind ends with it.
"""

import argparse
import collections
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
WORK = ROOT / "target" / "record"
SEED = 20240
CHROME_QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
                "--disable-quic", "--no-default-browser-check", "--password-store=basic", "--disable-gpu"]
SITES = {}


def which(name):
    for base in (WORK / "bin", WORK / "venv" / "bin", pathlib.Path("/usr/bin"), pathlib.Path("/usr/sbin"), pathlib.Path("/usr/local/bin")):
        if (base / name).exists():
            return str(base / name)
    return shutil.which(name)


def version_of(command, pattern, default):
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
        return re.search(pattern, text).group(1)
    except Exception:
        return default


def versions():
    """Versions of the installed browsers, so that a faked agent can also name the very same version."""
    file = WORK / "versions.json"
    if file.exists():
        return json.loads(file.read_text())
    v = {"chrome": version_of(["chromium", "--version"], r"(\d+)\.", "140"),
         "firefox": version_of(["firefox-esr", "--version"], r"(\d+)\.", "140"), "webkit": "60.5"}
    file.write_text(json.dumps(v))
    return v


# ---------------------------------------------------------------- the runs

def address(index):
    return "127.0.%d.%d" % (index // 240, index % 240 + 11)


class Job:
    def __init__(self, client, scheme, needs, command, label="bot", hard=False, timeout=30, steps=None, drive=False, display=False,
                 url=None, language=None, prefs=None, size=None, h2=True, until=None):
        self.client, self.scheme, self.needs, self.command, self.label, self.hard = client, scheme, needs, command, label, hard
        self.timeout, self.steps, self.drive, self.display = timeout, steps, drive, display
        self.url, self.language, self.prefs, self.size = url, language, prefs or {}, size
        # The path whose request ends the run.
        self.until = until
        self.h2, self.index = h2, -1

    @property
    def session(self):
        return "s" + hashlib.sha256(("%d/%s/%d" % (SEED, self.client, self.index)).encode()).hexdigest()[:10]

    @property
    def address(self):
        return address(self.index)


def run_chromium(tmp, job):
    profile = tmp / "p" / "Default"
    profile.mkdir(parents=True)
    prefs = {"intl": {"accept_languages": job.prefs["accept"], "selected_languages": job.prefs["accept"]}, "enable_do_not_track": job.prefs["k"] == 9,
             "browser": {"has_seen_welcome_page": True}, "credentials_enable_service": False}
    (profile / "Preferences").write_text(json.dumps(prefs))
    (tmp / "p" / "First Run").write_text("")
    w, h = job.size.split("x")
    return ["chromium"] + CHROME_QUIET + ["--user-data-dir=" + str(tmp / "p"), "--lang=" + job.language, "--window-position=0,0", "--window-size=%s,%s" % (w, h), job.url]


def run_firefox(tmp, job):
    w, h = job.size.split("x")
    return ["firefox-esr", "--no-remote", "--profile", str(tmp / "ff"), "--width", w, "--height", h, job.url]


VARIANTS = ["plain", "browser-agent", "custom", "browser-headers", "copied"]


def all_jobs():
    import plans
    import sample
    import shop
    rng = random.Random(SEED)
    v = versions()
    jobs = []
    py, node = str(WORK / "venv" / "bin" / "python"), which("node") or "node"

    def add(*args, **kwargs):
        jobs.append(Job(*args, **kwargs))

    def planned(client, needs, make, variants=VARIANTS, schemes=("http", "https"), hard=(), count=9, timeout=30):
        """Runs of a scripted client: `make(plan file)` gives the command line."""
        for variant in variants:
            for scheme in schemes:
                seed = rng.getrandbits(40)

                def command(tmp, requests=None, make=make, variant=variant, scheme=scheme, seed=seed):
                    file = tmp / "plan.tsv"
                    plans.write_plan(file, plans.plan(seed, variant, v, scheme, count))
                    return make(str(file))
                add("%s/%s" % (client, variant), scheme, needs, command, hard=variant in hard, timeout=timeout)

    def curl(extra, variant, scheme, seed, count=9, hard=False, name="curl"):
        def command(tmp):
            config = tmp / "curl.txt"
            lines = []
            for method, url, ctype, body, headers in plans.plan(seed, variant, v, scheme, count):
                lines += ['url = "%s"' % url, 'output = "/dev/null"', "silent", "max-time = 8"] + list(extra)
                for n, value in headers:
                    if variant == "browser-agent":
                        lines.append('user-agent = "%s"' % value)
                    else:
                        lines.append('header = "%s: %s"' % (n, value.replace('"', '\\"')))
                if ctype:
                    lines.append('header = "Content-Type: %s"' % ctype)
                if body:
                    lines.append('data = "%s"' % body.replace('"', '\\"'))
                lines.append("next")
            config.write_text("\n".join(lines[:-1]) + "\n")
            return ["curl", "-K", str(config)]
        add("%s/%s" % (name, variant), scheme, ["curl"], command, hard=hard)

    for variant in VARIANTS:
        hard = variant == "copied"
        curl([], variant, "http", rng.getrandbits(40), hard=hard)
        curl(["http1.1"], variant, "https", rng.getrandbits(40), hard=hard)
        curl(["http2"], variant, "https", rng.getrandbits(40), hard=hard, name="curl-h2")
    curl(["http1.0"], "plain", "http", rng.getrandbits(40), 5)
    curl(["http2"], "plain", "http", rng.getrandbits(40), 5, name="curl-h2")
    curl(["compressed", "location", 'cookie = ""'], "browser-agent", "http", rng.getrandbits(40), 6)
    curl(["head"], "plain", "https", rng.getrandbits(40), 4)

    python = str(HERE / "clients" / "http_python.py")
    for lib in ("requests", "httpx", "httpx-h2", "aiohttp", "urllib", "urllib3"):
        planned(lib, [py], lambda f, lib=lib: [py, python, lib, f], schemes=("https",) if lib == "httpx-h2" else ("http", "https"),
                hard=("copied",) if lib == "httpx-h2" else ())
    for target in ("chrome124", "chrome136", "edge101", "firefox133", "safari18_0"):
        planned("curl_cffi:" + target, [py], lambda f, t=target: [py, python, "curl_cffi:" + t, f], variants=["plain"], hard=("plain",), count=10)
    planned("scrapy", [py], lambda f: [py, str(HERE / "clients" / "spider.py"), f, "follow"])
    for lib in ("fetch", "axios", "got", "got-h2", "node-fetch", "superagent", "undici", "node-http", "node-http2"):
        planned(lib, [node], lambda f, lib=lib: [node, str(HERE / "clients" / "http_node.mjs"), lib, f],
                schemes=("https",) if lib in ("got-h2", "node-http2") else ("http", "https"),
                hard=("copied",) if lib in ("got-h2", "node-http2") else (), count=8)
    go = str(WORK / "bin" / "goclient")
    planned("go-net-http", [go], lambda f: [go, "h1", f])
    planned("go-net-http-h2", [go], lambda f: [go, "h2", f], schemes=("https",))
    rust = str(WORK / "bin" / "record-reqwest")
    planned("reqwest", [rust], lambda f: [rust, "reqwest", f])
    planned("ureq", [rust], lambda f: [rust, "ureq", f], schemes=("http",), variants=VARIANTS[:4])
    java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Djavax.net.ssl.trustStore=" + str(WORK / "tls" / "trust.p12"),
            "-Djavax.net.ssl.trustStorePassword=changeit", "-Djdk.httpclient.allowRestrictedHeaders=host", str(HERE / "clients" / "Visit.java")]
    planned("java-httpclient", ["java"], lambda f: java + ["client", f], variants=VARIANTS[:4])
    planned("java-httpclient-h1", ["java"], lambda f: java + ["client-h1", f], variants=["plain", "browser-headers"], schemes=("http",))
    planned("java-urlconnection", ["java"], lambda f: java + ["url", f], variants=VARIANTS[:4])
    planned("php-curl", ["php"], lambda f: ["php", str(HERE / "clients" / "visit.php"), "curl", f])
    planned("php-streams", ["php"], lambda f: ["php", str(HERE / "clients" / "visit.php"), "streams", f], variants=VARIANTS[:4])
    planned("ruby-net-http", ["ruby"], lambda f: ["ruby", str(HERE / "clients" / "visit.rb"), f], variants=VARIANTS[:4])
    planned("perl-lwp", ["perl"], lambda f: ["perl", str(HERE / "clients" / "visit.pl"), f], variants=VARIANTS[:4])

    def host_url(scheme, path=None):
        return "%s://%s%s" % (scheme, rng.choice(shop.HOSTS), path if path is not None else shop.page_paths(rng))

    # Command line tools with habits of their own.
    for scheme in ("http", "https"):
        ua = plans.agent(rng, v)
        urls = [host_url(scheme) for _ in range(6)]
        add("wget/plain", scheme, ["wget"], lambda tmp, u=urls: ["wget", "-q", "-T8", "-t1", "-O", "/dev/null"] + u)
        add("wget/browser-agent", scheme, ["wget"], lambda tmp, u=urls, ua=ua: ["wget", "-q", "-T8", "-t1", "-O", "/dev/null", "-U", ua] + u)
        add("wget/mirror", scheme, ["wget"], lambda tmp, u=host_url(scheme, "/"): ["wget", "-q", "-T8", "-t1", "-r", "-l2", "-p", "-Q40k", "-P", str(tmp), u])
        add("wget/mirror-agent", scheme, ["wget"], lambda tmp, u=host_url(scheme, "/"), ua=ua: ["wget", "-q", "-T8", "-t1", "-r", "-l2", "-p", "-Q40k", "-P", str(tmp), "-U", ua, "--header=Accept-Language: en-US,en;q=0.9", u])
        add("httpie/plain", scheme, ["http"], lambda tmp, u=host_url(scheme): ["http", "--ignore-stdin", "--timeout=8", "GET", u])
        add("httpie/json", scheme, ["http"], lambda tmp, u=host_url(scheme, "/api/track"): ["http", "--ignore-stdin", "--timeout=8", "POST", u, "v=1", "p=/"])
        add("aria2/plain", scheme, ["aria2c"], lambda tmp, u=urls: ["aria2c", "-q", "-d", str(tmp), "--timeout=8", "--max-tries=1", "-Z"] + u[:4])
        add("ab/load", scheme, ["ab"], lambda tmp, u=host_url(scheme, "/search?q=lamp"): ["ab", "-q", "-n6", "-c2", "-s8", u])
        add("ab/keepalive", scheme, ["ab"], lambda tmp, u=host_url(scheme, "/products/7"): ["ab", "-q", "-k", "-n6", "-c1", "-s8", "-H", "Accept-Encoding: gzip", u])
        add("wrk/load", scheme, ["wrk"], lambda tmp, u=host_url(scheme, "/category/home"): ["wrk", "-t1", "-c2", "-d1s", u])
        words = [shop.page_paths(rng).lstrip("/") or "index.html" for _ in range(10)] + ["robots.txt", "admin", "backup.zip", ".env", "login"]

        def wordlist(tmp, words=words):
            (tmp / "words.txt").write_text("\n".join(words) + "\n")
            return str(tmp / "words.txt")
        add("gobuster/dir", scheme, ["gobuster"], lambda tmp, u=host_url(scheme, "/"), w=wordlist: ["gobuster", "dir", "-q", "-k", "-t1", "-u", u, "-w", w(tmp)])
        add("ffuf/dir", scheme, ["ffuf"], lambda tmp, u=host_url(scheme, "/FUZZ"), w=wordlist: ["ffuf", "-s", "-t", "2", "-u", u, "-w", w(tmp)])
        add("ffuf/browser-agent", scheme, ["ffuf"], lambda tmp, u=host_url(scheme, "/FUZZ"), w=wordlist, ua=ua: ["ffuf", "-s", "-t", "2", "-H", "User-Agent: " + ua, "-u", u, "-w", w(tmp)])
        add("sqlmap/get", scheme, ["sqlmap"], lambda tmp, u=host_url(scheme, "/search?q=lamp"): ["sqlmap", "--batch", "--smart", "--random-agent", "--timeout=5", "--output-dir=" + str(tmp), "-u", u], timeout=12)
    add("h2load/load", "https", ["h2load"], lambda tmp, u=host_url("https", "/products/9"): ["h2load", "-n8", "-c1", u])
    add("nghttp/get", "https", ["nghttp"], lambda tmp, u=host_url("https", "/"): ["nghttp", "-an", "-t8", u])
    add("nikto/scan", "http", ["nikto"], lambda tmp, u=host_url("http", "/"): ["nikto", "-maxtime", "8s", "-h", u], timeout=20)

    # Browsers under automation.
    chromium, firefox = "/usr/bin/chromium", "/usr/bin/firefox-esr"
    for k in range(3):
        for scheme in ("https",) if k == 1 else ("http", "https"):
            start = len(jobs)
            ua = plans.agent(rng, v)
            lang = rng.choice(["en-US", "de-DE", "fr-FR", "nl-NL"])
            url = [host_url(scheme) for _ in range(4)]
            pre = ["chromium", "--headless"] + CHROME_QUIET
            add("chromium-headless/dump", scheme, ["chromium"], lambda tmp, u=url, pre=pre: pre + ["--user-data-dir=" + str(tmp / "p"), "--virtual-time-budget=4000", "--dump-dom", u[0]],
                steps=visit(rng, scheme, 2, 900), language=lang, timeout=9)
            add("chromium-headless/agent", scheme, ["chromium"], lambda tmp, u=url, pre=pre, ua=ua, lang=lang: pre + ["--user-data-dir=" + str(tmp / "p"), "--user-agent=" + ua, "--lang=" + lang, "--window-size=1366,768", "--screenshot=" + str(tmp / "s.png"), u[1]],
                hard=True)
            node_run = lambda lib, options: (lambda tmp, u=url, lib=lib, options=options: [node, str(HERE / "clients" / "browser_node.mjs"), lib, json.dumps(dict(options, chromium=chromium, firefox=firefox))] + u)
            add("puppeteer/plain", scheme, ["chromium", node], node_run("puppeteer", {"headless": True}), timeout=45)
            add("puppeteer/agent", scheme, ["chromium", node], node_run("puppeteer", {"headless": True, "agent": ua}), hard=True, timeout=45)
            real = "Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%s.0.0.0 Safari/537.36" % (
                "X11; Linux x86_64" if k else "Windows NT 10.0; Win64; x64", v["chrome"])
            hints = {"brands": [{"brand": "Not:A-Brand", "version": "8"}, {"brand": "Chromium", "version": v["chrome"]}],
                     "fullVersion": v["chrome"] + ".0.0.0", "platform": "Linux" if k else "Windows", "platformVersion": "", "architecture": "x86",
                     "model": "", "mobile": False}
            if k != 1:
                hints["brands"].append({"brand": "Google Chrome", "version": v["chrome"]})
            add("puppeteer/stealth", scheme, ["chromium", node], node_run("puppeteer", {"headless": True, "agent": real, "metadata": hints, "language": rng.choice(plans.LANGUAGES), "args": ["--disable-blink-features=AutomationControlled"]}), hard=True, timeout=45)
            add("puppeteer/headful", scheme, ["chromium", node, "Xvfb"], node_run("puppeteer", {"headless": False}), hard=True, timeout=45, display=True, language=lang)
            add("playwright/plain", scheme, ["chromium", node], node_run("playwright", {"headless": True}), timeout=45)
            add("playwright/agent", scheme, ["chromium", node], node_run("playwright", {"headless": True, "agent": ua, "language": lang}), hard=True, timeout=45)
            sel = lambda options: (lambda tmp, u=url, options=options: [py, str(HERE / "clients" / "browser_selenium.py"), "chromium", json.dumps(dict(options, chromium=chromium, chromedriver="/usr/bin/chromedriver"))] + u)
            add("selenium/headless", scheme, ["chromium", "chromedriver"], sel({"args": ["--headless=new"]}), timeout=45)
            add("selenium/headful", scheme, ["chromium", "chromedriver", "Xvfb"], sel({"hide": k > 0, "args": ["--lang=" + lang]}), hard=True, timeout=45, display=True, language=lang)
            add("puppeteer-firefox/headless", scheme, ["firefox-esr", node], node_run("puppeteer-firefox", {"headless": True, "prefs": FIREFOX_PREFS}), hard=True, timeout=60)
            add("firefox-headless/screenshot", scheme, ["firefox-esr"], lambda tmp, u=url: ["firefox-esr", "--headless", "--no-remote", "--profile", str(tmp / "ff"), "--screenshot", str(tmp / "s.png"), u[0]], hard=True, timeout=30)
            add("selenium-webkit/headful", scheme, ["WebKitWebDriver", "Xvfb"], lambda tmp, u=url: ["dbus-run-session", "--", py, str(HERE / "clients" / "browser_selenium.py"), "webkit", json.dumps({"minibrowser": minibrowser(), "webkitdriver": which("WebKitWebDriver")})] + u,
                hard=True, timeout=45, display=True, language=lang)
            jobs[start:] = [j for j in jobs[start:] if not k or j.client not in sample.TWINS]
            for j in jobs[start:]:
                j.h2 = k != 1

    # Browsers in the hands of a person: no remote control; the mouse and keyboard of the X server are used.
    languages = ["en-US", "en-GB", "de-DE", "fr-FR", "nl-NL", "es-ES", "pl-PL", "it-IT", "ja-JP", "pt-BR", "cs-CZ", "ru-RU", "sv-SE", "tr-TR"]
    accept = {"en-US": "en-US,en", "en-GB": "en-GB,en-US,en"}
    sizes = ["1280x800", "1366x768", "1440x900", "1536x864", "1600x900", "1920x1080"]

    def person(client, needs, runs, command, hard=False, schemes=("http", "https", "https"), steps=7, timeout=48, prefs=None):
        for k in range(runs):
            scheme = schemes[k % len(schemes)]
            lang = languages[(k * 5 + len(jobs)) % len(languages)] if k % 3 else "en-US"
            add(client, scheme, needs + ["Xvfb", "xdotool"], command, label="human", hard=hard, timeout=timeout, steps=visit(rng, scheme, steps, 3600),
                drive=True, display=True, url=host_url(scheme), language=lang,
                prefs=dict(prefs or {}, accept=accept.get(lang, rng.choice(["%s,%s,en-US,en" % (lang, lang[:2]), "%s,%s" % (lang, lang[:2]), "%s,%s,en" % (lang, lang[:2])])), k=k),
                size=rng.choice(sizes), h2=k % 6 != 4)

    person("chromium/headful", ["chromium"], 16, run_chromium)
    person("firefox/headful", ["firefox-esr"], 15, run_firefox)
    person("firefox/resist-fingerprinting", ["firefox-esr"], 2, run_firefox, hard=True, prefs={"resist": True})
    bus = ["dbus-run-session", "--"]
    person("epiphany/headful", ["epiphany-browser"], 6, lambda tmp, job: bus + ["epiphany-browser", "--private-instance", "--profile=" + str(tmp / "epi"), job.url])
    person("minibrowser/headful", [minibrowser() or "MiniBrowser"], 2, lambda tmp, job: bus + [minibrowser(), job.url])
    person("surf/headful", ["surf"], 2, lambda tmp, job: bus + ["surf", job.url], hard=True)
    person("falkon/headful", ["falkon"], 3, lambda tmp, job: bus + ["falkon", "--private-browsing", job.url], hard=True)
    person("qutebrowser/headful", ["qutebrowser"], 3, lambda tmp, job: bus + ["qutebrowser", "--temp-basedir", "-s", "content.headers.accept_language", job.prefs["accept"], job.url], hard=True)
    person("konqueror/headful", ["konqueror"], 2, lambda tmp, job: bus + ["konqueror", job.url], hard=True)
    person("netsurf/headful", ["netsurf-gtk"], 2, lambda tmp, job: ["netsurf-gtk", job.url], hard=True, timeout=28)

    for n, job in enumerate(jobs):
        job.index = n
    order = list(jobs)
    random.Random(SEED + 1).shuffle(order)
    return order


FIREFOX_PREFS = {
    "browser.shell.checkDefaultBrowser": False, "browser.startup.homepage_override.mstone": "ignore", "browser.aboutwelcome.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False, "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "browser.preonboarding.enabled": False, "termsofuse.acceptedVersion": 999, "toolkit.telemetry.enabled": False, "app.normandy.enabled": False,
    "network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False, "network.manage-offline-status": False,
    "browser.safebrowsing.malware.enabled": False, "browser.safebrowsing.phishing.enabled": False, "extensions.getAddons.cache.enabled": False,
    "browser.newtabpage.activity-stream.feeds.topsites": False, "app.update.enabled": False, "browser.tabs.warnOnClose": False,
    "network.trr.mode": 5, "media.gmp-manager.updateEnabled": False, "extensions.update.enabled": False, "security.OCSP.enabled": 0,
}


def minibrowser():
    for base in sorted(pathlib.Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser")):
        return str(base)
    return None


def visit(rng, scheme, count, auto):
    import shop
    out = []
    host = rng.choice(shop.HOSTS)
    for _ in range(count):
        roll = rng.random()
        if roll < 0.18:
            out.append({"do": "post", "url": rng.choice(["/contact", "/login", "/cart"])})
        elif roll < 0.26:
            out.append({"do": "reload", "url": "/"})
        elif roll < 0.42:  # to another site
            out.append({"do": "click", "url": "%s://%s%s" % (scheme, rng.choice(shop.HOSTS), shop.page_paths(rng))})
        else:
            out.append({"do": "click", "url": shop.page_paths(rng)})
        out[-1].update(show=500, auto=auto)
    return out


# ---------------------------------------------------------------- one lane

class Lane:
    def __init__(self, number):
        import server
        import shop
        self.number = number
        self.tls = WORK / "tls"
        sh("ip", "link", "set", "lo", "up")
        # Browsers hold back when the machine has no network but loopback; an interface that leads nowhere helps.
        if sh("ip", "link", "add", "dummy0", "type", "dummy", check=False) or sh("ip", "link", "add", "dummy0", "type", "veth", "peer", "name", "dummy1", check=False):
            sh("ip", "addr", "add", "198.51.100.2/24", "dev", "dummy0", check=False)
            sh("ip", "link", "set", "dummy0", "up", check=False)
            sh("ip", "link", "set", "dummy1", "up", check=False)
            sh("ip", "route", "add", "default", "via", "198.51.100.1", check=False)
        # A short path of its own: sockets below it must stay under 108 characters, and no header can name a directory of the machine.
        sh("mount", "-t", "tmpfs", "tmpfs", "/mnt")
        private = self.private = pathlib.Path("/mnt")
        hosts = private / "hosts"
        hosts.write_text("127.0.0.1 localhost\n" + "".join("127.0.0.%d %s\n" % (2 + n, h) for n, h in enumerate(shop.ALL_HOSTS)))
        sh("mount", "--bind", hosts, "/etc/hosts")
        resolv = private / "resolv.conf"  # a refused port answers at once; an unreachable name server costs ten seconds a name
        resolv.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        sh("mount", "--bind", resolv, "/etc/resolv.conf", check=False)
        bundle = private / "bundle.crt"
        bundle.write_bytes(pathlib.Path("/etc/ssl/certs/ca-certificates.crt").read_bytes() + (self.tls / "ca.crt").read_bytes())
        sh("mount", "--bind", bundle, os.path.realpath("/etc/ssl/certs/ca-certificates.crt"))
        self.bundle = bundle
        self.recorder = server.Recorder()
        self.server = server.Server(self.recorder, str(self.tls / "site.crt"), str(self.tls / "site.key"), ["127.0.0.%d" % (2 + n) for n in range(len(shop.ALL_HOSTS))])
        self.server.start()

    def environment(self, tmp, job):
        home = tmp / "home"
        (home / ".pki").mkdir(parents=True)
        shutil.copytree(self.tls / "nssdb", home / ".pki" / "nssdb")
        env = {"PATH": "%s:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/usr/games" % (WORK / "bin"), "HOME": str(home), "LANG": "C.UTF-8", "TMPDIR": str(tmp),
               "XDG_RUNTIME_DIR": str(tmp), "SSL_CERT_FILE": str(self.bundle), "REQUESTS_CA_BUNDLE": str(self.bundle), "CURL_CA_BUNDLE": str(self.bundle),
               "NODE_EXTRA_CA_CERTS": str(self.tls / "ca.crt"), "NODE_MODULES_BASE": str(WORK / "npm"), "NODE_NO_WARNINGS": "1",
               "NO_AT_BRIDGE": "1", "GSETTINGS_BACKEND": "memory", "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
               "QTWEBENGINE_DISABLE_SANDBOX": "1", "QTWEBENGINE_CHROMIUM_FLAGS": "--no-sandbox --disable-gpu --disable-quic", "LIBGL_ALWAYS_SOFTWARE": "1",
               "SE_OFFLINE": "true", "MOZ_CRASHREPORTER_DISABLE": "1", "GDK_BACKEND": "x11", "QT_QPA_PLATFORM": "xcb", "SE_AVOID_STATS": "true"}
        lang = (job.language or "en-US").replace("-", "_")
        env["LANGUAGE"] = "%s:%s" % (lang, lang[:2])
        env["LANG"] = lang + ".UTF-8"
        if "qutebrowser" in job.client:  # does not start in a locale that is not generated
            env["LC_ALL"] = "C.UTF-8"
            del env["QTWEBENGINE_CHROMIUM_FLAGS"]
        profile = tmp / "ff"
        profile.mkdir()
        for name in ("cert9.db", "key4.db", "pkcs11.txt"):
            shutil.copy(self.tls / "nssdb" / name, profile / name)
        prefs = dict(FIREFOX_PREFS)
        if job.language and "resist" not in job.prefs:
            prefs["intl.accept_languages"] = job.prefs.get("accept", job.language)
            k = job.prefs.get("k", 0)
            if k == 7:
                prefs["privacy.globalprivacycontrol.enabled"] = True
                prefs["privacy.globalprivacycontrol.functionality.enabled"] = True
            if k in (3, 10):
                prefs["privacy.donottrackheader.enabled"] = True
        if job.prefs.get("resist"):
            prefs["privacy.resistFingerprinting"] = True
        (profile / "user.js").write_text("".join("user_pref(%s, %s);\n" % (json.dumps(n), json.dumps(x)) for n, x in prefs.items()))
        return env

    def run(self, job):
        tmp = self.private / ("run%d" % job.index)
        tmp.mkdir()
        os.chmod(tmp, 0o700)
        env = self.environment(tmp, job)
        # The kernel picks this source address for every client, whether or not it can bind one.
        sh("ip", "route", "replace", "local", "127.0.0.0/8", "dev", "lo", "src", job.address, "table", "local", check=False)
        x = None
        started = []
        try:
            if job.display:
                x, env["DISPLAY"] = self.display(job.size or "1366x768")
                started.append(x)
            command = job.command(tmp, job) if job.drive or job.until else job.command(tmp)
            self.server.offer(job.h2)
            self.recorder.begin(job, job.steps)
            before = len(self.recorder.rows)
            with open(tmp / "log.txt", "wb") as log:
                p = subprocess.Popen(command, env=env, cwd=tmp, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
                started.append(p)
                if job.until:
                    self.press(job, p, env, before)
                elif job.drive:
                    self.drive(job, p, env, before)
                else:
                    try:
                        p.wait(job.timeout)
                    except subprocess.TimeoutExpired:
                        pass
        finally:
            self.recorder.end()
            for p in reversed(started):
                end(p)
        got = len(self.recorder.rows) - before
        if got == 0:
            print("lane %d: NO REQUEST from %s (%s): %s" % (self.number, job.client, job.scheme, tail(tmp / "log.txt")), file=sys.stderr, flush=True)
        shutil.rmtree(tmp, ignore_errors=True)
        return got

    def display(self, size):
        read, write = os.pipe()
        x = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", size + "x24", "-nolisten", "tcp"], pass_fds=[write],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(write)
        with os.fdopen(read) as f:
            number = f.readline().strip()
        return x, ":" + number

    def press(self, job, p, env, before):
        """Presses the button in the middle of each page until the last page was asked for."""
        deadline = time.time() + job.timeout
        width, height = map(int, (job.size or "1366x768").split("x"))
        while time.time() < deadline and p.poll() is None:
            if any(r["path"] == job.until for r in self.recorder.rows[before:]):
                time.sleep(2)
                return
            time.sleep(1.2)
            if job.drive and len(self.recorder.rows) > before:
                click = ["xdotool", "mousemove", str(width // 2), str(height * 3 // 5), "click", "1"]
                try:
                    subprocess.run(click, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=6)
                except subprocess.TimeoutExpired:
                    pass

    def drive(self, job, p, env, before):
        """Moves the mouse, clicks the large link in the middle, types an address, reloads, goes back."""
        import shop
        rng = random.Random(SEED + job.index)
        width, height = map(int, job.size.split("x"))
        deadline = time.time() + job.timeout

        def tool(*args):
            try:
                subprocess.run(["xdotool"] + [str(a) for a in args], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=6)
            except subprocess.TimeoutExpired:
                pass

        while time.time() < deadline and p.poll() is None and len(self.recorder.rows) == before:
            time.sleep(0.3)
        time.sleep(1.2)
        idle = 0
        typed = 0
        while time.time() < deadline and p.poll() is None and idle < 2:
            for _ in range(2):
                tool("mousemove", rng.randint(width // 5, width * 3 // 5), rng.randint(height // 2, height * 3 // 4))
                time.sleep(rng.uniform(0.1, 0.3))
            roll = rng.random()
            if roll < 0.07:
                tool("key", "F5")
            elif roll < 0.11:
                tool("key", "ctrl+shift+r")
            elif roll < 0.17:
                tool("key", "alt+Left")
            elif roll < 0.27 and typed < 2 and job.client.split("/")[0] in ("chromium", "firefox", "epiphany", "falkon", "konqueror"):
                typed += 1
                tool("key", "ctrl+l")
                time.sleep(0.2)
                tool("type", "--delay", "12", "%s://%s%s\n" % (job.scheme, rng.choice(shop.HOSTS), shop.page_paths(rng)))
            else:
                tool("click", "1")
            time.sleep(rng.uniform(1.0, 1.7))
            idle = idle + 1 if not self.recorder.steps else 0


def tail(path):
    try:
        return path.read_bytes()[-300:].decode("utf-8", "replace").replace("\n", " | ")
    except OSError:
        return ""


def end(p):
    """Ends one process that was started here, with its group."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(p.pid, sig)
        except ProcessLookupError:
            pass
        try:
            p.wait(1.5)
        except subprocess.TimeoutExpired:
            continue
    if p.poll() is None:
        p.wait(5)


def sh(*command, check=True):
    r = subprocess.run([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30)
    if check and r.returncode:
        raise RuntimeError("failed: " + " ".join(map(str, command)))
    return r.returncode == 0


def missing(job):
    return [n for n in job.needs if not (os.path.isabs(n) and os.path.exists(n)) and not which(n)]


def lane_main(number, lanes, only, kinds):
    lane = Lane(number)
    mine = [j for j in chosen(only, kinds) if not missing(j)][number::lanes]
    for n, job in enumerate(mine):
        start = time.time()
        try:
            got = lane.run(job)
        except Exception as err:
            lane.recorder.end()
            print("lane %d: FAILED %s: %s" % (number, job.client, err), file=sys.stderr, flush=True)
            continue
        print("lane %d: %d/%d %-32s %-5s %4d requests %5.1f s" % (number, n + 1, len(mine), job.client, job.scheme, got, time.time() - start), file=sys.stderr, flush=True)
    with open(WORK / ("lane%d.ndjson" % number), "w") as f:
        for row in list(lane.recorder.rows):
            job = row.pop("run")
            f.write(json.dumps(dict(row, job=job.index, client=job.client, label=job.label, hard=job.hard, session=job.session), separators=(",", ":")) + "\n")
    lane.server.stop()


def chosen(only, kinds):
    import kinds_jobs
    jobs = kinds_jobs.jobs(sys.modules[__name__]) if kinds else all_jobs()
    return [j for j in jobs if not only or any(j.client == o or j.client.split("/")[0] == o for o in only)]


# ---------------------------------------------------------------- certificates

def certificates():
    import shop
    tls = WORK / "tls"
    shutil.rmtree(tls, ignore_errors=True)
    (tls / "nssdb").mkdir(parents=True)

    def ssl(*args):
        sh("openssl", *args)
    ssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Recording CA", "-keyout", tls / "ca.key", "-out", tls / "ca.crt",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    ssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + shop.HOSTS[0], "-keyout", tls / "site.key", "-out", tls / "site.csr")
    (tls / "ext").write_text("subjectAltName=%s\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n" % ",".join("DNS:" + h for h in shop.ALL_HOSTS))
    ssl("x509", "-req", "-in", tls / "site.csr", "-CA", tls / "ca.crt", "-CAkey", tls / "ca.key", "-CAcreateserial", "-days", "30", "-extfile", tls / "ext", "-out", tls / "site.crt")
    db = "sql:%s" % (tls / "nssdb")
    if sh("certutil", "-N", "-d", db, "--empty-password", check=False):
        sh("certutil", "-A", "-d", db, "-n", "recording", "-t", "C,,", "-i", tls / "ca.crt")
    if which("keytool"):
        sh("keytool", "-importcert", "-noprompt", "-alias", "recording", "-file", tls / "ca.crt", "-keystore", tls / "trust.p12", "-storetype", "PKCS12", "-storepass", "changeit", check=False)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--out", type=pathlib.Path, help="default: tools/cli/data/requests.ndjson, or data/kinds.ndjson.gz with --kinds")
    ap.add_argument("--kinds", action="store_true", help="record every kind of request that browsers send, in place of visits")
    ap.add_argument("--only", action="append", default=[], metavar="NAME", help="a client (curl) or one of its variants (curl/plain); may be repeated")
    ap.add_argument("--list", action="store_true", help="list the clients and leave")
    ap.add_argument("--lanes", type=int, default=4, help="runs at a time")
    ap.add_argument("--select-only", action="store_true", help="choose again from the last recording")
    ap.add_argument("--lane", type=int, help=argparse.SUPPRESS)
    a = ap.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(HERE))
    import files
    a.out = a.out or (files.DATA / "kinds.ndjson.gz" if a.kinds else files.REQUESTS)
    if a.lane is not None:
        return lane_main(a.lane, a.lanes, a.only, a.kinds)
    jobs = chosen(a.only, a.kinds)
    if a.list:
        for client, count in sorted(collections.Counter((j.label, j.client) for j in jobs).items()):
            print("%-6s %-34s %d runs" % (client + (count,)))
        return 0
    if not jobs:
        print("no such client; see --list", file=sys.stderr)
        return 2
    skipped = {j.client: ", ".join(os.path.basename(m) for m in missing(j)) for j in jobs if missing(j)}
    if not a.select_only:
        for client, why in sorted(skipped.items()):
            print("SKIPPED %s: not installed: %s" % (client, why), file=sys.stderr)
        certificates()
        for old in WORK.glob("lane*.ndjson"):
            old.unlink()
        command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, str(pathlib.Path(__file__).resolve()), "--lanes", str(a.lanes)]
        if a.kinds:
            command.append("--kinds")
        for o in a.only:
            command += ["--only", o]
        lanes = [subprocess.Popen(command + ["--lane", str(n)]) for n in range(a.lanes)]
        deadline = time.time() + sum(j.timeout + 8 for j in jobs)
        try:
            for p in lanes:
                p.wait(max(1, deadline - time.time()))
        finally:
            for p in lanes:
                if p.poll() is None:
                    p.kill()
                    p.wait()
    import kinds_jobs
    import sample
    rows = []
    for file in sorted(WORK.glob("lane*.ndjson")):
        rows += [json.loads(text) for text in file.read_text().splitlines()]
    # A request from another address is the late call of the client before.
    rows = [r for r in rows if r["ip"] == address(r["job"])]
    silent = sorted({j.client for j in jobs} - {r["client"] for r in rows} - set(skipped))
    a.out.parent.mkdir(parents=True, exist_ok=True)
    picked = kinds_jobs.select(rows, a.out) if a.kinds else sample.select(rows, a.out, SEED)
    count = collections.Counter((r["label"], r["client"]) for r in picked)
    print("recorded %d requests, wrote %d (%d bytes)" % (len(rows), len(picked), a.out.stat().st_size))
    for (label, client), n in sorted(count.items()):
        print("  %-6s %-34s %d" % (label, client, n))
    print("labels: %s" % dict(collections.Counter(r["label"] for r in picked)))
    for client, why in sorted(skipped.items()):
        print("SKIPPED %s: not installed: %s" % (client, why))
    for client in silent:
        print("SILENT %s: ran, but sent nothing" % client)
    return 0


if __name__ == "__main__":
    sys.exit(main())
