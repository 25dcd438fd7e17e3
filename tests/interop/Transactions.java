import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Kafka's own client: java -cp 'JARS/*' Transactions.java BOOTSTRAP MODE..., see main. */
public class Transactions {
    static String bootstrap;

    static KafkaProducer<String, String> producer(String transactionalId) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("linger.ms", "1");
        if (transactionalId != null) properties.put("transactional.id", transactionalId);
        return new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String group) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("group.id", group);
        properties.put("group.protocol", "classic");
        properties.put("auto.offset.reset", "earliest");
        properties.put("isolation.level", "read_committed");
        properties.put("enable.auto.commit", "false");
        return new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    }

    static void create(String topic, int partitions) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", (Object) bootstrap))) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 3))).all().get();
        }
    }

    static List<String> read(String group, String topic, int count) {
        List<String> values = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer(group)) {
            consumer.subscribe(List.of(topic));
            long end = System.nanoTime() + Duration.ofSeconds(30).toNanos();
            int quiet = 0;
            while (quiet < 5 && System.nanoTime() < end) {
                int before = values.size();
                consumer.poll(Duration.ofMillis(200)).forEach(record -> values.add(record.value()));
                quiet = values.size() >= count && values.size() == before ? quiet + 1 : 0;
            }
            consumer.commitSync();
        }
        return values;
    }

    static void expect(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    static void idempotent() throws Exception {
        create("java-idempotent", 1);
        List<String> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer = producer(null)) {
            List<Future<RecordMetadata>> answers = new ArrayList<>();
            for (int i = 0; i < 1000; ++i) {
                sent.add("" + i);
                answers.add(producer.send(new ProducerRecord<>("java-idempotent", "" + i)));
            }
            for (int i = 0; i < 1000; ++i) expect(answers.get(i).get().offset() == i, "offset of " + i);
        }
        expect(read("java-idempotent", "java-idempotent", 1000).equals(sent), "what is read is what was sent");
        System.out.println("idempotent: 1000 in order");
    }

    static void transactional() throws Exception {
        create("java-transactional", 2);
        List<String> committed = new ArrayList<>();
        try (KafkaProducer<String, String> producer = producer("java-transactional")) {
            producer.initTransactions();
            for (int number = 0; number < 30; ++number) {
                producer.beginTransaction();
                for (int partition = 0; partition < 2; ++partition)
                    producer.send(new ProducerRecord<>("java-transactional", partition, null, number + "/" + partition));
                if (number % 3 == 2) {
                    producer.flush();
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                    committed.addAll(List.of(number + "/0", number + "/1"));
                }
            }
        }
        List<String> seen = read("java-transactional", "java-transactional", committed.size());
        expect(seen.size() == committed.size() && new HashSet<>(seen).equals(new HashSet<>(committed)), "seen: " + seen);
        System.out.println("transactional: 20 of 30 committed");
    }

    static void copy() throws Exception {
        create("java-from", 2);
        create("java-to", 1);
        try (KafkaProducer<String, String> producer = producer(null)) {
            for (int i = 0; i < 100; ++i) producer.send(new ProducerRecord<>("java-from", i % 2, null, "" + i));
        }
        for (int life = 0; life < 2; ++life) {  // the second goes on where the first was; one in three is aborted
            try (KafkaProducer<String, String> producer = producer("java-copy");
                    KafkaConsumer<String, String> consumer = consumer("java-copy")) {
                producer.initTransactions();
                consumer.subscribe(List.of("java-from"));
                int copied = 0, round = 0;
                while (copied < 50) {
                    Map<TopicPartition, OffsetAndMetadata> ends = new HashMap<>();
                    int taken = 0;
                    producer.beginTransaction();
                    for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) {
                        if (copied + taken == 50) {
                            consumer.seek(new TopicPartition(record.topic(), record.partition()),
                                    ends.getOrDefault(new TopicPartition(record.topic(), record.partition()),
                                            new OffsetAndMetadata(record.offset())).offset());
                            continue;
                        }
                        producer.send(new ProducerRecord<>("java-to", record.value()));
                        ends.put(new TopicPartition(record.topic(), record.partition()),
                                new OffsetAndMetadata(record.offset() + 1));
                        ++taken;
                    }
                    if (taken > 0) producer.sendOffsetsToTransaction(ends, consumer.groupMetadata());
                    if (taken > 0 && round++ % 3 == 0) {
                        producer.abortTransaction();
                        Collection<TopicPartition> mine = consumer.assignment();
                        Map<TopicPartition, OffsetAndMetadata> known = consumer.committed(new HashSet<>(mine));
                        for (TopicPartition one : mine)
                            consumer.seek(one, known.get(one) == null ? 0 : known.get(one).offset());
                    } else {
                        producer.commitTransaction();
                        copied += taken;
                    }
                }
            }
        }
        List<String> seen = read("java-copied", "java-to", 100);
        expect(seen.size() == 100 && new HashSet<>(seen).size() == 100, seen.size() + " copies: " + seen);
        System.out.println("copied: 100, each once");
    }

    static void fence() throws Exception {
        create("java-fence", 1);
        try (KafkaProducer<String, String> older = producer("java-fence");
                KafkaProducer<String, String> newer = producer("java-fence")) {
            older.initTransactions();
            older.beginTransaction();
            older.send(new ProducerRecord<>("java-fence", "by the older")).get();
            newer.initTransactions();
            try {
                older.send(new ProducerRecord<>("java-fence", "by the older again")).get();
                older.commitTransaction();
                throw new AssertionError("the older producer was not fenced");
            } catch (ProducerFencedException fenced) {
                System.out.println("fenced: ProducerFencedException");
            } catch (ExecutionException refused) {
                System.out.println("fenced: " + refused.getCause().getClass().getSimpleName());
            }
            newer.beginTransaction();
            newer.send(new ProducerRecord<>("java-fence", "by the newer"));
            newer.commitTransaction();
        }
        List<String> seen = read("java-fence", "java-fence", 1);
        expect(seen.equals(List.of("by the newer")), "seen: " + seen);
    }

    static void leaveOpen() throws Exception {
        create("java-open", 1);
        KafkaProducer<String, String> producer = producer("open");
        producer.initTransactions();
        producer.beginTransaction();
        for (int i = 0; i < 5; ++i) producer.send(new ProducerRecord<>("java-open", "" + i)).get();
        System.out.println("left open");
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        for (String mode : List.of(arguments).subList(1, arguments.length)) {
            switch (mode) {
                case "idempotent" -> idempotent();
                case "transactional" -> transactional();
                case "copy" -> copy();
                case "fence" -> fence();
                case "leave-open" -> leaveOpen();
                default -> throw new IllegalArgumentException(mode);
            }
        }
    }
}
