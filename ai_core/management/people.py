"""Whom a command about a person's data means."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ai_core.services.forgetting import Person
from ai_providers.management.companies import company_named
from megahub.tenancy.models import Membership


def add_arguments(parser: ArgumentParser) -> None:
    """``--company`` and one of ``--end-user`` and ``--member``."""
    parser.add_argument("--company", required=True, help="slug or number")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--end-user", help="one of the company's own users, as in `user` or `safety_identifier`"
    )
    who.add_argument("--member", metavar="USERNAME", help="somebody who signs in to the hub")


def person(options: dict[str, Any]) -> Person:
    """The person. Raises CommandError for a name that is no member's."""
    company = company_named(options["company"])
    if options["end_user"] is not None:
        return Person(company.pk, options["end_user"])
    member = Membership.objects.of(company.pk).filter(user__username=options["member"]).first()
    if member is None:
        raise CommandError(f"{options['member']} is no member of {company.slug}.")
    return Person(company.pk, member=member.user_id)
