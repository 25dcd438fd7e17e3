#!/usr/bin/env python3
"""Runs the tests of a finished build. `./verdict test` builds and calls this.

    tests/run.py [--build DIR] [--full] [--list] [FILTER]

FILTER picks the steps whose name contains it; where there is none, the single GoogleTest tests that contain it. --full
adds the debug build's hashes and all test programs under the sanitizers. Each step prints one line, a failing one its
output (the whole of it is kept in DIR/test-logs). The last line is `N passed, N failed, N skipped`; exit code 1 if one
failed.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "scenarios" / "library"
SHOWN_LINES = 150

SEED_BLOCK = "1..50"  # the same seeds in every run of the tests, and a share of them twice
SEED_BLOCK_TWICE = "0.05"
PROPERTY_SEED = 1  # RapidCheck's, so that two runs of the tests try the same; RC_PARAMS in the environment goes before
SEARCH_BLOCK = ("small", "1..200"), ("default", "1..150")  # profiles and seeds of drawn scenarios
ASAN_SEEDS = "1..3"  # must give the release's hashes; address and undefined behaviour sanitizers watch
THREADED_TESTS = ["unit_runtime", "unit_storage", "unit_client", "unit_broker"]  # what links runtime/asio
DEBUG_SEEDS = "1..2"  # the same at -O0
# A small slice of the kill matrix: defects that drawn scenarios find within a few runs, and the budget of each.
MUTANTS = ["local-shrink", "majority-hw", "no-truncation", "unclean-election", "kip-101", "min-isr-off"]
MUTANTS_BUDGET = ["--trials", "2", "--runs", "60", "--for", "25s"]
INCONCLUSIVE_SHARE = 0.02  # of one scenario's runs
FUZZ_SECONDS = 10
FUZZ_COUNTERS = 300  # edges in the program, its libraries included
FUZZ_COVERAGE = 100  # edges that a run reaches at least

# Steps that may share the cores, beside the test programs; the others use them all, or have clients whose time runs.
SMALL = ("tidy", "symbols", "python_tidy")

Result = collections.namedtuple("Result", "passed failed skipped output")
Step = collections.namedtuple("Step", "name slow run")


class Suite:
    def __init__(self, build, jobs, gtest_filter):
        self.build = build
        self.jobs = jobs
        self.gtest_filter = gtest_filter
        self.logs = build / "test-logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.program = build / "verdict"

    # ---- finding out what there is ----

    def steps(self):
        yield Step("tidy", False, lambda: self.command([sys.executable, ROOT / "tests/tidy/tidy.py"]))
        yield Step("symbols", False, lambda: self.command([sys.executable, ROOT / "tests/tidy/symbols.py", self.build]))
        for path in sorted((ROOT / "tests").glob("*/test_*.py")):
            yield Step("python_" + path.stem.removeprefix("test_"), False, lambda path=path: self.python_tests(path))
        for program in self.listed("test-programs.txt"):
            yield Step(program.name, False, lambda program=program: self.gtest(program))
        if self.has_command("run") and any(LIBRARY.glob("*.json")):
            yield Step("library", False, lambda: self.scenarios(["--check-determinism", "1.0"]))
            yield Step("seed_block", False, lambda: self.scenarios(
                ["--seeds", SEED_BLOCK, "--check-determinism", SEED_BLOCK_TWICE]))
            if self.has_command("search"):
                yield Step("search_block", False, self.search_block)
            if self.has_command("mutants"):
                yield Step("mutants", False, self.mutants)
        interop = ROOT / "tests/interop/run.py"
        if interop.exists():
            yield Step("interop", False, lambda: self.counted([sys.executable, interop, "--build", self.build]))
        if self.build.name == "release":
            yield from self.steps_of_other_builds()

    def steps_of_other_builds(self):
        yield Step("asan_build", False, lambda: self.building("asan", ["verdict", "fuzz_programs"]))
        yield Step("asan_block", False, lambda: self.other_build("asan", ASAN_SEEDS))
        yield Step("fuzz", False, self.fuzz)
        yield Step("asan_tests", True, lambda: self.tests_of("asan", None))
        yield Step("tsan_tests", True, lambda: self.tests_of("tsan", THREADED_TESTS))
        yield Step("debug_block", True, lambda: self.other_build("debug", DEBUG_SEEDS))

    def listed(self, name, build=None):
        build = build or self.build
        path = build / name
        return [build / line for line in path.read_text().split("\n") if line] if path.exists() else []

    def has_command(self, name):
        return self.program.exists() and (ROOT / "cli" / f"{name}.cpp").exists()

    # ---- kinds of steps ----

    def call(self, command, timeout=1800, stdout_apart=False):
        """(exit code, standard output, standard error); both in the output when they are not kept apart."""
        command = [str(part) for part in command]
        try:
            done = subprocess.run(command, cwd=ROOT, timeout=timeout, text=True, errors="replace",
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE if stdout_apart else subprocess.STDOUT)
            return done.returncode, done.stdout, done.stderr or ""
        except subprocess.TimeoutExpired as late:
            output = late.stdout or b""
            output = output.decode(errors="replace") if isinstance(output, bytes) else output
            return -1, output, f"no end after {timeout} s: {' '.join(command)}\n"

    def command(self, command, timeout=1800):
        """One test: the exit code."""
        code, output, error = self.call(command, timeout)
        return Result(int(code == 0), int(code != 0), 0, output + error)

    def counted(self, command):
        """A driver of its own that ends with `N passed, N failed, N skipped`."""
        code, output, error = self.call(command)
        lines = output.strip().split("\n")
        match = re.fullmatch(r"(\d+) passed, (\d+) failed, (\d+) skipped", lines[-1])
        if not match:
            return Result(0, 1, 0, output + error + f"exit code {code}, and no count in the last line\n")
        passed, failed, skipped = (int(number) for number in match.groups())
        if code != 0 and failed == 0:
            failed = 1
        said = [line for line in lines if re.match(r"(skipped|SKIP)", line)]
        return Result(passed, failed, skipped, output + error if failed else "".join(line + "\n" for line in said))

    def python_tests(self, path):
        code, output, error = self.call([sys.executable, "-B", path, "-v"], 600)
        ran = re.search(r"^Ran (\d+) tests?", output, re.M)
        if not ran:
            return Result(0, 1, 0, output + error)
        bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", output))
        skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", output))
        if code != 0 and bad == 0:
            bad = 1
        return Result(max(0, int(ran.group(1)) - bad - skipped), bad, skipped, output + error if bad else "")

    def gtest(self, program):
        if not program.exists():
            return Result(0, 1, 0, f"{program} has not been built\n")
        with tempfile.TemporaryDirectory() as folder:
            report = pathlib.Path(folder) / "report.json"
            command = [program, f"--gtest_output=json:{report}", "--gtest_color=no"]
            if self.gtest_filter:
                command.append(f"--gtest_filter=*{self.gtest_filter}*")
            code, output, error = self.call(command, 900)
            if not report.exists():
                return Result(0, 1, 0, output + error + f"ended with {code} before its report\n")
            tests = [test for suite in json.loads(report.read_text())["testsuites"] for test in suite["testsuite"]]
        failed = sum(1 for test in tests if test.get("failures"))
        skipped = sum(1 for test in tests if not test.get("failures") and
                      (test.get("result") == "SKIPPED" or test.get("status") == "NOTRUN"))
        if code != 0 and failed == 0:  # died after its last test, or a sanitizer spoke at exit
            return Result(len(tests) - skipped, 1, skipped, output + error + f"ended with {code}\n")
        return Result(len(tests) - failed - skipped, failed, skipped, output + error if failed else "")

    def run_library(self, program, arguments):
        """(runs, exit code, standard error) of the scenario library; runs is None without a usable report."""
        with tempfile.TemporaryDirectory() as folder:
            code, output, error = self.call([program, "run", "--format", "json", "--jobs", self.jobs, "--out", folder,
                                             *arguments], stdout_apart=True)
        try:
            return json.loads(output)["runs"], code, error
        except (ValueError, KeyError, TypeError):
            return None, code, output[-4000:] + error + f"exit code {code}, and no JSON report\n"

    def scenarios(self, arguments, program=None):
        """Each scenario is a test over all its seeds: no violation, and few runs that saw too little."""
        runs, code, error = self.run_library(program or self.program, arguments)
        if runs is None:
            return Result(0, 1, 0, error)
        outcomes = collections.defaultdict(collections.Counter)
        said = []
        for run in runs:
            outcomes[run["scenario"]][run["outcome"]] += 1
            if not passed(run):
                said.append(f"{run['scenario']} seed {run['seed']}: {run['outcome']}: {run.get('invariant') or ''} "
                            f"{run.get('sentence') or ''}\n")
        bad = [name for name, counts in outcomes.items() if not good_enough(counts)]
        good = len(outcomes) - len(bad)
        if not outcomes or (code not in (0, 2) and not bad):  # not deterministic, an internal error, nothing to run
            return Result(good, 1, 0, "".join(said) + error + f"exit code {code}\n")
        return Result(good, len(bad), 0, "".join(said) + error if bad else "")

    def search_block(self):
        """Drawn scenarios of the healthy core: each profile's block is a test, clean and conclusive."""
        results = []
        for profile, seeds in SEARCH_BLOCK:
            with tempfile.TemporaryDirectory() as folder:
                results.append(self.command([self.program, "search", "--profile", profile, "--seeds", seeds, "--jobs",
                                             self.jobs, "--out", pathlib.Path(folder) / "out"]))
        return added(results)

    def mutants(self):
        """Each defect of the slice is a test, and that the healthy core is clean under the same runs is another."""
        code, output, error = self.call([self.program, "mutants", "--format", "json", "--jobs", self.jobs,
                                         *MUTANTS_BUDGET, *MUTANTS], stdout_apart=True)
        try:
            matrix = json.loads(output)
            defects, healthy = matrix["defects"], matrix["healthy"]
        except (ValueError, KeyError, TypeError):
            return Result(0, 1, 0, output[-4000:] + error + f"exit code {code}, and no JSON report\n")
        said = [f"{defect['id']}: {defect['state']} in {defect['runs']} runs\n"
                for defect in defects if not defect["killed"]]
        failed = len(said)
        if healthy["failed"] > 0 or healthy["passed"] == 0:
            said += [f"healthy core: {line}\n" for line in healthy["failures"] or ["it was not run"]]
            failed += 1
        if code != 0 and failed == 0:
            return Result(len(defects), 1, 0, error + f"exit code {code}\n")
        return Result(len(defects) + 1 - failed, failed, 0, "".join(said) + error if failed else "")

    def build_preset(self, preset, targets):
        """The build directory, or the output of what failed. Built as the release was: with its ccache, if any."""
        build = ROOT / "build" / preset
        cache = (self.build / "CMakeCache.txt").read_text()
        launcher = re.search(r"^CMAKE_CXX_COMPILER_LAUNCHER:\w+=(.+)$", cache, re.M)
        configure = ["cmake", "--preset", preset, "-DVERDICT_TESTS=ON"]
        if launcher:
            configure.append(f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher.group(1)}")
        for command in (configure, ["ninja", "-C", build, *targets]):
            code, output, error = self.call(command, 3600)
            if code != 0:
                return None, output + error
        return build, ""

    def building(self, preset, targets):
        """A step of its own, so that its time is seen apart from the tests'."""
        build, output = self.build_preset(preset, targets)
        return Result(int(build is not None), int(build is None), 0, output)

    def tests_of(self, preset, names):
        """The test programs (all, or those named) of another build."""
        build, output = self.build_preset(preset, names or ["test_programs"])
        if build is None:
            return Result(0, 1, 0, output)
        programs = [path for path in self.listed("test-programs.txt", build) if names is None or path.name in names]
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            return added(pool.map(self.gtest, programs))

    def other_build(self, preset, seeds):
        """The same seeds in another build: nothing found, and the same hash for each run."""
        build, output = self.build_preset(preset, ["verdict"])
        if build is None:
            return Result(0, 1, 0, output)
        here, _, error = self.run_library(self.program, ["--seeds", seeds])
        there, code, other_error = self.run_library(build / "verdict", ["--seeds", seeds])
        if here is None or there is None:
            return Result(0, 1, 0, error + other_error)
        hashes = {(run["scenario"], run["seed"]): run["hash"] for run in here}
        said = []
        for run in there:
            hash_here = hashes.get((run["scenario"], run["seed"]))
            if hash_here != run["hash"]:
                said.append(f"{run['scenario']} seed {run['seed']}: hash {run['hash']}, not {hash_here}\n")
        said += [f"{run['scenario']} seed {run['seed']}: {run['outcome']}\n" for run in there
                 if not passed(run) and not run["outcome"].startswith("inconclusive")]
        if len(there) != len(here) or not there or code not in (0, 2):
            said.append(f"{len(there)} runs of {len(here)}, exit code {code}\n{other_error}")
        names = {run["scenario"] for run in there}
        bad = {name for name in names if any(line.startswith(name + " ") for line in said)}
        failed = len(bad) or int(bool(said))
        return Result(len(names) - len(bad), failed, 0, "".join(said))

    def fuzz(self):
        build, output = self.build_preset("asan", ["fuzz_programs"])
        if build is None:
            return Result(0, 1, 0, output)
        programs = self.listed("fuzz-programs.txt", build)
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            return added(pool.map(self.fuzz_one, programs))

    def fuzz_one(self, program):
        name = program.name.removeprefix("fuzz_")
        corpus = ROOT / "tests/fuzz/corpus" / name
        with tempfile.TemporaryDirectory() as found:
            command = [program, f"-max_total_time={FUZZ_SECONDS}", "-timeout=10", "-rss_limit_mb=2048",
                       f"-artifact_prefix={self.logs}/{name}-", found]
            if corpus.is_dir():
                command.append(corpus)
            result = self.command(command, FUZZ_SECONDS + 120)
        (self.logs / f"fuzz-{name}.log").write_text(result.output)
        if result.failed:
            return result
        blind = blindness(result.output)
        return Result(int(not blind), int(bool(blind)), 0, f"{program.name}: {blind}\n" if blind else "")


