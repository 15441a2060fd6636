"""The description that the server gives of itself."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from scripts.documentation.pages.api import read_document

pytestmark = pytest.mark.always

Operation = dict[str, Any]
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def operations(document: dict[str, Any]) -> list[tuple[str, str, Operation]]:
    return [
        (method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


async def test_the_reference_is_made_from_the_document_that_is_served(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(read_document())) == document


async def test_every_operation_has_an_id_of_its_own(operations: list[tuple[str, str, Operation]]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(ids) == len(set(ids)) >= 16


async def test_every_operation_has_a_summary_of_its_own_and_a_tag(operations: list[tuple[str, str, Operation]]) -> None:
    summaries = [operation["summary"] for _, _, operation in operations]
    assert [text for text in summaries if " " not in text or text.endswith(".")] == []
    assert len(set(summaries)) == len(summaries)
    for _, path, operation in operations:
        word = path.split("/")[3]
        system = {"health": "system", "services": "system", "workers": "system", "metrics": "monitoring"}
        assert operation["tags"] == [system.get(word, word)]


async def test_every_parameter_beside_the_path_has_a_meaning(operations: list[tuple[str, str, Operation]]) -> None:
    for _, path, operation in operations:
        for parameter in operation["parameters"]:
            assert parameter["in"] == "path" or parameter["description"].endswith("."), (path, parameter["name"])


async def test_every_error_that_is_documented_has_the_error_body(operations: list[tuple[str, str, Operation]]) -> None:
    for method, path, operation in operations:
        errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert {"400", "401", "403", "503"} <= set(errors), (method, path)
        for status, answer in errors.items():
            schema = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            health = operation["operationId"] == "getHealthStatus" and status == "503"
            assert schema == ("Health" if health else "Error"), (method, path, status)


async def test_what_answers_without_a_body_documents_none(operations: list[tuple[str, str, Operation]]) -> None:
    bodiless = {
        operation["operationId"]
        for _, _, operation in operations
        if any("content" not in answer for status, answer in operation["responses"].items() if status < "300")
    }
    removals = {"deleteDAG", "deleteUser", "revokeToken", "endSession", "deleteGroup"}
    removals |= {"deleteSource", "deleteAlertChannel", "deleteAlertRule", "deleteTrigger"}
    removals |= {"deleteGrant", "addGroupMember", "removeGroupMember"}
    runs = {"dequeueDAGRun", "retryDAGRun", "terminateDAGRun", "updateDAGRunStepStatus", "updateSubDAGRunStepStatus"}
    assert bodiless == removals | runs | {"renameDAG", "updateDAGSuspensionState", "moveQueueItem"}


async def test_what_a_path_names_is_documented_as_missing(operations: list[tuple[str, str, Operation]]) -> None:
    others = {"listDAGRunsByName"}  # a name without runs has an empty list
    others |= {"receiveEvent", "receiveEventByPut"}  # an unknown hook is answered as a wrong signature
    for method, path, operation in operations:
        if "{" in path and operation["operationId"] not in others:
            assert "404" in operation["responses"], (method, path)


async def test_every_parameter_of_a_path_is_declared(operations: list[tuple[str, str, Operation]]) -> None:
    for _, path, operation in operations:
        declared = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
        assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}


async def test_every_operation_can_be_sent_to_another_node(operations: list[tuple[str, str, Operation]]) -> None:
    for method, path, operation in operations:
        names = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"}
        assert "remoteNode" in names, (method, path)


async def test_a_required_list_is_never_documented_as_null(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for member in schema.get("required", ()):
            assert "null" not in str(schema["properties"][member]), (name, member)
