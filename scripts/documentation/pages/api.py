"""The page of the API, from the OpenAPI document that a server serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from litestar import Litestar, Router

from dagbook.api.auth.guards import find_required_permissions
from dagbook.api.dependencies import make_providers
from dagbook.api.requests import ApiRequest
from dagbook.api.routes import describe_operations
from dagbook.auth.roles import Requires, Role, Switches, refusal
from dagbook.identifiers import API_PATH
from dagbook.main.http import FORWARDED_HANDLERS, OWN_HANDLERS, make_openapi
from scripts.documentation.pages.markdown import code, escape, head, table

Json = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")
# The tags of the contract, in its order; those of our extensions follow by name.
TAGS = ("system", "auth", "users", "dags", "dag-runs", "queues", "monitoring")
# The operations of REST API v2, which the contract defines; all others are extensions.
CONTRACT = frozenset(
    {
        "getHealthStatus",
        "login",
        "getCurrentUser",
        "changePassword",
        "listUsers",
        "createUser",
        "getUser",
        "updateUser",
        "deleteUser",
        "resetUserPassword",
        "getWorkers",
        "listDAGs",
        "createNewDAG",
        "validateDAGSpec",
        "getDAGDetails",
        "deleteDAG",
        "executeDAG",
        "enqueueDAGDAGRun",
        "getDAGDAGRunHistory",
        "getDAGDAGRunDetails",
        "getDAGSpec",
        "updateDAGSpec",
        "updateDAGSuspensionState",
        "renameDAG",
        "stopAllDAGRuns",
        "searchDAGs",
        "getAllDAGTags",
        "listDAGRuns",
        "executeDAGRunFromSpec",
        "enqueueDAGRunFromSpec",
        "listDAGRunsByName",
        "getDAGRunDetails",
        "rescheduleDAGRun",
        "getSubDAGRuns",
        "dequeueDAGRun",
        "getDAGRunLog",
        "retryDAGRun",
        "terminateDAGRun",
        "getDAGRunStepLog",
        "updateDAGRunStepStatus",
        "getSubDAGRunDetails",
        "getSubDAGRunLog",
        "getSubDAGRunStepLog",
        "updateSubDAGRunStepStatus",
        "listQueues",
        "getResourceHistory",
        "getSchedulerStatus",
        "getCoordinatorStatus",
        "getMetrics",
    }
)
INTRO = """\
Every operation below `/api/v2`, by tag. Operations *of* API v2 are the contract, which Dagu 1.x answers too; the others
are extensions of Dagbook, which [api-extensions.md](api-extensions.md) explains. A server describes itself in
`GET /api/v2/openapi.json`, which this page is made from.

