"""A controller and three brokers on localhost under kill -9: nothing acknowledged is lost.

A pipelined client writes with acks=all while the partition's leader is killed ten times, each time after at least 1,000
acknowledgements and at a random moment, then all four nodes at once. Afterwards every acknowledged (offset, value) must
be at its offset; with one request in flight acknowledged values must also be in the order of their sending.
VERDICT_SEED=N repeats the moments.
"""

import random
import re
import threading
import time
import unittest

import live_cluster

confluent_kafka, WHY_NOT = live_cluster.client_module("confluent_kafka", "python3-confluent-kafka")
if confluent_kafka:
    from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "trial"
KILLS = 10
ACKNOWLEDGED_BETWEEN = 1000
AMBIGUOUS = (
    "_TRANSPORT",
    "_TIMED_OUT",
    "_MSG_TIMED_OUT",
    "REQUEST_TIMED_OUT",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "_FAIL",
    "NETWORK_EXCEPTION",
)


class Writer(threading.Thread):
    """Sends numbered values as fast as a bounded queue allows and notes what became of each."""

    def __init__(self, bootstrap, in_flight, rate):
        super().__init__(daemon=True)
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": False,
                "max.in.flight.requests.per.connection": in_flight,
                # With several in flight a request is never sent twice: what the kill leaves open stays so.
                "retries": 0 if in_flight > 1 else 1000000,
                "message.timeout.ms": 60000,
                "batch.num.messages": 50,
                "linger.ms": 1,
                "socket.timeout.ms": 10000,
                "request.timeout.ms": 5000,
                "topic.metadata.refresh.interval.ms": 1000,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 200,
                "retry.backoff.ms": 50,
                "log_level": 0,
            }
        )
        self.rate = rate
        self.acknowledged = []  # (offset, number), in the order of the answers
        self.ambiguous = 0
        self.refused = 0
        self.errors = {}
        self.sent = 0
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            if len(self.producer) < 2000:
                for _ in range(self.rate // 100):
                    self.producer.produce(TOPIC, value=b"value-%d" % self.sent, partition=0, on_delivery=self.delivered)
                    self.sent += 1
            self.producer.poll(0.01)
        self.producer.flush(90)

    def delivered(self, error, message):
        if error is None:
            self.acknowledged.append((message.offset(), int(message.value()[6:])))
            return
        self.errors[error.name()] = self.errors.get(error.name(), 0) + 1
        if error.name() in AMBIGUOUS:
            self.ambiguous += 1
        else:
            self.refused += 1


def partition_of(admin):
    try:
        topic = admin.list_topics(TOPIC, timeout=5).topics[TOPIC]
    except KafkaException:
        return None
    return topic.partitions.get(0) if topic.error is None else None


def read_all(bootstrap, end):
    """offset -> value, from the beginning to `end` (exclusive)."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "none",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "log_level": 0,
        }
    )
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    values = {}
    deadline = time.monotonic() + 120
    try:
        while max(values, default=-1) < end - 1:
            if time.monotonic() > deadline:
                raise AssertionError(f"read up to {max(values, default=-1)} of {end - 1}")
            for message in consumer.consume(1000, timeout=0.5):
                if message.error() is not None:
                    if message.error().code() == KafkaError._ALL_BROKERS_DOWN or message.error().retriable():
                        continue
                    if message.error().code() in (KafkaError._TRANSPORT, KafkaError._RESOLVE):
                        continue
                    raise AssertionError(f"consumer: {message.error()}")
                if message.offset() in values and values[message.offset()] != message.value():
                    raise AssertionError(f"offset {message.offset()} was read with two values")
                values[message.offset()] = message.value()
    finally:
        consumer.close()
    return values


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Kill(unittest.TestCase):
    def setUp(self):
        self.seed = live_cluster.seed()
        self.random = random.Random(self.seed)

    def wait_whole(self, admin):
        return live_cluster.until(
            "three replicas in sync",
            lambda: (lambda p: p and p.leader >= 0 and len(p.isrs) == 3 and p)(partition_of(admin)),
            60,
        )

    def wait_acknowledged(self, writer, count):
        live_cluster.until(
            f"{count} acknowledgements (errors so far: {writer.errors})",
            lambda: len(writer.acknowledged) >= count,
            60,
        )

    def kill_leaders(self, cluster, admin, writer, kills):
        leaders = []
        for _ in range(kills):
            leader = self.wait_whole(admin).leader
            self.wait_acknowledged(writer, len(writer.acknowledged) + ACKNOWLEDGED_BETWEEN)
            time.sleep(self.random.uniform(0, 0.5))
            cluster.nodes[leader].kill()
            leaders.append(leader)
            successor = live_cluster.until(
                "another leader",
                lambda old=leader: (lambda p: p and p.leader not in (-1, old) and p.leader)(partition_of(admin)),
                30,
            )
            if self.random.random() < 0.5:  # back before, or while, its successor takes new records
                self.wait_acknowledged(writer, len(writer.acknowledged) + 200)
            self.assertNotEqual(successor, leader)
            cluster.nodes[leader].start()
        return leaders

    def kill_everything(self, cluster, admin, writer):
        self.wait_whole(admin)
        self.wait_acknowledged(writer, len(writer.acknowledged) + ACKNOWLEDGED_BETWEEN)
        time.sleep(self.random.uniform(0, 0.5))
        for node in cluster.nodes.values():
            node.process.kill()
        for node in cluster.nodes.values():
            node.wait()
        for node in self.random.sample(sorted(cluster.nodes.values(), key=lambda n: n.id), len(cluster.nodes)):
            node.start()
        self.wait_whole(admin)
        self.wait_acknowledged(writer, len(writer.acknowledged) + ACKNOWLEDGED_BETWEEN)

    def epochs_written(self, cluster):
        """How many leader epochs the batches of the partition carry."""
        files = sorted((cluster.nodes[1].data / f"{TOPIC}-0").glob("*.log"))
        dump = live_cluster.run_program("storage", "dump", *files).stdout
        return len(set(re.findall(r"partitionLeaderEpoch: (\d+)", dump)))

    def trial(self, in_flight, kills, rate):
        with live_cluster.quick_cluster() as cluster:
            admin = AdminClient(
                {
                    "bootstrap.servers": cluster.bootstrap,
                    "log_level": 0,
                    "reconnect.backoff.max.ms": 200,
                    "topic.metadata.refresh.interval.ms": 500,
                }
            )
            admin.create_topics([NewTopic(TOPIC, 1, 3)])[TOPIC].result(30)
            writer = Writer(cluster.bootstrap, in_flight, rate)
            writer.start()
            leaders = self.kill_leaders(cluster, admin, writer, kills)
            self.kill_everything(cluster, admin, writer)
            writer.stopping.set()
            writer.join(120)
            self.assertFalse(writer.is_alive())
            acknowledged = list(writer.acknowledged)
            values = read_all(cluster.bootstrap, max(offset for offset, _ in acknowledged) + 1)
            epochs = self.epochs_written(cluster)
        print(
            f"seed {self.seed}: {in_flight} in flight, leaders killed {leaders}, {len(acknowledged)} acknowledged, "
            f"{writer.ambiguous} ambiguous, {writer.refused} refused ({writer.errors}), {epochs} epochs written to",
            flush=True,
        )
        lost = [(offset, number) for offset, number in acknowledged if values.get(offset) != b"value-%d" % number]
        self.assertEqual(lost[:5], [], f"{len(lost)} acknowledged records are not at their offsets")
        self.assertEqual(
            len({offset for offset, _ in acknowledged}), len(acknowledged), "an offset was acknowledged twice"
        )
        self.assertGreaterEqual(epochs, kills + 1)
        return writer, acknowledged

    def test_pipelined(self):
        writer, _ = self.trial(5, KILLS, 3000)
        self.assertGreaterEqual(writer.ambiguous, 1)

    def test_one_request_in_flight_keeps_the_order(self):
        _, acknowledged = self.trial(1, 3, 2000)
        by_offset = [number for _, number in sorted(acknowledged)]
        self.assertEqual(by_offset, sorted(by_offset))


if __name__ == "__main__":
    live_cluster.main()
