"""Groups, committed offsets, idempotence and transactions as real clients use them, on one node and on three of ours.

kcat from Debian, confluent-kafka and kafka-python from PyPI or else from Debian, Kafka's own tools and its Java client
from Maven. What can't be had is skipped with the reason.
"""

import collections
import json
import pathlib
import shutil
import time
import unittest

import live_cluster
from clients_test import KafkaPrograms, call

confluent_kafka, NO_CONFLUENT = live_cluster.client_module("confluent_kafka", "python3-confluent-kafka")
kafka, NO_KAFKA_PYTHON = live_cluster.client_module("kafka", "python3-kafka")
if confluent_kafka:
    from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

FEW_PARTITIONS = {
    "group_initial_rebalance_delay_ms": 0,
    "offsets_topic_num_partitions": 4,
    "transaction_state_log_num_partitions": 4,
}


class Nodes(unittest.TestCase):
    brokers = 0

    @classmethod
    def setUpClass(cls):
        if cls.brokers:
            more = {"min_insync_replicas": 2, "default_replication_factor": 3}
        else:
            # Kafka's defaults want three brokers.
            more = {
                "offsets_topic_replication_factor": 1,
                "transaction_state_log_replication_factor": 1,
                "transaction_state_log_min_isr": 1,
            }
        cls.cluster = cls.enterClassContext(live_cluster.Cluster(cls.brokers, **FEW_PARTITIONS, **more))
        cls.at = cls.cluster.bootstrap


# ---- kcat ----


class KcatUses:
    def test_a_group_goes_on_where_it_was(self):
        lines = [f"line {i}" for i in range(500)]
        call(["kcat", "-b", self.at, "-t", "kcat", "-P", "-X", "acks=all"], "\n".join(lines) + "\n")
        consume = ["kcat", "-b", self.at, "-G", "kcat-group", "-e", "-q", "-X", "auto.offset.reset=earliest", "kcat"]
        self.assertEqual(call(consume).split("\n")[:-1], lines)
        call(["kcat", "-b", self.at, "-t", "kcat", "-P", "-X", "acks=all"], "one more\n")
        self.assertEqual(call(consume), "one more\n")


@unittest.skipUnless(shutil.which("kcat"), "no kcat: apt-get install kcat")
class KcatOneNode(KcatUses, Nodes):
    pass


@unittest.skipUnless(shutil.which("kcat"), "no kcat: apt-get install kcat")
class KcatThreeNodes(KcatUses, Nodes):
    brokers = 3


# ---- confluent-kafka ----


