"""Clients and tools as their users install them, against one node and against a cluster of ours.

kcat from Debian, confluent-kafka and kafka-python from PyPI or else from Debian, Kafka's own tools from Maven
(tests/interop/kafka.sh fetches them; they need a JDK and Maven). What can't be had is skipped with the reason.
"""

import os
import pathlib
import re
import shutil
import subprocess
import time
import unittest

import live_cluster

confluent_kafka, NO_CONFLUENT = live_cluster.client_module("confluent_kafka", "python3-confluent-kafka")
kafka, NO_KAFKA_PYTHON = live_cluster.client_module("kafka", "python3-kafka")
if confluent_kafka:
    import confluent_kafka.admin
if kafka:
    import kafka.admin

COUNT = 2000


def call(command, feed=None, seconds=120):
    done = subprocess.run(
        [str(part) for part in command],
        input=feed,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=seconds,
    )
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class OneNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(live_cluster.Cluster(0))
        cls.at = cls.cluster.bootstrap


@unittest.skipUnless(shutil.which("kcat"), "no kcat: apt-get install kcat")
class Kcat(OneNode):
    def test_creates_the_topic_at_first_use_and_reads_it_back(self):
        lines = [f"line {i}" for i in range(COUNT)]
        call(["kcat", "-b", self.at, "-t", "kcat", "-P", "-X", "acks=all"], "\n".join(lines) + "\n")
        self.assertEqual(call(["kcat", "-b", self.at, "-t", "kcat", "-C", "-e", "-q"]).split("\n")[:-1], lines)

    def test_codecs(self):
        for codec in ("gzip", "snappy", "lz4", "zstd"):
            lines = [f"{codec} {i}" for i in range(COUNT)]
            call(["kcat", "-b", self.at, "-t", codec, "-P", "-z", codec], "\n".join(lines) + "\n")
            self.assertEqual(call(["kcat", "-b", self.at, "-t", codec, "-C", "-e", "-q"]).split("\n")[:-1], lines)

    def test_metadata(self):
        self.assertIn(f"broker 100 at {self.at}", call(["kcat", "-b", self.at, "-L"]))

    def test_keys_headers_offsets(self):
        call(["kcat", "-b", self.at, "-t", "keys", "-P", "-K:", "-H", "colour=red"], "a:1\nb:2\nc:3\n")
        shown = call(["kcat", "-b", self.at, "-t", "keys", "-C", "-e", "-q", "-o", "1", "-f", "%o %k %s %h\n"])
        self.assertEqual(shown, "1 b 2 colour=red\n2 c 3 colour=red\n")
        self.assertEqual(call(["kcat", "-b", self.at, "-t", "keys", "-C", "-e", "-q", "-o", "-1", "-f", "%s\n"]), "3\n")

    def test_offset_of_a_time(self):
        call(["kcat", "-b", self.at, "-t", "times", "-P"], "early\n")
        time.sleep(0.05)
        between = int(time.time() * 1000)
        time.sleep(0.05)
        call(["kcat", "-b", self.at, "-t", "times", "-P"], "late\n")
        self.assertEqual(call(["kcat", "-b", self.at, "-Q", "-t", f"times:0:{between}"]).strip(), "times [0] offset 1")


@unittest.skipIf(NO_CONFLUENT, NO_CONFLUENT)
class ConfluentKafka(OneNode):
    def test_topic_life(self):
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": self.at})
        new = confluent_kafka.admin.NewTopic("confluent", 3, 1, config={"retention.ms": "3600000"})
        admin.create_topics([new])["confluent"].result(10)
        with self.assertRaises(confluent_kafka.KafkaException) as refused:
            admin.create_topics([new])["confluent"].result(10)
        self.assertEqual(refused.exception.args[0].name(), "TOPIC_ALREADY_EXISTS")
        resource = confluent_kafka.admin.ConfigResource(confluent_kafka.admin.RESOURCE_TOPIC, "confluent")
        configs = admin.describe_configs([resource])[resource].result(10)
        self.assertEqual(configs["retention.ms"].value, "3600000")
        self.assertEqual(len(admin.list_topics("confluent", 5).topics["confluent"].partitions), 3)
        admin.delete_topics(["confluent"])["confluent"].result(10)
        live_cluster.until("the topic is gone", lambda: "confluent" not in admin.list_topics(timeout=5).topics)

    def test_produce_and_consume(self):
        producer = confluent_kafka.Producer({"bootstrap.servers": self.at, "acks": "all", "linger.ms": 5})
        offsets = []
        for i in range(COUNT):
            producer.produce(
                "confluent-data",
                f"value {i}",
                partition=0,
                on_delivery=lambda error, message: offsets.append((error, message.offset())),
            )
        self.assertEqual(producer.flush(30), 0)
        self.assertEqual(sorted(offsets, key=lambda pair: pair[1]), [(None, i) for i in range(COUNT)])
        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": self.at, "group.id": "none", "enable.auto.commit": False}
        )
        self.addCleanup(consumer.close)
        self.assertEqual(
            consumer.get_watermark_offsets(confluent_kafka.TopicPartition("confluent-data", 0), 10), (0, COUNT)
        )
        consumer.assign([confluent_kafka.TopicPartition("confluent-data", 0, 10)])
        values = []
        deadline = time.monotonic() + 30
        while len(values) < COUNT - 10 and time.monotonic() < deadline:
            values += [message.value().decode() for message in consumer.consume(500, 1) if message.error() is None]
        self.assertEqual(values, [f"value {i}" for i in range(10, COUNT)])


