"""The HTTP application of a server: its routes and middleware."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

from litestar import Controller, Litestar, Response, Router
from litestar.config.cors import CORSConfig
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.types import ASGIApp
from msgspec import UnsetType
from msgspec.structs import replace

from dagbook import __version__
from dagbook.accounts.auth_setup import AuthServices, asks_provider, requires_authentication
from dagbook.alerts.rights import is_admin
from dagbook.api import errors
from dagbook.api.auth import browser_session
from dagbook.api.auth.guards import (
    find_actions,
    find_required_permissions,
    make_guard,
    make_proxy_audit,
    make_refusal_hook,
)
from dagbook.api.controllers.accounts import access, auth, credentials, users
from dagbook.api.controllers.alerts import alerts, channels, rules
from dagbook.api.controllers.batches import batches
from dagbook.api.controllers.dags import dag_history, dag_list, dags, retention, revisions, schedules, schema, sources
from dagbook.api.controllers.queues import queue_items, queues
from dagbook.api.controllers.runs import approvals, run_details, run_logs, runs, search, step_details
from dagbook.api.controllers.system import audit, doctor, events, hold, monitoring, pause, secrets
from dagbook.api.controllers.system.overview import OverviewController
from dagbook.api.controllers.system.services import ServicesController
from dagbook.api.controllers.triggers import hooks, triggers
from dagbook.api.dependencies import bind_services, make_providers
from dagbook.api.middleware.compression import CompressionMiddleware, accepts_gzip
from dagbook.api.middleware.host_check import HostCheckMiddleware, is_unspecified
from dagbook.api.middleware.node_proxy import make_proxy
from dagbook.api.middleware.remote_nodes import RemoteNodes
from dagbook.api.middleware.request_context import (
    AnyRequest,
    EncodedSlashesMiddleware,
    HeadMiddleware,
    RequestContextMiddleware,
)
from dagbook.api.middleware.trusted_proxies import TrustedProxiesMiddleware
from dagbook.api.requests import ApiRequest, refuse_nodes, requiring_json
from dagbook.api.routes import DOCUMENT, describe_operations, for_sub_runs_too, hide_extra_docs, make_options
from dagbook.api.schemas.common import Error
from dagbook.api.services import AppServices
from dagbook.auth.roles import Requires, UserScope
from dagbook.db.errors import DatabaseUnavailable
from dagbook.identifiers import API_PATH
from dagbook.settings import Settings
from dagbook.telemetry.metrics import RequestMetrics
from dagbook.web import files, pages
from dagbook.web.frame import Session

# Not forwarded to remote nodes: accounts are local, and a stream's authorization is checked again while it is open,
# which a remote node cannot do for a client of this server.
OWN_HANDLERS: list[type[Controller]] = [
    auth.AuthController,
    users.UsersController,
    credentials.SessionsController,
    credentials.TokensController,
    access.GroupsController,
    access.GrantsController,
    access.AccessController,
    events.EventsController,
    hooks.HooksController,
    hooks.DaguWebhooksController,
]
FORWARDED_HANDLERS: list[type[Controller]] = [
    monitoring.HealthController,
    monitoring.MonitoringController,
    OverviewController,
    ServicesController,
    audit.AuditController,
    doctor.DoctorController,
    secrets.SecretsController,
    hold.HoldController,
    pause.PauseController,
    retention.RetentionController,
    sources.SourcesController,
    dags.DagsController,
    dag_list.DagListController,
    dag_history.DagHistoryController,
    revisions.RevisionsController,
    schema.SchemasController,
    runs.RunsController,
    runs.RootRunController,
    *for_sub_runs_too(run_details.RunDetails),
    *for_sub_runs_too(run_logs.RunLogs),
    *for_sub_runs_too(approvals.Decisions),
    *for_sub_runs_too(step_details.StepDetailsOperations),
    approvals.InboxController,
    search.SearchController,
    queues.QueuesController,
    queue_items.QueueItemsController,
    schedules.SchedulesController,
    alerts.AlertsController,
    alerts.RunAlertsController,
    channels.AlertChannelsController,
    rules.AlertRulesController,
    triggers.TriggersController,
    batches.BatchesController,
]


def make_application(settings: Settings, services: AppServices, nodes: RemoteNodes, traffic: RequestMetrics) -> ASGIApp:
    """Assemble routes and middleware; raises UnguardedRouteError."""
    path = settings.base_path + API_PATH
    app = _litestar(settings, services, nodes, path)
    bind_services(app, services)
    describe_operations(app)
    find_required_permissions(app)
    find_actions(app)
    own_hosts = () if is_unspecified(settings.host) else (settings.host,)
    routed = HeadMiddleware(CompressionMiddleware(EncodedSlashesMiddleware(app, path), path))
    checked = HostCheckMiddleware(
        routed,
        base_path=settings.base_path,
        allowed_hosts=(*settings.allowed_hosts, *own_hosts),
        allowed_origins=settings.cors_origins,
        refuses_proxied=_is_closed_to_proxies(settings),
        unchangeable=services.system.snapshot,
    )
    outermost = RequestContextMiddleware(checked, traffic, log=settings.request_log, varies=bool(settings.cors_origins))
    trusts = settings.trusted_proxies or settings.socket
    return TrustedProxiesMiddleware(outermost, settings.trusted_proxies) if trusts else outermost


class _Router(Router):
    """A router that is registered once: litestar registers a copy, with one of each handler, a fifth of a start."""

    def __deepcopy__(self, memo: dict[int, object]) -> _Router:
        return self


class _Application(Litestar):
    """An application without plugins for pydantic, which pgqueuer brings along, and attrs: they take 0.1 s."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def _litestar(settings: Settings, services: AppServices, nodes: RemoteNodes, path: str) -> Litestar:
    audit_forwarded = make_proxy_audit(services.accounts.auth.refusals)
    proxy = make_proxy(nodes, path, audit_forwarded) if settings.remote_nodes else refuse_nodes
    return _Application(
        [
            _Router(
                path,
                route_handlers=[make_options(FORWARDED_HANDLERS), *FORWARDED_HANDLERS],
                before_request=requiring_json(proxy) if _is_closed_to_proxies(settings) else proxy,
            ),
            _Router(path, route_handlers=[make_options(OWN_HANDLERS), *OWN_HANDLERS]),
            _Router(
                settings.base_path or "/",
                route_handlers=[
                    auth.OidcController,
                    *pages.make_handlers(
                        settings.base_path,
                        partial(_page_config, settings, services),
                        partial(_find_session, services.accounts.auth, settings.base_path),
                        accepts_gzip,
                    ),
                ],
                include_in_schema=False,
            ),
        ],
        guards=[make_guard(services.accounts.auth)],
        after_exception=[make_refusal_hook(services.accounts.auth.refusals)],
        dependencies=make_providers(),
        exception_handlers={**errors.make_handlers(), NotFoundException: _missing_page(settings, services, path)},
        openapi_config=make_openapi(path),
        cors_config=_cors(settings),
        request_class=ApiRequest,
        request_max_body_size=settings.max_body_bytes,
        logging_config=None,
    )


