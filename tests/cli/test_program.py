#!/usr/bin/env python3
"""The program as a user meets it: wrong arguments, bundles that moved, a worker that was killed from outside.

    VERDICT_BUILD=build/release python3 tests/cli/test_program.py
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("VERDICT_BUILD", ROOT / "build/release")).resolve() / "verdict"
FAILING = ["back-to-back-elections", "--seeds", "1..20", "--fail-fast", "--set", 'defects=["no-truncation"]']
BROKER = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={folder}
"""


@unittest.skipUnless(PROGRAM.exists(), f"there is no {PROGRAM}")
class ProgramTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)

    def call(self, *arguments, text="", cwd=None):
        return subprocess.run(
            [PROGRAM, *map(str, arguments)],
            cwd=cwd or self.work,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
        )

    def refused(self, *arguments, says=(), text="", code=64):
        """One line on standard error with all of `says`, the exit code, and nothing on standard output."""
        with self.subTest(arguments=[str(a) for a in arguments], text=text[:60]):
            done = self.call(*arguments, text=text)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            self.assertEqual(done.stdout, "")
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            for part in says:
                self.assertIn(str(part), done.stderr)
            for leak in ("exception", "terminate", "what():", "Assertion"):
                self.assertNotIn(leak, done.stderr)

    def file(self, name, content):
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def properties(self, **changes):
        """A node's file; its ports are free when it is written."""
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            values = {"broker": one.getsockname()[1], "controller": two.getsockname()[1], "folder": self.work / "data"}
        return self.file("server.properties", BROKER.format(**{**values, **changes}))