class ConfluentUses:
    def make(self, name, partitions=1):
        admin = AdminClient({"bootstrap.servers": self.at})
        admin.create_topics([NewTopic(name, partitions, min(3, max(1, self.brokers)))])[name].result(30)

    def producer(self, **more):
        return Producer({"bootstrap.servers": self.at, **{key.replace("_", "."): value for key, value in more.items()}})

    def consumer(self, group, topic=None, isolation="read_committed"):
        consumer = Consumer(
            {
                "bootstrap.servers": self.at,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "isolation.level": isolation,
                "enable.auto.commit": False,
                "session.timeout.ms": 10000,
                "heartbeat.interval.ms": 300,
                "fetch.wait.max.ms": 100,
            }
        )
        if topic:
            consumer.subscribe([topic])
        return consumer

    def read(self, group, topic, count, isolation="read_committed", quiet=0.0, consumer=None):
        """`count` values, and what comes within `quiet` seconds more."""
        own = consumer or self.consumer(group, topic, isolation)
        values = []
        deadline = time.monotonic() + 30
        try:
            while time.monotonic() < deadline:
                for message in own.consume(500, 0.2):
                    self.assertIsNone(message.error())
                    values.append(message.value().decode())
                if len(values) >= count and quiet is not None:
                    deadline = min(deadline, time.monotonic() + quiet)
                    quiet = None
        finally:
            if consumer is None:
                own.close()
        return values

    def test_idempotent_producer(self):
        self.make("idempotent")
        producer = self.producer(enable_idempotence=True, linger_ms=1)
        for i in range(1000):
            producer.produce("idempotent", str(i))
        self.assertEqual(producer.flush(30), 0)
        self.assertEqual(self.read("idempotent", "idempotent", 1000, quiet=0.5), [str(i) for i in range(1000)])

    def test_commits_are_seen_and_aborts_are_not(self):
        self.make("transactions")
        producer = self.producer(transactional_id="commits-and-aborts")
        producer.init_transactions(30)
        for number in range(9):
            producer.begin_transaction()
            for i in range(10):
                producer.produce("transactions", f"{number}-{i}")
            if number % 3 == 2:
                producer.flush(10)
                producer.abort_transaction(30)
            else:
                producer.commit_transaction(30)
        committed = [f"{number}-{i}" for number in range(9) if number % 3 != 2 for i in range(10)]
        self.assertEqual(self.read("committed", "transactions", 60, quiet=0.5), committed)
        everything = [f"{number}-{i}" for number in range(9) for i in range(10)]
        self.assertEqual(self.read("everything", "transactions", 90, "read_uncommitted", quiet=0.5), everything)

    def test_an_open_transaction_is_not_seen_before_its_end(self):
        self.make("open")
        producer = self.producer(transactional_id="open")
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce("open", "undecided")
        self.assertEqual(producer.flush(10), 0)
        plain = self.producer(acks="all")
        plain.produce("open", "later")
        self.assertEqual(plain.flush(10), 0)
        self.assertEqual(self.read("open-all", "open", 2, "read_uncommitted"), ["undecided", "later"])
        consumer = self.consumer("open-committed", "open")
        self.addCleanup(consumer.close)
        self.assertEqual(self.read("", "open", 0, quiet=1.5, consumer=consumer), [])
        producer.commit_transaction(30)
        self.assertEqual(self.read("", "open", 2, consumer=consumer), ["undecided", "later"])

    def test_the_older_of_two_producers_is_fenced(self):
        self.make("fenced")
        older = self.producer(transactional_id="fenced")
        older.init_transactions(30)
        older.begin_transaction()
        older.produce("fenced", "by the older")
        older.flush(10)
        newer = self.producer(transactional_id="fenced")
        newer.init_transactions(30)
        newer.begin_transaction()
        newer.produce("fenced", "by the newer")
        newer.commit_transaction(30)
        with self.assertRaises(KafkaException) as refused:
            older.commit_transaction(30)
        self.assertTrue(refused.exception.args[0].fatal())
        self.assertEqual(self.read("fenced", "fenced", 1, quiet=0.5), ["by the newer"])

    def test_consume_transform_produce(self):
        self.make("raw", 2)
        self.make("cooked")
        source = self.producer(enable_idempotence=True)
        for i in range(200):
            source.produce("raw", str(i), partition=i % 2)
        self.assertEqual(source.flush(30), 0)
        for life in range(2):  # the second goes on where the first was
            consumer = self.consumer("cooks", "raw")
            producer = self.producer(transactional_id="cook")
            producer.init_transactions(30)
            taken = 0
            while taken < 100:
                messages = [one for one in consumer.consume(25 if life == 0 else 40, 1) if one.error() is None]
                if not messages:
                    continue
                messages = messages[: 100 - taken]
                producer.begin_transaction()
                ends = {}
                for one in messages:
                    producer.produce("cooked", b"cooked " + one.value())
                    ends[one.partition()] = one.offset() + 1
                offsets = [TopicPartition("raw", partition, end) for partition, end in ends.items()]
                producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
                producer.commit_transaction(30)
                taken += len(messages)
            consumer.close()
        cooked = self.read("eaters", "cooked", 200, quiet=0.5)
        self.assertEqual(collections.Counter(cooked), collections.Counter(f"cooked {i}" for i in range(200)))

    def test_an_aborted_transaction_takes_its_offsets_back(self):
        self.make("taken-back")
        consumer = self.consumer("takers")
        partition = TopicPartition("taken-back", 0)
        consumer.assign([partition])
        producer = self.producer(transactional_id="taker")
        producer.init_transactions(30)
        for committed in (True, False):
            producer.begin_transaction()
            offset = TopicPartition("taken-back", 0, 7 if committed else 9)
            producer.send_offsets_to_transaction([offset], consumer.consumer_group_metadata(), 30)
            (producer.commit_transaction if committed else producer.abort_transaction)(30)
        self.assertEqual(consumer.committed([partition], 30)[0].offset, 7)
        consumer.close()

    def test_two_members_share_and_one_inherits(self):
        self.make("shared", 4)
        consumers = {}

        def poll(*names):
            for name in names:
                consumers[name].poll(0.1)
            return {name: len(consumers[name].assignment()) for name in names}

        for name in ("a", "b"):
            consumers[name] = self.consumer("sharers", "shared")
        live_cluster.until("each has half", lambda: poll("a", "b") == {"a": 2, "b": 2}, 40)
        partitions = {one.partition for consumer in consumers.values() for one in consumer.assignment()}
        self.assertEqual(partitions, {0, 1, 2, 3})
        consumers["b"].close()
        live_cluster.until("the other has all", lambda: poll("a") == {"a": 4}, 40)
        consumers["a"].close()

    def test_committed_offsets_survive_a_restart(self):
        self.make("kept", 2)
        consumer = self.consumer("keepers")
        wanted = [TopicPartition("kept", 0, 5), TopicPartition("kept", 1, 17)]
        consumer.commit(offsets=wanted, asynchronous=False)
        consumer.close()
        for number, node in self.cluster.nodes.items():
            if number in self.cluster.ports:
                self.assertEqual(node.stop(), 0)
                node.start()
                self.cluster.wait_serving(number)
        consumer = self.consumer("keepers")
        self.addCleanup(consumer.close)
        found = consumer.committed([TopicPartition("kept", 0), TopicPartition("kept", 1)], 60)
        self.assertEqual([(one.offset, one.error) for one in found], [(5, None), (17, None)])


