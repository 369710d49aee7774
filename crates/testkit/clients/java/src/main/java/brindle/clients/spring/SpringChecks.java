package brindle.clients.spring;

import static brindle.clients.Judge.equal;
import static brindle.clients.Judge.eventually;
import static brindle.clients.Judge.holds;
import static brindle.clients.Judge.later;
import static brindle.clients.Judge.refused;

import brindle.clients.Judge;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.WebApplicationType;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.data.domain.Range;
import org.springframework.data.geo.Point;
import org.springframework.data.redis.connection.stream.Consumer;
import org.springframework.data.redis.connection.stream.ReadOffset;
import org.springframework.data.redis.connection.stream.StreamOffset;
import org.springframework.data.redis.core.RedisCallback;
import org.springframework.data.redis.core.RedisTemplate;
import org.springframework.data.redis.core.ScanOptions;
import org.springframework.data.redis.core.StringRedisTemplate;
import org.springframework.data.redis.listener.ChannelTopic;
import org.springframework.data.redis.listener.PatternTopic;
import org.springframework.data.redis.listener.RedisMessageListenerContainer;

/** What a Spring Boot application does, over one of the two clients it can be built on. */
public final class SpringChecks {
    private final RedisTemplate<String, Object> objects;
    private final StringRedisTemplate texts;
    private final ConfigurableApplicationContext context;

    @SuppressWarnings("unchecked")
    private SpringChecks(ConfigurableApplicationContext context) {
        this.context = context;
        objects = context.getBean("redisTemplate", RedisTemplate.class);
        texts = context.getBean(StringRedisTemplate.class);
        SecondLevelCache.use(objects);
    }

    public static void run(Judge judge, String client) {
        SpringApplication application = new SpringApplication(Application.class);
        application.setWebApplicationType(WebApplicationType.NONE);
        application.setLogStartupInfo(false);
        application.setDefaultProperties(Map.of(
                "spring.data.redis.host", judge.host,
                "spring.data.redis.port", judge.port,
                "spring.data.redis.client-type", client,
                "spring.datasource.url", "jdbc:h2:mem:" + client,
                "spring.main.banner-mode", "off",
                "logging.level.root", "warn"));
        try (ConfigurableApplicationContext context = application.run()) {
            SpringChecks checks = new SpringChecks(context);
            String of = "Spring over " + client + ": ";
            judge.check(of + "RedisTemplate, every type", checks::everyType);
            judge.check(of + "stream", checks::stream);
            judge.check(of + "@Cacheable", checks::cacheable);
            judge.check(of + "login tokens", checks::loginTokens);
            judge.check(of + "MyBatis second-level cache", checks::secondLevelCache);
            judge.check(of + "lock", checks::lock);
            judge.check(of + "pipeline", checks::pipeline);
            judge.check(of + "scan", checks::scan);
            judge.check(of + "blocking pop", checks::blockingPop);
            judge.check(of + "message listener", checks::messageListener);
        }
    }

    private void everyType() throws Exception {
        Map<String, Object> user = new HashMap<>(Map.of("name", "Ann\u00e9", "age", 7));
        objects.opsForValue().set("user", user);
        equal(objects.opsForValue().get("user"), user);
        equal(objects.opsForValue().get("none"), null);
        equal(texts.opsForValue().multiGet(List.of("none")), Arrays.asList((Object) null));
        equal(texts.opsForValue().increment("n", 41), 41L);
        equal(texts.opsForValue().increment("n", 0.5), 41.5);
        equal(texts.opsForList().rightPushAll("l", "a", "b", "c"), 3L);
        equal(List.of(texts.opsForList().leftPop("l"), texts.opsForList().range("l", 0, -1)), List.of("a", List.of("b", "c")));
        equal(texts.opsForSet().add("s", "1", "2", "3"), 3L);
        equal(texts.opsForSet().members("s"), Set.of("1", "2", "3"));
        equal(texts.opsForSet().isMember("s", (Object) "9"), false);
        objects.opsForHash().putAll("h", Map.of("f", "1", "g", user));
        equal(objects.opsForHash().entries("h"), Map.of("f", "1", "g", user));
        equal(objects.opsForHash().get("h", "none"), null);
        equal(texts.opsForZSet().add("z", "a", 1.5), true);
        equal(texts.opsForZSet().incrementScore("z", "a", 1), 2.5);
        equal(texts.opsForZSet().rangeWithScores("z", 0, -1).iterator().next().getScore(), 2.5);
        equal(texts.opsForZSet().rank("z", "none"), null);
        equal(texts.opsForHyperLogLog().add("p", "x", "y"), 1L);
        equal(texts.opsForHyperLogLog().size("p"), 2L);
        equal(texts.opsForValue().setBit("bits", 7, true), false);
        equal(texts.opsForGeo().add("g", new Point(13.361389, 38.115556), "Palermo"), 1L);
        equal(texts.opsForGeo().hash("g", "Palermo"), List.of("sqc8b49rny0"));
        refused("WRONGTYPE", () -> texts.opsForList().leftPush("user", "x"));
    }

