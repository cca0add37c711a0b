"""``/ai/batch-analysis/``: what each type of analysis asks of a model. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MOST_CONTENTS = 500
PREVIEW_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Analysis:
    """A type of analysis: the job type that runs it, and what the model is told."""

    job_type: str
    instructions: str


CONTENT = Analysis(
    "content_analysis",
    "Analyse the content that the user gives: subject, audience, tone, structure, strengths and weaknesses,"
    " and what to improve. Answer in the content's language.",
)
SEO = Analysis(
    "seo_analysis",
    "Analyse the page that the user gives for search engines: main and related keywords, title and"
    " description, headings, readability, missing subjects, and what to improve first. Answer in the"
    " page's language.",
)
DOCUMENT = Analysis(
    "document_analysis",
    "Analyse the document that the user gives: a summary, its main statements, the facts, dates, amounts"
    " and names in it, and what remains open. Answer in the document's language.",
)
SENTIMENT = Analysis(
    "content_analysis",
    "Say whether the text that the user gives is positive, neutral or negative, how sure that is, and which"
    " passages show it. Answer in the text's language.",
)
SUMMARY = Analysis(
    "content_analysis",
    "Summarise the text that the user gives in a few sentences, in its own language.",
)
KEYWORDS = Analysis(
    "content_analysis",
    "List the keywords of the text that the user gives, the most important first, in its own language.",
)

#: The short names and, as clients also send them, those of the job types.
ANALYSES: dict[str, Analysis] = {
    "content": CONTENT,
    "content_analysis": CONTENT,
    "seo": SEO,
    "seo_analysis": SEO,
    "document": DOCUMENT,
    "document_analysis": DOCUMENT,
    "sentiment": SENTIMENT,
    "summary": SUMMARY,
    "keywords": KEYWORDS,
}


def input_data(analysis: Analysis, model: str, content: str, instructions: str = "") -> dict[str, Any]:
    """The input of one content's job; ``instructions`` take the place of the type's own."""
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": instructions or analysis.instructions},
            {"role": "user", "content": content},
        ],
    }


def preview(content: str) -> str:
    """The beginning of a content, in one line."""
    line = " ".join(content[: PREVIEW_CHARACTERS * 2].split())
    return line if len(line) <= PREVIEW_CHARACTERS else line[: PREVIEW_CHARACTERS - 1] + "…"