@unittest.skipIf(NO_CONFLUENT, NO_CONFLUENT)
class ConfluentOneNode(ConfluentUses, Nodes):
    pass


@unittest.skipIf(NO_CONFLUENT, NO_CONFLUENT)
class ConfluentThreeNodes(ConfluentUses, Nodes):
    brokers = 3


# ---- kafka-python ----


@unittest.skipIf(NO_KAFKA_PYTHON, NO_KAFKA_PYTHON)
class KafkaPython(Nodes):
    brokers = 3

    def consumer(self):
        return kafka.KafkaConsumer(
            "python",
            bootstrap_servers=self.at,
            group_id="pythons",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            consumer_timeout_ms=10000,
        )

    def test_a_group_goes_on_where_it_was(self):
        producer = kafka.KafkaProducer(bootstrap_servers=self.at, acks="all")
        sent = [producer.send("python", b"value %d" % i) for i in range(300)]
        self.assertEqual([future.get(20).offset for future in sent], list(range(300)))
        producer.close()
        values = []
        for part in (100, 200):
            consumer = self.consumer()
            for message in consumer:
                values.append(message.value)
                if len(values) == part:
                    break
            partition = kafka.TopicPartition("python", 0)
            self.assertEqual(consumer.position(partition), part)
            consumer.commit()
            consumer.close()
        self.assertEqual(values, [b"value %d" % i for i in range(200)])
        consumer = self.consumer()
        self.assertEqual(consumer.committed(kafka.TopicPartition("python", 0)), 200)
        consumer.close()


# ---- Kafka's own ----


