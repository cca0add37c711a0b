"""The error tree: raise any of these anywhere; the request's path decides in whose words it is said.

    HubError
    ├── BadRequest (400)
    │   ├── MalformedBody · ValidationFailed · UnknownParameter · InvalidParameterForModel
    │   ├── ContextLengthExceeded · ModelNotSupportedHere · JobTypeNotFound
    │   └── NoApiKey · InvalidApiKey · ProviderRefused
    ├── NotAuthenticated (401)
    │   └── InvalidCredentials · OtpRequired · InvalidOtp · InvalidToken · TokenExpired · TokenRevoked
    ├── Forbidden (403)
    │   ├── BrandRequired · ScopeMissing
    │   └── CostLimitExceeded · O3BudgetExceeded · QuotaExceeded · ModelBlocked
    ├── NotFound (404)
    │   └── ModelNotFound · BrandNotFound
    ├── MethodNotAllowed (405) · NotAcceptable (406)
    ├── Conflict (409)
    │   ├── JobRunning · JobNotCancellable · JobNotEditable · JobCancelled
    │   └── CredentialsChanged · IdempotencyInProgress
    ├── BodyTooLarge (413) · UnsupportedMediaType (415)
    ├── IdempotencyKeyReused (422)
    ├── TooManyRequests (429)
    │   └── RateLimited · ReasoningQuotaExceeded
    └── ServerError (500)
        ├── Busy · DatabaseUnavailable (503)
        ├── OutcomeUnknown (502)
        └── ProviderError (502)
            └── ProviderUnavailable (503) · ProviderTimeout (504)
                ProviderDisconnected · ProviderMalformed (502)

Pure: ``message`` is an English template, which the surfaces translate before they fill it. What a job
failed with is stored by ``as_data``, told later by ``restore``. Codes: ``reference/megahub-shapes.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from megahub.kernel.text import Words

type_registry: dict[str, type[HubError]] = {}


class HubError(Exception):
    """An anticipated error: ``status`` (HTTP), ``code`` (never changes), ``message`` (template).

    ``facts`` fill the template and stand beside it in the answer, ``words`` only fill the template;
    ``param`` names the field to mend; ``retry_after`` is in seconds; ``retryable`` tells the pipeline
    that another attempt may succeed; ``headers`` are more of its answer's.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_ERROR"
    message: str = "An internal error occurred."
    retryable: ClassVar[bool] = False
    #: The provider may have done (and billed) the work all the same.
    outcome_unknown: ClassVar[bool] = False
    headers: Mapping[str, str] = {}

    def __init_subclass__(cls) -> None:
        type_registry[cls.__name__] = cls

    def __init__(
        self,
        message: str | None = None,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        field_errors: Mapping[str, Sequence[str]] | None = None,
        suggestions: list[str] | None = None,
        words: dict[str, Any] | None = None,
        **facts: Any,
    ) -> None:
        if message is not None:
            self.message = message
        self.param = param
        self.retry_after = retry_after
        self.field_errors = field_errors
        self.suggestions = suggestions
        self.words = words or {}
        self.facts = facts
        super().__init__(self.text())

    def text(self, template: str | None = None) -> str:
        """The message in words, from ``template`` (its translation) or the English original."""
        return (template or self.message).format_map(Words(self.facts | self.words))

    def as_data(self) -> dict[str, Any]:
        """What ``restore`` needs to say the same error later."""
        stored = {"type": type(self).__name__} | {name: getattr(self, name) for name in STORED}
        return {name: value for name, value in stored.items() if value not in (None, {}, [])}


#: What of an error is stored with the job that it ended.
GIVEN = ("param", "retry_after", "field_errors", "suggestions", "words")
STORED = ("status", "code", "message", *GIVEN, "facts")


def restore(data: dict[str, Any]) -> HubError:
    """The error that ``as_data`` stored; an unknown type comes back as a ``ServerError``."""
    kind = type_registry.get(data.get("type", ""), ServerError)
    given = {name: data.get(name) for name in GIVEN}
    return kind(data.get("message"), **given, **data.get("facts", {}))


