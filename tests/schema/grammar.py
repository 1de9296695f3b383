# SPDX-License-Identifier: MIT
"""The grammars of docs/schema, compiled: from the compact syntax to XML syntax by rnc2rng, from there by libxml2."""
import functools
import pathlib
import re
import tempfile

import rnc2rng
from lxml import etree

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "docs" / "schema"
# rnc2rng would paste an included file in place, default namespace and all; RELAX NG's own include keeps them apart.
INCLUDE = re.compile(r'^include "([a-z-]+)\.rnc"$', re.MULTILINE)


def to_xml_syntax(text):
    includes = "".join(f'\n  <include href="{name}.rng"/>' for name in INCLUDE.findall(text))
    made = rnc2rng.dumps(rnc2rng.loads(INCLUDE.sub("", text)))
    # A prefix may stand for no namespace in the compact syntax, but not in XML; nothing uses it there.
    made = re.sub(r'\n *xmlns:none=""', "", made)
    end = made.index(">", made.index("<grammar")) + 1
    return made[:end] + includes + made[end:]


def convert(into):
    """Writes an .rng for every .rnc."""
    for path in FOLDER.glob("*.rnc"):
        (pathlib.Path(into) / path.with_suffix(".rng").name).write_text(to_xml_syntax(path.read_text()))


@functools.lru_cache(maxsize=None)
def compiled(name="client-stream"):
    with tempfile.TemporaryDirectory() as folder:
        convert(folder)
        return etree.RelaxNG(etree.parse(f"{folder}/{name}.rng"))


def prepare(names):
    """Compiles them before the process forks."""
    for name in names:
        compiled(name)


DEFINITION = re.compile(r"element\s+(?:\(([^)]*)\)|([\w:.-]+))")


@functools.lru_cache(maxsize=None)
def definitions():
    """FILE:LINE of each definition of an element, by Clark name."""
    found = {}
    for path in sorted(FOLDER.glob("*.rnc")):
        text = re.sub(r"(^|\s)#[^\n]*", lambda match: match.group(1), path.read_text())
        prefixes = dict(re.findall(r'namespace ([\w-]+) = "([^"]*)"', text))
        prefixes[""] = (re.findall(r'default namespace = "([^"]*)"', text) or [""])[0]
        for match in DEFINITION.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            for name in re.findall(r"[\w:.-]+", match.group(1) or match.group(2)):
                prefix, _, local = name.rpartition(":")
                found.setdefault(f"{{{prefixes.get(prefix, '')}}}{local}", []).append(f"{path.name}:{line}")
    return found


def lines_of(tag):
    return definitions().get(tag, [])
