"""``export_person --company acme --member anna``: all that is kept of what somebody sent, as JSON lines."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import orjson
from django.core.management.base import BaseCommand

from ai_core.management import people
from ai_core.services import forgetting
from megahub.kernel import trail


class Command(BaseCommand):
    help = "Write what is kept of a person (their jobs' texts, and that they were erased) as JSON lines."

    def add_arguments(self, parser: ArgumentParser) -> None:
        people.add_arguments(parser)

    @trail.recorded("person.export", "company", "member")
    def handle(self, *args: Any, **options: Any) -> None:
        person, after = people.person(options), -1
        while after:
            records, after = forgetting.everything_of(person, max(after, 0))
            for record in records:
                self.stdout.write(orjson.dumps(record, default=str).decode())