class BadRequest(HubError):
    status = 400
    code = "BAD_REQUEST"
    message = "The request could not be understood."


class MalformedBody(BadRequest):
    code = "MALFORMED_BODY"
    message = "The request body is not valid JSON: {reason}."


class ValidationFailed(BadRequest):
    """Facts in ``field_errors``: ``{field: [messages]}``."""

    code = "VALIDATION_ERROR"
    message = "Some fields are not valid."


class UnknownParameter(BadRequest):
    """Facts: ``model``, ``invalid_params``; ``suggestions`` are the accepted names."""

    code = "UNKNOWN_PARAMETER"
    message = "Unknown parameter: {invalid_params}."


class InvalidParameterForModel(BadRequest):
    """Facts: ``model``, ``invalid_params``, ``suggested_params``, ``model_requirements``."""

    code = "INVALID_PARAMETER_FOR_MODEL"
    message = "Model {model} doesn't support {invalid_params} parameter"


class ContextLengthExceeded(BadRequest):
    code = "CONTEXT_LENGTH_EXCEEDED"
    message = (
        "This model's maximum context length is {context_window} tokens; the request needs at least"
        " {requested_tokens}. Shorten the input or lower the maximum of output tokens."
    )


class ModelNotSupportedHere(BadRequest):
    code = "MODEL_NOT_SUPPORTED_HERE"
    message = "Model {model} cannot be used at {endpoint}."


class JobTypeNotFound(BadRequest):
    code = "JOB_TYPE_NOT_FOUND"
    message = "Unknown job type: {job_type}."


class NoApiKey(BadRequest):
    code = "NO_API_KEY"
    message = "No API key is configured for {provider}."


class InvalidApiKey(BadRequest):
    code = "INVALID_API_KEY"
    message = "{provider} refused the configured API key."


class ProviderRefused(BadRequest):
    """The provider found a fault in the request that the hub had let through."""

    code = "PROVIDER_REFUSED"
    message = "{provider} refused the request: {reason}"


class NotAuthenticated(HubError):
    status = 401
    code = "NOT_AUTHENTICATED"
    message = "Authentication credentials were not provided."


class InvalidToken(NotAuthenticated):
    code = "INVALID_TOKEN"
    message = "The token is not valid."


class InvalidCredentials(NotAuthenticated):
    code = "INVALID_CREDENTIALS"
    message = "No active account was found with these credentials."


class OtpRequired(NotAuthenticated):
    code = "OTP_REQUIRED"
    message = "A second factor is set up here: send 'otp', a code of the app or a recovery code, as well."


class InvalidOtp(NotAuthenticated):
    code = "INVALID_OTP"
    message = "This code is not valid, or was used already."


class TokenExpired(NotAuthenticated):
    code = "TOKEN_EXPIRED"
    message = "The token has expired."


class TokenRevoked(NotAuthenticated):
    code = "TOKEN_REVOKED"
    message = "The token has been revoked."


class Forbidden(HubError):
    status = 403
    code = "PERMISSION_DENIED"
    message = "You do not have permission to perform this action."


class BrandRequired(Forbidden):
    code = "BRAND_REQUIRED"
    message = "Name a brand in the X-Brand-ID header."


class ScopeMissing(Forbidden):
    code = "SCOPE_MISSING"
    message = "This needs the scope {required_scope}, which the token or role does not carry."


class CostLimitExceeded(Forbidden):
    code = "COST_LIMIT_EXCEEDED"
    message = "Estimated cost exceeds budget limits for {model_name} model"


class O3BudgetExceeded(Forbidden):
    code = "O3_BUDGET_EXCEEDED"
    message = "Estimated cost exceeds the daily reasoning budget for {model_name} model"


class QuotaExceeded(Forbidden):
    code = "QUOTA_EXCEEDED"
    message = "The {provider} quota of this company is used up."


class ModelBlocked(Forbidden):
    code = "MODEL_BLOCKED"
    message = "Model {model} is blocked by your administrator."