def blindness(log):
    """Why a run of a fuzz target tried nothing, or "": the libraries under it must be instrumented, too."""
    counters = re.search(r"\((\d+) inline 8-bit counters\)", log)
    coverage = [int(edges) for edges in re.findall(r"^#\d+\s+\w+\s+cov: (\d+)", log, re.M)]
    if not counters or int(counters.group(1)) < FUZZ_COUNTERS:
        return "the libraries are built without coverage counters (VERDICT_FUZZ)"
    if not coverage or coverage[-1] < FUZZ_COVERAGE:
        return f"{coverage[-1] if coverage else 0} edges reached, fewer than {FUZZ_COVERAGE}"
    return ""


def added(results):
    results = list(results)
    counts = (sum(result[i] for result in results) for i in range(3))
    return Result(*counts, "".join(result.output for result in results))


def passed(run):
    return run["outcome"].startswith("pass")


def good_enough(counts):
    total = sum(counts.values())
    inconclusive = sum(count for outcome, count in counts.items() if outcome.startswith("inconclusive"))
    good = sum(count for outcome, count in counts.items() if outcome.startswith("pass"))
    return good + inconclusive == total and inconclusive <= INCONCLUSIVE_SHARE * total


def chosen(suite, text, full):
    steps = [step for step in suite.steps() if full or text or not step.slow]
    if not text:
        return steps
    named = [step for step in steps if text in step.name]
    if named:
        return named
    suite.gtest_filter = text
    programs = {program.name for program in suite.listed("test-programs.txt")}
    return [step for step in steps if step.name in programs]


