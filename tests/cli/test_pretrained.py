"""`mapush pretrained`: every shipped policy has a complete card, and its figures are those of an evaluation."""

import json

import pytest

from mapush_stack.evaluation import pretrained
from tests.cli.runner import mapush


def test_every_policy_is_listed_with_what_it_reaches():
    told, _ = mapush("pretrained")
    cards = json.loads(mapush("pretrained", "--json")[0])
    assert [card["name"] for card in cards] == pretrained.names()
    for card in cards:
        assert f"{card['evaluation']['valid_success_rate']:.1%}" in told
        assert card["evaluation"]["episodes"] == 1000 and len(card["limits"]) >= 4
        assert card["command"].startswith("mapush train") and card["steps"] == card["evaluation"]["steps"]


@pytest.mark.parametrize("name", pretrained.names())
def test_a_card(name):
    told, _ = mapush("pretrained", name)
    for words in ("Trained    mapush train", f"mapush evaluate --pretrained {name}", "Limits", "simulation only"):
        assert words in told
    assert ("mapush export" in told) == (not name.startswith("long-way-"))  # a planner has no graph


def test_an_unknown_name():
    _, err = mapush("pretrained", "cuboid-planer", code=2)
    assert "did you mean cuboid-planar" in err and err.count("\n") == 1