    private void stream() {
        var first = texts.opsForStream().add("s", Map.of("f", "v"));
        texts.opsForStream().createGroup("s", ReadOffset.from("0"), "crew");
        var read = texts.opsForStream().read(
                Consumer.from("crew", "anna"), StreamOffset.create("s", ReadOffset.lastConsumed()));
        equal(read.get(0).getId(), first);
        equal(read.get(0).getValue(), Map.of("f", "v"));
        equal(texts.opsForStream().pending("s", "crew").getTotalPendingMessages(), 1L);
        equal(texts.opsForStream().acknowledge("s", "crew", first), 1L);
        equal(texts.opsForStream().range("s", Range.unbounded()).size(), 1);
        equal(texts.opsForStream().info("s").streamLength(), 1L);
    }

    /** Over Lettuce the cache writes without waiting for the reply, so each step waits until it shows. */
    private void cacheable() throws Exception {
        Catalogue catalogue = context.getBean(Catalogue.class);
        int before = catalogue.asked();
        Article first = catalogue.find(1);
        eventually("the article is cached", () -> texts.hasKey("articles::1"));
        equal(catalogue.find(1), first);
        equal(catalogue.asked(), before + 1);
        holds(texts.getExpire("articles::1") > Application.CACHED_FOR.toSeconds() - 30, texts.getExpire("articles::1"));
        Article second = catalogue.replace(new Article(1L, "new"));
        eventually("the article is replaced", () -> catalogue.find(1).equals(second));
        catalogue.forget(1);
        eventually("the article is forgotten", () -> !texts.hasKey("articles::1"));
        catalogue.find(2);
        catalogue.find(3);
        eventually("both are cached", () -> texts.keys("articles::*").size() == 2);
        catalogue.forgetAll();
        eventually("all are forgotten", () -> texts.keys("articles::*").isEmpty());
        equal(catalogue.asked(), before + 3);
    }

    private void loginTokens() throws Exception {
        LoginTokens tokens = context.getBean(LoginTokens.class);
        Map<String, Object> user = new HashMap<>(Map.of("name", "anna", "roles", new ArrayList<>(List.of("admin"))));
        String token = tokens.login(user, Duration.ofMinutes(30));
        equal(tokens.user(token, Duration.ofHours(1)), user);
        Long left = texts.getExpire(LoginTokens.key(token), TimeUnit.SECONDS);
        holds(left > 3590 && left <= 3600, left);
        equal(List.of(tokens.logout(token), tokens.logout(token)), List.of(true, false));
        equal(tokens.user(token, Duration.ofHours(1)), null);
        String brief = tokens.login(user, Duration.ofMillis(20));
        eventually("the token runs out", () -> !texts.hasKey(LoginTokens.key(brief)));
    }

