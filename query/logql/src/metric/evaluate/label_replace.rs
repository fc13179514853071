//! `label_replace`.

use gosyntax::re2::compile_search;

use super::Error;
use crate::metric::steps::StepSeries;

/// Writes `replacement`, with what `pattern` found in the whole value of `source`, into `destination`, where the pattern matches; nothing
/// removes the label.
pub(super) fn label_replace(
    mut series: Vec<StepSeries>,
    destination: &str,
    replacement: &str,
    source: &str,
    pattern: &str,
) -> Result<Vec<StepSeries>, Error> {
    let regex = compile_search(&format!("^(?:{pattern})$"))
        .map_err(|why| Error::Invalid(format!("invalid regex in label_replace: {why}")))?;
    for one in &mut series {
        if let Some(found) = regex.captures(one.labels.get(source).unwrap_or("").as_bytes()) {
            let mut value = Vec::new();
            found.expand(replacement.as_bytes(), &mut value);
            one.labels = one.labels.with(destination, &String::from_utf8_lossy(&value));
        }
    }
    Ok(series)
}
