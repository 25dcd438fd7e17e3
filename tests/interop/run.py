"""Runs tests/interop/*_test.py, each with --build DIR, and adds up their last lines.

python3 tests/interop/run.py --build build/release [PART_OF_A_FILE_NAME]
"""

import argparse
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
LONGEST_S = 1200


def run(path, build):
    """(passed, failed, skipped); the test's output is shown as it comes."""
    command = [sys.executable, "-B", path, "--build", build]
    try:
        done = subprocess.run(
            command,
            cwd=HERE.parents[1],
            timeout=LONGEST_S,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, code = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        output, code = (late.stdout or b"").decode(errors="replace") + f"\nno end after {LONGEST_S} s", -1
    lines = output.rstrip("\n").split("\n")
    print(f"== {path.name}\n{output.rstrip()}", flush=True)
    match = re.fullmatch(r"(\d+) passed, (\d+) failed, (\d+) skipped", lines[-1])
    if not match:
        print(f"{path.name}: exit code {code}, and no count in the last line")
        return 0, 1, 0
    passed, failed, skipped = map(int, match.groups())
    return passed, failed or int(code != 0), skipped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("filter", nargs="?", default="")
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parents[1] / "build/release")
    options = parser.parse_args()
    total = [0, 0, 0]
    for path in sorted(HERE.glob("*_test.py")):
        if options.filter in path.name:
            total = [sum(pair) for pair in zip(total, run(path, options.build.resolve()))]
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return int(total[1] != 0)


if __name__ == "__main__":
    sys.exit(main())
