//! Every command, subcommand and argument of Redis 8.0.2 beside ours: what we lack stands in `lacking.txt`, and what
//! we have is described as the reference describes it.

use std::collections::BTreeMap;
use std::path::Path;

use testkit::grammar::{Generator, Grammar};
use testkit::reply::show;
use testkit::surface::Surface;
use testkit::words::join;
use testkit::{Program, Server, Words, found};

const REFERENCE: &str = "redis-8.0.2";
/// How many forms of each command are asked for their keys.
const FORMS_PER_COMMAND: usize = 20;

/// The commands of a list, each with its reason.
fn listed(file: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file);
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, reason) = line.split_once(" | ").unwrap_or_else(|| panic!("no reason: {line}"));
            (name.trim().to_owned(), reason.to_owned())
        })
        .collect()
}

fn surface(server: &Server) -> Surface {
    Surface::read(&mut server.connect().expect("a connection")).expect("COMMAND and COMMAND DOCS")
}

#[test]
fn what_we_lack_is_listed() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let reference = surface(&Server::start(&reference, &[]).expect("the reference starts"));
    let subject = surface(&Server::start(&subject, &[]).expect("our server starts"));
    let lacking = subject.lacking(&reference);
    let listed = listed("lacking.txt");
    let unlisted: Vec<&String> = lacking.iter().filter(|name| !listed.contains_key(*name)).collect();
    let there: Vec<&String> = listed.keys().filter(|name| !lacking.contains(*name)).collect();
    println!("{} of {} commands are there", reference.commands.len() - lacking.len(), reference.commands.len());
    assert!(unlisted.is_empty(), "lacking, and not in lacking.txt: {unlisted:#?}");
    assert!(there.is_empty(), "in lacking.txt, and there (or unknown to the reference): {there:#?}");
}

/// What is ours beyond the reference is there on purpose, and documented as any other command.
#[test]
fn what_we_have_beyond_is_listed() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let reference = surface(&Server::start(&reference, &[]).expect("the reference starts"));
    let subject = surface(&Server::start(&subject, &[]).expect("our server starts"));
    let beyond: Vec<String> = reference.lacking(&subject).into_iter().collect();
    let listed: Vec<String> = listed("beyond.txt").into_keys().collect();
    assert_eq!(beyond, listed, "what we have beyond the reference (left) is what beyond.txt lists (right)");
    for name in &beyond {
        let facts = &subject.commands[name];
        for fact in ["group", "since", "arguments", "key specifications"] {
            assert!(facts.get(fact).is_some_and(|value| !value.is_empty()), "{name} has no {fact}: {facts:?}");
        }
    }
}

#[test]
fn what_we_have_is_described_alike() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let reference = surface(&Server::start(&reference, &[]).expect("the reference starts"));
    let subject = surface(&Server::start(&subject, &[]).expect("our server starts"));
    let differences = reference.differences(&subject);
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

/// COMMAND GETKEYS and GETKEYSANDFLAGS over generated forms of every command that both have.
#[test]
fn keys_are_found_alike() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let reference = Server::start(&reference, &[]).expect("the reference starts");
    let subject = Server::start(&subject, &[]).expect("our server starts");
    let differences = key_differences(&reference, &subject);
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

/// Redis 7.0.15 beside 8.0.2 shows that each kind of difference is seen; 8.0.2 beside itself, that nothing else is.
#[test]
fn the_judge_tells_servers_apart() {
    let Some(reference) = found(Program::reference(REFERENCE), REFERENCE) else { return };
    let Some(older) = found(Program::reference("redis-7.0.15"), "redis-7.0.15") else { return };
    let (reference, older) =
        (Server::start(&reference, &[]).expect("starts"), Server::start(&older, &[]).expect("starts"));
    assert!(key_differences(&reference, &reference).is_empty());
    let (new, old) = (surface(&reference), surface(&older));
    assert!(new.differences(&new).is_empty() && new.lacking(&new).is_empty());
    assert!(old.lacking(&new).contains("HGETEX") && old.lacking(&new).contains("CLIENT SETINFO"));
    let differences = new.differences(&old);
    assert!(differences.iter().any(|line| line.starts_with("ZRANK: arguments")), "{differences:#?}");
    // Every fact counts: each is spoiled once, and each is missed.
    for command in ["SET", "XGROUP CREATE"] {
        let facts: Vec<&str> = new.commands[command].keys().copied().collect();
        assert_eq!(facts.len(), 12, "{facts:?}");
        for fact in facts {
            let mut spoiled = new.clone();
            spoiled.commands.get_mut(command).expect("it is there").insert(fact, "spoiled".into());
            assert_eq!(new.differences(&spoiled).len(), 1, "{command} {fact}");
        }
    }
    let all = listed("lacking.txt");
    let strangers: Vec<&String> = all.keys().filter(|name| !new.commands.contains_key(*name)).collect();
    assert!(strangers.is_empty(), "in lacking.txt, but the reference knows no such command: {strangers:?}");
}

fn key_differences(reference: &Server, subject: &Server) -> Vec<String> {
    let mut left = reference.connect().expect("a connection");
    let mut right = subject.connect().expect("a connection");
    let ours = surface(subject);
    let grammar = Grammar::read(&mut left).expect("COMMAND DOCS");
    let mut generator = Generator::new(&grammar, 1, &[]);
    let mut questions: Vec<Words> = Vec::new();
    for command in grammar.commands.values().filter(|command| ours.commands.contains_key(&command.name)) {
        for _ in 0..FORMS_PER_COMMAND {
            let form = generator.command(command);
            for question in ["GETKEYS", "GETKEYSANDFLAGS"] {
                questions.push(
                    [b"COMMAND".to_vec(), question.as_bytes().to_vec()].into_iter().chain(form.clone()).collect(),
                );
            }
        }
    }
    let mut differences = Vec::new();
    for batch in questions.chunks(50) {
        let replies = left.pipeline(batch).expect("replies").into_iter().zip(right.pipeline(batch).expect("replies"));
        for (question, (left, right)) in batch.iter().zip(replies).filter(|(_, (left, right))| left != right) {
            differences.push(format!(
                "{}\n    reference: {}\n    ours:      {}",
                join(question),
                show(&left),
                show(&right)
            ));
        }
    }
    differences
}