class KafkaTools(KafkaPrograms, Nodes):
    brokers = 3

    def rows(self, table):
        """Lines of a tool's table, each a dict."""
        lines = [line.split() for line in table.split("\n") if line.strip()]
        head = next(
            i for i, line in enumerate(lines) if "GROUP" in line or "TransactionalId" in line or "ProducerId" in line
        )
        return [dict(zip(lines[head], line)) for line in lines[head + 1 :]]

    def test_consumer_groups(self):
        self.tool("TopicCommand", "--create", "--topic", "orders", "--partitions", "2")
        self.tool(
            *("ConsoleProducer", "--topic", "orders", "--property", "parse.key=true", "--property", "key.separator=:"),
            feed="".join(f"{i}:order {i}\n" for i in range(100)),
        )
        took = self.tool(
            *("consumer.ConsoleConsumer", "--topic", "orders", "--group", "clerks", "--from-beginning"),
            *("--max-messages", "100", "--timeout-ms", "60000"),
        )
        self.assertEqual(sorted(took.split("\n")[:100]), sorted(f"order {i}" for i in range(100)))
        self.assertIn("clerks", self.groups("--list").split("\n"))
        self.assertRegex(self.groups("--list", "--state"), r"clerks\s+Empty")
        rows = self.rows(self.groups("--describe", "--group", "clerks"))
        self.assertEqual(sorted(row["PARTITION"] for row in rows), ["0", "1"])
        self.assertEqual(sum(int(row["CURRENT-OFFSET"]) for row in rows), 100)
        self.assertEqual({row["LAG"] for row in rows}, {"0"})
        self.assertRegex(
            self.groups("--describe", "--group", "clerks", "--state"), r"clerks\s+127.0.0.1:\d+ +\(\d\).* Empty +0"
        )
        self.groups("--reset-offsets", "--group", "clerks", "--topic", "orders", "--to-offset", "3", "--execute")
        rows = self.rows(self.groups("--describe", "--group", "clerks"))
        self.assertEqual({row["CURRENT-OFFSET"] for row in rows}, {"3"})
        said = self.groups("--delete-offsets", "--group", "clerks", "--topic", "orders:0")
        self.assertRegex(said, r"orders\s+0\s+Successful")
        rows = self.rows(self.groups("--describe", "--group", "clerks"))
        self.assertEqual([row["PARTITION"] for row in rows], ["1"])
        self.assertIn("was successful", self.groups("--delete", "--group", "clerks"))
        self.assertNotIn("clerks", self.groups("--list").split("\n"))

    def verifiable(self, name, *arguments):
        return [json.loads(line) for line in self.tool(name, *arguments).split("\n") if line.startswith("{")]

    def test_verifiable_producer_and_consumer(self):
        self.tool("TopicCommand", "--create", "--topic", "verified", "--partitions", "2")
        said = self.verifiable("VerifiableProducer", "--topic", "verified", "--max-messages", "1000", "--acks", "-1")
        self.assertEqual(sum(one["name"] == "producer_send_success" for one in said), 1000)
        said = self.verifiable(
            *("VerifiableConsumer", "--topic", "verified", "--group-id", "verifiers", "--max-messages", "1000"),
            *("--reset-policy", "earliest", "--enable-autocommit"),
        )
        self.assertEqual(sum(one["count"] for one in said if one["name"] == "records_consumed"), 1000)
        self.assertTrue(any(one["name"] == "partitions_assigned" for one in said))

    def test_java_clients(self):
        """Transactions.java says what it did, and ends with an exception where it saw something else."""
        source = pathlib.Path(__file__).with_name("Transactions.java")
        said = self.java(source, self.at, "idempotent", "transactional", "copy", "fence", seconds=480)
        self.assertIn("idempotent: 1000 in order\n", said)
        self.assertIn("transactional: 20 of 30 committed\n", said)
        self.assertIn("copied: 100, each once\n", said)
        # Kafka's brokers, too, tell a fenced producer first what they tell any epoch that is over.
        self.assertRegex(said, "fenced: (ProducerFenced|InvalidProducerEpoch)Exception\n")

    def dump(self, *arguments):
        dump = self.java("kafka.tools.DumpLogSegments", *arguments)
        self.assertNotRegex(dump, r"isvalid: false|[Mm]ismatch|Could not|rror|invalid")
        return dump

    def test_kafka_reads_what_the_coordinators_and_producers_left(self):
        """DumpLogSegments with its decoders, on our __consumer_offsets, __transaction_state and producer snapshots."""
        self.tool("TopicCommand", *("--create", "--topic", "left", "--config", "segment.bytes=1048576"))
        where = ["--topic", "left", "--num-records", "30000", "--record-size", "100", "--throughput", "-1"]
        self.java(
            *("org.apache.kafka.tools.ProducerPerformance", *where, "--transactional-id", "dumped"),
            *("--transaction-duration-ms", "100", "--producer-props", f"bootstrap.servers={self.at}"),
        )
        self.tool(
            *("consumer.ConsoleConsumer", "--topic", "left", "--group", "dumpers", "--from-beginning"),
            *("--max-messages", "100", "--timeout-ms", "60000"),
        )
        offsets = self.dump("--offsets-decoder", "--files", self.files("__consumer_offsets", ".log"))
        self.assertRegex(offsets, r'"group":"dumpers","topic":"left","partition":0\}.*"offset":1\d\d,')
        self.assertRegex(offsets, r'"group":"dumpers".*"protocolType":"consumer","generation":1\D')
        states = self.dump("--transaction-log-decoder", "--files", self.files("__transaction_state", ".log"))
        for state in ("0", "1", "2", "4"):  # Empty, Ongoing, PrepareCommit, CompleteCommit
            self.assertRegex(states, rf'"transactionalId":"dumped".*"transactionStatus":{state}\D')
        snapshots = self.files("left", ".snapshot")
        self.assertTrue(snapshots)
        self.assertRegex(
            self.dump("--files", snapshots),
            r"producerId: \d+ producerEpoch: \d+ coordinatorEpoch: -?\d+ currentTxnFirstOffset: \S+ lastTimestamp: \d+",
        )

    def test_transactions(self):
        """The tool sees a transaction that hangs open, with its producer, and what becomes of it."""
        source = pathlib.Path(__file__).with_name("Transactions.java")
        self.assertIn("left open\n", self.java(source, self.at, "leave-open"))
        listed = [
            row for row in self.rows(self.tool("TransactionsCommand", "list")) if row["TransactionalId"] == "open"
        ]
        self.assertEqual([row["TransactionState"] for row in listed], ["Ongoing"])
        described = self.tool("TransactionsCommand", "describe", "--transactional-id", "open")
        self.assertRegex(described, r"open\s+\d+\s+0\s+Ongoing\s+60000\s+\S+\s+\d+\s+java-open-0")
        producers = self.tool("TransactionsCommand", "describe-producers", "--topic", "java-open", "--partition", "0")
        row = self.rows(producers)[0]
        self.assertEqual((row["ProducerId"], row["LastSequence"]), (listed[0]["ProducerId"], "4"))
        self.assertEqual(row["CurrentTransactionStartOffset"], "0")
        self.tool("TransactionsCommand", "abort", "--topic", "java-open", "--partition", "0", "--start-offset", "0")
        producers = self.tool("TransactionsCommand", "describe-producers", "--topic", "java-open", "--partition", "0")
        self.assertEqual(self.rows(producers)[0]["CurrentTransactionStartOffset"], "None")


if __name__ == "__main__":
    live_cluster.main()
