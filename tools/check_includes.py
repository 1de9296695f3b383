# SPDX-License-Identifier: MIT
"""Refuses an include against the arrows: core sees nothing of ours, io and tls see core, router sees all three; the real
and the simulated io never see each other; wolfSSL is known in tls/ only, io_uring in io/ring only; private headers stay
in their folder; a file's basename is unique in the tree, since it is the prefix of its symbols; and each file is named in
the README of its folder."""
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEES = {
    'core': {'core'},
    'io': {'core', 'io'},
    'tls': {'core', 'tls'},
    'router': {'core', 'io', 'tls', 'router'},
    'bench': {'core', 'io', 'tls', 'bench'},
    'tools': {'core', 'tools', 'router'},
    'tests': {'core', 'io', 'tls', 'router', 'bench', 'tests', 'tools'},
}
# Inside core: base sees base, xml and jid see base.
CORE = {'base': {'base'}, 'xml': {'base', 'xml'}, 'jid': {'base', 'jid'}}
FOREIGN = [
    (re.compile(r'wolfssl/'), ('tls', 'tests/unit/tls', 'bench/micro-tls')),
    (re.compile(r'liburing|linux/io_uring'), ('io/ring', 'bench/relay', 'bench/micro-visit', 'tests/unit/io')),
    (re.compile(r'lmdb\.h'), ('router/store', 'tests/unit/router')),
    (re.compile(r'unbound'), ('router/s2s',)),
    (re.compile(r'unistr|unicase|uninorm|unictype|idn2'), ('core/jid', 'tls', 'tools/jidprep', 'tests')),
]

faults = []


def fault(path, line, text):
    faults.append(f'{path}:{line}: {text}')


def check_ours(path, line, target):
    here, there = path.parts, Path(target).parts
    if there[0] not in SEES.get(here[0], set()):
        fault(path, line, f'{here[0]} must not see {target}')
    elif here[0] == there[0] == 'core' and there[1] not in CORE[here[1]]:
        fault(path, line, f'core/{here[1]} must not see {target}')
    if target.endswith('_priv.h') and path.parent != Path(target).parent and here[0] != 'tests':
        fault(path, line, f'{target} is private to its folder')
    if here[:2] == ('io', 'sim') and there[:2] == ('io', 'ring') or here[:2] == ('io', 'ring') and there[:2] == ('io', 'sim'):
        fault(path, line, 'the two implementations of io do not know each other')


def check_file(path):
    text = (ROOT / path).read_text(errors='replace')
    if 'SPDX-License-Identifier: MIT' not in text.split('\n', 1)[0]:
        fault(path, 1, 'the first line is not the SPDX line')
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if not match:
            continue
        quote, target = match.groups()
        if quote == '"' and '/' in target and target != 'router/version.h':
            if not (ROOT / target).exists():
                fault(path, number, f'{target} does not exist')
            else:
                check_ours(path, number, target)
        for pattern, places in FOREIGN:
            if quote == '<' and pattern.search(target) and not any(str(path).startswith(place) for place in places):
                fault(path, number, f'{target} is known only in {", ".join(places)}')


def check_named(path):
    """By its name, or by its stem alone in backticks; a header also by the name of what it declares."""
    readme = path.parent / 'README.md'
    text = (ROOT / readme).read_text() if (ROOT / readme).exists() else ''
    stem = path.stem.removesuffix('_priv')
    if path.name in text or f'`{path.stem}`' in text:
        return
    if path.suffix != '.h' or not re.search(rf'\b{re.escape(stem)}(\.[ch]\b|_priv|`|,)', text):
        fault(path, 1, f'{readme} does not name it')


def main():
    names = defaultdict(list)
    files = sorted(p.relative_to(ROOT) for top in SEES for p in (ROOT / top).rglob('*') if p.suffix in ('.c', '.cc', '.h'))
    for path in files:
        check_file(path)
        if path.parts[0] != 'tests':
            names[path.name].append(path)
            check_named(path)
    for name, paths in names.items():
        if len(paths) > 1:
            fault(paths[1], 1, f'{name} is also {paths[0]}: basenames are unique')
    for one in faults:
        print(one)
    print(f'{len(files)} files, {len(faults)} faults')
    return 1 if faults else 0


sys.exit(main())
