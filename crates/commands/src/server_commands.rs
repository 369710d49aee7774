//! Small commands about the server: its time, its last save, its coat.

use crate::call::Call;
use crate::effect::Effect;
use crate::error::{NOT_INTEGER, Result};
use crate::number;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, Spec};

/// The Redis version that this server behaves as.
pub const REDIS_VERSION: &str = "8.0.2";

fn time(call: &mut Call<'_>) -> Result<Effect> {
    let now_us = call.env.host.unix_us();
    call.out.array(2);
    call.out.bulk_int(now_us / 1_000_000);
    call.out.bulk_int(now_us % 1_000_000);
    Ok(Effect::None)
}

fn lastsave(call: &mut Call<'_>) -> Result<Effect> {
    call.out.int(call.env.host.last_save_s());
    Ok(Effect::None)
}

/// A brindled coat, another one each time: dark stripes that wander over a light ground.
fn lolwut(call: &mut Call<'_>) -> Result<Effect> {
    const WIDTH: usize = 64;
    const HEIGHT: usize = 14;
    const STRIPES: usize = 11;
    // Every version has the same coat.
    if call.args.len() >= 3 && call.args.is(1, "version") {
        number::parse_i64(call.arg(2)).ok_or(NOT_INTEGER)?;
    }
    let rng = &mut call.env.rng;
    let mut stripes: Vec<(f64, f64)> =
        (0..STRIPES).map(|_| (rng.f64() * WIDTH as f64, 0.6 + rng.f64() * 1.6)).collect();
    let lean = rng.f64() * 1.6 - 0.8;
    let mut art = String::from("\n");
    for _ in 0..HEIGHT {
        let shade = |x: usize| {
            let near = stripes.iter().map(|(at, width)| (x as f64 - at).abs() / width).fold(f64::MAX, f64::min);
            match near {
                near if near < 0.7 => '█',
                near if near < 1.2 => '▓',
                near if near < 1.8 => '▒',
                _ => '░',
            }
        };
        art.extend((0..WIDTH).map(shade));
        art.push('\n');
        for (at, width) in &mut stripes {
            *at = (*at + lean + rng.f64() * 1.6 - 0.8).rem_euclid(WIDTH as f64);
            *width = (*width + rng.f64() * 0.6 - 0.3).clamp(0.5, 2.4);
        }
    }
    art += &format!("\nNo two dogs of a litter have the same stripes. Redis ver. {REDIS_VERSION}\n");
    call.out.verbatim("txt", art.as_bytes());
    Ok(Effect::None)
}

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[
    Spec::new("lastsave", 1, LOADING | STALE | FAST, Group::Server, lastsave)
        .docs("Tells when the data was last saved.", "1.0.0", "O(1)")
        .categories(&["@admin", "@dangerous"])
        .tips(&["nondeterministic_output"]),
    Spec::new("lolwut", -1, READONLY | FAST, Group::Server, lolwut)
        .docs("Shows the dog's coat and the version.", "5.0.0", "")
        .args(&[Arg::integer("version").token("VERSION").optional()]),
    Spec::new("time", 1, LOADING | STALE | FAST, Group::Server, time)
        .docs("Tells the server's time.", "2.6.0", "O(1)")
        .tips(&["nondeterministic_output"]),
];
