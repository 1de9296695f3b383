# SPDX-License-Identifier: MIT
"""The steps of tools/check, in order, each with its own build folder below build/."""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / 'build'
SANITIZER_ENV = {
    'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=1',
    'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1',
    'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1',
}

passed = 0
failed = []


def say(text):
    print(text, flush=True)


def count(name, good, bad, detail=''):
    global passed
    passed += good
    failed.extend(f'{name}: {one}' for one in bad)
    say(f'   {good} passed, {len(bad)} failed{detail}')


def run(command, log, env=None, timeout=1800):
    """Runs a command with its output in build/logs; returns (exit status, the output)."""
    (BUILD / 'logs').mkdir(parents=True, exist_ok=True)
    path = BUILD / 'logs' / f'{log}.txt'
    with open(path, 'wb') as out:
        try:
            status = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, timeout=timeout,
                                    stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}).returncode
        except subprocess.TimeoutExpired:
            status = -1
    return status, path.read_text(errors='replace')


def tail(text, lines=40):
    say('\n'.join('   | ' + line for line in text.splitlines()[-lines:]))


def build(name, compiler='gcc', **options):
    """Configures and builds build/NAME with warnings as errors; one test of the count."""
    folder = BUILD / name
    settings = [f'-D{key}={value}' for key, value in {'werror': 'true', **options}.items()]
    env = {'CC': compiler}
    verb = ['--reconfigure'] if (folder / 'build.ninja').exists() else []
    status, text = run(['meson', 'setup', *verb, str(folder), *settings], f'{name}-setup', env)
    if status == 0:
        status, text = run(['ninja', '-k', '0', '-C', str(folder)], f'{name}-build', env)
    if status:
        tail(text)
    count(f'build {name}', int(status == 0), [] if status == 0 else [f'see build/logs/{name}-build.txt'])
    return status == 0


def meson_test(name, suites, wrapper_env=None, multiplier=1):
    """Runs meson's tests of build/NAME and counts each program."""
    command = ['meson', 'test', '-C', str(BUILD / name), '--no-rebuild', '--print-errorlogs', '-t', str(multiplier)]
    for suite in suites:
        command += ['--suite', suite]
    env = {'SLUICED': str(BUILD / name / 'router' / 'sluiced'), 'SLUICECTL': str(BUILD / name / 'tools' / 'sluicectl'),
           **(wrapper_env or {})}
    status, text = run(command, f'{name}-test', env)
    good, bad = 0, []
    try:
        for line in (BUILD / name / 'meson-logs' / 'testlog.json').read_text().splitlines():
            one = json.loads(line)
            if one['result'] in ('OK', 'EXPECTEDFAIL'):
                good += 1
            elif one['result'] != 'SKIP':
                bad.append(one['name'])
    except FileNotFoundError:
        bad.append('no test ran')
    if status and not bad:
        bad.append(f'meson test exited with {status}')
    if bad:
        tail(text, 80)
    count(f'test {name}', good, bad)


def pytest(name, folder, env, timeout=1200):
    status, text = run(['/usr/bin/python3', '-B', '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-rfE', str(folder)],
                       f'pytest-{name}', env, timeout)
    good = sum(map(int, re.findall(r'(\d+) passed', text)[-1:]))
    bad = re.findall(r'^(?:FAILED|ERROR) (\S+)', text, re.M)
    if status and not bad:
        bad.append(f'pytest exited with {status}')
    streams = tapped(text)
    if not streams:
        bad.append('the tap saw no stream')
    if bad:
        tail(text, 80)
    count(f'pytest {name}', good, bad, f'; {streams}')


def tapped(text):
    """What the tap saw, in its own words: the last line of totals with at least one stream."""
    lines = re.findall(r'^tap: (\d+ connections, [1-9]\d* streams .*)', text, re.M)
    return lines[-1] if lines else ''


def tapped_simulations(name, options):
    """The simulated tests of build/NAME once more, storms too, and every stream of each of them validated."""
    seconds = time.monotonic()
    programs = sorted(path for path in (BUILD / name / 'tests' / 'sim').glob('test_sim_*') if path.is_file())
    good, bad, seen = 0, [], []
    memory = '/dev/shm' if os.path.isdir('/dev/shm') else None  # 100 MB in 16,000 files, which no disk has to see
    made = BUILD / name / 'tests'
    env = {'SL_TEST_DATA': str(ROOT / 'tests' / 'data'), 'SL_TEST_CERTS': str(made / 'unit/tls/certs'),
           'SL_TEST_PEOPLE': str(made / 'chains/people'), 'SL_TEST_ANSWERS': str(made / 'chains/answers')}
    if options.long:
        env['SL_SEEDS'] = '300'  # storms; 60 of them otherwise
    for program in programs:
        with tempfile.TemporaryDirectory(prefix='sluice-tap-', dir=memory) as folder:
            status, text = run([str(program)], f'{name}-tap-{program.name}', {**env, 'SL_TAP': folder})
            if status == 0:
                status, text = run(['/usr/bin/python3', '-B', 'tests/schema/validate.py', folder],
                                   f'{name}-tap-{program.name}')
        if status or not tapped(text):
            bad.append(f'{program.name}: see build/logs/{name}-tap-{program.name}.txt')
            tail(text)
            continue
        good += 1
        seen.append(f'\n   {program.name}: {tapped(text)}')
    if not programs:
        bad.append('no simulation to tap')
    count(f'tap {name}', good, bad, f' in {time.monotonic() - seconds:.0f} s{"".join(seen)}')


