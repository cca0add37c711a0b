"""The French of the hub: ``python -m tools.messages`` brings the catalogue up to date and compiles it.

What is said to people stands in the code in English: error messages (``kernel/errors.py``, arguments
of its errors, ``Text``) and what Django's ``gettext`` marks, in Python and in templates. This collects
all of it into ``megahub/locale/fr/LC_MESSAGES/django.po``, keeps the translations that are there, and
writes the ``.mo``. ``--check`` only says what is missing or out of date.

Unfold, which draws the admin, comes without a French: of its texts those that Django's own catalogues
do not say are collected too.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from tools.report import ROOT

PACKAGES = ("megahub", "ai_providers", "ai_guard", "ai_usage", "ai_core", "ai_openai", "ai_batch")
PO = ROOT / "megahub" / "locale" / "fr" / "LC_MESSAGES" / "django.po"
MO = PO.with_suffix(".mo")
HEADER = "# The French of the hub; tools/messages.py says how it is kept."
MARKERS = {"_", "gettext", "gettext_lazy", "Text"}
WITH_PLURAL = {"ngettext", "ngettext_lazy"}
WITH_CONTEXT = {"pgettext", "pgettext_lazy"}
#: What Django's ``templatize`` makes of a template's tags, as babel wants to be told.
TEMPLATE_MARKERS = {
    "_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}  # fmt: skip
#: What of ``unfold.contrib`` is an installed app; Django's parts that speak French already.
UNFOLD = ("filters",)
DJANGO = ("conf", "contrib/admin", "contrib/auth")
FIELD = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")

#: A text in its context ("" for none); its plural is none of its name.
Key = tuple[str, str]


@dataclass
class Said:
    """Who says a text, and its plural where it has one."""

    plural: str = ""
    files: list[str] = field(default_factory=list)

    def add(self, plural: str, file: str) -> None:
        self.plural = self.plural or plural
        if file not in self.files:
            self.files.append(file)


def error_names() -> set[str]:
    """The classes of the error tree."""
    tree = ast.parse((ROOT / "megahub" / "kernel" / "errors.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def messages_of(tree: ast.Module, markers: set[str]) -> Iterator[tuple[Key, str]]:
    """The texts of one module that people read, each with its plural."""
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
        if isinstance(node, ast.Call) and node.args:
            yield from _of_call(_name(node.func), node.args, markers, constants)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id == "message" for t in targets):
                yield from ((("", text), "") for text in _text(node.value, constants))


def _of_call(
    name: str, args: list[ast.expr], markers: set[str], constants: dict[str, str]
) -> Iterator[tuple[Key, str]]:
    first, *others = ([*_text(argument, constants)] for argument in args)
    if name in markers:
        yield from ((("", text), "") for text in first)
    elif name in WITH_PLURAL:
        yield from ((("", text), plural) for text, plural in zip(first, others[0], strict=True))
    elif name in WITH_CONTEXT:
        yield from (((first[0], text), "") for text in others[0])


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


def messages_of_template(source: str) -> Iterator[tuple[Key, str]]:
    """The texts of a template's ``translate`` and ``blocktranslate`` tags."""
    code = "\n".join(line.strip() for line in templatize(source).splitlines())
    for _, texts, _, context in extract("python", io.BytesIO(code.encode()), TEMPLATE_MARKERS):
        text, plural = (texts, "") if isinstance(texts, str) else texts
        yield (context or "", text), plural


def collected() -> dict[Key, Said]:
    """Every text and the files that say it."""
    markers = MARKERS | error_names()
    found: dict[Key, Said] = {}
    for package in PACKAGES:
        _collect(found, ROOT, (ROOT / package).rglob("*"), markers)
    foreign: dict[Key, Said] = {}
    unfold = _home("unfold")
    others = {path for path in (unfold / "contrib").iterdir() if path.name not in UNFOLD}
    installed = (path for path in unfold.rglob("*") if others.isdisjoint(path.parents))
    _collect(foreign, unfold.parent, installed, MARKERS)
    told = french_of_django()
    for key, said in foreign.items():
        if key not in told:
            for file in said.files:
                found.setdefault(key, Said()).add(said.plural, file)
    return found


