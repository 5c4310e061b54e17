//! The thread that keeps an engine's switches as the directory says.

use super::context::Context;
use super::file::{Look, WatchedFile};
use crate::refusal::RefusalKind;
use crate::switches::{Selector, Switches};
use crate::watch::directory::parse_switches;
use crate::watch::ledger::{Event, Record};
use crate::watch::status::WatchStatus;
use std::sync::Arc;

/// The thread's own state.
#[derive(Debug)]
pub(super) struct Switching {
    context: Arc<Context>,
    file: WatchedFile,
    /// The switches that the engine is to have.
    wanted: Switches,
    /// The engine has them.
    done: bool,
}

impl Switching {
    /// Starts with the switches of the engine before this one: a restart switches nothing on if the
    /// file is gone or damaged. Without a former engine it starts with those of the host.
    pub(super) fn new(context: Arc<Context>, last: Option<&WatchStatus>) -> Switching {
        let here = context.engine.stats().switches;
        let before = last.map(|last| -> Switches {
            let selectors = last.switches.iter();
            selectors.filter_map(|text| text.parse().ok()).collect()
        });
        let known = before.as_ref().is_some_and(|before| !before.is_empty());
        let wanted = before.unwrap_or_else(|| here.clone());
        let gone = (RefusalKind::Switches, "the switches that were there");
        let path = context.directory.switches();
        context.publish(|status| status.switches = names(&wanted));
        Switching {
            context,
            file: WatchedFile::lasting("switches", path, gone, known),
            done: wanted == here,
            wanted,
        }
    }

    /// Looks at the file, and has the engine follow it. A file that is damaged or gone leaves the
    /// switches as they are.
    pub(super) fn look(&mut self) {
        if let Look::New((_, switches)) = self.file.look(&self.context, parse_switches) {
            self.done &= switches == self.wanted;
            self.wanted = switches;
        }
        if !self.done {
            self.follow();
        }
    }

    fn follow(&mut self) {
        let context = &self.context;
        // If too many retired tables wait for their readers, the next look tries again.
        if context.engine.set_switches(self.wanted.clone()).is_err() {
            return;
        }
        self.done = true;
        let off = names(&self.wanted);
        log::warn!(
            "{}: switched off: {off:?}",
            context.directory.root().display()
        );
        context.note(Record {
            note: Some(match off.join(" ") {
                none if none.is_empty() => "nothing is off".into(),
                off => format!("off: {off}"),
            }),
            ..Record::new(Event::Switch, &context.origin)
        });
        context.publish(|status| status.switches = off);
        context.save();
    }
}

fn names(switches: &Switches) -> Vec<String> {
    switches.iter().map(Selector::to_string).collect()
}
