"""``/auth/members/``, ``/auth/invitations/`` and ``/auth/brands/``."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from megahub.kernel import trail
from megahub.kernel.errors import Conflict, InvalidCredentials, InvalidOtp, OtpRequired, RateLimited
from megahub.kernel.refusals import named
from megahub.kernel.shapes import read, refuse_unknown
from megahub.tenancy import invitation_mail, members, services, throttles
from megahub.tenancy.api import member_shapes as shapes
from megahub.tenancy.api.serializers import Pair
from megahub.tenancy.authentication import HasScope, caller_of
from megahub.tenancy.models import Brand
from megahub.tenancy.replaying import Idempotent
from megahub.tenancy.second_factors import SecondFactorMissing
from megahub.tenancy.selectors import Caller, brands_of

MANAGE = "members:manage"
GONE = {204: OpenApiResponse(description="Gone.")}


class Managing(APIView):
    """For people who manage members, in all brands."""

    permission_classes = (IsAuthenticated, HasScope)
    scopes = dict.fromkeys(("GET", "POST", "PATCH", "DELETE"), MANAGE)

    def manager(self, request: Request) -> Caller:
        """Raises Forbidden for API keys and for those bound to brands."""
        refuse_unknown(request.query_params, (), in_query=True)
        caller = caller_of(request)
        members.require_manager(caller)
        return caller


@extend_schema(tags=["members"])
class MembersView(Managing):
    @extend_schema(operation_id="auth_members_list", responses=shapes.MemberShape(many=True))
    def get(self, request: Request) -> Response:
        """The company's members: a bare array."""
        rows = members.members_of(self.manager(request))
        return Response(shapes.MemberShape(rows, many=True).data)


@extend_schema(tags=["members"])
class MemberView(Managing):
    @extend_schema(responses=shapes.MemberShape)
    def get(self, request: Request, pk: int) -> Response:
        """A member."""
        return Response(shapes.MemberShape(members.member_of(self.manager(request), pk)).data)

    @extend_schema(request=shapes.ChangedMember, responses=shapes.MemberShape, extensions=named(Conflict))
    def patch(self, request: Request, pk: int) -> Response:
        """Change a role, brands, or switch somebody off; it holds everywhere within 5 seconds.

        Nobody gives a role above their own; the last owner stays.
        """
        caller, asked = self.manager(request), read(shapes.ChangedMember, request.data)
        with trail.change(request, "member.change", members.member_of(caller, pk)):
            members.change(caller, pk, asked)
        return Response(shapes.MemberShape(members.member_of(caller, pk)).data)

    @extend_schema(responses=GONE, extensions=named(Conflict))
    def delete(self, request: Request, pk: int) -> Response:
        """Remove a member; their API keys end within 5 seconds, open streams within 60."""
        caller = self.manager(request)
        row = members.member_of(caller, pk)
        with trail.change(request, "member.remove", row, object_id=row.pk):
            members.remove(caller, pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(tags=["members"])
class InvitationsView(Idempotent, Managing):
    @extend_schema(operation_id="auth_invitations_list", responses=shapes.InvitationShape(many=True))
    def get(self, request: Request) -> Response:
        """The company's invitations, the newest first: a bare array."""
        rows = members.invitations_of(self.manager(request))
        return Response(shapes.InvitationShape(rows, many=True).data)

    @extend_schema(
        request=shapes.NewInvitation,
        responses={201: shapes.MadeInvitation},
        extensions=named(RateLimited),
    )
    def post(self, request: Request) -> Response:
        """Invite somebody: by mail, or with the token, which this answer is the only one to hold."""
        caller, asked = self.manager(request), read(shapes.NewInvitation, request.data)
        with trail.change(request, "member.invite") as change:
            row, token = members.invite(caller, asked)
            change.about(row)
        (row,) = invitation_mail.with_states(row.company_id, [row])
        row.token = token  # type: ignore[attr-defined]
        return Response(shapes.MadeInvitation(row).data, status=status.HTTP_201_CREATED)


@extend_schema(tags=["members"])
class InvitationView(Managing):
    @extend_schema(responses={200: shapes.InvitationShape})
    def delete(self, request: Request, pk: int) -> Response:
        """Revoke an invitation of a role up to one's own; it stays listed with the moment of its end."""
        caller = self.manager(request)
        row = members.invitation_of(caller, pk)
        with trail.change(request, "member.uninvite", row):
            members.revoke(caller, row)
        (row,) = invitation_mail.with_states(row.company_id, [row])
        return Response(shapes.InvitationShape(row).data)


@extend_schema(tags=["members"])
class AcceptView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="auth_invitations_accept",
        request=shapes.Acceptance,
        responses=Pair,
        auth=[],
        extensions=named(Conflict, InvalidCredentials, OtpRequired, InvalidOtp, SecondFactorMissing),
    )
    def post(self, request: Request) -> Response:
        """Join a company with an invitation, and sign in."""
        asked, address = read(shapes.Acceptance, request.data), request.META.get("REMOTE_ADDR", "")
        throttles.sign_in(asked["username"], address)
        user = members.accept(**asked, origin=trail.origin_of(request))
        throttles.signed_in(asked["username"], address)
        access, refresh = services.begin(user)
        return Response({"access": access, "refresh": refresh})


@extend_schema(tags=["members"])
class BrandsView(Idempotent, Managing):
    scopes = {"POST": MANAGE}

    @extend_schema(operation_id="auth_brands_list", responses=shapes.OwnBrand(many=True))
    def get(self, request: Request) -> Response:
        """The brands that the caller may enter; to those who manage them all, the inactive ones too."""
        refuse_unknown(request.query_params, (), in_query=True)
        caller = caller_of(request)
        rows = Brand.objects.of(caller.company_id).order_by("name")
        manages = MANAGE in caller.scopes and members.is_manager(caller)
        shown = rows if manages else rows.filter(pk__in=brands_of(caller))
        return Response(shapes.OwnBrand(shown, many=True).data)

    @extend_schema(request=shapes.NewBrand, responses={201: shapes.OwnBrand})
    def post(self, request: Request) -> Response:
        """Make a brand."""
        caller, asked = self.manager(request), read(shapes.NewBrand, request.data)
        with trail.change(request, "brand.create") as change:
            row = members.make_brand(caller, asked["name"])
            change.about(row)
        return Response(shapes.OwnBrand(row).data, status=status.HTTP_201_CREATED)


@extend_schema(tags=["members"])
class BrandView(Managing):
    @extend_schema(request=shapes.ChangedBrand, responses=shapes.OwnBrand)
    def patch(self, request: Request, pk: int) -> Response:
        """Rename a brand, or switch it off and on; what was counted for it stays."""
        caller, asked = self.manager(request), read(shapes.ChangedBrand, request.data)
        row = members.brand_of(caller, pk)
        with trail.change(request, "brand.change", row):
            members.change_brand(row, asked)
        return Response(shapes.OwnBrand(row).data)
