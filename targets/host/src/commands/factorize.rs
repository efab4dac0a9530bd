//! `--factorize` and `--factorize-form` of `selvedge compile`.

use crate::error::Failure;
use selvedge_compiler::passes::{FactorForm, FactorRank, FactorizeOptions};

#[derive(clap::Args)]
#[group(id = "factorization")]
pub struct Args {
    /// Cut convolutions in two of low rank where that saves multiply-accumulates: keep this energy of the weights, all
    /// convolutions within this part of their multiply-accumulates, or a rank
    #[arg(long, value_name = "energy:0.9|budget:0.5|rank:8")]
    factorize: Option<String>,
    /// How convolutions are cut: `channel` (the window, then 1x1), `spatial` (a column, then a row), `auto` what is cheaper
    #[arg(long, default_value = "auto", value_parser = ["auto", "channel", "spatial"])]
    factorize_form: String,
}

/// What the arguments ask for.
pub fn options(args: &Args) -> Result<Option<FactorizeOptions>, Failure> {
    let Some(text) = args.factorize.as_deref() else {
        return match args.factorize_form.as_str() {
            "auto" => Ok(None),
            _ => Err(Failure::bad("--factorize-form: give --factorize too, as in --factorize energy:0.9")),
        };
    };
    let bad = || Failure::bad(format!("--factorize {text}: give energy:0.9, budget:0.5 or rank:8"));
    let (kind, number) = text.split_once(':').ok_or_else(bad)?;
    let rank = match kind {
        "energy" => FactorRank::Energy(number.parse().map_err(|_| bad())?),
        "budget" => FactorRank::Budget(number.parse().map_err(|_| bad())?),
        "rank" => FactorRank::Rank(number.parse().map_err(|_| bad())?),
        _ => return Err(bad()),
    };
    let form = match args.factorize_form.as_str() {
        "channel" => FactorForm::Channel,
        "spatial" => FactorForm::Spatial,
        _ => FactorForm::Auto,
    };
    Ok(Some(FactorizeOptions { rank, form }))
}
