"""Who may do what, as the table of the behaviour reference has it (2.4)."""

from __future__ import annotations

import pytest

from dagbook.auth.roles import Requires, Role, Switches, is_public, lower_role, refusal

ON = Switches()


@pytest.mark.parametrize(
    ("requires", "least"),
    [
        (Requires.READ, Role.VIEWER),
        (Requires.OWN, Role.VIEWER),
        (Requires.OPERATE, Role.OPERATOR),
        (Requires.RUN, Role.OPERATOR),
        (Requires.RUN_TEXT, Role.OPERATOR),
        (Requires.WRITE, Role.MANAGER),
        (Requires.REDACT, Role.ADMIN),
        (Requires.ADMIN, Role.ADMIN),
        (Requires.UPKEEP, Role.ADMIN),
    ],
)
def test_a_role_permits_its_own_and_lower_permissions(requires: Requires, least: Role) -> None:
    allowed = [role for role in Role if not refusal(requires, role, ON)]
    assert allowed == list(Role)[list(Role).index(least) :]


@pytest.mark.parametrize("requires", Requires)
def test_without_roles_everything_switched_on_is_permitted(requires: Requires) -> None:
    assert refusal(requires, None, ON) == ""


@pytest.mark.parametrize("role", [None, Role.ADMIN])
@pytest.mark.parametrize(
    ("switches", "refused"),
    [
        (Switches(write_dags=False), {Requires.WRITE, Requires.REDACT}),
        (Switches(run_dags=False), {Requires.RUN, Requires.RUN_TEXT}),
        (Switches(write_dags=False, inline_runs_need_write=True), {Requires.WRITE, Requires.REDACT, Requires.RUN_TEXT}),
    ],
)
def test_what_is_off_is_off_for_admins_too(role: Role | None, switches: Switches, refused: set[Requires]) -> None:
    assert {requires for requires in Requires if refusal(requires, role, switches)} == refused


def test_the_reason_tells_the_switch_from_the_role() -> None:
    assert "permissions_write_dags" in refusal(Requires.WRITE, Role.VIEWER, Switches(write_dags=False))
    assert "manager" in refusal(Requires.WRITE, Role.VIEWER, ON)


def test_a_setting_raises_inline_runs_to_the_right_to_write() -> None:
    raised = Switches(inline_runs_need_write=True)
    assert refusal(Requires.RUN_TEXT, Role.OPERATOR, raised)
    assert not refusal(Requires.RUN_TEXT, Role.MANAGER, raised)
    assert not refusal(Requires.RUN, Role.OPERATOR, raised)


def test_metrics_are_private_until_a_setting_opens_them() -> None:
    assert [requires for requires in Requires if is_public(requires, ON)] == [
        Requires.PUBLIC,
        Requires.SENDER,  # whom the handler knows by a signature
    ]
    assert [requires for requires in Requires if is_public(requires, Switches(metrics_public=True))] == [
        Requires.PUBLIC,
        Requires.SENDER,
        Requires.METRICS,
    ]


@pytest.mark.parametrize("one", Role)
@pytest.mark.parametrize("other", Role)
def test_the_lesser_of_two_roles_is_the_one_that_may_do_less(one: Role, other: Role) -> None:
    ranks = list(Role)
    assert ranks.index(lower_role(one, other)) == min(ranks.index(one), ranks.index(other))
