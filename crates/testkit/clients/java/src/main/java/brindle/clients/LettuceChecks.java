package brindle.clients;

import static brindle.clients.Judge.equal;
import static brindle.clients.Judge.eventually;
import static brindle.clients.Judge.holds;
import static brindle.clients.Judge.refused;

import io.lettuce.core.ClientOptions;
import io.lettuce.core.CompareCondition;
import io.lettuce.core.Consumer;
import io.lettuce.core.GeoArgs;
import io.lettuce.core.KeyScanArgs;
import io.lettuce.core.KeyValue;
import io.lettuce.core.LMoveArgs;
import io.lettuce.core.LMPopArgs;
import io.lettuce.core.Range;
import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisCommandExecutionException;
import io.lettuce.core.RedisFuture;
import io.lettuce.core.RedisURI;
import io.lettuce.core.ScanArgs;
import io.lettuce.core.ScanIterator;
import io.lettuce.core.ScoredValue;
import io.lettuce.core.SetArgs;
import io.lettuce.core.StreamMessage;
import io.lettuce.core.TransactionResult;
import io.lettuce.core.XAddArgs;
import io.lettuce.core.XReadArgs;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.api.sync.RedisCommands;
import io.lettuce.core.protocol.ProtocolVersion;
import io.lettuce.core.pubsub.RedisPubSubAdapter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

/** What a program does with Lettuce: many threads over one connection, and replies by future. */
final class LettuceChecks {
    private final Judge judge;
    private final RedisClient client;
    private final int protocol;

    private LettuceChecks(Judge judge, int protocol) {
        this.judge = judge;
        this.protocol = protocol;
        RedisURI address = RedisURI.builder()
                .withHost(judge.host).withPort(judge.port).withTimeout(Duration.ofSeconds(20)).build();
        client = RedisClient.create(address);
        client.setOptions(ClientOptions.builder()
                .protocolVersion(protocol == 3 ? ProtocolVersion.RESP3 : ProtocolVersion.RESP2).build());
    }

    private interface Body {
        void run(RedisCommands<String, String> r) throws Exception;
    }

    static void run(Judge judge, int protocol) {
        LettuceChecks checks = new LettuceChecks(judge, protocol);
        checks.check("strings", checks::strings);
        checks.check("lists", checks::lists);
        checks.check("sets", checks::sets);
        checks.check("hashes", checks::hashes);
        checks.check("sorted sets", checks::sortedSets);
        checks.check("geo, bitmaps and HyperLogLog", checks::geoBitmapsAndHyperLogLog);
        checks.check("streams", checks::streams);
        checks.check("keys and expiry", checks::keysAndExpiry);
        checks.check("scan", checks::scan);
        checks.check("transaction", checks::transaction);
        checks.check("blocking pop", checks::blockingPop);
        checks.check("publish and subscribe", checks::publishAndSubscribe);
        checks.check("lock", checks::lock);
        checks.client.shutdown(Duration.ZERO, Duration.ofSeconds(2));
    }

    private void check(String name, Body body) {
        judge.check("Lettuce " + name + " (RESP" + protocol + ")", () -> {
            try (var connection = client.connect()) {
                body.run(connection.sync());
            }
        });
    }

    private static boolean isBlocked(RedisCommands<String, String> r) {
        return r.info("clients").contains("blocked_clients:1\r\n");
    }

    private static String[] numbers(int count) {
        return IntStream.range(0, count).mapToObj(String::valueOf).toArray(String[]::new);
    }

    private void strings(RedisCommands<String, String> r) throws Exception {
        holds(r.clientInfo().contains(" resp=" + protocol + " "), r.clientInfo());
        equal(r.set("k", "v"), "OK");
        equal(r.get("none"), null);
        equal(r.set("k", "w", SetArgs.Builder.nx()), null);
        equal(r.setGet("k", "w"), "v");
        equal(r.append("k", "xyz"), 4L);
        equal(r.mset(new LinkedHashMap<>(Map.of("a", "1", "b", "2"))), "OK");
        equal(r.mget("a", "none", "b"), List.of(KeyValue.just("a", "1"), KeyValue.empty("none"), KeyValue.just("b", "2")));
        equal(List.of(r.incr("n"), r.incrby("n", 41)), List.of(1L, 42L));
        equal(r.incrbyfloat("n", 0.5), 42.5);
        equal(r.getdel("n"), "42.5");
        refused("ERR value is not an integer or out of range", () -> r.incr("k"));
        // One connection, many callers: the replies must come back to those who asked.
        var async = r.getStatefulConnection().async();
        List<RedisFuture<String>> replies = new ArrayList<>();
        for (String number : numbers(5000)) {
            async.set("key:" + number, number);
            replies.add(async.get("key:" + number));
        }
        for (int index = 0; index < replies.size(); index++) {
            equal(replies.get(index).get(10, TimeUnit.SECONDS), String.valueOf(index));
        }
    }

