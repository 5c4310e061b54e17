"""Checks of the parts that need no data: the card's text and plots always, and folds, detections
and calibration where numpy and scikit-learn are.

    python3 tools/lab/train/check.py
"""

import collections
import gzip
import importlib.util
import json
import pathlib
import sys
import unittest
import xml.etree.ElementTree as xml

import card

PACKAGES = all(importlib.util.find_spec(name) for name in ("numpy", "sklearn"))
if not PACKAGES:
    print("SKIPPED: folds, detections, calibration: no numpy and scikit-learn", file=sys.stderr)
HERE = pathlib.Path(__file__).parent


def recorded(name):
    """The rows of one of the recorder's files."""
    with gzip.open(HERE.parent / "record" / "data" / (name + ".ndjson.gz"), "rt") as lines:
        return [json.loads(line) for line in lines]


def request_of(label="bot", client="curl/8", source="hedgerow-recorded-tools", **more):
    headers = [["User-Agent", "x"], ["Accept", "*/*"], ["Referer", "https://a/"]]
    found = {"label": label, "client": client, "source": source, "headers": headers}
    found.update({"complete": True, "slice": "full", "view": "full", "method": "GET", "http": "2",
                  "path": "/", "host": "a", "scheme": "https", "class": None, "hard": False, "order": "wire"})
    return found | more


class Cards(unittest.TestCase):
    def test_html_escapes_and_markdown_names_the_plot(self):
        made = card.Card("A <b> title")
        made.table(["a & b"], [["<i>"]])
        made.plot("caption", card.bar_list([("x<y", 0.5)]))
        page = made.html()
        self.assertIn("A &lt;b&gt; title", page)
        self.assertIn("a &amp; b", page)
        self.assertNotIn("<i>", page)
        self.assertIn("| <i> |", made.markdown("card.html"))
        self.assertIn("(card.html): caption", made.markdown("card.html"))

    def test_no_bar_covers_the_legend(self):
        axes = card.Axes((0, 100), (0, 0.5), "score", "share")
        axes.bars("humans", [0, 50, 100], [0.5, 0.25])
        drawn = xml.fromstring(axes.svg((0, 100), (0, 0.5)))
        bars = [r for r in drawn.iter("rect") if r.get("fill-opacity")]
        legend = [r for r in drawn.iter("rect") if not r.get("fill-opacity")]
        self.assertEqual((len(bars), len(legend)), (2, 1))
        low = float(legend[0].get("y")) + float(legend[0].get("height"))
        self.assertLess(low, min(float(bar.get("y")) for bar in bars))

    def test_points_outside_of_the_axes_stay_on_them(self):
        axes = card.Axes((0.001, 1), (0, 1), "x", "y", log_x=True)
        self.assertEqual(axes.at(1e-9, 2), axes.at(0.001, 1))


class Views(unittest.TestCase):
    def test_a_narrowed_request_forgets_what_a_log_does_not_hold(self):
        import views

        log = views.narrowed(request_of(), "log")
        self.assertEqual([n for n, _ in log["headers"]], ["User-Agent", "Referer"])
        self.assertEqual((log["complete"], log["scheme"], log["path"]), (False, None, "/"))
        agent = views.narrowed(request_of(), "ua")
        self.assertEqual([n for n, _ in agent["headers"]], ["User-Agent"])
        self.assertIsNone(agent["path"])

    def test_a_proxy_makes_its_own_connection(self):
        import views

        request = request_of()
        request["headers"] += [["Connection", "keep-alive"]]
        for proxy in views.PROXIES:
            made = views.behind(request, proxy)
            names = [name.lower() for name, _ in made["headers"]]
            self.assertNotIn(["Connection", "keep-alive"], made["headers"], proxy)
            self.assertEqual(names.count("host"), 1, proxy)
            self.assertEqual(len(set(names)), len(names), proxy)
            self.assertEqual((made["hop"], made["view"]), ("proxy", "proxy"))
        seen = [v["view"] for v in views.views(request)]
        self.assertEqual(seen, [
            "full", "proxy", "order kept", "forwarded", "unordered", "no version", "log", "ua"])
        lost = [v["view"] for v in views.views(dict(request, order="none"))]
        self.assertNotIn("order kept", lost)

    def test_proxies_do_as_the_programs_did(self):
        import views

        def key(row):
            return row["client"], row["method"], row["path"], row["ts"]

        sent = {key(row): row for row in recorded("kinds")}
        alike = collections.defaultdict(list)
        for row in recorded("kinds-behind"):
            if key(row) in sent:
                made = views.PROXIES.get(row["through"], views.FORWARD)
                names = [n.lower() for n, _ in views.passed_on(sent[key(row)], made)]
                alike[row["through"]].append(names == [n.lower() for n, _ in row["headers"]])
        self.assertEqual(set(alike), {*views.PROXIES, "squid-forward"})
        for proxy, found in alike.items():
            self.assertGreaterEqual(sum(found), 0.9 * len(found), proxy)


