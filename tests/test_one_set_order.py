"""What a comparison of recipes is asked, and what of it each recipe is told."""

from __future__ import annotations

from typing import Any

import pytest

from infra.errors import InputError
from tasks.context import Order
from tasks.one_set.order import ComparisonOrder


def asked(*overrides: str, sources: tuple[str, ...] = (), **changes: Any) -> ComparisonOrder:
    order = Order(scale="tiny", overrides=overrides, sources=sources, replicas=True)
    told = {"recipes": ("llava_rad", "gla_rrg24"), "on": "gla_rrg24", "order": order}
    return ComparisonOrder(**{**told, **changes})


def test_an_override_is_everybodys_or_one_recipes() -> None:
    both = "score.bootstrap_resamples=20"
    found = asked(both, "gla_rrg24:models.vision.image_px=112").orders()
    assert found["llava_rad"].overrides == (both,)
    assert found["gla_rrg24"].overrides == (both, "models.vision.image_px=112")
    assert {order.recipe for order in found.values()} == {"llava_rad", "gla_rrg24"}
    assert all(order.replicas and order.scale == "tiny" for order in found.values())


def test_a_colon_in_a_value_names_no_recipe() -> None:
    plain = 'sets.rrg24_findings.request.plain="Look: what is there?"'
    assert asked(f"gla_rrg24:{plain}").orders()["gla_rrg24"].overrides == (plain,)


def test_a_source_goes_to_the_recipes_that_name_it() -> None:
    found = asked(sources=("rrg24=/r", "mimic_cxr=/m")).orders()
    assert found["gla_rrg24"].sources == ("rrg24=/r",)
    assert found["llava_rad"].sources == ("mimic_cxr=/m",)


def test_the_host_need_not_be_compared() -> None:
    found = asked(recipes=("llava_rad", "gla_rrg24"), on="medxchat/reports")
    assert (found.host, found.set_name) == ("medxchat", "reports")
    assert (asked().host, asked().set_name) == ("gla_rrg24", "")


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (asked(recipes=("llava_rad",)), "found recipes llava_rad; expected two different ones"),
        (asked(recipes=("llava_rad",) * 2), "found recipes llava_rad llava_rad; expected two"),
        (asked("medxchat:a=1"), "found override 'medxchat:a=1' of 'medxchat'; expected one of"),
        (asked(sources=("openi=/o",)), "found --source openi=/o, which none of the recipes reads"),
        (asked(recipes=("llava_rad", "llava")), "found recipe 'llava' at scale 'tiny'; expected"),
    ],
)
def test_what_is_wrong_is_one_line(wrong: ComparisonOrder, line: str) -> None:
    with pytest.raises(InputError) as caught:
        wrong.orders()
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