    private void lists(RedisCommands<String, String> r) throws Exception {
        equal(List.of(r.rpush("l", "a", "b", "c"), r.lpush("l", "z")), List.of(3L, 4L));
        equal(r.lrange("l", 0, -1), List.of("z", "a", "b", "c"));
        equal(r.lindex("l", 9), null);
        equal(r.lpos("l", "c"), 3L);
        equal(r.lmove("l", "m", LMoveArgs.Builder.leftRight()), "z");
        equal(r.lmpop(LMPopArgs.Builder.right().count(9), "none", "l"), KeyValue.just("l", List.of("c", "b", "a")));
        equal(r.lpop("l"), null);
        r.set("text", "x");
        refused("WRONGTYPE Operation against a key", () -> r.lpush("text", "x"));
    }

    private void sets(RedisCommands<String, String> r) {
        equal(r.sadd("s", "1", "2", "3"), 3L);
        equal(r.sadd("t", "3", "4"), 2L);
        equal(r.smembers("s"), Set.of("1", "2", "3"));
        equal(r.sismember("s", "1"), true);
        equal(r.smismember("s", "1", "9"), List.of(true, false));
        equal(List.of(r.sinter("s", "t"), r.sdiff("s", "t")), List.of(Set.of("3"), Set.of("1", "2")));
        r.sadd("many", numbers(3000));
        Set<String> found = new HashSet<>();
        ScanIterator.sscan(r, "many").forEachRemaining(found::add);
        equal(found, Set.of(numbers(3000)));
    }

    private void hashes(RedisCommands<String, String> r) throws Exception {
        equal(r.hset("h", Map.of("f", "1", "g", "x")), 2L);
        equal(r.hget("h", "none"), null);
        equal(r.hgetall("h"), Map.of("f", "1", "g", "x"));
        equal(r.hgetall("none"), Map.of());
        equal(r.hmget("h", "g", "none"), List.of(KeyValue.just("g", "x"), KeyValue.empty("none")));
        equal(r.hincrbyfloat("h", "f", 0.25), 1.25);
        equal(r.hexpire("h", 100, "f", "none"), List.of(1L, -2L));
        equal(r.httl("h", "f", "g"), List.of(100L, -1L));
        equal(r.hpexpire("h", 1, "g"), List.of(1L));
        eventually("the field expires", () -> r.hget("h", "g") == null);
    }

    private void sortedSets(RedisCommands<String, String> r) {
        equal(r.zadd("z", ScoredValue.just(1, "a"), ScoredValue.just(2.5, "b")), 2L);
        equal(r.zscore("z", "b"), 2.5);
        equal(r.zscore("z", "none"), null);
        equal(r.zrangeWithScores("z", 0, -1), List.of(ScoredValue.just(1, "a"), ScoredValue.just(2.5, "b")));
        equal(r.zrangebyscore("z", Range.from(Range.Boundary.excluding(1), Range.Boundary.unbounded())), List.of("b"));
        equal(r.zrank("z", "none"), null);
        equal(r.zincrby("z", 4, "a"), 5.0);
        equal(r.zadd("z", Double.NEGATIVE_INFINITY, "low"), 1L);
        equal(r.zpopmin("z"), ScoredValue.just(Double.NEGATIVE_INFINITY, "low"));
        equal(r.zpopmin("none"), ScoredValue.empty());
        equal(r.zunionstore("u", "z", "z"), 2L);
        equal(r.zscore("u", "a"), 10.0);
        Set<String> found = new HashSet<>();
        for (String number : numbers(2000)) {
            r.zadd("many", Double.parseDouble(number), number);
        }
        ScanIterator.zscan(r, "many").forEachRemaining(entry -> found.add(entry.getValue()));
        equal(found.size(), 2000);
    }

    private void geoBitmapsAndHyperLogLog(RedisCommands<String, String> r) {
        equal(r.geoadd("g", 13.361389, 38.115556, "Palermo"), 1L);
        equal(r.geoadd("g", 15.087269, 37.502669, "Catania"), 1L);
        equal(r.geodist("g", "Palermo", "Catania", GeoArgs.Unit.km), 166.2742);
        equal(r.geopos("g", "none").get(0), null);
        equal(r.setbit("bits", 9, 1), 0L);
        equal(List.of(r.bitcount("bits"), r.bitpos("bits", true)), List.of(1L, 9L));
        equal(r.pfadd("h", numbers(1000)), 1L);
        holds(r.pfcount("h") >= 980 && r.pfcount("h") <= 1020, r.pfcount("h"));
    }

