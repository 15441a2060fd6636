"""Names and numbers that may exist once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import Conflict
from tests.db.rows import (
    NOW,
    add_attempt,
    add_dag,
    add_definition,
    add_node,
    add_request,
    add_revision,
    add_run,
    add_token,
    add_user,
    add_whole_run,
    rehearse,
    run_sql,
)

Work = Callable[[WriteConnection], object]


def two_dags_of_one_file(connection: WriteConnection) -> None:
    add_definition(connection)
    add_dag(connection)
    add_dag(connection, dag_name="other")


def two_revisions_of_one_number(connection: WriteConnection) -> None:
    add_definition(connection)
    dag_id = add_dag(connection)
    add_revision(connection, dag_id, 1)
    add_revision(connection, dag_id, 1)


def two_root_runs_of_one_id(connection: WriteConnection) -> None:
    add_whole_run(connection)
    add_run(connection)


def two_children_of_one_id(connection: WriteConnection) -> None:
    root = add_whole_run(connection)
    for dag_name in ("first", "second"):
        add_run(connection, dag_name=dag_name, run_id="child", root_id=root, parent_id=root)


def two_attempts_of_one_number(connection: WriteConnection) -> None:
    add_attempt(connection, add_whole_run(connection), status=2)


def two_nodes_of_one_position(connection: WriteConnection) -> None:
    add_node(connection, add_whole_run(connection), name="other")


def two_steps_of_one_name(connection: WriteConnection) -> None:
    add_node(connection, add_whole_run(connection), position=1)


def a_child_without_parent(connection: WriteConnection) -> None:
    add_run(connection, run_id="child", root_id=add_whole_run(connection))


def a_request_of_unknown_kind(connection: WriteConnection) -> None:
    add_request(connection, add_whole_run(connection))
    run_sql(connection, "UPDATE run_requests SET kind = 'sing'")


def two_users_of_one_name(connection: WriteConnection) -> None:
    add_user(connection)
    add_user(connection, id="u2")


def a_user_without_a_name(connection: WriteConnection) -> None:
    add_user(connection, username="")


def a_user_of_unknown_role(connection: WriteConnection) -> None:
    add_user(connection, role="ADMIN")


def a_token_of_nobody(connection: WriteConnection) -> None:
    add_token(connection)


def a_token_that_is_stored_as_it_is(connection: WriteConnection) -> None:
    add_user(connection)
    add_token(connection, hash="dbk_secret")


def a_token_that_ends_before_it_begins(connection: WriteConnection) -> None:
    add_user(connection)
    add_token(connection, expires_at=NOW)


def two_tokens_of_one_name(connection: WriteConnection) -> None:
    add_user(connection)
    add_token(connection)
    add_token(connection, id="t2", hash="b" * 64)


REFUSED: list[Work] = [
    two_users_of_one_name,
    a_user_without_a_name,
    a_user_of_unknown_role,
    a_token_of_nobody,
    a_token_that_is_stored_as_it_is,
    a_token_that_ends_before_it_begins,
    two_tokens_of_one_name,
    two_dags_of_one_file,
    two_revisions_of_one_number,
    two_root_runs_of_one_id,
    two_children_of_one_id,
    two_attempts_of_one_number,
    two_nodes_of_one_position,
    two_steps_of_one_name,
    a_child_without_parent,
    a_request_of_unknown_kind,
]


def one_id_under_two_dags(connection: WriteConnection) -> None:
    add_whole_run(connection)
    add_run(connection, dag_name="other")


def a_child_named_like_a_root(connection: WriteConnection) -> None:
    root = add_whole_run(connection)
    add_run(connection, root_id=root, parent_id=root)


def one_child_id_under_two_roots(connection: WriteConnection) -> None:
    for root in (add_whole_run(connection), add_run(connection, run_id="two")):
        add_run(connection, run_id="child", root_id=root, parent_id=root)


def a_handler_named_like_a_step(connection: WriteConnection) -> None:
    add_node(connection, add_whole_run(connection), position=-5, handler=True)


def two_users_that_differ_in_case(connection: WriteConnection) -> None:
    add_user(connection)
    add_user(connection, id="u2", username="ANN")


def a_token_named_like_a_revoked_one(connection: WriteConnection) -> None:
    add_user(connection)
    add_token(connection, revoked_at=NOW)
    add_token(connection, id="t2", hash="b" * 64)


ACCEPTED: list[Work] = [
    two_users_that_differ_in_case,
    a_token_named_like_a_revoked_one,
    one_id_under_two_dags,
    a_child_named_like_a_root,
    one_child_id_under_two_roots,
    a_handler_named_like_a_step,
]


@pytest.mark.parametrize("work", REFUSED, ids=lambda work: work.__name__)
async def test_the_database_refuses(shared_database: Database, work: Work) -> None:
    with pytest.raises(Conflict):
        await rehearse(shared_database, work)


@pytest.mark.parametrize("work", ACCEPTED, ids=lambda work: work.__name__)
async def test_the_database_accepts(shared_database: Database, work: Work) -> None:
    await rehearse(shared_database, work)


async def test_the_number_of_a_removed_run_is_not_given_again(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        first = add_whole_run(connection)
        run_sql(connection, "DELETE FROM runs")
        assert add_run(connection) > first

    await rehearse(shared_database, work)
