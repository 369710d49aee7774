package brindle.clients;

import static brindle.clients.Judge.equal;
import static brindle.clients.Judge.eventually;
import static brindle.clients.Judge.holds;
import static brindle.clients.Judge.later;
import static brindle.clients.Judge.refused;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.GeoCoordinate;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisPubSub;
import redis.clients.jedis.Pipeline;
import redis.clients.jedis.RedisProtocol;
import redis.clients.jedis.Response;
import redis.clients.jedis.StreamEntryID;
import redis.clients.jedis.Transaction;
import redis.clients.jedis.args.GeoUnit;
import redis.clients.jedis.args.ListDirection;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.params.ScanParams;
import redis.clients.jedis.params.SetParams;
import redis.clients.jedis.params.XAutoClaimParams;
import redis.clients.jedis.params.XReadGroupParams;
import redis.clients.jedis.params.XReadParams;
import redis.clients.jedis.resps.ScanResult;
import redis.clients.jedis.resps.StreamEntry;
import redis.clients.jedis.resps.Tuple;
import redis.clients.jedis.util.CompareCondition;

/** What a program does with Jedis. */
final class JedisChecks {
    private final Judge judge;
    private final RedisProtocol protocol;

    private JedisChecks(Judge judge, int protocol) {
        this.judge = judge;
        this.protocol = protocol == 3 ? RedisProtocol.RESP3 : RedisProtocol.RESP2;
    }

    private interface Body {
        void run(Jedis r) throws Exception;
    }

    static void run(Judge judge, int protocol) {
        JedisChecks checks = new JedisChecks(judge, protocol);
        checks.check("strings", checks::strings);
        checks.check("bitmaps and HyperLogLog", checks::bitmapsAndHyperLogLog);
        checks.check("lists", checks::lists);
        checks.check("sets", checks::sets);
        checks.check("hashes", checks::hashes);
        checks.check("sorted sets", checks::sortedSets);
        checks.check("geo", checks::geo);
        checks.check("streams", checks::streams);
        checks.check("keys and expiry", checks::keysAndExpiry);
        checks.check("scan", checks::scan);
        checks.check("transaction", checks::transaction);
        checks.check("blocking pop", checks::blockingPop);
        checks.check("publish and subscribe", checks::publishAndSubscribe);
        checks.check("lock", checks::lock);
    }

    private void check(String name, Body body) {
        judge.check("Jedis " + name + " (" + protocol + ")", () -> {
            try (Jedis r = connect()) {
                body.run(r);
            }
        });
    }

    private Jedis connect() {
        return new Jedis(
                new HostAndPort(judge.host, judge.port),
                DefaultJedisClientConfig.builder().protocol(protocol).socketTimeoutMillis(20_000).build());
    }

    private static boolean isBlocked(Jedis r) {
        return r.info("clients").contains("blocked_clients:1\r\n");
    }

    private static String[] numbers(int count) {
        return IntStream.range(0, count).mapToObj(String::valueOf).toArray(String[]::new);
    }

    private void strings(Jedis r) throws Exception {
        equal(r.ping(), "PONG");
        holds(r.clientInfo().contains(protocol == RedisProtocol.RESP3 ? " resp=3 " : " resp=2 "), r.clientInfo());
        equal(r.set("k", "v"), "OK");
        equal(r.get("k"), "v");
        equal(r.get("none"), null);
        equal(r.set("k", "w", SetParams.setParams().nx()), null);
        equal(r.setGet("k", "w"), "v");
        equal(r.append("k", "xyz"), 4L);
        equal(r.getrange("k", 1, -2), "xy");
        equal(r.mset("a", "1", "b", "2"), "OK");
        equal(r.mget("a", "none", "b"), Arrays.asList("1", null, "2"));
        equal(List.of(r.incr("n"), r.incrBy("n", 41), r.decr("n")), List.of(1L, 42L, 41L));
        equal(r.incrByFloat("n", 0.5), 41.5);
        equal(r.getDel("n"), "41.5");
        refused("ERR value is not an integer or out of range", () -> r.incr("k"));
        byte[] key = new byte[256];
        for (int index = 0; index < key.length; index++) {
            key[index] = (byte) index;
        }
        byte[] large = Arrays.copyOf(key, 2_000_000);
        equal(r.set(key, large), "OK");
        holds(Arrays.equals(r.get(key), large), "other bytes");
    }

