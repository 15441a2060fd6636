"""Who may do what, as the table of the behaviour reference has it (2.4)."""

from __future__ import annotations

import pytest

from app.auth.roles import Needs, Role, Switches, is_public, lesser, refusal

ON = Switches()


@pytest.mark.parametrize(
    ("needs", "least"),
    [
        (Needs.READ, Role.VIEWER),
        (Needs.OWN, Role.VIEWER),
        (Needs.RUN, Role.OPERATOR),
        (Needs.RUN_TEXT, Role.OPERATOR),
        (Needs.WRITE, Role.MANAGER),
        (Needs.REDACT, Role.ADMIN),
        (Needs.ADMIN, Role.ADMIN),
        (Needs.UPKEEP, Role.ADMIN),
    ],
)
def test_a_role_may_do_what_it_needs_and_all_that_takes_less(needs: Needs, least: Role) -> None:
    allowed = [role for role in Role if not refusal(needs, role, ON)]
    assert allowed == list(Role)[list(Role).index(least) :]


@pytest.mark.parametrize("needs", Needs)
def test_without_roles_everything_is_allowed_that_is_on(needs: Needs) -> None:
    assert refusal(needs, None, ON) == ""


@pytest.mark.parametrize("role", [None, Role.ADMIN])
@pytest.mark.parametrize(
    ("switches", "refused"),
    [
        (Switches(write_dags=False), {Needs.WRITE, Needs.REDACT}),
        (Switches(run_dags=False), {Needs.RUN, Needs.RUN_TEXT}),
        (Switches(write_dags=False, inline_runs_need_write=True), {Needs.WRITE, Needs.REDACT, Needs.RUN_TEXT}),
    ],
)
def test_what_is_off_is_off_for_admins_too(role: Role | None, switches: Switches, refused: set[Needs]) -> None:
    assert {needs for needs in Needs if refusal(needs, role, switches)} == refused


def test_the_reason_tells_the_switch_from_the_role() -> None:
    assert "permissions_write_dags" in refusal(Needs.WRITE, Role.VIEWER, Switches(write_dags=False))
    assert "manager" in refusal(Needs.WRITE, Role.VIEWER, ON)


def test_a_setting_raises_inline_runs_to_the_right_to_write() -> None:
    raised = Switches(inline_runs_need_write=True)
    assert refusal(Needs.RUN_TEXT, Role.OPERATOR, raised)
    assert not refusal(Needs.RUN_TEXT, Role.MANAGER, raised)
    assert not refusal(Needs.RUN, Role.OPERATOR, raised)


def test_metrics_are_public_until_a_setting_closes_them() -> None:
    assert [needs for needs in Needs if is_public(needs, ON)] == [Needs.PUBLIC, Needs.METRICS]
    assert [needs for needs in Needs if is_public(needs, Switches(metrics_public=False))] == [Needs.PUBLIC]


@pytest.mark.parametrize("one", Role)
@pytest.mark.parametrize("other", Role)
def test_the_lesser_of_two_roles_is_the_one_that_may_do_less(one: Role, other: Role) -> None:
    ranks = list(Role)
    assert ranks.index(lesser(one, other)) == min(ranks.index(one), ranks.index(other))