class NotFound(HubError):
    status = 404
    code = "NOT_FOUND"
    message = "Not found."


class ModelNotFound(NotFound):
    code = "MODEL_NOT_FOUND"
    message = "The model '{model}' does not exist or you do not have access to it."


class BrandNotFound(NotFound):
    code = "BRAND_NOT_FOUND"
    message = "There is no brand {brand_id} that you may enter."


class MethodNotAllowed(HubError):
    status = 405
    code = "METHOD_NOT_ALLOWED"
    message = 'Method "{method}" not allowed.'


class NotAcceptable(HubError):
    status = 406
    code = "NOT_ACCEPTABLE"
    message = "The requested format is not available."


class Conflict(HubError):
    status = 409
    code = "CONFLICT"
    message = "The request conflicts with the current state."


class JobRunning(Conflict):
    code = "JOB_RUNNING"
    message = "The job is running; cancel it first."


class JobNotCancellable(Conflict):
    code = "JOB_NOT_CANCELLABLE"
    message = "Job cannot be cancelled"


class JobNotEditable(Conflict):
    code = "JOB_NOT_EDITABLE"
    message = "{fields} can no longer be changed while the job is {current_status}."


class JobCancelled(Conflict):
    code = "JOB_CANCELLED"
    message = "The job was cancelled."


class CredentialsChanged(Conflict):
    """A job that was accepted for the sandbox does not spend real money, nor the other way round."""

    code = "CREDENTIALS_CHANGED"
    message = "The company's credentials changed after the job was accepted; submit it again."


class IdempotencyInProgress(Conflict):
    code = "IDEMPOTENCY_IN_PROGRESS"
    message = "A request with this Idempotency-Key is still in progress."


class BodyTooLarge(HubError):
    status = 413
    code = "BODY_TOO_LARGE"
    message = "The request body is larger than {limit_bytes} bytes."


class UnsupportedMediaType(HubError):
    status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"
    message = "Send the body as application/json."


class IdempotencyKeyReused(HubError):
    status = 422
    code = "IDEMPOTENCY_KEY_REUSED"
    message = "This Idempotency-Key was used with another request body."


class TooManyRequests(HubError):
    status = 429
    code = "TOO_MANY_REQUESTS"
    message = "Too many requests."


class RateLimited(TooManyRequests):
    code = "RATE_LIMITED"
    message = "Rate limit reached; try again later."
    retryable = True


class ReasoningQuotaExceeded(TooManyRequests):
    code = "REASONING_QUOTA_EXCEEDED"
    message = "Daily reasoning quota exceeded for {model_name}"


class ServerError(HubError): ...


class Busy(ServerError):
    status = 503
    code = "BUSY"
    message = "The hub is at its limit; try again in a moment."


class DatabaseUnavailable(ServerError):
    status = 503
    code = "DATABASE_UNAVAILABLE"
    message = "The hub's database does not answer; nothing was changed. Try again in a moment."


class OutcomeUnknown(ServerError):
    status = 502
    code = "OUTCOME_UNKNOWN"
    message = "The process that ran this job was lost after it had called the provider."
    retryable = True
    outcome_unknown = True


class ProviderError(ServerError):
    status = 502
    code = "PROVIDER_ERROR"
    message = "{provider} answered with an error."
    retryable = True


class ProviderUnavailable(ProviderError):
    status = 503
    code = "PROVIDER_UNAVAILABLE"
    message = "{provider} cannot be reached."


class ProviderTimeout(ProviderError):
    status = 504
    code = "PROVIDER_TIMEOUT"
    message = "{provider} did not answer in time."
    outcome_unknown = True


class ProviderDisconnected(ProviderError):
    code = "PROVIDER_DISCONNECTED"
    message = "{provider} broke the connection before its answer was complete."
    outcome_unknown = True


class ProviderMalformed(ProviderError):
    code = "PROVIDER_MALFORMED"
    message = "{provider} sent an answer that could not be read."
    outcome_unknown = True
