"""The French of the hub: ``python -m tools.messages`` brings the catalogue up to date and compiles it.

What is said to people stands in the code in English: error messages (``kernel/errors.py``, arguments
of its errors, ``Text``) and what Django's ``gettext`` marks. This collects all of it into
``megahub/locale/fr/LC_MESSAGES/django.po``, keeps the translations that are there, and writes the
``.mo``. ``--check`` only says what is missing or out of date.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from tools.report import ROOT

PACKAGES = ("megahub", "ai_providers", "ai_usage", "ai_core", "ai_openai")
PO = ROOT / "megahub" / "locale" / "fr" / "LC_MESSAGES" / "django.po"
MO = PO.with_suffix(".mo")
MARKERS = {"_", "gettext", "gettext_lazy", "Text"}


def error_names() -> set[str]:
    """The classes of the error tree."""
    tree = ast.parse((ROOT / "megahub" / "kernel" / "errors.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def messages_of(tree: ast.Module, markers: set[str]) -> Iterator[str]:
    """The texts of one module that people read."""
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in markers and node.args:
            yield from _text(node.args[0], constants)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id == "message" for t in targets):
                yield from _text(node.value, constants)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _text(value: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.Name) and value.id in constants:
        yield constants[value.id]
    elif isinstance(value, ast.IfExp):
        yield from _text(value.body, constants)
        yield from _text(value.orelse, constants)


def collected() -> dict[str, list[str]]:
    """Every text and the files that say it."""
    markers = MARKERS | error_names()
    found: dict[str, list[str]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" in path.parts:
                continue
            for text in messages_of(ast.parse(path.read_text()), markers):
                where = str(path.relative_to(ROOT))
                if text and where not in found.setdefault(text, []):
                    found[text].append(where)
    return found


def kept() -> dict[str, str]:
    """The translations that are there."""
    if not PO.exists():
        return {}
    with PO.open("rb") as file:
        catalogue = read_po(file, locale="fr")
    return {str(m.id): str(m.string) for m in catalogue if m.id and m.string}


def catalogue_of(texts: dict[str, list[str]], french: dict[str, str]) -> Catalog:
    """The catalogue as it should be."""
    catalogue = Catalog(locale="fr", project="MEGAHUB", charset="utf-8", fuzzy=False)
    for text, files in sorted(texts.items()):
        catalogue.add(text, french.get(text, ""), locations=[(file, 0) for file in files])
    return catalogue


def compiled(catalogue: Catalog) -> bytes:
    """The .mo of a catalogue."""
    buffer = io.BytesIO()
    write_mo(buffer, catalogue)
    return buffer.getvalue()


def problems() -> list[str]:
    """What is missing, superfluous or not compiled."""
    texts, french = collected(), kept()
    found = [f"no French for {text!r} ({files[0]})" for text, files in texts.items() if text not in french]
    found += [f"nobody says {text!r} any more" for text in french if text not in texts]
    for text, translation in french.items():
        if _fields(text) != _fields(translation):
            found.append(f"other words in {translation!r}")
    if not found:
        with PO.open("rb") as file:
            if not MO.exists() or translations_in(compiled(read_po(file, locale="fr"))) != translations_in(
                MO.read_bytes()
            ):
                found.append("django.mo is older than django.po: python -m tools.messages")
    return found


def translations_in(mo: bytes) -> set[bytes]:
    """The strings of a .mo but for its header, which holds a date."""
    return {part for part in mo.split(b"\0") if b"POT-Creation-Date" not in part and len(part) > 1}


def _fields(text: str) -> set[str]:
    """The names in braces and the ``%`` marks of a text."""
    names = {part.split("}")[0] for part in text.split("{")[1:]}
    return names | {f"%{part[:1]}" for part in text.split("%")[1:]}


def main() -> int:
    """The command line."""
    if "--check" in sys.argv[1:]:
        found = problems()
        print("\n".join(found) or "The French is complete.")
        return 1 if found else 0
    catalogue = catalogue_of(collected(), kept())
    PO.parent.mkdir(parents=True, exist_ok=True)
    with PO.open("wb") as file:
        write_po(file, catalogue, width=100, sort_output=True, include_lineno=False)
    MO.write_bytes(compiled(catalogue))
    print(f"{Path(PO).relative_to(ROOT)}: {len(catalogue)} texts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
