"""kafkajs (npm) against a controller and three brokers of ours: idempotence, transactions, a group."""

import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import unittest

import live_cluster

PACKAGE = "kafkajs@2.2.4"


def node_modules():
    """(folder of the package, ""), or (None, why there is none)."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            return None, f"no {tool}: apt-get install nodejs npm"
    home = live_cluster.CACHE / "kafkajs"
    home.mkdir(parents=True, exist_ok=True)
    stamp = home / "complete"
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != PACKAGE:
            install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", home, PACKAGE]
            try:
                done = subprocess.run(install, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180)
            except subprocess.TimeoutExpired as late:
                return None, str(late)
            if done.returncode != 0:
                return None, f"npm install {PACKAGE}: {done.stdout.strip()[-300:]}"
            stamp.write_text(PACKAGE)
    return home / "node_modules", ""


class Kafkajs(unittest.TestCase):
    def test_idempotence_transactions_and_a_group(self):
        modules, why = node_modules()
        if why:
            self.skipTest(why)
        with live_cluster.Cluster(3, min_insync_replicas=2, default_replication_factor=3) as cluster:
            done = subprocess.run(
                ["node", pathlib.Path(__file__).with_name("kafkajs.js"), cluster.bootstrap],
                env={**os.environ, "NODE_PATH": str(modules)},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=180,
            )
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        said = json.loads(done.stdout)
        plain = [f"plain {i}" for i in range(100)]
        kept = [f"transaction {i}" for i in range(30) if i % 3 != 2 for _ in range(2)]
        self.assertEqual(said["committed"], 20)
        self.assertEqual(len(said["first"]), 70)
        self.assertEqual(sorted(said["first"] + said["second"]), sorted(plain + kept))
        # Each partition: 50 plain records, then 30 of a record and a marker each, the last of which was aborted.
        self.assertEqual([int(one["offset"]) for one in said["offsets"]], [107, 107])
        self.assertEqual(said["state"], "Empty")


if __name__ == "__main__":
    live_cluster.main()
