"""Writes ensembles as ONNX graphs of one TreeEnsembleRegressor: margins and nothing else.

The libraries' converters add labels, probabilities and maps, which cost ONNX Runtime time. Here it
gets the least work that gives the margin. Thresholds are f32 in such a graph, so LightGBM's, which
are f64, are rounded down: every f32 value then goes the same way.
"""

import numpy as np
from onnx import TensorProto, checker, helper, save


class Nodes:
    """The attributes of the operator, filled node by node."""

    def __init__(self, mode):
        self.mode = mode
        self.tree = -1
        self.lists = {
            name: []
            for name in [
                "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes",
                "nodes_values", "nodes_truenodeids", "nodes_falsenodeids",
                "nodes_missing_value_tracks_true",
                "target_treeids", "target_nodeids", "target_ids", "target_weights",
            ]
        }

    def next_tree(self):
        self.tree += 1

    def _node(self, node, feature, mode, value, yes, no, missing_yes):
        row = [self.tree, node, feature, mode, value, yes, no, missing_yes]
        for values, item in zip(list(self.lists.values())[:8], row):
            values.append(item)

    def split(self, node, feature, value, yes, no, missing_yes):
        value = float(np.float32(value))
        self._node(node, feature, self.mode, value, yes, no, int(missing_yes))

    def leaf(self, node, value):
        self._node(node, 0, "LEAF", 0.0, 0, 0, 0)
        for name, item in zip(list(self.lists)[8:], [self.tree, node, 0, float(value)]):
            self.lists[name].append(item)

    def save(self, features, base, path):
        node = helper.make_node(
            "TreeEnsembleRegressor", ["x"], ["margin"], domain="ai.onnx.ml", n_targets=1,
            aggregate_function="SUM", post_transform="NONE", base_values=[float(base)],
            **self.lists,
        )
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, features])
        taken = helper.make_tensor_value_info("margin", TensorProto.FLOAT, [None, 1])
        graph = helper.make_graph([node], "trees", [given], [taken])
        versions = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=8)
        checker.check_model(model)
        save(model, str(path))


def catboost(text, path):
    """CatBoost goes on where x > border; the graph's test is x <= border, so true is a 0 bit."""
    features = text["features_info"]["float_features"]
    columns = {f["feature_index"]: f["flat_feature_index"] for f in features}
    above = {f["feature_index"]: f["nan_value_treatment"] == "AsTrue" for f in features}
    scale, (bias,) = text["scale_and_bias"]
    nodes = Nodes("BRANCH_LEQ")
    for tree in text["oblivious_trees"]:
        nodes.next_tree()
        # The last split is the root: the first is the low bit of the leaf's number.
        splits = tree["splits"][::-1]
        depth = len(splits)
        for level, split in enumerate(splits):
            feature = split["float_feature_index"]
            for at in range(2**level):
                node = 2**level - 1 + at
                nodes.split(
                    node, columns[feature], split["border"], 2 * node + 1, 2 * node + 2,
                    not above[feature],
                )
        for at, value in enumerate(tree["leaf_values"]):
            nodes.leaf(2**depth - 1 + at, scale * value)
    nodes.save(len(features), bias, path)


def lightgbm(dump, path):
    """Left where x <= threshold; a missing value goes the default way."""
    nodes = Nodes("BRANCH_LEQ")

    def walk(node, number):
        if "leaf_value" in node:
            nodes.leaf(number[0], node["leaf_value"])
            return
        here = number[0]
        number[0] += 1
        yes = number[0]
        walk_later = len(nodes.lists["nodes_treeids"])
        threshold = np.float64(node["threshold"])
        border = np.float32(threshold)
        if np.float64(border) > threshold:
            border = np.nextafter(border, np.float32(-np.inf))
        missing_left = node["default_left"] if node["missing_type"] == "NaN" else 0 <= threshold
        nodes.split(here, node["split_feature"], border, yes, 0, missing_left)
        walk(node["left_child"], number)
        number[0] += 1
        nodes.lists["nodes_falsenodeids"][walk_later] = number[0]
        walk(node["right_child"], number)

    for tree in dump["tree_info"]:
        nodes.next_tree()
        walk(tree["tree_structure"], [0])
    nodes.save(dump["max_feature_idx"] + 1, 0.0, path)


def xgboost(text, path):
    """Left where x < threshold; a missing value goes the default way. Returns the margin of
    base_score, which the file has as a probability."""
    learner = text["learner"]
    given = np.float32(learner["learner_model_param"]["base_score"].strip("[]"))
    base = np.float32(-np.log(np.float32(1) / given - np.float32(1)))
    nodes = Nodes("BRANCH_LT")
    for tree in learner["gradient_booster"]["model"]["trees"]:
        nodes.next_tree()
        for node, left in enumerate(tree["left_children"]):
            value = tree["split_conditions"][node]
            if left == -1:
                nodes.leaf(node, value)
            else:
                right = tree["right_children"][node]
                nodes.split(
                    node, tree["split_indices"][node], value, left, right,
                    tree["default_left"][node],
                )
    nodes.save(int(learner["learner_model_param"]["num_feature"]), base, path)
    return float(base)
