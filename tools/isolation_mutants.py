"""``tools.mutants`` for what keeps strangers out: ``python -m tools.isolation_mutants [name …]``.

``./hub mutants`` knows them as well.

Filters by company are taken away one by one in tests/isolation/test_filters_gone.py; here are permissions,
tokens, caches, seals and the database's own refusals.
"""

from __future__ import annotations

import sys

from tools.mutants import Mutant, main

WAY_IN = "megahub/tenancy/authentication.py"
SELECTORS = "megahub/tenancy/selectors.py"
MATRIX = ("tests/isolation/test_matrix.py",)
REVOCATION = ("tests/security/test_requirement_04_revocation.py",)
SCOPES = ("tests/security/test_requirement_07_scopes.py",)
SEALS = ("tests/security/test_requirement_10_credentials.py",)
TOKENS = ("tests/security/test_requirement_02_jwt.py",)
REFRESH = ("tests/security/test_requirement_03_refresh.py",)
PAGES = ("tests/security/test_pages.py",)
LINKS = ("tests/isolation/test_links.py",)
KEYS = ("tests/tenancy/test_keys_api.py", *SCOPES)

MUTANTS = (
    Mutant(
        "a scope on an ordinary view",
        WAY_IN,
        "            caller_of(request).require(needed)\n        return True",
        "            caller_of(request)\n        return True",
        ("tests/ai_providers/test_credentials_api.py",),
    ),
    Mutant(
        "a scope on the hot lane",
        WAY_IN,
        "                    caller.require(needed)\n",
        "                    pass\n",
        SCOPES,
    ),
    Mutant(
        "a key's scopes within its owner's",
        SELECTORS,
        "of_role & standing.scopes",
        "standing.scopes",
        SCOPES,
    ),
    Mutant(
        "a new key's scopes within its maker's",
        "megahub/tenancy/services.py",
        "    if beyond:\n",
        "    if False:\n",
        SCOPES,
    ),
    Mutant(
        "a disabled user", SELECTORS, "pk=claims.user_id, is_active=True", "pk=claims.user_id", REVOCATION
    ),
    Mutant(
        "a disabled key's owner",
        SELECTORS,
        "    if not found.created_by.is_active:\n        raise InvalidToken\n",
        "",
        REVOCATION,
    ),
    Mutant(
        "a revoked key",
        SELECTORS,
        "    if found.revoked_at is not None:\n        raise TokenRevoked\n",
        "",
        REVOCATION,
    ),
    Mutant(
        "an expired key",
        SELECTORS,
        "found.expires_at <= clock.now()",
        "False",
        ("tests/tenancy/test_keys_api.py", *MATRIX),
    ),
    Mutant(
        "a sign-in that ended",
        SELECTORS,
        "    if revoked or user.token_version != claims.version:\n",
        "    if user.token_version != claims.version:\n",
        ("tests/tenancy/test_tokens_api.py",),
    ),
    Mutant(
        "a password that changed",
        SELECTORS,
        "    if revoked or user.token_version != claims.version:\n",
        "    if revoked:\n",
        REVOCATION,
    ),
    Mutant(
        "a key's digest",
        SELECTORS,
        "found is None or not hmac.compare_digest(found.digest, tokens.digest(token))",
        "found is None",
        (
            "tests/security/test_requirement_02_jwt.py",
            "tests/tenancy/test_keys_api.py",
            "tests/security/test_gateways.py",
        ),
    ),
    Mutant(
        "the whole token in the cache's key",
        SELECTORS,
        "    return _callers.get((token, brand))\n",
        "    return _callers.get((token[:20], brand))\n",
        ("tests/security/test_gateways.py",),
    ),
    Mutant(
        "the brand in the cache's key",
        SELECTORS,
        "    return _callers.get((token, brand))\n",
        "    return _callers.get((token, None))\n",
        ("tests/test_isolation.py", "tests/security/test_requirement_05_objects.py"),
    ),
    Mutant(
        "a key bound to one company",
        SELECTORS,
        "_active(standing.user.pk, None if key is None else key.company_id)",
        "_active(standing.user.pk, None)",
        ("tests/security/test_gateways.py",),
    ),
    Mutant(
        "a brand that may not be entered",
        SELECTORS,
        "return brands.filter(pk__in=named) if named.exists() else brands",
        "return brands",
        ("tests/tenancy/test_tokens_api.py::TestBrands",),
    ),
    Mutant(
        "the company of an idempotency key",
        "megahub/tenancy/idempotency.py",
        '    return _claim(request, caller.company_id, route, str(caller.brand_id or ""))\n',
        '    return _claim(request, 1, route, str(caller.brand_id or ""))\n',
        ("tests/security/test_requirement_05_objects.py",),
    ),
    Mutant(
        "what a seal is bound to",
        "megahub/kernel/vault.py",
        '    return f"v1|{context}".encode()\n',
        '    return b"v1"\n',
        SEALS,
    ),
    Mutant(
        "a link across companies",
        "megahub/tenancy/protection.py",
        "    return [*keys, *_by_number(model)]\n",
        "    return []\n",
        LINKS,
    ),
    Mutant(
        "a row that stays in its company",
        "megahub/tenancy/protection.py",
        ' WHEN OLD.company_id IS NOT NEW.company_id"',
        ' WHEN 0"',
        LINKS,
    ),
    Mutant(
        "the signature of an export's link",
        "ai_usage/services/export_news.py",
        "str(signing.loads(token, salt=SALT, max_age=settings.HUB_EXPORT_KEEP_DAYS * 86_400))",
        'signing.b64_decode(token.partition(":")[0].encode())[1:-1].decode()',
        ("tests/ai_usage/test_exports_api.py::TestDownload::test_the_link_of_the_mail",),
    ),
    Mutant(
        "the policy of a page",
        "megahub/settings/base.py",
        '    "megahub.kernel.pages.PagesMiddleware",\n',
        "",
        PAGES,
    ),
    Mutant(
        "the token of a form",
        "megahub/settings/base.py",
        '    "django.middleware.csrf.CsrfViewMiddleware",\n',
        "",
        PAGES,
    ),
    Mutant(
        "the counter of tries",
        "megahub/tenancy/throttles.py",
        "        if cursor.rowcount == 1:\n",
        "        if True:\n",
        ("tests/tenancy/test_throttles.py",),
    ),
)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], MUTANTS))
