"""`verdict live`: scenarios' clients over real sockets against our brokers and against Apache Kafka itself.

What clients saw of a healthy cluster has no anomaly, whoever made the cluster; and the same anomalies planted into the
histories of both are named alike. Apache Kafka comes from Maven (tests/interop/kafka.sh) and needs a JDK; without one
its half is skipped with the reason.
"""

import copy
import json
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import live_cluster
from apache_kafka import ONE_BROKER, ApacheKafka, kafka_or_skip

HOW_LONG = "phases.run_ms=4000"


# ---- planting ----


def polls_with(entries, value):
    for entry in entries:
        if entry["f"] == "poll" and any(record[1] == value for record in entry["records"]):
            yield entry


def committed_transactions(entries):
    return {entry["txn"] for entry in entries if entry["f"] == "commit" and entry["type"] == "ok"}


def last_read(polls):
    """The last offset that was read of each partition."""
    ends = {}
    for poll in polls:
        place = poll["topic"], poll["partition"]
        ends[place] = max(ends.get(place, -1), poll["records"][-1][0])
    return ends


def unread(entries, value):
    """As if nobody had read the record."""
    for poll in polls_with(entries, value):
        poll["records"] = [record for record in poll["records"] if record[1] != value]
    return with_records(entries)


def with_records(entries):
    return [entry for entry in entries if entry["f"] != "poll" or entry["records"]]


def acknowledged(entries, transactional):
    """A record that readers went beyond, of or without a committed transaction."""
    committed = committed_transactions(entries)
    ends = last_read(entry for entry in entries if entry["f"] == "poll")
    for entry in entries:
        if entry["f"] != "send" or entry["type"] != "ok" or entry["acks"] != -1 or entry.get("offset", -1) < 0:
            continue
        if (entry.get("txn") in committed) != transactional or ("txn" in entry and not transactional):
            continue
        if entry["offset"] + 5 < ends.get((entry["topic"], entry["partition"]), -1) and entry["offset"] > 5:
            return entry
    raise AssertionError("no such record in the history")


def without_a_record(entries):
    return unread(entries, acknowledged(entries, False)["value"])


def without_a_part_of_a_transaction(entries):
    """A transaction of several records loses one of them, for readers of committed records and for all others."""
    sizes = {}
    for entry in entries:
        if entry["f"] == "send" and entry["type"] == "ok" and "txn" in entry:
            sizes.setdefault(entry["txn"], []).append(entry)
    committed = committed_transactions(entries)
    ends = last_read(entry for entry in entries if entry["f"] == "poll" and entry.get("read_committed"))
    for txn, sends in sizes.items():
        if txn not in committed or len(sends) < 2:
            continue
        lost = sends[0]
        if 5 < lost["offset"] < ends.get((lost["topic"], lost["partition"]), -1) - 5:
            return unread(entries, lost["value"])
    raise AssertionError("no such transaction in the history")


def with_another_value(entries):
    sent = acknowledged(entries, False)
    poll = next(polls_with(entries, sent["value"]))
    poll["records"] = [[offset, 7 if value == sent["value"] else value] for offset, value in poll["records"]]
    return entries


def with_an_abort(entries):
    """A transaction whose records were read turns out to have been aborted."""
    sent = acknowledged(entries, True)
    for entry in entries:
        if entry["f"] == "commit" and entry["txn"] == sent["txn"]:
            entry["f"] = "abort"
    return entries


def with_an_old_position(entries):
    """A member that takes a partition up is told what had been overwritten long ago."""
    last = max(
        (entry for entry in entries if entry["f"] == "commit_offsets" and entry["type"] == "ok"),
        key=lambda entry: entry["offset"],
    )
    end = max(entry["op"] for entry in entries)
    told = {**last, "op": end + 1, "f": "assign", "offset": 1, "process": last["process"] + 1}
    told.pop("txn", None)
    return [*entries, told]