def step_includes(_):
    status, text = run(['/usr/bin/python3', '-B', 'tools/check_includes.py'], 'includes')
    if status:
        tail(text)
    count('includes', int(status == 0), [] if status == 0 else ['an include against the arrows'])


def step_requirements(_):
    status, text = run(['/usr/bin/python3', '-B', 'tests/conformance/report.py', '--check'], 'requirements')
    tail(text, 1 if status == 0 else 40)
    count('requirements', int(status == 0), [] if status == 0 else ['docs/CONFORMANCE.md is not what the tests hold'])


def step_gcc(options):
    if build('gcc', 'gcc', buildtype='debugoptimized'):
        meson_test('gcc', ['unit', 'sim', 'fuzz', 'system'])
        tapped_simulations('gcc', options)


def step_clang(_):
    build('clang', 'clang', buildtype='debugoptimized')


def step_asan(options):
    if build('asan', 'clang', buildtype='debugoptimized', b_sanitize='address,undefined', b_lundef='false'):
        env = dict(SANITIZER_ENV)
        if options.long:
            env['SL_SEEDS'] = '2000'
        meson_test('asan', ['unit', 'sim', 'fuzz'], env, 6)


def step_tsan(_):
    if build('tsan', 'clang', buildtype='debugoptimized', b_sanitize='thread', b_lundef='false'):
        meson_test('tsan', ['unit', 'threads'], SANITIZER_ENV, 10)


def step_release(options):
    if not build('release', 'gcc', buildtype='release'):
        return
    env = {'SLUICED': str(BUILD / 'release' / 'router' / 'sluiced'),
           'SLUICECTL': str(BUILD / 'release' / 'tools' / 'sluicectl')}
    if options.long:
        env['SL_LONG'] = '1'
    pytest('integration', 'tests/integration', env, 5400 if options.long else 1200)
    pytest('schema', 'tests/schema', env, 300)
    pytest('conformance', 'tests/conformance', env, 300)
    status, text = run(['bench/budget'], 'budget', timeout=300)
    tail(text)
    count('budget', text.count('\nkept') + text.startswith('kept'), re.findall(r'^BROKEN (\S.*)', text, re.M) or
          ([] if status == 0 else [f'bench/budget exited with {status}']))


def step_quickstart(_):
    status, text = run(['tools/quickstart', '--once'], 'quickstart', timeout=600)
    if status:
        tail(text)
    count('quickstart --once', int(status == 0), [] if status == 0 else ['see build/logs/quickstart.txt'])


STEPS = [
    ('includes', step_includes, 'includes go with the arrows of docs/ARCHITECTURE.md'),
    ('requirements', step_requirements, 'each requirement of RFC 6120 and 7622 has a test or a reason: docs/CONFORMANCE.md'),
    ('gcc', step_gcc, 'GCC without warnings; unit, property, simulation and system tests; all that the simulations heard'),
    ('clang', step_clang, 'Clang without warnings'),
    ('asan', step_asan, 'unit and simulation tests under ASan, LSan and UBSan'),
    ('tsan', step_tsan, 'unit tests, links and threads among them, under TSan'),
    ('release', step_release, 'optimised build; real clients, grammars, the probe; instructions of a message'),
    ('quickstart', step_quickstart, 'tools/quickstart --once'),
]


def main():
    parser = argparse.ArgumentParser(prog='tools/check', description='Set-up, then everything that must hold. Logs are in '
                                     'build/logs. Exit status 0 if nothing failed.')
    parser.add_argument('--long', action='store_true', help='also the long soaks and every cut of the kill test')
    parser.add_argument('steps', nargs='*', metavar='STEP', help='only these: ' + ', '.join(s[0] for s in STEPS))
    options = parser.parse_args()
    unknown = set(options.steps) - {step[0] for step in STEPS}
    if unknown:
        parser.error('no such step: ' + ', '.join(sorted(unknown)))
    begin = time.monotonic()
    for name, step, text in STEPS:
        if options.steps and name not in options.steps:
            continue
        since = time.monotonic()
        say(f'== {name}: {text}')
        step(options)
        say(f'   {time.monotonic() - since:.0f} s')
    say(f'== {time.monotonic() - begin:.0f} s in all')
    for one in failed:
        say(f'FAILED {one}')
    say(f'{passed} passed, {len(failed)} failed')
    return 1 if failed or not passed else 0


sys.exit(main())
