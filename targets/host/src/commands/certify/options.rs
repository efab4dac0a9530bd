//! Options that do not fit what is asked for are refused by name.

use super::{Args, Norm};
use crate::error::Failure;

/// What every norm does with options that are another's.
fn why(norm: Norm) -> &'static str {
    match norm {
        Norm::L2 => "draws Gaussian noise",
        Norm::L1 => "makes every pass there is and leaves nothing to chance",
        Norm::L0 => "draws the positions that the model sees",
    }
}

/// Refuses what fits neither norm nor rule.
pub fn check(args: &Args) -> Result<(), Failure> {
    use Norm::{L0, L1, L2};
    let (norm, request, l1, l0) = (args.norm, &args.request, &args.l1, &args.l0);
    let margin = request.rule.as_deref() == Some("margin");
    if args.record.is_some() && (norm != L2 || margin) {
        return Err(Failure::bad(match norm {
            L1 => {
                "--record: an l1 certificate needs none, it is certain: whoever doubts it runs `certify --norm l1` again; \
                 leave --record out"
            }
            L0 => {
                "--record: there are no records of l0 certificates; whoever doubts one runs `certify --norm l0` again \
                 with the same --nonce. Leave --record out"
            }
            L2 => {
                "--record: a record holds counts, and the margin rule judges by weights; leave --record out, or take \
                 another --rule"
            }
        }));
    }
    if margin && args.input.denoiser.is_some() {
        return Err(Failure::bad(
            "--rule margin needs scores, which a classifier behind a --denoiser does not hand out; take another --rule",
        ));
    }
    let options: [(&str, bool, &[Norm]); 16] = [
        ("--sigma", request.sigma.is_some(), &[L2]),
        ("--sigma-steps", request.sigma_steps.is_some(), &[L2]),
        ("--rule", request.rule.is_some(), &[L2]),
        ("--gain", request.gain.is_some(), &[L2]),
        ("--target", request.target.is_some(), &[L2, L0]),
        ("--alpha", request.alpha.is_some(), &[L2, L0]),
        ("--selection", request.selection.is_some(), &[L2, L0]),
        ("--draws", request.draws.is_some(), &[L2, L0]),
        ("--nonce", args.nonce.is_some(), &[L2, L0]),
        ("--commit", args.commit, &[L2, L0]),
        ("--lambda", l1.lambda.is_some(), &[L1]),
        ("--passes", l1.passes.is_some(), &[L1]),
        ("--range", l1.range.is_some(), &[L1]),
        ("--keep", l0.keep.is_some(), &[L0]),
        ("--ablated", l0.ablated.is_some(), &[L0]),
        ("--channels", l0.channels.is_some(), &[L0]),
    ];
    for (option, given, fits) in options {
        if given && !fits.contains(&norm) {
            let others: Vec<String> = fits.iter().map(|norm| format!("--norm {norm}")).collect();
            return Err(Failure::bad(format!(
                "{option} does not fit --norm {norm}, which {}; leave it out, or take {}",
                why(norm),
                others.join(" or ")
            )));
        }
    }
    if norm == L2 && request.sigma.is_none() && request.sigma_steps.is_none() {
        return Err(Failure::bad("--norm l2 needs --sigma (in the input's units) or --sigma-steps"));
    }
    if request.gain.is_some() && request.rule() != "largest" {
        return Err(Failure::bad("--gain is for --rule largest; leave it out, or take that rule"));
    }
    Ok(())
}
