#!/usr/bin/env python3
"""The job files of scenarios/campaign/: each is run here as its engine would run it, with the real program.

    VERDICT_BUILD=build/release python3 tests/cli/test_campaign.py
"""

import json
import os
import pathlib
import re
import subprocess
import unittest

import test_program

try:
    import yaml
except ImportError:  # python3-yaml is nothing that Verdict needs: what PyYAML would check is then left out
    yaml = None

FOLDER = test_program.ROOT / "scenarios/campaign"
SEEDS = "1..12"
PLANTED = 'defects=["local-shrink"]'

# Slurm in a few lines: sbatch runs the job's tasks at once, each with what Slurm tells it, whatever becomes of others.
SBATCH = r"""#!/bin/bash
echo "$*" >> "$FAKE/calls"
array= chdir=. output=/dev/null
while [ $# -gt 1 ]; do
  case $1 in
    --array=*) array=${1#*=} ;;
    --chdir=*) chdir=${1#*=} ;;
    --output=*) output=${1#*=} ;;
  esac
  shift
done
cp "$1" "$FAKE/script"  # as slurmd does: the script knows no path of its own
cd "$chdir"
if [ -z "$array" ]; then
  bash "$FAKE/script" >> "$output" 2>&1
  echo "merge $?" >> "$FAKE/codes"
  echo "8;trial"
  exit 0
fi
array=${array%\%*}
for task in $(seq "${array%-*}" "${array#*-}"); do
  SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_MIN=${array%-*} SLURM_ARRAY_TASK_COUNT=${array#*-} SLURM_CPUS_PER_TASK=2 \
    bash "$FAKE/script" >> "${output/\%a/$task}" 2>&1
  echo "$task $?" >> "$FAKE/codes"
done
echo "7;trial"
"""


class CampaignTest(test_program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.out = self.work / "shared/campaign"
        self.bin = self.work / "bin"
        self.bin.mkdir()

    def program(self, name, text):
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def bash(self, *command, **environment):
        path = f"{self.bin}:{os.environ['PATH']}"
        return subprocess.run([str(word) for word in command], cwd=self.work, env={**os.environ, "PATH": path,
                              **environment}, capture_output=True, text=True, timeout=300)

    def whole(self, *settings):
        """The summary of the same search without shards, and its exit code."""
        done = self.call("search", "--profile", "small", "--seeds", SEEDS, "--out", "whole",
                         *(word for setting in settings for word in ("--set", setting)))
        text = done.stdout[done.stdout.index("search small"):]
        return text.replace("whole/", f"{self.out}/merged/"), done.returncode

    def runs(self, folder):
        return sorted(json.loads(line)["seed"] for line in (folder / "runs.jsonl").read_text().splitlines()[1:])


class Slurm(CampaignTest):
    def submit(self, *arguments, **environment):
        self.program("sbatch", SBATCH)
        return self.bash(FOLDER / "slurm-submit", "--profile", "small", "--verdict", test_program.PROGRAM,
                         "--out", "shared/campaign", *arguments, FAKE=str(self.work), **environment)

    def codes(self):
        return dict(line.split() for line in (self.work / "codes").read_text().splitlines())

    def test_an_array_of_shards_and_a_merge_are_one_search(self):
        done = self.submit("--shards", "3", "--seeds", SEEDS, "--set", PLANTED, "--", "--time=10", "--partition=debug")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("search 7, merge 8", done.stdout)
        array, merge = (self.work / "calls").read_text().splitlines()
        for word in ("--parsable", "--array=1-3", "--time=10", "--partition=debug"):
            self.assertIn(word, array.split())
        self.assertIn("--dependency=afterany:7", merge.split())
        self.assertNotIn("--time=10", merge)
        for shard in (1, 2, 3):
            self.assertEqual(self.runs(self.out / f"shard-{shard}"), list(range(shard - 1 or 3, 13, 3)))
        text, code = self.whole(PLANTED)
        self.assertEqual(code, 1)
        self.assertEqual((self.out / "log/merge.log").read_text(), text)
        self.assertEqual(self.codes()["merge"], "1")
        self.assertIn("1", [self.codes()[shard] for shard in ("1", "2", "3")])

    def test_the_same_command_goes_on_after_a_shard_that_was_lost(self):
        self.assertEqual(self.submit("--shards", "3", "--seeds", SEEDS).returncode, 0)
        lines = (self.out / "shard-2/runs.jsonl").read_text().splitlines(keepends=True)
        (self.out / "shard-2/runs.jsonl").write_text("".join(lines[:2]) + lines[2][:20])
        lost = self.call("merge", *(self.out / f"shard-{shard}" for shard in (1, 2, 3)))
        self.assertEqual(lost.returncode, 2, lost.stdout)
        self.assertIn("3 of its seeds were not run", lost.stdout)
        (self.out / "log/merge.log").unlink()
        again = self.submit("--shards", "3", "--seeds", SEEDS, "--at-once", "1")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("--array=1-3%1", (self.work / "calls").read_text().splitlines()[2].split())
        self.assertEqual((self.out / "log/merge.log").read_text(), self.whole()[0])
        self.assertEqual(self.codes()["merge"], "0")

    def test_wrong_arguments_are_refused_in_a_line(self):
        for arguments, says in (
            (["--seeds", SEEDS], "--shards N is needed"),
            (["--shards", "0", "--seeds", SEEDS], "--shards N is needed"),
            (["--shards", "2"], "--seeds A..B is needed"),
            (["--shards"], "--shards: a value is missing"),
            (["--shards", "2", "--seeds", SEEDS, "--verdict", "nowhere"], "--verdict nowhere: no program"),
            (["--bogus"], "--bogus: no such option"),
        ):
            done = self.submit(*arguments)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (64, 1), done.stderr)
            self.assertIn(says, done.stderr)
        self.assertFalse((self.work / "calls").exists())

    def test_directives_are_sbatchs(self):
        for path in sorted(FOLDER.glob("*.sbatch")):
            text = path.read_text()
            self.assertTrue(text.startswith("#!/bin/bash\n"))
            directives = re.findall(r"^#SBATCH (.*)$", text, re.M)
            self.assertTrue(directives)
            body = text.split("\nset -eu\n")
            self.assertEqual(len(body), 2, "directives stand before the first command")
            self.assertNotIn("#SBATCH", body[1])
            for directive in directives:
                self.assertRegex(directive, r"\A--[a-z-]+(=\S+)?\Z")


