package brindle.clients.spring;

import java.io.Serializable;

/** A row of the database. */
public record Article(Long id, String title) implements Serializable {}
