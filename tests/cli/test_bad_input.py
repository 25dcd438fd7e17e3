#!/usr/bin/env python3
"""What goes wrong around a campaign: bundles and scenarios of others, settings that nothing fits, a full disk, an
interruption. One clear line, the stated exit code, and nothing that was found is lost.

    VERDICT_BUILD=build/release python3 tests/cli/test_bad_input.py
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

import test_program

PLANTED = ["--set", 'defects=["local-shrink"]']
SMALL = ["search", "--profile", "small"]


class BadInputTest(test_program.ProgramTest):
    def bundle(self):
        done = self.call("run", *test_program.FAILING, "--format", "json", "--out", self.work / "out")
        self.assertEqual(done.returncode, 1, done.stderr)
        return pathlib.Path(json.loads(done.stdout)["runs"][-1]["dir"])

    def said(self, done, code, *parts):
        """The exit code, and one line of standard error with all of `parts`."""
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        lines = [line for line in done.stderr.splitlines() if all(part in line for part in parts)]
        self.assertEqual(len(lines), 1, done.stderr)
        for leak in ("exception", "terminate", "what():", "Assertion", "Segmentation"):
            self.assertNotIn(leak, done.stderr)


class Foreign(BadInputTest):
    def test_a_scenario_of_a_newer_version(self):
        newer = {"version": 2, "name": "a", "what_is_that": {"new": True}}
        path = self.file("newer.json", json.dumps(newer))
        says = ["$.version: 2; allowed: 1, the newest that this build knows"]
        self.refused("run", path, says=says)
        bundle = self.bundle()
        scenario = json.loads((bundle / "scenario.json").read_text())
        (bundle / "scenario.json").write_text(json.dumps({**scenario, "version": 3, "more": []}))
        for command in ("replay", "shrink", "report"):
            self.refused(command, bundle, says=["scenario.json: $.version: 3; allowed: 1,"])

    def test_broken_bundles(self):
        whole = self.bundle()

        def broken(name, content):
            shutil.rmtree(self.work / "broken", ignore_errors=True)
            shutil.copytree(whole, self.work / "broken")
            if content is None:
                (self.work / "broken" / name).unlink()
            else:
                (self.work / "broken" / name).write_bytes(content)

        half = (whole / "run.json").read_bytes()[:300]
        for name, content, says in (
            ("run.json", half, "run.json: is no JSON object"),
            ("run.json", b"\xff\xfe\0garbage", "run.json: is no JSON object"),
            ("run.json", b'{"photos":[]}', "run.json: is no record of a run"),
            ("run.json", None, "run.json: can't be read"),
            ("scenario.json", None, "scenario.json: can't be read"),
            ("scenario.json", b"{}", "scenario.json: $"),
        ):
            broken(name, content)
            for command in ("replay", "shrink", "report"):
                self.refused(command, "broken", says=[says])
        broken("events.jsonl.zst", None)
        self.refused("report", "broken", says=["events.jsonl.zst: can't be read"])
        self.assertEqual(self.call("replay", "broken").returncode, 1)  # it needs the scenario and the seed alone
        self.refused("merge", "broken", says=["broken/runs.jsonl"])

    def test_settings_that_nothing_drawn_fits(self):
        self.refused(*SMALL, "--set", "cluster.brokers=1", says=["$.topics[0].assignment", "1 to 1"])
        self.refused(*SMALL, "--set", "topics[3].partitions=2",
                     says=["--set topics[3].partitions=2", "a field that is there"])

    def test_settings_that_a_later_scenario_does_not_fit(self):
        setting = ["--set", "faults[1].optional=true"]  # some scenarios have one fault
        self.refused(*SMALL, *setting, "--seeds", "1..400", "--out", "early",
                     says=["--set faults[1].optional=true", "in the scenario of seed", "whatever is drawn"])
        self.assertFalse((self.work / "early").exists())
        for first in range(1, 4000, 50):  # until the first ones, which are tried before anything runs, all fit
            seeds = f"{first}..{first + 2000}"
            done = self.call(*SMALL, *setting, "--seeds", seeds, "--for", "60s", "--out", "late")
            if (self.work / "late").exists():
                break
        self.said(done, 64, "in the scenario of seed", "faults[1].optional")
        runs = (self.work / "late/runs.jsonl").read_text().splitlines()
        self.assertGreater(len(runs), 40)
        self.assertTrue(all(json.loads(run)["outcome"] != "crash" for run in runs[1:]))


class FullDisk(BadInputTest):
    def setUp(self):
        super().setUp()
        self.disk = self.work / "disk"
        self.disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", self.disk], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("no file system can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk], check=True)

    def fill(self, leave):
        """All but `leave` bytes."""
        with open(self.disk / "filler", "wb") as file:
            file.write(b"\0" * (os.statvfs(self.disk).f_bavail * os.statvfs(self.disk).f_frsize - leave))

    def test_of_a_run(self):
        self.fill(300_000)
        done = self.call("run", *test_program.FAILING, "--out", self.disk / "out")
        self.said(done, 70, "can't be written: No space left on device")
        self.assertIn("violation     back-to-back-elections seed", done.stdout)
        self.assertIn("./verdict run back-to-back-elections --seed ", done.stdout)
        self.assertTrue(done.stdout.endswith("1 failed\n"), done.stdout)

    def test_of_a_search_that_then_goes_on(self):
        arguments = [*SMALL, "--seeds", "1..30", *PLANTED, "--jobs", "1"]
        whole = self.call(*arguments, "--out", "whole")
        self.assertEqual(whole.returncode, 1)
        self.fill(300_000)
        done = self.call(*arguments, "--out", self.disk / "out")
        self.said(done, 70, "can't be written: No space left on device")
        self.assertFalse(list((self.disk / "out/failures").iterdir()), "half a bundle")
        (self.disk / "filler").unlink()
        self.assertEqual(subprocess.run(["mount", "-o", "remount,size=64m", self.disk]).returncode, 0)
        again = self.call(*arguments, "--out", self.disk / "out")
        self.assertEqual(again.returncode, 1, again.stderr)
        bundles = sorted(path.name for path in (self.work / "whole/failures").iterdir())
        self.assertEqual(sorted(path.name for path in (self.disk / "out/failures").iterdir()), bundles)
        self.assertIn("same hash", self.call("replay", self.disk / "out/failures" / bundles[0]).stdout)

    def test_of_a_merge_that_is_made_again(self):
        self.call(*SMALL, "--seeds", "1..30", *PLANTED, "--out", "part")
        self.fill(150_000)
        done = self.call("merge", "part", "--out", self.disk / "all")
        self.said(done, 70, "No space left on device")
        (self.disk / "filler").unlink()
        self.assertEqual(subprocess.run(["mount", "-o", "remount,size=64m", self.disk]).returncode, 0)
        again = self.call("merge", "part", "--out", self.disk / "all")
        self.assertEqual(again.returncode, 1, again.stderr)
        for bundle in (self.work / "part/failures").iterdir():
            for path in bundle.rglob("*"):
                copy = self.disk / "all/failures" / bundle.name / path.relative_to(bundle)
                self.assertTrue(copy.exists(), copy)
                if path.is_file():
                    self.assertEqual(copy.read_bytes(), path.read_bytes())

    def test_of_the_shrinker(self):
        bundle = self.bundle()
        for name in ("run.json", "scenario.json"):
            shutil.copy(bundle / name, self.disk / name)
        self.fill(8_000)
        done = self.call("shrink", self.disk, "--runs", "20")
        self.said(done, 70, "can't be written", "the shrunk scenario is on standard output")
        scenario = self.file("shrunk.json", done.stdout[done.stdout.index("{"):])
        self.assertEqual(self.call("run", scenario, "--out", self.work / "again").returncode, 1)


class Interrupted(BadInputTest):
    def interrupt(self, *arguments):
        with subprocess.Popen([test_program.PROGRAM, *map(str, arguments)], cwd=self.work, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as process:
            time.sleep(2)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, errors)

    def test_runs_tell_what_there_was(self):
        done = self.interrupt("run", "leader-crash-acks-all", "--seeds", "1..100000", "--format", "json")
        self.said(done, 2, "verdict: interrupted after ", " of 100000 runs")
        told = json.loads(done.stdout)
        self.assertGreater(len(told["runs"]), 1)
        self.assertEqual(len(told["runs"]), told["passed"])
        self.assertIn(f"after {len(told['runs'])} of", done.stderr)

    def test_a_violation_that_was_found_is_told_with_its_files(self):
        done = self.interrupt("run", "back-to-back-elections", "--seeds", "1..100000", "--format", "jsonl",
                              *test_program.FAILING[-2:])
        self.said(done, 1, "verdict: interrupted after ")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        first = next(line for line in lines if line.get("outcome") == "violation")
        self.assertTrue((self.work / first["dir"] / "report.html").exists())
        self.assertEqual(lines[-1]["passed"] + lines[-1]["failed"] + lines[-1]["inconclusive"], len(lines) - 1)


if __name__ == "__main__":
    os.environ.setdefault("NO_COLOR", "1")
    unittest.main()
