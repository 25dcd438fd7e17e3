"""Exactly once, across kill -9: two members of a group consume, transform and produce in transactions.

A feeder writes numbered values with an idempotent producer; two workers of one group copy each to another topic, the
offsets within the same transaction, while brokers are killed ten times at random moments. Now and then a worker aborts
what it has written, or is replaced in the middle of a transaction. Afterwards a read_committed consumer must see the
effect of every input once: no more, no less. VERDICT_SEED=N repeats the moments.
"""

import collections
import os
import random
import threading
import time
import unittest

import live_cluster

# Debian's, also where PyPI's is to be had: that one (librdkafka 2.16) forgets a broker that Metadata does not list for
# a while, but goes on sending a group's TxnOffsetCommit to what it forgot, without end and without an error.
os.environ.setdefault("VERDICT_DEBIAN_CLIENTS", "1")
confluent_kafka, WHY_NOT = live_cluster.client_module("confluent_kafka", "python3-confluent-kafka")
if confluent_kafka:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

INPUT, OUTPUT, GROUP = "input", "output", "pipeline"
PARTITIONS = 3
KILLS = 10
RATE = 400  # inputs a second
QUICK = {
    "topic.metadata.refresh.interval.ms": 1000,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 300,
    "socket.timeout.ms": 5000,
    "log_level": 0,
}


