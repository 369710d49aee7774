//! CONFIG: reads and changes the directives of the running server.

use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Result, SYNTAX};
use crate::help;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, Spec};

/// The container itself; its arity asks for a subcommand, so this is never reached with too few arguments.
fn config(call: &mut Call<'_>) -> Result<Effect> {
    Err(call.wrong_arity())
}

fn get(call: &mut Call<'_>) -> Result<Effect> {
    let patterns: Vec<&[u8]> = call.args.from(2).collect();
    let found = call.env.host.config_get(&patterns);
    call.out.map(found.len());
    for (name, value) in &found {
        call.out.bulk(name);
        call.out.bulk(value);
    }
    Ok(Effect::None)
}

fn set(call: &mut Call<'_>) -> Result<Effect> {
    let words: Vec<&[u8]> = call.args.from(2).collect();
    let (pairs, []) = words.as_chunks::<2>() else { return Err(SYNTAX) };
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|&[name, value]| (name, value)).collect();
    call.env.host.config_set(&call.session.client, &pairs)?;
    call.out.ok();
    Ok(Effect::None)
}

fn rewrite(call: &mut Call<'_>) -> Result<Effect> {
    call.env.host.config_rewrite(false)?;
    call.out.ok();
    Ok(Effect::None)
}

fn resetstat(call: &mut Call<'_>) -> Result<Effect> {
    call.env.host.reset_stats();
    call.out.ok();
    Ok(Effect::None)
}

fn config_help(call: &mut Call<'_>) -> Result<Effect> {
    help::answer(
        call,
        &[
            "GET <pattern>",
            "    Return parameters matching the glob-like <pattern> and their values.",
            "SET <directive> <value>",
            "    Set the configuration <directive> to <value>.",
            "RESETSTAT",
            "    Reset statistics reported by the INFO command.",
            "REWRITE",
            "    Rewrite the configuration file.",
        ],
    );
    Ok(Effect::None)
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[Spec::new("config", -2, NONE, Group::Server, config)
    .docs("Reads and changes the configuration.", "2.0.0", "Depends on subcommand.")
    .subcommands(&[
        Spec::new("resetstat", 2, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, resetstat)
            .full_name("config|resetstat")
            .docs("Starts the statistics of INFO anew.", "2.0.0", "O(1)")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        Spec::new("set", -4, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, set)
            .full_name("config|set")
            .docs(
                "Sets directives, all of them or none.",
                "2.0.0",
                "O(N) when N is the number of configuration parameters provided",
            )
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .args(&[Arg::block("data", &[Arg::string("parameter"), Arg::string("value")]).multiple()]),
        Spec::new("get", -3, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, get)
            .full_name("config|get")
            .docs(
                "Answers the directives whose names match, with their values.",
                "2.0.0",
                "O(N) when N is the number of configuration parameters provided",
            )
            .args(&[Arg::string("parameter").multiple()]),
        Spec::new("help", 2, LOADING | STALE, Group::Server, config_help).full_name("config|help").docs(
            "Explains the subcommands.",
            "5.0.0",
            "O(1)",
        ),
        Spec::new("rewrite", 2, ADMIN | NOSCRIPT | LOADING | STALE, Group::Server, rewrite)
            .full_name("config|rewrite")
            .docs("Writes the running configuration into its file.", "2.8.0", "O(1)")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    ])];