def _collect(found: dict[Key, Said], root: Path, paths: Iterable[Path], markers: set[str]) -> None:
    for path in sorted(paths):
        if path.suffix == ".py" and "migrations" not in path.parts:
            texts = messages_of(ast.parse(path.read_text()), markers)
        elif path.suffix == ".html":
            texts = messages_of_template(path.read_text())
        else:
            continue
        for key, plural in texts:
            if key[1]:
                found.setdefault(key, Said()).add(plural, path.relative_to(root).as_posix())


def _home(package: str) -> Path:
    """Where an installed package lies; it is not imported."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def french_of_django() -> set[Key]:
    """What Django itself says in French."""
    told: set[Key] = set()
    for part in DJANGO:
        with (_home("django") / part / "locale" / "fr" / "LC_MESSAGES" / "django.mo").open("rb") as file:
            told |= {_key(message.context, message.id) for message in read_mo(file)}
    return told


def _key(context: str | None, text: str | list[str] | tuple[str, ...]) -> Key:
    return context or "", text if isinstance(text, str) else text[0]


def _forms(text: str | list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    return (text or "",) if isinstance(text, str | None) else tuple(text)


def stored() -> Catalog:
    """The catalogue as it lies there."""
    if not PO.exists():
        return Catalog(locale="fr")
    with PO.open("rb") as file:
        return read_po(file, locale="fr")


def kept(catalogue: Catalog) -> dict[Key, tuple[str, ...]]:
    """The translations that are there, in their forms: one, or singular and plural."""
    return {
        _key(message.context, message.id): _forms(message.string)
        for message in catalogue
        if message.id and all(_forms(message.string))
    }


def catalogue_of(texts: dict[Key, Said], old: Catalog) -> Catalog:
    """The catalogue as it should be."""
    catalogue = Catalog(
        locale="fr", project="MEGAHUB", header_comment=HEADER, creation_date=old.creation_date, fuzzy=False
    )
    french = kept(old)
    for (context, text), said in sorted(texts.items(), key=lambda item: (item[0][1], item[0][0])):
        forms = french.get((context, text), ())
        if said.plural:
            string: str | tuple[str, ...] = forms if len(forms) > 1 else ("", "")
        else:
            string = forms[0] if forms else ""
        ids = (text, said.plural) if said.plural else text
        places = [(file, 0) for file in said.files]
        catalogue.add(ids, string, locations=places, context=context or None)
    return catalogue


def compiled(catalogue: Catalog) -> bytes:
    """The .mo of a catalogue."""
    buffer = io.BytesIO()
    write_mo(buffer, catalogue)
    return buffer.getvalue()


def problems() -> list[str]:
    """What is missing, superfluous or not compiled."""
    texts, catalogue = collected(), stored()
    french = kept(catalogue)
    missing = (key for key in texts if key not in french)
    found = [f"no French for {key[1]!r} ({texts[key].files[0]})" for key in missing]
    found += [f"nobody says {key[1]!r} any more" for key in french if key not in texts]
    for key, forms in french.items():
        said = texts.get(key, Said())
        if len(forms) != (2 if said.plural else 1):
            found.append(f"not the forms of {key[1]!r}")
        if any(_fields(form) != _fields(said.plural or key[1]) for form in forms):
            found.append(f"other words in {forms!r}")
    if not found and (not MO.exists() or strings_of(compiled(catalogue)) != strings_of(MO.read_bytes())):
        found.append("django.mo is older than django.po: python -m tools.messages")
    return found


def strings_of(mo: bytes) -> dict[Key, tuple[str, ...]]:
    """What a .mo says; its header holds a date."""
    return kept(read_mo(io.BytesIO(mo)))


def _fields(text: str) -> list[str]:
    """The names in braces and the ``%`` marks of a text."""
    return sorted(set(FIELD.findall(text)))


def main() -> int:
    """The command line."""
    if "--check" in sys.argv[1:]:
        found = problems()
        print("\n".join(found) or "The French is complete.")
        return 1 if found else 0
    catalogue = catalogue_of(collected(), stored())
    PO.parent.mkdir(parents=True, exist_ok=True)
    with PO.open("wb") as file:
        write_po(file, catalogue, width=100, sort_output=True, include_lineno=False)
    MO.write_bytes(compiled(catalogue))
    print(f"{PO.relative_to(ROOT)}: {len(catalogue)} texts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
