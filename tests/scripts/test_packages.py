"""``scripts/documentation/packages.py``: the picture of the packages."""

from __future__ import annotations

from scripts.documentation.packages import Layers, draw, lay_out, reduce


def test_an_import_that_follows_from_others_has_no_arrow() -> None:
    imports = {"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}}
    assert reduce(imports) == {"a": {"b"}, "b": {"c"}, "c": {"d"}}


def test_each_package_is_drawn_in_its_layer_with_its_sub_packages() -> None:
    layers = Layers([["top"], ["left", "right"]], ["leaf"])
    boxes = lay_out(layers, {"left": ["one", "two"]})
    assert boxes["top"].top < boxes["left"].top == boxes["right"].top < boxes["leaf"].top
    assert boxes["left"].left + boxes["left"].width < boxes["right"].left
    picture = draw(boxes, {"top": {"left", "leaf"}}, layers.leaves)
    assert picture.count('<path d="M') == 2  # the head of an arrow, and one arrow: leaves have none
    assert ">one, two</text>" in picture
