"""Groups of the consumer protocol (KIP-848) as real clients use them, on three nodes of ours.

Kafka's Java client and its tools from Maven; confluent-kafka from PyPI if its librdkafka is 2.10 or later. What can't
be had is skipped with the reason.
"""

import pathlib
import threading
import unittest

import live_cluster
from clients_test import KafkaPrograms

confluent_kafka, NO_CONFLUENT = live_cluster.client_module("confluent_kafka", "python3-confluent-kafka")
if confluent_kafka and confluent_kafka.libversion()[1] < 0x020A0000:
    NO_CONFLUENT = f"librdkafka {confluent_kafka.libversion()[0]} is older than 2.10"
if not NO_CONFLUENT:
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

# Members hear of what is new with their next heartbeat: the tests do not wait for Kafka's five seconds.
SOON = {
    "group_initial_rebalance_delay_ms": 0,
    "offsets_topic_num_partitions": 4,
    "group_consumer_min_heartbeat_interval_ms": 100,
    "group_consumer_heartbeat_interval_ms": 100,
    "group_consumer_min_session_timeout_ms": 6000,
    "group_consumer_session_timeout_ms": 6000,
    "min_insync_replicas": 2,
    "default_replication_factor": 3,
}


class Nodes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(live_cluster.Cluster(3, **SOON))
        cls.at = cls.cluster.bootstrap


class JavaClients(KafkaPrograms, Nodes):
    def clients(self, *modes):
        """ConsumerGroups.java says what it did, and ends with an exception where it saw something else."""
        source = pathlib.Path(__file__).with_name("ConsumerGroups.java")
        return self.java(source, self.at, *modes, seconds=480)

    def test_java_clients(self):
        said = self.clients("share", "pattern", "migrate")
        self.assertIn("group: Consumer Stable uniform 2\n", said)
        self.assertIn("shared: 600, each once\n", said)
        self.assertIn("pattern: followed\n", said)
        self.assertIn("migrated: Consumer\nmigrated: Classic\nmigrated: 300, each once\n", said)

    def test_tools(self):
        self.tool("TopicCommand", "--create", "--topic", "orders", "--partitions", "2")
        self.tool("ConsoleProducer", "--topic", "orders", feed="".join(f"order {i}\n" for i in range(100)))
        took = []
        tool = threading.Thread(
            target=lambda: took.append(
                self.tool(
                    *("consumer.ConsoleConsumer", "--topic", "orders", "--group", "clerks", "--from-beginning"),
                    *("--consumer-property", "group.protocol=consumer", "--max-messages", "101"),
                    *("--timeout-ms", "60000"),
                )
            )
        )
        tool.start()
        live_cluster.until(
            "the member has both partitions",
            lambda: "orders" in self.groups("--describe", "--group", "clerks", "--members", "--verbose"),
            60,
        )
        state = self.groups("--describe", "--group", "clerks", "--state")
        self.assertRegex(state, r"clerks\s+127.0.0.1:\d+ +\(\d\) +uniform +Stable +1")
        members = self.groups("--describe", "--group", "clerks", "--members", "--verbose")
        self.assertRegex(members, r"clerks +\S{22} .*console-consumer +2 +1 +orders:0,1 +1 +orders:0,1")
        self.assertRegex(self.groups("--list", "--type"), r"clerks\s+Consumer")
        self.assertRegex(self.groups("--list", "--type", "consumer", "--state"), r"clerks\s+Consumer\s+Stable")
        self.tool("ConsoleProducer", "--topic", "orders", feed="one more\n")
        tool.join()
        self.assertEqual(len(took[0].strip().split("\n")), 101)
        self.assertRegex(self.groups("--describe", "--group", "clerks", "--state"), r"clerks\s.* Empty +0")
        self.groups("--reset-offsets", "--group", "clerks", "--topic", "orders", "--to-offset", "3", "--execute")
        self.assertIn("was successful", self.groups("--delete", "--group", "clerks"))
        self.assertNotIn("clerks", self.groups("--list").split("\n"))

    def test_static_members_and_their_records(self):
        """Kafka's reader understands all records of their group."""
        self.assertRegex(self.clients("static"), "static: [12] kept\n")
        logs = self.files("__consumer_offsets", ".log")
        dumps = self.java("kafka.tools.DumpLogSegments", "--offsets-decoder", "--files", logs)
        for kind in (3, 5, 6, 7, 8):
            self.assertIn(f'key: {{"type":"{kind}","data":{{"groupId":"fixed-group"', dumps)
        self.assertNotRegex(dumps, r"Could not|<DECODING_ERROR>|isvalid: false")


@unittest.skipIf(NO_CONFLUENT, NO_CONFLUENT)
class ConfluentKafka(Nodes):
    def consumer(self, group, topics, **more):
        consumer = Consumer(
            {
                "bootstrap.servers": self.at,
                "group.id": group,
                "group.protocol": "consumer",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 100,
                **{key.replace("_", "."): value for key, value in more.items()},
            }
        )
        consumer.subscribe(topics)
        return consumer

    def make(self, name, partitions):
        admin = AdminClient({"bootstrap.servers": self.at})
        admin.create_topics([NewTopic(name, partitions, 3)])[name].result(30)

    def test_two_members_share_and_survive_the_coordinator(self):
        self.make("rd", 4)
        producer = Producer({"bootstrap.servers": self.at})
        for i in range(200):
            producer.produce("rd", str(i), partition=i % 4)
        producer.flush(30)
        consumers = {name: self.consumer("rds", ["rd"], client_id=name) for name in ("a", "b")}
        values = []

        def shares():
            for consumer in consumers.values():
                for message in consumer.consume(100, 0.1):
                    self.assertIsNone(message.error())
                    values.append(message.value().decode())
                    consumer.commit(message, asynchronous=False)
            return {name: len(consumer.assignment()) for name, consumer in consumers.items()}

        live_cluster.until("each has half", lambda: shares() == {"a": 2, "b": 2}, 60)
        live_cluster.until("all is read", lambda: shares() and len(set(values)) == 200, 60)
        for number in self.cluster.ports:
            node = self.cluster.nodes[number]
            node.stop()
            node.start()
            self.cluster.wait_serving(number)
            live_cluster.until("each has half again", lambda: shares() == {"a": 2, "b": 2}, 60)
        found = consumers["a"].committed([TopicPartition("rd", i) for i in range(4)], 60)
        self.assertEqual([one.offset for one in found], [50] * 4)
        consumers.pop("b").close()
        live_cluster.until("one has all", lambda: shares() == {"a": 4}, 60)
        consumers.pop("a").close()

    def test_subscription_by_a_regular_expression(self):
        self.make("rd-pattern-1", 1)
        consumer = self.consumer("rd-patterns", ["^rd-pattern-.*"])
        self.addCleanup(consumer.close)

        def topics():
            consumer.poll(0.1)
            return sorted(one.topic for one in consumer.assignment())

        live_cluster.until("it has the topic", lambda: topics() == ["rd-pattern-1"], 60)
        self.make("rd-pattern-2", 1)
        live_cluster.until("it has both", lambda: topics() == ["rd-pattern-1", "rd-pattern-2"], 60)


if __name__ == "__main__":
    live_cluster.main()