def report(suite, step, result, seconds):
    state = "FAIL" if result.failed else "skip" if result.skipped and not result.passed else "ok"
    counts = f"{result.passed} passed" + (f", {result.failed} failed" if result.failed else "") + (
        f", {result.skipped} skipped" if result.skipped else "")
    print(f"{state:<5} {step.name:<28} {counts:<36} {seconds:7.1f} s", flush=True)
    log = suite.logs / f"{step.name}.log"
    log.write_text(result.output)
    lines = result.output.rstrip("\n").split("\n") if result.output.strip() else []
    if len(lines) > SHOWN_LINES:
        print(f"      the last {SHOWN_LINES} of {len(lines)} lines; all in {log}")
    for line in lines[-SHOWN_LINES:]:
        print("      " + line, flush=True)


def timed(step):
    start = time.monotonic()
    try:
        result = step.run()
    except Exception as error:  # a broken report or a missing tool is a failed step, not the end of the run
        result = Result(0, 1, 0, f"{type(error).__name__}: {error}\n")
    return result, time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(prog="verdict test", description="Runs the tests of a finished build.")
    parser.add_argument("filter", nargs="?", help="part of the name of steps, or else of GoogleTest tests")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release", help="the build directory")
    parser.add_argument("--full", action="store_true", help="with the debug build, and all under sanitizers")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--list", action="store_true", help="print the names of the steps")
    options = parser.parse_args()
    if not options.build.is_dir():
        parser.exit(64, f"verdict: {options.build} is no build directory\n")
    suite = Suite(options.build.resolve(), options.jobs, "")
    os.environ["VERDICT_BUILD"] = str(suite.build)  # for the Python tests of the program
    os.environ.setdefault("RC_PARAMS", f"seed={PROPERTY_SEED}")
    steps = chosen(suite, options.filter, options.full)
    if options.list:
        print("\n".join(step.name for step in steps))
        return 0
    if not steps:
        parser.exit(64, f"verdict: no test is called {options.filter}\n")

    programs = {program.name for program in suite.listed("test-programs.txt")}
    total = [0, 0, 0]

    def done(step, result, seconds):
        report(suite, step, result, seconds)
        for i in range(3):
            total[i] += result[i]

    # GoogleTest programs share the cores; the other steps use them all by themselves.
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        small = {pool.submit(timed, step): step for step in steps if step.name in programs or step.name in SMALL}
        for future in concurrent.futures.as_completed(small):
            done(small[future], *future.result())
    for step in steps:
        if step not in small.values():
            done(step, *timed(step))
    if suite.gtest_filter and sum(total) == 0:
        parser.exit(64, f"verdict: no step and no test is called {options.filter}\n")
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
