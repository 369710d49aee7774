package brindle.clients.spring;

import org.apache.ibatis.cache.Cache;
import org.springframework.data.redis.core.RedisTemplate;
import org.springframework.data.redis.serializer.RedisSerializer;

/** MyBatis's second-level cache as a hash in Redis, one for each mapper. MyBatis makes it, so it finds its template. */
public final class SecondLevelCache implements Cache {
    /** What the application sets once it has started. */
    static volatile RedisTemplate<String, Object> template;

    private final String id;

    public SecondLevelCache(String id) {
        this.id = id;
    }

    @Override
    public String getId() {
        return id;
    }

    @Override
    public void putObject(Object key, Object value) {
        template.opsForHash().put(hash(), key.toString(), value);
    }

    @Override
    public Object getObject(Object key) {
        return template.opsForHash().get(hash(), key.toString());
    }

    @Override
    public Object removeObject(Object key) {
        return template.opsForHash().delete(hash(), key.toString());
    }

    @Override
    public void clear() {
        template.delete(hash());
    }

    @Override
    public int getSize() {
        return template.opsForHash().size(hash()).intValue();
    }

    /** Values here are Java objects, so they are written as such. */
    static void use(RedisTemplate<String, Object> of) {
        RedisTemplate<String, Object> own = new RedisTemplate<>();
        own.setConnectionFactory(of.getRequiredConnectionFactory());
        own.setKeySerializer(RedisSerializer.string());
        own.setHashKeySerializer(RedisSerializer.string());
        own.setHashValueSerializer(RedisSerializer.java());
        own.afterPropertiesSet();
        template = own;
    }

    private String hash() {
        return "mybatis:" + id;
    }
}