def _is_closed_to_proxies(settings: Settings) -> bool:
    """Whether requests of proxies are refused, because there is no authentication."""
    return not requires_authentication(settings) and not settings.insecure


async def _page_config(settings: Settings, services: AppServices, session: Session | None) -> dict[str, object]:
    """Return the configuration of a page, with the failing channels that its user may see."""
    if session is None and requires_authentication(settings):
        return _ui_config(settings, services)
    shared_only = session is not None and not session.is_admin
    try:
        failing = await services.alerts.channels.find_failing(shared_only=shared_only)
        paused = await services.system.pausing.is_paused()
        position = await services.system.feed.find_position()
    except DatabaseUnavailable:
        failing, paused, position = [], False, ""
    return _ui_config(settings, services, failing, paused=paused, position=position)


def _ui_config(
    settings: Settings,
    services: AppServices,
    failing: Sequence[str] = (),
    *,
    paused: bool = False,
    position: str = "",
) -> dict[str, object]:
    """Return the configuration that the web UI's scripts need before their first request."""
    return {
        "failing": failing,
        "version": __version__,
        "provider": urlsplit(settings.auth_oidc_issuer).hostname if asks_provider(settings) else "",
        "login": "builtin" if settings.auth_mode == "builtin" else "token" if settings.auth_token else "",
        "runs": settings.permissions_run_dags,
        "writes": settings.permissions_write_dags,
        "zone": str(settings.tz),
        "examples": files.example_names(),
        "held": services.system.holding.row is not None,
        "paused": paused,
        "position": position,
        "snapshot": services.system.snapshot,
    }


async def _find_session(access: AuthServices, base_path: str, request: AnyRequest) -> Session | None:
    """Return the session of the browser that asks for a page, which its scripts then need not ask for."""
    found = await browser_session.find(access, base_path, request)
    if found is None:
        return None
    caller, body = found
    session = Session(body=body, is_admin=is_admin(access, caller))
    if isinstance(body.user, UnsetType):
        return session
    user = body.user
    return replace(session, username=user.username, role=user.role, has_grants=user.scope is UserScope.GRANTED)


def _missing_page(
    settings: Settings, services: AppServices, api: str
) -> Callable[[AnyRequest, NotFoundException], Response[bytes] | Response[Error]]:
    """Make the 404 handler: an HTML page for browsers outside the API, an error body for all other clients."""

    def respond(request: AnyRequest, error: NotFoundException) -> Response[bytes] | Response[Error]:
        if pages.wants_page(request) and not request.url.path.startswith(api):
            return pages.document(settings.base_path, _ui_config(settings, services), status=404)
        return errors.http_error(request, error)

    return respond


def make_openapi(path: str) -> OpenAPIConfig:
    """Return the config of the OpenAPI document of an API below a path."""
    return OpenAPIConfig(
        title="Dagbook",
        version=__version__,
        openapi_router=Router(
            path + DOCUMENT,
            route_handlers=[],
            include_in_schema=False,
            before_request=hide_extra_docs,
            opt={"requires": Requires.READ, "narrowed": True},
        ),
        render_plugins=[JsonRenderPlugin(path="/")],
    )


def _cors(settings: Settings) -> CORSConfig | None:
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=[
            "Content-Type",
            "Authorization",
            "Content-Encoding",
            "Accept",
            "If-Match",
            "Last-Event-ID",
            "X-Request-Id",
        ],
        expose_headers=["ETag", "X-Request-Id", "Retry-After"],
        max_age=300,
    )
