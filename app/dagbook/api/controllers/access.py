"""Groups, grants, and who sees what by them (extensions of the contract)."""

from __future__ import annotations

import msgspec
from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.accounts import access
from dagbook.accounts.auth_setup import AuthServices
from dagbook.api.errors import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.people import grant_body, group_body, user_body
from dagbook.api.providers import provide_services
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
from dagbook.api.services import PageNumber
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import Database
from dagbook.db.repositories import groups
from dagbook.identifiers import strip_suffix


class AccessServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of groups and grants."""

    database: Database
    auth: AuthServices


class GroupsController(Controller):
    path = "/groups"
    dependencies = provide_services(AccessServices)

    @get(operation_id="listGroups", requires=Requires.ADMIN, responses=errors())
    async def list_groups(self, services: NamedDependency[AccessServices]) -> Groups:
        """List all groups."""
        return Groups(groups=[group_body(row) for row in await services.database.read(groups.find)])

    @post(
        operation_id="createGroup",
        status_code=201,
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.GROUP_CREATE,
        responses=errors(409),
    )
    async def create_group(
        self, data: JSONBody[GroupRequest], services: NamedDependency[AccessServices], caller: NamedDependency[Caller]
    ) -> Group:
        """Create a group of users."""
        request = access.GroupRequest(name=data.name, claim=data.claim)
        return group_body(await services.auth.access.create_group(request, caller))

    @get("/{groupId:str}", operation_id="getGroup", requires=Requires.ADMIN, responses=errors(404))
    async def get_group(self, group_id: parameters.GroupId, services: NamedDependency[AccessServices]) -> GroupMembers:
        """Return a group with its members."""
        group, members = await services.auth.access.get_group(group_id)
        shown = [
            GroupMember(user_id=member.user_id, username=member.username, by_claim=member.by_claim)
            for member in members
        ]
        return GroupMembers(group=group_body(group), members=shown)

    @put(
        "/{groupId:str}",
        operation_id="updateGroup",
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.GROUP_UPDATE,
        responses=errors(404, 409),
    )
    async def update_group(
        self,
        group_id: parameters.GroupId,
        data: JSONBody[GroupRequest],
        services: NamedDependency[AccessServices],
        caller: NamedDependency[Caller],
    ) -> Group:
        """Change name and claim of a group."""
        request = access.GroupRequest(name=data.name, claim=data.claim)
        return group_body(await services.auth.access.update_group(group_id, request, caller))

    @delete(
        "/{groupId:str}",
        operation_id="deleteGroup",
        status_code=204,
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.GROUP_DELETE,
        responses=errors(404),
    )
    async def delete_group(
        self, group_id: parameters.GroupId, services: NamedDependency[AccessServices], caller: NamedDependency[Caller]
    ) -> None:
        """Delete a group with its grants; its members stay users."""
        await services.auth.access.remove_group(group_id, caller)

    @put(
        "/{groupId:str}/members/{userId:str}",
        operation_id="addGroupMember",
        status_code=204,
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.GROUP_JOIN,
        responses=errors(404),
    )
    async def add_member(
        self,
        group_id: parameters.GroupId,
        user_id: parameters.UserId,
        services: NamedDependency[AccessServices],
        caller: NamedDependency[Caller],
    ) -> None:
        """Make a user a member of a group; idempotent."""
        await services.auth.access.add_member(group_id, user_id, caller)

    @delete(
        "/{groupId:str}/members/{userId:str}",
        operation_id="removeGroupMember",
        status_code=204,
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.GROUP_LEAVE,
        responses=errors(404),
    )
    async def remove_member(
        self,
        group_id: parameters.GroupId,
        user_id: parameters.UserId,
        services: NamedDependency[AccessServices],
        caller: NamedDependency[Caller],
    ) -> None:
        """Remove a user from a group; one with the group's claim is a member again after the next login."""
        await services.auth.access.remove_member(group_id, user_id, caller)


class GrantsController(Controller):
    path = "/grants"
    dependencies = provide_services(AccessServices)

    @get(operation_id="listGrants", requires=Requires.ADMIN, responses=errors())
    async def list_grants(self, services: NamedDependency[AccessServices]) -> Grants:
        """List the grants of all groups and users."""
        rows = await services.database.read(lambda connection: groups.find_grants(connection, access.MAX_LISTED))
        return Grants(grants=[grant_body(row) for row in rows])

    @post(
        operation_id="createGrant",
        status_code=201,
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.GRANT_CREATE,
        responses=errors(404, 409),
    )
    async def create_grant(
        self,
        data: JSONBody[CreateGrantRequest],
        services: NamedDependency[AccessServices],
        caller: NamedDependency[Caller],
    ) -> Grant:
        """Grant a user or group a role for DAGs by name pattern or tag; it counts from the next request on."""
        request = access.GrantRequest(
            role=data.role, user_id=data.user_id, group_id=data.group_id, pattern=data.pattern, tag=data.tag
        )
        return grant_body(await services.auth.access.create_grant(request, caller))

    @patch(
        "/{grantId:str}",
        operation_id="updateGrant",
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.GRANT_UPDATE,
        responses=errors(404),
    )
    async def update_grant(
        self,
        grant_id: parameters.GrantId,
        data: JSONBody[UpdateGrantRequest],
        services: NamedDependency[AccessServices],
        caller: NamedDependency[Caller],
    ) -> Grant:
        """Change the role of a grant."""
        return grant_body(await services.auth.access.update_grant(grant_id, data.role, caller))

    @delete(
        "/{grantId:str}",
        operation_id="deleteGrant",
        status_code=204,
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.GRANT_DELETE,
        responses=errors(404),
    )
    async def delete_grant(
        self, grant_id: parameters.GrantId, services: NamedDependency[AccessServices], caller: NamedDependency[Caller]
    ) -> None:
        """Delete a grant."""
        await services.auth.access.remove_grant(grant_id, caller)


class AccessController(Controller):
    dependencies = provide_services(AccessServices)

    @get("/users/{userId:str}/access", operation_id="getUserAccess", requires=Requires.ADMIN, responses=errors(404))
    async def try_as_user(
        self,
        user_id: parameters.UserId,
        services: NamedDependency[AccessServices],
        page_number: NamedDependency[PageNumber],
        name: parameters.Text = None,
    ) -> UserAccess:
        """Return which DAGs a user sees and in which role; with ``name`` those whose names contain it."""
        size = page_number.size
        view = await services.auth.access.try_as(user_id, name or "", (page_number.number - 1) * size, size + 1)
        shown = [GrantedDAG(name=right.dag_name, role=right.role) for right in view.rights[:size]]
        return UserAccess(user=user_body(view.user), dags=shown, more=len(view.rights) > size)

    @get("/dags/{fileName:str}/access", operation_id="getDAGAccess", requires=Requires.ADMIN, responses=errors(404))
    async def get_dag_access(
        self, file_name: parameters.FileName, services: NamedDependency[AccessServices]
    ) -> DAGAccess:
        """Return who may do what with a stored DAG."""
        found = await services.auth.access.of_dag(strip_suffix(file_name))
        return DAGAccess(
            everywhere=[user_body(user) for user in found.everywhere],
            grants=[grant_body(row) for row in found.grants],
        )
