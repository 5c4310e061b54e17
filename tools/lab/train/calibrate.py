"""The score map: score = 100 x P(human), from margins of requests that the models had not seen."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from dataset import is_human, weights

SCORES = 99

# How much more a person weighs than a bot: to block a person is the worse mistake.
PEOPLE = 1.25


class Calibration:
    """P(human) = 1 / (1 + exp(-(slope * margin + offset))); two numbers, so that it cannot bend to
    the sources at hand."""

    def __init__(self, margins, requests):
        fitted = LogisticRegression(C=1e6)
        human = is_human(requests)
        weight = weights(requests) * np.where(human, PEOPLE, 1)
        fitted.fit(margins.reshape(-1, 1), human, sample_weight=weight)
        self.slope, self.offset = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
        if not self.slope > 0:
            raise SystemExit(f"calibration: expected a rising curve, got a slope of {self.slope}")

    def probability(self, margins):
        return 1 / (1 + np.exp(-(self.slope * margins + self.offset)))

    def score_map(self):
        """The smallest margin of each of the scores 2 to 99."""
        p = (np.arange(SCORES - 1) + 1.5) / 100
        return ((np.log(p / (1 - p)) - self.offset) / self.slope).tolist()

    def scores(self, margins):
        return 1 + np.searchsorted(self.score_map(), margins, side="right")


def reliability(margins, requests, calibration, bins=10):
    """The promised and the observed share of humans, by tenths of the promise; sources weigh alike."""
    human, weight = is_human(requests), weights(requests)
    promised = calibration.probability(margins)
    found = []
    for low in np.arange(bins) / bins:
        chosen = (promised >= low) & (promised < low + 1 / bins + (low + 1 / bins >= 1))
        if chosen.sum() >= 20:
            share = np.average(human[chosen], weights=weight[chosen])
            mean = np.average(promised[chosen], weights=weight[chosen])
            found.append((float(mean), float(share), int(chosen.sum())))
    return found
