//! The margin that an XGBoost model adds its trees to: `base_score`, which stands in the file as
//! the objective's output.

use super::{PARAMETERS, raw, several_outputs, shown};
use hedgerow::Refusal;
use hedgerow::RefusalKind::{ModelUnsupported, ModelValue};

/// The margin before the first tree.
pub(super) fn bias(learner: &raw::Learner, version: [u32; 3]) -> Result<f64, Refusal> {
    let score = base_score(&learner.learner_model_param.base_score)?;
    let name = learner.objective.name.as_str();
    let Some((_, link)) = OBJECTIVES.iter().find(|(objective, _)| *objective == name) else {
        let at = "learner.objective.name";
        let error = ModelUnsupported.at(
            at,
            "an objective with one output and a known link",
            shown(name),
        );
        return Err(error.with_hint("train with binary:logistic or a reg: objective"));
    };
    // Version 1.3.1 stopped to take the logit of it; what 1.3 itself means depends on the reader.
    if name == "binary:logitraw" && version < [1, 4, 0] {
        let at = "learner.objective.name";
        return Err(ModelUnsupported.at(at, "binary:logitraw of version 1.4 or later", name));
    }
    let at = || format!("{PARAMETERS}.base_score");
    let margin = match link {
        Link::Identity => score,
        Link::Log => score.ln(),
        Link::Logit => {
            // Version 3.1 began to clip to this range, where earlier ones take or refuse the rest.
            if !(LOGIT_MIN..=1.0 - LOGIT_MIN).contains(&score) {
                let expected = "1e-6 to 1 - 1e-6 (beyond, the versions of XGBoost differ)";
                return Err(ModelValue.at(at(), expected, score));
            }
            -(1.0 / score - 1.0).ln()
        }
    };
    if margin.is_finite() {
        Ok(f64::from(margin))
    } else {
        Err(ModelValue.at(at(), "a number with a finite margin", score))
    }
}

/// `"5E-1"` up to version 3.0, and `"[5E-1]"`, one number an output, since.
fn base_score(text: &str) -> Result<f32, Refusal> {
    let at = format!("{PARAMETERS}.base_score");
    let listed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let text = listed.unwrap_or(text);
    if text.contains(',') {
        let outputs = text.split(',').count();
        return Err(several_outputs(at, format!("{outputs} outputs")));
    }
    match text.parse::<f32>() {
        Ok(score) if score.is_finite() => Ok(score),
        _ => Err(ModelValue.at(at, "a finite number as text, or [it]", shown(text))),
    }
}

/// How an objective turns its output into a margin, always in `f32`.
enum Link {
    Identity,
    Log,
    Logit,
}

/// XGBoost's `kRtEps`.
const LOGIT_MIN: f32 = 1e-6;

/// The objectives with one output, with the names that stand in files.
const OBJECTIVES: &[(&str, Link)] = &[
    ("binary:logistic", Link::Logit),
    ("reg:logistic", Link::Logit),
    ("binary:logitraw", Link::Identity),
    ("binary:hinge", Link::Identity),
    ("reg:squarederror", Link::Identity),
    ("reg:linear", Link::Identity),
    ("reg:squaredlogerror", Link::Identity),
    ("reg:pseudohubererror", Link::Identity),
    ("reg:absoluteerror", Link::Identity),
    ("reg:quantileerror", Link::Identity),
    ("rank:pairwise", Link::Identity),
    ("rank:ndcg", Link::Identity),
    ("rank:map", Link::Identity),
    ("count:poisson", Link::Log),
    ("reg:gamma", Link::Log),
    ("reg:tweedie", Link::Log),
    ("survival:cox", Link::Log),
    ("survival:aft", Link::Log),
];
