package brindle.clients.spring;

import java.util.concurrent.atomic.AtomicInteger;
import org.springframework.cache.annotation.CacheEvict;
import org.springframework.cache.annotation.CachePut;
import org.springframework.cache.annotation.Cacheable;
import org.springframework.stereotype.Service;

/** A slow source of articles, and how often it was asked. */
@Service
public class Catalogue {
    private final AtomicInteger asked = new AtomicInteger();

    /** A method, since what stands in front of this object has no fields of its own. */
    public int asked() {
        return asked.get();
    }

    @Cacheable("articles")
    public Article find(long id) {
        return new Article(id, "article " + asked.incrementAndGet());
    }

    @CachePut(cacheNames = "articles", key = "#article.id")
    public Article replace(Article article) {
        return article;
    }

    @CacheEvict("articles")
    public void forget(long id) {}

    @CacheEvict(cacheNames = "articles", allEntries = true)
    public void forgetAll() {}
}