def behind_its_end(entries):
    """A partition is told to end before what had been acknowledged, and nobody had read that yet."""
    told = {(entry["topic"], entry["partition"]) for entry in entries if entry["f"] == "end" and "offset" in entry}
    last = max(
        (entry for entry in entries if entry["f"] == "send" and entry["type"] == "ok" and entry["acks"] == -1),
        key=lambda entry: (entry["topic"], entry["partition"]) in told and entry.get("offset", -1),
    )
    cut = last["offset"]
    place = last["topic"], last["partition"]
    for entry in entries:
        if (entry["topic"], entry["partition"]) != place:
            continue
        if entry["f"] == "end" and "offset" in entry:
            entry["offset"] = cut
        if entry["f"] == "poll":
            entry["records"] = [record for record in entry["records"] if record[0] < cut]
    return with_records(entries)


# ---- the tests ----


def under_way(scenario, bootstrap, folder, run_ms):
    """`verdict live` after its first 4 seconds; it prints its result."""
    command = ["live", scenario, "--bootstrap", bootstrap, "--out", folder, "--format", "json"]
    run = subprocess.Popen(
        [live_cluster.PROGRAM, *command, "--set", f"phases.run_ms={run_ms}"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(4)
    return run


class Workloads:
    """Against the cluster at `at`, for whoever has one."""

    @classmethod
    def live(cls, scenario, *more, code=0):
        where = ["--bootstrap", cls.at, "--set", HOW_LONG, "--format", "json", "--out", cls.folder]
        done = live_cluster.run_program("live", scenario, *where, *more, timeout=300)
        assert done.returncode == code, f"{scenario}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        result = json.loads(done.stdout)
        assert (pathlib.Path(result["dir"]) / "history.jsonl").exists()
        return result

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="verdict-workload-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.serve()

    @staticmethod
    def failures(result):
        return sorted(anomaly["name"] for anomaly in result["anomalies"] if not anomaly["allowed"])

    def check(self, entries):
        path = self.folder / "planted.jsonl"
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        done = live_cluster.run_program("check", path, "--format", "json")
        result = json.loads(done.stdout)
        self.assertEqual(done.returncode, int(not result["valid"]))
        return self.failures(result)

    def planted(self, plant, entries):
        """What is found with the anomaly in a copy of the history."""
        return self.check(plant(copy.deepcopy(entries)))

    def healthy(self, scenario, *more, producers):
        result = self.live(scenario, *more)
        self.assertEqual(result["outcome"], "pass")
        self.assertEqual(self.failures(result["check"]), [])
        self.assertGreater(result["acknowledged"], 20 * producers)
        self.assertGreaterEqual(result["final_read"], result["acknowledged"])
        history = pathlib.Path(result["dir"]) / "history.jsonl"
        return [json.loads(line) for line in history.read_text().splitlines()]

    def test_plain_and_idempotent_producers(self):
        producers = [{"idempotent": True, "burst": 4}, {"burst": 4}, {"acks": "1"}, {"acks": "0"}]
        entries = self.healthy(
            "leader-crash-acks-all",
            "--set",
            f"workload.producers={json.dumps(producers)}",
            "--set",
            'workload.consumers=[{},{"seek_one_in":20}]',
            producers=len(producers) - 1,
        )
        self.assertTrue(any(entry.get("idempotent") for entry in entries))
        self.assertEqual(self.check(entries), [])
        self.assertIn("lost-write", self.planted(without_a_record, entries))
        self.assertIn("inconsistent-offsets", self.planted(with_another_value, entries))
        self.assertEqual(self.planted(behind_its_end, entries), ["unseen"])

    def test_transactions(self):
        entries = self.healthy("aborted-transactions-and-power-loss", producers=1)
        ends = {entry["f"] for entry in entries if entry["type"] == "ok"} & {"commit", "abort"}
        self.assertEqual(ends, {"commit", "abort"})
        self.assertIn("G1a", self.planted(with_an_abort, entries))
        self.assertIn("G1b", self.planted(without_a_part_of_a_transaction, entries))

    def test_groups(self):
        entries = self.healthy("group-member-killed", producers=2)
        self.assertTrue(any(entry["f"] == "commit_offsets" and entry["type"] == "ok" for entry in entries))
        self.assertEqual(self.planted(with_an_old_position, entries), ["lost-update"])

    def test_consume_transform_produce(self):
        entries = self.healthy("consume-transform-produce", producers=3)
        self.assertTrue(any("input" in entry for entry in entries))
        self.assertTrue(any(entry["f"] == "commit_offsets" and "txn" in entry for entry in entries))

    def test_a_topic_that_others_have_used(self):
        self.healthy("single-replica", producers=1)
        self.healthy("single-replica", producers=1)


class OneNodeOfOurs(Workloads, unittest.TestCase):
    @classmethod
    def serve(cls):
        cls.at = cls.enterClassContext(live_cluster.Cluster(0, **ONE_BROKER)).bootstrap

    def test_an_interruption(self):
        run = under_way("single-replica", self.at, self.folder, 100000)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=60)
        result = json.loads(output)
        self.assertEqual((run.returncode, result["outcome"], result["unmet"]), (2, "inconclusive", ["interrupted"]))
        self.assertGreater(result["final_read"], 0)


class ThreeBrokersOfOurs(Workloads, unittest.TestCase):
    @classmethod
    def serve(cls):
        cls.at = cls.enterClassContext(live_cluster.quick_cluster(**live_cluster.QUICK_COORDINATORS)).bootstrap


class KilledBrokers(unittest.TestCase):
    """Brokers of ours die by kill -9 while clients are at work, one at a time: nothing acknowledged suffers."""

    kills = 4

    def run_under_kills(self, scenario):
        random.seed(live_cluster.seed())
        with (
            tempfile.TemporaryDirectory() as folder,
            live_cluster.quick_cluster(**live_cluster.QUICK_COORDINATORS) as cluster,
        ):
            run = under_way(scenario, cluster.bootstrap, folder, 30000)
            for _ in range(self.kills):
                victim = random.choice([1, 2, 3])
                cluster.nodes[victim].kill()
                time.sleep(random.uniform(0, 3))
                cluster.nodes[victim].start()
                cluster.wait_serving(victim)
                time.sleep(3.5)  # it is in sync again, and clients go on
            output, _ = run.communicate(timeout=200)
        self.assertEqual(run.returncode, 0, output)
        result = json.loads(output)
        self.assertEqual([one for one in result["check"]["anomalies"] if not one["allowed"]], [], output)
        return result

    def test_default_clients(self):
        result = self.run_under_kills("leader-crash-acks-all")
        self.assertGreater(result["acknowledged"], 500)
        self.assertGreater(result["check"]["sends_unknown"], 0, "no send was in doubt")

    def test_consume_transform_produce(self):
        result = self.run_under_kills("consume-transform-produce")
        self.assertGreater(result["committed_transactions"], 50)


class OneNodeOfApacheKafka(Workloads, unittest.TestCase):
    @classmethod
    def serve(cls):
        kafka_or_skip()
        cls.at = cls.enterClassContext(ApacheKafka()).bootstrap


class NoCluster(unittest.TestCase):
    def test_nobody_answers(self):
        begun = time.monotonic()
        (port,) = live_cluster.free_ports(1)
        with tempfile.TemporaryDirectory() as folder:
            done = live_cluster.run_program(
                "live", "single-replica", "--bootstrap", f"127.0.0.1:{port}", "--out", folder, timeout=120
            )
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn(f"no broker answers at 127.0.0.1:{port}", done.stdout)
        self.assertIn("0 passed, 0 failed, 1 inconclusive", done.stdout)
        self.assertLess(time.monotonic() - begun, 60)


if __name__ == "__main__":
    live_cluster.main()