@unittest.skipUnless(yaml, "python3-yaml is not installed")
class Kubernetes(CampaignTest):
    def setUp(self):
        super().setUp()
        documents = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))
        self.objects = {(document["kind"], document["metadata"]["name"]): document for document in documents}
        self.search = self.objects["Job", "verdict-search"]["spec"]
        self.merge = self.objects["Job", "verdict-merge"]["spec"]
        self.program("verdict", f'#!/bin/bash\nexec "{test_program.PROGRAM}" "$@"\n')

    def container(self, spec):
        return spec["template"]["spec"]["containers"][0]

    def test_objects_are_what_the_api_takes(self):
        self.assertEqual({(document["apiVersion"], kind) for (kind, _), document in self.objects.items()},
                         {("v1", "PersistentVolumeClaim"), ("batch/v1", "Job")})
        self.assertEqual(self.search["completionMode"], "Indexed")
        self.assertGreaterEqual(self.search["completions"], self.search["parallelism"])
        for spec in (self.search, self.merge):
            pod = spec["template"]["spec"]
            self.assertEqual(pod["restartPolicy"], "Never")  # podFailurePolicy asks for it
            claims = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
            self.assertIn(("PersistentVolumeClaim", claims["campaign"]), self.objects)
            container = self.container(spec)
            self.assertEqual([mount["name"] for mount in container["volumeMounts"]], list(claims))
            environment = {entry["name"]: entry["value"] for entry in container["env"]}
            self.assertTrue(all(isinstance(value, str) for value in environment.values()))
            self.assertEqual(int(environment["SHARDS"]), self.search["completions"])
        rules = self.search["podFailurePolicy"]["rules"]
        names = {container["name"] for container in self.search["template"]["spec"]["containers"]}
        self.assertIn(rules[0]["onExitCodes"]["containerName"], names)

    def run_in(self, spec, **environment):
        container = self.container(spec)
        script = container["args"][0].replace("/campaign", str(self.out))
        set_there = {entry["name"]: entry["value"] for entry in container["env"]}
        return self.bash("bash", "-c", script, **{**set_there, "SHARDS": "3", **environment})

    def shard(self, index, **environment):
        return self.run_in(self.search, JOB_COMPLETION_INDEX=str(index), PROFILE="small", **environment)

    def test_indexed_pods_and_a_merge_are_one_search(self):
        self.out.mkdir(parents=True)
        for index in (2, 0, 1):
            done = self.shard(index, SEEDS=SEEDS)
            self.assertEqual(done.returncode, 0, done.stderr)
        done = self.run_in(self.merge)
        text, code = self.whole()
        self.assertEqual((done.returncode, done.stdout), (0, text + f"exit code {code}\n"), done.stderr)

    def test_a_violation_is_a_result_and_a_wrong_argument_is_not(self):
        self.out.mkdir(parents=True)
        self.program("verdict", f'#!/bin/bash\nexec "{test_program.PROGRAM}" "$@" --set \'{PLANTED}\'\n')
        self.assertEqual(self.shard(1, SEEDS=SEEDS).returncode, 0)
        self.assertIn('"outcome":"violation"', (self.out / "shard-2/runs.jsonl").read_text())
        self.assertEqual(self.shard(1, SEEDS="2..1").returncode, 64)
        self.program("verdict", "#!/bin/bash\nkill -KILL $$\n")
        self.assertEqual(self.shard(0, SEEDS=SEEDS).returncode, 75)
        self.assertFalse((self.out / "shard-1/done").exists())
        self.assertTrue((self.out / "shard-2/done").exists())

    def test_an_evicted_pod_ends_in_order_and_goes_on(self):
        self.out.mkdir(parents=True)
        self.program("verdict", f'#!/bin/bash\n[ -e {self.out}/shard-1 ] || (sleep 1; kill -TERM $PPID) &\n'
                     f'exec "{test_program.PROGRAM}" "$@"\n')
        # The shell is the pod's process 1: it hands the signal on, waits, and asks to be started again.
        evicted = self.shard(0, SEEDS="1..3000")
        self.assertEqual(evicted.returncode, 75, evicted.stderr)
        self.assertIn("interrupted", evicted.stderr)
        had = self.runs(self.out / "shard-1")
        self.assertGreater(len(had), 0)
        self.assertLess(len(had), 1000)