*Role* is the lowest one that may call the operation, where there are
[users](../how-to/authentication.md#users), for the DAG in the path with
[rights per DAG](../how-to/authentication.md#rights-per-dag). Required parameters and members are bold; those of the
path are in the path. Every operation has the query parameter `remoteNode`
([other servers](../how-to/operations.md#other-servers)). Besides the answers listed, every operation may answer:
"""
OUTRO = """\
Errors have the body `Error`, whose codes are in [errors.md](errors.md)."""
SCHEMAS_INTRO = """\
## Schemas

The objects of bodies and answers; members that an answer may leave out are not bold. Times are texts as in RFC 3339."""
ALIASES_INTRO = """\
## Not in the document

Other paths and methods for operations above, and names of DAGs that paths of operations would hide."""
ANY_USER = {
    Requires.PUBLIC: "anyone",
    Requires.SENDER: "who signs, or has the token of the trigger",
    Requires.METRICS: "viewer, `metrics_token`; anyone if [`metrics`](settings.md) is public",
    Requires.OWN: "any user",
    Requires.OPERATE: "operator",
    Requires.HOOK: "manager, or a signed body",
    Requires.RUN_TEXT: "operator; manager with [`inline_runs_need_write`](settings.md)",
}


@cache
def make_app() -> Litestar:
    """Make an application with the API's operations; it has no services, so it cannot answer."""
    router = Router(API_PATH, route_handlers=[*OWN_HANDLERS, *FORWARDED_HANDLERS])
    app = Litestar(
        [router],
        dependencies=make_providers(),
        openapi_config=make_openapi(API_PATH),
        request_class=ApiRequest,
        logging_config=None,
    )
    describe_operations(app)
    return app


def read_document() -> Json:
    """Return the OpenAPI document of a server of this checkout."""
    return make_app().openapi_schema.to_schema()


def make() -> str:
    """Return the page of the API."""
    document = read_document()
    operations = list(_list_operations(document))
    common = set.intersection(*(set(operation["responses"]) for _, _, operation in operations))
    lines = [*head("The API", "the OpenAPI document that a server serves", INTRO), ""]
    first = operations[0][2]["responses"]
    lines += [*table("status meaning", ((status, escape(first[status]["description"])) for status in sorted(common)))]
    lines += ["", OUTRO]
    for tag in sorted({operation["tags"][0] for _, _, operation in operations}, key=_tag_key):
        lines += ["", f"## {tag}", ""]
        found = [(path, method, operation) for path, method, operation in operations if operation["tags"] == [tag]]
        lines += table(
            "operation request of role meaning answers",
            (_operation_row(*one, common) for one in sorted(found, key=lambda one: (one[0], METHODS.index(one[1])))),
        )
    lines += ["", "## Parameters", ""]
    lines += table("parameter meaning", sorted(set(map(_parameter_row, _list_parameters(operations)))))
    lines += ["", *ALIASES_INTRO.splitlines(), ""]
    lines += table("request meaning", ((code(request), escape(meaning)) for request, meaning in list_aliases()))
    lines += ["", *SCHEMAS_INTRO.splitlines(), ""]
    lines += table("schema members", _schema_rows(document))
    return "\n".join(lines) + "\n"


def _list_operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        yield from ((path.removeprefix(API_PATH), method, item[method]) for method in METHODS if method in item)


def _tag_key(tag: str) -> tuple[int, str]:
    return TAGS.index(tag) if tag in TAGS else len(TAGS), tag


def _operation_row(path: str, method: str, operation: Json, common: set[str]) -> tuple[str, ...]:
    requires = required_permissions()[method.upper(), path]
    parameters = [one for one in operation["parameters"] if one["in"] != "path" and one["name"] != "remoteNode"]
    described = [escape(f"{operation['summary']}.")]
    described += [f"Parameters: {', '.join(map(_describe_parameter, parameters))}"] if parameters else []
    described += [f"Body: {_describe_content(operation['requestBody'])}"] if "requestBody" in operation else []
    answers = [
        f"{status} {_describe_content(answer)}".strip()
        for status, answer in sorted(operation["responses"].items())
        if status not in common
    ]
    name = operation["operationId"]
    return (
        code(name),
        code(f"{method.upper()} {path}"),
        "API v2" if name in CONTRACT else "Dagbook",
        describe_role(requires),
        "<br>".join(described),
        ", ".join(answers),
    )


@cache
def required_permissions() -> dict[tuple[str, str], Requires]:
    """Return the permission of each route by method and path, as the document writes it."""
    return {
        (method, path.removeprefix(API_PATH).replace(":str}", "}")): requires
        for (method, path), requires in find_required_permissions(make_app()).items()
    }


def describe_role(requires: Requires) -> str:
    """Return who may call an operation: the lowest role where there are users."""
    least = next(role for role in Role if not refusal(requires, role, Switches()))
    return ANY_USER.get(requires, least)


def _describe_parameter(parameter: Json) -> str:
    schema = parameter["schema"]
    kind = describe(schema)
    notes = [kind] * (kind != "text")
    notes += ["header"] * (parameter["in"] == "header")
    if schema.get("default") is not None:
        notes.append(f"default {schema['default']}")
    name = code(parameter["name"])
    return (f"**{name}**" if parameter["required"] else name) + (f" ({'; '.join(notes)})" if notes else "")


def _list_parameters(operations: Iterable[tuple[str, str, Json]]) -> Iterator[Json]:
    for _, _, operation in operations:
        yield from (one for one in operation["parameters"] if one["in"] != "path")


def _parameter_row(parameter: Json) -> tuple[str, str]:
    return code(parameter["name"]), escape(parameter["description"])


def _describe_content(message: Json) -> str:
    """Describe a body or an answer by its schema, or by its media type when that is not JSON."""
    for media, content in message.get("content", {}).items():
        schema = content["schema"]
        if schema.get("$ref", "").endswith("/Error"):
            return ""
        return describe(schema) if media == "application/json" else code(media)
    return ""


def describe(schema: Json) -> str:
    """Return a type in words; null is left out."""
    choices = [one for one in schema.get("oneOf", []) if one != {"type": "null"}]
    if "$ref" in schema:
        found = code(schema["$ref"].rpartition("/")[2])
    elif "enum" in schema:
        found = " or ".join(code(str(word)) for word in schema["enum"] if word is not None)
    elif choices:
        found = " or ".join(dict.fromkeys(describe({**one, **_limits(schema)}) for one in choices))
    else:
        found = _describe_plain(schema)
    return found


def _describe_plain(schema: Json) -> str:
    kinds = schema.get("type", "any")
    kind = kinds if isinstance(kinds, str) else next(one for one in kinds if one != "null")
    below = schema.get("items") or schema.get("additionalProperties")
    of = f" of {describe(below)}" if isinstance(below, dict) and below else ""
    text = "time" if schema.get("format") == "date-time" else "text"
    words = {"array": f"list{of}", "object": f"map{of}", "string": text, "integer": "number", "number": "number"}
    return words.get(kind, kind) + _bounds(schema)


def _limits(schema: Json) -> Json:
    return {key: schema[key] for key in ("minimum", "maximum", "format") if key in schema}


def _bounds(schema: Json) -> str:
    least, most = (schema.get(key) for key in ("minimum", "maximum"))
    if most is not None:
        return f" {least or 0:.0f} to {most:.0f}"
    return f" from {least:.0f}" if least else ""


def list_aliases() -> list[tuple[str, str]]:
    """List the requests that are answered although the document does not have them, with the summary of each."""
    found = [("GET /openapi.json", "Return the OpenAPI document of the server.")]
    for route in make_app().routes:
        path = route.path.removeprefix(API_PATH).replace(":str}", "}")
        for handler in getattr(route, "route_handlers", ()):
            if not handler.resolve_include_in_schema() and handler.summary and not path.startswith("/openapi.json"):
                found += [(f"{method} {path}", f"{handler.summary}.") for method in handler.http_methods - {"OPTIONS"}]
    return sorted(found)


def _schema_rows(document: Json) -> Iterable[tuple[str, str]]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        required = schema.get("required", ())
        members = [
            f"{f'**{code(member)}**' if member in required else code(member)} {describe(value)}"
            for member, value in schema.get("properties", {}).items()
        ]
        yield code(name), ", ".join(members) or describe(schema)