    private void bitmapsAndHyperLogLog(Jedis r) {
        equal(List.of(r.setbit("bits", 7, true), r.setbit("bits", 7, false)), List.of(false, true));
        r.setbit("bits", 9, true);
        equal(List.of(r.bitcount("bits"), r.bitpos("bits", true)), List.of(1L, 9L));
        List<Long> fields = r.bitfield("f", "SET", "u8", "0", "200", "OVERFLOW", "FAIL", "INCRBY", "u8", "0", "100");
        equal(fields, Arrays.asList(0L, null));
        equal(r.pfadd("h", numbers(1000)), 1L);
        long count = r.pfcount("h");
        holds(count >= 980 && count <= 1020, count);
    }

    private void lists(Jedis r) throws Exception {
        equal(List.of(r.rpush("l", "a", "b", "c"), r.lpush("l", "z")), List.of(3L, 4L));
        equal(r.lrange("l", 0, -1), List.of("z", "a", "b", "c"));
        equal(Arrays.asList(r.lindex("l", 1), r.lindex("l", 9)), Arrays.asList("a", null));
        equal(r.lpos("l", "c"), 3L);
        equal(r.lmove("l", "m", ListDirection.LEFT, ListDirection.RIGHT), "z");
        var popped = r.lmpop(ListDirection.RIGHT, 9, "none", "l");
        equal(List.of(popped.getKey(), popped.getValue()), List.of("l", List.of("c", "b", "a")));
        equal(r.lpop("l"), null);
        equal(r.rpush("many", numbers(5000)), 5000L);
        equal(r.lrange("many", 0, -1), List.of(numbers(5000)));
        r.set("text", "x");
        refused("WRONGTYPE Operation against a key", () -> r.lpush("text", "x"));
    }

    private void sets(Jedis r) {
        equal(List.of(r.sadd("s", "1", "2", "3"), r.sadd("t", "3", "4")), List.of(3L, 2L));
        equal(r.smembers("s"), Set.of("1", "2", "3"));
        equal(r.smismember("s", "1", "9"), List.of(true, false));
        equal(List.of(r.sinter("s", "t"), r.sdiff("s", "t")), List.of(Set.of("3"), Set.of("1", "2")));
        equal(List.of(r.smove("s", "t", "1"), r.srem("s", "2", "9")), List.of(1L, 1L));
        equal(r.spop("s"), "3");
        equal(r.exists("s"), false);
        r.sadd("many", numbers(3000));
        Set<String> found = new HashSet<>();
        String cursor = ScanParams.SCAN_POINTER_START;
        do {
            ScanResult<String> page = r.sscan("many", cursor);
            found.addAll(page.getResult());
            cursor = page.getCursor();
        } while (!cursor.equals(ScanParams.SCAN_POINTER_START));
        equal(found, Set.of(numbers(3000)));
    }

    private void hashes(Jedis r) throws Exception {
        equal(r.hset("h", Map.of("f", "1", "g", "x")), 2L);
        equal(Arrays.asList(r.hget("h", "f"), r.hget("h", "none")), Arrays.asList("1", null));
        equal(r.hmget("h", "g", "none"), Arrays.asList("x", null));
        equal(r.hgetAll("h"), Map.of("f", "1", "g", "x"));
        equal(r.hgetAll("none"), Map.of());
        equal(r.hincrBy("h", "f", 9), 10L);
        equal(r.hincrByFloat("h", "f", 0.25), 10.25);
        equal(r.hexpire("h", 100, "f", "none"), List.of(1L, -2L));
        equal(r.httl("h", "f", "g"), List.of(100L, -1L));
        equal(r.hpexpire("h", 1, "g"), List.of(1L));
        eventually("the field expires", () -> r.hget("h", "g") == null);
        Map<String, String> many = new HashMap<>();
        for (String number : numbers(2000)) {
            many.put("f" + number, number);
        }
        r.hset("many", many);
        equal(r.hgetAll("many"), many);
    }