class Feeder(threading.Thread):
    def __init__(self, bootstrap):
        super().__init__(daemon=True)
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "retry.backoff.ms": 50,
                **QUICK,
            }
        )
        self.acknowledged = []
        self.refused = []
        self.stopping = threading.Event()

    def run(self):
        number = 0
        while not self.stopping.is_set():
            if len(self.producer) < 5000:
                for _ in range(RATE // 50):
                    self.producer.produce(
                        INPUT, b"%d" % number, partition=number % PARTITIONS, on_delivery=self.delivered
                    )
                    number += 1
            self.producer.poll(0)
            time.sleep(0.02)
        self.producer.flush(60)

    def delivered(self, error, message):
        if error is None:
            self.acknowledged.append(int(message.value()))
        else:
            self.refused.append((int(message.value()), error.name()))


ABORTED, REPLACED = 0.08, 0.03  # of the transactions, by their own worker's choice


class Fatal(Exception):
    """The producer is of no use any more."""


class Worker(threading.Thread):
    """Consume, transform, produce. What the client library calls abortable is aborted, what is fatal begins anew."""

    def __init__(self, bootstrap, number, seed):
        super().__init__(daemon=True)
        self.bootstrap = bootstrap
        self.number = number
        self.random = random.Random(f"{seed} {number}")
        self.stopping = threading.Event()
        self.commits = self.aborts = self.lives = self.copied = 0
        self.errors = collections.Counter()
        self.broken = None  # what ended the thread, though nothing should

    def run(self):
        try:
            while not self.stopping.is_set():
                self.live()
        except BaseException as error:
            self.broken = error
            raise

    def live(self):
        """One producer and one consumer, to the end of the producer's life."""
        self.lives += 1
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "transactional.id": f"worker-{self.number}",
                "transaction.timeout.ms": 20000,
                "linger.ms": 2,
                "retry.backoff.ms": 50,
                **QUICK,
            }
        )
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": GROUP,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 10000,
                "heartbeat.interval.ms": 500,
                "fetch.wait.max.ms": 50,
                **QUICK,
            }
        )
        try:
            self.retry(lambda: producer.init_transactions(10))
            self.metadata = None
            consumer.subscribe([INPUT], on_assign=self.assigned)
            while not self.stopping.is_set():
                messages = [one for one in consumer.consume(100, 0.2) if one.error() is None]
                if messages:
                    self.transact(producer, consumer, messages)
        except Fatal:
            pass
        finally:
            consumer.close()

    def assigned(self, consumer, _partitions):
        """Whoever produces offsets must name the generation in which it got the partitions."""
        self.metadata = consumer.consumer_group_metadata()

    def transact(self, producer, consumer, messages):
        ends = {}
        for one in messages:
            ends[one.partition()] = one.offset() + 1
        offsets = [TopicPartition(INPUT, partition, end) for partition, end in ends.items()]
        try:
            producer.begin_transaction()
            for one in messages:
                value = b"%d/%d/%s" % (one.partition(), one.offset(), one.value())
                producer.produce(OUTPUT, value, partition=int(one.value()) // PARTITIONS % PARTITIONS)
            choice = self.random.random()
            if choice < ABORTED + REPLACED:
                producer.flush(2)
                if choice < REPLACED:
                    raise Fatal
                self.abort(producer, consumer)
                return
            self.retry(lambda: producer.send_offsets_to_transaction(offsets, self.metadata, 10))
            self.retry(lambda: producer.commit_transaction(10))
            self.commits += 1
            self.copied += len(messages)
        except KafkaException as error:
            self.note(error)
            if not error.args[0].txn_requires_abort():
                raise Fatal from error
            self.abort(producer, consumer)

    def abort(self, producer, consumer):
        """And back to what is committed."""
        self.retry(lambda: producer.abort_transaction(10))
        self.aborts += 1
        partitions = consumer.assignment()
        if not partitions:
            return
        for one in self.retry(lambda: consumer.committed(partitions, 10)):
            if one.error is not None:
                raise Fatal from KafkaException(one.error)
            try:
                consumer.seek(
                    TopicPartition(one.topic, one.partition, one.offset if one.offset >= 0 else OFFSET_BEGINNING)
                )
            except (
                KafkaException
            ) as error:  # not fetched yet, or not ours any more: a new consumer begins at the right place
                raise Fatal from error

    def retry(self, action):
        """What may be tried again is; the rest is raised, what is fatal as Fatal."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return action()
            except KafkaException as error:
                self.note(error)
                if error.args[0].txn_requires_abort():
                    raise
                if error.args[0].fatal() or not error.args[0].retriable() or time.monotonic() > deadline:
                    raise Fatal from error

    def note(self, error):
        self.errors[error.args[0].name()] += 1


def read(bootstrap, topic, isolation):
    """All values of the topic's partitions, each from its beginning to where it ends now."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            **QUICK,
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    found = []
    ended = set()
    deadline = time.monotonic() + 60
    try:
        while len(ended) < PARTITIONS:
            if time.monotonic() > deadline:
                raise AssertionError(f"{topic} was not read to its end, only partitions {ended}: {len(found)} values")
            for message in consumer.consume(1000, 0.5):
                if message.error() is None:
                    found.append((message.partition(), message.offset(), message.value()))
                elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
    finally:
        consumer.close()
    return found


@unittest.skipIf(WHY_NOT, WHY_NOT)
class ExactlyOnce(unittest.TestCase):
    def setUp(self):
        self.seed = live_cluster.seed()
        self.random = random.Random(self.seed)
        print(f"seed {self.seed}", flush=True)

    def cluster(self):
        return live_cluster.quick_cluster(**live_cluster.QUICK_COORDINATORS)

    def whole(self, admin):
        """All partitions have a leader and three replicas in sync."""

        def check():
            try:
                topics = admin.list_topics(timeout=5).topics.values()
            except KafkaException:
                return False
            partitions = [partition for topic in topics for partition in topic.partitions.values()]
            return len(partitions) >= 12 and all(one.leader >= 0 and len(one.isrs) == 3 for one in partitions)

        live_cluster.until("three replicas of each partition in sync", check, 60)

    def progress(self, workers):
        """Transactions are committed again."""
        for worker in workers:
            self.assertIsNone(worker.broken)
        begun = sum(worker.copied for worker in workers)
        live_cluster.until(
            f"{RATE} more inputs are copied ({[dict(worker.errors) for worker in workers]})",
            lambda: sum(worker.copied for worker in workers) >= begun + RATE,
            60,
        )

    def kill_brokers(self, cluster, admin, workers):
        victims = []
        for _ in range(KILLS):
            self.whole(admin)
            self.progress(workers)
            time.sleep(self.random.uniform(0, 0.3))
            victim = self.random.choice([1, 2, 3])
            victims.append(victim)
            cluster.nodes[victim].kill()
            time.sleep(self.random.choice([0, self.random.uniform(0, 4)]))  # before, or after, others lead
            cluster.nodes[victim].start()
        self.whole(admin)
        self.progress(workers)
        return victims

    def test_every_effect_is_seen_once(self):
        begun = time.monotonic()
        with self.cluster() as cluster:
            admin = AdminClient({"bootstrap.servers": cluster.bootstrap, **QUICK})
            for made in admin.create_topics([NewTopic(name, PARTITIONS, 3) for name in (INPUT, OUTPUT)]).values():
                made.result(30)
            feeder = Feeder(cluster.bootstrap)
            workers = [Worker(cluster.bootstrap, number, self.seed) for number in range(2)]
            for thread in (feeder, *workers):
                thread.start()
            victims = self.kill_brokers(cluster, admin, workers)
            feeder.stopping.set()
            feeder.join(90)
            self.assertFalse(feeder.is_alive())
            inputs = read(cluster.bootstrap, INPUT, "read_uncommitted")
            live_cluster.until(
                f"all {len(inputs)} inputs are copied",
                lambda: sum(worker.copied for worker in workers) >= len(inputs),
                60,
            )
            for worker in workers:
                worker.stopping.set()
            for worker in workers:
                worker.join(60)
                self.assertFalse(worker.is_alive())
            outputs = read(cluster.bootstrap, OUTPUT, "read_committed")
            written = read(cluster.bootstrap, OUTPUT, "read_uncommitted")
        print(
            f"seed {self.seed}: killed {victims}, {len(inputs)} inputs ({len(feeder.refused)} refused), "
            f"{len(written) - len(outputs)} copies aborted, {sum(worker.commits for worker in workers)} commits, "
            f"{sum(worker.aborts for worker in workers)} aborts, {sum(worker.lives for worker in workers)} lives, "
            f"{[dict(worker.errors) for worker in workers]}, {time.monotonic() - begun:.0f} s",
            flush=True,
        )
        self.assertGreater(len(written), len(outputs), "no copy was aborted")
        fed = collections.Counter(int(value) for _, _, value in inputs)
        self.assertEqual([number for number in feeder.acknowledged if fed[number] != 1][:5], [], "acknowledged inputs")
        self.assertEqual([number for number, times in fed.items() if times > 1][:5], [], "inputs twice in the log")
        expected = {b"%d/%d/%s" % one for one in inputs}
        seen = collections.Counter(value for _, _, value in outputs)
        self.assertEqual(sorted(expected - seen.keys())[:5], [], "inputs without an effect")
        self.assertEqual([value for value, times in seen.items() if times > 1][:5], [], "effects seen twice")
        self.assertEqual(sorted(seen.keys() - expected)[:5], [], "effects of nothing")


if __name__ == "__main__":
    live_cluster.main()