class Arguments(ProgramTest):
    def test_commands_and_options(self):
        self.refused("fly", says=["no command is called fly"])
        self.refused("--fly", says=["no option is called --fly"])
        self.refused(says=["subcommand"])
        self.refused("run", "--fly", says=["--fly", "verdict run --help"])
        self.refused("list", "foo", says=["foo", "scenarios, invariants, faults, defects, marks, sites or profiles"])
        self.refused("list", "--format", "jsonl", says=["jsonl", "text or json"])
        self.refused("schema", "foo", says=["foo", "scenario or result"])
        self.refused("storage", says=["subcommand", "verdict storage --help"])
        self.refused("mutants", "nosuch", says=["nosuch", "verdict list defects"])

    def test_run(self):
        name = "leader-crash-acks-all"
        self.refused("run", "nosuch", says=["nosuch", "verdict list scenarios"])
        for seeds in ("5..1", "abc", "-1", "1..", "1..2..3", "1..99999999999999999999"):
            self.refused("run", name, "--seeds", seeds, says=[f'"{seeds}"', "A..B"])
        self.refused("run", "--seeds", "1..99999999999", says=["at most 100,000,000"])
        self.refused("run", name, "--seed", "1..2", says=["1..2", "--seeds"])
        for jobs in ("0", "x", "99999"):
            self.refused("run", name, "--jobs", jobs, says=["--jobs", jobs, "1 to 1024"])
        for share in ("2", "-0.5", "nan"):
            self.refused("run", name, "--check-determinism", share, says=["--check-determinism", share, "0 to 1"])
        self.refused("run", name, "--format", "xml", says=["xml", "text, json or jsonl"])

    def test_settings(self):
        for setting, says in (
            ("foo=1", ["$.foo: 1: no such field; known are cluster,"]),
            ("phases.run_ms=abc", ["$.phases.run_ms", '"abc"', "an integer between"]),
            ("phases.run_ms=-5", ["$.phases.run_ms", "-5", "an integer between"]),
            ("phases.run_ms", ["verdict: --set: phases.run_ms; allowed: path=value"]),
            ("faults[99].at_ms=3", ["$.faults[99].at_ms", "3"]),
            ('defects=["nosuch"]', ["$.defects[0]", "nosuch", "verdict list defects"]),
        ):
            self.refused("run", "leader-crash-acks-all", "--set", setting, says=says)

    def test_scenario_files(self):
        (self.work / "folder.json").mkdir()
        for path in ("missing.json", "folder.json", "./"):
            self.refused("run", path, says=[path, "can't be read"])
        for content, says in (
            (b'{"version":1,"name":"a","bogus":{}}', ["$.bogus", "no such field"]),
            (b'{"version":1', ["$: parse error at line 1", "allowed: JSON"]),
            (b"[]", ["$: []", "an object"]),
            (b"", ["$: parse error", "allowed: JSON"]),
            (bytes(range(128, 256)), ["$: parse error", "allowed: JSON"]),
            (b"[" * 200_000, ["$:"]),
            (b" " * 5_000_000, ["$: 5000000 bytes", "at most 4 MiB"]),
        ):
            self.refused("run", self.file("a.json", content), says=["a.json: ", *says])

    def test_output_folder(self):
        plain = self.file("plain", "a file")
        for out in (plain, plain / "below", "/proc/verdict"):
            self.refused("run", "leader-crash-acks-all", "--out", out, says=[f"--out {out}: ", "can be written"])
        self.assertEqual(plain.read_text(), "a file")
        self.file("out/leader-crash-acks-all", "a file where the run's folder should be")
        done = self.call("run", "leader-crash-acks-all", "--seed", "1")
        self.assertEqual(done.returncode, 70, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"\Averdict: out/leader-crash-acks-all/\S+: Not a directory\n\Z")
        self.assertNotIn("report.html", done.stdout)

    def test_a_campaign_larger_than_memory_is_no_list(self):
        done = subprocess.Popen(
            [PROGRAM, "run", "--seeds", "1..100000000", "--jobs", "1", "--format", "jsonl"],
            cwd=self.work, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(done.stdout.close)
        self.addCleanup(done.wait)
        self.addCleanup(done.kill)
        self.assertEqual(json.loads(done.stdout.readline())["seed"], 1)

    def test_bundles(self):
        plain = self.file("plain", "a file")
        self.refused("replay", says=["bundle is required"])
        self.refused("replay", "nosuch", says=["replay nosuch: not there", "the folder of a run"])
        self.refused("replay", "plain", says=["./run.json: can't be read"])
        self.refused("replay", self.work, says=[f"{self.work}/run.json: can't be read"])
        self.refused("report", "nosuch", says=["nosuch/run.json: can't be read"])
        self.refused("report", plain, says=[f"{plain}/run.json: can't be read"])
        self.file("b/run.json", "{}")
        for command in ("replay", "report"):
            self.refused(command, "b", says=["b/run.json: is no record of a run: key 'outcome' not found"])
        self.file("b/run.json", '{"outcome":"glory"}')
        self.refused("replay", "b", says=["b/run.json", "no outcome is called glory"])
        self.file("b/run.json", '{"outcome":"pass","hash":"zz"}')
        self.refused("replay", "b", says=["b/run.json", "hash: 16 hex digits"])
        self.file("b/run.json", '{"outcome":"pass"}')
        self.refused("replay", "b", says=["b/scenario.json: can't be read"])
        self.file("b/scenario.json", '{"version":1,"name":"a","nope":1}')
        self.refused("replay", "b", says=["b/scenario.json: $.nope"])

    def test_histories(self):
        self.refused("check", "nosuch", says=["nosuch: can't be read"])
        self.refused("check", self.work, says=["history.jsonl: can't be read"])
        self.refused("check", self.file("h", "root:x:0\nmore\n"), says=["line 1", "an object"])
        self.refused("check", "-", text='{"op":1\n{}\n', says=["line 1"])
        done = self.call("check", "-")
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
        self.assertIn("no entries", done.stderr)

    def test_live(self):
        name = "leader-crash-acks-all"
        at = ["--bootstrap", "127.0.0.1:1"]
        self.refused("live", says=["required"])
        self.refused("live", name, says=["--bootstrap is required"])
        for bootstrap in ("127.0.0.1", "127.0.0.1:", ":9092", "a:b", "a:0", "a:65536", "a:1,b"):
            self.refused("live", name, "--bootstrap", bootstrap, says=[f"--bootstrap {bootstrap}:", "HOST:PORT"])
        self.refused("live", "nosuch", *at, says=["nosuch", "verdict list scenarios"])
        self.refused("live", name, *at, "--set", "phases.fly=1", says=["phases.fly"])
        self.refused("live", name, *at, "--format", "jsonl", says=["jsonl", "text or json"])
        for seed in ("-1", "soon"):
            self.refused("live", name, *at, "--seed", seed, says=["--seed", seed])
        plain = self.file("plain", "")
        self.refused("live", name, *at, "--out", plain, says=[f"--out {plain}: "])

    def test_wire(self):
        for line, says in (
            ("garbage", ["a line must be an object"]),
            ('{"name":"Nope","version":0,"hex":""}', ["no message is called Nope"]),
            ('{"name":"FetchRequest","version":99,"hex":""}', ["FetchRequest v99"]),
            ('{"name":"FetchRequest","version":99999999999999,"hex":""}', ["version 99999999999999", "0 to 32767"]),
            ('{"name":"FetchRequest","version":-1,"hex":""}', ["version -1", "0 to 32767"]),
            ('{"name":"FetchRequest","version":12,"hex":"zz"}', ["hexadecimal"]),
            ('{"name":"FetchRequest","version":12,"hex":"00"}', ["FetchRequest v12", "end too early"]),
            ('{"name":"FetchRequest","version":12}', ['neither "hex" nor "value"']),
            ("[" * 100_000, ["a line must be an object"]),
        ):
            self.refused("wire", text=line + "\n", says=["standard input:1: ", *says])


class Broker(ProgramTest):
    def test_properties(self):
        self.refused("serve", "nosuch.properties", says=["nosuch.properties", "No such file"])
        self.refused("serve", "/", says=["/: Is a directory"])
        file = self.properties()
        self.refused("serve", file, "extra", says=["extra"])
        self.refused("serve", file, "--log-level", "loud", says=["loud", "trace, debug, info, warn"])
        self.refused("serve", file, "--override", "nonsense", says=["nonsense", "key=value"])
        for override, says in (
            ("log.retention.hours=abc", ["log.retention.hours", "abc", "a number"]),
            ("no.such.key=1", ["no.such.key"]),
            ("node.id=7", ["node.id=7", "controller.quorum.voters"]),
        ):
            self.refused("serve", file, "--override", override, says=says)
        with file.open("a") as more:
            more.write("broker.session.timeout.ms=soon\n")
        self.refused("serve", file, says=["server.properties:7", "broker.session.timeout.ms", "soon"])

    def test_directories(self):
        file = self.properties()
        self.refused("serve", file, says=["data", "storage format"])
        self.refused("storage", "info", "-c", file, says=["data: not formatted"])
        self.file("foreign/photos/1.jpg", "x")
        foreign = ["--override", f"log.dirs={self.work}/foreign"]
        for command in (["storage", "info", "-c", file], ["storage", "format", "-t", "abc", "-c", file]):
            self.refused(*command, *foreign, says=["foreign/photos", "is no partition's folder"])
        self.assertFalse((self.work / "foreign/meta.properties").exists())
        self.file("half/meta.properties", "cluster.id")
        for command in (["storage", "info", "-c", file], ["serve", file]):
            self.refused(*command, "--override", f"log.dirs={self.work}/half", says=["half/meta.properties"])
        self.refused("storage", "format", "-t", "abc", "-c", file, "--override", f"log.dirs={file}", says=["is a file"])
        self.refused("storage", "dump", "nosuch.log", says=["nosuch.log", "No such file"])
        self.refused("storage", "dump", file, says=["server.properties: is no log"])
        self.assertEqual(self.call("storage", "format", "-t", "abc", "-c", file).returncode, 0)
        self.refused("storage", "format", "-t", "abc", "-c", file, says=["formatted already"])

    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            file = self.properties(broker=port)
            self.assertEqual(self.call("storage", "format", "-t", "abc", "-c", file).returncode, 0)
            self.refused("serve", file, says=[f"127.0.0.1:{port}", "Address already in use"])


class Bundles(ProgramTest):
    def failing(self):
        done = self.call("run", *FAILING, "--format", "json", "--out", self.work / "out")
        self.assertEqual(done.returncode, 1, done.stderr)
        return json.loads(done.stdout)["runs"][-1]

    def test_a_violation_replays_from_a_bundle_that_moved(self):
        run = self.failing()
        self.assertEqual(run["outcome"], "violation")
        moved = self.work / "elsewhere" / "case"
        moved.parent.mkdir()
        shutil.move(run["dir"], moved)
        shutil.rmtree(self.work / "out")
        told = (moved / "run.json").read_text()
        record = json.loads(told)
        for _ in range(2):  # and replaying changes nothing
            done = self.call("replay", moved, cwd="/")
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            lines = done.stdout.splitlines()
            self.assertIn(f"{run['invariant']}: {run['sentence']}", lines[0])
            self.assertEqual(lines[-1], f"same outcome, same hash {run['hash']}")
            self.assertEqual((moved / "run.json").read_text(), told)

        def replayed(**changes):
            (moved / "run.json").write_text(json.dumps({**record, **changes}))
            done = self.call("replay", moved, cwd="/")
            text = done.stdout[done.stdout.index("./verdict replay"):].split("\n", 1)[1]
            return done.returncode, text.splitlines()

        other = {"build": "0123456789ab another", "hash": "0" * 15 + "1"}
        code, lines = replayed(build=other["build"])
        self.assertEqual((code, lines), (1, [f"same outcome, same hash {run['hash']}; the build differs"]))
        code, lines = replayed(**other)
        self.assertEqual((code, lines[0]), (1, "same outcome; the build differs"))
        self.assertEqual(lines[1].split(), ["then", *other["build"].split()])
        code, lines = replayed(**other, outcome="pass", invariant="")
        self.assertEqual((code, lines[0]), (1, "different outcome, the build differs"))
        code, lines = replayed(hash=other["hash"])
        self.assertEqual(code, 3)
        self.assertTrue(lines[0].startswith("not deterministic: "), lines)

    def test_a_worker_killed_from_outside_is_a_crash(self):
        command = [PROGRAM, "run", "leader-crash-acks-all", "--seed", "1", "--jobs", "1", "--format", "json",
                   "--set", "phases.run_ms=20000", "--out", self.work / "out"]
        with subprocess.Popen(command, cwd=self.work, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True) as parent:
            workers = pathlib.Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
            deadline = time.monotonic() + 60
            while not workers.read_text().split():
                self.assertLess(time.monotonic(), deadline, "no worker")
                time.sleep(0.001)
            os.kill(int(workers.read_text().split()[0]), signal.SIGKILL)
            output, _ = parent.communicate(timeout=300)
        self.assertEqual(parent.returncode, 70, output)
        run = json.loads(output)["runs"][0]
        self.assertEqual(run["outcome"], "crash")
        self.assertIn("died of signal 9", run["sentence"])
        self.assertIn("came to its end: pass", run["sentence"])
        record = json.loads((pathlib.Path(run["dir"]) / "run.json").read_text())
        self.assertEqual((record["outcome"], record["sentence"]), ("crash", run["sentence"]))
        done = self.call("replay", run["dir"])
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("different outcome: the run died of signal 9", done.stdout.splitlines()[-1])


class Documents(ProgramTest):
    """What README.md, CONTRIBUTING.md and the sample configurations tell people to type is there."""

    def commands(self):
        samples = ("config/server.properties", "config/cluster/controller.properties")
        for name in ("README.md", "CONTRIBUTING.md", *samples):
            for line in re.findall(r'\./verdict ((?:(?!"\$\(|  )[^`|)&#\n])*)', (ROOT / name).read_text()):
                words = shlex.split(line)
                if words and words[0] not in ("...", "test", "--no-install"):
                    yield name, words

    def test_commands_scenarios_and_options(self):
        scenarios = {entry["name"] for entry in json.loads(self.call("list", "--format", "json").stdout)["scenarios"]}
        seen = set()
        for name, words in self.commands():
            command = words[:2] if words[0] == "storage" else words[:1]
            with self.subTest(file=name, command=" ".join(words)):
                done = self.call(*command, "--help")
                self.assertEqual(done.returncode, 0, done.stderr)
                for option in (word for word in words if word.startswith("--")):
                    self.assertIn(option, done.stdout)
                if words[0] == "run" and len(words) > 1 and re.fullmatch("[a-z][a-z0-9-]+", words[1]):
                    self.assertIn(words[1], scenarios)
            seen.add(command[-1])
        self.assertLessEqual({"run", "replay", "mutants", "schema", "serve", "format", "random-uuid"}, seen)

    def test_readme_counts_the_library(self):
        count = len(list((ROOT / "scenarios/library").glob("*.json")))
        self.assertIn(f"\n    {count} passed, 0 failed\n", (ROOT / "README.md").read_text())

    def test_links(self):
        for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
            for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text()):
                self.assertTrue((ROOT / target).exists(), f"{name}: {target}")

    def test_sample_configurations_format(self):
        for path in sorted((ROOT / "config").rglob("*.properties")):
            done = self.call("storage", "format", "--config", path, "--cluster-id", "abc")
            self.assertEqual((done.returncode, done.stderr), (0, ""), path)


if __name__ == "__main__":
    unittest.main()
