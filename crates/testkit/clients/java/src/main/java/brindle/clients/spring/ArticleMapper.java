package brindle.clients.spring;

import org.apache.ibatis.annotations.CacheNamespace;
import org.apache.ibatis.annotations.Insert;
import org.apache.ibatis.annotations.Mapper;
import org.apache.ibatis.annotations.Select;
import org.apache.ibatis.annotations.Update;

/** The database's table, behind a second-level cache that lives in Redis. */
@Mapper
@CacheNamespace(implementation = SecondLevelCache.class)
public interface ArticleMapper {
    @Update("CREATE TABLE IF NOT EXISTS article (id BIGINT PRIMARY KEY, title VARCHAR(100))")
    void createTable();

    @Insert("MERGE INTO article VALUES (#{id}, #{title})")
    void save(Article article);

    @Select("SELECT id, title FROM article WHERE id = #{id}")
    Article find(long id);
}
