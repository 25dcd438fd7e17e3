#!/usr/bin/env python3
"""verdict mutants as a user meets it: wrong arguments, the matrix and its files, an interruption.

    VERDICT_BUILD=build/release python3 tests/cli/test_mutants.py
"""

import json
import os
import signal
import subprocess
import time
import unittest

import test_program

FIELDS = {"id", "killed", "runs", "seeds_to_kill_median", "seeds_to_kill_p90", "wall_s", "invariant", "trials",
          "minimal", "black_box"}
SMALL = ["mutants", "--profile", "small"]


def steady(text):
    """A matrix without what a clock said."""
    matrix = json.loads(text)
    for defect in matrix["defects"]:
        for name in ("wall_s", "core_s", "wall_s_to_kill_median"):
            defect.pop(name)
    matrix["healthy"].pop("failures")
    return matrix


class MutantsTest(test_program.ProgramTest):
    def test_arguments_are_refused_in_a_line(self):
        self.refused("mutants", "nosuch", says=["nosuch", "verdict list defects"])
        self.refused("mutants", "--profile", "nosuch", says=["nosuch", "verdict list profiles"])
        self.refused("mutants", "--jobs", "0", says=["--jobs", "0", "1 to 1024"])
        self.refused("mutants", "--trials", "0", says=["--trials", "1 to 1000"])
        self.refused("mutants", "--runs", "0", says=["--runs"])
        self.refused("mutants", "--runs", "many", says=["--runs", "many"])
        self.refused("mutants", "--seed", "-1", says=["--seed"])
        self.refused("mutants", "--for", "soon", says=["soon"])
        self.refused("mutants", "--for", "0s", says=["--for", "above 0"])
        self.refused("mutants", "--format", "xml", says=["--format"])
        self.file("plain", "")
        self.refused("mutants", "--out", "plain/below", says=["plain/below"])

    def test_the_matrix_does_not_depend_on_jobs(self):
        arguments = [*SMALL, "local-shrink", "kip-101", "--trials", "3", "--runs", "12", "--format", "json"]
        one = self.call(*arguments, "--jobs", "1", "--out", "one")
        three = self.call(*arguments, "--jobs", "3")
        self.assertEqual(steady(one.stdout), steady(three.stdout))
        self.assertEqual(json.loads((self.work / "one/matrix.json").read_text()), json.loads(one.stdout))
        matrix = json.loads(one.stdout)
        self.assertEqual([defect["id"] for defect in matrix["defects"]], ["local-shrink", "kip-101"])
        for defect in matrix["defects"]:
            self.assertLessEqual(FIELDS, set(defect))
            self.assertLessEqual(defect["runs"], 12)
            self.assertLessEqual(defect["trials_killed"], defect["trials"])
            self.assertEqual(defect["killed"], defect["state"] == "killed")
            self.assertEqual(len(defect["kill_seeds"]), defect["trials_killed"])
            self.assertEqual(defect["half"] in ("tuned", "held out"), True)
        healthy = matrix["healthy"]
        self.assertGreater(sum(healthy[name] for name in ("passed", "failed", "inconclusive")), 0)
        self.assertIn("| kip-101 |", (self.work / "one/matrix.md").read_text())
        page = (self.work / "one/matrix.html").read_text()
        for network in ("http:", "https:", "src=", "href="):
            self.assertNotIn(network, page)

    def test_what_no_run_reaches_is_said_and_is_no_survivor(self):
        done = self.call(*SMALL, "kafka-18106", "--trials", "1", "--runs", "1")
        self.assertIn("unreached", done.stdout)
        self.assertIn("> 1", done.stdout)
        self.assertIn("0 killed, 1 not", done.stdout)
        self.assertIn(done.returncode, (1, 2))

    def test_a_shrunk_kill_is_a_scenario_that_fails_of_the_same(self):
        done = self.call(*SMALL, "local-shrink", "--trials", "1", "--runs", "300", "--shrink", "--out", "out",
                         "--format", "json")
        defect = json.loads(done.stdout)["defects"][0]
        self.assertTrue(defect["killed"], done.stdout + done.stderr)
        scenario = json.loads((self.work / "out/local-shrink.json").read_text())
        self.assertEqual(len(scenario.get("faults", [])), defect["minimal"]["faults"])
        again = self.call("run", "out/local-shrink.json", "--format", "json")
        self.assertEqual(json.loads(again.stdout)["runs"][0]["invariant"], defect["invariant"])

    def test_an_interruption_leaves_what_there_is(self):
        with subprocess.Popen([test_program.PROGRAM, *SMALL, "kip-279", "--jobs", "1", "--out", "out"], cwd=self.work,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            begin = time.monotonic()
            while process.poll() is None and not (self.work / "out/matrix.html").exists():
                time.sleep(0.01)
                self.assertLess(time.monotonic() - begin, 60)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=120)
        self.assertIn("interrupted", stderr)
        self.assertIn(process.returncode, (1, 2))
        self.assertIn("kip-279", stdout)
        self.assertTrue((self.work / "out/matrix.md").exists())


if __name__ == "__main__":
    os.environ.setdefault("NO_COLOR", "1")
    unittest.main()