class Documents(CampaignTest):
    def test_readme_names_what_is_there(self):
        text = (FOLDER / "README.md").read_text()
        for name in ("slurm-submit", "slurm-search.sbatch", "slurm-merge.sbatch", "kubernetes.yaml"):
            self.assertIn(name, text)
            self.assertTrue((FOLDER / name).exists())
        for name in re.findall(r"tests/\w+/\w+\.py|scenarios/campaign/[\w.-]+", text):
            self.assertTrue((test_program.ROOT / name).exists(), name)
        options = set(re.findall(r"--(?:shards|seeds|out|profile|set|verdict|at-once)\b", text))
        usage = (FOLDER / "slurm-submit").read_text()
        for option in options:
            self.assertIn(option, usage)

    def test_every_command_line_of_the_program_parses(self):
        helps = {name: self.call(name, "--help").stdout for name in ("search", "merge")}
        seen = set()
        for path in sorted(FOLDER.iterdir()):
            text = re.sub(r"\\\n\s*", "", path.read_text())
            for command, rest in re.findall(r"(?:\bverdict|\"\$VERDICT\") (search|merge) ([^\n`]*)", text):
                for option in re.findall(r"--[a-z-]+", rest):
                    self.assertIn(option, helps[command], f"{path.name}: {rest}")
                seen.add((path.name, command))
        self.assertLessEqual({("slurm-search.sbatch", "search"), ("slurm-merge.sbatch", "merge"),
                              ("kubernetes.yaml", "search"), ("kubernetes.yaml", "merge")}, seen)


if __name__ == "__main__":
    os.environ.setdefault("NO_COLOR", "1")
    unittest.main()
