"""Members of a company, their invitations, and its brands: changed by owners and administrators.

Roles are a ladder: nobody gives a role above their own, or touches somebody who has one. The company's
row is locked meanwhile, so that of two owners who remove each other one stays.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from megahub.kernel import clock, scope, trail
from megahub.kernel.errors import Conflict, Forbidden, NotFound, ValidationFailed
from megahub.kernel.text import Text
from megahub.tenancy import invitation_mail, services, throttles, tokens
from megahub.tenancy.models import Brand, Company, Invitation, Membership, User
from megahub.tenancy.roles import SCOPES_OF_ROLE, Role, Scope, reaches
from megahub.tenancy.selectors import Caller, bound_brands, forget_callers


def require_manager(caller: Caller) -> None:
    """A person of all brands: what a key, or whoever is bound to a brand, gave would be beyond their own.

    Raises Forbidden.
    """
    if refusal := _refusal(caller):
        raise refusal


def is_manager(caller: Caller) -> bool:
    """Whether ``require_manager`` lets them pass."""
    return _refusal(caller) is None


def _refusal(caller: Caller) -> Forbidden | None:
    if caller.api_key_id is not None:
        return Forbidden("Members and brands are managed by people, not with API keys.")
    if bound_brands(caller) is not None:
        return Forbidden("Members and brands are managed by those who may enter all brands.")
    return None


def members_of(caller: Caller) -> QuerySet[Membership]:
    """The company's memberships."""
    rows: QuerySet[Membership] = Membership.objects.of(caller.company_id).select_related("user")
    return rows.prefetch_related("brands").order_by("id")


def member_of(caller: Caller, pk: int) -> Membership:
    """Raises NotFound."""
    found = members_of(caller).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def change(caller: Caller, pk: int, asked: dict[str, Any]) -> None:
    """Change role, brands, the default brand, or switch somebody off or on.

    Raises Forbidden above one's own role, Conflict for the last owner, ValidationFailed for brands.
    """
    with transaction.atomic():
        row = _touchable(caller, pk)
        role, is_active = asked.get("role", row.role), asked.get("is_active", row.is_active)
        if not reaches(caller.role, role):
            raise Forbidden("Nobody gives a role above their own.")
        if role != Role.OWNER or not is_active:
            keep_an_owner(row)
        row.role, row.is_active = role, is_active
        if "brands" in asked:
            row.brands.set(_brands(caller, asked["brands"], "brands"))
        if "default_brand" in asked:
            chosen = asked["default_brand"]
            row.default_brand = _brands(caller, [chosen], "default_brand")[0] if chosen else None
        row.save(update_fields=["role", "is_active", "default_brand"])
    transaction.on_commit(forget_callers)


def remove(caller: Caller, pk: int) -> None:
    """End a membership; the person's keys in this company end with it. Raises Forbidden, Conflict."""
    with transaction.atomic():
        row = _touchable(caller, pk)
        keep_an_owner(row)
        row.delete()
    transaction.on_commit(forget_callers)


def invite(caller: Caller, asked: dict[str, Any]) -> tuple[Invitation, str]:
    """An invitation and its token, never to be seen again; mailed to its address unless that is not wanted.

    Raises Forbidden above one's own role, ValidationFailed, RateLimited for too many mails.
    """
    if not reaches(caller.role, asked["role"]):
        raise Forbidden("Nobody gives a role above their own.")
    if asked.get("send_email") and not asked["email"]:
        raise _wrong("email", Text("Name the address that the invitation is sent to, or send none."))
    token = f"mhi_{secrets.token_urlsafe(30)}"
    with transaction.atomic():
        row: Invitation = Invitation.objects.unscoped().create(
            company_id=caller.company_id,
            email=asked["email"],
            role=asked["role"],
            digest=tokens.digest(token),
            created_by_id=caller.user_id,
            expires_at=clock.now() + timedelta(days=asked["expires_in_days"]),
        )
        row.brands.set(_brands(caller, asked["brands"], "brands"))
        if asked.get("send_email", bool(row.email)):
            throttles.invite(caller.company_id)
            invitation_mail.write(row, token)
    return row, token


def invitations_of(caller: Caller) -> list[Invitation]:
    """The company's invitations, the newest first, each with what became of its mail."""
    rows = Invitation.objects.of(caller.company_id).select_related("created_by", "accepted_by")
    return invitation_mail.with_states(caller.company_id, rows.prefetch_related("brands").order_by("-pk"))


def invitation_of(caller: Caller, pk: int) -> Invitation:
    """Raises NotFound."""
    found: Invitation | None = Invitation.objects.of(caller.company_id).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def revoke(caller: Caller, row: Invitation) -> None:
    """An invitation is good for nothing any more; one that was accepted, or had ended, stays as it is.

    Raises Forbidden for a role above one's own.
    """
    if not reaches(caller.role, row.role):
        raise Forbidden("This invitation's role is above yours.")
    Invitation.objects.unscoped().filter(pk=row.pk, accepted_at=None, revoked_at=None).update(
        revoked_at=clock.now()
    )
    invitation_mail.withdraw(row)
    row.refresh_from_db(fields=["accepted_at", "revoked_at"])