    private void sortedSets(Jedis r) {
        equal(r.zadd("z", Map.of("a", 1.0, "b", 2.5, "c", Double.POSITIVE_INFINITY)), 3L);
        equal(Arrays.asList(r.zscore("z", "b"), r.zscore("z", "none")), Arrays.asList(2.5, null));
        List<Tuple> all = List.of(new Tuple("a", 1.0), new Tuple("b", 2.5), new Tuple("c", Double.POSITIVE_INFINITY));
        equal(r.zrangeWithScores("z", 0, -1), all);
        equal(r.zrangeByScore("z", "(1", "+inf"), List.of("b", "c"));
        equal(Arrays.asList(r.zrank("z", "b"), r.zrank("z", "none")), Arrays.asList(1L, null));
        equal(r.zincrby("z", 4, "a"), 5.0);
        equal(r.zmscore("z", "a", "none"), Arrays.asList(5.0, null));
        equal(List.of(r.zadd("y", 10, "a"), r.zunionstore("u", "z", "y")), List.of(1L, 3L));
        equal(r.zscore("u", "a"), 15.0);
        equal(r.zpopmin("z"), new Tuple("b", 2.5));
        equal(r.zpopmin("none"), null);
        for (int member = 0; member < 2000; member++) {
            r.zadd("many", member, String.valueOf(member));
        }
        equal(r.zrangeByScore("many", 1000, 1002), List.of("1000", "1001", "1002"));
    }

    private void geo(Jedis r) {
        GeoCoordinate palermo = new GeoCoordinate(13.361389, 38.115556);
        GeoCoordinate catania = new GeoCoordinate(15.087269, 37.502669);
        equal(r.geoadd("g", Map.of("Palermo", palermo, "Catania", catania)), 2L);
        equal(r.geodist("g", "Palermo", "Catania", GeoUnit.KM), 166.2742);
        equal(r.geohash("g", "Palermo", "none"), Arrays.asList("sqc8b49rny0", null));
        var near = r.geosearch("g", new GeoCoordinate(15, 37), 100, GeoUnit.KM);
        equal(near.get(0).getMemberByString(), "Catania");
    }

    private void streams(Jedis r) throws Exception {
        Map<String, String> fields = Map.of("f", "v");
        StreamEntryID first = new StreamEntryID(1, 1);
        equal(r.xadd("s", first, fields), first);
        equal(r.xadd("s", new StreamEntryID(2, 1), fields).toString(), "2-1");
        refused("ERR The ID specified in XADD is equal or smaller", () -> r.xadd("s", first, fields));
        equal(r.xgroupCreate("s", "crew", new StreamEntryID(), false), "OK");
        var read = r.xreadGroup("crew", "anna", XReadGroupParams.xReadGroupParams().count(1),
                Map.of("s", StreamEntryID.XREADGROUP_UNDELIVERED_ENTRY));
        StreamEntry entry = read.get(0).getValue().get(0);
        equal(List.of(read.get(0).getKey(), entry.getID(), entry.getFields()), List.of("s", first, fields));
        equal(r.xpending("s", "crew").getConsumerMessageCount(), Map.of("anna", 1L));
        var claimed = r.xautoclaim("s", "crew", "bert", 0, new StreamEntryID(), new XAutoClaimParams());
        equal(claimed.getValue().get(0).getID(), first);
        equal(List.of(r.xack("s", "crew", first), r.xlen("s")), List.of(1L, 2L));
        equal(r.xinfoStream("s").getLastGeneratedId().toString(), "2-1");
        try (Jedis other = connect()) {
            Future<String> heard = later(() -> other.xread(
                            XReadParams.xReadParams().block(10_000), Map.of("s", StreamEntryID.XREAD_NEW_ENTRY))
                    .get(0).getValue().get(0).getID().toString());
            eventually("the reader is blocked", () -> isBlocked(r));
            r.xadd("s", new StreamEntryID(3, 1), fields);
            equal(heard.get(), "3-1");
        }
    }

    private void keysAndExpiry(Jedis r) throws Exception {
        r.setex("k", 100, "v");
        holds(r.ttl("k") >= 98 && r.ttl("k") <= 100, r.ttl("k"));
        equal(List.of(r.persist("k"), r.ttl("k"), r.ttl("none")), List.of(1L, -1L, -2L));
        equal(List.of(r.type("k"), r.objectEncoding("k")), List.of("string", "embstr"));
        equal(r.rename("k", "l"), "OK");
        equal(r.copy("l", "m", false), true);
        equal(r.del("l", "m", "none"), 2L);
        r.psetex("gone", 1, "soon");
        eventually("the key expires", () -> r.get("gone") == null);
        r.rpush("numbers", "3", "1", "2");
        equal(r.sort("numbers"), List.of("1", "2", "3"));
        equal(r.restore("copy", 0, r.dump("numbers")), "OK");
        equal(r.lrange("copy", 0, -1), List.of("3", "1", "2"));
    }