@unittest.skipUnless(PACKAGES, "no numpy and scikit-learn")
class Judging(unittest.TestCase):
    def test_a_tool_is_judged_in_one_fold_and_a_class_too(self):
        import dataset

        folds = {dataset.fold(request_of(client=c)) for c in ("curl/8", "curl:post", "curl")}
        self.assertEqual(len(folds), 1)
        sources = ("one", "two")
        some = [request_of("human", "x", source, **{"class": "kaios"}) for source in sources]
        self.assertEqual(dataset.fold(some[0]), dataset.fold(some[1]))

    def test_left_out_features_are_named_exactly(self):
        import dataset

        ends = [e.rstrip("*") for group in dataset.LEFT_OUT_FEATURES.values() for e in group]
        names = ["ua_missing", *ends, "te_odd"]
        self.assertEqual(dataset.used(names), [0, len(names) - 1])
        with self.assertRaises(SystemExit):
            dataset.used(names[:-2])

    def test_classes_weigh_alike(self):
        import dataset

        some = [request_of()] * 9 + [request_of("human", "firefox", "x")]
        weights = dataset.weights(some)
        self.assertAlmostEqual(weights[:9].sum(), weights[9])

    def test_detections_meet_what_they_say_and_spare_humans(self):
        import numpy as np

        import judge

        column = np.array([0.0, 1.0, np.nan])
        for condition, expected in (
            ({"above": 0}, [0, 1, 0]), ({"at_most": 0}, [1, 0, 0]), ({"equals": 1}, [0, 1, 0]),
            ({"missing": True}, [0, 0, 1]), ({"present": True}, [1, 1, 0]),
        ):
            held = judge.holds({"feature": "f", **condition}, column)
            self.assertEqual(held.astype(int).tolist(), expected, condition)
        path = HERE / "detections.toml"
        names = ["ua_tool_word", "ua_frame", "hints_platform_mismatch", "ua_engine_comment", "ua_automation_word", "ua_missing", "has_accept_language",
                 "target_probe", "ua_browser", "target_attack", "hints_missing", "fetch_missing",
                 "hints_version_mismatch", "fetch_errors"]
        rows = np.zeros((1, len(names)), dtype=np.float32)
        rows[0, 0] = 1
        found = judge.detections(path, names, rows, [request_of()])
        self.assertEqual([(d["id"], d["bots"]) for d in found if d["bots"]], [(9, 1)])
        with self.assertRaises(SystemExit):
            judge.detections(path, names, rows, [request_of("human")])

    def test_the_score_map_rises_and_meets_the_curve(self):
        import numpy as np

        from calibrate import Calibration

        margins = np.array([-2.0, -1.0, 0.5, -0.5, 1.0, 2.0])
        sides = ["bot"] * 3 + ["human"] * 3
        made = Calibration(margins, [request_of(side) for side in sides])
        starts = made.score_map()
        self.assertEqual(len(starts), 98)
        self.assertTrue(all(a < b for a, b in zip(starts, starts[1:])))
        promised = np.clip(np.round(100 * made.probability(margins)), 1, 99)
        self.assertLessEqual(np.abs(made.scores(margins) - promised).max(), 1)


if __name__ == "__main__":
    unittest.main()
