"""Hooks: what programs of strangers send to start runs. An extension of the contract."""

from __future__ import annotations

from litestar import Controller, Response
from litestar.di import NamedDependency

from dagbook.api.dependencies import provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.fields import or_unset
from dagbook.api.presenters.triggers import present_received
from dagbook.api.requests import ApiRequest
from dagbook.api.routes import permission, post, put
from dagbook.api.schemas.triggers import ReceivedEvent, WebhookRun
from dagbook.api.services import TriggerServices
from dagbook.auth.roles import Requires
from dagbook.triggers.intake import HookRequest

Services = NamedDependency[TriggerServices]


def _asked(request: ApiRequest, *, is_of_dagu: bool = False) -> HookRequest:
    headers: dict[str, list[str]] = {}
    for key, value in request.scope["headers"]:
        headers.setdefault(key.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    address = request.user.address
    return HookRequest(headers=headers, read=request.read_into, address=address, is_of_dagu=is_of_dagu)


async def _receive(request: ApiRequest, name: str, services: TriggerServices) -> Response[ReceivedEvent]:
    received = await services.intake.receive(name, _asked(request))
    return Response(present_received(received), status_code=200 if received.is_duplicate else 202)


class HooksController(Controller):
    path = "/hooks"
    opt = permission(Requires.SENDER)
    dependencies = provide_services(TriggerServices)

    @post("/{hookName:str}", "receiveEvent", Requires.SENDER, None, 413, status_code=202)
    async def receive(
        self, request: ApiRequest, hook_name: parameters.HookName, services: Services
    ) -> Response[ReceivedEvent]:
        """Keep an event, which starts a run of the DAG of the trigger with this name.

        Its sender is known by a signature or a token, as the scheme of the trigger says. The answer is 202 once the
        event is stored, and 200 with ``duplicate`` and the first ids for one that was sent before.
        """
        return await _receive(request, hook_name, services)

    @put("/{hookName:str}", "receiveEventByPut", Requires.SENDER, None, 413, status_code=202)
    async def receive_by_put(
        self, request: ApiRequest, hook_name: parameters.HookName, services: Services
    ) -> Response[ReceivedEvent]:
        """Keep an event, as by POST."""
        return await _receive(request, hook_name, services)


class DaguWebhooksController(Controller):
    path = "/webhooks"
    opt = permission(Requires.SENDER)
    dependencies = provide_services(TriggerServices)

    @post("/{hookName:str}", "receiveDaguEvent", Requires.SENDER, None, 404, 409, 413, status_code=200)
    async def receive(self, request: ApiRequest, hook_name: parameters.HookName, services: Services) -> WebhookRun:
        """Keep an event of a webhook that was imported from Dagu 1.30, whose senders use this path.

        The body is ``{"dagRunId": "…", "payload": {…}}``, both optional. The answer is 409 if the DAG has a run with
        this id, and 404 if it was deleted.
        """
        run_id, dag_name = await services.intake.receive_of_dagu(hook_name, _asked(request, is_of_dagu=True))
        return WebhookRun(dag_run_id=or_unset(run_id), dag_name=dag_name)