    private void scan(Jedis r) {
        Pipeline batch = r.pipelined();
        List<Response<String>> replies = new ArrayList<>();
        for (String number : numbers(5000)) {
            replies.add(batch.set("key:" + number, number));
        }
        batch.sync();
        replies.forEach(reply -> equal(reply.get(), "OK"));
        r.lpush("list", "x");
        Set<String> found = new HashSet<>();
        String cursor = ScanParams.SCAN_POINTER_START;
        ScanParams options = new ScanParams().match("key:*").count(50);
        do {
            ScanResult<String> page = r.scan(cursor, options);
            found.addAll(page.getResult());
            cursor = page.getCursor();
        } while (!cursor.equals(ScanParams.SCAN_POINTER_START));
        equal(found.size(), 5000);
    }

    private void transaction(Jedis r) {
        Transaction batch = r.multi();
        batch.set("a", "1");
        batch.incr("a");
        batch.lpush("a", "x");
        List<Object> replies = batch.exec();
        equal(replies.subList(0, 2), List.of("OK", 2L));
        holds(replies.get(2) instanceof JedisDataException problem && problem.getMessage().startsWith("WRONGTYPE"), replies);
        r.watch("a");
        batch = r.multi();
        batch.set("a", "mine");
        equal(batch.exec(), List.of("OK"));
        r.watch("a");
        try (Jedis other = connect()) {
            other.set("a", "theirs");
        }
        batch = r.multi();
        batch.set("a", "mine again");
        equal(batch.exec(), null);
        equal(r.get("a"), "theirs");
    }

    private void blockingPop(Jedis r) throws Exception {
        equal(r.blpop(0.01, "none"), null);
        try (Jedis other = connect()) {
            var popped = later(() -> other.blpop(10.0, "first", "second"));
            eventually("the client is blocked", () -> isBlocked(r));
            equal(r.rpush("second", "x"), 1L);
            equal(List.of(popped.get().getKey(), popped.get().getValue()), List.of("second", "x"));
        }
        r.zadd("z", 1.5, "m");
        equal(r.bzpopmin(1, "z").getValue(), new Tuple("m", 1.5));
    }

    private void publishAndSubscribe(Jedis r) throws Exception {
        LinkedBlockingQueue<String> heard = new LinkedBlockingQueue<>();
        JedisPubSub listener = new JedisPubSub() {
            @Override
            public void onSubscribe(String channel, int count) {
                heard.add("subscribed " + channel + " " + count);
            }

            @Override
            public void onPSubscribe(String pattern, int count) {
                heard.add("subscribed " + pattern + " " + count);
            }

            @Override
            public void onMessage(String channel, String text) {
                heard.add(channel + " " + text);
            }

            @Override
            public void onPMessage(String pattern, String channel, String text) {
                heard.add(pattern + " " + channel + " " + text);
            }
        };
        try (Jedis other = connect()) {
            Future<?> listening = later(() -> {
                other.subscribe(listener, "news");
                return null;
            });
            equal(heard.poll(10, TimeUnit.SECONDS), "subscribed news 1");
            listener.psubscribe("n*");
            equal(heard.poll(10, TimeUnit.SECONDS), "subscribed n* 2");
            equal(r.publish("news", "hello"), 2L);
            equal(heard.poll(10, TimeUnit.SECONDS), "news hello");
            equal(heard.poll(10, TimeUnit.SECONDS), "n* news hello");
            equal(r.pubsubNumSub("news"), Map.of("news", 1L));
            listener.unsubscribe();
            listener.punsubscribe();
            listening.get(10, TimeUnit.SECONDS);
            equal(other.ping(), "PONG");
        }
        equal(r.publish("news", "nobody"), 0L);
    }

    private void lock(Jedis r) {
        SetParams take = SetParams.setParams().nx().px(30_000);
        equal(r.set("lock", "token", take), "OK");
        equal(r.set("lock", "other", take), null);
        equal(release(r, "other"), false);
        equal(release(r, "token"), true);
        equal(r.exists("lock"), false);
        // DELEX is younger than the reference, which alone may lack it.
        if (r.info("server").contains("server_name:brindle")) {
            r.set("lock", "token", take);
            equal(r.delex("lock", CompareCondition.valueEq("other")), 0L);
            equal(r.delex("lock", CompareCondition.valueEq("token")), 1L);
        }
    }

    /** Releases a lock that is ours, the way that needs no script. */
    private static boolean release(Jedis r, String token) {
        r.watch("lock");
        if (!token.equals(r.get("lock"))) {
            r.unwatch();
            return false;
        }
        Transaction batch = r.multi();
        batch.del("lock");
        return batch.exec() != null;
    }
}
