#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reduces published test vectors to the three small files that tests/unit/core/test_jid_vectors.c reads.

  jid_vectors.py --precis DIR --unicode DIR --out DIR

DIR of --precis holds golden.json and derived-props-15.0.txt (of precis_i18n) and x-text-vectors.jsonl (of Go's
x/text); DIR of --unicode holds IdnaTestV2.txt of the Unicode Character Database. Needs the idna module.

Fields are separated by tabs. Octets are written as they are when they are printable or part of valid UTF-8, else as
%XX; so is the percent sign. "!" stands for a refusal, which no accepted text of these files is.

  precis/profiles.txt       profile (U: UsernameCaseMapped, O: OpaqueString), input, output
  precis/derived.txt        first, last, property/category (hexadecimal code points)
  idna/names.txt            source, what UTS #46 makes of it, what IDNA2008 with the mapping of RFC 5895 makes of it

The third column of names.txt is the verdict of another implementation: the idna module of Python, with Python's own
Unicode data. The code point ranges of derived.txt are joined where neighbours are alike.
"""
import argparse
import json
import pathlib
import re
import unicodedata

import idna

PROFILES = {"UsernameCaseMapped": "U", "OpaqueString": "O"}


def escape(text):
    out = []
    for char in text:
        if char != "%" and char.isprintable() and char != " ":
            out.append(char)
        else:
            out.extend(f"%{octet:02X}" for octet in char.encode("utf-8", "surrogatepass"))
    return "".join(out)


def profile_lines(precis):
    rows = json.loads((precis / "golden.json").read_text())
    rows += [json.loads(line) for line in (precis / "x-text-vectors.jsonl").read_text().splitlines()]
    lines = {}
    for row in rows:
        if row["profile"] not in PROFILES or "input" not in row:
            continue
        output = row["output"]
        verdict = "!" if output is None else escape(output)
        if output == "!":
            verdict = "%21"
        lines[f"{PROFILES[row['profile']]}\t{escape(row['input'])}\t{verdict}"] = None
    return list(lines)


def derived_lines(precis):
    ranges = []
    for line in (precis / "derived-props-15.0.txt").read_text().splitlines():
        span, what = line.split()
        first, last = (int(part, 16) for part in span.split("-"))
        if ranges and ranges[-1][1] + 1 == first and ranges[-1][2] == what:
            ranges[-1][1] = last
        else:
            ranges.append([first, last, what])
    return [f"{first:X}\t{last:X}\t{what}" for first, last, what in ranges]


def map_name(text):
    """RFC 5895 s2, until stable."""
    while True:
        mapped = "".join(char.lower() for char in text)
        mapped = "".join(width(char) for char in mapped)
        mapped = unicodedata.normalize("NFC", mapped).replace("\u3002", ".")
        if mapped == text:
            return text
        text = mapped


def width(char):
    decomposition = unicodedata.decomposition(char)
    if decomposition.startswith(("<wide>", "<narrow>")):
        return "".join(chr(int(part, 16)) for part in decomposition.split()[1:])
    return char


def label_of(label):
    """The prepared label and its A-label; raises idna.IDNAError."""
    if not label.isascii():
        return label, idna.alabel(label).decode()
    if label.startswith("xn--"):
        u_label = idna.ulabel(label)
        if u_label.isascii() or idna.alabel(u_label).decode() != label:
            raise idna.IDNAError(label)
        return u_label, label
    if not re.fullmatch(r"(?!..--)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label):
        raise idna.IDNAError(label)
    return label, label


def idna2008(source):
    name = map_name(source).removesuffix(".")
    try:
        labels = [label_of(label) for label in name.split(".")]
        u_labels = [u_label for u_label, _ in labels]
        if any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in name + "".join(u_labels)):
            for u_label in u_labels:
                idna.check_bidi(u_label, check_ltr=True)
    except (idna.IDNAError, UnicodeError, ValueError):
        return None
    if len(".".join(a_label for _, a_label in labels)) > 253:
        return None
    return ".".join(u_labels)


def unescape(field):
    if field == '""':
        return ""
    field = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda match: chr(int(match[1], 16)), field)
    return re.sub(r"\\x\{([0-9A-Fa-f]+)\}", lambda match: chr(int(match[1], 16)), field)


def name_lines(unicode):
    lines = {}
    for line in (unicode / "IdnaTestV2.txt").read_text(encoding="utf-8").splitlines():
        fields = [field.strip() for field in line.split("#")[0].split(";")]
        if len(fields) < 6:
            continue
        source = unescape(fields[0])
        to_unicode = unescape(fields[1]) if fields[1] else source
        status = (fields[4] or fields[2]).strip("[]")
        uts46 = "!" if status else escape(to_unicode)
        ours = idna2008(source)
        lines[f"{escape(source)}\t{uts46}\t{'!' if ours is None else escape(ours)}"] = None
    return list(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("precis", "unicode", "out"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    options = parser.parse_args()
    files = {
        "precis/profiles.txt": profile_lines(options.precis),
        "precis/derived.txt": derived_lines(options.precis),
        "idna/names.txt": name_lines(options.unicode),
    }
    for name, lines in files.items():
        path = options.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{path}: {len(lines)} lines")


if __name__ == "__main__":
    main()
