"""Errors of files and batches that no other part of the hub knows. Pure."""

from __future__ import annotations

from megahub.kernel.errors import BadRequest, Conflict, NotFound, ServerError


class FileTooLarge(BadRequest):
    code = "FILE_TOO_LARGE"
    message = "File is too large."


class InvalidFileFormat(BadRequest):
    code = "INVALID_FILE_FORMAT"
    message = "Invalid file format for Batch API. Must be .jsonl"


class NoSuchFile(NotFound):
    code = "NOT_FOUND"
    message = "No such File object."


class NoSuchBatch(NotFound):
    code = "NOT_FOUND"
    message = "No batch found with this id."


class NotCancellable(Conflict):
    code = "BATCH_NOT_CANCELLABLE"
    message = "Cannot cancel a batch with status '{current_status}'."


class StorageFull(ServerError):
    status = 507
    code = "STORAGE_FULL"
    message = "There is no room left for files; nothing was kept. Try again later."


class NothingToRetry(Conflict):
    code = "NOTHING_TO_RETRY"
    message = "No line of this batch has failed."


class NotOver(Conflict):
    code = "BATCH_NOT_OVER"
    message = "The batch has not ended yet."


class NoResultsYet(Conflict):
    code = "RESULTS_NOT_AVAILABLE"
    message = (
        "This batch runs on its provider's batch API, which tells no results before its end; those of"
        " the engine 'hub' can be read while it runs."
    )


class NoSuchSchedule(NotFound):
    code = "NOT_FOUND"
    message = "No schedule found with this id."
