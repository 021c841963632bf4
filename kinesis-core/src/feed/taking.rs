//! What an answer does to the feed: its records go into the ring, and what it tells of the shard is remembered.

use tokio::time::Instant;

use super::reading::{Answer, What};
use super::{Feed, Gap, News, TrackId};

impl Feed {
    /// Takes an answer in. None where the reader that it came from is not there any more.
    pub(super) fn take(&mut self, id: TrackId, answer: Answer) -> Option<(News, Option<Gap>)> {
        let now = Instant::now();
        let Answer { gap, what, stream_time, behind } = answer;
        let at_tip = behind.is_some_and(|behind| behind.is_zero());
        let track = self.tracks.iter_mut().find(|track| track.id == id)?;
        track.asked = None;
        track.used_at = now;
        self.passing = track.turn.take().or(self.passing.take());
        if let Some(shown) = stream_time {
            self.clock = Some((shown, now));
        }
        if !matches!(what, What::Later(..)) {
            self.last_failure = None;
        }
        if let Some(gap) = &gap {
            track.ring.tear(gap);
        }
        let news = match what {
            What::Pages(pages) => {
                let (records, bytes) = pages
                    .iter()
                    .fold((0, 0), |(records, bytes), page| (records + page.len(), bytes + page.charged_at_first()));
                track.learn(records, bytes, at_tip);
                track.met();
                let from = track.ring.tip();
                pages.into_iter().for_each(|page| track.ring.push(page));
                let newest = track.ring.at_tip().arrived_at;
                self.newest = self.newest.max(newest.map(|at| at + behind.unwrap_or_default()));
                News::Pages(id, from)
            }
            What::Nothing { resume, again } => {
                track.not_before = (!again.is_zero()).then(|| now + again);
                if at_tip {
                    track.learn(0, 0, true);
                    stream_time.into_iter().for_each(|time| track.ring.set_read_until(time));
                }
                if let Some(resume) = resume {
                    track.ring.set_resume(resume);
                }
                News::Nothing { moved: resume.is_some() }
            }
            What::End(children) => {
                track.met();
                track.ring.set_end(children);
                News::End(id)
            }
            What::Later(wait, kind) => {
                track.not_before = Some(now + wait);
                self.last_failure = Some(kind);
                News::Nothing { moved: false }
            }
            What::Failed(error) => News::Failed(error),
        };
        Some((news, gap))
    }
}
