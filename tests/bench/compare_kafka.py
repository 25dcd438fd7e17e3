#!/usr/bin/env python3
"""Our broker against Apache Kafka 4.1 on this machine in one run.

    tests/bench/compare_kafka.py [--build DIR] [--records N] [--only ours|kafka] [--json FILE]

Each of the two, with the same properties: start (formatted directory) until ApiVersions answers, resident memory when
idle and after the load, then with one combined node (RF 1) and with a controller and three brokers (RF 3, acks=all,
min.insync.replicas=2) records of 100 B and 1 KiB produced and consumed by librdkafka (kcat) without compression:
records
a second, and records for each CPU second of all node processes; last, the time to acknowledgement of 1,000 single
records a second at RF 3.
Kafka needs a JDK and Maven (tests/interop/kafka.sh fetches its jars); kcat and confluent-kafka drive the load. A first,
uncounted round warms both up.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
import live_cluster  # takes --build

confluent_kafka, WHY_NOT = live_cluster.client_module("confluent_kafka", "python3-confluent-kafka")
if WHY_NOT:
    sys.exit(WHY_NOT)
import confluent_kafka.admin

import clients_test

TICKS = os.sysconf("SC_CLK_TCK")
SIZES = {"100 B": 100, "1 KiB": 1024}
LATENCY_S = 15


class KafkaNode(live_cluster.Node):
    """The same node as a JVM of Apache Kafka."""

    home = None

    def java(self, *arguments):
        return [
            "java",
            f"-Dlog4j2.configurationFile={self.home}/log4j2.properties",
            "-Xmx1g",
            "-cp",
            f"{self.home}/*",
            *arguments,
        ]

    def format(self):
        subprocess.run(
            self.java("kafka.tools.StorageTool", "format", "-t", live_cluster.CLUSTER_ID, "-c", str(self.path)),
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def start(self):
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(
                self.java("kafka.Kafka", str(self.path)), stdout=log, stderr=log, cwd=self.folder
            )
        return self


class Bench(live_cluster.Cluster):
    def __init__(self, node_type, brokers, **extra):
        super().__init__(brokers, node_type, **extra)
        self.start_s = 0.0

    def __enter__(self):
        for node in self.nodes.values():
            node.format()
        begin = time.monotonic()
        for node in self.nodes.values():
            node.start()
        for node_id in self.ports:
            while not live_cluster.api_versions(self.ports[node_id]):
                if time.monotonic() - begin > 120:
                    raise AssertionError(f"no answer: {self.nodes[node_id].log()[-2000:]}")
                time.sleep(0.002)
        self.start_s = time.monotonic() - begin
        return self

    def cpu_s(self):
        total = 0
        for node in self.nodes.values():
            fields = pathlib.Path(f"/proc/{node.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def rss_mb(self):
        pages = sum(
            int(pathlib.Path(f"/proc/{node.process.pid}/statm").read_text().split()[1]) for node in self.nodes.values()
        )
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def create(self, topic, factor):
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        admin.create_topics([confluent_kafka.admin.NewTopic(topic, 1, factor)])[topic].result(30)

        def whole():
            partition = admin.list_topics(topic, 5).topics[topic].partitions.get(0)
            return partition is not None and len(partition.isrs) == factor

        live_cluster.until("all replicas in sync", whole)

    def measured(self, count, command, stdin=None):
        cpu, begin = self.cpu_s(), time.monotonic()
        subprocess.run(command, check=True, stdin=stdin, stdout=subprocess.DEVNULL, timeout=600)
        wall, used = time.monotonic() - begin, self.cpu_s() - cpu
        return {
            "per_s": round(count / wall),
            "per_cpu_s": round(count / max(used, 1 / TICKS)),
            "cpu_s": round(used, 2),
        }

    def produced(self, count, topic, lines, *more):
        """kcat writes `lines`, which are so many; what that cost."""
        command = ["kcat", "-b", self.bootstrap, "-t", topic, "-q", "-P", "-X", "acks=all", "-X", "linger.ms=5"]
        with open(lines, "rb") as source:
            return self.measured(count, [*command, "-X", "queue.buffering.max.messages=500000", *more], source)


def make_lines(folder, size, count):
    path = pathlib.Path(folder) / str(size)
    line = ("x" * (size - 9)).encode()
    with open(path, "wb") as out:
        for i in range(count):
            out.write(b"%08d " % i + line + b"\n")
    return path


def throughput(bench, factor, folder, records):
    result = {}
    for name, size in SIZES.items():
        count = records if size == 100 else records // 5
        lines = make_lines(folder, size, count)
        for turn in ("warm", "counted"):
            topic = f"{turn}-{size}"
            bench.create(topic, factor)
            produced = bench.produced(count, topic, lines)
            consumed = bench.measured(
                count, ["kcat", "-b", bench.bootstrap, "-t", topic, "-q", "-C", "-e", "-o", "beginning", "-f", ""]
            )
        result[f"produce {name}"] = produced
        result[f"consume {name}"] = consumed
    return result


def latency(bench, factor):
    """Milliseconds from produce() to the delivery report, one record each millisecond."""
    bench.create("latency", factor)
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": bench.bootstrap, "acks": "all", "linger.ms": 0, "log_level": 0}
    )
    times = []
    failed = []

    def send(counted):
        begin = time.perf_counter()
        producer.produce(
            "latency",
            b"x" * 100,
            partition=0,
            on_delivery=lambda error, _: (
                failed.append(error) if error else (times.append(time.perf_counter() - begin) if counted else None)
            ),
        )

    first = time.perf_counter()
    total = (LATENCY_S + 3) * 1000
    for i in range(total):
        while time.perf_counter() < first + i / 1000:
            producer.poll(0.0005)
        send(counted=i >= 3000)
    late_s = time.perf_counter() - first - total / 1000
    producer.flush(60)
    times.sort()
    return {
        "p50_ms": round(times[len(times) // 2] * 1e3, 2),
        "p99_ms": round(times[len(times) * 99 // 100] * 1e3, 2),
        "max_ms": round(times[-1] * 1e3, 1),
        "failed": len(failed),
        "late_s": round(late_s, 2),
    }


def trial(node_type, records):
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        with Bench(node_type, 0) as bench:
            result["start_ms"] = round(bench.start_s * 1e3)
            time.sleep(5)
            result["idle_rss_mb"] = round(bench.rss_mb(), 1)
            cpu = bench.cpu_s()
            time.sleep(5)
            result["idle_cpu_percent"] = round((bench.cpu_s() - cpu) / 5 * 100, 1)
            result["rf1"] = throughput(bench, 1, folder, records)
            result["loaded_rss_mb"] = round(bench.rss_mb(), 1)
        with Bench(node_type, 3, min_insync_replicas=2, default_replication_factor=3) as bench:
            result["rf3_start_ms"] = round(bench.start_s * 1e3)
            live_cluster.until("three brokers", lambda: three_brokers(bench), 60)
            result["rf3"] = throughput(bench, 3, folder, records // 2)
            result["rf3_ack"] = latency(bench, 3)
            result["rf3_loaded_rss_mb"] = round(bench.rss_mb(), 1)
    return result


def three_brokers(bench):
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": bench.bootstrap, "log_level": 0})
    return len(admin.list_topics(timeout=5).brokers) == 3


def compare(arguments, trial_of):
    """Prints, and writes to --json, what trial_of(node type) found of each of the two."""
    results = {}
    if arguments.get("--only") != "kafka":
        results["ours"] = trial_of(live_cluster.Node)
    if arguments.get("--only") != "ours":
        KafkaNode.home, why = clients_test.kafka_home()
        if why:
            sys.exit(why)
        results["kafka"] = trial_of(KafkaNode)
    print(json.dumps(results, indent=1))
    if "--json" in arguments:
        pathlib.Path(arguments["--json"]).write_text(json.dumps(results, indent=1))


def main():
    arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    records = int(arguments.get("--records", 2000000))
    compare(arguments, lambda node_type: trial(node_type, records))


if __name__ == "__main__":
    main()
