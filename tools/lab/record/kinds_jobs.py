"""The runs that record every kind of request, and the choice among what they sent."""

import collections
import json
import random

import files
import kinds
import sample
import shop

BUDGET = 2_100_000  # bytes of the finished file, before compression
# Rows of a run at most, by label; what is left out is chosen by chance.
ROWS = {"human": 260, "bot": 16}
# The same engine as Epiphany.
FEW = {"minibrowser/kinds": 40}
SIZES = ["1366x768", "1920x1080", "1536x864"]
LANGUAGES = [("en-US", "en-US,en"), ("de-DE", "de-DE,de,en-US,en"), ("fr-FR", "fr-FR,fr")]
# A scheme, and whether HTTP/2 is offered.
WIRES = [("https", True), ("https", False), ("http", False)]

PLATFORMS = {
    "Windows": "Windows NT 10.0; Win64; x64",
    "macOS": "Macintosh; Intel Mac OS X 10_15_7",
    "Android": "Linux; Android 10; K",
    "Chrome OS": "X11; CrOS x86_64 14541.0.0",
}
IPHONE = ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
          "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1")
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{v}.0) Gecko/20100101 Firefox/{v}.0"


def agent(platform, version):
    """Chrome's agent on another platform."""
    mobile = "Mobile " if platform == "Android" else ""
    return ("Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/%s.0.0.0 %sSafari/537.36" % (PLATFORMS[platform], version, mobile))


def metadata(platform, version):
    """Client hints that fit such an agent."""
    brands = ["Not:A-Brand", "Chromium", "Google Chrome"]
    versions = ["8", version, version]
    return {"brands": [{"brand": b, "version": v} for b, v in zip(brands, versions)],
            "fullVersion": version + ".0.0.0", "platform": platform, "platformVersion": "15.0.0",
            "architecture": "" if platform == "Android" else "x86", "model": "",
            "mobile": platform == "Android"}


def jobs(record):
    """Browsers in a window, headless, and headless ones with an agent of another platform."""
    version, firefox = record.versions()["chrome"], record.versions()["firefox"]
    out, bus = [], ["dbus-run-session", "--"]
    node, chromium = record.which("node") or "node", "/usr/bin/chromium"

    def add(client, needs, command, label, wires=WIRES, hard=False, hosts=shop.HOSTS, **more):
        for n, (scheme, h2) in enumerate(wires):
            language, accept = LANGUAGES[len(out) % len(LANGUAGES)]
            url = "%s://%s%sstart" % (scheme, hosts[n % len(hosts)], kinds.ROOT)
            out.append(record.Job(
                client, scheme, needs, command, label=label, hard=hard, timeout=55, url=url, h2=h2,
                language=language, prefs={"accept": accept, "k": 0},
                size=SIZES[len(out) % len(SIZES)],
                until=kinds.ROOT + "last", **more))

    def person(client, needs, command):
        for hosts in (shop.HOSTS[:1], shop.HOSTS[1:2]):  # the first asks for client hints
            add(client, needs + ["Xvfb", "xdotool"], command, "human", hosts=hosts, drive=True,
                display=True)

    person("chromium/kinds", ["chromium"], record.run_chromium)
    person("firefox/kinds", ["firefox-esr"], record.run_firefox)
    add("epiphany/kinds", ["epiphany-browser", "Xvfb", "xdotool"], lambda tmp, job: bus + [
        "epiphany-browser", "--private-instance", "--profile=" + str(tmp / "epi"), job.url],
        "human", drive=True, display=True)
    mini = record.minibrowser() or "MiniBrowser"
    add("minibrowser/kinds", [mini, "Xvfb", "xdotool"], lambda tmp, job: bus + [mini, job.url],
        "human", drive=True, display=True)

    def headless(*flags):
        return lambda tmp, job: ["chromium", "--headless=new", "--user-data-dir=" + str(tmp / "p"),
                                 *record.CHROME_QUIET, *flags, job.url]

    def driven(library, **options):
        def command(tmp, job):
            given = dict(options, headless=True, chromium=chromium, stay=30000)
            return [node, str(record.HERE / "clients" / "browser_node.mjs"), library,
                    json.dumps(given), job.url]
        return command

    add("chromium-headless/kinds", ["chromium"], headless(), "bot")
    add("puppeteer/kinds", ["chromium", node], driven("puppeteer"), "bot", wires=WIRES[:1])
    foreign = [(name.lower().replace(" ", "-"), agent(name, version)) for name in PLATFORMS]
    foreign += [("iphone", IPHONE), ("windows-firefox", FIREFOX.format(v=firefox))]
    for n, (name, text) in enumerate(foreign):
        wires = WIRES if n == 0 else [WIRES[0], WIRES[1 + n % 2]]
        add("chromium-headless/flag-" + name, ["chromium"], headless("--user-agent=" + text), "bot",
            wires=wires)
        add("puppeteer/agent-" + name, ["chromium", node], driven("puppeteer", agent=text), "bot",
            wires=wires[:1])
        add("playwright/agent-" + name, ["chromium", node], driven("playwright", agent=text), "bot",
            wires=wires[:1], hard=True)
    for platform in ("Windows", "macOS", "Android"):
        add("puppeteer/metadata-" + platform.lower(), ["chromium", node], driven(
            "puppeteer", agent=agent(platform, version), metadata=metadata(platform, version)),
            "bot", wires=WIRES[:1], hard=True)
    for n, job in enumerate(out):
        job.index = n
    return out


def shows_nothing(row):
    """Whether a headless Chromium has another Chromium's agent, and sent no hint that denies it."""
    sent = {name.lower(): value for name, value in row["headers"]}
    named = row["client"].startswith(("chromium-headless/flag-", "puppeteer/agent-"))
    return named and "Chrome/" in sent.get("user-agent", "") and "sec-ch-ua-platform" not in sent


def select(rows, out):
    """One row of each kind and set of headers of a client and wire, and a few of each bot's run."""
    rng = random.Random(7)
    runs, known = collections.defaultdict(list), set()
    for row in sorted(rows, key=lambda r: (r["job"], r["ts"])):
        key = (row["method"], row["path"].partition("?")[0], tuple(n for n, _ in row["headers"]),
               row["client"], row["http"], row["scheme"])
        if key not in known:
            known.add(key)
            row["hard"] |= shows_nothing(row)
            runs[row["job"]].append(row)
    picked = []
    for mine in runs.values():
        most = FEW.get(mine[0]["client"], ROWS[mine[0]["label"]])
        # Navigations first: they are what a site sees of most bots.
        first = [r for r in mine if r["path"][len(kinds.ROOT):] in kinds.CHAIN][:most // 2]
        rest = [r for r in mine if r not in first]
        rng.shuffle(rest)
        picked += first + rest[:most - len(first)]
    picked.sort(key=lambda r: (r["job"], r["ts"]))
    text = "".join(sample.line(n, r).replace('"id":"hr', '"id":"hk', 1) for n, r in enumerate(picked, 1))
    if len(text.encode()) > BUDGET:
        raise SystemExit("the kinds take %d bytes, at most %d" % (len(text.encode()), BUDGET))
    files.write(out, text)
    return picked
