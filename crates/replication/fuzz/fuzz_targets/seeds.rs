//! The targets write their own seeds, so these go through the same code as all else.

/// Writes each seed as a file into the folder that `BRINDLE_FUZZ_SEEDS` names, if it is set.
pub fn write(seeds: impl IntoIterator<Item = Vec<u8>>) {
    let Some(folder) = std::env::var_os("BRINDLE_FUZZ_SEEDS").map(std::path::PathBuf::from) else { return };
    for (number, seed) in seeds.into_iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).expect("the folder of seeds can be written");
    }
}
