//! How the program ends: an exit code, and one line that says what to do.

use std::fmt;

/// The exit codes of every command. Documented in the README and in `telelake --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It ran and failed: a query was refused, a server did not answer, the node died.
    Failed = 1,
    /// The command line or the configuration is wrong. (clap uses 2 as well.)
    Usage = 2,
    /// The surroundings refuse: a taken port, a folder that cannot be written or is in use, a bucket out of reach.
    Surroundings = 3,
    /// `check` found damage.
    Damaged = 4,
}

/// An error on its way to the user.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// One line.
    pub(crate) message: String,
}

impl Failure {
    /// It ran and failed.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, message: message.to_string() }
    }
    /// The user must change the command line or the configuration.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }
    /// The user must change the surroundings.
    pub(crate) fn surroundings(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Surroundings, message: message.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever a library's message looks like.
        f.write_str(&self.message.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl std::error::Error for Failure {}

/// An error and its causes on one line. A cause that its parent's message already holds is not repeated.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}
