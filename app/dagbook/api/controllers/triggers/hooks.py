"""Hooks: what programs of strangers send to start runs. An extension of the contract."""

from __future__ import annotations

from litestar import Controller, Response
from litestar.di import NamedDependency

from dagbook.api.dependencies import provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.triggers import present_received
from dagbook.api.requests import ApiRequest
from dagbook.api.routes import permission, post, put
from dagbook.api.schemas.triggers import ReceivedEvent
from dagbook.api.services import TriggerServices
from dagbook.auth.roles import Requires
from dagbook.triggers.intake import HookRequest

Services = NamedDependency[TriggerServices]


async def _receive(request: ApiRequest, name: str, services: TriggerServices) -> Response[ReceivedEvent]:
    headers: dict[str, list[str]] = {}
    for key, value in request.scope["headers"]:
        headers.setdefault(key.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    asked = HookRequest(headers=headers, read=request.read_into, address=request.user.address)
    received = await services.intake.receive(name, asked)
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
