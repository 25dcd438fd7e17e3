"""The same records, compacted by ours and by Apache Kafka: the same offsets stay, with the same keys and values.

Each record is sent alone, so that both logs have the same batches and roll their segments at the same offsets. Apache
Kafka comes from Maven (tests/interop/kafka.sh) and needs a JDK; without one this is skipped with the reason.
"""

import random
import time
import unittest

import live_cluster
from apache_kafka import ONE_BROKER, ApacheKafka, kafka_or_skip

confluent_kafka, NO_CONFLUENT = live_cluster.client_module("confluent_kafka", "python3-confluent-kafka")
if confluent_kafka:
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

CLEANER = {"log_cleaner_backoff_ms": 100, "log_cleaner_dedupe_buffer_size": 16777216}
# Segments of the least size that Kafka takes since 4.0 (KIP-1030), and values that fill some of them.
TOPIC = {"cleanup.policy": "compact", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01"}
VALUE_BYTES = 9000
KEYS = [b"key-%d" % i for i in range(7)] + [bytes([0, 0, 0, i]) for i in range(3)]  # control records' are four bytes


class Log:
    """What one client sends to a partition of its own, from `seed`."""

    def __init__(self, bootstrap, topic, seed):
        self.at, self.topic = bootstrap, topic
        self.random = random.Random(seed)
        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.create_topics([NewTopic(topic, 1, 1, config=TOPIC)])[topic].result(30)

    def producer(self, **more):
        settings = {"bootstrap.servers": self.at, "acks": "all", "linger.ms": 0, "log_level": 0, **more}
        return Producer(settings)

    def send(self, producer):
        key = self.random.choice(KEYS)
        value = self.random.randbytes(VALUE_BYTES) if self.random.random() < 0.8 else None
        producer.produce(self.topic, key=key, value=value, partition=0)
        assert producer.flush(30) == 0

    def fill(self, records):
        producer = self.producer(**{"enable.idempotence": True})
        for _ in range(records):
            self.send(producer)

    def fill_in_transactions(self, transactions):
        producer = self.producer(**{"transactional.id": self.topic})
        producer.init_transactions(60)
        for _ in range(transactions):
            producer.begin_transaction()
            for _ in range(self.random.randint(1, 8)):
                self.send(producer)
            producer.abort_transaction(60) if self.random.random() < 0.3 else producer.commit_transaction(60)

    def read(self, isolation):
        """(offset, key, value) of all records, and the log's end."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.at,
                "group.id": "reader",
                "enable.auto.commit": False,
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            }
        )
        place = TopicPartition(self.topic, 0, 0)
        consumer.assign([place])
        found = []
        deadline = time.monotonic() + 60
        try:
            while time.monotonic() < deadline:
                for message in consumer.consume(1000, 0.1):
                    if message.error() is None:
                        found.append((message.offset(), message.key(), message.value()))
                    elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                        return found, consumer.get_watermark_offsets(place, 10)[1]
                    else:
                        raise AssertionError(message.error())
        finally:
            consumer.close()
        raise AssertionError(f"no end of {self.topic} within a minute")

    def compacted(self):
        """Both readings of the log, once its cleaner has nothing more to do."""
        before = None
        unchanged = 0
        deadline = time.monotonic() + 90
        while unchanged < 3:
            assert time.monotonic() < deadline, "the cleaner goes on and on"
            time.sleep(1)
            now = self.read("read_uncommitted"), self.read("read_committed")
            unchanged = unchanged + 1 if now == before else 0
            before = now
        return before


@unittest.skipUnless(confluent_kafka, NO_CONFLUENT)
class BothCompact(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        kafka_or_skip()
        cls.ours = cls.enterClassContext(live_cluster.Cluster(0, **ONE_BROKER, **CLEANER)).bootstrap
        cls.kafka = cls.enterClassContext(ApacheKafka(**CLEANER)).bootstrap

    def both(self, topic, fill):
        seed = live_cluster.seed()
        logs = [Log(at, topic, seed) for at in (self.ours, self.kafka)]
        for log in logs:
            fill(log)
        (ours, kafka) = (log.compacted() for log in logs)
        for isolation, mine, theirs in zip(("read_uncommitted", "read_committed"), ours, kafka):
            what = f"{topic} from seed {seed}, {isolation}"
            self.assertEqual(mine[1], theirs[1], f"{what}: the log's end")
            self.assertEqual([record[0] for record in mine[0]], [record[0] for record in theirs[0]], what)
            self.assertEqual(mine, theirs, what)
        return ours

    def test_keys_and_tombstones(self):
        (all_records, end), _ = self.both("plain", lambda log: log.fill(600))
        self.assertEqual(end, 600)
        self.assertLess(len(all_records), 300)
        self.assertTrue(any(value is None for _, _, value in all_records), "its tombstones stay for a day")

    def test_transactions(self):
        uncommitted, committed = self.both("transactions", lambda log: log.fill_in_transactions(120))
        self.assertLess(len(committed[0]), len(uncommitted[0]), "the active segment has aborted records")
        self.assertLess(len(uncommitted[0]), uncommitted[1] / 2)


if __name__ == "__main__":
    live_cluster.main()