    private void secondLevelCache() {
        ArticleMapper articles = context.getBean(ArticleMapper.class);
        articles.createTable();
        articles.save(new Article(1L, "one"));
        Article found = articles.find(1);
        equal(found, new Article(1L, "one"));
        String hash = "mybatis:" + ArticleMapper.class.getName();
        equal(texts.opsForHash().size(hash), 1L);
        // What stands in Redis is what MyBatis returns: an altered copy there shows.
        Object key = SecondLevelCache.template.opsForHash().keys(hash).iterator().next();
        SecondLevelCache.template.opsForHash().put(hash, key, List.of(new Article(1L, "from the cache")));
        equal(articles.find(1), new Article(1L, "from the cache"));
        articles.save(new Article(1L, "two"));
        equal(texts.hasKey(hash), false);
        equal(articles.find(1), new Article(1L, "two"));
    }

    private void lock() {
        Locks locks = context.getBean(Locks.class);
        equal(List.of(locks.take("lock", "mine"), locks.take("lock", "other")), List.of(true, false));
        holds(texts.getExpire("lock", TimeUnit.MILLISECONDS) > 20_000, "no expiry");
        equal(List.of(locks.releaseInTransaction("lock", "other"), texts.hasKey("lock")), List.of(false, true));
        equal(List.of(locks.releaseInTransaction("lock", "mine"), texts.hasKey("lock")), List.of(true, false));
        if (hasDelex()) {
            equal(locks.take("lock", "mine"), true);
            equal(List.of(locks.releaseIfEqual("lock", "other"), texts.hasKey("lock")), List.of(false, true));
            equal(List.of(locks.releaseIfEqual("lock", "mine"), texts.hasKey("lock")), List.of(true, false));
        }
    }

    /** DELEX is younger than the reference, which alone may lack it. */
    private boolean hasDelex() {
        return "brindle".equals(texts.execute((RedisCallback<String>) connection ->
                connection.serverCommands().info("server").getProperty("server_name")));
    }

    private void pipeline() {
        texts.opsForValue().set("a", "1");
        List<Object> replies = texts.executePipelined((RedisCallback<Object>) connection -> {
            for (int index = 0; index < 1000; index++) {
                connection.stringCommands().incr("a".getBytes());
            }
            return null;
        });
        equal(List.of(replies.size(), replies.get(999)), List.of(1000, 1001L));
        equal(texts.opsForValue().getAndDelete("a"), "1001");
    }

    private void scan() {
        for (int index = 0; index < 1000; index++) {
            texts.opsForValue().set("key:" + index, "x");
        }
        Set<String> found = new HashSet<>();
        try (var cursor = texts.scan(ScanOptions.scanOptions().match("key:*").count(50).build())) {
            cursor.forEachRemaining(found::add);
        }
        equal(found.size(), 1000);
    }

    private void blockingPop() throws Exception {
        var popped = later(() -> texts.opsForList().leftPop("queue", Duration.ofSeconds(10)));
        eventually("the client is blocked", () -> "1".equals(texts.execute(
                (RedisCallback<String>) connection ->
                        connection.serverCommands().info("clients").getProperty("blocked_clients"))));
        texts.opsForList().rightPush("queue", "job");
        equal(popped.get(10, TimeUnit.SECONDS), "job");
    }

    private void messageListener() throws Exception {
        LinkedBlockingQueue<String> heard = new LinkedBlockingQueue<>();
        RedisMessageListenerContainer container = new RedisMessageListenerContainer();
        container.setConnectionFactory(texts.getRequiredConnectionFactory());
        container.addMessageListener((message, pattern) -> heard.add("channel " + message), new ChannelTopic("news"));
        container.addMessageListener((message, pattern) -> heard.add("pattern " + message), new PatternTopic("n*"));
        container.afterPropertiesSet();
        container.start();
        try {
            eventually("somebody listens", () -> texts.convertAndSend("news", "hello") == 2);
            Set<String> found = new HashSet<>();
            while (found.size() < 2) {
                String text = heard.poll(10, TimeUnit.SECONDS);
                holds(text != null, found);
                found.add(text);
            }
            equal(found, Set.of("channel hello", "pattern hello"));
        } finally {
            container.stop();
            container.destroy();
        }
    }
}
