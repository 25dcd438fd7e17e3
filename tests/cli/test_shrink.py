#!/usr/bin/env python3
"""verdict shrink, on the bundle of a real violation: what is left, what it writes, and what it refuses.

    VERDICT_BUILD=build/release python3 tests/cli/test_shrink.py
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("VERDICT_BUILD", ROOT / "build/release")).resolve() / "verdict"


def bloated():
    """A violation of a planted defect, under much that it does not need."""
    scenario = json.loads((ROOT / "scenarios/library/back-to-back-elections.json").read_text())
    scenario["name"] = "bloated"
    scenario["defects"] = ["no-truncation"]
    scenario["topics"].append({"name": "idle"})
    scenario["cluster"] = {"brokers": 4, "config": {"replica.fetch.wait.max.ms": 300}}
    scenario["network"] = {"latency_us": 150}
    for i in range(6):
        broker = f"broker({i % 4 + 1})"
        scenario["faults"] += [
            {"id": f"slow-{i}", "action": "slow_link", "at_ms": 150 * i, "a": [broker], "b": ["clients"], "delay_ms": 1,
             "for_ms": 100},
            {"id": f"late-{i}", "action": "clock_offset", "at_ms": 200 * i, "target": broker, "by_ms": 40,
             "for_ms": 300}]
    scenario["workload"] = {
        "producers": [{"acks": acks, "burst": 3} for acks in ("all", "all", "1", "0")] + [{"topic": "idle"}],
        "consumers": [{}, {"topic": "idle"}, {"seek_one_in": 20}]}
    return scenario


@unittest.skipUnless(PROGRAM.exists(), f"there is no {PROGRAM}")
class Shrink(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.home = pathlib.Path(folder.name)
        (cls.home / "bloated.json").write_text(json.dumps(bloated()))
        done = cls.call("run", "bloated.json", "--seeds", "1..60", "--fail-fast", "--format", "json", "--out", "out")
        cls.found = json.loads(done.stdout)["runs"][-1]
        assert cls.found["outcome"] == "violation", done.stdout
        cls.bundle = cls.home / cls.found["dir"]

    @classmethod
    def call(cls, *arguments, cwd=None):
        return subprocess.run([PROGRAM, *map(str, arguments)], cwd=cwd or cls.home, capture_output=True, text=True,
                              errors="replace", timeout=300)

    def refused(self, *arguments, says=(), code=64):
        with self.subTest(arguments=[str(a) for a in arguments]):
            done = self.call(*arguments)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            self.assertEqual(done.stdout, "")
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            for part in says:
                self.assertIn(str(part), done.stderr)

    def copy(self, name):
        shutil.copytree(self.bundle, self.home / name, ignore=shutil.ignore_patterns("shrunk*"))
        return self.home / name

    def test_what_is_left_is_small_and_replays_to_its_hash(self):
        done = self.call("shrink", self.bundle, "--runs", 1500, "--for", "250s", "--out", self.home / "small")
        self.assertEqual(done.returncode, 0, done.stderr)
        small = self.home / "small"
        for name in ("run.json", "scenario.json", "shrunk.json", "report.html", "events.jsonl.zst", "history.jsonl"):
            self.assertTrue((small / name).exists(), name)
        scenario = json.loads((small / "scenario.json").read_text())
        self.assertLessEqual(len(scenario["faults"]), 3)
        sizes = {size["name"]: size for size in json.loads((small / "shrunk.json").read_text())["sizes"]}
        self.assertEqual(sizes["faults"]["before"], 14)
        self.assertEqual(sizes["faults"]["after"], len(scenario["faults"]))
        self.assertLessEqual(sizes["operations"]["after"], 20)
        self.assertLess(sizes["nodes"]["after"], 5)
        self.assertIn(f"faults 14 -> {sizes['faults']['after']}", done.stdout)
        was, now = (json.loads((folder / "run.json").read_text()) for folder in (self.bundle, small))
        self.assertEqual((now["outcome"], now["invariant"]), (was["outcome"], was["invariant"]))
        # It is a bundle like any other: it moves, replays, and its scenario runs by itself.
        moved = self.home / "moved" / "small"
        shutil.copytree(small, moved)
        replayed = self.call("replay", moved, cwd="/")
        self.assertEqual(replayed.returncode, 1)
        self.assertIn(f"same outcome, same hash {now['hash']}", replayed.stdout)
        again = self.call("run", moved / "scenario.json", "--format", "json")
        self.assertEqual(json.loads(again.stdout)["runs"][0]["hash"], now["hash"])
        page = (small / "report.html").read_text()
        self.assertIn('<section id="shrunk">', page)
        self.assertIn("slow-0 (slow_link) left out", page)

    def test_results_do_not_depend_on_the_number_of_jobs(self):
        found = []
        for jobs in (1, 3):
            file = self.home / f"jobs-{jobs}.json"
            bundle = self.copy(f"by-{jobs}")
            done = self.call("shrink", bundle, "--runs", 60, "--jobs", jobs, "--for", "250s", "--out", file)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("60 runs", done.stdout)
            self.assertIn("the runs are used up", done.stdout)
            found.append(file.read_text())
            self.assertTrue((bundle / "shrunk/report.html").exists())
        self.assertEqual(found[0], found[1])

    def test_an_interruption_leaves_the_best_so_far(self):
        bundle = self.copy("interrupted")
        with subprocess.Popen([PROGRAM, "shrink", bundle, "--for", "250s"], cwd=self.home, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as process:
            time.sleep(3)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, errors)
        if "nothing smaller" not in out:  # it was faster
            self.assertIn("interrupted: the best so far", out)
        self.assertIn("same hash", self.call("replay", bundle / "shrunk").stdout)

    def test_out_of_time(self):
        bundle = self.copy("hurried")
        done = self.call("shrink", bundle, "--for", "100ms")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the best so far", done.stdout)
        self.assertIn("same hash", self.call("replay", bundle / "shrunk").stdout)

    def test_how_likely_the_failure_was(self):
        bundle = self.copy("likely")
        done = self.call("replay", bundle, "--reseed-at", "curve", "--branches", 4)
        self.assertEqual(done.returncode, 0, done.stderr)
        curve = json.loads((bundle / "curve.json").read_text())
        self.assertEqual(curve["failure"], self.found["invariant"])
        self.assertEqual([point["runs"] for point in curve["points"]], [4] * 10)
        times = [point["at_ms"] for point in curve["points"]]
        self.assertEqual(times, sorted(times))
        self.assertEqual(curve["points"][-1]["failed"], 4)  # a millisecond before it there is nothing left to draw
        self.assertIn('<section id="curve">', (bundle / "report.html").read_text())
        again = self.call("replay", bundle, "--reseed-at", f"{times[0]}ms,{times[3]}ms", "--branches", 4, "--jobs", 1)
        self.assertEqual(again.returncode, 0, again.stderr)
        two = json.loads((bundle / "curve.json").read_text())["points"]
        self.assertEqual(two, [curve["points"][0], curve["points"][3]])  # whatever the number of jobs
        self.refused("replay", bundle, "--reseed-at", "later", says=["--reseed-at"])
        self.refused("replay", bundle, "--reseed-at", "900s", says=["--reseed-at", "allowed"])
        self.refused("replay", bundle, "--branches", 3, says=["--reseed-at"])
        self.refused("replay", bundle, "--reseed-at", "1s", "--branches", 0, says=["--branches"])

    def test_wrong_arguments_and_broken_bundles(self):
        self.refused("shrink", says=["bundle"])
        self.refused("shrink", "nowhere", says=["nowhere", "not there"])
        self.refused("shrink", self.bundle, "--for", "soon", says=["--for"])
        self.refused("shrink", self.bundle, "--for", "0s", says=["--for"])
        self.refused("shrink", self.bundle, "--jobs", 0, says=["--jobs"])
        self.refused("shrink", self.bundle, "--runs", -1, says=["--runs"])
        self.refused("shrink", self.bundle, "--out", self.home, says=["--out", "not empty"])
        (self.home / "file").write_text("")
        self.refused("shrink", self.bundle, "--out", self.home / "file" / "below", says=["--out"])
        torn = self.copy("torn")
        (torn / "run.json").write_text((torn / "run.json").read_text()[:200])
        self.refused("shrink", torn, says=["run.json"])
        newer = self.copy("newer")
        scenario = json.loads((newer / "scenario.json").read_text())
        (newer / "scenario.json").write_text(json.dumps({**scenario, "version": 99}))
        self.refused("shrink", newer, says=["scenario.json", "$.version", "99"])

    def test_runs_that_did_not_fail(self):
        done = self.call("run", "leader-crash-acks-all", "--seed", 1, "--format", "json", "--out", "passing")
        run = json.loads(done.stdout)["runs"][0]
        self.assertEqual(run["outcome"], "pass")
        self.refused("shrink", self.home / run["dir"], says=["is pass", "allowed: a violation"])
        self.assertFalse((self.home / run["dir"] / "shrunk").exists())
        # A bundle of another build whose failure is gone; and one of this build, which is not deterministic then.
        for name, build, code, says in (("foreign", "another", 64, "the build differs"),
                                        ("odd", None, 3, "not deterministic")):
            healed = self.copy(name)
            scenario = json.loads((healed / "scenario.json").read_text())
            scenario["defects"] = []
            (healed / "scenario.json").write_text(json.dumps(scenario))
            if build:
                record = json.loads((healed / "run.json").read_text())
                (healed / "run.json").write_text(json.dumps({**record, "build": build}))
            self.refused("shrink", healed, says=[says], code=code)
            self.assertFalse((healed / "shrunk").exists())

    def test_a_full_disk_loses_nothing(self):
        full = "/dev/full"
        if not os.path.exists(full):
            self.skipTest(f"there is no {full}")
        bundle = self.copy("full")
        (self.home / "full.json").symlink_to(full)
        done = self.call("shrink", bundle, "--runs", 5, "--out", self.home / "full.json")
        self.assertEqual(done.returncode, 70, done.stderr)
        self.assertIn("full.json: can't be written", done.stderr)
        self.assertEqual(json.loads(done.stdout)["version"], 1)


if __name__ == "__main__":
    unittest.main()
