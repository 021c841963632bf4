//! The answers to come, and the calls so far.

use std::collections::{BTreeMap, VecDeque};

use super::answer::Answer;
use super::rule::Rule;

/// The answers to come and the calls so far, by operation. What is scripted for the next calls goes before the rules.
#[derive(Debug, Default)]
pub(in crate::wire) struct Script {
    answers: BTreeMap<String, VecDeque<Answer>>,
    rules: Vec<Rule>,
    calls: BTreeMap<String, u64>,
}

impl Script {
    pub(in crate::wire) fn extend(&mut self, operation: &str, answers: impl IntoIterator<Item = Answer>) {
        self.answers.entry(operation.to_owned()).or_default().extend(answers);
    }

    pub(in crate::wire) fn add_rules(&mut self, rules: impl IntoIterator<Item = Rule>) {
        self.rules.extend(rules);
    }

    /// Counts a call and takes what it is to be answered with.
    pub(in crate::wire) fn next(&mut self, operation: &str) -> Answer {
        let calls = self.calls.entry(operation.to_owned()).or_default();
        *calls += 1;
        let scripted = self.answers.get_mut(operation).and_then(VecDeque::pop_front);
        let ruled = || self.rules.iter().find_map(|rule| rule.answer_to(operation, *calls)).cloned();
        scripted.or_else(ruled).unwrap_or(Answer::Serve)
    }

    pub(in crate::wire) fn calls(&self, operation: &str) -> u64 {
        self.calls.get(operation).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_goes_before_the_rules_and_the_first_rule_before_the_others() {
        let mut script = Script::default();
        script.add_rules([
            Rule::new("GetRecords", Answer::Hang).nth(3),
            Rule::new("*", Answer::Empty).from(2).times(2),
            Rule::new("PutRecord", Answer::Drop),
        ]);
        script.extend("GetRecords", [Answer::Cut(7)]);
        let answers: Vec<Answer> = (0..4).map(|_| script.next("GetRecords")).collect();
        assert_eq!(answers, [Answer::Cut(7), Answer::Empty, Answer::Hang, Answer::Serve]);
        let answers: Vec<Answer> = (0..4).map(|_| script.next("PutRecord")).collect();
        assert_eq!(answers, [Answer::Drop, Answer::Empty, Answer::Empty, Answer::Drop]);
        assert_eq!((script.calls("GetRecords"), script.calls("ListShards")), (4, 0));
    }
}
