"""Whether a request may run, and what it may cost: by the rows that check single requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from ai_batch.domain import engines
from ai_batch.domain.lines import ENDPOINTS, Problem, Request
from ai_batch.models import Batch
from ai_providers import selectors as providers
from ai_providers.catalogue import loading
from ai_providers.domain import messages, params
from ai_providers.domain.endpoints import spec_for
from ai_providers.domain.params import Cleaned
from ai_providers.domain.pricing import Estimate, Estimator
from ai_providers.domain.spec import ModelSpec
from ai_providers.selectors import Terms
from megahub.kernel import loop, surfaces
from megahub.kernel.errors import HubError, ModelNotFound, ModelNotSupportedHere

#: Different sets of parameters that are remembered of one batch.
MANY = 100


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that its model refuses."""

    error: HubError

    def problem(self, line: int) -> Problem:
        told = surfaces.openai(self.error, str, "")["error"]
        param = f"body.{self.error.param}" if self.error.param else None
        return Problem(told["code"] or "invalid_request", told["message"], param, line)


def _mark(body: dict[str, Any]) -> bytes:
    """The parameters of a chat but for what is said in it."""
    return orjson.dumps({name: value for name, value in body.items() if name != "messages"})


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
        self._good: dict[bytes, dict[str, Any]] = {}

    def check(self, request: Request) -> Estimate | Refused:
        """The most that a request may cost, or what is wrong with it."""
        known = self._refused.get(request.model)
        if known is not None:
            return Refused(known)
        try:
            if self.terms is None or self.spec is None:
                self._look_up(request.model)
            assert self.terms is not None
            assert self.spec is not None
            found = self._as_before(self.spec, request.body)
            if found is not None:
                return found
            cleaned = params.clean(self.spec, request.body, with_defaults=False)
            self._remember(request.body, cleaned)
        except HubError as error:
            if self.spec is None:
                self._refused[request.model] = error
            return Refused(error)
        return self._estimator.of(cleaned.params)

    def _as_before(self, spec: ModelSpec, body: dict[str, Any]) -> Estimate | None:
        """The estimate of a chat whose parameters were found good in an earlier line: what differs is read.

        None when something is new about it, or wrong with it.
        """
        given = body.get("messages")
        if spec.kind != "chat" or not isinstance(given, list):
            return None
        known = self._good.get(_mark(body))
        if known is None or messages.problems(spec, given):
            return None
        return self._estimator.of({**known, "messages": given})

    def _remember(self, body: dict[str, Any], cleaned: Cleaned) -> None:
        if len(self._good) < MANY and "messages" in body:
            self._good[_mark(body)] = {k: v for k, v in cleaned.params.items() if k != "messages"}

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
        self.terms, self.spec = terms, spec