@unittest.skipIf(NO_KAFKA_PYTHON, NO_KAFKA_PYTHON)
class KafkaPython(OneNode):
    def test_produce_and_consume(self):
        producer = kafka.KafkaProducer(bootstrap_servers=self.at, acks="all")
        sent = [producer.send("python", b"value %d" % i) for i in range(COUNT)]
        producer.flush(30)
        self.assertEqual([future.get(10).offset for future in sent], list(range(COUNT)))
        producer.close()
        consumer = kafka.KafkaConsumer(bootstrap_servers=self.at, enable_auto_commit=False, consumer_timeout_ms=5000)
        self.addCleanup(consumer.close)
        partition = kafka.TopicPartition("python", 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        values = []
        for message in consumer:
            values.append(message.value)
            if len(values) == COUNT:
                break
        self.assertEqual(values, [b"value %d" % i for i in range(COUNT)])
        self.assertEqual(consumer.end_offsets([partition]), {partition: COUNT})

    def test_topic_life(self):
        admin = kafka.admin.KafkaAdminClient(bootstrap_servers=self.at)
        self.addCleanup(admin.close)
        admin.create_topics([kafka.admin.NewTopic(name="python-admin", num_partitions=2, replication_factor=1)])
        self.assertIn("python-admin", admin.list_topics())
        admin.delete_topics(["python-admin"])
        live_cluster.until("the topic is gone", lambda: "python-admin" not in admin.list_topics())


def kafka_home():
    """The folder of Kafka's jars, or why there is none."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            return None, f"no {tool}: Kafka's own tools need a JDK and Maven"
    script = pathlib.Path(__file__).with_name("kafka.sh")
    done = subprocess.run([script, "install"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    home = pathlib.Path(os.environ.get("PEERS_HOME", pathlib.Path.home() / ".cache/verdict-peers")) / "kafka-4.1.0"
    if done.returncode != 0 or not (home / ".complete").exists():
        return None, "kafka.sh install: " + (done.stdout.strip().split("\n") or [""])[-1]
    return home, ""


class KafkaPrograms:
    """Kafka's own programs, for a test that has brokers at `at`, those of `cluster`."""

    @classmethod
    def setUpClass(cls):
        cls.home, why = kafka_home()
        if why:
            raise unittest.SkipTest(why)
        super().setUpClass()

    @classmethod
    def java(cls, name, *arguments, feed=None, seconds=120):
        options = [f"-Dlog4j2.configurationFile={cls.home}/log4j2.properties", "-Xmx256m", "-XX:TieredStopAtLevel=1"]
        return call(["java", *options, "-cp", f"{cls.home}/*", name, *arguments], feed, seconds)

    @classmethod
    def tool(cls, name, *arguments, feed=None):
        return cls.java("org.apache.kafka.tools." + name, "--bootstrap-server", cls.at, *arguments, feed=feed)

    @classmethod
    def groups(cls, *arguments):
        return cls.tool("consumer.group.ConsumerGroupCommand", *arguments)

    @classmethod
    def files(cls, topic, suffix):
        """Of all nodes' partitions of the topic, as DumpLogSegments takes them."""
        return ",".join(
            str(path)
            for number in cls.cluster.ports
            for path in sorted(cls.cluster.nodes[number].data.glob(f"{topic}-*/*{suffix}"))
        )


class KafkaTools(KafkaPrograms, unittest.TestCase):
    """Kafka's command line tools, unmodified, against a controller and three brokers."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = cls.enterClassContext(
            live_cluster.Cluster(3, min_insync_replicas=2, default_replication_factor=3)
        )
        cls.at = cls.cluster.bootstrap
        cls.tool("TopicCommand", "--create", "--topic", "shared", "--partitions", "2", "--replication-factor", "3")

    def test_topics(self):
        created = self.tool(
            "TopicCommand",
            "--create",
            "--topic",
            "orders",
            "--partitions",
            "3",
            "--replication-factor",
            "3",
            "--config",
            "retention.ms=1000000",
        )
        self.assertIn("Created topic orders.", created)
        self.assertIn("orders", self.tool("TopicCommand", "--list").split("\n"))
        described = self.tool("TopicCommand", "--describe", "--topic", "orders")
        self.assertRegex(
            described,
            r"Topic: orders\tTopicId: \S{22}\tPartitionCount: 3\tReplicationFactor: 3\tConfigs: .*retention.ms=1000000",
        )
        rows = re.findall(r"Partition: (\d)\tLeader: (\d)\tReplicas: (\S+)\tIsr: (\S+)", described)
        self.assertEqual([row[0] for row in rows], ["0", "1", "2"])
        self.assertEqual({row[1] for row in rows}, {"1", "2", "3"})
        for _, leader, replicas, isr in rows:
            self.assertEqual(replicas.split(",")[0], leader)
            self.assertEqual(sorted(isr.split(",")), ["1", "2", "3"])
        self.tool("TopicCommand", "--delete", "--topic", "orders")
        self.assertNotIn("orders", self.tool("TopicCommand", "--list").split("\n"))

    def console_consume(self, topic: str, offset: str, count: int) -> list[str]:
        where = ["--topic", topic, "--partition", "0", "--offset", offset]
        return self.tool("consumer.ConsoleConsumer", *where, "--max-messages", str(count)).split("\n")[:count]

    def test_console(self):
        lines = [f"line {i}" for i in range(200)]
        self.tool(
            "ConsoleProducer",
            "--topic",
            "console",
            "--producer-property",
            "acks=all",
            feed="\n".join(lines) + "\n",
        )
        self.assertEqual(self.console_consume("console", "earliest", 200), lines)
        self.assertEqual(self.console_consume("console", "198", 2), lines[198:])
        self.assertEqual(self.tool("GetOffsetShell", "--topic", "console").strip(), "console:0:200")
        self.assertEqual(self.tool("GetOffsetShell", "--topic", "console", "--time", "earliest").strip(), "console:0:0")

    def test_performance_tool(self):
        said = self.java(
            "org.apache.kafka.tools.ProducerPerformance",
            "--topic",
            "shared",
            "--num-records",
            "20000",
            "--record-size",
            "100",
            "--throughput",
            "-1",
            "--producer-props",
            f"bootstrap.servers={self.at}",
            "acks=all",
        )
        self.assertIn("20000 records sent", said)
        offsets = self.tool("GetOffsetShell", "--topic", "shared").split()
        self.assertEqual(sum(int(line.rsplit(":", 1)[1]) for line in offsets), 20000)

    def test_dump_log(self):
        """Kafka's reader finds nothing to complain about in our files, the metadata log included."""
        self.tool(
            "ConsoleProducer",
            "--topic",
            "dumped",
            "--producer-property",
            "compression.type=lz4",
            feed="".join(f"line {i} {'x' * 300}\n" for i in range(3000)),
        )
        folder = self.cluster.nodes[1].data / "dumped-0"
        files = sorted(path for path in folder.iterdir() if path.suffix in (".log", ".index", ".timeindex"))
        self.assertTrue(files)
        dump = self.java(
            "kafka.tools.DumpLogSegments",
            "--deep-iteration",
            "--print-data-log",
            "--files",
            ",".join(map(str, files)),
        )
        self.assertEqual(len(re.findall(r"payload: line \d+ x+", dump)), 3000)
        self.assertNotRegex(dump, r"isvalid: false|[Mm]ismatch|[Nn]on-consecutive|truncate|invalid")
        log = self.cluster.nodes[100].data / "__cluster_metadata-0/00000000000000000000.log"
        dump = self.java("kafka.tools.DumpLogSegments", "--cluster-metadata-decoder", "--files", log)
        self.assertIn('"type":"REGISTER_BROKER_RECORD"', dump)
        self.assertIn('"name":"dumped"', dump)
        self.assertNotRegex(dump, r"isvalid: false|Could not|rror")

    def test_cluster(self):
        said = self.java("org.apache.kafka.tools.ClusterTool", "cluster-id", "--bootstrap-server", self.at)
        self.assertEqual(said.strip(), f"Cluster ID: {live_cluster.CLUSTER_ID}")

    def test_broker_api_versions(self):
        said = self.tool("BrokerApiVersionsCommand")
        for number, port in self.cluster.ports.items():
            self.assertIn(f"127.0.0.1:{port} (id: {number} rack: null isFenced: false) -> (", said)
        self.assertRegex(said, r"Fetch\(1\): 4 to \d+ \[usable: \d+\]")
        self.assertIn("InitProducerId(22): 0 to 5 [usable: 5]", said)
        self.assertIn("ShareFetch(78): UNSUPPORTED", said)


if __name__ == "__main__":
    live_cluster.main()
