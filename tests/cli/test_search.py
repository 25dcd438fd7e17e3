#!/usr/bin/env python3
"""verdict search and verdict merge as a user meets them: wrong arguments, shards, an interruption, a full disk.

    VERDICT_BUILD=build/release python3 tests/cli/test_search.py
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

import test_program

SMALL = ["search", "--profile", "small"]
PLANTED = ["--set", 'defects=["local-shrink"]']


class SearchTest(test_program.ProgramTest):
    def search(self, out, *arguments, code=0):
        done = self.call(*SMALL, "--out", out, *arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout.replace(f"{out}/", "OUT/")

    def runs(self, out):
        """The lines of runs by seed, without what a clock said."""
        lines = [json.loads(line) for line in (self.work / out / "runs.jsonl").read_text().splitlines()]
        for line in lines[1:]:
            line.pop("wall_ms")
            line.get("result", {}).pop("wall_ms", None)
        return {line["seed"]: line for line in lines[1:]}


class Arguments(SearchTest):
    def test_are_refused_in_a_line(self):
        self.refused("search", "--profile", "no-such", says=["no-such", "default, small"])
        self.refused("search", "--seeds", "5..1", says=["5..1"])
        self.refused("search", "--seeds", "x", says=["x"])
        self.refused("search", "--for", "soon", says=["--for"])
        self.refused("search", "--for", "0s", says=["--for", "above 0"])
        for shard in ("0/2", "3/2", "1", "1/0", "1/2x", "-1/2"):
            self.refused("search", "--shard", shard, says=["--shard", shard, "i/n"])
        self.refused("search", "--seeds", "3..3", "--shard", "1/2", says=["no seed"])
        self.refused("search", "--jobs", "0", says=["--jobs"])
        self.refused("search", "--fail-fast", "0", says=["--fail-fast"])
        self.refused("search", "--set", "no.such=1", says=["--set", "no.such"])
        self.refused("search", "--set", 'defects=["no-such"]', says=["no-such", "a defect"])
        self.refused("search", "--format", "xml", says=["--format"])
        for share in ("2", "-0.5", "nan"):
            self.refused("search", "--check-determinism", share, says=["--check-determinism", share, "0 to 1"])

    def test_folders_that_hold_something_else(self):
        self.search("there", "--seeds", "1..2")
        other = ["search", "--out", "there"]
        self.refused(*other, "--profile", "small", "--seeds", "1..3", says=["there", "other seeds", "another --out"])
        self.refused(*other, "--seeds", "1..2", says=["there", "profiles differ"])
        self.refused(*other, "--profile", "small", "--seeds", "1..2", "--shard", "1/2", says=["another shard"])
        self.refused(*other, "--profile", "small", "--seeds", "1..2", *PLANTED, says=["settings differ"])
        self.file("foreign/runs.jsonl", "hello\n")
        self.refused("search", "--out", "foreign", says=["foreign/runs.jsonl:1"])
        self.file("plain", "")
        self.refused("search", "--out", "plain/below", says=["plain/below"])

    def test_merge(self):
        self.refused("merge", says=["folders"])
        self.refused("merge", "nowhere", says=["nowhere/runs.jsonl"])
        self.file("empty/runs.jsonl", "")
        self.refused("merge", "empty", says=["empty"])
        self.search("a", "--seeds", "1..1")
        self.search("b", "--seeds", "1..1", *PLANTED)
        self.refused("merge", "a", "b", says=["b", "settings differ"])
        self.refused("merge", "a", "--out", "a", says=["--out a", "a new folder"])


# A library that a run calls and whose answers depend on how often it was called before.
SHIM = r"""
#include <stddef.h>
typedef struct ZSTD_CCtx_s ZSTD_CCtx;
ZSTD_CCtx* ZSTD_createCCtx(void);
size_t ZSTD_CCtx_setParameter(ZSTD_CCtx*, int, int);
size_t ZSTD_compress2(ZSTD_CCtx*, void*, size_t, const void*, size_t);
size_t ZSTD_freeCCtx(ZSTD_CCtx*);
size_t ZSTD_compressCCtx(ZSTD_CCtx* kept, void* to, size_t room, const void* from, size_t size, int level) {
  static unsigned calls = 0;
  (void)kept;
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, 100, level);                 /* compressionLevel */
  ZSTD_CCtx_setParameter(context, 201, ++calls / 37 % 2 == 1); /* checksumFlag */
  const size_t written = ZSTD_compress2(context, to, room, from, size);
  ZSTD_freeCCtx(context);
  return written;
}
"""


class Determinism(SearchTest):
    COMPRESSED = ["--set", "workload.producers[0].compression=zstd"]

    def test_a_share_is_run_twice_and_comes_to_the_same(self):
        once = self.search("once", "--seeds", "1..40")
        done = self.call(*SMALL, "--out", "twice", "--seeds", "1..40", "--check-determinism", "0.5")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.replace("twice/", "OUT/"), once)
        self.assertEqual(self.runs("twice"), self.runs("once"))
        twice = int(re.search(r"40 runs in .* s, (\d+) of them twice, twice", done.stderr).group(1))
        self.assertTrue(8 < twice < 32, twice)

    def test_what_differs_is_found_and_gives_exit_code_3(self):
        compiler = shutil.which("clang-19") or shutil.which("cc")
        self.assertTrue(compiler, "no C compiler, though the program was built")
        shim = self.work / "shim.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, self.file("shim.c", SHIM), "-lzstd"], check=True)
        arguments = [*SMALL, "--seeds", "1..3", *self.COMPRESSED, "--jobs", "1", "--check-determinism", "1"]
        done = subprocess.run([test_program.PROGRAM, *arguments, "--out", "out"], cwd=self.work, capture_output=True,
                              text=True, timeout=300, env={**os.environ, "LD_PRELOAD": str(shim)})
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        self.assertIn("3 of them twice", done.stderr)
        self.assertIn("two runs of one seed differ: event ", done.stdout)
        # A run whose bytes arrive in the same parts however well they are compressed is no witness.
        self.assertRegex(done.stdout, r"[012] passed, [123] failed")
        self.assertEqual(self.call("merge", "out").returncode, 3)
        bundle = next((self.work / "out/failures").iterdir())
        self.assertTrue(json.loads((bundle / "run.json").read_text())["check_determinism"])
        # Without the library the same scenarios are deterministic.
        self.search("sound", *arguments[3:])


class Results(SearchTest):
    def test_do_not_depend_on_jobs_and_shards(self):
        arguments = ["--seeds", "1..24", *PLANTED]
        self.call(*SMALL, "--out", "one", "--jobs", "1", *arguments)
        for shard in (1, 2, 3):
            self.call(*SMALL, "--out", f"s{shard}", "--jobs", "2", "--shard", f"{shard}/3", *arguments)
        whole = self.runs("one")
        self.assertEqual(sorted(whole), list(range(1, 25)))
        parts = {}
        for shard in (1, 2, 3):
            part = self.runs(f"s{shard}")
            self.assertTrue(all(seed % 3 == shard - 1 for seed in part))
            parts.update(part)
        self.assertEqual(parts, whole)
        once = self.call("merge", "s1", "s2", "s3", "--out", "all")
        again = self.call("merge", "s3", "s1", "s2", "s3", "all", "--out", "all-again")
        alone = self.call("merge", "one", "--out", "alone")
        texts = [done.stdout.replace(name + "/", "OUT/") for done, name in
                 ((once, "all"), (again, "all-again"), (alone, "alone"))]
        self.assertEqual(texts[0], texts[1])
        self.assertEqual(texts[0], texts[2])
        self.assertEqual(once.returncode, alone.returncode)
        self.assertEqual(self.runs("all"), whole)

    def test_a_failure_leaves_a_bundle_that_replays(self):
        done = self.call(*SMALL, "--seeds", "1..400", "--fail-fast", "1", "--out", "out", *PLANTED)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        bundles = list((self.work / "out/failures").iterdir())
        self.assertEqual(len(bundles), 1)
        self.assertIn(f"./verdict replay out/failures/{bundles[0].name}", done.stdout)
        replay = self.call("replay", bundles[0])
        self.assertEqual(replay.returncode, 1)
        self.assertIn("same outcome, same hash", replay.stdout)
        self.assertNotIn("unreached", done.stdout)
        scenario = self.call("run", bundles[0] / "scenario.json", "--format", "json")
        self.assertEqual(scenario.returncode, 1, scenario.stdout)

    def test_a_defect_that_no_run_reached_is_said(self):
        text = self.search("out", "--seeds", "1..2", "--set", 'defects=["crc-ignored"]')
        self.assertIn("defect crc-ignored: unreached", text)

    def test_an_interrupted_campaign_goes_on(self):
        self.search("whole", "--seeds", "1..60")
        with subprocess.Popen([test_program.PROGRAM, *SMALL, "--seeds", "1..60", "--out", "cut", "--jobs", "1"],
                              cwd=self.work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            runs = self.work / "cut/runs.jsonl"
            while process.poll() is None and (not runs.exists() or runs.read_text().count("\n") < 5):
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 2, stderr)
        self.assertIn("goes on", stderr)
        self.assertIn("0 failed", stdout)
        before = self.runs("cut")
        self.assertLess(len(before), 60)
        with open(self.work / "cut/runs.jsonl", "a") as file:
            file.write('{"seed":59,"outcome":"pa')  # as a kill leaves it
        self.assertEqual(self.search("cut", "--seeds", "1..60"), self.search("whole", "--seeds", "1..60"))
        self.assertEqual(self.runs("cut"), self.runs("whole"))

    def test_a_time_limit_ends_it(self):
        begin = time.monotonic()
        text = self.search("out", "--for", "1s")
        self.assertLess(time.monotonic() - begin, 60)
        self.assertIn("seeds 1..", text)
        self.assertIn("0 violations in", text)

    def test_a_full_disk_loses_nothing_that_was_found(self):
        limit = "ulimit -f 8; trap '' XFSZ; exec \"$0\" \"$@\""  # 8 KiB a file
        command = ["bash", "-c", limit, test_program.PROGRAM, *SMALL, "--seeds", "1..60", "--out", "out"]
        done = subprocess.run(command, cwd=self.work, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 70, done.stderr)
        said = [line for line in done.stderr.splitlines() if "runs.jsonl" in line]
        self.assertEqual(len(said), 1, done.stderr)
        self.assertIn("File too large", said[0])
        kept = self.runs("out")
        self.assertGreater(len(kept), 2)
        self.assertLess(len(kept), 60)
        self.search("out", "--seeds", "1..60")
        self.search("whole", "--seeds", "1..60")
        self.assertEqual(self.runs("out"), self.runs("whole"))


if __name__ == "__main__":
    os.environ.setdefault("NO_COLOR", "1")
    unittest.main()
