"""``manage.py batch``: batches at the hub's own terminal, for somebody of a company.

    manage.py batch submit FILE --user alice --watch
    manage.py batch list|get|cancel|download … --user alice

``clients/python`` has the same over the API, with a key.
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext
from tqdm import tqdm

from ai_batch import selectors
from ai_batch.domain.lines import ENDPOINTS
from ai_batch.models import Batch, StoredFile
from ai_batch.services import batches, files, making, results
from megahub.kernel import money, scope
from megahub.kernel.errors import HubError
from megahub.tenancy.selectors import Caller, caller_named

LOOK_SECONDS = 1.0


class Command(BaseCommand):
    help = "Create batches of files, watch them, and take their results home."

    def add_arguments(self, parser: ArgumentParser) -> None:
        orders = parser.add_subparsers(dest="order", required=True)
        submit = orders.add_parser("submit")
        submit.add_argument("file", type=Path)
        submit.add_argument("--endpoint", default="/v1/chat/completions", choices=ENDPOINTS)
        submit.add_argument("--engine", default="auto", choices=Batch.Engine.values)
        submit.add_argument("--model", help="for rows of a table that name none")
        submit.add_argument("--template", type=Path, help="a file: a request's body with {{column}}")
        submit.add_argument("--name", help="how people know it")
        submit.add_argument("--watch", action=BooleanOptionalAction, default=False)
        listing = orders.add_parser("list")
        listing.add_argument("--status", choices=Batch.Status.values)
        listing.add_argument("--limit", type=int, default=20)
        for name in ("get", "cancel", "download"):
            order = orders.add_parser(name)
            order.add_argument("batch_id")
            if name == "get":
                order.add_argument("--watch", action=BooleanOptionalAction, default=False)
        order.add_argument("--type", default="output", choices=("output", "error"))
        order.add_argument("--format", default="jsonl", choices=("jsonl", "csv", "xlsx"))
        order.add_argument("--to", type=Path)
        for each in orders.choices.values():
            each.add_argument("--user", required=True, help="for whom")
            each.add_argument("--brand", help="the brand's number; without it their default or only one")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            caller = caller_named(options["user"], options["brand"])
            caller.require_brand()
            with scope.of(caller.company_id):
                self._carry_out(caller, options)
        except HubError as error:
            raise CommandError(error.text(gettext(error.message))) from error
        except (OSError, json.JSONDecodeError) as error:
            kind = "The template is no JSON: " if isinstance(error, json.JSONDecodeError) else ""
            raise CommandError(f"{kind}{error}") from error

    def _carry_out(self, caller: Caller, options: dict[str, Any]) -> None:
        batch: Batch | None = getattr(self, f"_{options['order']}")(caller, options)
        if batch is None:
            return
        if options.get("watch"):
            batch = watch(batch)
        self.stdout.write(summary(batch))
        for each in batch.errors:
            self.stderr.write(f"line {each.get('line') or '-'}: {each['message']}")
        if options.get("watch") and (batch.status != "completed" or batch.failed):
            raise CommandError("Not every request has succeeded.")

    def _submit(self, caller: Caller, options: dict[str, Any]) -> Batch:
        fields = {
            "endpoint": options["endpoint"],
            "completion_window": "24h",
            "engine_asked": options["engine"],
            "metadata": {"name": options["name"][:512]} if options["name"] else None,
        }
        return batches.create(caller, fields, kept(caller, options))

    def _list(self, caller: Caller, options: dict[str, Any]) -> None:
        wanted = {"status": options["status"]} if options["status"] else {}
        for batch in selectors.filtered(selectors.batches_of(caller), wanted)[: options["limit"]]:
            self.stdout.write(summary(batch))

    def _get(self, caller: Caller, options: dict[str, Any]) -> Batch:
        return selectors.batch_of(caller, options["batch_id"])

    def _cancel(self, caller: Caller, options: dict[str, Any]) -> Batch:
        return batches.cancel(caller, options["batch_id"])

    def _download(self, caller: Caller, options: dict[str, Any]) -> None:
        batch = selectors.batch_of(caller, options["batch_id"])
        kind, form = options["type"], options["format"]
        to: Path = options["to"] or Path(f"{batch.batch_id}_{kind}.{form}")
        part = to.with_name(f"{to.name}.part")
        try:
            with part.open("w+b") as file:
                if form == "xlsx":
                    results.as_workbook(batch, file, str(to.parent), is_error=kind == "error")
                else:
                    make = results.as_jsonl if form == "jsonl" else results.as_csv
                    file.writelines(make(batch, is_error=kind == "error"))
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)
        self.stdout.write(f"{to}: {to.stat().st_size} bytes")


def kept(caller: Caller, options: dict[str, Any]) -> StoredFile:
    """The file as one of the company's: JSONL as it is, a table as the requests that it becomes."""
    path: Path = options["file"]
    kind = making.table_kind(path.name)
    template = json.loads(options["template"].read_text()) if options["template"] else None
    with path.open("rb") as file:
        if kind is not None:
            lines = making.of_table(file, kind, options["endpoint"], options["model"], template)
            return making.of_lines(batches.owner_of(caller), f"{path.stem}.jsonl", lines)
        return making.of_blocks(batches.owner_of(caller), path.name, blocks(file))


def blocks(file: Any) -> Iterator[bytes]:
    while block := file.read(files.BLOCK_BYTES):
        yield block


def watch(batch: Batch) -> Batch:
    """A progress bar until the batch is over."""
    with tqdm(unit=" requests", dynamic_ncols=True) as bar:
        while True:
            batch.refresh_from_db()
            bar.total = batch.total or None
            bar.set_description(batch.status, refresh=False)
            bar.set_postfix_str(
                f"{batch.failed} failed, {money.show(batch.cost_nano_usd)} USD", refresh=False
            )
            bar.update(batch.completed + batch.failed - bar.n)
            bar.refresh()
            if batch.is_over:
                return batch
            time.sleep(LOOK_SECONDS)  # a person watches: nothing else runs here


def summary(batch: Batch) -> str:
    """A batch on one line."""
    name = (batch.metadata or {}).get("name") or (batch.input_file.filename if batch.input_file else "")
    return (
        f"{batch.batch_id}  {batch.status:<11}  {batch.completed} of {batch.total}, {batch.failed} failed"
        f"  {money.show(batch.cost_nano_usd)} USD  {name}"
    )