def accept(
    token: str, username: str, password: str, *, otp: str, new_account: bool, origin: trail.Origin
) -> User:
    """Join with an account that is there, or with a new one; an invitation is good for one.

    Raises ValidationFailed for an invitation that is not valid, what signing in raises, or Conflict for a
    member. Their invitation is left as it was.
    """
    # Before the transaction: what counts the tries must not be undone with them.
    known = None if new_account else services.known(username, password, otp)
    with scope.everybody(), transaction.atomic():
        valid = Invitation.objects.unscoped().filter(
            digest=tokens.digest(token), accepted_at=None, revoked_at=None, expires_at__gt=clock.now()
        )
        row = valid.filter(company__is_active=True).first()
        if row is None or not _stands(row) or valid.update(accepted_at=clock.now()) != 1:
            raise _wrong("token", Text("This invitation is not valid, or not any more."))
        user = known or _made(username, password, row.email)
        if Membership.objects.of(row.company_id).filter(user=user).exists():
            raise Conflict("You are a member of this company already.")
        invitation_mail.withdraw(row)
        Invitation.objects.unscoped().filter(pk=row.pk).update(accepted_by=user)
        who = replace(origin, kind="user", actor_id=user.pk, name=user.username, company_id=row.company_id)
        with trail.change(who, "member.join") as change:
            member = Membership.objects.unscoped().create(
                company_id=row.company_id, user=user, role=row.role
            )
            member.brands.set(row.brands.all())
            change.about(member)
    return user


def _stands(row: Invitation) -> bool:
    """Whether its maker could still make it: whoever was removed or demoted leaves no door open."""
    makers = Membership.objects.of(row.company_id).filter(
        user=row.created_by_id, is_active=True, user__is_active=True
    )
    return any(
        Scope.MEMBERS_MANAGE in SCOPES_OF_ROLE[maker.role] and reaches(maker.role, row.role)
        for maker in makers
    )


def make_brand(caller: Caller, name: str) -> Brand:
    """Raises ValidationFailed for a name that is taken."""
    return _saved(Brand(company_id=caller.company_id, name=name))


def brand_of(caller: Caller, pk: int) -> Brand:
    """Raises NotFound."""
    found: Brand | None = Brand.objects.of(caller.company_id).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def change_brand(brand: Brand, asked: dict[str, Any]) -> Brand:
    """Another name; switched off, nobody enters it any more."""
    for name, value in asked.items():
        setattr(brand, name, value)
    saved = _saved(brand)
    transaction.on_commit(forget_callers)
    return saved


def _saved(brand: Brand) -> Brand:
    try:
        with transaction.atomic():
            brand.save()
    except IntegrityError as error:
        raise _wrong("name", Text("There is a brand of this name already.")) from error
    return brand


def _touchable(caller: Caller, pk: int) -> Membership:
    """``locked``, for a caller. Raises NotFound, or Forbidden above one's own role."""
    row = locked(caller.company_id, pk)
    if not reaches(caller.role, row.role):
        raise Forbidden("This member's role is above yours.")
    return row


def locked(company_id: int, pk: int) -> Membership:
    """A membership as it is now, its company locked until the transaction ends. Raises NotFound."""
    # Jobs that are written refer to the row meanwhile: they wait for nobody, and nobody for them.
    Company.objects.select_for_update(no_key=True).get(pk=company_id)
    found: Membership | None = Membership.objects.of(company_id).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def keep_an_owner(row: Membership, gone: Collection[int] = ()) -> None:
    """Raise Conflict when nobody else who can sign in owns the company; those ``gone`` do not count."""
    if row.role != Role.OWNER or not row.is_active:
        return
    owners = Membership.objects.of(row.company_id).filter(
        role=Role.OWNER, is_active=True, user__is_active=True
    )
    if not owners.exclude(pk__in={row.pk, *gone}).exists():
        raise Conflict("This is the last owner: make another one first.")


def _brands(caller: Caller, numbers: list[int], field: str) -> list[Brand]:
    found = list(Brand.objects.of(caller.company_id).filter(pk__in=numbers))
    if len(found) != len(set(numbers)):
        raise _wrong(field, Text("There is no such brand in this company."))
    return found


def _made(username: str, password: str, email: str) -> User:
    """A new account. Raises ValidationFailed for a name that is taken and for a weak password."""
    user = User(username=User.normalize_username(username), email=email)
    try:
        User.username_validator(user.username)
        validate_password(password, user)
    except ValidationError as error:
        field = "password" if error.error_list and error.error_list[0].code != "invalid" else "username"
        raise ValidationFailed(field_errors={field: error.messages}, param=field) from error
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise _wrong("username", Text("This name is taken.")) from error
    return user


def _wrong(field: str, text: Text) -> ValidationFailed:
    return ValidationFailed(field_errors={field: [text]}, param=field)


def by_language(company: Company, addresses: Iterable[str]) -> dict[str, list[str]]:
    """The addresses by the language that each is written to in: its person's own, else the company's.

    A person is a member of the company; an address stands for the first of its members.
    """
    wanted = list(dict.fromkeys(addresses))
    members = Membership.objects.of(company.pk).filter(user__email__in=wanted).exclude(user__language="")
    own = dict(members.order_by("-id").values_list("user__email", "user__language"))
    found: dict[str, list[str]] = {}
    for address in wanted:
        found.setdefault(own.get(address, company.language), []).append(address)
    return found
