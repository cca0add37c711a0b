"""Who is calling: from a token and an optional brand id to a ``Caller``."""

from __future__ import annotations

import hmac
import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Q, QuerySet

from megahub.kernel import clock, scope
from megahub.kernel.cache import ShortLived
from megahub.kernel.errors import (
    BrandNotFound,
    BrandRequired,
    Forbidden,
    InvalidToken,
    NotAuthenticated,
    ScopeMissing,
    TokenExpired,
    TokenRevoked,
)
from megahub.tenancy import second_factors, tokens
from megahub.tenancy.models import ApiKey, Brand, Company, Membership, SignIn, User
from megahub.tenancy.roles import SCOPES_OF_ROLE

LAST_USED_STEP = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated request's principal: a person (or their API key) in one company and brand.

    ``brand_id`` is None when no brand was named and none can be assumed; ``require_brand`` then
    raises. ``user_id`` of an API key is its maker's.
    """

    user_id: int
    username: str
    role: str
    scopes: frozenset[str]
    company_id: int
    company_name: str
    timezone: str
    use_sandbox: bool
    brand_id: int | None
    brand_name: str | None
    api_key_id: int | None = None

    #: DRF's permission classes ask this of ``request.user``.
    is_authenticated: bool = True

    def require(self, scope: str) -> None:
        """Raise ScopeMissing unless the caller carries ``scope``."""
        if scope not in self.scopes:
            raise ScopeMissing(required_scope=scope)

    def require_brand(self) -> int:
        """The brand's id, or BrandRequired."""
        if self.brand_id is None:
            raise BrandRequired
        return self.brand_id

    @property
    def pk(self) -> int:
        return self.user_id

    @classmethod
    def of_job(cls, company_id: int, brand_id: int, user_id: int, api_key_id: int | None) -> Caller:
        """Whoever a stored job is run for: named, but with no right to anything else."""
        return cls(
            user_id=user_id,
            username="",
            role="",
            scopes=frozenset(),
            company_id=company_id,
            company_name="",
            timezone="UTC",
            use_sandbox=False,
            brand_id=brand_id,
            brand_name=None,
            api_key_id=api_key_id,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """A token's owner and rights before a brand is chosen."""

    user: User
    scopes: frozenset[str] | None
    api_key: ApiKey | None


def caller_for(token: str, brand: str | None) -> Caller:
    """The caller behind ``token`` in ``brand`` (an id as text, or None), remembered for seconds.

    Raises NotAuthenticated, InvalidToken, TokenExpired, TokenRevoked, SecondFactorMissing, or BrandNotFound
    for a brand that does not exist or may not be entered (the two are answered alike).
    """
    _forms(token)
    return _callers.get((token, brand))


def caller_named(username: str, brand: str | None) -> Caller:
    """A person as who runs the hub may call for them at its own terminal. Raises as ``caller_for`` does."""
    with scope.everybody():
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise NotAuthenticated("There is no active user '{name}'.", words={"name": username[:150]})
        standing = Standing(user, None, None)
        memberships = _memberships(standing)
    return _choose(standing, memberships, brand)


async def acaller_for(token: str, brand: str | None) -> Caller:
    """``caller_for`` on the event loop."""
    _forms(token)
    return await _callers.aget((token, brand))


def forget_callers() -> None:
    """Forget every remembered caller of this process (after a revocation)."""
    _callers.forget()


def _forms(token: str) -> None:
    """Refuse what cannot be a token before anything asks the database."""
    if not token:
        raise NotAuthenticated
    if not (tokens.API_KEY.fullmatch(token) or tokens.JWT.fullmatch(token)):
        raise InvalidToken


def _load(key: tuple[str, str | None]) -> Caller:
    """Whose a token is can be in any company; what they may enter is looked for in their own."""
    token, brand = key
    with scope.everybody():
        standing = _standing_of_key(token) if token.startswith("mh_") else _standing_of_jwt(token)
        memberships = _memberships(standing)
    return _choose(standing, memberships, brand)


def _standing_of_jwt(token: str) -> Standing:
    claims = tokens.read_access(token)
    user = User.objects.filter(pk=claims.user_id, is_active=True).first()
    if user is None:
        raise InvalidToken
    revoked = SignIn.objects.filter(pk=uuid.UUID(claims.sign_in), revoked_at=None).first() is None
    if revoked or user.token_version != claims.version:
        raise TokenRevoked
    second_factors.require(user)
    return Standing(user, None, None)


def _standing_of_key(token: str) -> Standing:
    found = (
        ApiKey.objects.unscoped()
        .select_related("created_by", "company")
        .filter(public_id=tokens.api_key_id(token))
        .first()
    )
    if found is None or not hmac.compare_digest(found.digest, tokens.digest(token)):
        raise InvalidToken
    if found.revoked_at is not None:
        raise TokenRevoked
    if found.expires_at is not None and found.expires_at <= clock.now():
        raise TokenExpired
    if not found.created_by.is_active:
        raise InvalidToken
    _touch(found)
    return Standing(found.created_by, frozenset(found.scopes), found)


def _touch(key: ApiKey) -> None:
    """Remember when a key was last used, to the minute."""
    stale = Q(last_used_at=None) | Q(last_used_at__lt=clock.now() - LAST_USED_STEP)
    ApiKey.objects.unscoped().filter(stale, pk=key.pk).update(last_used_at=clock.now())


def _memberships(standing: Standing) -> list[Membership]:
    key = standing.api_key
    found = _active(standing.user.pk, None if key is None else key.company_id)
    if not found:
        raise Forbidden("You are not a member of any active company.")
    return found


def _active(user_id: int, company_id: int | None) -> list[Membership]:
    """Somebody's active memberships of active companies, or of one of them."""
    rows = Membership.objects.unscoped().filter(user_id=user_id, is_active=True, company__is_active=True)
    if company_id is not None:
        rows = rows.filter(company=company_id)
    return list(rows.select_related("company").order_by("id"))


def _choose(standing: Standing, found: list[Membership], brand: str | None) -> Caller:
    """The caller in the named brand, their key's, or the one that can be assumed."""
    if brand is not None:
        return _named(standing, found, brand)
    if standing.api_key is not None and standing.api_key.brand_id is not None:
        return _named(standing, found, str(standing.api_key.brand_id))
    return _assumed(standing, found)


def _named(standing: Standing, memberships: list[Membership], brand: str) -> Caller:
    """The membership that may enter the named brand."""
    if brand.isdecimal() and len(brand) < 19:
        for membership in memberships:
            with scope.of(membership.company_id):
                chosen = enterable(membership).filter(pk=int(brand)).first()
            if chosen is not None and _key_allows(standing, chosen):
                return _caller(standing, membership, chosen)
    raise BrandNotFound(brand_id=brand[:40])


def _assumed(standing: Standing, memberships: list[Membership]) -> Caller:
    """Without a named brand: the default one, or the only one; None when that is not clear."""
    for membership in memberships:
        with scope.of(membership.company_id):
            default = enterable(membership).filter(pk=membership.default_brand_id or 0).first()
        if default is not None:
            return _caller(standing, membership, default)
    choices = [(m, b) for m in memberships for b in _first_two(m)]
    if len(choices) == 1:
        return _caller(standing, *choices[0])
    return _caller(standing, memberships[0], None)


def enterable(membership: Membership) -> QuerySet[Brand]:
    """The active brands that a membership may enter: the named ones, or all of the company."""
    brands: QuerySet[Brand] = Brand.objects.of(membership.company_id).filter(is_active=True).order_by("id")
    named = membership.brands.all()
    return brands.filter(pk__in=named) if named.exists() else brands


def memberships_of(caller: Caller) -> list[Membership]:
    """A person's memberships of active companies; a key's only one."""
    with scope.everybody():
        return _active(caller.user_id, None if caller.api_key_id is None else caller.company_id)


def _first_two(membership: Membership) -> list[Brand]:
    """Enough to know whether there is one only; read as somebody of that company."""
    with scope.of(membership.company_id):
        return list(enterable(membership)[:2])


def entered_by(memberships: list[Membership]) -> dict[int, list[Brand]]:
    """What ``enterable`` says, for all memberships of a person at once, by membership."""
    named: dict[int, set[int]] = defaultdict(set)
    there: dict[int, list[Brand]] = defaultdict(list)
    with scope.everybody():
        for row in Membership.brands.through.objects.filter(membership__in=memberships):
            named[row.membership_id].add(row.brand_id)
        companies = [each.company_id for each in memberships]
        for brand in Brand.objects.unscoped().filter(company__in=companies, is_active=True).order_by("id"):
            there[brand.company_id].append(brand)
    return {
        each.pk: [b for b in there[each.company_id] if b.pk in named.get(each.pk, (b.pk,))]
        for each in memberships
    }


def bound_brands(caller: Caller) -> frozenset[int] | None:
    """The brands that the caller's key or membership names; None when neither is bound to any."""
    own = _brand_of_key(caller)
    if own is not None:
        return frozenset((own,))
    membership = Membership.objects.of(caller.company_id).filter(user_id=caller.user_id).first()
    named = frozenset(membership.brands.values_list("pk", flat=True)) if membership else frozenset()
    return named or None


def email_of(user_id: int) -> str:
    """A person's address; "" for none."""
    return User.objects.filter(pk=user_id, is_active=True).values_list("email", flat=True).first() or ""


def brands_of(caller: Caller) -> list[int]:
    """The ids of the active brands that a caller may enter."""
    membership = Membership.objects.of(caller.company_id).filter(user_id=caller.user_id).first()
    if membership is None:
        return []
    own, brands = _brand_of_key(caller), enterable(membership)
    return list((brands if own is None else brands.filter(pk=own)).values_list("pk", flat=True))


def _brand_of_key(caller: Caller) -> int | None:
    """The brand that the caller's API key is bound to."""
    if caller.api_key_id is None:
        return None
    keys = ApiKey.objects.of(caller.company_id).filter(pk=caller.api_key_id)
    return keys.values_list("brand_id", flat=True).first()


def _key_allows(standing: Standing, brand: Brand) -> bool:
    return standing.api_key is None or standing.api_key.brand_id in (None, brand.pk)


def _caller(standing: Standing, membership: Membership, brand: Brand | None) -> Caller:
    company: Company = membership.company
    of_role = SCOPES_OF_ROLE[membership.role]
    return Caller(
        user_id=standing.user.pk,
        username=standing.user.username,
        role=membership.role,
        scopes=of_role if standing.scopes is None else of_role & standing.scopes,
        company_id=company.pk,
        company_name=company.name,
        timezone=company.timezone,
        use_sandbox=company.use_sandbox,
        brand_id=brand.pk if brand else None,
        brand_name=brand.name if brand else None,
        api_key_id=standing.api_key.pk if standing.api_key else None,
    )


_callers: ShortLived[tuple[str, str | None], Caller] = ShortLived(_load, settings.HUB_IDENTITY_TTL_SECONDS)
