//! Wrong arity and wrong types, for every command of our table that the reference has too: the same replies.

use testkit::reply::{integer, is_error, items, name, show};
use testkit::{Client, Program, Reply, Server, found};

const REFERENCE: &str = "redis-8.0.2";
/// One key of each type, and how it is made. Each holds one element, so that no order or chance shows.
const KEYS: [&[&str]; 6] = [
    &["SET", "k", "text"],
    &["RPUSH", "k", "element"],
    &["SADD", "k", "member"],
    &["ZADD", "k", "1", "member"],
    &["HSET", "k", "field", "value"],
    &["XADD", "k", "1-1", "field", "value"],
];
/// Commands whose answer is not the same in two servers even when all is well.
const OWN_WORDS: [(&str, &str); 3] = [
    ("DUMP", "payloads carry the version that wrote them"),
    ("MEMORY", "memory is laid out differently"),
    ("DEBUG", "tells of the inside"),
];

/// A command as COMMAND describes it.
struct Known {
    words: Vec<String>,
    arity: i64,
    first_key: i64,
}

fn known(described: &Reply) -> Vec<Known> {
    let fields = items(described);
    let number = |at: usize| integer(&fields[at]).expect("a number");
    let words = name(&fields[0]).split('|').map(str::to_uppercase).collect();
    let mut all = vec![Known { words, arity: number(1), first_key: number(3) }];
    all.extend(items(&fields[9]).iter().flat_map(known));
    all
}

/// The commands that both have, but for those that differ by nature.
fn commands(ours: &mut Client, theirs: &mut Client) -> Vec<Known> {
    let all = |client: &mut Client| -> Vec<Known> {
        items(&client.call(&["COMMAND"]).expect("a reply")).iter().flat_map(known).collect()
    };
    let (mut ours, theirs) = (all(ours), all(theirs));
    ours.retain(|command| theirs.iter().any(|other| other.words == command.words));
    ours.retain(|command| OWN_WORDS.iter().all(|(word, _)| *word != command.words[0]));
    ours
}

fn pair() -> Option<(Server, Server)> {
    let subject = found(Program::subject(), "brindle-server")?;
    let reference = found(Program::reference(REFERENCE), REFERENCE)?;
    Some((Server::start(&subject, &[]).expect("ours starts"), Server::start(&reference, &[]).expect("theirs starts")))
}

/// Sends the same words to both and notes a difference.
fn compare(ours: &mut Client, theirs: &mut Client, words: &[String], differences: &mut Vec<String>) -> bool {
    let (mine, reference) = (ours.call(words).expect("a reply"), theirs.call(words).expect("a reply"));
    if mine != reference {
        differences.push(format!(
            "{}\n  reference: {}\n  ours:      {}",
            words.join(" "),
            show(&reference),
            show(&mine)
        ));
    }
    is_error(&reference)
}

#[test]
fn wrong_numbers_of_arguments_are_refused_alike() {
    let Some((subject, reference)) = pair() else { return };
    let (mut ours, mut theirs) = (subject.connect().expect("connects"), reference.connect().expect("connects"));
    let (mut differences, mut refused) = (Vec::new(), 0);
    for command in commands(&mut ours, &mut theirs) {
        let least = command.arity.unsigned_abs() as usize;
        // One too few, the name alone, and one too many where there is a most.
        let mut counts: Vec<usize> = [least - 1, command.words.len()].into_iter().filter(|n| *n < least).collect();
        counts.extend((command.arity > 0).then_some(least + 1));
        counts.sort_unstable();
        counts.dedup();
        for count in counts.into_iter().filter(|count| *count >= command.words.len()) {
            let mut words = command.words.clone();
            words.resize(count, "x".into());
            refused += usize::from(compare(&mut ours, &mut theirs, &words, &mut differences));
        }
    }
    println!("{refused} refusals compared");
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
    assert!(refused > 200, "only {refused} refusals: too little was tried");
}

#[test]
fn wrong_types_are_refused_alike() {
    let Some((subject, reference)) = pair() else { return };
    let (mut ours, mut theirs) = (subject.connect().expect("connects"), reference.connect().expect("connects"));
    let (mut differences, mut refused) = (Vec::new(), 0);
    // MIGRATE would ask some other machine, and the answer is the network's.
    let judged = |command: &&Known| command.first_key > 0 && !command.words[0].eq_ignore_ascii_case("migrate");
    for command in commands(&mut ours, &mut theirs).iter().filter(judged) {
        for make in KEYS {
            for client in [&mut ours, &mut theirs] {
                client.call(&["FLUSHALL"]).expect("a reply");
                client.call(make).expect("a reply");
            }
            let mut words = command.words.clone();
            let len = command.arity.unsigned_abs().max(command.first_key as u64 + 1);
            words.resize(len as usize, "1".into());
            words[command.first_key as usize] = "k".into();
            refused += usize::from(compare(&mut ours, &mut theirs, &words, &mut differences));
        }
    }
    println!("{refused} refusals compared");
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
    assert!(refused > 400, "only {refused} refusals: too little was tried");
}
