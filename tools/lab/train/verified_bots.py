"""Makes a file of verified bots for `hedgerow compile --verified-bots` from lists of addresses.

    tools/lab/train/verified_bots.py RANGES > verified-bots.json

RANGES is a folder with one file an operator and family, `NAME.ipv4_merged.txt` and
`NAME.ipv6_merged.txt`, each a range such as 66.249.64.0/19 a line. Such lists are in the public
domain where their collectors say so (CC0); operators change their addresses, so take lists of the
day, and compile anew when they change: an address that was given up verifies whoever has it next.

Only operators are taken whose addresses are those of bots. Lists of clouds, of private relays and
of other networks in which people browse are left alone, whatever they are called. Every
bot has an agent token that all of its operator's agents hold and that no browser's does, so
that a person behind one of the addresses, or another service of the operator, does not pass for it.
"""

import argparse
import ipaddress
import json
import pathlib
import sys

# Name, category, agent token, and the lists of the operator.
OPERATORS = (
    ("Google", "search-engine", "google", ("googlebot",)),
    ("Bing", "search-engine", "bing", ("bing",)),
    ("DuckDuckGo", "search-engine", "duckduckgo.com", ("duckduckbot", "duckassistbot")),
    ("OpenAI", "ai", "openai.com", ("openai",)),
    ("Perplexity", "ai", "perplexity", ("perplexity",)),
    ("Meta", "social", "facebook", ("facebook",)),
    ("Twitter", "preview", "twitterbot", ("twitter",)),
    ("Telegram", "preview", "telegrambot", ("telegram",)),
    ("Pingdom", "monitor", "pingdom", ("pingdom",)),
    ("StatusCake", "monitor", "statuscake", ("statuscake",)),
)


def ranges_of(folder, lists):
    """The ranges of an operator, as few as there can be; none where there is no list."""
    families = {4: set(), 6: set()}
    for name in lists:
        for family, found in families.items():
            path = folder / f"{name}.ipv{family}_merged.txt"
            if not path.exists():
                continue
            for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
                line = line.strip()
                if not line or line.startswith("#"):
                    continue
                try:
                    network = ipaddress.ip_network(line)
                except ValueError as error:
                    sys.exit(f"{path}:{number}: expected a range of addresses: {error}")
                if network.version != family:
                    sys.exit(f"{path}:{number}: expected IPv{family}, got {line}")
                found.add(network)
    return [
        str(network)
        for family in (4, 6)
        for network in ipaddress.collapse_addresses(families[family])
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ranges", type=pathlib.Path, help="the folder of lists")
    folder = parser.parse_args().ranges
    if not folder.is_dir():
        sys.exit(f"{folder}: expected a folder of lists")
    bots = []
    for name, category, agent, lists in OPERATORS:
        ranges = ranges_of(folder, lists)
        if not ranges:
            print(f"{name}: no list, left out", file=sys.stderr)
            continue
        bots.append({"name": name, "category": category, "agent": agent, "ranges": ranges})
        print(f"{name}: {len(ranges)} ranges", file=sys.stderr)
    if not bots:
        sys.exit(f"{folder}: expected at least one list, such as googlebot.ipv4_merged.txt")
    json.dump(bots, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