    private void streams(RedisCommands<String, String> r) throws Exception {
        Map<String, String> fields = Map.of("f", "v");
        equal(r.xadd("s", new XAddArgs().id("1-1"), fields), "1-1");
        refused("ERR The ID specified in XADD is equal or smaller", () -> r.xadd("s", new XAddArgs().id("1-1"), fields));
        StreamMessage<String, String> first = new StreamMessage<>("s", "1-1", fields);
        equal(r.xrange("s", Range.unbounded()), List.of(first));
        equal(r.xgroupCreate(XReadArgs.StreamOffset.from("s", "0"), "crew"), "OK");
        equal(r.xreadgroup(Consumer.from("crew", "anna"), XReadArgs.StreamOffset.lastConsumed("s")), List.of(first));
        equal(r.xpending("s", "crew").getConsumerMessageCount(), Map.of("anna", 1L));
        equal(r.xack("s", "crew", "1-1"), 1L);
        try (StatefulRedisConnection<String, String> other = client.connect()) {
            var heard = other.async().xread(XReadArgs.Builder.block(10_000), XReadArgs.StreamOffset.latest("s"));
            eventually("the reader is blocked", () -> isBlocked(r));
            r.xadd("s", new XAddArgs().id("2-1"), fields);
            equal(heard.get(10, TimeUnit.SECONDS), List.of(new StreamMessage<>("s", "2-1", fields)));
        }
    }

    private void keysAndExpiry(RedisCommands<String, String> r) throws Exception {
        r.setex("k", 100, "v");
        holds(r.ttl("k") >= 98 && r.ttl("k") <= 100, r.ttl("k"));
        equal(r.persist("k"), true);
        equal(List.of(r.ttl("k"), r.ttl("none")), List.of(-1L, -2L));
        equal(r.type("k"), "string");
        equal(r.restore("copy", 0, r.dump("k")), "OK");
        equal(r.get("copy"), "v");
        equal(r.del("k", "copy", "none"), 2L);
        r.psetex("gone", 1, "soon");
        eventually("the key expires", () -> r.get("gone") == null);
    }

    private void scan(RedisCommands<String, String> r) {
        Map<String, String> many = new LinkedHashMap<>();
        for (String number : numbers(5000)) {
            many.put("key:" + number, number);
        }
        r.mset(many);
        r.lpush("list", "x");
        Set<String> found = new HashSet<>();
        ScanIterator.scan(r, ScanArgs.Builder.matches("key:*").limit(50)).forEachRemaining(found::add);
        equal(found, many.keySet());
        List<String> lists = new ArrayList<>();
        ScanIterator.scan(r, KeyScanArgs.Builder.type("list")).forEachRemaining(lists::add);
        equal(lists, List.of("list"));
    }

    private void transaction(RedisCommands<String, String> r) {
        r.multi();
        r.set("a", "1");
        r.incr("a");
        r.lpush("a", "x");
        TransactionResult replies = r.exec();
        equal(List.of(replies.get(0), replies.get(1)), List.of("OK", 2L));
        holds(replies.get(2) instanceof RedisCommandExecutionException, replies.get(2));
        r.watch("a");
        try (StatefulRedisConnection<String, String> other = client.connect()) {
            other.sync().set("a", "theirs");
        }
        r.multi();
        r.set("a", "mine");
        equal(r.exec().wasDiscarded(), true);
        equal(r.get("a"), "theirs");
    }

    private void blockingPop(RedisCommands<String, String> r) throws Exception {
        equal(r.blpop(0.01, "none"), null);
        try (StatefulRedisConnection<String, String> other = client.connect()) {
            var popped = other.async().blpop(10, "first", "second");
            eventually("the client is blocked", () -> isBlocked(r));
            equal(r.rpush("second", "x"), 1L);
            equal(popped.get(10, TimeUnit.SECONDS), KeyValue.just("second", "x"));
        }
    }

    private void publishAndSubscribe(RedisCommands<String, String> r) throws Exception {
        LinkedBlockingQueue<String> heard = new LinkedBlockingQueue<>();
        try (var listener = client.connectPubSub()) {
            listener.addListener(new RedisPubSubAdapter<>() {
                @Override
                public void message(String channel, String text) {
                    heard.add(channel + " " + text);
                }

                @Override
                public void message(String pattern, String channel, String text) {
                    heard.add(pattern + " " + channel + " " + text);
                }
            });
            listener.sync().subscribe("news");
            listener.sync().psubscribe("n*");
            equal(r.publish("news", "hello"), 2L);
            equal(heard.poll(10, TimeUnit.SECONDS), "news hello");
            equal(heard.poll(10, TimeUnit.SECONDS), "n* news hello");
            equal(r.pubsubNumsub("news"), Map.of("news", 1L));
            listener.sync().unsubscribe("news");
            listener.sync().punsubscribe("n*");
        }
        equal(r.publish("news", "nobody"), 0L);
    }

    private void lock(RedisCommands<String, String> r) {
        SetArgs take = SetArgs.Builder.nx().px(30_000);
        equal(r.set("lock", "token", take), "OK");
        equal(r.set("lock", "other", take), null);
        if (hasDelex(r)) {
            equal(r.delex("lock", CompareCondition.valueEq("other")), 0L);
            equal(r.delex("lock", CompareCondition.valueEq("token")), 1L);
            equal(r.exists("lock"), 0L);
        }
    }

    /** DELEX is younger than the reference, which alone may lack it. */
    private static boolean hasDelex(RedisCommands<String, String> r) {
        return r.info("server").contains("server_name:brindle");
    }
}
