"""Groups, grants, and who sees what by them (extensions of the contract)."""

from __future__ import annotations

import msgspec
from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.accounts import access
from dagbook.api.dependencies import CurrentCaller, RequestedPage, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.people import grant_body, group_body, user_body
from dagbook.api.routes import delete, get, patch, permission, post, put
from dagbook.api.schemas.people import (
    CreateGrantRequest,
    DAGAccess,
    Grant,
    GrantedDAG,
    Grants,
    Group,
    GroupMember,
    GroupMembers,
    GroupRequest,
    Groups,
    UpdateGrantRequest,
    UserAccess,
)
from dagbook.api.services import AccountServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.repositories.accounts import groups
from dagbook.identifiers import strip_suffix

Services = NamedDependency[AccountServices]


class GroupsController(Controller):
    path = "/groups"
    opt = permission(Requires.ADMIN)
    dependencies = provide_services(AccountServices)

    @get("", "listGroups")
    async def list_groups(self, services: Services) -> Groups:
        """List all groups."""
        return Groups(groups=[group_body(row) for row in await services.database.read(groups.find)])

    @post("", "createGroup", Requires.ADMIN, Action.GROUP_CREATE, 409, status_code=201, fresh=True)
    async def create_group(self, data: JSONBody[GroupRequest], services: Services, caller: CurrentCaller) -> Group:
        """Create a group of users."""
        request = access.GroupRequest(name=data.name, claim=data.claim)
        return group_body(await services.auth.access.create_group(request, caller))

    @get("/{groupId:str}", "getGroup", 404)
    async def get_group(self, group_id: parameters.GroupId, services: Services) -> GroupMembers:
        """Return a group with its members."""
        group, members = await services.auth.access.get_group(group_id)
        shown = msgspec.convert(members, list[GroupMember], from_attributes=True)
        return GroupMembers(group=group_body(group), members=shown)

    @put("/{groupId:str}", "updateGroup", Requires.ADMIN, Action.GROUP_UPDATE, 404, 409, fresh=True)
    async def update_group(
        self, group_id: parameters.GroupId, data: JSONBody[GroupRequest], services: Services, caller: CurrentCaller
    ) -> Group:
        """Change name and claim of a group."""
        request = access.GroupRequest(name=data.name, claim=data.claim)
        return group_body(await services.auth.access.update_group(group_id, request, caller))

    @delete("/{groupId:str}", "deleteGroup", Requires.ADMIN, Action.GROUP_DELETE, 404, fresh=True)
    async def delete_group(self, group_id: parameters.GroupId, services: Services, caller: CurrentCaller) -> None:
        """Delete a group with its grants; its members stay users."""
        await services.auth.access.remove_group(group_id, caller)

    @put(
        "/{groupId:str}/members/{userId:str}",
        "addGroupMember",
        Requires.ADMIN,
        Action.GROUP_JOIN,
        404,
        status_code=204,
        fresh=True,
    )
    async def add_member(
        self, group_id: parameters.GroupId, user_id: parameters.UserId, services: Services, caller: CurrentCaller
    ) -> None:
        """Make a user a member of a group; idempotent."""
        await services.auth.access.add_member(group_id, user_id, caller)

    @delete(
        "/{groupId:str}/members/{userId:str}", "removeGroupMember", Requires.ADMIN, Action.GROUP_LEAVE, 404, fresh=True
    )
    async def remove_member(
        self, group_id: parameters.GroupId, user_id: parameters.UserId, services: Services, caller: CurrentCaller
    ) -> None:
        """Remove a user from a group; one with the group's claim is a member again after the next login."""
        await services.auth.access.remove_member(group_id, user_id, caller)


class GrantsController(Controller):
    path = "/grants"
    opt = permission(Requires.ADMIN)
    dependencies = provide_services(AccountServices)

    @get("", "listGrants")
    async def list_grants(self, services: Services) -> Grants:
        """List the grants of all groups and users."""
        rows = await services.database.read(lambda connection: groups.find_grants(connection, access.MAX_LISTED))
        return Grants(grants=[grant_body(row) for row in rows])

    @post("", "createGrant", Requires.ADMIN, Action.GRANT_CREATE, 404, 409, status_code=201, fresh=True)
    async def create_grant(
        self, data: JSONBody[CreateGrantRequest], services: Services, caller: CurrentCaller
    ) -> Grant:
        """Grant a user or group a role for DAGs by name pattern or tag; it counts from the next request on."""
        request = access.GrantRequest(
            role=data.role, user_id=data.user_id, group_id=data.group_id, pattern=data.pattern, tag=data.tag
        )
        return grant_body(await services.auth.access.create_grant(request, caller))

    @patch("/{grantId:str}", "updateGrant", Requires.ADMIN, Action.GRANT_UPDATE, 404, fresh=True)
    async def update_grant(
        self,
        grant_id: parameters.GrantId,
        data: JSONBody[UpdateGrantRequest],
        services: Services,
        caller: CurrentCaller,
    ) -> Grant:
        """Change the role of a grant."""
        return grant_body(await services.auth.access.update_grant(grant_id, data.role, caller))

    @delete("/{grantId:str}", "deleteGrant", Requires.ADMIN, Action.GRANT_DELETE, 404, fresh=True)
    async def delete_grant(self, grant_id: parameters.GrantId, services: Services, caller: CurrentCaller) -> None:
        """Delete a grant."""
        await services.auth.access.remove_grant(grant_id, caller)


class AccessController(Controller):
    opt = permission(Requires.ADMIN)
    dependencies = provide_services(AccountServices)

    @get("/users/{userId:str}/access", "getUserAccess", 404)
    async def try_as_user(
        self, user_id: parameters.UserId, services: Services, page_number: RequestedPage, name: parameters.Text = None
    ) -> UserAccess:
        """Return which DAGs a user sees and in which role; with ``name`` those whose names contain it."""
        size = page_number.size
        view = await services.auth.access.try_as(user_id, name or "", page_number.offset, size + 1)
        shown = [GrantedDAG(name=right.dag_name, role=right.role) for right in view.rights[:size]]
        return UserAccess(user=user_body(view.user), dags=shown, more=len(view.rights) > size)

    @get("/dags/{fileName:str}/access", "getDAGAccess", 404)
    async def get_dag_access(self, file_name: parameters.FileName, services: Services) -> DAGAccess:
        """Return who may do what with a stored DAG."""
        found = await services.auth.access.of_dag(strip_suffix(file_name))
        return DAGAccess(
            everywhere=[user_body(user) for user in found.everywhere],
            grants=[grant_body(row) for row in found.grants],
        )
