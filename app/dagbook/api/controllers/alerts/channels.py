"""Channels of alerts. An extension of the contract."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.alerts.requests import ChangeAlertChannel, NewAlertChannel
from dagbook.alerts.rights import is_admin
from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.alerts import present_channel, present_test
from dagbook.api.routes import delete, get, patch, permission, post
from dagbook.api.schemas.alerts import AlertChannel, AlertChannels, AlertTest
from dagbook.api.services import AlertServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.errors import NotFoundError
from dagbook.identifiers import shorten

Services = NamedDependency[AlertServices]


class AlertChannelsController(Controller):
    path = "/alert-channels"
    opt = permission(Requires.READ)
    dependencies = provide_services(AlertServices)

    @get("", "listAlertChannels", narrowed=True)
    async def list_channels(self, services: Services, caller: CurrentCaller) -> AlertChannels:
        """List the channels that alerts are sent to; others than admins see the shared ones."""
        admin = is_admin(services.auth, caller)
        rows = [row for row in await services.channels.find() if admin or row.shared]
        return AlertChannels(channels=[present_channel(row, services.zone, is_admin=admin) for row in rows])

    @post("", "addAlertChannel", Requires.UPKEEP, Action.ALERT_CHANNEL_CREATE, 409, status_code=201)
    async def add(self, data: JSONBody[NewAlertChannel], services: Services, caller: CurrentCaller) -> AlertChannel:
        """Add a channel; the secret that signs a webhook is in this answer, and in no later one."""
        row, secret = await services.channels.add(data, caller.actor)
        return present_channel(row, services.zone, is_admin=True, secret=secret)

    @get("/{channelName:str}", "getAlertChannel", 404, narrowed=True)
    async def get_channel(
        self, channel_name: parameters.ChannelName, services: Services, caller: CurrentCaller
    ) -> AlertChannel:
        """Return a channel with its state."""
        row, admin = await services.channels.require(channel_name), is_admin(services.auth, caller)
        if not (admin or row.shared):
            raise NotFoundError(f"there is no channel named {shorten(channel_name)}")
        return present_channel(row, services.zone, is_admin=admin)

    @patch("/{channelName:str}", "changeAlertChannel", Requires.UPKEEP, Action.ALERT_CHANNEL_UPDATE, 404)
    async def change(
        self,
        channel_name: parameters.ChannelName,
        data: JSONBody[ChangeAlertChannel],
        services: Services,
        caller: CurrentCaller,
    ) -> AlertChannel:
        """Change a channel; one that is disabled drops what waits for it."""
        row = await services.channels.change(channel_name, data, caller.actor)
        return present_channel(row, services.zone, is_admin=True)

    @delete("/{channelName:str}", "deleteAlertChannel", Requires.UPKEEP, Action.ALERT_CHANNEL_DELETE, 404, 409)
    async def remove(self, channel_name: parameters.ChannelName, services: Services, caller: CurrentCaller) -> None:
        """Delete a channel that no rule uses; its deliveries stay."""
        await services.channels.remove(channel_name, caller.actor)

    @post("/{channelName:str}/secret", "rotateAlertChannelSecret", Requires.UPKEEP, Action.ALERT_CHANNEL_UPDATE, 404)
    async def rotate(
        self, channel_name: parameters.ChannelName, services: Services, caller: CurrentCaller
    ) -> AlertChannel:
        """Make a new secret for a webhook or a ping; the old one signs beside it for 24 hours."""
        row, secret = await services.channels.rotate(channel_name, caller.actor)
        return present_channel(row, services.zone, is_admin=True, secret=secret)

    @post("/{channelName:str}/test", "testAlertChannel", Requires.UPKEEP, Action.ALERT_TEST, 404)
    async def test(self, channel_name: parameters.ChannelName, services: Services, caller: CurrentCaller) -> AlertTest:
        """Send a test to a channel, and wait for its receipt for 20 seconds."""
        tested = await services.alerts.test_channel(channel_name, caller.actor)
        return present_test(tested, services.zone, is_admin=True)
