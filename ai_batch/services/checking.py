"""Whether a request may run, and what it may cost: by the rows that check single requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ai_batch.domain import engines
from ai_batch.domain.cleaning import Cleaner
from ai_batch.domain.lines import ENDPOINTS, Problem, Request
from ai_batch.models import Batch
from ai_providers import selectors as providers
from ai_providers.catalogue import loading
from ai_providers.domain.endpoints import spec_for
from ai_providers.domain.pricing import Bounds, Estimate, Estimator
from ai_providers.domain.spec import ModelSpec
from ai_providers.selectors import Terms
from megahub.kernel import loop, surfaces
from megahub.kernel.errors import HubError, ModelNotFound, ModelNotSupportedHere


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that its model refuses."""

    error: HubError

    def problem(self, line: int) -> Problem:
        told = surfaces.openai(self.error, str, "")["error"]
        param = f"body.{self.error.param}" if self.error.param else None
        return Problem(told["code"] or "invalid_request", told["message"], param, line)


class Checker:
    """Checks the requests of one batch; what is known of the model is looked up once."""

    def __init__(self, batch: Batch, policy: str) -> None:
        self.batch = batch
        self.policy = policy
        self.endpoint = ENDPOINTS[batch.endpoint]
        self.terms: Terms | None = None
        self.spec: ModelSpec | None = None
        self.engine = ""
        self._refused: dict[str, HubError] = {}
        self._cleaner: Cleaner | None = None
        self._bounds: dict[int, Bounds] = {}

    def check(self, request: Request) -> Estimate | Refused:
        """The most that a request may cost, or what is wrong with it."""
        refused = self._refused.get(request.model)
        if refused is not None:
            return Refused(refused)
        try:
            if self.terms is None or self.spec is None:
                self._look_up(request.model)
            assert self.terms is not None
            assert self.spec is not None
            assert self._cleaner is not None
            known = self._cleaner.known(request.body)
            if known is not None:
                return self._as_before(known, request.body["messages"])
            cleaned = self._cleaner.clean(request.body)
        except HubError as error:
            if self.spec is None:
                self._refused[request.model] = error
            return Refused(error)
        return self._estimator.of(cleaned)

    def _as_before(self, known: dict[str, Any], said: list[dict[str, Any]]) -> Estimate:
        """The estimate of a chat whose parameters are those of an earlier line: what differs is read."""
        key = id(known)  # the cleaner keeps it as long as this lives
        bounds = self._bounds.get(key)
        if bounds is None:
            bounds = self._bounds[key] = self._estimator.bounds(known)
        return self._estimator.of_chat(bounds, said)

    def _look_up(self, model: str) -> None:
        try:
            terms = loop.run(providers.terms(self.batch.company_id, model))
        except ModelNotFound:
            message = "The provided model '{model}' is not supported by the Batch API."
            raise ModelNotFound(message, param="model", model=model[:120]) from None
        spec = spec_for(terms.spec, self.endpoint, loading.responses_rules())
        if spec is None:
            raise ModelNotSupportedHere(param="model", model=model, endpoint=self.batch.endpoint)
        self.engine = engines.choose(self.batch.engine_asked, terms.spec, self.batch.endpoint, self.policy)
        self._estimator = Estimator(
            spec, terms.price, terms.rate, priced=terms.priced, batch=self.engine == "provider"
        )
        self._cleaner = Cleaner(spec)
        self.terms, self.spec = terms, spec
